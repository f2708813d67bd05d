"""What is known of families of models: data, checked against what others measured, and mended by what servers say.

Sources: the model profiles of pydantic-ai 2.68 (calls to the live services, July to October 2026) and the providers'
documentation. In each table the first family that knows a name holds.
"""

from __future__ import annotations

from outlast.lms.wire.quirks import Family

# OpenAI's models take no sampling settings while they reason.
_NO_SAMPLING = ("temperature", "top_p", "logprobs")
_REASONS = ("reasoning", "images", "files")
_ALWAYS_REASON = (
    "o1*", "o3*", "o4*", "gpt-5-*", "gpt-5", "gpt-5.?-pro*", "gpt-5.?-chat*", "gpt-5.1-codex*", "gpt-6-astra*",
    "gpt-6.1-sol*",
)  # fmt: skip
OPENAI = (
    Family(("gpt-5-chat*",), can=("images", "files", "logprobs")),
    Family(_ALWAYS_REASON, can=_REASONS, without=_NO_SAMPLING),
    Family(
        ("gpt-5.1*", "gpt-5.2*", "gpt-5.3*", "gpt-5.4*"),
        can=_REASONS,
        without=_NO_SAMPLING,
        quirks={"samples_at": (None, "none")},
    ),
    Family(
        ("gpt-6-luna*",),
        can=(*_REASONS, "decisions"),
        without=_NO_SAMPLING,
        quirks={"samples_at": ("none",)},
    ),
    Family(("gpt-5.*", "gpt-6*"), can=_REASONS, without=_NO_SAMPLING, quirks={"samples_at": ("none",)}),
    Family(("gpt-4o-audio*", "gpt-audio*"), can=("audio", "logprobs"), cannot=("json_schema",)),
    Family(("gpt-4o*", "gpt-4.1*"), can=("images", "files", "logprobs")),
    Family(("gpt-3.5*", "gpt-4*"), can=("logprobs",), cannot=("json_schema",)),
)

# Sampling settings are refused by models from Opus 4.7 on; the start of a reply by those from 4.6 on. Those up to 4.5
# reason within a budget of tokens. The bounds of old models are low, as they refuse what goes beyond their window.
_SAMPLING = ("temperature", "top_p")
_BUDGET = {"reasoning": "budget"}
_OLD = {"reasoning": "budget", "max_output": 8192}
ANTHROPIC = (
    Family(
        ("claude-fable-5-[12]*", "claude-mythos-5-[12]*", "claude-opus-5-5*"),
        without=_SAMPLING,
        quirks={"reasoning_off": None, "forced_tools": False},
    ),
    Family(("claude-fable-5*", "claude-mythos-*"), without=_SAMPLING, quirks={"reasoning_off": None}),
    Family(
        ("claude-sonnet-5-5*",),
        without=_SAMPLING,
        quirks={"reasoning_off": "between_tools", "forced_tools": False},
    ),
    Family(
        ("claude-opus-4-[78]*", "claude-opus-[5-9]*", "claude-sonnet-[5-9]*", "claude-haiku-[5-9]*"), without=_SAMPLING
    ),
    Family(("claude-opus-4-6*", "claude-sonnet-4-6*")),
    Family(("claude-opus-4-5*", "claude-sonnet-4-5*", "claude-haiku-4-5*"), can=("prefill",), quirks=_BUDGET),
    Family(("claude-opus-4-1*",), can=("prefill",), quirks=_OLD),
    Family(
        ("claude-opus-4*", "claude-sonnet-4*", "claude-3-7*"), can=("prefill",), cannot=("json_schema",), quirks=_OLD
    ),
    Family(
        ("claude-3-5*",),
        can=("prefill",),
        cannot=("json_schema", "reasoning"),
        without=("reasoning",),
        quirks={"max_output": 8192},
    ),
    Family(
        ("claude-3*",),
        can=("prefill",),
        cannot=("json_schema", "reasoning"),
        without=("reasoning",),
        quirks={"max_output": 4096},
    ),
)

# DeepSeek takes other parts and settings than these with a status of 200, and leaves them out.
_DEEPSEEK_LACKS = ("images", "audio", "files", "seed", "tier", "parallel_tools", "prediction")
DEEPSEEK = (
    Family(("deepseek-reasoner*", "deepseek-v4*", "deepseek-flash*"), can=("reasoning",), without=_DEEPSEEK_LACKS),
    Family(("*",), without=_DEEPSEEK_LACKS),
)

GEMINI = (
    Family(("gemini-1*", "gemini-2.0*", "gemini-2.5-flash-image*", "gemma*")),
    Family(("gemini-*",), can=("reasoning",)),
)

TOGETHER = (Family(("openai/gpt-oss*",), can=("reasoning",), quirks={"forced_tools": False}),)
