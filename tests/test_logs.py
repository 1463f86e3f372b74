"""P9: no log line, warning or traceback tells a key; and one that nobody reads ends nothing."""

import asyncio
import gc
import io
import logging
import os
import sys
import warnings
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from request_engine import logs
from request_engine.command_line import complain, complain_fault, undisturbed
from request_engine.redaction import Redaction

CORE = "Q7vXcanary0123456789"
KEY = f"sk/{CORE}+end=="


@pytest.fixture
def shown(monkeypatch, capsys):
    """Log lines as the command shows them: standard error has the only handler."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    logs.show("INFO")
    logs.hide(Redaction(KEY))
    return lambda: capsys.readouterr().err


def test_P9_a_log_line_has_no_key_in_its_words_arguments_traceback_or_stack(shown):
    log = logging.getLogger("request_engine.job")
    log.warning("the key %s of %s", KEY, {"key": KEY})
    log.warning(f"no arguments: {KEY}")
    log.warning("where", stack_info=True, extra={"key": "sk/Q7vXcanary0123456789+end=="})
    try:
        raise ValueError(f"Invalid header value: 'Bearer {KEY}'")
    except ValueError:
        log.exception("it went wrong")
    told = shown()

    assert CORE not in told
    assert "the key [key] of {'key': '[key]'}" in told
    assert "ValueError: Invalid header value: 'Bearer [key]'" in told
    assert 'extra={"key": "[key]"}' in told


@pytest.mark.parametrize("name", ["asyncio", "aiohttp.client", "somebody.else"])
def test_P9_nor_has_what_others_say_in_our_log(shown, name):
    logging.getLogger(name).warning("Executing <Task %s> took 1 s", KEY)
    assert "Executing <Task [key]> took 1 s" in shown()


def test_P9_a_second_run_hides_its_own_key_and_the_first_one_s(shown):
    """Each process has one log, in which a late word of an earlier run may come."""
    logs.hide(Redaction("another-key-0123456789"))
    logs.hide(Redaction("another-key-0123456789"))
    logging.getLogger("request_engine").info("%s another-key-0123456789", KEY)
    assert "[key] [key]" in shown()


@pytest.mark.parametrize("place", [None, "request_engine"])
def test_P9_the_log_of_the_program_we_run_in_has_no_key_either(monkeypatch, place):
    """Its handlers stand where they stood; what has no key in it reaches them as it was."""
    told: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = told.append
    for name in (None, "request_engine"):
        there = [handler] if name == place else []
        monkeypatch.setattr(logging.getLogger(name), "handlers", there)
    logs.show("INFO")
    logs.hide(Redaction(KEY))
    log = logging.getLogger("request_engine.job")
    log.warning("%s and %d", KEY, 7)
    log.warning("%s and %d", "nothing", 7)
    try:
        raise ValueError(KEY)
    except ValueError as error:
        log.error("it went wrong", exc_info=error)

    assert [one.getMessage() for one in told[:2]] == ["[key] and 7", "nothing and 7"]
    assert told[1].args == ("nothing", 7)
    assert "ValueError: [key]" in logging.Formatter().format(told[2])


def test_P9_nor_has_what_asyncio_says_of_our_tasks_there(caplog):
    logs.hide(Redaction(KEY))
    try:
        raise ValueError(KEY)
    except ValueError as error:
        logging.getLogger("asyncio").error("Task exception was never retrieved", exc_info=error)
    assert "ValueError: [key]" in caplog.text
    assert CORE not in caplog.text


def test_P9_a_task_nobody_asked_how_it_ended_tells_no_key(shown):
    """asyncio says it when the task is forgotten, with the whole traceback."""

    async def forget():
        async def fail():
            raise RuntimeError(f"cannot use {KEY}")

        task = asyncio.create_task(fail())
        await asyncio.sleep(0)
        del task
        gc.collect()

    asyncio.run(forget())
    told = shown()
    assert "Task exception was never retrieved" in told
    assert "RuntimeError: cannot use [key]" in told


def test_P9_warnings_of_the_command_are_log_lines(shown):
    with undisturbed(), warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"unclosed <Session {KEY}>", ResourceWarning, stacklevel=1)
    assert "unclosed <Session [key]>" in shown()


def test_a_log_line_that_cannot_be_formatted_ends_nothing_and_tells_no_key(shown):
    logging.getLogger("request_engine.job").info("%d of them", KEY)
    told = shown()
    assert told.endswith("%d of them (TypeError in its arguments)\n")
    assert told.count("\n") == 1


def test_a_log_line_that_cannot_be_shown_ends_nothing(shown, monkeypatch):
    """A notebook may close standard error, and a terminal may be full for a moment."""
    log, whole, said = logging.getLogger("request_engine.job"), sys.stderr, []
    closed = io.StringIO()
    closed.close()
    full = SimpleNamespace(write=lambda text: said.append(text) or os.write(-1, b""))
    for stream in (closed, full, None):
        monkeypatch.setattr(sys, "stderr", stream)
        log.warning("nobody reads this")
    monkeypatch.setattr(sys, "stderr", whole)

    assert len(said) == 1
    assert shown() == ""


def test_P9_a_traceback_that_ends_the_command_tells_no_key(capsys):
    logs.hide(Redaction(KEY))
    try:
        try:
            raise ValueError(f"Invalid header value: 'Bearer {KEY}'")
        except ValueError as error:
            error.add_note(quote(KEY, safe=""))
            raise RuntimeError("no session") from error
    except RuntimeError as error:
        complain_fault("program", error)
    complain("program", f"stopped: {KEY}")
    told = capsys.readouterr().err

    assert CORE not in told
    assert told.startswith("program: this is a fault of the program; run it again to go on\n")
    assert "ValueError: Invalid header value: 'Bearer [key]'\n[key]\n" in told
    assert "RuntimeError: no session" in told
    assert told.endswith("program: stopped: [key]\n")
