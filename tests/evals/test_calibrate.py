from __future__ import annotations

import random
from typing import Any

import pytest

import outlast as ol
from outlast.evals.calibrate import _lowest, lower_bound, needed, tail
from outlast.testing import ScriptedLM


def test_the_binomial_figures_are_those_of_scipy():
    from scipy.stats import beta, binom

    for right, of in [(1, 3), (29, 30), (0, 5), (100, 100), (450, 500)]:
        for share in (0.3, 0.9, 0.99):
            assert tail(right, of, share) == pytest.approx(binom.sf(right - 1, of, share), rel=1e-9)
        exact = 0.0 if right == 0 else beta.ppf(0.05, right, of - right + 1)
        assert lower_bound(right, of, 0.95) == pytest.approx(exact, abs=1e-9)
    assert 0.9 ** needed(0.9, 0.05) <= 0.05 < 0.9 ** (needed(0.9, 0.05) - 1)


def draw(rng: random.Random, n: int, shape: str) -> list[list[tuple[float, bool]]]:
    """Cheap answers whose accuracy grows with the confidence, or jumps."""
    rows: list[list[tuple[float, bool]]] = []
    for _ in range(n):
        sure = rng.choice([0.2, 0.4, 0.6, 0.8, 1.0]) if shape == "agreement" else rng.random()
        rows.append([(sure, rng.random() < accuracy(sure, shape))])
    return rows


def accuracy(sure: float, shape: str) -> float:
    return {"curved": 1 - (1 - sure) ** 2, "agreement": 0.5 + sure / 2, "flat": 0.89}[shape]


def accuracy_from(threshold: float, shape: str) -> float:
    """The true accuracy of what a threshold keeps."""
    if shape == "agreement":
        kept = [one for one in (0.2, 0.4, 0.6, 0.8, 1.0) if one >= threshold]
        return sum(accuracy(one, shape) for one in kept) / len(kept)
    return 1 - (1 - threshold) ** 2 / 3 if shape == "curved" else 0.89


@pytest.mark.parametrize(
    "shape", ["agreement", pytest.param("curved", marks=pytest.mark.slow), pytest.param("flat", marks=pytest.mark.slow)]
)
def test_the_guarantee_holds_as_often_as_it_says(shape: str):
    rng = random.Random(3)
    runs, broken, found = 300, 0, 0
    for _ in range(runs):
        threshold = _lowest(draw(rng, 400, shape), 0.9, 0.05)
        if threshold is not None:
            found += 1
            broken += accuracy_from(threshold, shape) < 0.9
    print(f"{shape}: {found} thresholds in {runs} runs, {broken} of them too low")
    assert broken / runs < 0.05 + 0.025  # three standard errors are 0.038; the procedure is conservative
    if shape == "curved":
        assert found > 0.5 * runs


class Ask(ol.Signature):
    """Answer."""

    question: str = ol.input()
    answer: str = ol.output()


def cascade(right: float, **options: Any) -> tuple[Any, Any, Any]:
    luck = random.Random(5)
    cheap = ScriptedLM(lambda messages: {"answer": "yes" if luck.random() < right else f"no {luck.random()}"})
    dear = ScriptedLM(lambda messages: {"answer": "yes"})
    parts = {"cheap": ol.Predict(Ask, lm=cheap), "dear": ol.Predict(Ask, lm=dear)}
    return ol.Cascade(parts, **options), cheap, dear


def rows(n: int) -> list[Any]:
    return [ol.Example({"question": f"{i}?"}, {"answer": "yes"}) for i in range(n)]


def right(example: Any, out: Any) -> bool:
    return out.answer == example.answer


def test_a_threshold_is_fitted_to_examples_without_asking_the_dear_part():
    program, cheap, dear = cascade(0.7, threshold=1.0)
    done = ol.calibrate(program, rows(120), right, target=0.9)
    assert dear.calls == 0
    assert cheap.calls == done.spending.calls == 360
    assert done.threshold == pytest.approx(2 / 3)  # two wrong draws never agree here, so what two say is right
    assert done.program == ol.update(program, {"threshold": done.threshold})
    assert done.low >= 0.9
    assert done.right == done.kept == round(done.examples * (1 - done.escalated))
    assert done.calls(2) == pytest.approx(3 + done.escalated * 2)
    assert "at least 90% are, with 95% confidence" in str(done)


async def test_it_can_be_awaited_and_the_metric_too():
    async def slow(example: Any, out: Any) -> bool:
        return right(example, out)

    program, _, _ = cascade(0.9)
    assert (await ol.acalibrate(program, rows(60), slow, target=0.8)).target == 0.8


def test_examples_that_prove_nothing_are_an_error_that_says_what_is_missing():
    program, _, _ = cascade(0.9)
    with pytest.raises(ol.errors.DataError, match=r"Even without one mistake 59 kept answers are needed"):
        ol.calibrate(program, rows(20), right, target=0.95)
    broken = ol.Cascade([ol.Predict(Ask, lm=ScriptedLM(lambda m: {"no": 1})), Ask])
    with pytest.raises(ol.errors.DataError, match="no cheap part gave an answer"):
        ol.calibrate(broken, rows(3), right)


def test_examples_without_a_score_are_left_out():
    program, _, _ = cascade(1.0)
    done = ol.calibrate(program, rows(80), lambda e, out: None if e.question < "4" else True, target=0.9)
    assert 0 < done.examples < 80


@pytest.mark.parametrize("options", [{"target": 1.0}, {"target": "x"}, {"level": 2}])
def test_options_that_mean_nothing_are_refused(options: Any):
    program, _, _ = cascade(1.0)
    with pytest.raises(ol.OutlastError):
        ol.calibrate(program, rows(2), right, **options)
    with pytest.raises(ol.errors.UsageError, match=r"ol.Cascade"):
        ol.calibrate(ol.Predict(Ask), rows(2), right)
