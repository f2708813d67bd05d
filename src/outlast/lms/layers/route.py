"""A function decides which model a request goes to."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from outlast.errors import ConfigError, UsageError, brief, did_you_mean
from outlast.lms.layers.several import Several
from outlast.lms.layers.trying import Attempt, Mark
from outlast.lms.protocol import LM
from outlast.messages import Request, canonical

T = TypeVar("T")

Choose = Callable[[Request], str]


class Routed(Several):
    """Asks the one of `models` whose name `choose(request)` gives.

        def by_length(request):
            return "big" if len(request.messages) > 6 else "small"

        Routed(by_length, {"small": ..., "big": ...})

    `choose` is a plain function, called once for each call and each try; it is asked from any thread. A name that is
    not there is a `UsageError`. The identity of this layer is made of the names and identities of the models and of
    the module and qualified name of `choose`, not of its code: when you change what it does, rename it, or a cache
    around this layer answers by the old route. A cache inside each model has no such trouble. What has no name that
    tells it from others, such as a lambda, a closure or an object, raises `ConfigError` unless `identity` is given, a
    text that stands for its name. Cost: one call of the model chosen.
    """

    def __init__(self, choose: Choose, models: Mapping[str, LM | str], *, identity: str | None = None) -> None:
        if not callable(choose) or inspect.iscoroutinefunction(choose):
            raise ConfigError(f"choose is a plain function of the request that gives a name; got {brief(choose)}")
        if not isinstance(models, Mapping) or not all(isinstance(name, str) and name for name in models):
            raise ConfigError(f"models is a mapping of names to models; got {brief(models)}")
        self._chooser = _name_of(choose) if identity is None else identity
        if not isinstance(self._chooser, str) or not self._chooser:
            raise ConfigError(f"identity is text that names what choose does; got {brief(identity)}")
        super().__init__(tuple(models.values()))
        self.choose = choose
        self.models = dict(zip(models, self.members, strict=True))
        self._routed = Counter[str]()

    @property
    def identity(self) -> str:
        names = {name: member.identity for name, member in self.models.items()}
        return canonical(["Routed", self._chooser, names]).decode()

    async def reach(self, request: Request, attempt: Attempt[T]) -> tuple[T, Mark]:
        """The answer of the model chosen."""
        name = self.choose(request)
        member = self.models.get(name) if isinstance(name, str) else None
        if member is None:
            near = did_you_mean(name, self.models) if isinstance(name, str) else ""
            raise UsageError(
                f"{_named(self.choose)} routed a request to {brief(name)}, which is no model here.{near} "
                f"Models: {', '.join(self.models)}."
            )
        self._routed[name] += 1
        return await attempt(member), Mark()

    def facts(self) -> Mapping[str, Any]:
        return {"choose": _named(self.choose), "models": list(self.models), "routed": dict(self._routed)}


def _name_of(choose: Choose) -> str:
    """The name by which a function is known and no other. Raises `ConfigError` for what has none."""
    if not inspect.isfunction(choose) or choose.__name__ == "<lambda>" or choose.__closure__:
        kind = "a function within another" if inspect.isfunction(choose) and choose.__closure__ else brief(choose)
        raise ConfigError(
            f"caches know a route by the name of its function, and {kind} has none of its own: define choose with def "
            "at the top of a module, or name what it does with identity='by length, 1'"
        )
    return f"{choose.__module__}.{choose.__qualname__}"


def _named(choose: object) -> str:
    return getattr(choose, "__qualname__", type(choose).__qualname__)
