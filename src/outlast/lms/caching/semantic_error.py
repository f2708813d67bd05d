"""How often a near question has another answer: the error rate of a semantic cache, measured before it is used."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from outlast.errors import ConfigError, UsageError, brief
from outlast.runtime import drive, io, running, running_loop

if TYPE_CHECKING:
    import numpy as np

Embed = Callable[[Sequence[str]], Any]
_CHUNK = 512  # texts embedded and compared at once
ROUNDING = 1e-6  # of the similarity of 32-bit vectors: what is equal must pass 1.0
_STRICTEST, _STEP = 0.99, 0.01


@dataclass(frozen=True, slots=True)
class FalseHits:
    """What a semantic cache would have done on labelled texts, each asked when it had seen all the others.

    `hits` of `questions` found a text at least as near as `threshold`; `errors` of these hits had another label.
    `low` and `high` bound the share of errors among hits at `level` (exact, Clopper and Pearson 1934).
    """

    threshold: float
    questions: int
    hits: int
    errors: int
    low: float
    high: float
    level: float

    @property
    def rate(self) -> float:
        """The share of errors among the hits; 0 without hits."""
        return self.errors / self.hits if self.hits else 0.0

    @property
    def hit_rate(self) -> float:
        """The share of questions that hit."""
        return self.hits / self.questions

    def __str__(self) -> str:
        return (
            f"similarity >= {self.threshold:.2f}: {self.hits} of {self.questions} questions hit ({self.hit_rate:.1%}), "
            f"{self.errors} of the hits falsely ({self.rate:.1%}, {self.level:.0%} CI {self.low:.1%}..{self.high:.1%})"
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """A threshold whose share of false hits was measured, with the embedding that it was measured with."""

    threshold: float
    max_error: float
    measured: FalseHits
    embed: Embed

    def __str__(self) -> str:
        return f"at most {self.max_error:.1%} false hits: {self.measured}"


def false_hits(embed: Embed, examples: Sequence[Any], threshold: float, level: float = 0.95) -> FalseHits:
    """The share of false hits at a threshold.

    `examples` are (text, label) pairs: each text is looked up among all others, and a hit is false when the nearest
    has another label. Or they are (text, other text, same) triples: a hit is false when `same` is not. Raises
    `UsageError` for fewer than two. Cost: one call of `embed` for every 512 texts; memory for all vectors.
    """
    _check_share("threshold", threshold)
    _check_share("level", level)
    similar, right = _trials(embed, examples)
    return _counted(similar, right, threshold, level)


def calibrate(embed: Embed, examples: Sequence[Any], max_error: float, level: float = 0.95) -> Calibration:
    """The lowest threshold whose share of false hits is at most `max_error`, with confidence `level`.

    Thresholds are tested one by one from 0.99 down in steps of 0.01, each by whether the exact upper bound of its
    error rate is at most `max_error`; the first that fails ends it, so that testing many does not make one pass by
    chance (fixed-sequence testing, as in Angelopoulos et al., "Learn then Test", 2021). Thresholds with so few hits
    that nothing could be shown are passed over. It holds for questions like those of `examples`, asked of a cache
    that holds as many. Raises `ConfigError` when no threshold passes. Takes the `examples` of `false_hits`.
    """
    _check_share("max_error", max_error)
    _check_share("level", level)
    similar, right = _trials(embed, examples)
    passed: FalseHits | None = None
    tried: FalseHits | None = None
    for step in range(round(_STRICTEST / _STEP)):
        found = _counted(similar, right, round(_STRICTEST - step * _STEP, 2), level)
        if (1 - max_error) ** found.hits > 1 - level:
            continue  # too few to show anything
        tried = found
        if upper_bound(found.errors, found.hits, level) > max_error:
            break
        passed = found
    if passed is None:
        why = "there are too few hits to show it" if tried is None else f"already at {tried}"
        raise ConfigError(
            f"no threshold keeps false hits at or below {max_error:.1%} with confidence {level:.0%} on "
            f"{len(examples)} examples: {why}. Allow more errors, give more examples, or use a better embedding."
        )
    return Calibration(passed.threshold, max_error, passed, embed)


def _counted(similar: Sequence[float], right: Sequence[bool], threshold: float, level: float) -> FalseHits:
    outcomes = [good for near, good in zip(similar, right, strict=True) if near >= threshold - ROUNDING]
    hits, errors = len(outcomes), outcomes.count(False)
    side = (1 + level) / 2
    low = 1 - upper_bound(hits - errors, hits, side)
    return FalseHits(threshold, len(similar), hits, errors, low, upper_bound(errors, hits, side), level)


def _trials(embed: Embed, examples: Sequence[Any]) -> tuple[list[float], list[bool]]:
    """For each question, how near the nearest other is, and whether its answer would have been right."""
    rows: list[tuple[Any, ...]] = [
        tuple(cast("Sequence[Any]", example)) if isinstance(example, list | tuple) else () for example in examples
    ]
    if len(rows) < 2 or len({len(row) for row in rows}) != 1 or len(rows[0]) not in (2, 3):
        raise UsageError(
            "examples are at least two (text, label) pairs, or (text, other text, same) triples; got "
            f"{brief(list(examples[:3]))}"
        )
    if len(rows[0]) == 3:
        one, two = (embedded(embed, [str(row[side]) for row in rows]) for side in (0, 1))
        return [float(value) for value in (one * two).sum(axis=1)], [bool(row[2]) for row in rows]
    labels = [cast("Hashable", row[1]) for row in rows]
    vectors = embedded(embed, [str(row[0]) for row in rows])
    similar: list[float] = []
    right: list[bool] = []
    for start in range(0, len(rows), _CHUNK):
        near = vectors[start : start + _CHUNK] @ vectors.T
        for offset in range(len(near)):
            near[offset, start + offset] = -2.0  # not itself
        for offset, other in enumerate(near.argmax(axis=1)):
            similar.append(float(near[offset, other]))
            right.append(labels[start + offset] == labels[int(other)])
    return similar, right


def embedded(embed: Embed, texts: Sequence[str]) -> np.ndarray[Any, Any]:
    """Vectors of length 1, one row a text, from blocking code. Raises what `embed_some` raises."""
    np = numpy_for_vectors()

    with running(blocking=True, loop=running_loop()):
        return np.concatenate([drive(embed_some(embed, texts[n : n + _CHUNK])) for n in range(0, len(texts), _CHUNK)])


def numpy_for_vectors() -> Any:
    """numpy, or `ConfigError` that says how to get it."""
    try:
        import numpy
    except ImportError:
        raise ConfigError("a semantic cache needs numpy: pip install 'outlast[semantic]'") from None
    return numpy


async def embed_some(embed: Embed, texts: Sequence[str]) -> np.ndarray[Any, Any]:
    """Vectors of length 1, one row a text. Raises `UsageError` when `embed` gives something else than vectors."""
    np = numpy_for_vectors()
    given = embed(list(texts))
    if inspect.isawaitable(given):
        given = await io(_awaited(given))
    try:
        vectors = np.array(given, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise UsageError(f"embed gives one vector of numbers for each text; {error}") from None
    if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
        raise UsageError(
            f"embed gives one vector of finite numbers for each of {len(texts)} texts; got the shape {vectors.shape}"
        )
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths == 0, 1, lengths)


async def _awaited(given: Awaitable[Any]) -> Any:
    return await given


def upper_bound(errors: int, trials: int, level: float) -> float:
    """The largest error rate that is not refuted at `level` by so many errors; 1 without trials.

    The exact one-sided bound of Clopper and Pearson: the rate at which as few errors have the probability 1 - level.
    """
    if errors >= trials:
        return 1.0
    low, high = errors / trials, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if _at_most(errors, trials, middle) > 1 - level:
            low = middle
        else:
            high = middle
    return high


def _at_most(errors: int, trials: int, rate: float) -> float:
    """The probability of at most so many errors."""
    if rate <= 0.0 or rate >= 1.0:
        return 1.0 if rate <= 0.0 or errors >= trials else 0.0
    total = 0.0
    for k in range(errors + 1):
        ways = math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        total += math.exp(ways + k * math.log(rate) + (trials - k) * math.log1p(-rate))
    return total


def _check_share(name: str, value: Any) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1:
        raise ConfigError(f"{name} is a number between 0 and 1; got {brief(value)}")
