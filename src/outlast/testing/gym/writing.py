"""How a simulated model writes its answer in the form that a prompt asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from outlast.messages import Response, ToolCall, Usage
from outlast.testing.gym.reading import Form

UNREADABLE = "Let me think about it. It may be the one or the other; that is hard to tell, so I would rather not say."


def written(form: Form, values: Mapping[str, Any]) -> str:
    """The text of an answer; for tools, the arguments of the call."""
    if form.kind in ("json", "tools", "dspy-json"):
        return json.dumps(dict(values), ensure_ascii=False)
    if form.kind == "markers":
        fields = "".join(f"<<{name}{form.mark}>>\n{shown(value)}\n\n" for name, value in values.items())
        return f"{fields}<<{form.end}{form.mark}>>"
    if form.kind in ("tags", "dspy-tags"):
        return "\n".join(f"<{name}{form.mark}>\n{shown(value)}\n</{name}{form.mark}>" for name, value in values.items())
    if form.kind == "dspy":
        fields = "".join(f"[[ ## {name} ## ]]\n{shown(value)}\n\n" for name, value in values.items())
        return f"{fields}[[ ## completed ## ]]"
    text = "\n".join(shown(value) for value in values.values())
    return f"```\n{text}\n```" if form.kind == "fence" else text


def shown(value: Any) -> str:
    """A value as text: texts as they are, other values as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def response(form: Form, text: str, *, model: str, usage: Usage, seconds: float, readable: bool = True) -> Response:
    """The reply: text, or the call of the tool that was asked for."""
    if form.kind == "tools" and readable:
        call = ToolCall("call_1", form.mark, text)
        return Response("", model, tool_calls=(call,), usage=usage, seconds=seconds, finish="tool_calls")
    return Response(text, model, usage=usage, seconds=seconds)
