"""A tiny Llama, trained from scratch to recall in context, so that a compile has a real network to win with.

Its language is one of things: `red small` is named alpha, beta, gamma or delta, by the color or by the size, and which
name goes with which is drawn anew for every prompt. So the answer has to be read off the demonstrations (one that
covers the query, else the model guesses at 25%) and, with two attributes, the rule off the instruction. Trained on a
CPU in minutes (`RECALL`, `RULED`), on prompts as `ol.Chat()` renders them and its tokenizer reads them: words that it
does not know are left out.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

COLORS = ("red", "blue", "green", "gold", "pink", "grey", "lime", "teal")
SIZES = ("tiny", "small", "big", "huge", "long", "thin", "wide", "tall")
NAMES = ("alpha", "beta", "gamma", "delta")
RULES = ("color", "size")
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
WORDS = (*SPECIAL, *RULES, *COLORS, *SIZES, *NAMES)
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% else %} {% endif %}{% endfor %}"
)
_END = WORDS.index("</s>")


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the training: demonstrations in a prompt, values of an attribute, share of prompts that hide the
    attribute that does not count, accuracy that ends it, share of the learning rate."""

    demos: int
    values: int
    hidden: float
    until: float
    rate: float = 1.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that the weights depend on. `attributes` 1: colors only, and no rule to read."""

    attributes: int
    stages: tuple[Stage, ...]
    width: int = 64
    layers: int = 3
    heads: int = 4
    rate: float = 2e-3
    batch: int = 64
    seed: int = 0


RECALL = Recipe(
    1, (Stage(8, 3, 0.0, 0.86), Stage(20, 8, 0.0, 0.94), Stage(20, 8, 0.0, 0.98, rate=0.25)), layers=2, heads=2
)
RULED = Recipe(2, (Stage(8, 3, 0.9, 0.9), Stage(10, 4, 0.5, 0.9), Stage(14, 6, 0.3, 0.9), Stage(18, 8, 0.15, 0.99)))


@dataclass(frozen=True, slots=True)
class Trained:
    """A folder with a model, and what making it took; `accuracy` is that on prompts of the last stage."""

    folder: Path
    seconds: float
    steps: int
    accuracy: float
    cached: bool


def trained(folder: Path, recipe: Recipe, *, seconds: float = 900.0, tell: Any = None) -> Trained:
    """The model of a recipe in a folder: read when it is there, else trained for at most so many CPU seconds."""
    facts = folder / "trained.json"
    wanted = json.loads(json.dumps(asdict(recipe)))
    if facts.is_file():
        known = json.loads(facts.read_text())
        if known["recipe"] == wanted:
            return Trained(folder, known["seconds"], known["steps"], known["accuracy"], cached=True)
    began = time.process_time()
    model, steps, accuracy = _train(recipe, began + seconds, tell or (lambda line: None))
    took = time.process_time() - began
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    facts.write_text(json.dumps({"recipe": wanted, "seconds": took, "steps": steps, "accuracy": accuracy}))
    return Trained(folder, took, steps, accuracy, cached=False)


def tokenizer() -> Any:
    """Words as tokens; everything between the words that it knows is left out."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    raw.normalizer = normalizers.Lowercase()
    known = "|".join(WORDS[len(SPECIAL) :])
    raw.pre_tokenizer = pre_tokenizers.Split(Regex(rf"\b(?:{known})\b"), behavior="removed", invert=True)
    made = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )
    made.chat_template = TEMPLATE
    return made


def _train(recipe: Recipe, deadline: float, tell: Any) -> tuple[Any, int, float]:
    """The model, its steps, and the accuracy that it had reached, a mean over the last twenty batches or so."""
    import torch
    from torch.nn.functional import cross_entropy
    from transformers import LlamaConfig, LlamaForCausalLM

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(WORDS),
            hidden_size=recipe.width,
            intermediate_size=2 * recipe.width,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            num_key_value_heads=recipe.heads,
            max_position_embeddings=1024,
            initializer_range=0.1,  # with the usual 0.02 so narrow a model never leaves its first plateau
            tie_word_embeddings=False,
            bos_token_id=1,
            eos_token_id=_END,
            pad_token_id=0,
        )
    )
    generator = torch.Generator().manual_seed(recipe.seed + 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.rate, betas=(0.9, 0.95), weight_decay=0.0)
    steps = 0
    accuracy = 0.0
    for number, stage in enumerate(recipe.stages):
        accuracy = 0.0
        while accuracy < stage.until and time.process_time() < deadline:
            tokens, wanted = _batch(recipe, stage, generator)
            logits = model(tokens[:, :-1]).logits
            targets = wanted[:, 1:]
            loss = cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate * stage.rate * min(1.0, (steps + 1) / 50)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            asked = (targets != -100) & (targets != _END)
            accuracy += 0.05 * ((logits.argmax(-1)[asked] == targets[asked]).float().mean().item() - accuracy)
            steps += 1
            if steps % 200 == 0:
                tell(f"  stage {number + 1}, step {steps}, accuracy {accuracy:.3f}, loss {loss.item():.3f}")
    torch.set_num_threads(threads)
    return model, steps, accuracy


def _batch(recipe: Recipe, stage: Stage, generator: Any) -> tuple[Any, Any]:
    """Prompts as tokens, and the tokens that count: names that a demonstration before covers, and the end of a turn."""
    import torch

    def draw(most: int, *shape: int) -> Any:
        return torch.randint(0, most, shape, generator=generator)

    size = recipe.batch
    rule = draw(recipe.attributes, size, 1)
    values = [draw(stage.values, size, stage.demos) for _ in range(recipe.attributes)]
    counted = values[0] if recipe.attributes == 1 else torch.where(rule == 0, values[0], values[1])
    names = draw(len(NAMES), size, stage.values).gather(1, counted)
    columns = [value + WORDS.index(first) for value, first in zip(values, (COLORS[0], SIZES[0]), strict=False)]
    if recipe.attributes == 2:
        hide = torch.rand(size, 1, generator=generator) < stage.hidden
        unknown = torch.full_like(names, WORDS.index("<unk>"))
        columns = [torch.where(hide & (rule != number), unknown, column) for number, column in enumerate(columns)]
    said = names + WORDS.index(NAMES[0])
    turns = torch.stack([*columns, said, torch.full_like(names, _END)], 2).flatten(1)
    head = head_of(recipe, rule)
    seen = (counted.unsqueeze(2) == counted.unsqueeze(1)).tril(-1).any(2)
    ignored = torch.full_like(names, -100)
    answers = torch.where(seen, said, ignored)
    wanted = torch.stack([*[ignored] * len(columns), answers, torch.full_like(names, _END)], 2).flatten(1)
    return torch.cat([head, turns], 1), torch.cat([torch.full_like(head, -100), wanted], 1)


def head_of(recipe: Recipe, rule: Any) -> Any:
    """What the model reads of a system message: the rule, and the names that the signature allows."""
    import torch

    size = rule.shape[0]
    names = torch.arange(len(NAMES)).expand(size, -1) + WORDS.index(NAMES[0])
    begin = torch.full((size, 1), WORDS.index("<s>"))
    return torch.cat([begin, names] if recipe.attributes == 1 else [begin, rule + WORDS.index(RULES[0]), names], 1)


def tokens_of(folder: Path, messages: Sequence[Any]) -> list[str]:
    """The words that the model reads of a prompt."""
    from transformers import AutoTokenizer

    read = AutoTokenizer.from_pretrained(folder)
    turns = [{"role": message.role, "content": message.text} for message in messages]
    return read.convert_ids_to_tokens(read.apply_chat_template(turns, add_generation_prompt=True, return_dict=False))
