"""`Route`: the module that fits the input."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from outlast.errors import AnswerError, UsageError, brief, did_you_mean
from outlast.modules.attempts import Attempt, Outcome, told
from outlast.modules.module import Module
from outlast.modules.parts import one_signature, parts_of, taken
from outlast.modules.strategy import P, R, Strategy, as_module
from outlast.runtime import blocking, in_thread
from outlast.signatures.record import Prediction, Record, outputs_of


class Route(Strategy[P, R]):
    """Ask the one of `parts` that `by` names.

        ol.Route({"sum": Solve, "chat": Talk}, by="question -> kind: Literal['sum', 'chat']")

    `parts` are modules or signatures by name, that take and give the same. `by` is a function of the inputs,
    `by(inputs)`, or a signature or module that takes some of them; either gives the name of a part. Where it gives none
    of the names, `default` answers, and without one that is an error: `UsageError` for a function, `AnswerError` for a
    module, as its model said so. `out.outcome.facts["part"]` is the part that answered.
    Cost: that of the part, and of `by` when it is a module. To choose between models, not modules, see `ol.Routed`.
    """

    _guards_signature = False
    parts: Mapping[str, Any]
    by: Any
    default: str | None

    def __init__(
        self,
        parts: Mapping[str, Callable[P, R] | str],
        *,
        by: Callable[..., Any] | str,
        default: str | None = None,
    ) -> None:
        self.parts = parts_of(parts, "Route")
        if not isinstance(self.parts, Mapping):
            raise UsageError(f"Route takes its parts in a dict, by the names that by=... gives; got {brief(parts)}")
        self.signature = one_signature(self.parts, "Route")
        self.by = _chooser(by)
        self.default = default
        if default is not None and default not in self.parts:
            raise UsageError(
                f"Route(default=...) names a part; got {brief(default)}.{did_you_mean(str(default), self.parts)} "
                f"Parts: {', '.join(self.parts)}."
            )

    async def forward(self, /, **inputs: Any) -> Any:
        chosen = await self._chosen(inputs)
        name = chosen if isinstance(chosen, str) and chosen in self.parts else self.default
        if name is None:
            near = did_you_mean(chosen, self.parts) if isinstance(chosen, str) else ""
            subject = type(self.by).__name__ if isinstance(self.by, Module) else getattr(self.by, "__name__", "by")
            text = (
                f"Route: {subject} gave {brief(chosen)}, which is no part here.{near} Parts: {', '.join(self.parts)}."
            )
            raise AnswerError(text) if isinstance(self.by, Module) else UsageError(text)
        result = await self.parts[name].acall(**inputs)
        facts = {"part": name, **({} if chosen == name else {"asked_for": chosen})}
        return told(result, Outcome("Route", (Attempt(result, part=name),), 0, None, facts))

    async def _chosen(self, inputs: Mapping[str, Any]) -> Any:
        """What `by` says."""
        if isinstance(self.by, Module):
            try:
                found = await self.by.acall(**taken(self.by, inputs))
            except AnswerError:
                if self.default is None:
                    raise
                return None
            values = outputs_of(found) if isinstance(found, Record) else {"": found}
            texts = [value for value in values.values() if isinstance(value, str)]
            return texts[0] if len(texts) == 1 else found
        given = Prediction(**inputs)
        if inspect.iscoroutinefunction(self.by) or blocking():
            found = self.by(given)
        else:
            found = await in_thread(lambda: self.by(given))
        return await found if inspect.isawaitable(found) else found


def _chooser(by: Any) -> Any:
    """A plain function as it is; signatures become a `Predict`."""
    if isinstance(by, Module | str | type):
        return as_module(by, "Route")
    if not callable(by):
        raise UsageError(f"Route(by=...) is a function of the inputs, a signature or a module; got {brief(by)}")
    return by
