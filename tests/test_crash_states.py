"""Power cuts: every state in which one can leave the files of a job is resumed from.

A job is recorded call by call. After each call, what was synced is on the disk, and of the rest
anything may be: a part, zeros or garbage of the same length, or nothing; and the names of files may
be those from before. SQLite's tests do the same; ALICE (OSDI'14) found such states on file systems
in use.
"""

import asyncio
import hashlib
import json
import os
import shutil

import pytest
from chaos import Command, Reading, SystemCalls, said_in, spelled, succeeded, text_of
from scripted import Service, answer, error
from virtual_time import run

from request_engine.errors import BadInput

TEXTS = [f"text {number} {'x' * (number % 4)}" for number in range(14)]
RESULTS, ERRORS, TORN = "r.jsonl", "errors.jsonl", "r.jsonl.torn"
OUTPUTS = {RESULTS, ERRORS, TORN, "errors.jsonl.torn"}


class Tape:
    """Writes down what is done to files, as (what, file or name, more).

    A file is known by a number, since names move. Nothing is really flushed: the tape knows.
    """

    def __init__(self):
        self.calls = []
        self._files = {}
        """Name to number."""
        self._open = {}
        """Descriptor to number."""

    def __call__(self, name, path, call, *arguments):
        base = os.path.basename(path)
        if name == "fsync":
            self.calls.append(("sync", self._open.get(arguments[0]), None))
            return None
        result = call()
        match name:
            case "open" if os.path.isfile(path):
                self._open[result] = self._named(base)
            case "open":  # the folder
                self._open[result] = None
            case "open file":
                self._open[result.fileno()] = self._named(base)
                if arguments[0] == "wb":
                    self.calls.append(("cut", self._files[base], 0))
            case "write":
                descriptor, data = arguments
                written = bytes(data[:result])
                self.calls.append(("write", self._open[descriptor], written))
            case "ftruncate":
                self.calls.append(("cut", self._open[arguments[0]], arguments[1]))
            case "replace" | "rename":
                aim = os.path.basename(arguments[0])
                self._files[aim] = self._files.pop(base)
                self.calls.append(("rename", base, aim))
            case "unlink" | "remove":
                self._files.pop(base, None)
                self.calls.append(("unlink", base, None))
        return result

    def _named(self, base):
        if base not in self._files:
            self._files[base] = sum(call[0] == "create" for call in self.calls)
            self.calls.append(("create", base, self._files[base]))
        return self._files[base]


class PowerCut:
    """What would be on the disk if the power went now."""

    def __init__(self):
        self.names, self._moves = {}, []
        """Name to file, for certain; and what was done to names since."""
        self._synced, self._since = {}, {}
        """Bytes of each file, for certain; and what was written and cut since."""
        self.kept = frozenset()
        """Answers that had been synced: they must never be lost again."""
        self.torn = b""
        """The same of a part of a row."""
        self._call = ()

    def feed(self, what, file, more):
        """One more call was made."""
        self._call = what, file
        match what, file:
            case (("create" | "rename" | "unlink"), _):
                self._moves.append((what, file, more))
                if what == "create":
                    self._synced[more], self._since[more] = b"", []
            case "sync", None:
                self.names, self._moves = self._named(self._moves), []
            case "sync", _:
                self._synced[file], self._since[file] = self._content(file), []
                if file in (self._named(self._moves).get(name) for name in (RESULTS, ERRORS)):
                    reading = Reading(self._synced[file])
                    self.kept |= answered(reading)
                    self.torn = reading.tail if reading.torn else self.torn
            case _:
                self._since[file].append(more)

    def states(self):
        """(what happened, content of each name), many of them more than once."""
        for lost, names in self._folders():
            whole = {name: self._content(file) for name, file in names.items()}
            yield f"{lost}, all else written", whole
            for name, file in names.items():
                # Of a lock nothing is read: damaged once is enough.
                if not name.endswith(".lock") or self._call == ("write", file):
                    for damage, content in self._contents(file):
                        yield f"{lost}, {name}: {damage}", whole | {name: content}

    def _folders(self):
        """The names now, from before each change, and with one change missing."""
        for count in range(len(self._moves) + 1):
            yield f"{count} of {len(self._moves)} names", self._named(self._moves[:count])
        for at, (what, *_) in enumerate(self._moves):
            if what != "rename":
                yield f"name {at} lost", self._named(self._moves[:at] + self._moves[at + 1 :])

    def _named(self, moves):
        names = dict(self.names)
        for what, name, more in moves:
            if what == "create":
                names[name] = more
            elif name in names:
                file = names.pop(name)
                if what == "rename":
                    names[more] = file
        return names

    def _content(self, file, most=None):
        content = self._synced[file]
        for change in self._since[file][:most]:
            content = content[:change] if isinstance(change, int) else content + change
        return content

    def _contents(self, file):
        """A part of what was written since the last sync, or as much of something else."""
        changes = self._since[file]
        for count in range(len(changes)):
            yield f"{count} of {len(changes)} writes", self._content(file, count)
        if changes and isinstance(changes[-1], bytes):
            yield from _parts(self._content(file, len(changes) - 1), changes[-1])
        whole = self._content(file)
        start = min([len(self._synced[file]), *(c for c in changes if isinstance(c, int))])
        if start < len(whole):
            yield from _damages(whole, start)


def _parts(before, last):
    for length in {1, len(last) // 2, len(last) - 1} - {0, len(last)}:
        yield f"{length} bytes of the last write", before + last[:length]
    yield "the last write as zeros", before + bytes(len(last))
    yield "the last write as garbage", before + _garbage(len(last))


def _damages(whole, start):
    """Instead of all that is not synced, or of its beginning: zeros and garbage."""
    length = len(whole) - start
    yield "zeros", whole[:start] + bytes(length)
    yield "garbage", whole[:start] + _garbage(length)
    broken = _garbage(length // 3) + b"\n" + _garbage(length - length // 3 - 1)
    yield "garbage with a newline in it", whole[:start] + broken
    third = start + length // 3
    yield "zeros before a good rest", whole[:start] + bytes(third - start) + whole[third:]
    yield "garbage before a good rest", whole[:start] + _garbage(third - start) + whole[third:]
    row = whole.find(b"\n", start) + 1
    if row:
        yield "zeros for a row, then good ones", whole[:start] + bytes(row - start) + whole[row:]


def _garbage(length):
    return (b"\xff\xfe[\x81{" * (length // 5 + 1))[:length]


def answered(reading):
    """The texts that have their answers there."""
    return frozenset(asked(row) for row in reading.rows if succeeded(row))


def asked(row):
    """The request that *row* is of, which every answer here repeats."""
    return said_in(row).partition(": ")[2] if isinstance(row, dict) else text_of(row[0])


def service(wrong=(), **settings):
    """Answers by repeating the request, but refuses the *wrong* ones."""

    def reply(body):
        text = text_of(json.loads(body))
        return error(400, f"no: {text}") if text in wrong else answer(f"yes: {text}")

    return Service(reply, latency=0.4, max_concurrent=3, **settings)


def killed_after(seconds, command):
    async def scenario():
        task = asyncio.create_task(command.run())
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(scenario())


def stopped_after(seconds, command):
    async def scenario():
        asyncio.get_running_loop().call_later(seconds, command.service.stopping.stop, "enough")
        await command.run()

    run(scenario())


SETTINGS = {
    "rows, ordered": {"ordered": True},
    "batch, errors apart": {"output_format": "batch", "errors_filepath": ERRORS},
}


class Life:
    """A job that is killed within a row, stopped, and finished."""

    def __init__(self, folder, settings):
        self.requests = folder / "in.jsonl"
        self.requests.write_text("".join(spelled(text) + "\n" for text in TEXTS))
        self._settings = settings

    def command(self, folder, service):
        """The command as it is given again and again, but for the folder of its output."""
        errors = self._settings.get("errors_filepath")
        if errors is not None:
            errors = folder / errors
        settings = self._settings | {"errors_filepath": errors}
        return Command(self.requests, folder / RESULTS, service, **settings)

    def recorded(self, folder):
        """Every call about files in *folder*."""
        folder.mkdir()
        tape = Tape()
        with SystemCalls(folder, tape) as calls:
            killed_after(1.3, self.command(folder, service(wrong=TEXTS[1::4])))
            descriptor = os.open(folder / RESULTS, os.O_RDWR | os.O_APPEND)
            os.write(descriptor, b'[{"model": "m", "messages": [{"role": "torn')
            os.fsync(descriptor)
            calls.abandon()
            stopped_after(0.5, self.command(folder, service(wrong=TEXTS[5:6])))
            run(self.command(folder, service()).run())
        return tape.calls


def states_of(tape):
    """Each state in which a power cut can leave the files, once: what happened, names, the rest."""
    power, seen = PowerCut(), set()
    for number, call in enumerate(tape):
        power.feed(*call)
        for what, files in power.states():
            told = repr((sorted(files.items()), sorted(power.kept), power.torn)).encode()
            key = hashlib.sha256(told).digest()
            if key not in seen:
                seen.add(key)
                yield f"after call {number} ({call[0]} {call[1]}), {what}", files, power


def laid_out(folder, files):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def check_resumed(life, folder, files, power):
    """Run the command again over *files*: it does all that is missing, and no more."""
    laid_out(folder, files)
    found = {name: Reading(files[name]) for name in (RESULTS, ERRORS) if name in files}
    command = life.command(folder, service())
    try:
        run(command.run())
    except BadInput:
        foreign = [name for name, reading in found.items() if reading.foreign]
        assert foreign, "refused without need"
        assert all(contents(folder)[name] == files[name] for name in foreign)
        return
    assert not any(reading.foreign for reading in found.values()), "strange files were taken"
    check_rows(command, found, contents(folder), power.kept)


def check_rows(command, found, after, kept):
    sent = [text_of(json.loads(body)) for body in command.service.sent]
    before = frozenset().union(*map(answered, found.values()))
    readings = {name: Reading(after[name]) for name in (RESULTS, ERRORS) if name in after}
    rows = [row for one in readings.values() for row in one.rows]
    unreadable = sum(one.unreadable for one in found.values())

    assert kept <= before, "P1: synced answers are lost"
    assert not kept & set(sent), "P3: synced answers were bought again"
    assert sorted(sent) == sorted(set(TEXTS) - before), "P3: not exactly what is missing was sent"
    assert sorted(asked(row) for row in rows) == sorted(TEXTS), "P2: not one row a line"
    assert all(succeeded(row) and said_in(row) == f"yes: {asked(row)}" for row in rows)
    assert sum(one.unreadable for one in readings.values()) == unreadable
    assert not any(one.tail or one.zeros for one in readings.values()), "a row has no end"
    assert command.journal.unreadable == unreadable
    assert command.journal.zeros == sum(one.zeros for one in found.values())
    assert command.journal.torn == any(one.torn for one in found.values())
    assert set(after) <= OUTPUTS, "P10: files are left behind"
    assert command.trouble is None


@pytest.fixture
def nothing_flushed(monkeypatch):
    """The states are made by hand, so that flushing them only takes time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.mark.parametrize("name", SETTINGS)
def test_P1_P2_P3_whatever_a_power_cut_leaves_is_resumed_from(tmp_path, nothing_flushed, name):
    """All rows come to be there, and of what had reached the disk nothing is bought again."""
    life = Life(tmp_path, SETTINGS[name])
    count = 0
    for what, files, power in states_of(life.recorded(tmp_path / "recorded")):
        try:
            check_resumed(life, tmp_path / "resumed", files, power)
        except Exception as wrong:
            raise AssertionError(f"{what}: {wrong}") from wrong
        count += 1
    assert count > 250, "too few states to prove anything"
    assert power.kept == frozenset(TEXTS), "P1: a run has ended, and its rows were not synced"


def test_P1_a_part_of_a_row_that_is_set_aside_is_in_one_of_the_two_files(tmp_path):
    """It may be most of an answer that was paid for, and a person can read it."""
    life = Life(tmp_path, SETTINGS["rows, ordered"])
    for what, files, power in states_of(life.recorded(tmp_path / "recorded")):
        assert power.torn in files.get(RESULTS, b"") + files.get(TORN, b""), what
    assert b"torn" in power.torn


def test_P10_a_rewrite_that_a_power_cut_ended_leaves_nothing_behind(tmp_path, nothing_flushed):
    """Neither where the next run has nothing to rewrite: its rows may stay as they are."""
    life = Life(tmp_path, SETTINGS["rows, ordered"])
    half_done = {
        frozenset(files): (what, files)
        for what, files, _ in states_of(life.recorded(tmp_path / "recorded"))
        if f"{RESULTS}.rewriting" in files and RESULTS in files
    }
    assert half_done
    for what, files in half_done.values():
        laid_out(tmp_path / "resumed", files)
        settings = {"keep_failures": True}
        command = Command(life.requests, tmp_path / "resumed" / RESULTS, service(), **settings)
        run(command.run())
        assert set(contents(tmp_path / "resumed")) <= OUTPUTS, what
