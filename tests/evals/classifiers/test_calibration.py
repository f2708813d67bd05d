"""Calibration against scikit-learn and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.calibration import _SigmoidCalibration  # pyright: ignore[reportPrivateUsage]
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss

from outlast.evals.classifiers.calibration import Isotonic, Platt, Temperature, reliability

DRAW = np.random.default_rng(3)
MARGINS = DRAW.normal(size=300) * 2
RIGHT = DRAW.random(300) < 1 / (1 + np.exp(-(0.7 * MARGINS - 0.4)))


def test_platt_is_that_of_scikit_learn() -> None:
    ours = Platt.fit(MARGINS, RIGHT)
    theirs = _SigmoidCalibration().fit(MARGINS, RIGHT.astype(float))
    assert ours.probabilities(MARGINS[:, None])[:, 1] == pytest.approx(theirs.predict(MARGINS), abs=1e-5)


def test_platt_bears_labels_that_a_line_parts() -> None:
    curve = Platt.fit(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([False, False, True, True]))
    p = curve.probabilities(np.array([[-2.0], [2.0], [1e9], [-1e9]]))[:, 1]
    assert 0.0 < p[0] < 0.3 < 0.7 < p[1] < 1.0
    assert p[2:].tolist() == [1.0, 0.0]


def test_isotonic_is_that_of_scikit_learn() -> None:
    margins = np.round(MARGINS, 1)  # with ties
    ours = Isotonic.fit(margins, RIGHT)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(margins, RIGHT.astype(float))
    at = np.linspace(-8, 8, 500)
    assert ours.probabilities(at[:, None])[:, 1] == pytest.approx(theirs.predict(at), abs=1e-9)


def test_temperature_has_the_least_log_loss() -> None:
    margins = DRAW.normal(size=(200, 4)) * 3
    right = np.array([DRAW.choice(4, p=np.exp(row)) for row in log_softmax(margins / 2.5, axis=1)])

    def loss(log: float) -> float:
        return -log_softmax(margins / np.exp(log), axis=1)[np.arange(200), right].mean()

    best = minimize_scalar(loss, bounds=(-3, 3), method="bounded", options={"xatol": 1e-10})
    assert Temperature.fit(margins, right).temperature == pytest.approx(np.exp(best.x), rel=1e-5)


def test_reliability_is_the_brier_score_and_the_distance_within_bins() -> None:
    p = np.array([0.05, 0.15, 0.15, 0.95, 0.85, 1.0])
    right = np.array([0, 0, 1, 1, 1, 1])
    found = reliability(np.column_stack([1 - p, p]), right)
    assert found.brier == pytest.approx(brier_score_loss(right, p))
    assert found.brier_baseline == pytest.approx(4 / 6 * 2 / 6)
    by_hand = (1 * 0.05 + 2 * abs(0.15 - 0.5) + 1 * 0.15 + 2 * abs(0.975 - 1)) / 6
    assert found.ece == pytest.approx(by_hand)
    assert [one.n for one in found.bins] == [1, 2, 1, 2]
