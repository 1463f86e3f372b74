"""Whatever a user and a machine do to a job between its runs and in them, in any order.

Lines are added, edited, moved, doubled, taken out and spelled otherwise; runs end, are killed or
stopped; the results are cut off or get rubbish at their end; settings change. Before each run a
model reads the files and says what must happen. After it the files, what was sent and what was told
are compared with that.

A search of about an hour: STATE_MACHINE_EXAMPLES=20000 python -m pytest tests/test_state_machine.py
"""

import asyncio
import json
import os
import shutil
import tempfile
from collections import Counter, namedtuple
from pathlib import Path

import pytest
from chaos import Command, Reading, SystemCalls, said_in, succeeded, text_of
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from scripted import Service, answer, error
from virtual_time import run

from request_engine.errors import BadInput
from request_engine.identity import content_id
from request_engine.journal import Journal
from request_engine.lines import read_line
from request_engine.records import Unusable
from request_engine.rows import array_row

RESULTS, ERRORS = "r.jsonl", "errors.jsonl"
TEXTS = ["a", "b", "c é", "d", "e"]
MOODS = ["kind", "refusing", "broken", "busy"]
NO_REQUEST = "no request"
"""In place of the metadata of a line that is none."""

Line = namedtuple("Line", "text metadata spelling")
Place = namedtuple("Place", "file answered")
"""Where the row of a line is, and what it says."""

numbers = st.integers(0, 7)
metadata = st.sampled_from(["null", "null", '{"id": 1, "n": 2}', "0"])
usable = st.builds(Line, st.sampled_from(TEXTS), metadata, numbers)
junk = st.builds(Line, st.sampled_from(["no json", '{"model":']), st.just(NO_REQUEST), st.just(0))
lines = st.one_of(usable, usable, usable, junk)
commands = st.fixed_dictionaries(
    {
        "ordered": st.booleans(),
        "keep_failures": st.booleans(),
        "output_format": st.sampled_from(["rows", "batch"]),
        "errors_apart": st.booleans(),
        "max_attempts": st.integers(1, 3),
    }
)


def spelled(line):
    """The text of *line*; bits of its spelling: backwards, with spaces, without escapes."""
    if line.metadata == NO_REQUEST:
        return line.text
    fields = [("model", "m"), ("messages", [{"role": "user", "content": line.text}])]
    if line.metadata != "null":
        fields.append(("metadata", json.loads(line.metadata)))
    fields = dict(reversed(fields) if line.spelling & 1 else fields)
    separators = (" ,  ", " : ") if line.spelling & 2 else None
    return json.dumps(fields, separators=separators, ensure_ascii=not line.spelling & 4)


def batch_id(line):
    """By what a batch row tells of which request it is."""
    request = read_line(1, spelled(line).encode())
    if isinstance(request, Unusable):
        content = content_id(json.loads(request.raw_body), None)
    else:
        content = content_id(request.body, request.metadata)
    return content.hex()


class Model:
    """What the named files hold, and so what a run over *requests* must make of them."""

    def __init__(self, readings, requests, ids, *, keep_failures):
        self.readings = readings
        self._ids = ids
        self.rows = Counter(
            (self.key_of(row), Place(name, succeeded(row)))
            for name, reading in readings.items()
            for row in reading.rows
        )
        self.answered, self.failed = self._count(answered=True), self._count(answered=False)
        """Rows of answers and of failures."""
        self.staying = Counter(
            {row: count for row, count in self.rows.items() if row[1].answered or keep_failures}
        )
        left = Counter(self.staying)
        self.places = [(line[:2], self._claimed(line[:2], left)) for line in requests]
        """Of each line its key, and where its row is; None where it has none."""
        self.unclaimed = left.total()

    def _count(self, *, answered):
        return sum(n for (_, place), n in self.rows.items() if place.answered is answered)

    def _claimed(self, key, left):
        in_turn = [Place(RESULTS, answered=True), *(Place(name, False) for name in self.readings)]
        for place in in_turn:
            if left[key, place]:
                left[key, place] -= 1
                return place
        return None

    @property
    def foreign(self):
        return [name for name, reading in self.readings.items() if reading.foreign]

    def told(self, what):
        """The sum of *what* the files say."""
        return sum(getattr(reading, what) for reading in self.readings.values())

    def claimed(self, *, answered):
        return sum(place is not None and place.answered is answered for _, place in self.places)

    def to_do(self):
        return Counter(key for key, place in self.places if place is None)

    def keys_in(self, name):
        return [self.key_of(row) for row in self.readings[name].rows]

    def key_of(self, row):
        """Text and metadata of the line that *row* is of."""
        if isinstance(row, dict):
            return self._ids[row["id"].removeprefix("batch_req_")[:32]]
        if isinstance(row[0], str):
            return row[0], NO_REQUEST
        return text_of(row[0]), json.dumps(row[2] if len(row) > 2 else None)


class Jobs(RuleBasedStateMachine):
    """One requests file, its results, and everything that happens to them."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.ids = {}
        """Of each line there ever was, by what a batch row calls it."""

    def teardown(self):
        shutil.rmtree(self.folder)

    @initialize(
        first=st.lists(lines, min_size=2, max_size=8),
        moods=st.dictionaries(st.sampled_from(TEXTS), st.sampled_from(MOODS)),
        chosen=commands,
    )
    def it_begins(self, first, moods, chosen):
        self._write(first)
        self.moods = moods
        self.settings = chosen

    @rule(more=st.lists(lines, min_size=1, max_size=3))
    def lines_are_added(self, more):
        self._write(self.lines + more)

    @rule(data=st.data(), new=lines)
    def a_line_is_edited(self, data, new):
        at = data.draw(st.integers(0, len(self.lines) - 1))
        self._write([*self.lines[:at], new, *self.lines[at + 1 :]])

    @rule(data=st.data(), spelling=numbers)
    def lines_are_moved_doubled_taken_out_and_spelled_otherwise(self, data, spelling):
        picks = st.lists(st.sampled_from(range(len(self.lines))), min_size=1, max_size=12)
        picked = [self.lines[at] for at in data.draw(picks)]
        self._write([line._replace(spelling=line.spelling ^ spelling) for line in picked])

    @rule(chosen=commands)
    def other_settings_are_chosen(self, chosen):
        self.settings = chosen

    @rule(text=st.sampled_from(TEXTS), mood=st.sampled_from(MOODS))
    def the_service_changes_its_mind(self, text, mood):
        self.moods[text] = mood

    @rule(name=st.sampled_from([RESULTS, RESULTS, ERRORS]), lost=st.integers(1, 400))
    def the_results_are_cut_off(self, name, lost):
        if (self.folder / name).exists():
            size = (self.folder / name).stat().st_size
            os.truncate(self.folder / name, max(0, size - lost))

    @rule(
        name=st.sampled_from([RESULTS, RESULTS, ERRORS]),
        rubbish=st.sampled_from([bytes(50), b"[\xff\xfe", b"x", b"\0[{\n", b'[{"model', b"\n\n"]),
    )
    def rubbish_gets_to_their_end(self, name, rubbish):
        if (self.folder / name).exists():
            with open(self.folder / name, "ab") as file:
                file.write(rubbish)

    @rule(after=st.integers(1, 6), afresh=st.sampled_from([False, False, False, True]))
    def a_run_ends(self, after, afresh):
        """While it lasts, a second one is refused."""
        before = self._contents()
        self._run(after, lambda *_: self._a_rival_is_refused(), whole=True, overwrite=afresh)
        for name in before.keys() & set(self._names() if afresh else []):
            aside = [data for path, data in self._contents().items() if path.startswith(f"{name}.")]
            assert before[name] in aside, "P1: old results are gone"

    @rule(after=st.integers(1, 8))
    def a_run_is_killed(self, after):
        self._run(after, lambda task, command: task.cancel())

    @rule(after=st.integers(1, 8))
    def a_run_is_stopped(self, after):
        self._run(after, lambda task, command: command.service.stopping.stop("enough"))

    def _write(self, lines):
        self.lines = lines
        self.ids |= {batch_id(line): line[:2] for line in lines}
        text = "".join(spelled(line) + "\n" for line in lines)
        (self.folder / "in.jsonl").write_text(text, encoding="utf-8")

    def _names(self):
        return [RESULTS, ERRORS] if self.settings["errors_apart"] else [RESULTS]

    def _contents(self):
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}

    def _model(self, *, keep_failures, contents):
        readings = {name: Reading(contents.get(name, b"")) for name in self._names()}
        return Model(readings, self.lines, self.ids, keep_failures=keep_failures)

    def _command(self, overwrite):
        others = dict(self.settings)
        errors = self.folder / ERRORS if others.pop("errors_apart") else None
        attempts = others.pop("max_attempts")
        service = Service(self._replies(), latency=0.1, max_attempts=attempts, max_concurrent=2)
        files = self.folder / "in.jsonl", self.folder / RESULTS
        return Command(*files, service, errors_filepath=errors, overwrite=overwrite, **others)

    def _replies(self):
        refused = set()

        def reply(body):
            text = text_of(json.loads(body))
            mood = self.moods.get(text)
            if mood == "busy" and text not in refused:
                refused.add(text)
                return error(429, "too fast", retry_after="1")
            if mood in ("refusing", "broken"):
                return error(400 if mood == "refusing" else 500, f"no: {text}")
            return answer(f"yes: {text}")

        return reply

    def _run(self, after, act, *, whole=False, overwrite=False):
        """Run the command; *act* when the service has replied so often. Then look at everything."""
        contents = {} if overwrite else self._contents()
        before = self._model(keep_failures=self.settings["keep_failures"], contents=contents)
        command = self._command(overwrite)
        with SystemCalls(self.folder) as calls:
            try:
                run(_acting(command, after, act))
            except BadInput:
                self._check_refusal(before.foreign, contents)
                return
            finally:
                calls.abandon()
        assert not before.foreign, "strange files were taken"
        check_told(command, before)
        self._check_sent(command, before, whole=whole)
        self._check_rows(command, before, whole=whole)

    def _a_rival_is_refused(self):
        with pytest.raises(BadInput, match=f"is being written by process {os.getpid()} "):
            Journal(str(self.folder / RESULTS), None, array_row)

    def _check_refusal(self, foreign, contents):
        """Only strange files are a reason; they are left as they are, and here moved away."""
        assert foreign, "refused without need"
        for name in foreign:
            assert (self.folder / name).read_bytes() == contents[name]
            (self.folder / name).unlink()

    def _check_sent(self, command, before, *, whole):
        """P3: what has no row, as often as its answer takes, and nothing else."""
        expected = Counter()
        for (text, other), count in before.to_do().items():
            if other != NO_REQUEST:
                broken = self.moods.get(text) == "broken"
                expected[text] += count * self.settings["max_attempts"] if broken else count
        for text in expected:
            expected[text] += self.moods.get(text) == "busy"
        sent = Counter(text_of(json.loads(body)) for body in command.service.sent)
        assert sent == expected if whole else sent <= expected

    def _check_rows(self, command, before, *, whole):
        """P1, P2: what was there stays, and each line without a row has got one."""
        contents = self._contents()
        after = self._model(keep_failures=True, contents=contents)
        tally = command.service.tally
        expected = Counter((key, self._place(key)) for key in before.to_do().elements())
        new = after.rows - before.staying
        assert before.staying <= after.rows
        assert new == expected if whole else new <= expected
        assert new.total() == tally.succeeded + tally.failed
        assert after.told("unreadable") == before.told("unreadable")
        assert not after.told("torn")
        assert not after.told("zeros")
        for reading in after.readings.values():
            for row in reading.rows:
                text, other = after.key_of(row)
                assert other == NO_REQUEST or said_in(row).endswith(f": {text}"), "of another line"
        if whole:
            assert not after.to_do()
            assert after.unclaimed == before.unclaimed
            assert not {f"{name}.lock" for name in self._names()} & contents.keys()
            self._check_order(before, after)

    def _check_order(self, before, after):
        if not self.settings["ordered"]:
            return
        for name in self._names():
            placed = [(key, place or self._place(key)) for key, place in before.places]
            following = iter(after.keys_in(name))
            assert all(key in following for key, place in placed if place.file == name)

    def _place(self, key):
        """Where the new row of a line goes."""
        text, other = key
        answered = other != NO_REQUEST and self.moods.get(text) not in ("refusing", "broken")
        apart = self.settings["errors_apart"] and not answered
        return Place(ERRORS if apart else RESULTS, answered)


async def _acting(command, after, act):
    """Run *command*, and act at the reply of number *after*."""
    task = asyncio.create_task(command.run())
    replies = command.service._replies
    count = 0

    def acting(body):
        nonlocal count
        count += 1
        if count == after:
            act(task, command)
        return replies(body)

    command.service._replies = acting
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


def check_told(command, before):
    """P11: what is said at the beginning is what was there."""
    journal, tally, said = command.journal, command.service.tally, "\n".join(command.said)
    claimed = [before.claimed(answered=True), before.claimed(answered=False)]
    assert [journal.answered_before, journal.failed_before] == [before.answered, before.failed]
    assert [tally.answered_before, tally.failures_kept] == claimed
    assert [journal.unreadable, journal.zeros] == [before.told("unreadable"), before.told("zeros")]
    assert journal.torn == bool(before.told("torn"))
    if before.staying:
        done, in_all = sum(claimed), len(before.places)
        assert command.to_do == in_all - done
        assert f"going on: {done} of {in_all} are done, {in_all - done} to do; " in said
        assert f"; {before.failed} failed before and are " in said
    unmatched = f"{before.unclaimed} of {before.staying.total()} earlier rows match no line"
    assert (unmatched in said) == bool(before.unclaimed)


def test_P1_P2_P3_P11_whatever_happens_every_line_has_one_row_and_nothing_is_bought_twice():
    """Sixty jobs of up to twenty steps."""
    chosen = settings(
        max_examples=int(os.environ.get("STATE_MACHINE_EXAMPLES", "60")),
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(Jobs, settings=chosen)
