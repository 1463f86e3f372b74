"""One process writes a file at a time: a lock beside it, which dies with its holder."""

import errno
import os
import socket
import sys
import time
from contextlib import suppress

from request_engine.errors import BadInput

_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}
"""What file systems without locks answer: Lustre, some mounts of NFS and FUSE."""


class Lock:
    """Held from construction to `release`.

    The system's own lock where there is one: it cannot outlive its process. Elsewhere the mere
    existence of the file is the lock, and it names its holder, so that one left behind by a process
    of this machine that is gone can be told.
    """

    def __init__(self, path: str) -> None:
        """Lock the file at *path*. BadInput names who holds it, or says why it cannot be locked."""
        self._locked = path
        self.path = os.path.realpath(path) + ".lock"
        try:
            self._descriptor = self._by_system()
        except OSError as error:
            why = f"no lock can be made beside it ({error.strerror})"
            raise BadInput(f"{path} cannot be written: {why}") from None

    def release(self) -> None:
        """Let others write; the file goes too."""
        if sys.platform == "win32":  # where an open file cannot be removed
            os.close(self._descriptor)
        with suppress(OSError):
            os.unlink(self.path)
        if sys.platform != "win32":
            os.close(self._descriptor)

    def _by_system(self) -> int:
        while True:
            descriptor, made = self._opened()
            try:
                _lock(descriptor)
                if is_still(descriptor, self.path):
                    return self._signed(descriptor)
            except BlockingIOError:
                holder = os.pread(descriptor, 200, 0) if hasattr(os, "pread") else b""
                os.close(descriptor)
                raise self._held_by(holder) from None
            except OSError as error:
                os.close(descriptor)
                if error.errno not in _NO_LOCKS:
                    raise
                if made:
                    os.unlink(self.path)
                return self._by_existence()
            os.close(descriptor)  # its last holder removed it just before we locked it

    def _opened(self) -> tuple[int, bool]:
        """The lock file, and whether it was not there before."""
        with suppress(FileExistsError):
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644), True
        return os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644), False

    def _by_existence(self) -> int:
        while True:
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
                descriptor = os.open(self.path, flags, 0o644)
            except FileExistsError:
                with open(self.path, "rb") as file:
                    holder = file.read(200)
                if not _is_gone(holder):
                    then = f"; if that is over, remove {self.path}"
                    raise self._held_by(holder, then) from None
                os.unlink(self.path)
                continue
            try:
                return self._signed(descriptor)
            except OSError:  # without a name it would hold everybody off for ever
                os.close(descriptor)
                os.unlink(self.path)
                raise

    def _signed(self, descriptor: int) -> int:
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        os.ftruncate(descriptor, 0)
        os.write(
            descriptor, f"process {os.getpid()} on {socket.gethostname()} since {since}\n".encode()
        )
        return descriptor

    def _held_by(self, holder: bytes, then: str = "") -> BadInput:
        who = holder.decode(errors="replace").strip() or "another process"
        return BadInput(
            f"{self._locked} is being written by {who}: wait for it, or name another file{then}"
        )


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # past the text, which others may read
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(error.errno, error.strerror) from None
        os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_still(descriptor: int, path: str) -> bool:
    """Whether *path* is the file that *descriptor* has open. OSError if that cannot be told."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _is_gone(holder: bytes) -> bool:
    """Whether *holder* is a process of this machine that has ended."""
    words = holder.decode(errors="replace").split()
    if len(words) < 4 or words[3] != socket.gethostname() or not words[1].isdecimal():
        return False
    try:
        os.kill(int(words[1]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
