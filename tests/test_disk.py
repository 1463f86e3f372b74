"""Rows on their way to the disk: none is dropped, and nothing is sent that it could not take."""

import asyncio
import errno
import os
import shutil
from collections import namedtuple

import pytest
from scripted import Service, answer
from test_run import Work, many, rows, texts
from virtual_time import run

Usage = namedtuple("Usage", "total used free")


class Refusing:
    """`os.write` that fails for the file at *path*, from one call on for so many calls."""

    def __init__(self, path, first, count, number=errno.ENOSPC):
        self.calls = 0
        self._real = os.write
        self._path, self._first, self._last = str(path), first, first + count
        self._number = number

    def __call__(self, descriptor, data):
        if os.readlink(f"/proc/self/fd/{descriptor}") != self._path:
            return self._real(descriptor, data)
        self.calls += 1
        if self._first <= self.calls < self._last:
            self._real(descriptor, data[: len(data) // 2])
            raise OSError(self._number, os.strerror(self._number))
        return self._real(descriptor, data)


def job(path, count=100, **settings):
    """A run over *count* requests, 3 at a time and a second each; its service and work."""

    async def scenario():
        service = Service([answer()], max_concurrent=3, latency=1.0)
        work = Work(path, service, many(count), **settings)
        await work.done()
        return service, work

    return run(scenario())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG])
def test_P12_a_disk_that_takes_nothing_for_a_while_stops_admission_and_costs_nothing(
    tmp_path, monkeypatch, caplog, number
):
    """What is in flight comes home and is kept, and the run goes on by itself."""
    caplog.set_level("INFO", "request_engine")
    refusing = Refusing(tmp_path / "r.jsonl", 12, 5, number)
    monkeypatch.setattr(os, "write", refusing)
    service, work = job(tmp_path / "r.jsonl")

    assert service.stopping.reason is None
    assert work.trouble is None
    assert sorted(texts(tmp_path / "r.jsonl")) == sorted(f"text {n}" for n in range(1, 101))
    assert len(service.sent) == 100
    assert os.strerror(number) in caplog.text
    assert "the disk takes rows again" in caplog.text


def test_P12_a_disk_that_stays_full_stops_the_run_and_no_more_is_sent(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "write", Refusing(tmp_path / "r.jsonl", 12, 10**9))
    service, work = job(tmp_path / "r.jsonl")

    assert "No space left" in service.stopping.reason
    assert len(rows(tmp_path / "r.jsonl")) == 11
    assert work.journal.unwritten <= 3
    assert len(service.sent) == 11 + work.journal.unwritten
    assert service.tally.succeeded == 11


def test_what_a_stopped_run_could_not_write_is_written_at_the_end_if_there_is_room(
    tmp_path, monkeypatch
):
    refusing = Refusing(tmp_path / "r.jsonl", 12, 61)
    monkeypatch.setattr(os, "write", refusing)
    service, work = job(tmp_path / "r.jsonl")

    assert "No space left" in service.stopping.reason
    assert (work.journal.unwritten, work.trouble) == (0, None)
    assert len(rows(tmp_path / "r.jsonl")) == len(service.sent) == service.tally.succeeded


def test_P12_a_disk_that_is_nearly_full_stops_admission_before_it_is_full(
    tmp_path, monkeypatch, caplog
):
    left = [10**9] * 5 + [60_000] * 10 + [10**9] * 10**4
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, left.pop(0)))
    service, _ = job(tmp_path / "r.jsonl")

    assert service.stopping.reason is None
    assert len(rows(tmp_path / "r.jsonl")) == 100
    assert "the disk is nearly full: 59 KiB free" in caplog.text


def test_rows_are_flushed_every_second_and_not_for_every_row(tmp_path, monkeypatch):
    flushed = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda one: (flushed.append(one), real(one)))

    async def scenario(fsync):
        service = Service([answer()], max_concurrent=10, latency=0.1)
        work = Work(tmp_path / f"{fsync}.jsonl", service, many(1_000))
        work.disk._fsync = fsync
        flushed.clear()
        await work.done()
        return len(flushed)

    assert run(scenario(0)) >= 1_000
    assert 5 <= run(scenario(1.0)) <= 20
    assert run(scenario(None)) <= 3


@pytest.mark.parametrize("fsync", [0, 1.0])
def test_P1_a_flush_that_fails_ends_the_run_and_is_not_tried_again(tmp_path, monkeypatch, fsync):
    """After it nobody knows what is on the disk, and a second call would claim success."""
    path, calls = tmp_path / "r.jsonl", []
    real = os.fsync

    def failing(descriptor):
        if os.readlink(f"/proc/self/fd/{descriptor}") == str(path):
            calls.append(descriptor)
            if len(calls) == 2:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(descriptor)

    monkeypatch.setattr(os, "fsync", failing)

    async def scenario():
        service = Service([answer()], max_concurrent=3, latency=1.0)
        work = Work(path, service, many(10_000))
        work.disk._fsync = fsync
        await work.done()
        return service, work

    service, work = run(scenario())
    assert "cannot be brought to the disk (Input/output error)" in service.stopping.reason
    assert "cannot be brought to the disk" in work.trouble
    assert len(calls) == 2
    assert len(service.sent) < 10_000


def test_a_results_file_that_somebody_removes_stops_the_run(tmp_path):
    path = tmp_path / "r.jsonl"

    async def scenario():
        service = Service([answer()], max_concurrent=3, latency=1.0)
        work = Work(path, service, many(100))
        asyncio.get_running_loop().call_later(5, path.unlink)
        await work.done()
        return service

    service = run(scenario())
    assert service.stopping.reason == f"{path} was removed or replaced while it was written"
    assert len(service.sent) <= 21


def test_P12_a_disk_that_refuses_the_last_rows_is_waited_for(tmp_path, monkeypatch):
    """Nothing is left to be sent, and what has come home is written when there is room."""
    monkeypatch.setattr(os, "write", Refusing(tmp_path / "r.jsonl", 2, 3))
    service, work = job(tmp_path / "r.jsonl", count=3)

    assert (service.stopping.reason, work.trouble) == (None, None)
    assert len(rows(tmp_path / "r.jsonl")) == service.tally.succeeded == 3


def test_a_file_that_is_removed_just_before_the_end_is_missed(tmp_path):
    path = tmp_path / "r.jsonl"

    async def scenario():
        service = Service([answer()], max_concurrent=3, latency=0.1)
        work = Work(path, service, many(3))
        asyncio.get_running_loop().call_later(0.05, path.unlink)
        await work.done()
        return work

    assert run(scenario()).trouble == f"{path} was removed or replaced while it was written"


def test_the_disk_that_is_looked_at_is_the_one_that_a_link_leads_to(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "r.jsonl").symlink_to(tmp_path / "elsewhere" / "r.jsonl")
    looked = set()
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: (looked.add(str(path)), Usage(0, 0, 10**9))[1]
    )
    job(tmp_path / "r.jsonl", count=10)

    assert looked == {str(tmp_path / "elsewhere")}
    assert len(rows(tmp_path / "elsewhere" / "r.jsonl")) == 10
