"""`optimize`: tune the parameters of any function, such as an agent of another library, as it is."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, Unpack, cast

from outlast import artifact
from outlast.data.example import Example, inputs_of
from outlast.errors import ArtifactError, ConfigError, UsageError, did_you_mean
from outlast.evals.forms import Metric
from outlast.modules.paths import spaces_of
from outlast.modules.settings import chosen_lm
from outlast.modules.spaces import Space, Text
from outlast.optimize.auto import Auto
from outlast.optimize.compile import Compiled, Report, acompile
from outlast.optimize.function import Function, spaces_from
from outlast.optimize.locks import Locks
from outlast.optimize.operators import defaults
from outlast.optimize.operators.tune import Tune
from outlast.optimize.options import OptimizeOptions, Options
from outlast.optimize.param_search import ParamSearch
from outlast.optimize.protocol import Optimizer
from outlast.optimize.setting import Data
from outlast.runtime import current, run_blocking
from outlast.tracing.identity import name_of

__all__ = ["Optimized", "aoptimize", "load_params", "optimize"]

R = TypeVar("R")


@dataclass(frozen=True)
class Optimized(Generic[R]):
    """The result of `optimize`; called, it calls the function with the inputs and `params`.

    `params` are the parameters that are proven better, else those that it started from. `winner` is what the search
    would ship regardless of proof. `compiled` is the same as a compile of a program gives it.
    """

    function: Callable[..., R]
    compiled: Compiled[Function]

    @property
    def params(self) -> dict[str, Any]:
        """The parameters to use, by name."""
        return self.compiled.program.params

    @property
    def winner(self) -> dict[str, Any]:
        """The parameters that looked best, by name."""
        return self.compiled.winner.params

    @property
    def start(self) -> dict[str, Any]:
        """The parameters that the search started from, by name."""
        return self.compiled.start.params

    @property
    def improved(self) -> bool:
        """True when `params` are a proven improvement."""
        return self.compiled.improved

    @property
    def report(self) -> Report:
        """The verdict and the figures."""
        return self.compiled.report

    def __call__(self, *args: Any, **inputs: Any) -> R:
        """What the function gives for these inputs with `params`; to be awaited where the function is."""
        program = self.compiled.program
        if program.makes:
            return cast("Callable[..., R]", self.function(self.params))(*args, **inputs)
        return self.function(*args, **inputs, **self.params)

    def save(self, path: str | os.PathLike[str], *, anyway: bool = False) -> Path:
        """Write `params` and how they came about to `path` (by custom `*.outlast.json`); gives the path.

        The file is made to be read in a review: sorted, a line for each line of text. `load_params` reads it. Raises
        `SearchStopped` for a search that was interrupted and proved nothing, or had no budget, unless `anyway`; see
        `Compiled.save`.
        """
        self.compiled.refuse_unsearched(anyway)
        record = {**self.report.record, "function": name_of(self.function)}
        return artifact.save(self.compiled.program, path, record=record)

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write a report as one self-contained HTML file; gives the path."""
        return self.compiled.to_html(path)

    def __repr__(self) -> str:
        return f"<Optimized {name_of(self.function)}: {self.report}>"


def optimize(
    function: Callable[..., R],
    data: Data,
    metric: Metric,
    *,
    params: Mapping[str, Any] | None = None,
    **options: Unpack[OptimizeOptions],
) -> Optimized[R]:
    """Search for better parameters of a function, and prove the gain on data that the search never ranked on.

    `function(**inputs, **params)`, or `function(params)` which gives a function of the inputs; sync or async; whatever
    it asks and however. `params` are its parameters by name, with the values that it has now; a space says what one
    may be: `{"system_prompt": "You ...", "temperature": ol.Float(0, 1, start=0.7), "model": ol.Choice(["a", "b"])}`.
    Plain text may become any text, a plain number from 0 to twice its value. `data` and `metric` are as for `compile`;
    the metric gets what the function gives.

    Texts are rewritten by `proposer`, a model or its name; without one it is the configured model. The default
    optimizer is `Auto`, and `ParamSearch` where there is no text to write. The models that the function asks by itself
    are not seen: what is counted and remembered is its rollouts, so bound them with `Budget(rollouts=...)`. What it
    tells with `ol.report_cost` counts against calls, tokens and dollars, too, and is what `prefer` weighs ("cheapest
    within 1 point"; "fastest" needs no telling).

    An exception of the function is a failing rollout with its message as feedback, one of a server nobody's fault.
    Everything else (ledger, resuming, proof, Ctrl-C, what is raised) is as for `compile`.
    Cost: at most (rollouts of the optimizer + 2 x confirm examples) runs of the function, and the proposals.
    """
    return run_blocking(lambda: aoptimize(function, data, metric, params=params, **options))


async def aoptimize(
    function: Callable[..., R],
    data: Data,
    metric: Metric,
    *,
    params: Mapping[str, Any] | None = None,
    **options: Unpack[OptimizeOptions],
) -> Optimized[R]:
    """`optimize` from async code; takes and gives the same. A cancelled task gets the result so far."""
    chosen = Options.of(options, "optimize", ("params", *OptimizeOptions.__annotations__))
    if params is None:
        raise UsageError("optimize(params={...}) takes the parameters to search, by name, with their values now")
    names = _input_names(data)
    program = Function(function, params, names)
    _check_call(function, program, names)
    search = chosen.optimizer or _default_optimizer(program, chosen.proposer, chosen.lock)
    compiled = await acompile(program, data, metric, **{**options, "optimizer": search})
    return Optimized(function, compiled)


def load_params(path: str | os.PathLike[str], params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The parameters in a file that `Optimized.save` wrote, by name.

    With `params`, as given to `optimize`, they are checked against it: the same names, and values within the spaces.
    Raises `ArtifactError` for another file or other parameters. Loading runs no code.
    """
    data = artifact.read(path)
    name = repr(str(path))
    if data["program"].get("class") != Function.__name__:
        raise ArtifactError(f"{name} holds no parameters of a function: it was compiled from a program; use ol.load")
    found = cast("dict[str, Any]", data["parameters"])
    if params is None:
        return dict(found)
    spaces = spaces_from(params)
    for key in found:
        if key not in spaces:
            raise ArtifactError(f"{name} sets {key!r}, which params does not have.{did_you_mean(key, spaces)}")
    checked: dict[str, Any] = {}
    for key, space in spaces.items():
        if key not in found:
            raise ArtifactError(f"{name} does not set {key!r}; it sets {', '.join(found) or 'nothing'}")
        checked[key] = _checked(name, key, found[key], space)
    return checked


def _checked(file: str, key: str, value: Any, space: Space[Any]) -> Any:
    try:
        return space.check(value, key)
    except UsageError as error:
        raise ArtifactError(f"{file}: {error}") from error


def _input_names(data: Any) -> tuple[str, ...]:
    """The names of the inputs, from the first example that can be found; compile says what is wrong with the data."""
    part = next(iter(cast("Mapping[str, Any]", data).values()), ()) if isinstance(data, Mapping) else data
    try:
        first = next(iter(part), None)
    except TypeError:
        return ()
    return tuple(inputs_of(first)) if isinstance(first, Example) else ()


def _check_call(function: Callable[..., Any], program: Function, inputs: tuple[str, ...]) -> None:
    """Refuse names that the function does not take, before anything runs."""
    for name in program.params:
        if name in inputs:
            raise UsageError(f"params has {name!r}, which is an input of the examples too; give one another name")
    if program.makes or not inputs:
        return
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):  # a builtin that does not tell
        return
    try:
        signature.bind(**dict.fromkeys((*inputs, *program.params)))
    except TypeError as error:
        raise UsageError(
            f"{name_of(function)}{signature} cannot be called with the inputs of the examples ({', '.join(inputs)}) "
            f"and params ({', '.join(program.params)}) by name: {error}"
        ) from None


def _default_optimizer(program: Function, proposer: Any, lock: Sequence[str]) -> Optimizer:
    locks = Locks.on(program, lock)
    texts = [path for path, space in spaces_of(program).items() if isinstance(space, Text) and not locks.holds(path)]
    if not texts:
        return ParamSearch()
    if proposer is None:
        try:
            chosen_lm(None, current())
        except ConfigError:
            raise UsageError(
                f"nobody is there to rewrite {', '.join(map(repr, texts))}: name a model with proposer=..., give the "
                f"texts to choose from as ol.Choice([...]), or keep them with lock={texts}"
            ) from None
    return Auto() if len(texts) == len(spaces_of(program)) else Auto(operators=[*defaults.portfolio(), Tune()])
