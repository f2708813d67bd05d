"""The providers that a model string may name: one row of data each, no code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from outlast.lms.protocol import Capabilities


@dataclass(frozen=True, slots=True)
class Quirks:
    """Where a server's OpenAI chat dialect departs from the common form.

    `max_tokens` and `seed` are the names that these settings have on the wire. `reasoning` is how an effort word is
    said: as `reasoning_effort`, as DeepSeek's `thinking` switch with an effort, or as variables of the model's chat
    template. `strict`: JSON schemas must follow OpenAI's strict subset and carry `strict: true`; servers without it
    take any schema. `hides_reasoning`: reasoning is in `total_tokens` but not in `completion_tokens`.
    `reports_cost`: `usage.cost` is what was charged, in US dollars.
    """

    max_tokens: str = "max_tokens"
    seed: str = "seed"
    reasoning: Literal["effort", "thinking", "template"] = "effort"
    strict: bool = True
    hides_reasoning: bool = False
    reports_cost: bool = False


COMMON = Quirks()


@dataclass(frozen=True, slots=True)
class Provider:
    """Where a provider is, which environment variables hold its key and another address, and what it can do.

    `key_optional`: servers of this kind may run without a key.
    `reasoning_models` are patterns of model names that reason natively before they answer.
    """

    base_url: str
    key_env: str | None = None
    key_optional: bool = False
    url_env: str | None = None
    quirks: Quirks = COMMON
    json_schema: bool = True
    json_object: bool = True
    reasoning_models: tuple[str, ...] = ()

    def capabilities(self, model: str) -> Capabilities:
        """What `model` can do here, as far as is known without asking it."""
        reasons = any(fnmatchcase(model, pattern) for pattern in self.reasoning_models)
        return Capabilities(json_schema=self.json_schema, json_object=self.json_object, reasoning=reasons)


PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider(
        "https://api.openai.com/v1",
        key_env="OPENAI_API_KEY",
        url_env="OPENAI_BASE_URL",
        quirks=Quirks(max_tokens="max_completion_tokens"),
        reasoning_models=("o1*", "o3*", "o4*", "gpt-5", "gpt-5-[!c]*", "gpt-5-codex*", "gpt-5.*", "gpt-6*"),
    ),
    "openrouter": Provider(
        "https://openrouter.ai/api/v1", key_env="OPENROUTER_API_KEY", quirks=Quirks(reports_cost=True)
    ),
    "groq": Provider(
        "https://api.groq.com/openai/v1",
        key_env="GROQ_API_KEY",
        quirks=Quirks(max_tokens="max_completion_tokens"),
        reasoning_models=("openai/gpt-oss*", "qwen/qwen3*", "deepseek-r1*"),
    ),
    "deepseek": Provider(
        "https://api.deepseek.com/v1",
        key_env="DEEPSEEK_API_KEY",
        quirks=Quirks(reasoning="thinking"),
        json_schema=False,
        reasoning_models=("deepseek-reasoner*", "deepseek-v4*", "deepseek-flash*"),
    ),
    "mistral": Provider(
        "https://api.mistral.ai/v1",
        key_env="MISTRAL_API_KEY",
        quirks=Quirks(seed="random_seed"),
        reasoning_models=("magistral*",),
    ),
    "gemini": Provider(
        "https://generativelanguage.googleapis.com/v1beta/openai",
        key_env="GEMINI_API_KEY",
        quirks=Quirks(strict=False, hides_reasoning=True),
        reasoning_models=("gemini-2.5*", "gemini-3*"),
    ),
    "ollama": Provider("http://localhost:11434/v1", quirks=Quirks(strict=False)),
    "vllm": Provider(
        "http://localhost:8000/v1",
        key_env="VLLM_API_KEY",
        key_optional=True,
        url_env="VLLM_BASE_URL",
        quirks=Quirks(strict=False),
    ),
    # llama-server takes `json_object` but does not enforce it (measured, build b10605).
    "llama_cpp": Provider(
        "http://localhost:8080/v1",
        quirks=Quirks(strict=False, reasoning="template"),
        json_object=False,
    ),
}

# A server of which only the address is known: the common form of the dialect, and nothing promised beyond text.
UNKNOWN = Provider("", json_schema=False, json_object=False)
