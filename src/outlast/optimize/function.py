"""`Function`: any callable as a program, whose parameters are what a search may change."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, cast

from outlast.errors import (
    LMAuthError,
    LMQuotaError,
    LMRateLimited,
    LMServerError,
    OutlastError,
    UsageError,
    brief,
)
from outlast.evals.scorer import is_async
from outlast.modules.module import Module
from outlast.modules.spaces import Choice, Float, Int, Space, Text
from outlast.modules.values import declared, param
from outlast.optimize.memory import Recorder
from outlast.optimize.reported import report_cost, usage_of
from outlast.runtime import current, in_thread
from outlast.tracing.identity import metric_hash, name_of

_MOST_SOURCE = 4000  # characters of a function's code that a proposer is shown
_TAKEN = frozenset(("acall", "blocking_safe", "export", "forward", "render", "stream", "strategy", "tools"))
_UNREACHED = ("APIConnectionError", "APITimeoutError", "ClientConnectionError", "TransportError")  # of SDKs, by name


class Function(Module):
    """A callable with parameters, as a program.

    It is called with the inputs and the parameters by name. One that takes a single argument, which is neither an
    input nor a parameter, is called with the parameters as a dict, once for each setting, and what it gives is called
    with the inputs. Async ones run on the event loop, others in threads.

    What it raises makes a failing rollout, with the message as feedback; what tells of a server (a refused key, a full
    rate limit, a lost connection, as the SDKs of OpenAI, Anthropic and pydantic-ai raise it) is nobody's fault, as in
    any program. Where nothing was reported with `report_cost` and the result has a `usage`, that is its cost.
    """

    def __init__(self, function: Callable[..., Any], params: Mapping[str, Any], inputs: tuple[str, ...] = ()) -> None:
        if not callable(function) or isinstance(function, type | Module):
            raise UsageError(f"optimize takes a function; got {brief(function)}. A program is compiled: ol.compile")
        _refuse_pieces(function, name_of(function))
        spaces = spaces_from(params)
        self._named = name_of(function)
        self._code = metric_hash(function)
        self._about = _source(function)
        self._makes = _is_maker(function, spaces, inputs)
        self._run = _runner(function, self._makes)
        for name, space in spaces.items():
            setattr(self, name, param(space))

    @property
    def makes(self) -> bool:
        """Whether the function takes all parameters as one argument and gives what takes the inputs."""
        return self._makes

    @property
    def source(self) -> str:
        """The code of the function, as far as it can be read."""
        return self._about

    @property
    def params(self) -> dict[str, Any]:
        """The parameters by name."""
        return {name: getattr(self, name) for name in declared(self)}

    async def forward(self, **inputs: Any) -> Any:
        """What the function gives."""
        memo = current().memo
        recorder = memo if isinstance(memo, Recorder) else None
        if recorder is not None:
            recorder.purse.refuse_spent()  # a function asks nobody whether there is anything left
        before = 0 if recorder is None else recorder.count
        result = await self._run(inputs, self.params)
        if recorder is not None and recorder.count == before and (usage := usage_of(result)) is not None:
            report_cost(usage)
        return result


def spaces_from(params: Any) -> dict[str, Space[Any]]:
    """The parameters as spaces: a plain value is where its space starts.

    Text may become any text, a number from 0 to twice its value (a whole one from 1), True the other. Raises
    `UsageError` for what has no such space.
    """
    if not isinstance(params, Mapping) or not params:
        raise UsageError(f"params is a dict of names and starting values; got {brief(params)}")
    found: dict[str, Space[Any]] = {}
    for name, value in cast("Mapping[Any, Any]", params).items():
        if not isinstance(name, str) or not name.isidentifier() or name.startswith("_") or name in _TAKEN:
            raise UsageError(
                f"params: {name!r} cannot be the name of a parameter; a name is a word without a leading underscore, "
                f"and none of {', '.join(sorted(_TAKEN))}"
            )
        found[name] = value if isinstance(value, Space) else _space_of(name, value)
    return found


def _space_of(name: str, value: Any) -> Space[Any]:
    if isinstance(value, str):
        return Text(value)
    if isinstance(value, bool):
        return Choice((value, not value))
    if isinstance(value, int) and value >= 1:
        return Int(1, max(2, 2 * value), start=value)
    if isinstance(value, float) and 0 < value < math.inf:
        return Float(0.0, 2 * value, start=value)
    raise UsageError(
        f"params: no telling what {name!r} may be, which starts as {brief(value)}: give "
        f"ol.Float(low, high, start=...), ol.Int(low, high), ol.Choice([...]) or ol.Text(...)"
    )


def _is_maker(function: Callable[..., Any], spaces: Mapping[str, Any], inputs: tuple[str, ...]) -> bool:
    """Whether it takes all parameters as one argument and gives what takes the inputs."""
    try:
        taken = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):  # a builtin that does not tell
        return False
    if len(taken) != 1 or taken[0].kind in (taken[0].VAR_KEYWORD, taken[0].VAR_POSITIONAL):
        return False
    return taken[0].name not in spaces and taken[0].name not in inputs


def _runner(function: Callable[..., Any], maker: bool) -> Callable[[Mapping[str, Any], Mapping[str, Any]], Any]:
    made: dict[str, Callable[..., Any]] = {}

    def target(params: Mapping[str, Any]) -> Callable[..., Any]:
        key = repr(sorted(params.items()))
        if key not in made:
            made[key] = function(dict(params))
        if not callable(made[key]):
            raise UsageError(f"{name_of(function)}(params) gives a function of the inputs; got {brief(made[key])}")
        _refuse_pieces(made[key], f"what {name_of(function)}(params) gives")
        return made[key]

    async def run(inputs: Mapping[str, Any], params: Mapping[str, Any]) -> Any:
        call, given = (target(params), inputs) if maker else (function, {**inputs, **params})
        try:
            if is_async(call):
                return await call(**given)
            result = await in_thread(lambda: call(**given))
            return await result if inspect.isawaitable(result) else result
        except OutlastError:
            raise
        except Exception as error:
            fault = of_server(error)
            if fault is None:
                raise
            raise fault from error

    return run


def _refuse_pieces(function: Callable[..., Any], name: str) -> None:
    """Refuse a generator function, whose result is no result until somebody reads it."""
    for one in (function, getattr(function, "__call__", None)):  # noqa: B004 - an object whose call is one, too
        if inspect.isgeneratorfunction(one) or inspect.isasyncgenfunction(one):
            kind = "an async generator" if inspect.isasyncgenfunction(one) else "a generator"
            raise UsageError(
                f"optimize takes a function that gives its result; {name} is {kind}, which gives it in pieces: put it "
                f"in a function that collects them"
            )


def of_server(error: Exception) -> OutlastError | None:
    """The error of ours for one by which another library tells of a server; None for any other."""
    status = getattr(error, "status_code", None)
    said = f"{type(error).__name__}: {error}"
    if isinstance(status, int):
        if status in (401, 403):
            return LMAuthError(said, status=status)
        if status == 402 or getattr(error, "code", None) == "insufficient_quota":
            return LMQuotaError(said, status=status)
        if status == 429:
            return LMRateLimited(said, status=status)
        return LMServerError(said, status=status) if status in (408, 409) or status >= 500 else None
    unreached = any(kind.__name__ in _UNREACHED for kind in type(error).__mro__)
    return LMServerError(said) if unreached else None


def _source(function: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(inspect.unwrap(function))[:_MOST_SOURCE]
    except (OSError, TypeError, ValueError):  # made in a prompt, or an object that can be called
        return inspect.getdoc(function) or ""
