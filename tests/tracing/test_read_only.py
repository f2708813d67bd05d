"""Stores that others keep where one may only read: a mounted folder, a colleague's, an artefact of CI."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import outlast as ol
from outlast.testing import ScriptedLM
from outlast.tracing.switch import flush

NOBODY = 65_534

pytestmark = pytest.mark.skipif(os.name != "posix", reason="users and forks of POSIX")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that everybody may look into, with a store in it."""
    path = Path(tempfile.mkdtemp())
    program = ol.Predict("message -> team", lm=ScriptedLM(lambda messages: {"team": "cards"}))
    with ol.trace(store=tmp_path / "t.db"):
        program(message="a card")
    assert flush()
    with ol.open_store(tmp_path / "t.db") as store:
        assert store.search("card")  # all that it needs is loaded
    with contextlib.closing(sqlite3.connect(tmp_path / "t.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(tmp_path / "t.db", path / "t.db")
    (path / "t.db").chmod(0o644)
    path.chmod(0o555)
    yield path
    path.chmod(0o755)
    shutil.rmtree(path)


def as_somebody_else(do: Callable[[], bool]) -> bool:
    """What a user who owns nothing gets, in a process of its own."""
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            done = do()
        except BaseException:
            done = False
        os._exit(0 if done else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_store_in_a_folder_that_cannot_be_written_is_read(folder: Path) -> None:
    def read() -> bool:
        with ol.open_store(folder / "t.db", read_only=True) as store:
            return store.count() == 1 and len(store.search("card")) == 1

    assert as_somebody_else(read)
    assert [one.name for one in folder.iterdir()] == ["t.db"]


def test_one_that_is_written_just_now_is_not_read_without_its_log(folder: Path) -> None:
    """What is in the log is part of the store: without it something else would be shown."""

    def read() -> bool:
        with ol.open_store(folder / "t.db", read_only=True) as store:
            return store.count() >= 0

    folder.chmod(0o755)
    (folder / "t.db-wal").write_bytes(b"x" * 40)
    (folder / "t.db-wal").chmod(0o000)
    folder.chmod(0o555)
    assert not as_somebody_else(read)
