"""Rows from lists, files and data frames, as examples, one at a time."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from outlast.data.example import Example
from outlast.data.files import opened
from outlast.errors import ConfigError, DataError, UsageError, brief, did_you_mean

if TYPE_CHECKING:
    from outlast.data.dataset import Dataset, Duplicates

Names = str | Iterable[str]
Source = str | Path | Traversable | IO[Any]
_OWN_KEYS = frozenset({"id", "inputs", "targets"})


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a row are inputs and which are targets.

    With only one kind named the rest is the other kind; with both named the rest is left out; with none a row
    must have the form that `Dataset.to_jsonl` writes.
    """

    inputs: tuple[str, ...] | None
    targets: tuple[str, ...] | None

    @classmethod
    def of(cls, inputs: Names | None, targets: Names | None) -> Columns:
        """Checked: raises `UsageError` when a column is named twice."""
        columns = cls(_names(inputs, "inputs"), _names(targets, "targets"))
        both = set(columns.inputs or ()) & set(columns.targets or ())
        if both:
            raise UsageError(f"a column is an input or a target, not both: {', '.join(sorted(both))}")
        return columns

    def example(self, row: Any, where: str) -> Example:
        """The example of one row; `where` begins every message."""
        if isinstance(row, Example):
            return row
        if not isinstance(row, Mapping):
            raise DataError(f"{where}: a row is an object with named columns; got {brief(row)}")
        row = cast("Mapping[str, Any]", row)
        try:
            return Example(*self._parts(row))
        except DataError as error:
            raise DataError(f"{where}: {error}") from error

    def _parts(self, row: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        if self.inputs is None and self.targets is None:
            return _own_parts(row)
        self._refuse_missing(row)
        inputs, targets = self.inputs, self.targets
        if inputs is None:
            inputs = [name for name in row if name not in (targets or ())]
        if targets is None:
            targets = [name for name in row if name not in inputs]
        return {name: row[name] for name in inputs}, {name: row[name] for name in targets}

    def _refuse_missing(self, row: Mapping[str, Any]) -> None:
        for name in itertools.chain(self.inputs or (), self.targets or ()):
            if name not in row:
                raise DataError(f"no column {name!r}.{did_you_mean(name, map(str, row))} Columns: {_listed(row)}.")


def _names(names: Names | None, kind: str) -> tuple[str, ...] | None:
    if names is None:
        return None
    listed = (names,) if isinstance(names, str) else tuple(names)
    for name in listed:
        if not isinstance(name, str):
            raise UsageError(f"{kind} are names of columns; got {brief(name)}")
    return listed


def _own_parts(row: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    inputs, targets = row.get("inputs"), row.get("targets", {})
    if set(row) <= _OWN_KEYS and isinstance(inputs, Mapping) and isinstance(targets, Mapping):
        return cast("Mapping[str, Any]", inputs), cast("Mapping[str, Any]", targets)
    raise DataError(
        f"which columns are inputs? Say inputs=[...], or targets=[...] for the columns that are not. "
        f"Columns: {_listed(row)}."
    )


def _listed(row: Mapping[str, Any]) -> str:
    return ", ".join(map(str, row)) or "none"


def read_rows(
    rows: Iterable[Any],
    *,
    inputs: Names | None = None,
    targets: Names | None = None,
    where: Callable[[int], str] = "row {}".format,
    subject: str = "the list",
) -> Iterator[Example]:
    """An example for each mapping. Raises `DataError` when there is none."""
    columns = Columns.of(inputs, targets)
    if isinstance(rows, str | bytes | Mapping):
        raise UsageError(f"rows are a list of mappings; got {brief(rows)}")
    index = -1
    for index, row in enumerate(rows):
        yield columns.example(row, where(index))
    if index < 0:
        raise DataError(f"{subject} holds no rows")


def read_jsonl(source: Source, *, inputs: Names | None = None, targets: Names | None = None) -> Iterator[Example]:
    """An example for each JSON line of a path, an open file or "-", read one at a time, so in constant
    memory. Raises `DataError` with file and line.
    """
    columns = Columns.of(inputs, targets)
    for where, row in json_objects(source):
        yield columns.example(row, where)


def json_objects(source: Source) -> Iterator[tuple[str, dict[str, Any]]]:
    """The object of each JSON line, with the file and the line to begin messages with, read one at a time.

    UTF-8, a byte order mark and blank lines are accepted. Raises `DataError` for other things, and when there is none.
    """
    empty = True
    with opened(source) as (file, name):
        for number, line in enumerate(file, 1):
            where = f"{name}, line {number}"
            text = _text(line, where).removeprefix("\ufeff") if number == 1 else _text(line, where)
            if not text.strip():
                continue
            empty = False
            yield where, _object(text, where)
        if empty:
            raise DataError(f"{name} holds no rows")


def _text(line: str | bytes, where: str) -> str:
    if isinstance(line, str):
        return line
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8 ({error.reason} at byte {error.start}); save the file as UTF-8") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs; which of two values of one key is meant cannot be known."""
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise DataError(f"the key {twice!r} stands twice in one object; keep one of them")
    return made


def _object(text: str, where: str) -> Any:
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({error}); the line is {brief(text.strip())}") from error
    if not isinstance(value, dict):
        hint = " A file that is one JSON array is read by load_examples('x.json')." if text[:1] == "[" else ""
        raise DataError(f"{where}: a line is a JSON object; got {brief(value)}.{hint}")
    return cast("dict[str, Any]", value)


def read_csv(
    source: Source,
    *,
    inputs: Names | None = None,
    targets: Names | None = None,
    types: Mapping[str, Callable[[str], Any]] | None = None,
    delimiter: str = ",",
) -> Iterator[Example]:
    """An example for each CSV record after the header. Raises `DataError` with file and line."""
    columns = Columns.of(inputs, targets)
    for where, row in csv_rows(source, types=types, delimiter=delimiter):
        yield columns.example(row, where)


def csv_rows(
    source: Source, *, types: Mapping[str, Callable[[str], Any]] | None = None, delimiter: str = ","
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The cells of each CSV record by column, with the file and the line to begin messages with."""
    with opened(source) as (file, name):
        binary = not isinstance(file, io.TextIOBase) and isinstance(file.read(0), bytes)
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="") if binary else file
        lines = csv.reader(text, delimiter=delimiter, strict=True)
        records = _records(lines, name)
        try:
            header = _header(next(records, None), name, types or {})
            empty = True
            for record in records:
                if record:
                    empty = False
                    where = f"{name}, line {lines.line_num}"
                    yield where, _cells(header, record, types or {}, where)
            if empty:
                raise DataError(f"{name} holds no rows after the header")
        finally:
            if binary:
                cast("io.TextIOWrapper", text).detach()  # the file is not ours to close


def _records(lines: Iterator[list[str]], name: str) -> Iterator[list[str]]:
    while True:
        try:
            yield next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            number = getattr(lines, "line_num", "?")
            raise DataError(
                f"{name}, line {number}: not CSV ({error}); csv.field_size_limit() sets the limit of a cell"
            ) from error
        except UnicodeDecodeError as error:
            raise DataError(f"{name}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error


def _header(record: list[str] | None, name: str, types: Mapping[str, Any]) -> list[str]:
    if not record:
        raise DataError(f"{name} is empty; the first line names the columns")
    header = [record[0].removeprefix("\ufeff"), *record[1:]]
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise DataError(f"{name}, line 1: two columns are called {twice[0]!r}")
    for column in types:
        if column not in header:
            raise DataError(f"{name}: types names no column {column!r}.{did_you_mean(column, header)}")
    return header


def _cells(
    header: Sequence[str], record: Sequence[str], types: Mapping[str, Callable[[str], Any]], where: str
) -> dict[str, Any]:
    if len(record) != len(header):
        raise DataError(f"{where}: {len(record)} cells for {len(header)} columns ({', '.join(header)})")
    row: dict[str, Any] = dict(zip(header, record, strict=True))
    for column, read in types.items():
        try:
            row[column] = read(row[column])
        except Exception as error:
            raise DataError(f"{where}, column {column!r}: cannot read {row[column]!r} ({error})") from error
    return row


def read_parquet(path: str | Path, *, inputs: Names | None = None, targets: Names | None = None) -> Iterator[Example]:
    """An example for each row of a Parquet file, read in batches. Needs pyarrow."""
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ConfigError("reading Parquet needs pyarrow: pip install 'outlast[parquet]'") from error
    try:
        file: Any = parquet.ParquetFile(path)
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise DataError(f"cannot read {str(path)!r} as Parquet: {error}") from error
    with file:
        rows = (row for batch in file.iter_batches(1024) for row in batch.to_pylist())
        yield from read_rows(rows, inputs=inputs, targets=targets, where=f"{path}, row {{}}".format, subject=str(path))


def read_dataframe(frame: Any, *, inputs: Names | None = None, targets: Names | None = None) -> Iterator[Example]:
    """An example for each row of a pandas or polars frame."""
    if hasattr(frame, "to_dicts"):
        rows: list[dict[str, Any]] = frame.to_dicts()
    elif hasattr(frame, "to_dict") and hasattr(frame, "columns"):
        rows = frame.to_dict(orient="records")
    else:
        raise UsageError(f"from_dataframe takes a pandas or polars frame; got {brief(frame)}")
    filled = ({name: _filled(value) for name, value in row.items()} for row in rows)
    return read_rows(filled, inputs=inputs, targets=targets, subject="the data frame")


def _filled(value: Any) -> Any:
    """None for the ways in which a frame says that a value is missing."""
    if isinstance(value, str | int | bool | list | dict) or value is None:
        return cast("Any", value)
    return (
        None
        if type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
        else value
    )


_SUFFIXES = ".jsonl, .ndjson, .json, .csv, .tsv, .parquet"


def load_examples(
    source: Source,
    *,
    inputs: Names | None = None,
    targets: Names | None = None,
    duplicates: Duplicates = "drop",
) -> Dataset:
    """A data set from a file, by its suffix: .jsonl, .ndjson, .json (an array), .csv, .tsv, .parquet.

    "-" and open files are read as JSON lines. Raises `DataError` for other suffixes; columns as in
    `Dataset.from_list`.
    """
    from outlast.data.dataset import Dataset

    named_file = source.name if isinstance(source, Traversable) else source
    suffix = Path(named_file).suffix.lower() if isinstance(named_file, str) and source != "-" else ".jsonl"
    named: dict[str, Any] = {"inputs": inputs, "targets": targets}
    if suffix in (".jsonl", ".ndjson"):
        examples = read_jsonl(source, **named)
    elif suffix in (".csv", ".tsv"):
        examples = read_csv(source, **named, delimiter="," if suffix == ".csv" else "\t")
    elif suffix == ".parquet":
        examples = read_parquet(cast("str | Path", source), **named)
    elif suffix == ".json":
        examples = _read_array(source, **named)
    else:
        raise DataError(f"cannot tell the format of {str(source)!r} by its suffix. Known: {_SUFFIXES}.")
    return Dataset(examples, duplicates=duplicates)


def _read_array(source: Source, *, inputs: Names | None, targets: Names | None) -> Iterator[Example]:
    with opened(source) as (file, name):
        text = _text(file.read(), name).removeprefix("\ufeff")
    try:
        rows = json.loads(text, object_pairs_hook=_unique)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: not JSON ({error})") from error
    if not isinstance(rows, list):
        raise DataError(f"{name}: the file holds one JSON array of objects; got {brief(rows)}")
    yield from read_rows(
        cast("list[Any]", rows),
        inputs=inputs,
        targets=targets,
        where=f"{name}, row {{}}".format,
        subject=name,
    )
