"""`Check`: one object that says whether values are acceptable, to serve, to evaluate, to search and to test."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar, cast, overload

from outlast.checks.policy import Policy, as_policy
from outlast.errors import CheckFailed, MetricError, UsageError, brief, did_you_mean
from outlast.runtime import blocking, in_thread, run_blocking
from outlast.signatures.record import Record, fields_of

F = TypeVar("F", bound=Callable[..., Any])
Cost = Literal["cheap", "slow", "model"]
COSTS: tuple[Cost, ...] = ("cheap", "slow", "model")


@dataclass(frozen=True, slots=True)
class Found:
    """A place in a field where something was found: characters `start` to `end` (not included) of its text."""

    field: str
    start: int
    end: int
    kind: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check says of one set of values.

    `message` says what is wrong and what would be right, in words that a person and a model can act on. `score` is
    0..1 for checks with degrees, None for those that say only yes or no. `found` are the places, `fix` holds by field
    name the values that would mend it, where the check can tell. `undo` goes with the fix of an input: what stands in
    it in place of what, `{"<EMAIL_1>": "ann@example.com"}`; an answer made from the fixed input gets that put back.
    """

    ok: bool
    message: str = ""
    score: float | None = None
    found: tuple[Found, ...] = ()
    fix: Mapping[str, Any] | None = None
    undo: Mapping[str, str] | None = field(default=None, repr=False)  # what must not be shown

    def __post_init__(self) -> None:
        if not isinstance(self.ok, bool) or not isinstance(self.message, str):
            raise UsageError(
                f"CheckResult(ok, message) is a bool and a text; got {brief(self.ok)} and {brief(self.message)}"
            )
        if self.score is not None and not (isinstance(self.score, int | float) and 0 <= self.score <= 1):
            raise UsageError(f"CheckResult(score=...) is a number from 0 to 1, or None; got {brief(self.score)}")

    def __bool__(self) -> bool:
        return self.ok


_FINE = CheckResult(True)
_PLAIN = (bool, CheckResult, tuple, type(None))


@dataclass(frozen=True, eq=False, repr=False)
class Check:
    """Says whether values are acceptable, without a reference: `function(**{name: value of each field in needs})`.

    The function gives a bool, `(bool, message)`, a `CheckResult`, or None where it does not apply (a guard passes then,
    a metric is unscored). It may be `async`. One object, four uses: as a metric (`ol.evaluate(p, data, check)`, or
    `checks=[...]` beside one), on a signature or module (`on_fail` says what happens there), in `ol.guard(...)`, and in
    a test (`check.demand(...)`). Its message is the feedback that optimizers see.

    `needs` are names of inputs and outputs; a plain result has the name `answer`. A check that needs inputs only runs
    before the model is asked. `each` applies it to every item of the one list that it needs. `cost` orders checks:
    "cheap" ones first, then "slow" ones, then those that ask models; a failure ends the series. `early` allows a stream
    to show an answer before the check has seen all of it. Cost of a call: the LM calls of the function, none for the
    built-in ones.
    """

    function: Callable[..., Any]
    name: str
    needs: tuple[str, ...]
    on_fail: Policy
    message: str = ""
    cost: Cost = "cheap"
    each: bool = False
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    early: bool = False

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(self, *args: Any, **values: Any) -> Any:
        """Call the function itself."""
        return self.function(*args, **values)

    def __get__(self, instance: Any, owner: type | None = None) -> Check:
        return self

    def with_policy(self, on_fail: Policy | str) -> Check:
        """The same check with another policy."""
        return replace(self, on_fail=_policy(on_fail, self.name, each=self.each))

    def named(self, name: str) -> Check:
        """The same check under another name, which reports and `out.checks` use."""
        if not isinstance(name, str) or not name.isidentifier():
            raise UsageError(f"the name of a check is a Python identifier; got {brief(name)}")
        return replace(self, name=name)

    def shown_early(self) -> Check:
        """The same check, which a stream does not wait for: an answer that fails is shown and taken back."""
        return replace(self, early=True)

    def fit(self, signature: str, fields: Mapping[str, Any]) -> None:
        """Raise `SignatureError` where it cannot be run on a signature of this name with these fields."""
        from outlast.checks.fitting import fit

        fit(self, signature, fields)

    def run(self, values: Mapping[str, Any]) -> CheckResult | None:
        """The result for values by field name; None where the check does not apply. Cost: that of the check.

        Raises `UsageError` when a field that it needs is not there, `MetricError` when the function gives something
        else, and what the function raises.
        """
        found: list[CheckResult | None] = []

        async def ask() -> None:
            found.append(await self.arun(values))

        run_blocking(ask)
        return found[0]

    async def arun(self, values: Mapping[str, Any]) -> CheckResult | None:
        """`run` from async code. A plain "slow" or "model" function runs in a thread there."""
        values = _by_name(values)
        for name in self.needs:
            if name not in values:
                raise UsageError(
                    f"check {self.name!r} needs the field {name!r}, which is not there."
                    f"{did_you_mean(name, map(str, values))} Fields: {', '.join(map(str, values)) or 'none'}."
                )
        if not self.each:
            return await self._once([values[name] for name in self.needs])
        given: Any = values[self.needs[0]]
        if given is None:
            return None
        if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
            raise UsageError(
                f"check {self.name!r} (each=True) looks at the items of the list {self.needs[0]!r}; got {brief(given)}"
            )
        items = list(cast("Iterable[Any]", given))
        from outlast.checks.items import of_items

        return of_items(self, items, [await self._once([item]) for item in items])

    def demand(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Raise `CheckFailed`, which is an `AssertionError` too, when the values do not pass: the check as a test."""
        given = {**_by_name({} if values is None else values), **more}
        result = self.run(given)
        if result is not None and not result.ok:
            raise CheckFailed(self.told(result), check=self.name, result=result, values=given)

    def told(self, result: CheckResult) -> str:
        """What is wrong, in words."""
        return result.message or self.message or f"the check {self.name!r} does not pass"

    async def _once(self, args: list[Any]) -> CheckResult | None:
        given = dict(zip(self.needs, args, strict=True))
        if self.cost != "cheap" and not blocking() and not inspect.iscoroutinefunction(self.function):
            value = await in_thread(lambda: self.function(**given))
        else:
            value = self.function(**given)
        if type(value) not in _PLAIN and inspect.isawaitable(value):
            # An async function of the user's may need an event loop, which a blocking call has none of.
            value = run_blocking(lambda: _awaited(value), visiting=True) if blocking() else await value
        return self._read(value)

    def _read(self, value: Any) -> CheckResult | None:
        if value is None:
            return None
        if isinstance(value, CheckResult):
            return value if value.ok or value.message else replace(value, message=self.message)
        if isinstance(value, bool):
            return _FINE if value else CheckResult(False, self.message)
        if isinstance(value, tuple):
            match cast("tuple[Any, ...]", value):
                case (bool() as ok, str() as message):
                    return CheckResult(ok, message)
                case _:
                    pass
        raise MetricError(
            f"check {self.name!r} gives a bool, (bool, message), ol.CheckResult(...) or None; got {brief(value)}"
        )

    @property
    def _key(self) -> tuple[Any, ...]:
        function = getattr(self.function, "__outlast_identity__", self.function)
        return function, self.name, self.needs, self.message, self.cost, self.each, self.early

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Check):
            return NotImplemented
        return self._key == other._key and self.on_fail == other.on_fail

    def __hash__(self) -> int:
        return hash(self._key)

    def __reduce__(self) -> Any:
        from outlast.checks.fitting import reduced

        return reduced(self)

    def __repr__(self) -> str:
        parts = [repr(self.name), f"needs={', '.join(self.needs)}", f"on_fail={self.on_fail}"]
        return f"Check({'; '.join(parts)})"


async def _awaited(value: Any) -> Any:
    return await value


def _by_name(values: Any) -> Mapping[str, Any]:
    """Values by field name: a mapping, or what a program gave."""
    if isinstance(values, Record):
        return fields_of(values)
    if isinstance(values, Mapping):
        return cast("Mapping[str, Any]", values)
    raise UsageError(f"a check looks at values by field name, such as {{'answer': ...}}; got {brief(values)}")


@overload
def check(function: Callable[..., Any], /) -> Check: ...
@overload
def check(
    *,
    on_fail: Policy | str = "raise",
    message: str = "",
    name: str | None = None,
    needs: Iterable[str] | None = None,
    cost: Cost = "cheap",
    each: bool = False,
    early: bool = False,
) -> Callable[[Callable[..., Any]], Check]: ...
def check(
    function: Callable[..., Any] | None = None,
    /,
    *,
    on_fail: Policy | str = "raise",
    message: str = "",
    name: str | None = None,
    needs: Iterable[str] | None = None,
    cost: Cost = "cheap",
    each: bool = False,
    early: bool = False,
) -> Check | Callable[[Callable[..., Any]], Check]:
    """Make a function a `Check`. Its parameters name the fields that it looks at, inputs or outputs.

        @ol.check(on_fail="retry", message="Quote the passage that says so.")
        def quotes_source(answer: str, context: str) -> bool:
            return any(part in context for part in quoted(answer))

    `on_fail` says what happens on a signature, a module or in a guard: "retry", "fix", "filter", "abstain", "raise",
    "log", or a policy of `ol.checks` (`retry(3, then="abstain")`, `fallback(value)`). In a class body type checkers
    take a first parameter with a type for `self`: put `@staticmethod` below `@ol.check` there. Raises `UsageError` for
    a function whose parameters cannot be given by name.
    """

    def make(function: Callable[..., Any]) -> Check:
        if isinstance(function, staticmethod):  # what type checkers want in a class body
            function = cast("Callable[..., Any]", function.__func__)
        called = name or getattr(function, "__name__", type(function).__name__)
        wanted = _parameters(function, called) if needs is None else _needed(function, needs, called)
        if not wanted:
            raise UsageError(f"check {called!r} looks at no field; its parameters name those that it looks at")
        if each and len(wanted) != 1:
            raise UsageError(f"check {called!r} with each=True looks at one list; it needs {', '.join(wanted)}")
        if cost not in COSTS:
            raise UsageError(f"check {called!r}: cost is one of {', '.join(COSTS)}; got {cost!r}")
        policy = _policy(on_fail, called, each=each)
        made = Check(function, called, wanted, policy, message, cost, each, {}, early)
        object.__setattr__(made, "__doc__", inspect.getdoc(function))
        return made

    return make if function is None else make(function)


def as_check(thing: Any) -> Any:
    """The check that something stands for, when it does: judges and classifiers give one. Other things as they are."""
    if isinstance(thing, Check | type) or not callable(getattr(thing, "as_check", None)):
        return thing
    return thing.as_check()


def built(
    name: str,
    needs: tuple[str, ...],
    function: Callable[..., Any],
    *,
    on_fail: Policy | str = "raise",
    message: str = "",
    cost: Cost = "cheap",
    each: bool = False,
    early: bool = False,
    **options: Any,
) -> Check:
    """A check of a factory: `function` gets the values of `needs` in their order; `options` are what the factory was
    called with, and make up the identity of the check together with the name, so that equal calls are equal checks."""

    def look(*given: Any, **values: Any) -> Any:
        return function(*given, *[values[name] for name in needs[len(given) :]])

    identity = f"outlast.checks.{name}{needs!r}{sorted(options.items(), key=lambda item: item[0])!r}"
    setattr(look, "__outlast_identity__", identity)  # noqa: B010 - functions declare no such attribute
    made = check(on_fail=on_fail, message=message, name=name, needs=needs, cost=cost, each=each, early=early)(look)
    return replace(made, options=options)


def _policy(on_fail: Policy | str, name: str, *, each: bool) -> Policy:
    found = as_policy(on_fail, f"check {name!r}")
    step: Policy | None = found
    while step is not None:
        if step.action == "filter" and not each:
            raise UsageError(f"check {name!r}: on_fail='filter' leaves out items of a list; say each=True")
        step = step.then
    return found


def _needed(function: Callable[..., Any], needs: Any, name: str) -> tuple[str, ...]:
    """The fields that a check says it needs; its function has to take them by these names."""
    listed = [needs] if isinstance(needs, str) or not isinstance(needs, Iterable) else cast("Iterable[Any]", needs)
    wanted: tuple[str, ...] = tuple(listed)
    for one in wanted:
        if not isinstance(one, str) or not one:
            raise UsageError(f"check {name!r}: needs are names of fields; got {brief(one)}")
    try:
        inspect.signature(function).bind(**dict.fromkeys(wanted))
    except TypeError as error:
        raise UsageError(f"check {name!r} is called with {', '.join(wanted)} by name: {error}") from None
    except ValueError:  # one of C, which does not tell
        pass
    return wanted


def _parameters(function: Callable[..., Any], name: str) -> tuple[str, ...]:
    if not callable(function) or isinstance(function, type):
        raise UsageError(f"a check is a function of fields; got {brief(function)}")
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError as error:
        raise UsageError(f"check {name!r}: its parameters cannot be read; name the fields with needs=(...)") from error
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise UsageError(f"check {name!r} takes {parameter}; its parameters are names of fields")
    return tuple(p.name for p in parameters if p.default is p.empty)
