"""A key that is planted in every test, and the places where it must not turn up.

Looked through: what a test and the commands it waits for say, what it logs, the files in its
tmp_path (compressed ones aside), and the command lines of all processes meanwhile.
"""

import mmap
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

KEY = f"sk-canary-{secrets.token_hex(16)}"
"""Another one in every session."""
_TRACE = 18
"""Characters by which it is known, since a message may be cut off within it."""
_COMMAND_LINES = Path(__file__).with_name("command_lines.py")


class Watch:
    """Where the key was seen since the last test."""

    def __init__(self, key: str) -> None:
        self._trace = key[:_TRACE].encode()
        self._heard: list[str] = []
        self._command_lines: subprocess.Popen[bytes] | None = None

    def listen(self, place: str, told: object) -> None:
        """Look through what was said at *place*."""
        data = told.encode(errors="replace") if isinstance(told, str) else told
        if isinstance(data, bytes) and self._trace in data:
            self._heard.append(place)

    def places(self, sections: list[tuple[str, str]], folder: Path | None) -> list[str]:
        """Where it was seen since the last call: in *sections* of output, or below *folder*."""
        for name, text in sections:
            self.listen(name, text)
        if folder is not None:
            self._heard += [f"the file {path}" for path in _files_with(self._trace, folder)]
        self._heard += self._exposed()
        heard, self._heard = self._heard, []
        return heard

    def begin(self) -> None:
        """Look at the command lines from now on, where the system shows them.

        In a process of its own: a thread would take time from the tests, and is warned about when
        they fork.
        """
        if sys.platform == "linux":
            command = [sys.executable, "-S", str(_COMMAND_LINES)]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            self._command_lines = subprocess.Popen(command, **pipes)
            self._command_lines.stdin.write(self._trace + b"\n")
            self._command_lines.stdin.flush()
            os.set_blocking(self._command_lines.stdout.fileno(), False)

    def end(self) -> list[str]:
        """Stop looking; the last that was seen."""
        if self._command_lines is None:
            return []
        self._command_lines.stdin.close()
        assert self._command_lines.wait() == 0
        seen = self._exposed()
        self._command_lines.stdout.close()
        return seen

    def _exposed(self) -> list[str]:
        told = self._command_lines and self._command_lines.stdout.read()
        return [f"the command line of {name}" for name in (told or b"").decode().splitlines()]


watch = Watch(KEY)


def listen_to_commands(patch: pytest.MonkeyPatch) -> None:
    """Hear what tests are told by commands, and what they take out of pytest's own capture."""
    communicate, readouterr = subprocess.Popen.communicate, pytest.CaptureFixture.readouterr

    def heard_communicate(self, *arguments, **named):
        both = communicate(self, *arguments, **named)
        for stream, told in zip(("stdout", "stderr"), both, strict=True):
            watch.listen(f"the {stream} of a command", told)
        return both

    def heard_readouterr(self):
        both = readouterr(self)
        for stream, told in zip(("stdout", "stderr"), both, strict=True):
            watch.listen(f"captured {stream}", told)
        return both

    patch.setattr(subprocess.Popen, "communicate", heard_communicate)
    patch.setattr(pytest.CaptureFixture, "readouterr", heard_readouterr)


def _files_with(trace: bytes, folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        with suppress(OSError):  # gone meanwhile, or not to be read
            if path.is_file() and not path.is_symlink() and _holds(path, trace):
                yield path


def _holds(path: Path, trace: bytes) -> bool:
    if not path.stat().st_size:
        return False
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(trace) >= 0
