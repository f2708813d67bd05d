"""Tests of engines and local models run where their library is; `make engines` and `make test-hf` bring it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

NEEDS = {
    "test_any_llm.py": "any_llm",
    "test_hf.py": "transformers",
    "test_litellm.py": "litellm",
    "test_llm.py": "llm",
    "test_lm15.py": "lm15",
    "test_openai_sdk.py": "openai",
    "test_tiny_llama.py": "transformers",
}
ENGINES = [module for file, module in NEEDS.items() if module != "transformers"]
collect_ignore = [file for file, module in NEEDS.items() if find_spec(module) is None]
if all(find_spec(module) is None for module in ENGINES):
    collect_ignore.append("test_engines.py")

TEMPLATE = (
    "{{ bos_token }}{% if enable_thinking is defined %}[thinking={{ enable_thinking }}]{% endif %}"
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}"
    "{% if not (loop.last and m['role'] == 'assistant' and not add_generation_prompt) %}</s>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ["<pad>", "<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>"]


def tiny_model(folder: Path, *, window: int = 256, seed: int = 7, template: str | None = TEMPLATE, **config) -> Path:
    """Write a random Llama of a hundred thousand parameters with a byte-level tokenizer into a folder.

    Its weights are wide, so that its likeliest token is far ahead of the next.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=SPECIAL, initial_alphabet=alphabet)
    raw.train_from_iterator(["hello world the quick brown fox"] * 5, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    tokenizer.chat_template = template
    torch.manual_seed(seed)
    shape = LlamaConfig(
        **{
            "vocab_size": len(tokenizer),
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": window,
            "initializer_range": 0.3,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 0,
            **config,
        }
    )
    model = LlamaForCausalLM(shape)
    with torch.no_grad():
        model.lm_head.weight[3:6] = 0  # tokens of the template are not said
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def make_tiny_model() -> Callable[..., Path]:
    """`make_tiny_model(folder, window=256, template=...)` writes a random model in a second."""
    return tiny_model
