"""Fields as the arguments of one native tool call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from outlast.adapters.echoes import Held
from outlast.adapters.extract import Unfit, complete_object, find_object, whole_object, without_thinking
from outlast.adapters.json import JSONPlan, object_schema, plain_name
from outlast.adapters.layout import failed, read_fields, refuse_unfinished
from outlast.adapters.protocol import Adapter, Plan, Prepared, Task, check_limits
from outlast.errors import LMUnsupported, ParseError
from outlast.lms.protocol import Capabilities
from outlast.messages import Message, OutputSchema, Response, ToolCall, tool_result
from outlast.signatures.codec import codecs
from outlast.signatures.jsontext import DuplicateKey
from outlast.types import Tool

if TYPE_CHECKING:
    from outlast.adapters.partial import PartialReader


@dataclass(frozen=True, slots=True)
class Tools(Adapter):
    """The model answers by calling one strict tool whose parameters are the outputs.

    For models with native tool calls (`Capabilities.tools`); on another model the `fallback` is used at once, and
    without one the call raises `LMUnsupported`. The arguments are validated in every case. Several different calls, a
    call of another name, a key given twice and arguments that were cut off are errors; what was wrong is told as the
    result of the call. A reply in text counts when it holds the one JSON object that the call would have had.
    """

    reasks: int = 2
    fallback: Adapter | None = None

    def __post_init__(self) -> None:
        check_limits(self)

    def compile(self, task: Task, capabilities: Capabilities) -> Plan:
        """The plan for a task. Raises `LMUnsupported` for a model without native tool calls."""
        if not capabilities.tools:
            raise LMUnsupported(
                "Tools() needs a model with native tool calls, which this one is not known to have. Use ol.JSON() or "
                "ol.Chat(), give Tools(fallback=ol.JSON()), or say capabilities=ol.Capabilities(tools=True) if it has."
            )
        return ToolsPlan(task, capabilities)


class ToolsPlan(JSONPlan):
    """A task whose tool, system message and demonstrations are ready."""

    def __init__(self, task: Task, capabilities: Capabilities) -> None:
        name = plain_name(task.signature.__name__)
        self.name = name if name[0].isalpha() or name[0] == "_" else f"_{name[:63]}"
        super().__init__(task, capabilities)
        schemas = {name: codec.schema() for name, codec in self.outputs}
        known = {name: {} if schema is None else schema for name, schema in schemas.items()}
        self.tool = Tool(self.name, "Gives the outputs.", object_schema(known), strict=None not in schemas.values())

    def prepare(self, inputs: Mapping[str, Any]) -> Prepared:
        """Render one call."""
        return self._calling(super().prepare(inputs))

    def outline(self, marks: Mapping[str, str], nonce: str) -> Prepared:
        """The prompt with marks for the inputs."""
        return self._calling(super().outline(marks, nonce))

    def _calling(self, prepared: Prepared) -> Prepared:
        return Prepared(
            prepared.messages,
            prepared.read,
            None,
            (self.tool,),
            self.name,
            more=lambda new: self._calling(prepared.then(new)),
            partial=prepared.partial,
        )

    def partial(self) -> PartialReader:
        """A reader for the pieces of one reply."""
        from outlast.adapters.partial_json import JSONReader

        return JSONReader(codecs(self.signature), self.wanted.keys, calls=self.name)

    def constraint(self, capabilities: Capabilities) -> OutputSchema | Literal["json"] | None:
        """None: the schema goes with the tool."""
        del capabilities

    def asked(self) -> str:
        """What the model is told to reply with."""
        return f"Call {self.name} once, with every output."

    def answered(self, outputs: str, number: int) -> list[Message]:
        """A demonstration answers with a call, and the call has a result, as providers demand."""
        call = ToolCall(f"call_{number}", self.name, outputs)
        return [Message("assistant", (call,)), tool_result(call, "Received.")]

    def read(self, response: Response, held: Callable[[], Held]) -> dict[str, Any]:
        """The values of a reply; `held` tells what the call holds, which is no answer when it is only repeated."""
        try:
            try:
                data = self._called(response) if response.tool_calls else self._written(response, held)
            except Unfit as error:
                if not response.tool_calls:
                    return self.otherwise(response, held(), str(error))
                raise failed(self.signature, response, [str(error)]) from None
            except DuplicateKey as error:
                raise failed(self.signature, response, [str(error)]) from None
            return read_fields(self.signature, data, response, "data", what="key")
        except ParseError as error:
            error.for_model += f"\n\n{self.request}"
            raise

    def _called(self, response: Response) -> dict[str, Any]:
        """The arguments of the one call."""
        others = sorted({call.name for call in response.tool_calls} - {self.name})
        if others:
            raise Unfit(f"there is no tool {others[0]!r}; call {self.name} only")
        texts = list(dict.fromkeys(call.arguments.strip() for call in response.tool_calls))
        whole = [complete_object(text, self.wanted) for text in texts]
        if None in whole:
            if response.finish in ("length", "content_filter"):
                refuse_unfinished(self.signature, response, complete=False)
            whole = [self._mended(text) for text in texts]
        if None in whole:
            raise Unfit(f"the arguments of {self.name} are not one JSON object with the outputs as keys")
        if any(data != whole[0] for data in whole[1:]):
            raise Unfit(f"{self.name} was called several times with different arguments; call it once")
        return whole[0] or {}

    def _mended(self, text: str) -> dict[str, Any] | None:
        """The object that arguments are nearly."""
        found = whole_object(text, self.wanted)
        if found is not None or text[:1] != "{" or text[-1:] != "}":
            return found
        try:
            return find_object(text, self.wanted)
        except Unfit:
            return None

    def _written(self, response: Response, held: Callable[[], Held]) -> dict[str, Any]:
        """The one object in a reply that called nothing."""
        text = without_thinking(response.text)
        data = complete_object(text, self.wanted)
        refuse_unfinished(self.signature, response, complete=data is not None)
        if data is not None:
            return data
        try:
            return self.found(text, held())
        except Unfit as error:
            raise Unfit(
                f"{self.name} was not called, and {error}" if "{" in text else f"{self.name} was not called"
            ) from None
