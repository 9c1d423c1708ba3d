"""The queue: what is to be answered and when, in SQLite, so that no restart loses a message."""

from __future__ import annotations

import pathlib
import sqlite3
import time
from typing import NamedTuple

SCHEMA = """
CREATE TABLE IF NOT EXISTS job (
    id       INTEGER PRIMARY KEY,
    due      REAL NOT NULL,
    user     TEXT NOT NULL,
    text     TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    state    TEXT NOT NULL DEFAULT 'waiting'
);
CREATE INDEX IF NOT EXISTS job_due ON job (state, due);
CREATE TABLE IF NOT EXISTS profile (user TEXT PRIMARY KEY, language TEXT NOT NULL);
"""
MAX_ATTEMPTS = 8
KEEP_DONE = 1000


class Job(NamedTuple):
    """One message to answer, or one reminder to send."""

    id: int
    due: float
    user: str
    text: str
    attempts: int


class Store:
    """The queue and the users' profiles in one file."""

    def __init__(self, path: pathlib.Path) -> None:
        self._db = sqlite3.connect(str(path), isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(SCHEMA)

    def add(self, user: str, text: str, delay: float = 0.0) -> int:
        """Queue ``text`` from ``user``, due in ``delay`` seconds; give the job's number."""
        row = (time.time() + delay, user, text)
        cursor = self._db.execute("INSERT INTO job (due, user, text) VALUES (?, ?, ?)", row)
        return int(cursor.lastrowid or 0)

    def next_due(self) -> Job | None:
        """The job that has waited longest, if one is due."""
        row = self._db.execute(
            "SELECT id, due, user, text, attempts FROM job"
            " WHERE state = 'waiting' AND due <= ? ORDER BY due LIMIT 1",
            (time.time(),),
        ).fetchone()
        return Job(*row) if row else None

    def done(self, job: Job) -> None:
        """Mark as answered, and forget what was answered long ago."""
        self._db.execute("UPDATE job SET state = 'done' WHERE id = ?", (job.id,))
        self._db.execute("DELETE FROM job WHERE state = 'done' AND id <= ?", (job.id - KEEP_DONE,))

    def failed(self, job: Job) -> bool:
        """Put back with a growing delay; true when it was tried too often and is given up."""
        attempts = job.attempts + 1
        state = "dead" if attempts >= MAX_ATTEMPTS else "waiting"
        self._db.execute(
            "UPDATE job SET state = ?, attempts = ?, due = ? WHERE id = ?",
            (state, attempts, time.time() + 2.0**attempts, job.id),
        )
        return state == "dead"

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        return dict(self._db.execute("SELECT state, count(*) FROM job GROUP BY state"))

    def language(self, user: str) -> str:
        """The user's language, ``en`` until told otherwise."""
        row = self._db.execute("SELECT language FROM profile WHERE user = ?", (user,)).fetchone()
        return str(row[0]) if row else "en"

    def set_language(self, user: str, language: str) -> None:
        """Remember the user's language."""
        self._db.execute(
            "INSERT INTO profile (user, language) VALUES (?, ?)"
            " ON CONFLICT (user) DO UPDATE SET language = excluded.language",
            (user, language),
        )

    def close(self) -> None:
        """Write everything to the one file and let go of it."""
        self._db.close()
