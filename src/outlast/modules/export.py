"""The prompts of a program as they are sent, with slots where the inputs go: for people, and for other systems."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from annotated_types import BaseMetadata

from outlast.adapters.markers import nonce_for
from outlast.adapters.nearest import compiled
from outlast.adapters.placing import is_history, pieces_of
from outlast.adapters.protocol import Adapter, Plain, Plan, Prepared
from outlast.errors import LMUnsupported, OutlastError, PathError, UsageError, brief, did_you_mean
from outlast.lms.protocol import LM, Capabilities
from outlast.messages import Message, part_from_json
from outlast.modules.module import Module
from outlast.modules.paths import predictors_of
from outlast.modules.predict import Predict
from outlast.modules.settings import DEFAULT_ADAPTER, as_adapter, as_lm, chosen_adapter, context, usual_adapter
from outlast.runtime import current, default
from outlast.signatures.codec import Codec, codecs
from outlast.types import TRUSTED
from outlast.types.shown import Shelf

Format = Literal["messages", "jinja", "json"]
Form = Literal["text", "integer", "json", "shown", "turns"]
Piece = str | dict[str, Any]

FORMATS = ("messages", "jinja", "json")
DOCUMENT = "outlast-prompt/1"


@dataclass(frozen=True, slots=True)
class SlotInfo:
    """What goes into the slot of an input.

    `form` "text": a text as it is, as far as it can be; "integer": its digits; "json": JSON; "shown": what the class of
    the value says; "turns": messages before the last. `words` is the type as the model is told it; `media` says that
    a value may hold images, audio or files, so that it is no text alone.
    """

    form: Form
    words: str
    media: bool = False


@dataclass(frozen=True, slots=True)
class Prompt:
    """The exact prompt of one predictor, with slots for its inputs.

    `messages` are JSON-ready. Their `content` is text, or a list of pieces: texts, `{"slot": name}`, `{"guard": "#"}`
    (nothing, or that sign and the nonce, when data would pass for structure), and parts such as images. Where the
    earlier turns of a `History` go stands `{"turns": [name]}`. `variables` gives what goes into the slots for
    inputs, `fill` the messages, which are those that a call sends, byte for byte.
    """

    path: str
    signature: str
    adapter: str
    inputs: Mapping[str, SlotInfo]
    messages: tuple[dict[str, Any], ...]
    request: Mapping[str, Any]
    guard: str
    plain: Plain
    _predictor: Predict[..., Any] = field(repr=False, compare=False)
    _plan: Plan = field(repr=False, compare=False)

    def variables(self, /, **inputs: Any) -> dict[str, Any]:
        """What goes into the slots: texts by input name, lists of texts and parts where there are media.

        `_guard` is the nonce or "", `_turns` the earlier turns; `_written` says that all is written as it must be.
        Raises `InputError` for inputs that do not fit.
        """
        slots = self._plan.slots(self._predictor.checked(inputs))
        return {
            **{name: _written(text, slots.shelf) for name, text in slots.texts.items()},
            "_guard": slots.nonce,
            "_turns": [message.to_json() for message in slots.turns],
            "_written": True,
        }

    def fill(self, /, **inputs: Any) -> tuple[Message, ...]:
        """The messages that the slots give for these inputs, which are those of a call. Cost: no LM call.

        Raises `OutlastError` should they differ from those that a call sends.
        """
        made = filled(self.messages, self.variables(**inputs))
        sent = self._plan.prepare(self._predictor.checked(inputs)).messages
        if made != [message.to_json() for message in sent]:
            raise OutlastError(
                f"the exported prompt of {self.signature} does not give what is sent for these inputs; the plan of "
                f"{self.adapter} has an outline that does not fit its prepare"
            )
        return sent

    def to_json(self) -> dict[str, Any]:
        """All of it as one JSON-ready document."""
        return {
            "format": DOCUMENT,
            "path": self.path,
            "signature": self.signature,
            "adapter": self.adapter,
            "inputs": {name: {"form": slot.form, "type": slot.words} for name, slot in self.inputs.items()},
            "as_it_is": {"without": list(self.plain.without), "quoted": self.plain.quoted},
            "guard": self.guard,
            "messages": list(self.messages),
            "request": dict(self.request),
        }

    def to_messages(self) -> list[dict[str, Any]]:
        """The messages alone, with slots, as they are for inputs that need no guard."""
        return [_unguarded(message, self.guard) for message in self.messages]

    def to_jinja(self) -> list[dict[str, Any]]:
        """The messages as `{"role": ..., "template": ...}`, where the template is Jinja with the inputs as variables.

        A template takes `variables(...)`, and plain values by hand; what would come out other than a call sends it
        is an undefined variable that says so. Raises `UsageError` for prompts with parts that are no text, for inputs
        that may hold media, and for inputs called `self`, `true`, `false` or `none`, which no template can take.
        """
        from outlast.modules.jinja import templates

        return templates(self)

    def to(self, form: Format) -> Any:
        """One of the three forms, JSON-ready."""
        if form not in FORMATS:
            raise UsageError(f"format is one of {', '.join(FORMATS)}; got {brief(form)}")
        return {"messages": self.to_messages, "jinja": self.to_jinja, "json": self.to_json}[form]()

    def __str__(self) -> str:
        """The prompt for people: slots as {{name}}."""
        return "\n".join(_for_people(message) for message in self.to_messages())


def export(
    program: Module, path: str | None = None, *, adapter: Adapter | None = None, lm: LM | str | None = None
) -> dict[str, Prompt]:
    """The exact prompts of a program, by the path of the predictor, "" for one that is a predictor itself.

    `path` picks one. `adapter` and `lm` are used where the program leaves them open, as in `context`; what a model is
    known to do decides on the prompt, and without any model it is one that can do nothing special. Raises `PathError`
    for a path that is none, `UsageError` for an adapter of your own that has no outline. Cost: no LM call.
    """
    if not isinstance(program, Module):
        raise UsageError(f"export takes a program; got {brief(program)}")
    predictors = predictors_of(program)
    if path is not None and path not in predictors:
        raise PathError(
            f"{type(program).__name__} has no predictor {path!r}.{did_you_mean(str(path), predictors)} "
            f"Paths: {', '.join(map(repr, predictors)) or 'none'}."
        )
    with context(lm=None if lm is None else as_lm(lm), adapter=None if adapter is None else as_adapter(adapter)):
        return {name: _prompt(name, part) for name, part in predictors.items() if path is None or name == path}


def filled(messages: Iterable[Mapping[str, Any]], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Exported messages with their slots filled, in the form of `Message.to_json`."""
    found: list[dict[str, Any]] = []
    for message in messages:
        if "turns" in message:
            found += variables["_turns"]
        elif isinstance(message["content"], str):
            found.append(dict(message))
        else:
            found.append({"role": message["role"], "content": _content(message["content"], variables)})
    return found


def _content(pieces: Sequence[Piece], variables: Mapping[str, Any]) -> str | list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for piece in pieces:
        for part in _slot(piece, variables):
            last = parts[-1] if parts else {}
            if isinstance(part, str):
                if last.get("type") == "text" and last.get("open"):
                    last["text"] += part
                elif part:
                    parts.append({"type": "text", "text": part, "open": True})
            else:
                parts.append(part)
    for part in parts:
        part.pop("open", None)
    if len(parts) == 1 and parts[0]["type"] == "text":
        return cast("str", parts[0]["text"])
    return parts or ""


def _slot(piece: Piece, variables: Mapping[str, Any]) -> list[Any]:
    if isinstance(piece, str):
        return [piece]
    if "guard" in piece:
        nonce = variables["_guard"]
        return [f"{piece['guard']}{nonce}" if nonce else ""]
    if "slot" not in piece:
        return [dict(piece)]
    value = variables[piece["slot"]]
    return [value] if isinstance(value, str) else list(value)


def _prompt(path: str, part: Predict[..., Any]) -> Prompt:
    run = current()
    lm: LM | None = part.lm if part.lm is not None else run.lm if run.lm is not None else default("lm")
    plan, adapter = _plan(part, chosen_adapter(part.adapter, run), Capabilities() if lm is None else lm.capabilities)
    table = codecs(part.signature)
    inputs = {
        name: SlotInfo(form := _form(table[name]), table[name].describe(), form != "turns" and table[name].holds_media)
        for name in part.signature.inputs
    }
    messages, prepared = _outlined(plan, [name for name, slot in inputs.items() if slot.form != "turns"])
    turns = [name for name, slot in inputs.items() if slot.form == "turns"]
    if turns:
        messages.insert(len(messages) - 1, {"turns": turns})
    request = prepared.request(part.settings, 0, TRUSTED).to_json()
    del request["messages"]
    return Prompt(
        path, part.signature.__name__, adapter, inputs, tuple(messages), request, plan.usual, plan.plain, part, plan
    )


def _plan(part: Predict[..., Any], adapter: Adapter, capabilities: Capabilities) -> tuple[Plan, str]:
    """The plan that a call would use, and the name of its adapter."""
    task = part.task(capabilities)
    one = usual_adapter(task, capabilities) if adapter is DEFAULT_ADAPTER else adapter
    while True:
        try:
            return compiled(one, task, capabilities), type(one).__name__
        except LMUnsupported:
            if one.fallback is None:
                raise
            one = one.fallback


def _form(codec: Codec) -> Form:
    if is_history(codec):
        return "turns"
    if codec.style == "json":
        return "integer" if codec.is_int else "json"
    changed = any(not isinstance(one, BaseMetadata) for one in codec.constraints)  # such as to_lower
    return "shown" if codec.style == "shown" or changed else "text"


def _outlined(plan: Plan, names: Sequence[str]) -> tuple[list[dict[str, Any]], Prepared]:
    """The messages of a plan in pieces: rendered with marks that no text of the prompt holds, and cut at these."""
    plain = plan.outline(dict.fromkeys(names, ""), "")
    token = nonce_for("export", [repr(message) for message in plain.messages])
    marks = {name: f"SLOT{token}N{number}E" for number, name in enumerate(names)}
    guard = f"GUARD{token}E"
    by_mark = {mark: name for name, mark in marks.items()}
    cut = re.compile("|".join([*by_mark, rf"[^\w\s]{guard}"]))
    messages = [_cut(message, cut, by_mark) for message in plan.outline(marks, guard).messages]
    for nonce in ("", "0123abcd"):
        expected = [message.to_json() for message in plan.outline(marks, nonce).messages]
        if filled(messages, {**marks, "_guard": nonce, "_turns": []}) != expected:
            raise UsageError(f"{type(plan).__name__} cannot be exported: a nonce changes more of its prompt than marks")
    return messages, plain


def _cut(message: Message, cut: re.Pattern[str], marks: Mapping[str, str]) -> dict[str, Any]:
    pieces: list[Piece] = []
    if isinstance(message.content, str):
        pieces = _split(message.content, cut, marks)
        if all(isinstance(piece, str) for piece in pieces):
            return message.to_json()
    else:
        for part in message.to_json()["content"]:
            pieces += _split(part["text"], cut, marks) if part["type"] == "text" else [part]
    return {"role": message.role, "content": pieces}


def _split(text: str, cut: re.Pattern[str], marks: Mapping[str, str]) -> list[Piece]:
    pieces: list[Piece] = []
    done = 0
    for match in cut.finditer(text):
        if match.start() > done:
            pieces.append(text[done : match.start()])
        name = marks.get(match[0])
        pieces.append({"guard": match[0][0]} if name is None else {"slot": name})
        done = match.end()
    if done < len(text):
        pieces.append(text[done:])
    return pieces


def _written(text: str, shelf: Shelf) -> str | list[Any]:
    """A text as it goes into a slot: in a list with its media, when it has any."""
    pieces = pieces_of(text, shelf)
    if len(pieces) < 2:
        return text
    return [piece if isinstance(piece, str) else piece.to_json() for piece in pieces]


def _unguarded(message: dict[str, Any], nonce: str) -> dict[str, Any]:
    if isinstance(message.get("content", ""), str):
        return message
    pieces: list[Piece] = []
    for piece in message["content"]:
        if not isinstance(piece, str) and "guard" in piece:
            piece = f"{piece['guard']}{nonce}" if nonce else ""
        if isinstance(piece, str) and pieces and isinstance(pieces[-1], str):
            pieces[-1] += piece
        else:
            pieces.append(piece)
    return {"role": message["role"], "content": pieces[0] if len(pieces) == 1 else pieces}


def _for_people(message: dict[str, Any]) -> str:
    if "turns" in message:
        return f"[the earlier turns in {', '.join(message['turns'])}]\n"
    content = message["content"]
    pieces: list[Piece] = [content] if isinstance(content, str) else content
    shown = [piece if isinstance(piece, str) else _piece_for_people(piece) for piece in pieces]
    return f"[{message['role']}]\n{''.join(shown)}\n"


def _piece_for_people(piece: dict[str, Any]) -> str:
    if "slot" in piece:
        return f"{{{{{piece['slot']}}}}}"
    return Message("user", (part_from_json(piece),)).shown
