"""What a strategy is: a module that answers a signature in its own way, and that another one can stand in for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, cast

from outlast.errors import UsageError, brief
from outlast.modules.module import Module, by_name
from outlast.modules.recipe import Recipe, opened, options_of, shown_option, subject_of
from outlast.modules.values import hidden_of, walk
from outlast.signatures.record import Prediction

if TYPE_CHECKING:
    from typing_extensions import ParamSpec, TypeVar

    from outlast.modules.predict import Predict
    from outlast.modules.streaming import Stream

    P = ParamSpec("P", default=...)  # of a string signature
    R = TypeVar("R", default=Prediction)
else:
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")


class Strategy(Module, Generic[P, R]):
    """A module that answers a signature. Every strategy takes the signature's inputs and gives its outputs, so one
    is swapped for another in one line: where it is written, or by `update(program, {"answer.strategy": ...})`.

    To write one: the first parameter of the constructor is `signature`, or `inner` (a module that answers it), or
    `parts` (several); every other parameter is kept in an attribute of its name, as it was given. Made without its
    first parameter it is a `Recipe`. A type checker knows inputs and result when that parameter is declared as
    `inner: Callable[P, R] | str | None = None` in a `class Mine(ol.Strategy[P, R])`.
    """

    blocking_safe: ClassVar[bool] = True
    _guards_signature: ClassVar[bool] = True  # False where every answer is one that a part gave to the same signature
    signature: Any

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **inputs: P.kwargs) -> R: ...  # pyright: ignore[reportIncompatibleMethodOverride]
        async def acall(self, *args: P.args, **inputs: P.kwargs) -> R: ...  # pyright: ignore[reportIncompatibleMethodOverride]
        def stream(self, *args: P.args, **inputs: P.kwargs) -> Stream[R]: ...  # pyright: ignore[reportIncompatibleMethodOverride]

    @classmethod
    def _instead(cls, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Recipe | None:
        """A recipe when there is no signature yet."""
        return opened(cls, args, kwargs)

    def _bind(self, args: tuple[Any, ...], inputs: dict[str, Any]) -> dict[str, Any]:
        signature = self.signature
        if signature is None or not args:
            return super()._bind(args, inputs)
        return bound_to(signature, args, inputs)

    def _shown(self) -> Any:
        if self.signature is None:
            return super()._shown()
        from outlast.modules.predict import shown_inputs

        return shown_inputs(self.signature)

    def __repr__(self) -> str:
        subject = subject_of(type(self))
        shown: list[str] = []
        for name, parameter in options_of(type(self)).items():
            if name not in vars(self):
                continue
            value = getattr(self, name)
            if name == subject:
                shown.append(getattr(value, "__name__", "") if name == "signature" else shown_option(value))
            elif parameter.default is parameter.empty or not _same(value, parameter.default):
                shown.append(f"{name}={shown_option(value)}")
        return f"{type(self).__name__}({', '.join(shown)})"


def bound_to(signature: Any, args: tuple[Any, ...], inputs: dict[str, Any]) -> dict[str, Any]:
    """Positional arguments by the names of the inputs, for a signature that takes them; raises `InputError`."""
    from outlast.errors import InputError

    names = tuple(signature.inputs)
    if not signature.__positional__:
        listed = ", ".join(f"{name}=..." for name in names)
        raise InputError(f"{signature.__name__} takes its inputs by name: {listed or 'it has none'}")
    return by_name(signature.__name__, names, args, inputs)


def as_module(inner: Any, subject: str) -> Module:
    """A module as it is; a signature becomes a `Predict` of it. Raises `UsageError` or `SignatureError`."""
    if isinstance(inner, Module):
        return inner
    if isinstance(inner, type) and issubclass(inner, Module):
        raise UsageError(f"{subject} takes a module, not a class of one; got {brief(inner)}: make an instance of it")
    from outlast.modules.predict import Predict

    return Predict(cast("Any", inner))


def signature_of(module: Module) -> Any:
    """The declared signature that a module answers, None for a program that has none."""
    return getattr(cast("Any", module), "signature", None) if isinstance(module, Strategy) else None


def recipe_of(module: Module) -> Any:
    """The strategy of a module without its signature and without what is tuned on it; a program that is no strategy
    stands for itself."""
    if not isinstance(module, Strategy):
        return module
    from outlast.modules.predict import TUNED

    kind = cast("type[Any]", type(cast("object", module)))
    subject = subject_of(kind)
    options: dict[str, Any] = {}
    for name, parameter in options_of(kind).items():
        if name in TUNED or name in ("types", "checks") or (name == subject == "signature"):
            continue
        value = _recipes(getattr(cast("Any", module), name))
        if parameter.default is parameter.empty or not _same(value, parameter.default):
            options[name] = value
    if subject == "inner" and options.get("inner") == Recipe(_predict(), {}):
        del options["inner"]
    return Recipe(kind, options)


def _predict() -> Any:
    from outlast.modules.predict import Predict

    return Predict


def _same(value: Any, default: Any) -> bool:
    try:
        return bool(value == default) or (value == () and default in ((), [], None))
    except Exception:  # a user's value may not know how to compare
        return value is default


def _recipes(value: Any) -> Any:
    """An option with the recipes of the modules in it."""
    if isinstance(value, Module):
        return recipe_of(value)
    if isinstance(value, tuple):
        return tuple(_recipes(item) for item in cast("tuple[Any, ...]", value))
    if isinstance(value, dict):
        return {key: _recipes(item) for key, item in cast("dict[Any, Any]", value).items()}
    return value


def as_recipe(value: Any, path: str) -> Recipe:
    """The recipe that a value at `...strategy` means; raises `UsageError` when it means none."""
    if isinstance(value, Recipe):
        return value
    if isinstance(value, type) and issubclass(value, Strategy):
        made = cast("Any", value)()
        if isinstance(made, Recipe):
            return made
    if isinstance(value, Strategy):
        raise UsageError(
            f"{path!r} takes a strategy without a signature, such as ol.ChainOfThought() or ol.BestOfN(n=5, ...); this "
            f"one has one: {brief(value)}. A whole module goes to {path.rpartition('.')[0]!r}"
        )
    raise UsageError(
        f"{path!r} takes a strategy such as ol.ChainOfThought() or ol.BestOfN(n=5, ...); got {brief(value)}"
    )


def swapped(old: Module, recipe: Recipe) -> Module:
    """The strategy that `recipe` says in place of `old`: it answers the same signature, with what is tuned on `old`.

    Descriptions, the order of outputs and demonstrations go to every part that answers the signature, the instruction
    also to helper steps, whose own begins with it; the model, the adapter and the settings to every part. What the
    recipe says itself stays.
    """
    from outlast.modules.paths import update

    signature = signature_of(old)
    if signature is None:
        raise UsageError(f"{type(old).__name__} answers no signature of its own, so it has no strategy to swap")
    new: Module = recipe.of(signature)
    source = main_of(old, signature)
    if source is not None:
        new = update(new, dict(_carried(source, new)))
    hidden_of(new).swapped = True
    return new


def main_of(module: Module, signature: Any) -> Predict[..., Any] | None:
    """The first part that asks a model for the outputs of `signature`, itself included."""
    predict = _predict()
    for _, part in walk(module):
        if isinstance(part, predict) and cast("Any", part).signature is signature:
            return cast("Any", part)
    return None


def _carried(source: Predict[..., Any], new: Module) -> Iterator[tuple[str, Any]]:
    predict = _predict()
    for path, part in walk(new):
        if not isinstance(part, predict):
            continue
        target = cast("Predict[..., Any]", part)
        dot = f"{path}." if path else ""
        for name in ("lm", "adapter"):
            if getattr(target, name) is None and getattr(source, name) is not None:
                yield f"{dot}{name}", getattr(source, name)
        if not target.settings.to_json() and source.settings.to_json():
            yield f"{dot}settings", source.settings
        told, own = source.signature.description, target.signature.description
        if target.instruction == own and source.instruction != told and (own == told or own.startswith(f"{told}\n\n")):
            yield f"{dot}instruction", source.instruction + own[len(told) :]
        if target.signature is not source.signature:
            continue
        known = target.asked().fields
        for name, text in source.fields.items():
            if name in known and name not in target.fields:
                yield f"{dot}fields.{name}", text
        if source.order and not target.order:
            yield f"{dot}order", tuple(name for name in source.order if name in known)
        if source.demos and not target.demos:
            demos = [replace(one, values={k: v for k, v in one.values.items() if k in known}) for one in source.demos]
            yield f"{dot}demos", tuple(demos)
        if source.shown is not None and target.shown is None:
            yield f"{dot}shown", source.shown


def refuse_same_draws(module: Module, n: int, subject: str) -> None:
    """Raise `UsageError` when several draws of a module would all be the same because it is told not to vary."""
    predict = _predict()
    for path, part in walk(module):
        if n > 1 and isinstance(part, predict) and cast("Any", part).settings.temperature == 0:
            where = f" at {path!r}" if path else ""
            raise UsageError(
                f"{subject} draws {n} answers, and temperature=0{where} makes them all the same; leave temperature to "
                f"the model or raise it"
            )
