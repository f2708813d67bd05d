"""A strategy without a signature yet: what `ol.BestOfN(n=5, reward=...)` is, and what `update` puts in a program."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, cast

from outlast.errors import SignatureError, UsageError, brief, refuse_unknown

if TYPE_CHECKING:
    from outlast.modules.strategy import Strategy

_SUBJECTS = ("signature", "inner", "parts")  # names of the first parameter of a strategy


class Recipe:
    """A strategy and its options, without a signature: `ol.BestOfN(n=5, reward=short)`.

    `update(program, {"answer.strategy": recipe})` puts it where `answer` is, with the signature of that; `recipe.of(
    signature)` makes a module of it. A value: equal options are equal recipes. Options are checked when it is made.
    """

    __slots__ = ("kind", "options")

    def __init__(self, kind: type[Strategy], options: Mapping[str, Any]) -> None:
        self.kind = kind
        self.options = dict(options)

    def of(self, signature: Any) -> Any:
        """The module that answers `signature` in this way. Raises `UsageError` for options that cannot be, and
        `SignatureError` for a signature that the strategy cannot answer."""
        subject = subject_of(self.kind)
        options = {name: _bound(value, signature) for name, value in self.options.items()}
        if subject is not None and subject not in options:
            options = {subject: signature, **options}
        return self.kind(**options)

    def checked(self) -> Recipe:
        """This, when its options can be; raises what making a module of it raises."""
        with contextlib.suppress(SignatureError):  # it may still answer another signature
            self.of("question -> answer")
        return self

    def __call__(self, *args: Any, **inputs: Any) -> NoReturn:
        raise UsageError(
            f"{self!r} has no signature yet: give it one, {self.kind.__name__}(QA, ...), or put it into a program with "
            f"update(program, {{'answer.strategy': ...}})"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Recipe):
            return NotImplemented
        return self.kind is other.kind and self._all() == other._all()

    def __hash__(self) -> int:
        return hash((self.kind, tuple(sorted(self.options))))

    def _all(self) -> dict[str, Any]:
        """The options with those that were left out."""
        found = {name: one.default for name, one in options_of(self.kind).items() if one.default is not one.empty}
        return {name: _plain(value) for name, value in {**found, **self.options}.items()}

    def __repr__(self) -> str:
        subject = subject_of(self.kind)
        shown = [
            shown_option(value) if name == subject else f"{name}={shown_option(value)}"
            for name, value in self.options.items()
        ]
        return f"{self.kind.__name__}({', '.join(shown)})"

    def __reduce__(self) -> Any:
        return Recipe, (self.kind, self.options)


def shown_option(value: Any) -> str:
    """An option in a few words: functions and classes by their names."""
    if callable(value) and isinstance(getattr(value, "__name__", None), str):
        return value.__name__
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown_option, cast('list[Any]', value)))}]"
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return f"{{{', '.join(f'{key!r}: {shown_option(item)}' for key, item in items)}}}"
    return brief(value, 200)


def _plain(value: Any) -> Any:
    """Lists and dicts in the form that modules keep them in."""
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in cast("list[Any]", value))
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    return value


def _bound(value: Any, signature: Any) -> Any:
    """An option with the signature given to the recipes in it."""
    if isinstance(value, Recipe):
        return value.of(signature)
    if isinstance(value, list | tuple):
        return tuple(_bound(item, signature) for item in cast("list[Any]", value))
    if type(value) is dict:
        return {key: _bound(item, signature) for key, item in cast("dict[Any, Any]", value).items()}
    return value


def holds_recipe(value: Any) -> bool:
    """Whether a recipe stands in an option, alone or in a list or a dict."""
    if isinstance(value, Recipe):
        return True
    if isinstance(value, list | tuple):
        return any(isinstance(item, Recipe) for item in cast("list[Any]", value))
    return type(value) is dict and any(isinstance(item, Recipe) for item in cast("dict[Any, Any]", value).values())


class _Constructor(NamedTuple):
    """What the constructor of a strategy takes: the name of what it is made for, its options, and whether any other."""

    made: Callable[..., Any]
    subject: str | None
    options: dict[str, inspect.Parameter]
    takes_any: bool


_read: dict[type, _Constructor] = {}


def _constructor(kind: type) -> _Constructor:
    """What the constructor takes; read once a class."""
    found = _read.get(kind)
    made = cast("Callable[..., Any]", kind.__init__)
    if found is None or found.made is not made:
        rest = list(inspect.signature(made).parameters.values())[1:]
        subject = rest[0].name if rest and rest[0].name in _SUBJECTS else None
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in rest)
        found = _read[kind] = _Constructor(
            made, subject, {one.name: one for one in rest if one.kind in named}, takes_any
        )
    return found


def subject_of(kind: type) -> str | None:
    """The first parameter of a strategy when it is what the strategy is made for."""
    return _constructor(kind).subject


def options_of(kind: type) -> dict[str, inspect.Parameter]:
    """The named parameters of a strategy."""
    return _constructor(kind).options


def opened(kind: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Recipe | None:
    """The recipe that a construction without a signature means; None when it means a module."""
    if not _constructor(kind).takes_any:
        refuse_unknown(kwargs, options_of(kind), kind.__name__)
    subject = subject_of(kind)
    if subject is None:
        return None
    lacks = not args and subject not in kwargs and subject != "parts"
    if not lacks and not any(map(holds_recipe, _values(args, kwargs))):
        return None
    names = list(options_of(kind))
    if len(args) > len(names):
        raise UsageError(f"{kind.__name__} takes at most {len(names)} arguments; got {len(args)}")
    options: dict[str, Any] = dict(zip(names, args, strict=False))
    for name, value in kwargs.items():
        if name in options:
            raise UsageError(f"{kind.__name__} got {name!r} twice")
        options[name] = value
    return Recipe(kind, options).checked()


def _values(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[Any]:
    yield from args
    yield from kwargs.values()
