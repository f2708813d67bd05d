"""Programs for the `gepa` package: `gepa.optimize(adapter=ol.gepa_adapter(program, metric), ...)`, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, cast

from outlast.adapters.protocol import Adapter
from outlast.data.example import Example
from outlast.errors import ConfigError, UsageError, brief, did_you_mean
from outlast.evals.forms import Metric, as_metric
from outlast.evals.row import Row
from outlast.evals.runner import RowRunner
from outlast.evals.score import check_metric
from outlast.lms.protocol import LM
from outlast.modules.module import Module
from outlast.modules.paths import parameters, update
from outlast.optimize.locks import Locks
from outlast.optimize.rollout import HOPELESS
from outlast.optimize.texts import instruction_at, texts_in
from outlast.runtime import gather, run_blocking

if TYPE_CHECKING:
    from gepa.core.adapter import EvaluationBatch

__all__ = ["GepaAdapter", "from_gepa", "gepa_adapter"]

M = TypeVar("M", bound=Module)
_AT_ONCE = 32


def gepa_adapter(
    program: Module,
    metric: Metric,
    *,
    lm: LM | str | None = None,
    adapter: Adapter | None = None,
    concurrency: int = _AT_ONCE,
    lock: Sequence[str] = (),
) -> GepaAdapter:
    """A program of ours as the adapter that `gepa.optimize` takes; data are lists of `ol.Example`.

    Components are the texts of the program by path (`answer.instruction`, texts declared with `ol.Text`), without those
    in `lock`; `seed_candidate` holds them as they are now. `lm` answers the program, the configured model unless given.
    `from_gepa(program, result)` is the way back. Needs `outlast[gepa]`. Raises `UsageError` for a program without text.
    """
    return GepaAdapter(program, metric, lm=lm, adapter=adapter, concurrency=concurrency, lock=lock)


class GepaAdapter:
    """See `gepa_adapter`. An example that fails scores 0, with its error as feedback; a refused key ends all."""

    propose_new_texts: Any = None  # the package writes them

    def __init__(
        self,
        program: Module,
        metric: Metric,
        *,
        lm: LM | str | None = None,
        adapter: Adapter | None = None,
        concurrency: int = _AT_ONCE,
        lock: Sequence[str] = (),
    ) -> None:
        check_metric(metric)
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            raise UsageError(f"concurrency is a whole number from 1; got {brief(concurrency)}")
        self.program = program
        self.seed_candidate = components_of(program, lock)
        self._metric = as_metric(metric)
        self._lm = lm
        self._adapter = adapter
        self._concurrency = concurrency

    def evaluate(
        self, batch: Sequence[Example], candidate: Mapping[str, str], capture_traces: bool = False
    ) -> EvaluationBatch[Row, Any]:
        """Run the program with these texts on a batch. Cost: the calls of so many rollouts."""
        program = from_gepa(self.program, candidate)
        runner = RowRunner(program, self._metric, lm=self._lm, adapter=self._adapter, traces=True)
        jobs = [runner(number, example) for number, example in enumerate(batch)]
        rows = run_blocking(lambda: gather(*jobs, limit=self._concurrency))
        for row in rows:
            if row.error is not None and isinstance(row.error.exception, HOPELESS):
                raise row.error.exception
        return batch_of(
            [row.outputs for row in rows], [row.score or 0.0 for row in rows], rows if capture_traces else None
        )

    def make_reflective_dataset(
        self, candidate: Mapping[str, str], eval_batch: EvaluationBatch[Row, Any], components_to_update: Sequence[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """What each component was given and gave, with the feedback, for the package's reflection prompt."""
        rows: Sequence[Row] = eval_batch.trajectories or ()
        return {name: [_record(row, name) for row in rows] for name in components_to_update}


def from_gepa(program: M, result: Any) -> M:
    """The program with the texts of a result of the `gepa` package (a `GEPAResult`, or one candidate as a dict).

    Only texts of the program can be set: raises `UsageError` for another component. Nothing is proven by it; compile
    with `ol.GepaPackage` for that, or compare with `ol.evaluate` and `ol.compare`.
    """
    candidate: Any = cast("Any", result) if isinstance(result, Mapping) else getattr(result, "best_candidate", None)
    if not isinstance(candidate, Mapping):
        raise UsageError(
            f"from_gepa takes a GEPAResult whose best candidate is a dict of texts, or such a dict; got {brief(result)}"
        )
    known = texts_in(program)
    changes: dict[str, str] = {}
    for name, text in cast("Mapping[Any, Any]", candidate).items():
        if name not in known:
            raise UsageError(
                f"{type(program).__name__} has no text {name!r}.{did_you_mean(str(name), known)} Texts: "
                f"{', '.join(known) or 'none'}."
            )
        changes[name] = text
    return update(program, changes)


def components_of(program: Module, lock: Sequence[str] = ()) -> dict[str, str]:
    """The texts of a program that may change, by path: a candidate of the package. Raises `UsageError` for none."""
    if not isinstance(program, Module):
        raise UsageError(f"gepa_adapter takes a program (an ol.Module); got {brief(program)}")
    locks = Locks.on(program, lock)
    values = parameters(program)
    found = {path: values[path] for path in texts_in(program) if not locks.holds(path)}
    if not found:
        raise UsageError(f"{type(program).__name__} has no text that may change, which is all that gepa can do")
    return found


def batch_of(outputs: list[Any], scores: list[float], trajectories: Any) -> Any:
    """An `EvaluationBatch` of the package."""
    return package().core.adapter.EvaluationBatch(outputs=outputs, scores=scores, trajectories=trajectories)


def package() -> Any:
    """The `gepa` package. Raises `ConfigError` where it is not installed."""
    try:
        import_module("gepa.core.adapter")
        return import_module("gepa")
    except ImportError as error:
        raise ConfigError(f"the gepa package cannot be imported ({error}): pip install 'outlast[gepa]'") from error


def _record(row: Row, component: str) -> dict[str, Any]:
    spans = [span for span in row.trace or () if span.path is not None and instruction_at(span.path) == component]
    steps = [(span.inputs, f"unreadable: {span.error}" if span.values is None else span.values) for span in spans]
    return record(steps or [(row.inputs, row.outputs)], feedback_of(row.score, row.feedback, row.error, row.targets))


def record(steps: Sequence[tuple[Any, Any]], feedback: str) -> dict[str, Any]:
    """What a component was given and gave in a rollout, and what was said of it, as the package shows it."""
    given: Any = [given for given, _ in steps] if len(steps) > 1 else steps[0][0]
    gave: Any = [gave for _, gave in steps] if len(steps) > 1 else steps[0][1]
    return {"Inputs": _plain(given), "Generated Outputs": _plain(gave), "Feedback": feedback}


def feedback_of(score: float | None, feedback: str, error: Any, targets: Mapping[str, Any]) -> str:
    """What a reflection is told of one rollout."""
    lines = [f"Score: {score:g}" if score is not None else "Score: none"]
    if error:
        lines.append(f"Error: {error}")
    if targets:
        lines.append("Expected: " + "; ".join(f"{name} = {value}" for name, value in targets.items()))
    if feedback:
        lines.append(feedback)
    return "\n".join(lines)


def _plain(value: Any) -> Any:
    """Text all the way down, as the package renders it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("Sequence[Any]", value)]
    return str(value)
