"""An SQLite file with a table of keys and answers. Everything here is done in one thread."""

import sqlite3
from collections.abc import Mapping, Sequence

from request_engine.errors import BadInput

VERSION = 1
"""Of the table, and of what its keys are made of."""
_OURS = 0x41505243
"""The `application_id` of our files."""
_TABLE = "CREATE TABLE answers (key BLOB PRIMARY KEY, answer BLOB NOT NULL)"
_PATIENCE = 5_000
"""Milliseconds that another process may keep us waiting when the file is opened or closed."""
_BRIEFLY = 250
"""The same in between, where readers wait: what cannot be written then is written later."""


class Busy(Exception):
    """Another process keeps the file for too long; later it will do."""


class Refused(Exception):
    """It can be used no longer: the disk is full or broken, or the file is damaged."""


class AnswersFile:
    """Ours, and as many other processes'."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._database: sqlite3.Connection

    def open(self) -> None:
        """BadInput where it cannot be used; then it is as it was."""
        try:
            # With no isolation level transactions begin where it is said.
            self._database = sqlite3.connect(self._path, isolation_level=None)
        except sqlite3.Error as error:
            raise BadInput(f"the cache {self._path} cannot be opened: {error}") from None
        try:
            self._prepare()
        except BadInput:
            self._database.close()
            raise
        except sqlite3.Error as error:
            self._database.close()
            raise BadInput(_complaint(self._path, error)) from None

    def be_patient(self) -> None:
        """From now on nobody waits for us."""
        self._database.execute(f"PRAGMA busy_timeout = {_PATIENCE}")

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The answer to each of *keys*, None where there is none."""
        query = "SELECT answer FROM answers WHERE key = ?"
        try:
            rows = [self._database.execute(query, (key,)).fetchone() for key in keys]
        except sqlite3.Error as error:
            raise _meaning(error) from None
        return [None if row is None else bytes(row[0]) for row in rows]

    def write(self, answers: Mapping[bytes, bytes]) -> None:
        """All of them or none."""
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                insert = "INSERT OR IGNORE INTO answers VALUES (?, ?)"
                self._database.executemany(insert, answers.items())
                self._database.execute("COMMIT")
            finally:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise _meaning(error) from None

    def close(self) -> None:
        self._database.close()

    def _prepare(self) -> None:
        database = self._database
        database.execute(f"PRAGMA busy_timeout = {_PATIENCE}")
        database.execute("BEGIN IMMEDIATE")
        try:
            if self._is_new():
                database.execute(_TABLE)
                database.execute(f"PRAGMA application_id = {_OURS}")
                database.execute(f"PRAGMA user_version = {VERSION}")
            database.execute("COMMIT")
        finally:
            if database.in_transaction:
                database.execute("ROLLBACK")
        # Readers and a writer then go on side by side. Some network drives have no such log.
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(f"PRAGMA busy_timeout = {_BRIEFLY}")

    def _is_new(self) -> bool:
        """BadInput where it is another's."""
        if not self._number("SELECT count(*) FROM sqlite_master"):
            return True
        version = self._number("PRAGMA user_version")
        if self._number("PRAGMA application_id") != _OURS:
            raise BadInput(
                f"the cache {self._path} is an SQLite file of another kind: give another path"
            )
        if version != VERSION:
            raise BadInput(
                f"the cache {self._path} is of version {version}, and here it is {VERSION}: give "
                "another path"
            )
        return False

    def _number(self, query: str) -> int:
        return int(self._database.execute(query).fetchone()[0])


def _complaint(path: str, error: sqlite3.Error) -> str:
    if isinstance(error, sqlite3.OperationalError):
        return f"the cache {path} cannot be used: {error}"
    return f"the cache {path} is damaged, or is none ({error}): move it away, or give another path"


def _meaning(error: sqlite3.Error) -> Busy | Refused:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    busy = code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return Busy(str(error)) if busy else Refused(str(error))
