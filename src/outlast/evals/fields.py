"""The fields of rows, by name and as the columns of a frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from outlast.errors import DataError, did_you_mean
from outlast.evals.row import Row


def field_reader(name: str) -> Callable[[Row], Any]:
    """How to read an input, a target or an output of a row by name; raises `DataError` when it has none."""

    def read(row: Row) -> Any:
        for part in (row.inputs, row.targets, _outputs(row)):
            if name in part:
                return part[name]
        if row.outputs is None:
            return None  # an error: there is no output to be sliced by
        names = list(dict.fromkeys([*row.inputs, *row.targets, *_outputs(row)]))
        raise DataError(
            f"row {row.index} has no field {name!r}.{did_you_mean(name, names)} Fields: {', '.join(names)}."
        )

    return read


def _outputs(row: Row) -> dict[str, Any]:
    outputs: object = row.outputs
    return cast("dict[str, Any]", outputs) if isinstance(outputs, dict) else {}


def flat(row: Row) -> dict[str, Any]:
    """A row as one line of a frame."""
    flat: dict[str, Any] = {"index": row.index, "id": row.id}
    flat.update({f"input.{name}": value for name, value in row.inputs.items()})
    flat.update({f"target.{name}": value for name, value in row.targets.items()})
    flat.update({f"output.{name}": value for name, value in _outputs(row).items()})
    if not isinstance(row.outputs, dict):
        flat["output"] = row.outputs
    flat |= {"score": row.score, "state": row.state, "feedback": row.feedback}
    flat.update({f"part.{name}": value for name, value in row.parts.items()})
    spent = row.spending
    return flat | {
        "error": str(row.error) if row.error else None,
        "epoch": row.epoch,
        "cluster": row.cluster,
        "seconds": row.seconds,
        "calls": spent.calls,
        "tokens": spent.tokens,
        "dollars": spent.dollars,
    }
