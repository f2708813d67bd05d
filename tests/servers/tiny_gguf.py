"""A llama of random weights, a few hundred kilobytes, in a GGUF file made on the spot.

It says nothing that makes sense, but says it in every form that a server can hold it to. The tokens are ASCII only,
as llama.cpp's parser of chats gives up on bytes that are no text. The format is described in
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import random
import struct
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

WIDTH, INNER, LAYERS, HEADS, CONTEXT = 64, 128, 2, 4, 4096
TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ["<s>", "</s>", "<pad>", "<|system|>", "<|user|>", "<|assistant|>"]
SPACE, LINE = "\u0120", "\u010a"  # how byte-level BPE writes a space and a line end
WORDS = ("the", "and", "an", "er", "in", "is", "it", "no", "of", "on", "or", "re", "st", "to", "yes", "true", "false")


def write_model(path: Path, seed: int = 0) -> Path:
    """Write the model; the same seed gives the same file."""
    tokens, merges = _vocabulary()
    facts = {
        "general.architecture": "llama",
        "general.name": "tiny-random",
        "llama.context_length": CONTEXT,
        "llama.embedding_length": WIDTH,
        "llama.block_count": LAYERS,
        "llama.feed_forward_length": INNER,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": WIDTH // HEADS,
        "llama.rope.freq_base": 10_000.0,
        "llama.vocab_size": len(tokens),
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3 if token in SPECIAL else 1 for token in tokens],  # 3: control, 1: normal
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.padding_token_id": 2,
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.chat_template": TEMPLATE,
    }
    tensors = list(_tensors(random.Random(seed), len(tokens)))
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(facts))
    head += b"".join(_text(name) + _value(value) for name, value in facts.items())
    offset = 0
    for name, shape, weights in tensors:
        head += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, offset)
        offset += len(weights) * 4
    head += b"\0" * (-len(head) % 32)
    path.write_bytes(head + b"".join(weights.tobytes() for _, _, weights in tensors))
    return path


def _vocabulary() -> tuple[list[str], list[str]]:
    """The tokens, and the merges that make those of several letters."""
    letters = [chr(code) for code in range(33, 127)] + [SPACE, LINE]
    merges: dict[tuple[str, str], None] = {}
    for word in WORDS:
        made = word[0]
        for letter in word[1:]:
            merges[made, letter] = None
            made += letter
        merges[SPACE, word] = None
    longer = [first + second for first, second in merges]
    return SPECIAL + letters + longer, [f"{first} {second}" for first, second in merges]


def _tensors(draw: random.Random, vocabulary: int) -> Iterator[tuple[str, Sequence[int], array[float]]]:
    """Name, shape (innermost first) and weights; every size is a multiple of 32 bytes."""

    def noise(*shape: int) -> tuple[Sequence[int], array[float]]:
        count = shape[0] * shape[1]
        return shape, array("f", (draw.gauss(0, 0.08) for _ in range(count)))

    ones = ((WIDTH,), array("f", [1.0] * WIDTH))
    yield ("token_embd.weight", *noise(WIDTH, vocabulary))
    yield ("output_norm.weight", *ones)
    yield ("output.weight", *noise(WIDTH, vocabulary))
    for layer in range(LAYERS):
        prefix = f"blk.{layer}."
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield (f"{prefix}{name}.weight", *noise(WIDTH, WIDTH))
        yield (f"{prefix}ffn_gate.weight", *noise(WIDTH, INNER))
        yield (f"{prefix}ffn_up.weight", *noise(WIDTH, INNER))
        yield (f"{prefix}ffn_down.weight", *noise(INNER, WIDTH))
        yield (f"{prefix}attn_norm.weight", *ones)
        yield (f"{prefix}ffn_norm.weight", *ones)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> bytes:
    """A value with its type before it."""
    if isinstance(value, list):
        if isinstance(value[0], int):
            return struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(_text(part) for part in value)
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    return struct.pack("<I", 8) + _text(value)
