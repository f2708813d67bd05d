"""Who answered, in the words of the conventions, read from the name that a program asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from outlast.tracing.record import SpanRecord

# Ours on the left, `gen_ai.provider.name` on the right, where they differ.
_GEN_AI: Final[Mapping[str, str]] = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "openai-responses": "openai",
    "xai": "x_ai",
}
# The same for `llm.provider` of OpenInference, and `llm.system`, the maker of the model.
_OPENINFERENCE: Final[Mapping[str, str]] = {
    "bedrock": "aws",
    "gemini": "google",
    "mistral": "mistralai",
    "openai-responses": "openai",
    "vertex_ai": "google",
}
_SYSTEMS: Final[Mapping[str, str]] = {"azure": "openai", "gemini": "vertexai", "google": "vertexai"}
_IN_PROCESS: Final = ("hf", "outlast", "scripted", "simulated")

AGENTS: Final = frozenset({"ReAct", "CodeAct", "PlanAndExecute", "RLM"})  # strategies that choose their own steps


def spent(span: SpanRecord) -> bool:
    """Whether the tokens of a call were paid for here: not those of a cache, nor of a reply that others make up.

    Collectors add up what they find, so such a span goes out without counts.
    """
    return span.cache in ("", "miss") and not span.joined


class Named(NamedTuple):
    """A model's name in its parts: the library that was asked through ("" for none), the provider, the model."""

    engine: str
    provider: str
    model: str

    @property
    def gen_ai(self) -> str:
        """The provider as OpenTelemetry spells it."""
        return _GEN_AI.get(self.provider, self.provider)

    @property
    def openinference(self) -> str:
        """The provider as OpenInference spells it."""
        return _OPENINFERENCE.get(self.provider, self.provider)

    @property
    def system(self) -> str:
        """The maker of the model as OpenInference spells it."""
        return _SYSTEMS.get(self.provider, self.openinference)

    @property
    def in_process(self) -> bool:
        """Whether the model runs in this process, so that a call of it is no call of a server."""
        return (self.engine or self.provider) in _IN_PROCESS


def named(asked: str | None) -> Named:
    """The parts of "openai/gpt-5-mini", "litellm:groq/llama-3" or "llm:gpt-5".

    Where no provider is named it is the engine, or "custom" for a server of one's own.
    """
    name = asked or "unknown"
    head = name.partition("/")[0]
    engine, colon, rest = name.partition(":") if ":" in head else ("", "", name)
    inner = rest if colon else name
    provider, slash, model = inner.partition("/")
    if not slash:
        provider, model = engine or (inner if inner in _IN_PROCESS else "custom"), inner
    return Named(engine, provider or "custom", model or inner)
