"""A program as a model of `llm`: the prompt goes into its input, what it gives is the reply."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from outlast.compat.llm_programs import PREFIX, NamedProgram
from outlast.errors import ConfigError, InputError, OutlastError, UsageError

if TYPE_CHECKING:
    from outlast.modules.module import Module
    from outlast.runtime import Trace

LM_OPTION = "lm"


def models_of(named: NamedProgram) -> tuple[Any, Any]:
    """The two models of `llm` that a program is: a blocking and an async one."""
    llm: Any = import_module("llm")

    class ProgramModel(_Common, llm.Model):
        """Asks in the thread that `llm` asks in."""

        def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any = None) -> Any:
            """The reply, in one piece."""
            with _asking(self, prompt) as asked:
                told = asked.told(asked.program(**asked.inputs))
            told.tell(response)
            yield told.text

    class AsyncProgramModel(_Common, llm.AsyncModel):
        """Asks within the event loop of `llm`."""

        async def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any = None) -> Any:
            """The reply, in one piece."""
            with _asking(self, prompt) as asked:
                told = asked.told(await asked.program.acall(**asked.inputs))
            told.tell(response)
            yield told.text

    return ProgramModel(named), AsyncProgramModel(named)


class _Common:
    """What both have. The program is imported when it is asked, or when its options are looked at."""

    needs_key = None
    key_env_var = None
    can_stream = False
    supports_schema = False
    supports_tools = False
    attachment_types: frozenset[str] = frozenset()

    def __init__(self, named: NamedProgram) -> None:
        self.model_id = f"{PREFIX}{named.name}"
        self.named = named
        self._program: Module | None = None
        self._options: Any = None

    @property
    def program(self) -> Module:
        """The program. Raises `llm.ModelError`."""
        if self._program is None:
            with _errors_of_llm():
                self._program = self.named.load()
        return self._program

    @property
    def Options(self) -> Any:
        """Its inputs as options of `llm`, and the model that it asks."""
        if self._options is None:
            self._options = _options_of(self.program)
        return self._options

    def __str__(self) -> str:
        return f"outlast: {self.model_id}"


def _options_of(program: Module) -> Any:
    from pydantic import Field, create_model

    from outlast.cli.targets import input_names

    llm: Any = import_module("llm")
    fields: dict[str, Any] = {LM_OPTION: (str | None, Field(None, description="the model that the program asks"))}
    for name in input_names(program) or ():
        fields[name] = (str | None, Field(None, description=f"the input {name!r}, where the prompt is not it"))
    return create_model("Options", __base__=llm.Options, **fields)


@dataclass(slots=True)
class _Asked:
    """A call of a program that is about to be made."""

    program: Module
    inputs: Mapping[str, Any]
    spans: Trace

    def told(self, value: Any) -> _Told:
        """What came of it."""
        return _Told(_reply(value), value, self.spans)


@dataclass(slots=True)
class _Told:
    """What a program gave, as text, with the exchanges behind it."""

    text: str
    value: Any
    spans: Trace

    def tell(self, response: Any) -> None:
        """Say to `llm` what it cost."""
        from outlast.data.jsonform import json_form

        spent = self.spans.spending
        response.set_usage(input=spent.input_tokens or None, output=spent.output_tokens or None)
        models = [span.response.model for span in self.spans if span.response is not None and span.response.model]
        if models and hasattr(response, "set_resolved_model"):
            response.set_resolved_model(models[-1])
        told: dict[str, Any] = {"outputs": json_form(_values(self.value), lenient=True), "calls": spent.calls}
        response.response_json = {**told, "dollars": spent.dollars} if spent.dollars else told


@contextmanager
def _asking(model: Any, prompt: Any) -> Generator[_Asked]:
    """A block in which the program of a model is asked, with its model in use; errors become those of `llm`."""
    from outlast.modules.settings import context
    from outlast.tracing.switch import trace

    with _errors_of_llm():
        if prompt.system:
            raise UsageError(f"{model.model_id} has instructions of its own; a system prompt (-s) has no place in it")
        if prompt.attachments:
            raise UsageError(f"{model.model_id} takes no attachments")
        told = {name: value for name, value in prompt.options.model_dump().items() if value is not None}
        lm = told.pop(LM_OPTION, "") or model.named.lm
        inputs = inputs_of(model.program, prompt.prompt or "", told)
        with context(lm=_asked_lm(lm or _usual(model.program))), trace() as spans:
            yield _Asked(model.program, inputs, spans)


@contextmanager
def _errors_of_llm() -> Generator[None]:
    llm: Any = import_module("llm")
    try:
        yield
    except OutlastError as error:
        raise llm.ModelError(str(error)) from error


def _asked_lm(name: str | None) -> Any:
    """The model of this name, without a cache: whoever asks `llm` twice wants two replies."""
    from outlast.lms.models import BUILT_IN
    from outlast.lms.protocol import LM

    if name is None or name in BUILT_IN:
        return name
    return LM(name, cache=False)


def _usual(program: Module) -> str | None:
    """The model to ask where none is named: none where the program has its own, else the usual one of `llm`."""
    from outlast.cli.options import need_model

    try:
        need_model(program)
    except ConfigError:
        llm: Any = import_module("llm")
        usual = str(llm.get_default_model())
        if usual.startswith(PREFIX):
            raise ConfigError(
                f"which model is asked? The usual one of llm is {usual!r} itself; say -o lm NAME"
            ) from None
        return f"llm:{usual}"
    return None


def inputs_of(program: Module, prompt: str, told: Mapping[str, str]) -> dict[str, Any]:
    """The inputs of a program: those that options name, and the prompt for what is left.

    One input that is left takes the prompt as it is, several take a JSON object. Raises `InputError`.
    """
    from outlast.cli.targets import input_names

    names = input_names(program)
    left = [name for name in names or () if name not in told]
    given: dict[str, Any] = {name: _value(program, name, value) for name, value in told.items()}
    if names is not None and len(left) == 1:
        return {**given, left[0]: _value(program, left[0], prompt)}
    if not left and names is not None:
        if prompt.strip():
            raise InputError("all inputs are options already, so there is no place for a prompt")
        return given
    try:
        data: Any = json.loads(prompt)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        wanted = ", ".join(left) or "its inputs"
        raise InputError(
            f"the program takes several inputs: give the prompt as a JSON object of {wanted}, or all but one of them "
            f"as options (-o name value)"
        )
    return {**given, **data}


def _value(program: Module, name: str, text: str) -> Any:
    """A text as the value of an input: as it is where text is wanted, else the JSON in it."""
    from outlast.modules.predict import Predict

    field = program.signature.inputs.get(name) if isinstance(program, Predict) else None
    if field is None or field.type is str:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _values(value: Any) -> Any:
    from outlast.signatures.record import Record, outputs_of

    return outputs_of(value) if isinstance(value, Record) else value


def _reply(value: Any) -> str:
    """The one text that a program gives as it is, anything else as JSON."""
    from outlast.data.jsonform import json_form

    found: Any = _values(value)
    if isinstance(found, Mapping):
        held = cast("Mapping[str, Any]", found)
        found = next(iter(held.values())) if len(held) == 1 else held
    return found if isinstance(found, str) else json.dumps(json_form(found, lenient=True), ensure_ascii=False)
