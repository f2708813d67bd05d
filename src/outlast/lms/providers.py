"""The providers that a model string may name: one row of data each, no code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from outlast.lms.protocol import Capabilities


@dataclass(frozen=True, slots=True)
class Quirks:
    """Where a server departs from the common form of its dialect.

    `max_tokens` and `seed` are the names that these settings have on the wire, `system_role` the role of
    instructions. `reasoning` is how an effort word is said: as `reasoning_effort`, as DeepSeek's `thinking` switch
    with an effort, as variables of the model's chat template, or as an object of its own. `strict`: JSON schemas
    must follow OpenAI's strict subset and carry `strict: true`; servers without it take any schema. `hides_reasoning`:
    reasoning is in `total_tokens` but not in `completion_tokens`. `reports_cost`: `usage.cost` is what was charged,
    in US dollars. `stream_usage`: takes `stream_options` and then tells usage at the end of a stream.
    `cache_control`: parts may be marked for the prompt cache. `thought_field`: the field in which reasoning of
    earlier turns goes back. `forced_tools`: a tool call can be demanded. `prefill`: how to have it go on from a last
    message of the assistant: it does anyway ("plain"), with a mark on the message ("prefix"), with vLLM's switches
    ("continue"), or not at all. `plain_text`: text of several parts goes as one string.
    `grammar`: how a grammar is sent, llama.cpp's way or vLLM's.
    """

    max_tokens: str = "max_tokens"
    seed: str = "seed"
    system_role: str = "system"
    reasoning: Literal["effort", "thinking", "template", "object"] = "effort"
    strict: bool = True
    hides_reasoning: bool = False
    reports_cost: bool = False
    stream_usage: bool = True
    cache_control: bool = False
    thought_field: str | None = None
    forced_tools: bool = True
    prefill: Literal["plain", "prefix", "continue"] | None = None
    plain_text: bool = False
    grammar: Literal["grammar", "structured_outputs"] | None = None


COMMON = Quirks()


@dataclass(frozen=True, slots=True)
class Family:
    """What is known of the models whose names match one of `patterns`: `can` they do beyond, `without` what."""

    patterns: tuple[str, ...]
    can: tuple[str, ...] = ()
    cannot: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def knows(self, model: str) -> bool:
        """Whether a model belongs to it."""
        return any(fnmatchcase(model, pattern) for pattern in self.patterns)


@dataclass(frozen=True, slots=True)
class Provider:
    """Where a provider is, which environment variables hold its key and another address, and what it can do.

    `dialect` names the wire format. `key_optional`: servers of this kind may run without a key. `can` are the
    capabilities of all its models; `families` say where some differ, the first that matches holds. `auth` is how the
    key is sent when that is not the dialect's way; `hosts` are more hosts that may have it. `own_models`: what is
    known of its models holds at its own address only, since others speak its dialect too.
    """

    base_url: str
    key_env: str | None = None
    key_optional: bool = False
    url_env: str | None = None
    dialect: str = "openai-chat"
    quirks: Quirks = COMMON
    can: tuple[str, ...] = ()
    families: tuple[Family, ...] = ()
    auth: str | None = None
    hosts: tuple[str, ...] = ()
    own_models: bool = False

    def capabilities(self, model: str) -> Capabilities:
        """What `model` can do here, as far as is known without asking it."""
        family = next((family for family in self.families if family.knows(model)), Family(()))
        able = (set(self.can) | set(family.can)) - set(family.cannot)
        return Capabilities(**dict.fromkeys(able, True), without=frozenset(family.without))


_USUAL = ("json_schema", "json_object", "tools", "streaming")
_LOCAL = (*_USUAL, "logprobs", "prefill")
# OpenAI's models that reason take no sampling settings while they do.
_NO_SAMPLING = ("temperature", "top_p", "logprobs")
_OPENAI = (
    Family(("gpt-5-chat*", "gpt-5.?-chat*"), can=("images", "files", "logprobs")),
    Family(("o1*", "o3*", "o4*", "gpt-5*", "gpt-6*"), can=("reasoning", "images", "files"), without=_NO_SAMPLING),
    Family(("gpt-4o-audio*", "gpt-audio*"), can=("audio", "logprobs"), cannot=("json_schema",)),
    Family(("gpt-4o*", "gpt-4.1*"), can=("images", "files", "logprobs")),
    Family(("gpt-3.5*", "gpt-4*"), can=("logprobs",), cannot=("json_schema",)),
)

PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider(
        "https://api.openai.com/v1",
        key_env="OPENAI_API_KEY",
        url_env="OPENAI_BASE_URL",
        quirks=Quirks(max_tokens="max_completion_tokens"),
        can=_USUAL,
        families=_OPENAI,
        own_models=True,
    ),
    "openai-responses": Provider(
        "https://api.openai.com/v1",
        key_env="OPENAI_API_KEY",
        url_env="OPENAI_BASE_URL",
        dialect="openai-responses",
        can=(*_USUAL, "citations"),
        families=_OPENAI,
        own_models=True,
    ),
    "anthropic": Provider(
        "https://api.anthropic.com/v1",
        key_env="ANTHROPIC_API_KEY",
        url_env="ANTHROPIC_BASE_URL",
        dialect="anthropic-messages",
        own_models=True,
        can=("json_schema", "tools", "streaming", "reasoning", "images", "files", "citations"),
        families=(
            # Sampling settings and the start of a reply are refused with a 400 by these.
            Family(
                ("claude-opus-4-[789]*", "claude-opus-[5-9]*", "claude-haiku-5*", "claude-sonnet-[5-9]*"),
                without=("temperature", "top_p"),
            ),
            Family(("claude-3*",), can=("prefill",), cannot=("json_schema", "reasoning")),
            Family(("claude-*-4-[05]*", "claude-sonnet-4*", "claude-opus-4-1*"), can=("prefill",)),
        ),
    ),
    "azure": Provider(
        "",
        key_env="AZURE_OPENAI_API_KEY",
        url_env="AZURE_OPENAI_ENDPOINT",
        quirks=Quirks(max_tokens="max_completion_tokens"),
        can=_USUAL,
        families=_OPENAI,
        auth="api-key",
        hosts=("openai.azure.com", "services.ai.azure.com", "cognitiveservices.azure.com"),
    ),
    "openrouter": Provider(
        "https://openrouter.ai/api/v1",
        key_env="OPENROUTER_API_KEY",
        quirks=Quirks(reports_cost=True, reasoning="object", cache_control=True, thought_field="reasoning_details"),
        can=_USUAL,
    ),
    "groq": Provider(
        "https://api.groq.com/openai/v1",
        key_env="GROQ_API_KEY",
        quirks=Quirks(max_tokens="max_completion_tokens"),
        can=_USUAL,
        families=(Family(("openai/gpt-oss*", "qwen/qwen3*", "deepseek-r1*"), can=("reasoning",)),),
    ),
    "deepseek": Provider(
        "https://api.deepseek.com/v1",
        key_env="DEEPSEEK_API_KEY",
        quirks=Quirks(reasoning="thinking", thought_field="reasoning_content", prefill="prefix", plain_text=True),
        can=("json_object", "tools", "streaming", "logprobs", "prefill"),
        families=(Family(("deepseek-reasoner*", "deepseek-v4*", "deepseek-flash*"), can=("reasoning",)),),
    ),
    "mistral": Provider(
        "https://api.mistral.ai/v1",
        key_env="MISTRAL_API_KEY",
        quirks=Quirks(seed="random_seed", prefill="prefix", stream_usage=False),
        can=(*_USUAL, "prefill"),
        families=(Family(("magistral*",), can=("reasoning",)),),
    ),
    "gemini": Provider(
        "https://generativelanguage.googleapis.com/v1beta/openai",
        key_env="GEMINI_API_KEY",
        quirks=Quirks(strict=False, hides_reasoning=True),
        can=(*_USUAL, "images"),
        families=(Family(("gemini-2.5*", "gemini-3*"), can=("reasoning",)),),
    ),
    "ollama": Provider("http://localhost:11434/v1", quirks=Quirks(strict=False), can=_USUAL),
    "vllm": Provider(
        "http://localhost:8000/v1",
        key_env="VLLM_API_KEY",
        key_optional=True,
        url_env="VLLM_BASE_URL",
        quirks=Quirks(strict=False, prefill="continue", grammar="structured_outputs"),
        can=_LOCAL,
    ),
    # llama-server takes `json_object` but does not enforce it (measured, build b10605).
    "llama_cpp": Provider(
        "http://localhost:8080/v1",
        quirks=Quirks(strict=False, reasoning="template", prefill="plain", grammar="grammar"),
        can=("json_schema", "tools", "streaming", "logprobs", "prefill"),
    ),
}

# A server of which only the address is known: the common form of the dialect, and nothing promised beyond text.
UNKNOWN = Provider("", can=("streaming",))
