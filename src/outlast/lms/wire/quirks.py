"""Where servers and model families depart from the common form of their dialect: data, no code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Quirks:
    """Where a server departs from the common form of its dialect.

    `max_tokens` and `seed` are the names that these settings have on the wire, `system_role` the role of instructions.
    `reasoning` is how an effort word is said: as `reasoning_effort`, as DeepSeek's `thinking` switch with an effort, as
    variables of the model's chat template, as an object of its own, or, in Anthropic's dialect, as a `budget` of
    tokens; `reasoning_off` is the kind of thinking that switches it off there, None where nothing does. `strict`: JSON
    schemas must follow OpenAI's strict subset and carry `strict: true`; servers without it take any schema.
    `hides_reasoning`: reasoning is in `total_tokens` but not in `completion_tokens`. `reports_cost`: `usage.cost` is
    what was charged, in US dollars. `stream_usage`: takes `stream_options` and then tells usage at the end of a stream.
    `cache_control`: parts may be marked for the prompt cache. `thought_field`: the field in which reasoning of earlier
    turns goes back ("extra_content": that of Gemini, beside each tool call). `forced_tools`: a tool call can be
    demanded. `prefill`: how to have it go on from a last message of the assistant: it does anyway ("plain"), with a
    mark on the message ("prefix"), with vLLM's switches ("continue"), or not at all. `plain_text`: text of several
    parts goes as one string. `schemas`: the form of JSON schemas where they are not strict: as they are, or Gemini's.
    `samples_at`: the effort words (None: none said) at which it takes sampling settings that it refuses otherwise.
    `plain_ids`: ids of tool calls are nine letters and digits. `max_output`: the bound that is sent in a dialect that
    demands one when none is set. `grammar`: how a grammar is sent, llama.cpp's way or vLLM's.
    """

    max_tokens: str = "max_tokens"
    seed: str = "seed"
    system_role: str = "system"
    reasoning: Literal["effort", "thinking", "template", "object", "budget"] = "effort"
    reasoning_off: str | None = "disabled"
    strict: bool = True
    hides_reasoning: bool = False
    reports_cost: bool = False
    stream_usage: bool = True
    cache_control: bool = False
    thought_field: str | None = None
    forced_tools: bool = True
    prefill: Literal["plain", "prefix", "continue"] | None = None
    plain_text: bool = False
    schemas: Literal["plain", "gemini"] = "plain"
    samples_at: tuple[str | None, ...] = ()
    plain_ids: bool = False
    max_output: int = 4096
    grammar: Literal["grammar", "structured_outputs"] | None = None


COMMON = Quirks()
SHAPING = frozenset(each.name for each in fields(Quirks)).difference(
    ("hides_reasoning", "reports_cost", "stream_usage", "cache_control")
)
"""The quirks that decide what a model is asked, and so what it answers; the others are about counting and prices."""


@dataclass(frozen=True, slots=True)
class Family:
    """What is known of the models whose names match one of `patterns`: `can` they do beyond, `without` what, and which
    `quirks` of the server are others with them."""

    patterns: tuple[str, ...]
    can: tuple[str, ...] = ()
    cannot: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    quirks: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def knows(self, model: str) -> bool:
        """Whether a model belongs to it."""
        return any(fnmatchcase(model, pattern) for pattern in self.patterns)
