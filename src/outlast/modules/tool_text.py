"""A tool as a model reads it in a prompt: how it is called, what it does, what its arguments are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from outlast.signatures.compact import compact_type
from outlast.types import Tool


def spelled(tool: Tool, name: str | None = None) -> str:
    """The tool under a name, its own when none is given; every argument that has a description on a line of its own."""
    properties: Mapping[str, Any] = tool.parameters.get("properties") or {}
    required: Sequence[str] = tool.parameters.get("required", ())
    shared: Mapping[str, Any] = tool.parameters.get("$defs", {})
    shown: list[str] = []
    for argument, one in properties.items():
        schema = {key: value for key, value in dict(one).items() if key != "description"} if one else {}
        kind = compact_type({**schema, "$defs": shared} if shared else schema) or json.dumps(schema)
        shown.append(f"{argument}{'' if argument in required else '?'}: {kind}")
    lines = [f"{name or tool.name}({', '.join(shown)}): {_indented(tool.description)}".rstrip(": ")]
    lines += [f"  {argument}: {_indented(text)}" for argument, text in tool.arguments.items() if text]
    return "\n".join(lines)


def _indented(text: str) -> str:
    return text.strip().replace("\n", "\n  ")
