"""The file that processes share: exclusive, private, robust against whoever is killed and against other files."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time

import pytest

from outlast.errors import ConfigError
from outlast.lms.layers.pace import Account, Limits
from outlast.lms.layers.rate_store import InFile, InProcess

LIMITS = Limits(1000, None)


def reserve(store, times: int = 1, now: float = 100.0) -> None:
    for _ in range(times):
        with store.account() as account:
            account.reserve(LIMITS, 3.0, now)


def used(store) -> tuple[float, float]:
    with store.account() as account:
        return account.used(0), account.used(1)


def test_what_one_writes_another_reads(tmp_path):
    path = tmp_path / "deep" / "rates.db"
    one, two, other = InFile(path, "a"), InFile(path, "a"), InFile(path, "b")
    reserve(one, 2)
    reserve(two)
    assert used(one) == used(two) == (3.0, 9.0)
    assert used(other) == (0.0, 0.0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_threads_take_turns(tmp_path):
    for store in (InProcess(), InFile(tmp_path / "rates.db", "a")):
        threads = [threading.Thread(target=reserve, args=(store, 25)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert used(store)[0] == 150


def test_an_error_inside_keeps_the_file_as_it_was(tmp_path):
    store = InFile(tmp_path / "rates.db", "a")
    reserve(store)

    def failing() -> None:
        with store.account() as account:
            account.reserve(LIMITS, 3.0, 100.0)
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert used(store)[0] == 1


CRASHING = """
import sys, time
from pathlib import Path
from outlast.lms.layers.pace import Limits
from outlast.lms.layers.rate_store import InFile
store = InFile(Path(sys.argv[1]), "a")
for number in range(100000):
    with store.account() as account:
        account.reserve(Limits(1e9, None), 1.0, 100.0)
        if number == 50:
            print("ready", flush=True)
"""


def test_a_process_that_is_killed_while_it_writes_blocks_nobody_and_breaks_nothing(tmp_path):
    path = tmp_path / "rates.db"
    store = InFile(path, "a")
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", CRASHING, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        started = time.monotonic()
        before = used(store)[0]
        reserve(store)
        assert time.monotonic() - started < 12
        assert used(store)[0] == before + 1
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_opens_its_own_connection(tmp_path):
    store = InFile(tmp_path / "rates.db", "a")
    reserve(store)
    child = os.fork()
    if child == 0:
        reserve(store, 5)
        os._exit(0 if used(store)[0] == 6 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    reserve(store)
    assert used(store)[0] == 7


def test_a_value_that_is_damaged_counts_as_none(tmp_path):
    store = InFile(tmp_path / "rates.db", "a")
    reserve(store)
    with sqlite3.connect(tmp_path / "rates.db") as connection:
        damages = [
            "",
            "{",
            "[]",
            "[[[1]],[0,0],0]",
            '[[],["x",0],0]',
            "[1,2,3]",
            "[" * 9999,
            "null",
            "[[],[0,0,0,0],0]",
        ]
        for damaged in [*damages, "[[],[NaN,0,0],0]", "[[[1,Infinity,0]],[0,0,0],0]", "[[],[0,-1,0],0]"]:
            connection.execute("UPDATE accounts SET value = ?", (damaged,))
            connection.commit()
            with store.account() as account:
                assert account == Account()


def test_an_account_from_another_time_holds_nobody_up(tmp_path):
    store = InFile(tmp_path / "rates.db", "a")
    reserve(store)
    with sqlite3.connect(tmp_path / "rates.db") as connection:
        for strange in ("[[],[0,0,0],1e300]", "[[[99999999,5,5]],[9e9,9e9,9e9],0]", "[[],[9e9,0,9e9],0]"):
            connection.execute("UPDATE accounts SET value = ?", (strange,))
            connection.commit()
            with store.account() as account:
                assert account.reserve(LIMITS, 1.0, 500.0).at == 500.0


def test_files_of_something_else_are_refused_and_left_alone(tmp_path):
    text, base, folder = tmp_path / "notes.txt", tmp_path / "other.db", tmp_path / "folder"
    text.write_text("my notes " * 400)
    folder.mkdir()
    with sqlite3.connect(base) as connection:
        connection.execute("CREATE TABLE mine (x)")
    before = base.read_bytes()
    for path in (text, base, folder):
        with pytest.raises(ConfigError, match="cannot be"):
            reserve(InFile(path, "a"))
    assert text.read_text().startswith("my notes")
    assert base.read_bytes() == before


def test_a_file_that_is_deleted_is_made_anew_for_all(tmp_path):
    path = tmp_path / "rates.db"
    one, two = InFile(path, "a"), InFile(path, "a")
    reserve(one, 3)
    reserve(two)
    for end in ("", "-wal", "-shm"):
        (tmp_path / f"rates.db{end}").unlink(missing_ok=True)
    reserve(one)
    reserve(two)
    assert used(one)[0] == used(two)[0] == 2


def test_accounts_that_nobody_uses_are_forgotten(tmp_path):
    path = tmp_path / "rates.db"
    for number in range(1010):
        if number == 0:
            store = InFile(path, "0")
        store.key = str(number)
        reserve(store)
    reserve(InFile(path, "last"))
    with sqlite3.connect(path) as connection:
        kept = connection.execute("SELECT count(*) FROM accounts").fetchone()[0]
    assert kept == 1001
