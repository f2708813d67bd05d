"""A store that cannot be read or changed says so in a sentence, and shows nothing of what it holds."""

from __future__ import annotations

from pathlib import Path

import pytest

import outlast as ol
from outlast.errors import DataError
from outlast.tracing.record import TraceRecord
from outlast.tracing.saving import WholeTrace


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A store of which the second half is noise."""
    path = tmp_path / "traces.db"
    with ol.open_store(path, create=True) as store:
        records = [TraceRecord(f"{at:032x}", started=at + 1.0, input="secret words", status="ok") for at in range(3000)]
        store.save_records([], map(WholeTrace, records))
        with store.reading() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = bytearray(path.read_bytes())
    half = len(whole) // 8192 * 4096
    whole[half:] = b"\x5a" * (len(whole) - half)
    path.write_bytes(whole)
    return path


def test_what_cannot_be_read_is_an_error_of_data_in_a_sentence(broken: Path) -> None:
    with ol.open_store(broken, read_only=True) as store, pytest.raises(DataError) as caught:
        list(store.all_traces())
    said = str(caught.value)
    assert said.startswith(f"the store of traces {str(broken)!r} cannot be read: ")
    assert "secret" not in said
    assert "SELECT" not in said


def test_a_copy_that_cannot_be_made_leaves_nothing(broken: Path, tmp_path: Path) -> None:
    with ol.open_store(broken, read_only=True) as store, pytest.raises(DataError, match="the copy .* cannot be made"):
        store.backup(tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def test_a_store_that_was_opened_to_be_read_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    with ol.open_store(path, create=True) as store:
        store.save_records([], [WholeTrace(TraceRecord("1" * 32, started=1.0))])
    with ol.open_store(path, read_only=True) as store:
        with pytest.raises(DataError, match="cannot be changed: it was opened to be read only"):
            store.add_label("1" * 32, "pass")
        with pytest.raises(DataError, match="cannot be changed: it was opened to be read only"):
            store.gc(0)
    assert ol.open_store(path).labels() == []
