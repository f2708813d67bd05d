"""A linear model over the features of texts, and how it is served: a product of what is there with its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from outlast.errors import ConfigError
from outlast.evals.classifiers.features import Row, Vocabulary
from outlast.evals.classifiers.figures import PAIR, SHAPE, figures

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


def numpy() -> Any:
    """numpy, or `ConfigError` that says how to get it."""
    try:
        import numpy
    except ImportError:
        raise ConfigError(
            "a classifier needs numpy to serve and scikit-learn to train: pip install 'outlast[train]'"
        ) from None
    return numpy


class Seen(NamedTuple):
    """Texts to judge; `sources` are as many where outputs are judged by what they are made from; `vectors` are those of
    an embedding, one a row."""

    texts: list[str]
    sources: list[str] | None = None
    vectors: Array | None = None

    def part(self, places: Any) -> Seen:
        """Some of them, by their places."""
        return Seen(
            [self.texts[place] for place in places],
            None if self.sources is None else [self.sources[place] for place in places],
            None if self.vectors is None else self.vectors[places],
        )


@dataclass(frozen=True)
class Features:
    """Which features there are: those of a vocabulary, then figures (scaled by the means and deviations that they had
    in training; those of `PAIR` only where there are sources), then the dimensions of an embedding."""

    vocabulary: Vocabulary | None
    scaling: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    dimensions: int = 0

    @classmethod
    def of(cls, seen: Seen, *, text: bool, most: int) -> Features:
        """The features of training data. Without `text` and sources only those of the embedding."""
        vocabulary = Vocabulary.of(seen.texts, most=most) if text else None
        scaling = None
        if text or seen.sources is not None:
            rows = numpy().array([figures(*pair) for pair in _pairs(seen)])
            scaling = (
                tuple(round(float(mean), 6) for mean in rows.mean(axis=0)),
                tuple(round(float(x), 6) if x > 1e-6 else 1.0 for x in rows.std(axis=0)),
            )
        return cls(vocabulary, scaling, 0 if seen.vectors is None else seen.vectors.shape[1])

    @property
    def paired(self) -> bool:
        """Whether they look at sources."""
        return self.scaling is not None and len(self.scaling[0]) == len(SHAPE) + len(PAIR)

    @property
    def sparse(self) -> int:
        """How many features there are without the embedding."""
        return (len(self.vocabulary) if self.vocabulary else 0) + (len(self.scaling[0]) if self.scaling else 0)

    def __len__(self) -> int:
        return self.sparse + self.dimensions

    def rows(self, seen: Seen) -> list[Row]:
        """The features of each text, without those of the embedding."""
        return [self._row(text, source) for text, source in _pairs(seen)]

    def _row(self, text: str, source: str | None) -> Row:
        places, values = self.vocabulary.row(text) if self.vocabulary else ([], [])
        if self.scaling:
            found = figures(text, source)
            start = len(self.vocabulary) if self.vocabulary else 0
            places.extend(range(start, start + len(found)))
            values.extend(
                max(-_FARTHEST, min(_FARTHEST, (figure - mean) / deviation)) * _SCALE
                for figure, mean, deviation in zip(found, *self.scaling, strict=True)
            )
        return places, values


_FARTHEST = 5.0  # deviations from the mean
_SCALE = 0.2  # so that some ten figures together weigh less than a text of length 1; tried on five data sets


def _pairs(seen: Seen) -> list[tuple[str, str | None]]:
    return list(zip(seen.texts, seen.sources or [None] * len(seen.texts), strict=True))


@dataclass(frozen=True, eq=False)
class Linear:
    """`margins` are products of features and `weights` (features x classes; one column for two classes), plus `bias`.
    Weights are 32-bit floats, as they are stored, so that a loaded model says the same to the last bit."""

    features: Features
    weights: Array
    bias: Array

    def margins(self, seen: Seen) -> Array:
        """One row a text, one column a class. Cost: a few microseconds for each character of text."""
        np = numpy()
        found = np.tile(self.bias, (len(seen.texts), 1))
        if self.features.sparse:
            for place, (places, values) in enumerate(self.features.rows(seen)):
                if places:
                    found[place] += np.asarray(values) @ self.weights[places]
        if seen.vectors is not None:
            found += seen.vectors @ self.weights[self.features.sparse :]
        return found
