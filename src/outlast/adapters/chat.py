"""Fields under markers: the adapter that any chat model can follow."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from outlast.adapters.echoes import Held, held_by
from outlast.adapters.extract import Unfit, Wanted, find_object, repeats, whole_object, without_thinking
from outlast.adapters.forms import doubtful, forms_of, is_repeated
from outlast.adapters.layout import cacheable, failed, heading, read_fields, refuse_unfinished
from outlast.adapters.markers import Markers, Unreadable, nonce_for
from outlast.adapters.placing import earlier, placed, shown_inputs, texts_in, with_thoughts, written
from outlast.adapters.protocol import (
    Adapter,
    Demo,
    Following,
    Given,
    Plain,
    Plan,
    Prepared,
    Slots,
    Task,
    check_limits,
    unread,
)
from outlast.adapters.tags import Tags
from outlast.adapters.turns import FieldTexts, Rendered, Shown, given_texts, shared, texts_of
from outlast.errors import ParseError
from outlast.lms.protocol import Capabilities
from outlast.messages import Message, Response, Thought, Turn, assistant, system, user
from outlast.signatures.codec import PLACEHOLDER, Codec, codecs
from outlast.signatures.jsontext import DuplicateKey
from outlast.signatures.leads import visible, without_lead

if TYPE_CHECKING:
    from outlast.adapters.partial import PartialReader

_ECHO = "it only repeats what stands in an input"


@dataclass(frozen=True, slots=True)
class Chat(Adapter):
    """Every field stands under its marker: `<<team>>`, then the value; `<<end>>` closes.

    Reads what sloppy models write: markers in the middle of a line, no end marker, code fences, prose around,
    fields in another order, a JSON object instead of markers, and the bare value where only one is asked for.
    A field given twice is an error, and so is a reply that was cut off. When data holds text that looks like a
    marker, all markers of that call carry a nonce that the data does not hold, so that data never reads as structure.
    """

    reasks: int = 2
    fallback: Adapter | None = None

    def __post_init__(self) -> None:
        check_limits(self)

    def compile(self, task: Task, capabilities: Capabilities) -> Plan:
        """The plan for a task; of the model's capabilities only citations matter."""
        return ChatPlan(task, cites=capabilities.citations)


class ChatPlan(Plan):
    """A task whose system message and demonstrations are rendered, in the form that `grammar` gives."""

    grammar: type[Markers] | type[Tags] = Markers
    kept_tags: Container[str] = ()  # names of tags that are no thinking

    def __init__(self, task: Task, *, cites: bool = False) -> None:
        """`cites` says that the model takes documents apart, to cite them."""
        self.task = task
        self.signature: Any = task.signature
        self.cites = cites
        table = codecs(self.signature)
        self.inputs = shown_inputs(self.signature)
        self.outputs: list[tuple[str, Codec]] = [(name, table[name]) for name in self.signature.outputs]
        end = "end"
        while end in self.signature.fields:
            end += "_of_reply"
        self.markers = self.grammar(
            list(self.signature.outputs), list(self.signature.inputs), end, lambda name: table[name].takes_text
        )
        self.wanted = Wanted.outputs_of(self.signature)
        self.forms = forms_of(self.signature)
        self.heading = heading(task)
        self.demos = [self._demo(demo) for demo in task.demos]
        self._texts = [self.heading, *(text for demo in self.demos for text in demo.texts)]
        self._spare = ""  # the nonce of calls that need one, made at the first
        guarded = self.markers.holds(self.heading) or any(demo.marked for demo in self.demos)
        self.usual = self._nonce() if guarded else ""
        self._prefixes = {self.usual: self._prefix(self.usual)}
        self._requests = {self.usual: self.markers.request(self.usual)}

    def prepare(self, inputs: Mapping[str, Any]) -> Prepared:
        """Render one call."""
        return self._rendered(inputs, ())

    def _rendered(self, inputs: Mapping[str, Any], following: Sequence[Following]) -> Prepared:
        shown = given, shelf = written(self.inputs, inputs, cites=self.cites)
        turns = self._earlier(inputs)
        held = given_texts(shown) + texts_of(turns) if turns else given_texts(shown)
        held = held + self._data_of(following) if following else held
        nonce = self._other_nonce(held) if following and self._named(following) else self.nonce(held)
        prefix = self._prefixed(nonce)
        said = cacheable(self._said(turns, nonce)) if turns else ()
        messages = (*prefix, *said, placed("user", self._question(given, nonce), shelf))
        if following:
            messages += tuple(self._followed(following, nonce))
        return self._ready(inputs, following, nonce, messages)

    def _ready(
        self, inputs: Mapping[str, Any], following: Sequence[Following], nonce: str, messages: tuple[Message, ...]
    ) -> Prepared:
        def read(response: Response) -> dict[str, Any]:
            return self._read(response, nonce, lambda: held_by(self.task, inputs, following))

        def more(new: Sequence[Following]) -> Prepared:
            every = (*following, *new)
            if self._guarded(self._data_of(new), self._named(new), nonce):
                return self._ready(inputs, every, nonce, (*messages, *self._followed(new, nonce)))
            return self._rendered(inputs, every)

        return Prepared(messages, read, more=more, partial=lambda: self.partial(nonce))

    def _data_of(self, following: Sequence[Following]) -> list[str]:
        """All texts of turns that follow a question."""
        found: list[str] = []
        for turn in following:
            if isinstance(turn, Turn):
                found += [text for _, text in self._answer(turn.outputs)]
            else:
                found += texts_in(turn) if isinstance(turn, Message) else [text for _, text in turn.texts]
        return found

    def _named(self, following: Sequence[Following]) -> bool:
        """Whether a text that is given within a conversation holds the name that it is given under."""
        return any(
            name in text and any(sign in text for sign in self.grammar.special)
            for turn in following
            if isinstance(turn, Given)
            for name, _ in turn.texts
            for _, text in turn.texts
        )

    def _guarded(self, texts: Sequence[str], named: bool, nonce: str) -> bool:
        """Whether markers with this nonce are safe from texts."""
        if nonce:
            return not any(nonce in text for text in texts)
        return not named and not any(self.markers.holds(text) for text in texts)

    def _followed(self, following: Sequence[Following], nonce: str) -> list[Message]:
        """Turns after a question, as messages in the form of this adapter."""
        messages: list[Message] = []
        for turn in following:
            if isinstance(turn, Message):
                messages.append(turn)
            elif isinstance(turn, Turn):
                reply = assistant(self.markers.answer(self._answer(turn.outputs), nonce))
                messages += with_thoughts([reply], turn.thoughts)
            else:
                section = self.markers.section(turn.texts, nonce) if turn.texts else ""
                request = self._requests.get(nonce) or self.markers.request(nonce)
                messages.append(user("\n\n".join(filter(None, (section, turn.note, request)))))
        return messages

    def partial(self, nonce: str) -> PartialReader:
        """A reader for the pieces of one reply."""
        from outlast.adapters.partial_markers import MarkedReader

        assert isinstance(self.markers, Markers)
        return MarkedReader(self.markers, nonce, codecs(self.signature), self.kept_tags)

    def outline(self, marks: Mapping[str, str], nonce: str) -> Prepared:
        """The prompt with marks for the inputs."""
        given = [(name, marks[name]) for name, _ in self.inputs]
        return Prepared((*self._prefixed(nonce), Message("user", self._question(given, nonce))), unread)

    def slots(self, inputs: Mapping[str, Any]) -> Slots:
        """The texts of the inputs, with the space that the grammar puts around them."""
        shown = given, shelf = written(self.inputs, inputs, cites=self.cites)
        turns = self._earlier(inputs)
        nonce = self.nonce(given_texts(shown) + texts_of(turns))
        texts = {name: self.markers.spaced(text) for name, text in given}
        return Slots(texts, shelf, tuple(self._said(turns, nonce)), nonce)

    @property
    def plain(self) -> Plain:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What the grammar takes as it is."""
        return Plain(self.grammar.special)

    def _question(self, given: FieldTexts, nonce: str) -> str:
        return f"{self.markers.section(given, nonce)}\n\n{self._requests.get(nonce) or self.markers.request(nonce)}"

    def nonce(self, held: Sequence[str]) -> str:
        """The nonce in the markers of a call whose data are these texts; "" when there need be none."""
        holds, usual = self.markers.holds, self.usual
        for text in held:
            if holds(text) or (usual and usual in text):
                return self._other_nonce(held)
        return usual

    def _other_nonce(self, held: Sequence[str]) -> str:
        """A nonce that none of these texts holds."""
        first = self._nonce()
        if not any(first in text for text in held):
            return first
        return nonce_for("\n".join(self._texts), [*self._texts, *held])

    def _nonce(self) -> str:
        """The first nonce that the prompt does not hold."""
        self._spare = self._spare or nonce_for("\n".join(self._texts), self._texts)
        return self._spare

    def _earlier(self, values: Mapping[str, Any]) -> list[Shown | Message]:
        """The turns of the histories among the inputs."""
        return [
            turn if isinstance(turn, Message) else self._shown({**turn.inputs, **turn.outputs}, turn.thoughts)
            for turn in earlier(self.signature, values)
        ]

    def _shown(self, values: Mapping[str, Any], thoughts: tuple[Thought, ...] = ()) -> Shown:
        return Shown(written(self.inputs, values, cites=self.cites), self._answer(values), thoughts)

    def _answer(self, values: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [(name, self.written_output(codec, values[name])) for name, codec in self.outputs if name in values]

    def written_output(self, codec: Codec, value: Any) -> str:
        """A value as the text that a reply of this form would hold."""
        return codec.write(value)

    def _prefixed(self, nonce: str) -> tuple[Message, ...]:
        """The system message and the demonstrations; those that more than one call needs are rendered once."""
        found = self._prefixes.get(nonce)
        if found is None:
            found = self._prefix(nonce)
            if nonce == self._spare:
                self._prefixes[nonce] = found
        return found

    def _prefix(self, nonce: str) -> tuple[Message, ...]:
        instruction = system(f"{self.heading}\n\n{self.markers.order(nonce, PLACEHOLDER)}")
        said = (self._said(demo.turns, nonce) if nonce else demo.messages for demo in self.demos)
        return cacheable([instruction, *chain.from_iterable(said)])

    def _demo(self, demo: Demo) -> Rendered:
        def render() -> Rendered:
            turns = [*self._earlier(demo.values), self._shown(demo.values)]
            return Rendered(self.signature, demo, turns, self._said(turns, ""), self.markers.holds)

        return shared((type(self), self.cites), self.signature, demo, render)

    def _said(self, turns: Iterable[Shown | Message], nonce: str) -> list[Message]:
        """Turns as messages in the form of this adapter; what is a message stays as it is."""
        messages: list[Message] = []
        for turn in turns:
            if isinstance(turn, Message):
                messages.append(turn)
            else:
                messages.append(placed("user", self.markers.section(turn.given.texts, nonce), turn.given.shelf))
                messages += with_thoughts([assistant(self.markers.answer(turn.wanted, nonce))], turn.thoughts)
        return messages

    def _read(self, response: Response, nonce: str, held: Callable[[], Held]) -> dict[str, Any]:
        request = self._requests.get(nonce) or self.markers.request(nonce)
        text = without_thinking(response.text, self.kept_tags)
        try:
            try:
                reading = self.markers.read(text, nonce, request)
            except Unreadable as error:
                raise failed(self.signature, response, [str(error)]) from None
            refuse_unfinished(self.signature, response, complete=reading.ended)
            if reading.found:
                return self.values(reading.found, response)
            if reading.marked:
                raise failed(self.signature, response, [f"there is no {self.markers.word} of an output in it"])
            return self._unmarked(text, response, held())
        except ParseError as error:
            error.for_model += f"\n\nReply again with every output. {request}"
            raise

    def values(self, found: Mapping[str, str], response: Response) -> dict[str, Any]:
        """The values that the texts of a reply say."""
        return read_fields(self.signature, found, response, "text", what=self.markers.word)

    def _unmarked(self, text: str, response: Response, held: Held) -> dict[str, Any]:
        """A reply without any marker: a JSON object, another form, or the one value that was asked for.

        None of them is guarded, so an echo of what the call holds counts as none of them.
        """
        given = held.texts()
        shown = without_thinking(response.text, self.signature.outputs)
        if not any("</think>" in one for one in given):  # an echo of the input could hide prose
            text, shown = text.rpartition("</think>")[2], shown.rpartition("</think>")[2]
        lacks = f"there is no {self.markers.word} in it"
        try:
            data = self._object(text, held)
        except DuplicateKey as error:
            raise failed(self.signature, response, [str(error)]) from None
        except Unfit as error:
            lacks, data = f"{lacks}, and {error}" if "{" in text else lacks, None
        if data is not None:
            if repeats(data, self.wanted, held.given) or any(text.strip() in one for one in given):
                raise failed(self.signature, response, [f"{lacks}, and {_ECHO}"])
            return read_fields(self.signature, data, response, "data", what="key")
        try:
            texts = self.forms.read(shown, given, held.examples())
        except Unreadable as error:
            raise failed(self.signature, response, [str(error)]) from None
        if texts is not None:
            return self.values(texts, response)
        if not text.strip():
            raise failed(self.signature, response, ["there is nothing after the thinking"])
        if len(self.outputs) > 1:
            raise failed(self.signature, response, [lacks])
        return self._alone(text, response, given)

    def _object(self, text: str, held: Held) -> dict[str, Any] | None:
        if len(self.outputs) == 1:
            return whole_object(text, self.wanted)
        return find_object(text, self.wanted, [*held.given, *held.shown], held.said)

    def _alone(self, text: str, response: Response, given: Sequence[str]) -> dict[str, Any]:
        """The one value that was asked for, with its name before it or without."""
        name, codec = self.outputs[0]
        doubt = doubtful(name, text) if codec.takes_text else None
        named = without_lead(name, visible(text))
        if doubt is None and named is not None and is_repeated(name, named, given):
            doubt = _ECHO
        if doubt is not None:
            raise failed(self.signature, response, [f"there is no {self.markers.word} in it, and {doubt}"])
        return self.values({name: text}, response)
