"""Labels in files: CSV that people fill in, JSON lines, and rows of evaluations."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from outlast.data.files import write_lines
from outlast.data.jsonform import json_form
from outlast.data.readers import csv_rows, json_objects
from outlast.errors import DataError, UsageError, brief, did_you_mean
from outlast.evals.evaluation import Evaluation
from outlast.evals.judging.label import Item, Label
from outlast.evals.judging.labels import Labels
from outlast.evals.judging.rubric import Rubric
from outlast.evals.row import Row
from outlast.messages import canonical

if TYPE_CHECKING:
    from outlast.data.readers import Names, Source

_OWN = ("author", "time", "note", "rubric", "rubric_version")
_JSON = ":json"  # ends the name of a column whose cells are JSON
_FORMULA = re.compile(r"'*[=+\-@\t\r]")  # how a cell begins that a spreadsheet would run
_IN, _OUT = "input.", "output."


def of_rows(rows: Any, rubric: Rubric, value: Any, author: str, note: str, targets: Names) -> Iterator[Label]:
    """A label for each row that has outputs."""
    wanted = _listed(targets, "targets")
    listed: Iterable[Any] = rows.rows if isinstance(rows, Evaluation) else rows
    if isinstance(rows, Evaluation) and not rows.kept:
        raise DataError("Labels.from_rows needs the rows, which were not kept (keep='rows' keeps them)")
    listed = list(listed)
    if isinstance(value, Mapping) and listed and not any(getattr(row, "id", None) in value for row in listed):
        ids = ", ".join(map(str, list(cast("Mapping[Any, Any]", value))[:3]))
        raise DataError(
            f"Labels.from_rows(value=...) holds values by the id of the row, and no row has any of its ids: {ids}"
        )
    for row in listed:
        if not isinstance(row, Row):
            raise UsageError(f"Labels.from_rows takes an evaluation or rows of one; got {brief(row)}")
        if row.outputs is not None:
            yield Label(item_of(row, wanted), _worth(row, value), rubric=rubric, author=author, note=note)


def item_of(row: Row, targets: Iterable[str] = ()) -> Item:
    """The item of a row: its inputs and outputs, and the `targets` asked for; a plain result has the name `answer`."""
    known: dict[str, Any] = {}
    for name in targets:
        if name not in row.targets:
            near = did_you_mean(name, row.targets)
            raise DataError(
                f"row {row.index} has no target {name!r}.{near} Targets: {', '.join(row.targets) or 'none'}."
            )
        known[f"target.{name}"] = row.targets[name]
    outputs = outputs_by_name(row)
    inputs = tuple(name for name in row.inputs if name not in outputs)
    return Item({**row.inputs, **known, **outputs}, (*inputs, *known))


def outputs_by_name(row: Row) -> Mapping[str, Any]:
    """The outputs of a row by name; a plain result has the name `answer`."""
    outputs: Any = row.outputs
    return cast("Mapping[str, Any]", outputs) if isinstance(outputs, Mapping) else {"answer": outputs}


def _worth(row: Row, value: Any) -> Any:
    if value is None:
        return None
    if callable(value):
        return cast("Callable[[Row], Any]", value)(row)
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value).get(row.id)
    fields = {**row.inputs, **row.targets, **outputs_by_name(row)}
    if value not in fields:
        near = did_you_mean(str(value), fields)
        raise DataError(f"row {row.index} has no field {value!r}.{near} Fields: {', '.join(fields)}.")
    return fields[value]


# Reading


class Columns:
    """Which columns of a table are what, and what holds for labels whose lines do not say it."""

    def __init__(
        self,
        rubric: Rubric | None,
        author: str,
        value: str,
        note: str,
        inputs: Names | None,
        outputs: Names | None,
    ) -> None:
        self.rubric, self.author, self.value, self.note = rubric, author, value, note
        self.inputs, self.outputs = _listed(inputs, "inputs"), _listed(outputs, "outputs")

    @property
    def named(self) -> bool:
        """Whether the columns of the item are named; else the file is one of ours."""
        return bool(self.inputs or self.outputs)

    def own(self, row: Mapping[str, Any], where: str) -> dict[str, Any]:
        """What a line says of the label itself. A column of the item that is called like it is not meant."""
        if self.note != "note" and self.note not in row:
            raise _no_column(self.note, row, where)
        columns = {name: self.note if name == "note" else name for name in _OWN}
        taken = (*self.inputs, *self.outputs)
        return {name: "" if column in taken else row.get(column) or "" for name, column in columns.items()}


def read_csv(source: Source, columns: Columns) -> Iterator[Label]:
    """The labels of a CSV file."""
    for where, cells in csv_rows(source):
        row = cells if columns.named else {column: _unguarded(cell) for column, cell in cells.items()}
        fields, ins = _chosen(row, columns, where) if columns.named else _own_columns(row, where)
        yield _label(row, fields, ins, columns, where)


def read_jsonl(source: Source, columns: Columns) -> Iterator[Label]:
    """The labels of a file of JSON lines."""
    for where, row in json_objects(source):
        if columns.named:
            fields, ins = _chosen(row, columns, where)
        else:
            given: Any = row.get("inputs", {})
            made: Any = row.get("outputs")
            if not isinstance(given, Mapping) or not isinstance(made, Mapping):
                raise DataError(
                    f"{where}: which fields are the item? Say inputs=[...] and outputs=[...]. Fields: {', '.join(row)}."
                )
            fields = {**cast("Mapping[str, Any]", given), **cast("Mapping[str, Any]", made)}
            ins = tuple(cast("Mapping[str, Any]", given))
        yield _label(row, fields, ins, columns, where)


def _label(
    row: Mapping[str, Any], fields: Mapping[str, Any], inputs: tuple[str, ...], columns: Columns, where: str
) -> Label:
    rubric = columns.rubric
    if columns.value not in row:
        raise _no_column(columns.value, row, where)
    own = columns.own(row, where)
    name = own.pop("rubric") or (rubric.name if rubric else "")
    if not name:
        raise DataError(f"{where}: no rubric; say which one these labels are about with rubric=")
    value = row[columns.value]
    said = None if isinstance(value, str) and not value.strip() else value
    own["author"] = own["author"] or columns.author
    ours = rubric is not None and rubric.name == name
    try:
        if rubric is not None and ours and own["rubric_version"] in ("", rubric.version):
            return Label(Item(fields, inputs), said, rubric=rubric, **own)
        return Label(Item(fields, inputs), said, rubric=name, **own)
    except (UsageError, DataError) as error:
        raise DataError(f"{where}: {error}") from error


def _no_column(name: str, row: Mapping[str, Any], where: str) -> DataError:
    return DataError(f"{where}: no column {name!r}.{did_you_mean(name, row)} Columns: {', '.join(row)}.")


def _listed(names: Names | None, kind: str) -> tuple[str, ...]:
    if names is None:
        return ()
    listed = (names,) if isinstance(names, str) else tuple(names)
    for name in listed:
        if not isinstance(name, str):
            raise UsageError(f"{kind} are names of columns; got {brief(name)}")
    return listed


def _chosen(row: Mapping[str, Any], columns: Columns, where: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    names = (*columns.inputs, *columns.outputs)
    for name in names:
        if name not in row:
            raise _no_column(name, row, where)
    return {name: row[name] for name in names}, columns.inputs


def _own_columns(row: Mapping[str, str], where: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields of the columns that `write_csv` writes."""
    fields: dict[str, Any] = {}
    inputs: list[str] = []
    for column, cell in row.items():
        for prefix in (_IN, _OUT):
            if column.startswith(prefix):
                name = column.removeprefix(prefix)
                coded = name.endswith(_JSON)
                if coded and not cell:
                    continue  # this item has no such field
                name = name.removesuffix(_JSON)
                fields[name] = _parsed(cell, f"{where}, column {column!r}") if coded else cell
                if prefix == _IN:
                    inputs.append(name)
    if not fields:
        raise DataError(
            f"{where}: which columns are the item? Say inputs=[...] and outputs=[...]. Columns: {', '.join(row)}."
        )
    return fields, tuple(inputs)


def _parsed(cell: str, where: str) -> Any:
    try:
        return json.loads(cell)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({error}); the cell is {brief(cell)}") from error


# Writing


def write_csv(labels: Labels, path: str | Path | IO[str]) -> None:
    """A table with a line for each label."""
    forms = [_forms(label.item) for label in labels]
    columns = list(dict.fromkeys(column for form in forms for column in form))
    plain = {column: all(isinstance(form.get(column), str) for form in forms) for column in columns}
    head = [column if plain[column] else column + _JSON for column in columns]
    table: list[list[str]] = [[*head, "label", *_OWN]]
    for label, form in zip(labels, forms, strict=True):
        cells = [_cell(form, column, plain[column]) for column in columns]
        said = "" if label.value is None else str(label.value)
        own = [label.author, label.time.isoformat(), label.note, label.rubric, label.rubric_version]
        table.append([_guarded(cell) for cell in (*cells, said, *own)])
    write_lines(path, map(_record, table))


def _record(cells: list[str]) -> str:
    """One record. The line end is that of the writer, so that it quotes a cell with either character of it."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue().removesuffix("\r\n")


def write_jsonl(labels: Labels, path: str | Path | IO[str]) -> None:
    """A line for each label."""
    write_lines(path, (canonical(_line(label)).decode() for label in labels))


def _line(label: Label) -> dict[str, Any]:
    form, inputs = {name: json_form(value) for name, value in label.item.fields.items()}, label.item.inputs
    line: dict[str, Any] = {
        "id": label.item.id,
        "inputs": {name: form[name] for name in inputs},
        "outputs": {name: value for name, value in form.items() if name not in inputs},
        "label": label.value,
        "rubric": label.rubric,
        "time": label.time.isoformat(),
    }
    for name in ("author", "note", "rubric_version"):
        if text := getattr(label, name):
            line[name] = text
    return line


def _forms(item: Item) -> dict[str, Any]:
    return {(_IN if name in item.inputs else _OUT) + name: json_form(value) for name, value in item.fields.items()}


def _cell(form: Mapping[str, Any], column: str, plain: bool) -> str:
    if column not in form:
        return ""
    return form[column] if plain else canonical(form[column]).decode()


def _guarded(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell
