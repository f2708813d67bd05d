"""Decoding several texts at once with one local model: rows join a running batch, and leave it as they end."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from outlast.lms.hf.text import Spoken
from outlast.lms.hf.weights import Weights
from outlast.messages import TokenLogprob

End = Literal["stop", "length", "other"]  # other: the grammar ran out of the means that llguidance allows it


@dataclass(slots=True, eq=False)
class Sampling:
    """How the next token is chosen. `temperature` 0 takes the likeliest; `top_k` 0 considers all tokens."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    alternatives: int | None = None


@dataclass(slots=True, eq=False)
class Row:
    """One text in the making. `most` bounds its tokens; `told` is called after each of them.

    `matcher` is llguidance's state of a grammar, None for free text. `gone` is set by whoever no longer wants it.
    """

    prompt: Sequence[int]
    most: int
    spoken: Spoken
    sampling: Sampling = field(default_factory=Sampling)
    matcher: Any = None
    told: Callable[[Row], None] = lambda row: None
    gone: bool = False
    generator: Any = None
    count: int = 0
    logprobs: list[TokenLogprob] = field(default_factory=list[TokenLogprob])
    ended: End | None = None


class Batch:
    """The rows that one model is decoding, with their common key-value cache, padded on the left.

    All of it runs in one thread. Rows can `join` at any time when the model's cache is made of plain layers;
    otherwise only an empty batch takes new ones, as caches of different lengths cannot be laid side by side.
    """

    def __init__(self, weights: Weights) -> None:
        self.rows: list[Row] = []
        self.joinable = True
        self._weights = weights
        self._torch = weights.torch
        self._cache: Any = None
        self._mask: Any = None
        self._next: Any = None
        parameters = inspect.signature(weights.model.forward).parameters
        self._cache_name = "cache" if "cache" in parameters else "past_key_values"  # renamed in transformers 5.24
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in parameters else {}

    def join(self, rows: Sequence[Row]) -> None:
        """Read the prompts of new rows, choose their first tokens and lay them beside the others."""
        torch, device = self._torch, self._weights.device
        for row in rows:
            seed = row.sampling.seed
            row.generator = torch.Generator()
            row.generator.seed() if seed is None else row.generator.manual_seed(seed % (1 << 63))
        longest = max(len(row.prompt) for row in rows)
        pads = [longest - len(row.prompt) for row in rows]
        pad = self._weights.pad
        ids = [[pad] * size + list(row.prompt) for size, row in zip(pads, rows, strict=True)]
        mask = [[0] * size + [1] * len(row.prompt) for size, row in zip(pads, rows, strict=True)]
        cache = self._weights.new_cache()
        mask = torch.tensor(mask, device=device)
        logits = self._forward(torch.tensor(ids, device=device), mask, (mask.cumsum(1) - 1).clamp(min=0), cache)
        chosen = self._choose(rows, logits)
        if not self.rows:
            self.rows, self._cache, self._mask, self._next = list(rows), cache, mask, chosen
            self.joinable = self._weights.plain(cache)
        else:
            self._lay_beside(rows, cache, mask, chosen)
        self._drop_ended()

    def step(self) -> None:
        """One more token for each row."""
        torch = self._torch
        self._drop_ended()
        if not self.rows:
            return
        ones = torch.ones((len(self.rows), 1), dtype=self._mask.dtype, device=self._weights.device)
        self._mask = torch.cat([self._mask, ones], dim=1)
        positions = self._mask.sum(1, keepdim=True) - 1
        logits = self._forward(self._next[:, None], self._mask, positions, self._cache)
        self._next = self._choose(self.rows, logits)
        self._drop_ended()

    def clear(self) -> list[Row]:
        """Give all rows back, unfinished."""
        rows, self.rows, self._cache, self._mask, self._next = self.rows, [], None, None, None
        self.joinable = True
        return rows

    def _forward(self, ids: Any, mask: Any, positions: Any, cache: Any) -> Any:
        given = {self._cache_name: cache, **self._last_only}
        out = self._weights.model(
            input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True, return_dict=True, **given
        )
        return out.logits[:, -1, :].float().cpu()

    def _choose(self, rows: Sequence[Row], logits: Any) -> Any:
        """The next token of each row, told to it."""
        torch = self._torch
        chosen: list[int] = []
        for row, own in zip(rows, logits, strict=True):
            allowed = own if row.matcher is None else self._constrained(row, own)
            token = self._pick(row, allowed)
            chosen.append(token)
            if row.sampling.alternatives is not None:
                self._measure(row, own, token)
            self._take(row, token)
        return torch.tensor(chosen, device=self._weights.device)

    def _constrained(self, row: Row, logits: Any) -> Any:
        """The logits with what the grammar forbids at minus infinity."""
        torch = self._torch
        packed = torch.frombuffer(bytearray(row.matcher.compute_bitmask()), dtype=torch.uint8)
        bits = (packed[:, None] >> torch.arange(8, dtype=torch.uint8)) & 1
        allowed = torch.zeros(len(logits), dtype=torch.bool)
        size = min(len(logits), bits.numel())
        allowed[:size] = bits.flatten()[:size].bool()
        return logits.masked_fill(~allowed, float("-inf"))

    def _pick(self, row: Row, logits: Any) -> int:
        torch, how = self._torch, row.sampling
        if how.temperature <= 0:
            return int(logits.argmax())
        logits = logits / max(how.temperature, 1e-4)
        if not how.top_k and how.top_p >= 1:
            return int(torch.multinomial(logits.softmax(0), 1, generator=row.generator))
        values, tokens = logits.sort(descending=True)
        if how.top_k:
            values = values[: how.top_k]
        shares = values.softmax(0)
        kept = shares * (shares.cumsum(0) - shares < how.top_p)  # the first is always kept
        if not kept.any():
            return int(tokens[0])
        return int(tokens[int(torch.multinomial(kept, 1, generator=row.generator))])

    def _measure(self, row: Row, logits: Any, token: int) -> None:
        """The model's own log-probabilities: before temperature, top_p and grammar."""
        shares = logits.log_softmax(0)
        values, tokens = shares.topk(min(row.sampling.alternatives or 0, len(shares)))
        spell = self._weights.spell
        top = tuple((spell(t), v) for t, v in zip(tokens.tolist(), values.tolist(), strict=True))
        row.logprobs.append(TokenLogprob(spell(token), float(shares[token]), top))

    def _take(self, row: Row, token: int) -> None:
        row.count += 1
        if token in self._weights.ends:
            row.ended = "stop"
        else:
            row.spoken.add(token)
            if row.matcher is not None:
                row.matcher.consume_token(token)
            if row.matcher is not None and row.matcher.is_error():
                row.ended = "other"
            elif row.spoken.stopped or (row.matcher is not None and row.matcher.is_stopped()):
                row.ended = "stop"
            elif row.count >= row.most:
                row.ended = "length"
        if row.ended is not None:
            row.spoken.end()
        row.told(row)

    def _drop_ended(self) -> None:
        torch = self._torch
        kept = [index for index, row in enumerate(self.rows) if row.ended is None and not row.gone]
        if len(kept) == len(self.rows):
            return
        if not kept:
            self.clear()
            return
        chosen = torch.tensor(kept, device=self._weights.device)
        self._cache.reorder_cache(chosen)
        self.rows = [self.rows[index] for index in kept]
        self._mask, self._next = self._mask[chosen], self._next[chosen]
        if self.joinable:
            self._trim()

    def _trim(self) -> None:
        """Cut the padding that all rows have."""
        start = int(self._mask.any(0).int().argmax())
        if start:
            self._mask = self._mask[:, start:]
            for layer in self._cache.layers:
                layer.keys, layer.values = layer.keys[:, :, start:], layer.values[:, :, start:]

    def _lay_beside(self, rows: Sequence[Row], cache: Any, mask: Any, chosen: Any) -> None:
        torch = self._torch
        length = max(self._mask.shape[1], mask.shape[1])
        pad = torch.nn.functional.pad
        self._mask = torch.cat([pad(m, (length - m.shape[1], 0)) for m in (self._mask, mask)])
        for own, other in zip(self._cache.layers, cache.layers, strict=True):
            for name in ("keys", "values"):
                pair = [getattr(own, name), getattr(other, name)]
                setattr(own, name, torch.cat([pad(t, (0, 0, length - t.shape[2], 0)) for t in pair]))
        self._next = torch.cat([self._next, chosen])
        self.rows = [*self.rows, *rows]
