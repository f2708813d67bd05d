"""The providers that a model string may name: one row of data each, no code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from outlast.lms.protocol import Capabilities
from outlast.lms.wire.families import ANTHROPIC, DEEPSEEK, GEMINI, OPENAI, TOGETHER
from outlast.lms.wire.quirks import COMMON, Family, Quirks


@dataclass(frozen=True, slots=True)
class Provider:
    """Where a provider is, which environment variables hold its key and another address, and what it can do.

    `dialect` names the wire format. `key_optional`: servers of this kind may run without a key. `can` are the
    capabilities of all its models; `families` say where some differ, the first that matches holds. `auth` is how the
    key is sent when that is not the dialect's way; `hosts` are more hosts that may have it. `own_models`: what is
    known of its models holds at its own address only, since others speak its dialect too. `decisions` names the
    dialect in which its models with the capability answer typed questions.
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
    decisions: str | None = None

    def family(self, model: str) -> Family:
        """The family of a model; one of which nothing is known when none knows it."""
        return next((family for family in self.families if family.knows(model)), Family(()))

    def quirks_of(self, model: str) -> Quirks:
        """How a request to this model is written."""
        changes = self.family(model).quirks
        return replace(self.quirks, **changes) if changes else self.quirks

    def knows(self, model: str) -> bool:
        """Whether a name is that of one of its models, wherever it is asked."""
        return any(family.knows(model) for family in self.families)

    def capabilities(self, model: str) -> Capabilities:
        """What `model` can do here, as far as is known without asking it."""
        family = self.family(model)
        able = (set(self.can) | set(family.can)) - set(family.cannot)
        return Capabilities(**dict.fromkeys(able, True), without=frozenset(family.without))


_USUAL = ("json_schema", "json_object", "tools", "streaming")
_LOCAL = (*_USUAL, "logprobs", "prefill")
_OPEN_MODELS = Quirks(max_tokens="max_completion_tokens", thought_field="reasoning_content")

PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider(
        "https://api.openai.com/v1",
        key_env="OPENAI_API_KEY",
        url_env="OPENAI_BASE_URL",
        quirks=Quirks(max_tokens="max_completion_tokens"),
        can=_USUAL,
        families=OPENAI,
        own_models=True,
        decisions="openai",
    ),
    "openai-responses": Provider(
        "https://api.openai.com/v1",
        key_env="OPENAI_API_KEY",
        url_env="OPENAI_BASE_URL",
        dialect="openai-responses",
        quirks=Quirks(system_role="developer"),
        can=(*_USUAL, "citations"),
        families=OPENAI,
        own_models=True,
        decisions="openai",
    ),
    "anthropic": Provider(
        "https://api.anthropic.com/v1",
        key_env="ANTHROPIC_API_KEY",
        url_env="ANTHROPIC_BASE_URL",
        dialect="anthropic-messages",
        quirks=Quirks(cache_control=True, max_output=32_000),
        can=("json_schema", "tools", "streaming", "reasoning", "images", "files", "citations"),
        families=ANTHROPIC,
        own_models=True,
    ),
    "azure": Provider(
        "",
        key_env="AZURE_OPENAI_API_KEY",
        url_env="AZURE_OPENAI_ENDPOINT",
        quirks=Quirks(max_tokens="max_completion_tokens"),
        can=_USUAL,
        families=OPENAI,
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
        families=DEEPSEEK,
    ),
    "mistral": Provider(
        "https://api.mistral.ai/v1",
        key_env="MISTRAL_API_KEY",
        quirks=Quirks(seed="random_seed", prefill="prefix", stream_usage=False, plain_ids=True),
        can=(*_USUAL, "prefill"),
        families=(Family(("magistral*",), can=("reasoning",)),),
    ),
    "gemini": Provider(
        "https://generativelanguage.googleapis.com/v1beta/openai",
        key_env="GEMINI_API_KEY",
        quirks=Quirks(strict=False, schemas="gemini", hides_reasoning=True, thought_field="extra_content"),
        can=(*_USUAL, "images", "audio"),
        families=GEMINI,
    ),
    # Of the next five, what lm15 1.5 writes down of requests made in September 2026.
    "xai": Provider("https://api.x.ai/v1", key_env="XAI_API_KEY", can=(*_USUAL, "reasoning", "images")),
    "together": Provider(
        "https://api.together.xyz/v1", key_env="TOGETHER_API_KEY", quirks=_OPEN_MODELS, can=_USUAL, families=TOGETHER
    ),
    "fireworks": Provider(
        "https://api.fireworks.ai/inference/v1", key_env="FIREWORKS_API_KEY", quirks=_OPEN_MODELS, can=_USUAL
    ),
    "moonshot": Provider("https://api.moonshot.ai/v1", key_env="MOONSHOT_API_KEY", quirks=_OPEN_MODELS, can=_USUAL),
    # Takes any `tool_choice` and any schema, and heeds neither.
    "zai": Provider(
        "https://api.z.ai/api/paas/v4",
        key_env="ZAI_API_KEY",
        quirks=Quirks(reasoning="thinking", thought_field="reasoning_content", forced_tools=False),
        can=("json_object", "tools", "streaming", "reasoning"),
    ),
    "ollama": Provider("http://localhost:11434/v1", quirks=Quirks(strict=False), can=_USUAL),
    "lm_studio": Provider("http://localhost:1234/v1", quirks=Quirks(strict=False), can=_USUAL),
    "vllm": Provider(
        "http://localhost:8000/v1",
        key_env="VLLM_API_KEY",
        key_optional=True,
        url_env="VLLM_BASE_URL",
        quirks=Quirks(strict=False, prefill="continue", grammar="structured_outputs"),
        can=_LOCAL,
    ),
    "sglang": Provider(
        "http://localhost:30000/v1", url_env="SGLANG_BASE_URL", quirks=Quirks(strict=False), can=(*_USUAL, "logprobs")
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
