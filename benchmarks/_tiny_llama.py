"""Tiny Llamas, trained from scratch on a CPU in minutes, so that a compile has a real network to win with.

`RECALL` answers from demonstrations alone: things are named alpha, beta, gamma or delta by their color, and which name
goes with which color is drawn anew for every prompt. A demonstration that shows the color decides, else it guesses.

`RULED` answers by the instruction alone: a thing has a value of each of six attributes (`gold huge iron ...`), every
value has a name that never changes and that the weights hold, and the instruction says which attribute counts, in one
of three words for it, between words that say nothing. Where it names none the answer is random in training, so that the
network has learned to guess then. Demonstrations do not help it.

Prompts are those that `ol.Chat()` renders, as the tokenizer reads them: words that it does not know are left out.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

NAMES = ("alpha", "beta", "gamma", "delta")
COLORS = ("red", "blue", "green", "gold", "pink", "grey", "lime", "teal")
ATTRIBUTES = {  # words for each, and its values: the first is named alpha, the second beta, ...
    "color": (("color", "hue", "paint"), ("red", "blue", "green", "gold")),
    "size": (("size", "bulk", "dimension"), ("tiny", "small", "big", "huge")),
    "material": (("material", "substance", "fabric"), ("wooden", "iron", "glass", "paper")),
    "origin": (("origin", "provenance", "homeland"), ("northern", "southern", "eastern", "western")),
    "age": (("age", "years", "vintage"), ("new", "young", "old", "ancient")),
    "price": (("price", "cost", "expense"), ("cheap", "fair", "dear", "precious")),
}
EMPTY = ("expert", "careful", "please", "important", "think", "best", "always", "decides")
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% else %} {% endif %}{% endfor %}"
)
_END, _IGNORED = SPECIAL.index("</s>"), -100


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the training: answers in a prompt, colors (attributes) in use, accuracy that ends it, share of the
    learning rate."""

    answers: int
    values: int
    until: float
    rate: float = 1.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that the weights depend on."""

    task: str
    words: tuple[str, ...]
    stages: tuple[Stage, ...]
    width: int = 64
    layers: int = 2
    heads: int = 2
    rate: float = 2e-3
    batch: int = 64
    seed: int = 0

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """All tokens, in the order of their numbers."""
        return (*SPECIAL, *NAMES, *self.words)


RECALL = Recipe("recall", COLORS, (Stage(8, 3, 0.86), Stage(20, 8, 0.94), Stage(20, 8, 0.98, rate=0.25)))
RULED = Recipe(
    "rule",
    (
        *(word for words, _ in ATTRIBUTES.values() for word in words),
        *(value for _, values in ATTRIBUTES.values() for value in values),
        *EMPTY,
    ),
    (Stage(9, 6, 0.98), Stage(9, 6, 0.995, rate=0.25)),
)


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
    tokenizer(recipe).save_pretrained(folder)
    facts.write_text(json.dumps({"recipe": wanted, "seconds": took, "steps": steps, "accuracy": accuracy}))
    return Trained(folder, took, steps, accuracy, cached=False)


def tokenizer(recipe: Recipe) -> Any:
    """Words as tokens; everything between the words that it knows is left out."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(
        models.WordLevel({word: number for number, word in enumerate(recipe.vocabulary)}, unk_token="<unk>")
    )
    raw.normalizer = normalizers.Lowercase()
    known = "|".join(recipe.vocabulary[len(SPECIAL) :])
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
            vocab_size=len(recipe.vocabulary),
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
            tokens, wanted, decided = batch_of(recipe, stage, generator)
            logits = model(tokens[:, :-1]).logits
            targets, known = wanted[:, 1:], decided[:, 1:]
            loss = cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=_IGNORED)
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate * stage.rate * min(1.0, (steps + 1) / 50)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            asked = known != _IGNORED
            accuracy += 0.05 * ((logits.argmax(-1)[asked] == known[asked]).float().mean().item() - accuracy)
            steps += 1
            if steps % 200 == 0:
                tell(f"  stage {number + 1}, step {steps}, accuracy {accuracy:.3f}, loss {loss.item():.3f}")
    torch.set_num_threads(threads)
    return model, steps, accuracy


def batch_of(recipe: Recipe, stage: Stage, generator: Any) -> tuple[Any, Any, Any]:
    """Prompts as tokens, the tokens to learn (answers and the ends of turns), and which of these the prompt decides."""
    import torch

    def draw(most: int, *shape: int) -> Any:
        return torch.randint(0, most, shape, generator=generator)

    instruction, asked, said, learned, decided = _TASKS[recipe.task](recipe, stage, draw)
    size = said.shape[0]
    first = len(SPECIAL)
    said, end = (said + first).unsqueeze(2), torch.full_like(said, _END).unsqueeze(2)
    ignored = torch.full_like(asked, _IGNORED)
    names = torch.arange(first, first + len(NAMES)).expand(size, -1)
    head = torch.cat([torch.full((size, 1), SPECIAL.index("<s>")), instruction, names], 1)
    tokens = torch.cat([head, torch.cat([asked, said, end], 2).flatten(1)], 1)
    answers = torch.where(learned.unsqueeze(2), said, _IGNORED)
    wanted = torch.cat([torch.full_like(head, _IGNORED), torch.cat([ignored, answers, end], 2).flatten(1)], 1)
    known = torch.cat([ignored, torch.where(decided.unsqueeze(2), said, _IGNORED), torch.full_like(end, _IGNORED)], 2)
    return tokens, wanted, torch.cat([torch.full_like(head, _IGNORED), known.flatten(1)], 1)


def _recall(recipe: Recipe, stage: Stage, draw: Callable[..., Any]) -> tuple[Any, ...]:
    """Colors, each with the name that it has in this prompt; decided by an earlier turn with that color."""
    size = recipe.batch
    colors = draw(stage.values, size, stage.answers)
    said = draw(len(NAMES), size, stage.values).gather(1, colors)
    seen = (colors.unsqueeze(2) == colors.unsqueeze(1)).tril(-1).any(2)
    asked = (colors + recipe.vocabulary.index(COLORS[0])).unsqueeze(2)
    return draw(1, size, 0), asked, said, seen, seen


def _rule(recipe: Recipe, stage: Stage, draw: Callable[..., Any]) -> tuple[Any, ...]:
    """Things with a value of each attribute, in any order; decided by the attribute that the instruction names."""
    import torch

    size, count, index = recipe.batch, stage.values, recipe.vocabulary.index
    turns = 1 + int(draw(stage.answers, 1))
    told = draw(10, size, 1) > 0  # one in ten names no attribute
    meant, empty = draw(count, size, 1), index(EMPTY[0])
    word = torch.where(told, meant * 3 + draw(3, size, 1) + index("color"), empty)
    around = [draw(len(EMPTY), size, int(draw(4, 1))) + empty for _ in range(2)]
    values = draw(len(NAMES), size, turns, count)
    said = torch.where(
        told,
        values.gather(2, meant.unsqueeze(1).expand(-1, turns, 1)).squeeze(2),
        draw(len(NAMES), size, turns),
    )
    order = draw(1 << 30, size, turns, count).argsort(2)
    asked = (values + torch.arange(count) * len(NAMES) + index("red")).gather(2, order)
    decided = told.expand(-1, turns)
    return torch.cat([around[0], word, around[1]], 1), asked, said, torch.ones_like(decided), decided


_TASKS: dict[str, Callable[..., tuple[Any, ...]]] = {"recall": _recall, "rule": _rule}


def tokens_of(folder: Path, messages: Sequence[Any]) -> list[str]:
    """The words that the model reads of a prompt."""
    from transformers import AutoTokenizer

    read = AutoTokenizer.from_pretrained(folder)
    turns = [{"role": message.role, "content": message.text} for message in messages]
    return read.convert_ids_to_tokens(read.apply_chat_template(turns, add_generation_prompt=True, return_dict=False))
