"""Assertions for tests of programs: they decide by intervals, and failures show numbers and the worst examples."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from outlast.errors import UsageError

if TYPE_CHECKING:
    from outlast.data.dataset import Dataset
    from outlast.data.example import Example
    from outlast.data.readers import Names
    from outlast.evals.comparing.comparison import Comparison
    from outlast.evals.comparing.gate import Gate
    from outlast.evals.evaluation import Evaluation
    from outlast.evals.policy import OnError
    from outlast.evals.row import Row

Inconclusive = Literal["fail", "pass", "skip"]
_SHOWN = 5


def assert_score(evaluation: Evaluation, at_least: float, *, inconclusive: Inconclusive = "fail") -> None:
    """Assert that the mean score is at least this, with confidence: the interval's lower end has to be.

    Each error counts as 0. `inconclusive` says what becomes of a test whose interval holds `at_least`: it fails, as
    nothing is proven, passes, or is skipped. Raises `AssertionError` with the score, its interval and the worst
    examples. Cost: no LM call.
    """
    __tracebackhide__ = True
    _check(inconclusive)
    _settle(evaluation.gate(at_least), inconclusive, lambda: _worst(evaluation))


def assert_no_worse(
    new: Evaluation,
    old: Evaluation | str | Path,
    *,
    min_delta: float,
    on_error: OnError | None = None,
    inconclusive: Inconclusive = "fail",
) -> Comparison:
    """Assert that `new` is no worse than `old` by more than is tolerated; gives the comparison.

    `old` is an evaluation of the same examples by the same metric, or the file that one was saved to. `min_delta` is
    the change that the whole interval has to lie above: -0.02 tolerates a loss of two points, 0 demands a gain.
    `on_error` is as in `compare`, `inconclusive` as in `assert_score`. Raises `AssertionError` with the change, its
    interval and the examples that fell the most, `DataError` for runs that cannot be compared. Cost: no LM call.
    """
    __tracebackhide__ = True
    from outlast.evals.comparing.compare import compare
    from outlast.evals.evaluation import Evaluation

    _check(inconclusive)
    base = old if isinstance(old, Evaluation) else Evaluation.from_jsonl(beside_caller(old))
    change = compare(base, new, min_delta=min_delta, on_error=on_error)
    _settle(change.gate(), inconclusive, lambda: _fallen(change))
    return change


def assert_example(
    program: Any, example: Example, metric: Callable[..., Any], *, at_least: float = 1.0, **options: Any
) -> Row:
    """Run a program on one example and assert its score; gives the row.

    `options` are those of `evaluate`. Raises `AssertionError` with the feedback of the metric, inputs, targets and
    outputs. Cost: what the program and the metric ask.
    """
    __tracebackhide__ = True
    from outlast.evals.evaluate import evaluate

    options |= {"progress": False, "threshold": at_least}
    (item,) = evaluate(program, [example], metric, **cast("Any", options)).items
    row = item.worst
    if item.state == "error" and row.error is not None and row.error.exception is not None:
        raise AssertionError(f"the {row.error.subject} failed\n{_row(row, alone=True)}") from row.error.exception
    if item.score is None or not item.score >= at_least:
        score = "no score" if item.score is None else f"score {item.score:g}"
        raise AssertionError(f"{score}, at least {at_least:g} is needed\n{_row(row, alone=True)}")
    return row


def examples(
    data: str | Path | Dataset,
    *,
    inputs: Names | None = None,
    targets: Names | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> Any:
    """Make each example a test of its own: a decorator for tests with an argument `example`.

        @ol.testing.examples("dev.jsonl", inputs=["message"])
        def test_route(example):
            assert route(message=example.message).team == example.team

    `data` is a data set or a file, looked for beside the test and then in the working folder. `limit` takes a random
    sample, drawn by `seed`. The summary at the end of the tests has the share that passed, with its interval. The names
    of the tests are stable: the number of an example and the beginning of its hash. Needs pytest.
    """
    import pytest

    from outlast.data.dataset import Dataset
    from outlast.data.example import id_of
    from outlast.data.readers import load_examples

    if not isinstance(data, Dataset):
        data = load_examples(str(beside_caller(data)), inputs=inputs, targets=targets)
    if limit is not None and limit < len(data):
        data = data.sample(limit, seed)
    cases = [pytest.param(example, id=f"{index}-{id_of(example)[:8]}") for index, example in enumerate(data)]

    return pytest.mark.parametrize("example", cases)


def beside_caller(path: str | Path) -> Path:
    """The file beside the module that called us, where it is there; else the path as it is."""
    given = Path(path)
    if given.is_absolute():
        return given
    frame: Any = sys._getframe(1)
    while frame is not None and str(frame.f_globals.get("__name__", "")).startswith("outlast."):
        frame = frame.f_back
    file = None if frame is None else frame.f_globals.get("__file__")
    beside = Path(file).parent / given if isinstance(file, str) else given
    return beside if beside.exists() else given


def _settle(gate: Gate, inconclusive: Inconclusive, details: Callable[[], list[str]]) -> None:
    __tracebackhide__ = True
    if gate.passed or (gate.decision == "INCONCLUSIVE" and inconclusive == "pass"):
        return
    if gate.decision == "INCONCLUSIVE" and inconclusive == "skip":
        import pytest

        pytest.skip(str(gate))
    raise AssertionError("\n".join([str(gate), *details()]))


def _check(inconclusive: Any) -> None:
    if inconclusive not in ("fail", "pass", "skip"):
        raise UsageError(f"inconclusive is 'fail', 'pass' or 'skip'; got {inconclusive!r}")


def _worst(evaluation: Evaluation) -> list[str]:
    """The worst examples: errors, then the lowest scores."""
    wrong = [item for item in evaluation.items if item.state in ("error", "fail")]
    wrong.sort(key=lambda item: -math.inf if item.state == "error" or item.score is None else item.score)
    head = f"the worst of {len(wrong)} that failed:"
    return [head, *(_row(item.worst) for item in wrong[:_SHOWN])] if wrong else []


def _fallen(change: Comparison) -> list[str]:
    fallen = [flip for flip in change.flips if flip.change < 0]
    head = f"the worst of {len(fallen)} that fell:"
    lines = [f"{flip.a_score:g} -> {flip.b_score:g}\n{_row(flip.b)}" for flip in fallen[:_SHOWN]]
    return [head, *lines] if fallen else []


def _row(row: Row, alone: bool = False) -> str:
    """An example in a few lines. Values are shown by `repr`, so that nothing a model wrote steers the terminal."""
    name = row.id[:8] if alone else f"{row.index} ({row.id[:8]})"
    lines = [f"  example {name}" + (f", score {row.score:g}" if row.score is not None else "")]
    facts: dict[str, Any] = {"inputs": dict(row.inputs), "targets": dict(row.targets), "outputs": row.outputs}
    if row.feedback:
        facts["feedback"] = row.feedback
    if row.error is not None:
        facts["error"] = f"{row.error.type}: {row.error.message}"
    for name, value in facts.items():
        if value not in ({}, None):
            text = repr(value)
            lines.append(f"    {name}: {text if len(text) <= 300 else text[:299] + '…'}")
    return "\n".join(lines)
