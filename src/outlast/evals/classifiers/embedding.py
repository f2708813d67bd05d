"""Vectors from a function of the user's, and a check that it is still the function that the training used."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from outlast.errors import ArtifactError, UsageError, brief
from outlast.evals.classifiers.linear import numpy
from outlast.runtime import drive, io, running, running_loop

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Embed = Callable[[list[str]], Any]
"""A list of texts to as many vectors of numbers, plain or async."""

PROBE = "How far is it from the harbour to the old mill, and who pays for the 2 tickets?"
_CHUNK = 256
_SAME = 0.999


async def vectors_of(embed: Embed, texts: Sequence[str]) -> Array:
    """Vectors of length 1, one row a text; asks for 256 at a time. Raises `UsageError` for what is no such vectors."""
    np = numpy()
    parts: list[Any] = []
    for start in range(0, len(texts), _CHUNK):
        some = list(texts[start : start + _CHUNK])
        given = embed(some)
        if inspect.isawaitable(given):
            given = await io(_awaited(given))
        parts.append(_checked(given, len(some)))
    if len({part.shape[1] for part in parts}) != 1:
        raise UsageError("embed gives vectors of one length for all texts; these differ")
    return np.concatenate(parts)


def embedded(embed: Embed, texts: Sequence[str]) -> Array:
    """The same, and wait."""
    with running(blocking=True, loop=running_loop()):
        return drive(vectors_of(embed, texts))


def check_probe(embed: Embed, probe: Array) -> None:
    """Raise `ArtifactError` when the vector of a certain sentence is not what it was in training."""
    now = embedded(embed, [PROBE])[0]
    if now.shape != probe.shape or float(now @ probe) < _SAME:
        near = f"{float(now @ probe):.3f} alike" if now.shape == probe.shape else f"{len(now)} numbers"
        raise ArtifactError(
            f"embed= is not the embedding that the classifier was trained with: for the same sentence it gives another "
            f"vector ({near}; then: {len(probe)} numbers). Give the same model, or train again."
        )


def _checked(given: Any, count: int) -> Array:
    np = numpy()
    try:
        vectors = np.array(given, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"embed gives one vector of numbers for each text; {error}") from None
    if vectors.ndim != 2 or len(vectors) != count or not vectors.shape[1] or not np.isfinite(vectors).all():
        raise UsageError(
            f"embed gives one vector of finite numbers for each of {count} texts; got {brief(vectors.shape)}"
        )
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths == 0, 1, lengths)


async def _awaited(given: Awaitable[Any]) -> Any:
    return await given
