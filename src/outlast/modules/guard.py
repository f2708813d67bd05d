"""`guard`: any program between checks of what goes in and what comes out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, cast

from outlast.checks.check import Check, as_check
from outlast.checks.fitting import fit, refuse_retry
from outlast.checks.policy import Policy
from outlast.errors import UsageError, brief, did_you_mean
from outlast.modules.guarding import run_between
from outlast.modules.module import Module, forward_of
from outlast.modules.strategy import P, R, as_module, signature_of

if TYPE_CHECKING:
    from outlast.modules.streaming import Stream


def guard(
    program: Callable[P, R] | str,
    *,
    input: Iterable[Check] = (),
    output: Iterable[Check] = (),
    on_fail: Policy | str | None = None,
) -> Guard[P, R]:
    """The program between checks: `input` ones look at its inputs before it runs, `output` ones at what it gives.

        safe = ol.guard(program, input=[ol.checks.no_secrets("question")], output=[short])

    It takes and gives what the program does. `on_fail` is the policy of all these checks, in place of their own. One of
    the output may look at inputs too; a plain result has the name `answer`. What an input check hid, and says how to
    undo, is put back into the result. A guard has no conversation, so "retry" is refused: put such a check on a
    signature, or run the program again with `ol.Retry` or `ol.Refine`. A stream shows what happens inside as long as no
    check of the output can still refuse it, that is only when all of these say "log" or are `early`.
    Cost: that of the program and of the checks. Raises `UsageError` for a check that cannot be run, and when called
    `CheckFailed`.
    """
    return cast("Guard[P, R]", Guard(program, input=input, output=output, on_fail=on_fail))


class Guard(Module, Generic[P, R]):
    """A program between checks; see `guard`. What is tuned on it is that of the program, at `inner`."""

    blocking_safe = True
    inner: Any
    input: tuple[Check, ...]
    output: tuple[Check, ...]

    def __init__(
        self,
        inner: Any,
        *,
        input: Iterable[Check] = (),
        output: Iterable[Check] = (),
        on_fail: Policy | str | None = None,
    ) -> None:
        self.inner = as_module(inner, "guard")
        self.input = _checks("input", input, on_fail)
        self.output = _checks("output", output, on_fail)
        if not self.input and not self.output:
            raise UsageError("a guard has checks: guard(program, input=[...], output=[...])")
        signature = signature_of(self.inner)
        known = _inputs(self.inner)
        for one in self.input:
            lacking = [name for name in one.needs if known is not None and name not in known]
            if lacking:
                raise UsageError(
                    f"guard(input=...): the check {one.name!r} needs {lacking[0]!r}, which is no input."
                    f"{did_you_mean(lacking[0], known or ())} Inputs: {', '.join(known or ())}."
                )
        if signature is not None:
            for one in (*self.input, *self.output):
                fit(one, signature.__name__, signature.fields)

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **inputs: P.kwargs) -> R: ...  # pyright: ignore[reportIncompatibleMethodOverride]
        async def acall(self, *args: P.args, **inputs: P.kwargs) -> R: ...  # pyright: ignore[reportIncompatibleMethodOverride]
        def stream(self, *args: P.args, **inputs: P.kwargs) -> Stream[R]: ...  # pyright: ignore[reportIncompatibleMethodOverride]

    async def forward(self, /, **inputs: Any) -> Any:
        """Run the program between the checks."""

        async def run(values: Mapping[str, Any]) -> Any:
            return await self.inner.acall(**values)

        signature = signature_of(self.inner)
        return await run_between(self, self.input, self.output, inputs, run, signature)

    def _bind(self, args: tuple[Any, ...], inputs: dict[str, Any]) -> dict[str, Any]:
        return self.inner._bind(args, inputs)

    def _check(self, inputs: Mapping[str, Any]) -> None:
        self.inner._check(inputs)

    def _shown(self) -> inspect.Signature:
        return self.inner._shown()


def _checks(side: str, checks: Any, on_fail: Policy | str | None) -> tuple[Check, ...]:
    if isinstance(checks, str | Check) or not isinstance(checks, Iterable):
        raise UsageError(f"guard({side}=...) is a list of checks; got {brief(checks)}")
    found: dict[str, Check] = {}
    for given in cast("Iterable[Any]", checks):
        one = as_check(given)
        if not isinstance(one, Check):
            raise UsageError(f"guard({side}=...) holds checks, made with @ol.check or by ol.checks; got {brief(one)}")
        made = one if on_fail is None else one.with_policy(on_fail)
        refuse_retry(made, "guard")
        if found.setdefault(made.name, made) != made:
            raise UsageError(f"guard({side}=...) has two checks named {made.name!r}; use check.named('another_name')")
    return tuple(found.values())


def _inputs(module: Module) -> tuple[str, ...] | None:
    """The names of the inputs of a module; None when it takes any."""
    signature = getattr(module, "signature", None)
    if signature is not None:
        return tuple(signature.inputs)
    if isinstance(module, Guard):
        return _inputs(cast("Any", module).inner)
    how = forward_of(module)
    return None if how.takes_any else how.names
