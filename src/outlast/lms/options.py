"""What a person types when asking an LM, checked and made into a `Request`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal, cast, get_args

from outlast.errors import UsageError, brief, refuse_unknown
from outlast.messages import NO_SETTINGS, Message, OutputSchema, Part, Request, Role, Settings, user
from outlast.runtime import current
from outlast.types import Tool

SETTING_NAMES = tuple(f.name for f in fields(Settings))
_ROLES: tuple[str, ...] = get_args(Role)
_PARTS: tuple[type, ...] = get_args(Part)


def as_request(prompt: str | Sequence[Message], options: Mapping[str, Any]) -> Request:
    """A request from what a person types. `sample` is that of the surrounding `context` unless given."""
    if not options and isinstance(prompt, str):
        return Request((user(prompt),), sample=current().sample)
    refuse_unknown(options, (*SETTING_NAMES, "sample", "output", "tools", "tool_choice"), "LM call")
    messages = (user(prompt),) if isinstance(prompt, str) else _messages(prompt)
    output: OutputSchema | Literal["json"] | None = options.get("output")
    if output is not None and output != "json" and not isinstance(output, OutputSchema):
        raise UsageError(f"output is None, 'json' or an OutputSchema(...); got {brief(output)}")
    sample = options.get("sample", current().sample)
    if not _is_whole(sample, 0):
        raise UsageError(f"sample is a whole number from 0; got {brief(sample)}")
    tools, choice = _tools(options.get("tools")), options.get("tool_choice", "auto")
    check_tools(tools, choice)
    settings = settings_from({n: options[n] for n in SETTING_NAMES if n in options})
    return Request(messages, settings, output, sample, tools=tools, tool_choice=choice)


def _messages(prompt: Any) -> tuple[Message, ...]:
    """The messages of a conversation, each checked, as what is none would go missing on its way."""
    if not isinstance(prompt, Iterable):
        raise UsageError(f"an LM takes text or a list of messages; got {brief(prompt)}")
    messages = tuple(cast("Iterable[Any]", prompt))
    for message in messages:
        if not isinstance(message, Message):
            raise UsageError(f"an LM takes text or messages; got {brief(message)} in the list")
        check_message(message)
    if not messages:
        raise UsageError("a request needs at least one message; got none")
    return messages


def check_message(message: Message) -> None:
    """Raise `UsageError` for a role that there is not, and for content that is no text and no tuple of parts."""
    content: Any = message.content
    if message.role not in _ROLES:
        raise UsageError(f"a message has the role {', '.join(_ROLES[:-1])} or {_ROLES[-1]}; got {brief(message.role)}")
    if isinstance(content, str):
        return
    if not isinstance(content, tuple):
        raise UsageError(f"the content of a message is text or a tuple of parts; got {brief(content)}")
    for part in cast("tuple[Any, ...]", content):
        if not isinstance(part, _PARTS):
            names = ", ".join(kind.__name__ for kind in _PARTS)
            hint = "; text inside a tuple is TextPart(text)" if isinstance(part, str) else ""
            raise UsageError(f"a part of a message is one of {names}; got {brief(part)}{hint}")


def _tools(given: Any) -> tuple[Tool, ...]:
    if given is not None and not isinstance(given, Iterable):
        raise UsageError(f"tools are a list of Tool(...); got {brief(given)}")
    tools = tuple(cast("Iterable[Any]", given or ()))
    for tool in tools:
        if not isinstance(tool, Tool):
            raise UsageError(f"tools are a list of Tool(...); got {brief(tool)} in it")
    return tools


def check_tools(tools: Sequence[Tool], choice: str) -> None:
    """Raise `UsageError` for two tools of one name, and for a choice that is none of them."""
    names = [tool.name for tool in tools]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"each tool has a name of its own, by which it is called; got two that are named {twice!r}")
    if choice not in ("auto", "required", "none", *names):
        raise UsageError(f"tool_choice is 'auto', 'required', 'none' or the name of a tool; got {brief(choice)}")
    if choice == "required" and not tools:
        raise UsageError("tool_choice='required' demands a call of a tool, and there are none; give tools=[...] too")


def settings_from(options: Mapping[str, Any]) -> Settings:
    """Checked `Settings` from keywords; `stop` may be a list or one text. Raises `UsageError`."""
    given = {name: value for name, value in options.items() if value is not None}
    if not given:
        return NO_SETTINGS
    if isinstance(given.get("stop"), str):
        given["stop"] = (given["stop"],)
    elif isinstance(given.get("stop"), list):
        given["stop"] = tuple(given["stop"])
    return check_settings(Settings(**given))


def check_settings(settings: Settings) -> Settings:
    """The settings, or `UsageError` for the first value that no model can follow."""
    _check("temperature", settings.temperature, "a number from 0 to 2", _within(settings.temperature, 2))
    _check("top_p", settings.top_p, "a number from 0 to 1", _within(settings.top_p, 1))
    _check("max_tokens", settings.max_tokens, "a whole number from 1", _is_whole(settings.max_tokens, 1))
    _check("seed", settings.seed, "a whole number", _is_whole(settings.seed, -math.inf))
    words = settings.reasoning
    _check("reasoning", words, "an effort word such as 'low'", isinstance(words, str) and bool(words))
    for name in ("tier", "prediction", "grammar"):
        text: Any = getattr(settings, name)
        _check(name, text, "text that is not empty", isinstance(text, str) and bool(text))
    for name in ("show_reasoning", "parallel_tools"):
        _check(name, getattr(settings, name), "True or False", isinstance(getattr(settings, name), bool))
    count = settings.logprobs
    _check("logprobs", count, "a whole number from 0 to 20", _is_whole(count, 0) and cast("int", count) <= 20)
    stop: Any = settings.stop
    texts = cast("tuple[Any, ...]", stop if isinstance(stop, tuple) else (None,))
    _check("stop", stop, "a list of texts", all(isinstance(text, str) and text for text in texts))
    extra: Any = settings.extra
    names = cast("Mapping[Any, Any]", extra if isinstance(extra, Mapping) else {0: 0})
    _check("extra", extra, "a mapping by name", all(isinstance(name, str) for name in names))
    return settings


def _check(name: str, value: Any, rule: str, fine: bool) -> None:
    if value is not None and not fine:
        raise UsageError(f"{name} is {rule}; got {brief(value)}")


def _is_whole(value: Any, least: float) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _within(value: Any, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most
