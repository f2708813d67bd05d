"""What an adapter is: it compiles what is invariant of a task once, then renders and reads single calls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from outlast.errors import ParseError, UsageError, brief
from outlast.lms.protocol import LM, Capabilities, send
from outlast.messages import (
    NO_SETTINGS,
    Message,
    OutputSchema,
    Question,
    Request,
    Response,
    Settings,
    TextPart,
    Turn,
    assistant,
    tool_result,
    user,
)
from outlast.types import TRUSTED, Label, Tool
from outlast.types.shown import Shelf

if TYPE_CHECKING:
    from outlast.adapters.partial import PartialReader

_NOTHING_SAID = "(empty reply)"  # providers refuse an empty turn


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
class Nearest:
    """Show, at each call, the `k` demonstrations whose inputs are most like those of the call; the nearest comes last.

    It stands at `<path>.shown`, and makes a pool of `<path>.demos`. Likeness is the cosine of words and character
    n-grams, weighed as in tf-idf over the pool: no model is asked, and equal inputs see equal demonstrations. Costs
    0.6 ms of CPU a call with 1,000 short texts, and the prompt has no common beginning that a provider could cache
    beyond the instruction.
    Source: kNN-selected in-context examples, Liu et al. 2022 (arXiv 2101.06804).
    """

    k: int = 8

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int) or self.k < 1:
            raise UsageError(f"Nearest(k=...) is a whole number from 1; got {brief(self.k)}")


@dataclass(frozen=True, slots=True)
class Task:
    """All that is invariant between the calls of one predictor. `shown` None shows all `demos` at every call."""

    signature: Any
    instruction: str
    descriptions: Mapping[str, str] = field(default_factory=dict[str, str])
    demos: tuple[Demo, ...] = ()
    settings: Settings = NO_SETTINGS
    shown: Nearest | None = None

    def describe(self, name: str) -> str:
        """The description of a field, tuned or declared."""
        found = self.descriptions.get(name)
        return self.signature.fields[name].desc if found is None else found


def say_again(response: Response, error: ParseError) -> tuple[Message, ...]:
    """The turns that tell a model what was wrong with its reply: the reply, then the error in `error.for_model`.

    A reply that called tools gets the error as the result of its calls, as providers demand it.
    """
    if response.tool_calls:
        return (response.message, *(tool_result(call, error.for_model, error=True) for call in response.tool_calls))
    if response.text.strip():
        return response.message, user(error.for_model)
    said = Message("assistant", (*response.thoughts, TextPart(_NOTHING_SAID)))
    return said if response.thoughts else assistant(_NOTHING_SAID), user(error.for_model)


class Given(NamedTuple):
    """What is handed to a model in the middle of a conversation: texts by name, which are data, and a word of ours."""

    texts: tuple[tuple[str, str], ...] = ()
    note: str = ""


# What follows the question of a call: a reply in the form of the adapter (the outputs of a `Turn`), messages as they
# are, and what the model is given in between.
Following = Turn | Message | Given


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A second question that a reply leads to; its answer is the answer.

    `adapter` asks `lm` for the outputs of `signature` with these `inputs`, with the model's own default settings and
    within the limits of the adapter; `plans` gives the compiled plan of an adapter. The trace names `asker`.
    """

    signature: Any
    inputs: Mapping[str, Any]
    lm: LM
    adapter: Adapter
    plans: Callable[[Adapter], Plan]
    asker: str = ""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One call, ready to send: the messages, and how to read the reply.

    `read` gives the output values by name in signature order, or the question to ask next, or raises `ParseError`.
    `again` gives the turns that answer a reply which raised one; `tools` are what the model may call for its answer.
    `questions` are typed ones; `ask` puts the request to a model. `more` gives this call with turns that follow.
    `partial` gives a reader for the pieces of one reply, for streams; without one, nothing of a reply is shown before
    `read` has read it.
    """

    messages: tuple[Message, ...]
    read: Callable[[Response], dict[str, Any] | FollowUp]
    output: OutputSchema | Literal["json"] | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    again: Callable[[Response, ParseError], tuple[Message, ...]] = say_again
    questions: tuple[tuple[str, Question], ...] = ()
    ask: Callable[[LM, Request], Coroutine[Any, Any, Response]] = send
    more: Callable[[Sequence[Following]], Prepared] | None = None
    partial: Callable[[], PartialReader] | None = None

    def then(self, following: Sequence[Following]) -> Prepared:
        """This call with turns after its question and the turns that it has: a conversation that goes on.

        What they hold is data of the call: it never reads as structure, nor as an answer when a reply repeats it.
        Only what is new is rendered, unless it needs other guards. Raises `UsageError` for an adapter that cannot.
        """
        if not following:
            return self
        if self.more is None:
            raise UsageError("this adapter cannot go on with a conversation: its Prepared has no `more`; use ol.Chat()")
        return self.more(following)

    def request(self, settings: Settings, sample: int, label: Label) -> Request:
        """The request for a model."""
        return Request(
            self.messages, settings, self.output, sample, label, self.tools, self.tool_choice, self.questions
        )


class Slots(NamedTuple):
    """What one call puts into the outline of its prompt.

    `texts` stand for the inputs, `shelf` holds their media; `turns` are the earlier turns, which go before the last
    message; `nonce` guards the marks of the call, "" when nothing need be guarded.
    """

    texts: Mapping[str, str]
    shelf: Shelf
    turns: tuple[Message, ...] = ()
    nonce: str = ""


class Plain(NamedTuple):
    """Which text goes into a prompt just as it is: one without any of `without`, in quotes when `quoted`."""

    without: tuple[str, ...] = ()
    quoted: bool = False


class Plan(ABC):
    """A task compiled for one adapter: everything that does not depend on the inputs is done.

    `outline` and `slots` together are `prepare`, for `export`; a plan without them cannot be exported. `usual` is the
    nonce of calls whose data need no guard, `plain` says which text goes in as it is.
    """

    plain: Plain = Plain()
    usual: str = ""

    @abstractmethod
    def prepare(self, inputs: Mapping[str, Any]) -> Prepared:
        """Render one call. `inputs` are checked values by name. Makes no LM call."""

    def outline(self, marks: Mapping[str, str], nonce: str) -> Prepared:
        """The prompt of a call without earlier turns, in which `marks` stand for the inputs. It reads no reply."""
        raise UsageError(f"{type(self).__name__} cannot be exported: it has no outline(marks, nonce)")

    def slots(self, inputs: Mapping[str, Any]) -> Slots:
        """What `prepare` puts in place of the marks for these inputs."""
        raise UsageError(f"{type(self).__name__} cannot be exported: it has no slots(inputs)")


def unread(response: Response) -> dict[str, Any]:
    """The `read` of an outline, which was never sent."""
    raise UsageError(f"an outline reads no reply; got {brief(response.text)}")


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
        """The plan for a task on a model with these capabilities.

        Raises `SignatureError` when no model could, `LMUnsupported` when this one cannot; then `fallback` is used.
        """


def check_limits(adapter: Adapter) -> None:
    """Raise `UsageError` unless `reasks` is a count and `fallback` an adapter or None."""
    name, reasks, fallback = type(adapter).__name__, adapter.reasks, adapter.fallback
    if isinstance(reasks, bool) or not isinstance(reasks, int) or reasks < 0:
        raise UsageError(f"{name}(reasks=...) is a whole number, 0 or more; got {brief(reasks)}")
    if fallback is not None and not isinstance(fallback, Adapter):
        raise UsageError(f"{name}(fallback=...) is an adapter such as JSON(), or None; got {brief(fallback)}")
