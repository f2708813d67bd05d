"""Fits a classifier: the one place that needs scikit-learn."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from outlast.errors import ConfigError, DataError
from outlast.evals.classifiers.calibration import KINDS, Calibration, reliability
from outlast.evals.classifiers.deciding import Abstain, least_sure, said
from outlast.evals.classifiers.features import Row
from outlast.evals.classifiers.folds import fold_of
from outlast.evals.classifiers.linear import Features, Linear, Seen, numpy
from outlast.evals.classifiers.reading import Class, Labelled
from outlast.evals.classifiers.report import Band, TrainingReport, kappa, mean_recall, share
from outlast.evals.statistics import Estimate

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

GRID = (0.1, 1.0, 10.0, 100.0)
_INNER = 4
_MOST_FOR_KERNEL = 1_000  # rows whose products with each other are worked with instead of their features
_ISOTONIC_FROM = 1_000


@dataclass(frozen=True)
class Plan:
    """How to train: see `train_classifier`."""

    classes: tuple[Class, ...]
    costs: tuple[float, ...]
    text: bool
    most: int
    calibration: str
    abstain: Abstain | None
    folds: int
    seed: int

    def kind_of(self, n: int) -> str:
        """Temperature for several classes; for two Platt's curve, and the isotonic one from a thousand labels."""
        if self.calibration != "auto":
            return self.calibration
        if len(self.classes) > 2:
            return "temperature"
        return "isotonic" if n >= _ISOTONIC_FROM else "platt"


class Fitted(NamedTuple):
    """Everything that is made from some labelled texts: the model, its calibration, how sure a verdict must be
    (infinite where nothing reaches what is wanted), and the C that was chosen."""

    model: Linear
    calibration: Calibration
    least: float
    strength: float

    def probabilities(self, seen: Seen) -> Array:
        """Rows x classes."""
        return self.calibration.probabilities(self.model.margins(seen))


def train(data: Labelled, plan: Plan) -> tuple[Fitted, TrainingReport]:
    """Fit on everything, and report what becomes of each fold when all of it is made from the others. Deterministic:
    the same data give the same model. Raises `DataError` when nothing reaches what `abstain` wants."""
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    with threadpool_limits(1):  # in problems this small, threads of BLAS cost more than they help
        return _trained(data, plan)


def _trained(data: Labelled, plan: Plan) -> tuple[Fitted, TrainingReport]:
    np = numpy()
    right = np.array([plan.classes.index(value) for value in data.values])
    folds = np.array(fold_of(data.groups, data.values, plan.folds, plan.seed))
    kind = plan.kind_of(len(right))
    probabilities = np.zeros((len(right), len(plan.classes)))
    least = np.zeros(len(right))
    for fold in range(plan.folds):
        tested = np.flatnonzero(folds == fold)
        if len(tested):
            part = fit(data, right, np.flatnonzero(folds != fold), plan, kind)
            probabilities[tested] = part.probabilities(data.seen.part(tested))
            least[tested] = part.least
    final = fit(data, right, np.arange(len(right)), plan, kind)
    report = _report(data, plan, right, probabilities, least, final, kind)
    if math.isinf(final.least):
        raise DataError(
            f"no verdicts reach an {plan.abstain} in cross-validation, so that all texts would be left undecided. Want "
            f"less, or label more.\n{report}"
        )
    return final, report


def fit(data: Labelled, right: Array, places: Array, plan: Plan, kind: str) -> Fitted:
    """The model of some of the texts: vocabulary, regularisation, calibration and threshold from these alone, the last
    three by cross-validation within them."""
    np = numpy()
    seen, own = data.seen.part(places), right[places]
    features = Features.of(seen, text=plan.text, most=plan.most)
    space = _space(matrix(features, seen))
    weights = np.asarray(plan.costs)[own]
    folds = _inner_folds([data.groups[int(place)] for place in places], own, plan)
    strength, margins = _searched(space.rows, own, weights, folds, len(plan.classes))
    found, bias = fit_linear(space.rows, own, weights, len(plan.classes), strength)
    model = Linear(features, space.back(found).astype(np.float32), bias)
    curve = KINDS[kind].fit(*((margins[:, 0], own == 1) if margins.shape[1] == 1 else (margins, own)))
    least = 0.0
    if plan.abstain is not None:
        verdicts, sure = said(curve.probabilities(margins), plan.costs)
        least = least_sure(sure, verdicts == own, plan.abstain)
    return Fitted(model, curve, least, strength)


def fit_linear(rows: Any, right: Array, weights: Array, classes: int, strength: float) -> tuple[Array, Array]:
    """Weights (features x columns) and bias of a logistic regression with an L2 penalty, C = `strength`."""
    from sklearn.linear_model import LogisticRegression

    small = classes == 2 and rows.shape[0] <= _MOST_FOR_KERNEL
    solver: Any = "newton-cg" if small else "lbfgs"
    regression: Any = LogisticRegression(
        C=strength, solver=solver, max_iter=300, tol=1e-4 if small else 1e-5 if classes == 2 else 1e-3
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 300 steps are near enough
        regression.fit(rows, right, sample_weight=weights)
    return regression.coef_.T, regression.intercept_


def need_scikit() -> None:
    """Raise `ConfigError` that says how to get scikit-learn when it is not there."""
    try:
        import sklearn  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError:
        raise ConfigError("training a classifier needs scikit-learn: pip install 'outlast[train]'") from None


def matrix(features: Features, seen: Seen) -> Any:
    """The features of texts as a sparse matrix."""
    from scipy import sparse

    np, scipy_sparse = numpy(), sparse.__dict__
    table: list[Row] = features.rows(seen)
    ends = np.cumsum([0, *(len(places) for places, _ in table)])
    places = np.fromiter((place for row, _ in table for place in row), dtype=np.int32, count=ends[-1])
    values = np.fromiter((value for _, row in table for value in row), dtype=float, count=ends[-1])
    found: Any = scipy_sparse["csr_matrix"]((values, places, ends), shape=(len(seen.texts), features.sparse))
    if seen.vectors is None:
        return found
    return scipy_sparse["hstack"]([found, scipy_sparse["csr_matrix"](seen.vectors)], format="csr")


class _Space(NamedTuple):
    """Rows to fit on; `turn` makes weights for them weights of the features, None where they are the features."""

    rows: Any
    turn: Any = None

    def back(self, found: Array) -> Array:
        """Weights of the features."""
        return found if self.turn is None else self.turn(found)


def _space(rows: Any) -> _Space:
    """For few texts with many features, the same problem in as many dimensions as there are texts: the weights with the
    least penalty are a sum of the rows, so nothing is lost, and a fit takes milliseconds."""
    np = numpy()
    if rows.shape[0] > _MOST_FOR_KERNEL or rows.shape[0] > rows.shape[1]:
        return _Space(rows)
    sizes, turned = np.linalg.eigh((rows @ rows.T).toarray())
    kept = sizes > 1e-10 * sizes.max()
    turned, lengths = turned[:, kept], np.sqrt(sizes[kept])

    def turn(found: Array) -> Array:
        return rows.T @ ((turned / lengths) @ found)

    return _Space(turned * lengths, turn)


def _inner_folds(groups: Sequence[str], right: Array, plan: Plan) -> Array:
    np = numpy()
    try:
        return np.array(fold_of(groups, right.tolist(), _INNER, plan.seed))
    except DataError:  # in this part the texts of a class all belong together: then their group is cut
        return np.array(fold_of([str(place) for place in range(len(right))], right.tolist(), _INNER, plan.seed))


def _searched(rows: Any, right: Array, weights: Array, folds: Array, classes: int) -> tuple[float, Array]:
    """The C with the least log loss, the smaller one of equals, and the margins that it gives texts which were not
    trained on. For several classes, and for many texts, one fold decides about C: there fits are dear."""
    np = numpy()
    every = range(_INNER)
    deciding = every if classes == 2 and len(right) <= _MOST_FOR_KERNEL else every[:1]
    held: dict[tuple[float, int], Array] = {}

    def margins(strength: float, fold: int) -> Array:
        if (strength, fold) not in held:
            tested = folds == fold
            found, bias = fit_linear(rows[~tested], right[~tested], weights[~tested], classes, strength)
            held[strength, fold] = rows[tested] @ found + bias
        return held[strength, fold]

    losses = [
        sum(_loss(margins(strength, fold), right[folds == fold], weights[folds == fold]) for fold in deciding)
        for strength in GRID
    ]
    best = GRID[int(np.argmin(np.round(losses, 9)))]
    found = np.zeros((len(right), 1 if classes == 2 else classes))
    for fold in every:
        found[folds == fold] = margins(best, fold)
    return best, found


def _loss(margins: Array, right: Array, weights: Array) -> float:
    """Log loss of margins, taken as they are; mistakes weigh what they cost."""
    np = numpy()
    if margins.shape[1] == 1:
        return float((weights * np.logaddexp(0, -margins[:, 0] * np.where(right == 1, 1, -1))).sum())
    most = margins.max(axis=1)
    total = most + np.log(np.exp(margins - most[:, None]).sum(axis=1))
    return float((weights * (total - margins[np.arange(len(right)), right])).sum())


def _report(
    data: Labelled, plan: Plan, right: Array, probabilities: Array, least: Array, final: Fitted, kind: str
) -> TrainingReport:
    np = numpy()
    size, n = len(plan.classes), len(right)
    verdicts, sure = said(probabilities, plan.costs)
    table = np.bincount(right * size + verdicts, minlength=size * size).reshape(size, size)
    hits = verdicts == right

    def of(places: Any, which: Any = hits) -> Estimate:
        chosen = np.flatnonzero(places)
        return share(which[chosen].tolist(), [data.groups[int(place)] for place in chosen])

    every, band = np.ones(n, dtype=bool), None
    if plan.abstain is not None:
        decided = sure >= least
        band = Band(str(plan.abstain), min(final.least, 1.0), of(every, decided), of(decided))
    counts = table.sum(axis=1).tolist()
    return TrainingReport(
        plan.classes,
        tuple(counts),
        n,
        len(set(data.groups)),
        plan.folds,
        final.strength,
        of(every),
        max(counts) / n,
        tuple(of(right == one) for one in range(size)),
        mean_recall(hits.tolist(), right.tolist(), data.groups),
        kappa(table.tolist()),
        tuple(map(tuple, table.tolist())),
        kind,
        reliability(probabilities, right),
        band,
        data.dropped,
    )
