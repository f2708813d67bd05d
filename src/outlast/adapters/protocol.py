"""What an adapter is: it compiles what is invariant of a task once, then renders and reads single calls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from outlast.errors import UsageError, brief
from outlast.lms.protocol import Capabilities
from outlast.messages import NO_SETTINGS, Message, OutputSchema, Request, Response, Settings
from outlast.types import TRUSTED, Label


@dataclass(frozen=True, slots=True)
class Demo:
    """One demonstration: values of inputs and outputs by field name, possibly partial.

    `source` says where it came from (an example id, "hand"); `label` what it may be used for. Neither is shown
    to the model.
    """

    values: Mapping[str, Any]
    source: str = ""
    label: Label = TRUSTED

    def __hash__(self) -> int:
        return hash((tuple(sorted(self.values)), self.source))


@dataclass(frozen=True, slots=True)
class Task:
    """All that is invariant between the calls of one predictor."""

    signature: Any
    instruction: str
    descriptions: Mapping[str, str] = field(default_factory=dict[str, str])
    demos: tuple[Demo, ...] = ()
    settings: Settings = NO_SETTINGS

    def describe(self, name: str) -> str:
        """The description of a field, tuned or declared."""
        found = self.descriptions.get(name)
        return self.signature.fields[name].desc if found is None else found


@dataclass(frozen=True, slots=True)
class Prepared:
    """One call, ready to send: the messages, and how to read the reply.

    `read` gives the output values by name in signature order, or raises `ParseError`.
    """

    messages: tuple[Message, ...]
    read: Callable[[Response], dict[str, Any]]
    output: OutputSchema | Literal["json"] | None = None

    def request(self, settings: Settings, sample: int, label: Label) -> Request:
        """The request for a model."""
        return Request(self.messages, settings, self.output, sample, label)


class Plan(ABC):
    """A task compiled for one adapter: everything that does not depend on the inputs is done."""

    @abstractmethod
    def prepare(self, inputs: Mapping[str, Any]) -> Prepared:
        """Render one call. `inputs` are checked values by name. Makes no LM call."""


class Adapter(ABC):
    """How a signature becomes messages and a reply becomes values. A value: equal settings are equal adapters.

    `reasks` is how many times a reply that cannot be read is answered with its error in the same conversation;
    then `fallback`, when there is one, starts afresh with its own limit. A question costs at most
    1 + reasks (+ 1 + fallback.reasks) LM calls.
    """

    reasks: int
    fallback: Adapter | None

    @abstractmethod
    def compile(self, task: Task, capabilities: Capabilities) -> Plan:
        """The plan for a task on a model with these capabilities. Raises `SignatureError` when it cannot."""


def check_limits(adapter: Adapter) -> None:
    """Raise `UsageError` unless `reasks` is a count and `fallback` an adapter or None."""
    name, reasks, fallback = type(adapter).__name__, adapter.reasks, adapter.fallback
    if isinstance(reasks, bool) or not isinstance(reasks, int) or reasks < 0:
        raise UsageError(f"{name}(reasks=...) is a whole number, 0 or more; got {brief(reasks)}")
    if fallback is not None and not isinstance(fallback, Adapter):
        raise UsageError(f"{name}(fallback=...) is an adapter such as JSON(), or None; got {brief(fallback)}")
