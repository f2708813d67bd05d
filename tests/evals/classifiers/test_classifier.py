"""Training, serving, abstaining and escalating."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import outlast as ol
from outlast.errors import CheckFailed, ConfigError, DataError, UsageError
from outlast.evals.classifiers.deciding import least_sure
from outlast.evals.classifiers.folds import fold_of
from outlast.evals.classifiers.linear import Features, Seen
from outlast.evals.classifiers.training import (
    _space,  # pyright: ignore[reportPrivateUsage]
    fit_linear,
    matrix,
)
from outlast.evals.score import Score, Unscored
from outlast.testing import ScriptedLM

GOOD = ("thank you for waiting", "happy to help you", "we are sorry about this", "please let us know")
BAD = ("that is your own fault", "read the terms again", "we cannot be bothered", "stop asking us")
TOPICS = ("the card", "your transfer", "this top-up", "the fee", "a refund", "the limit", "your account", "the rate")


def replies(count: int, *, seed: int = 0, noise: float = 0.0) -> tuple[list[str], list[str]]:
    """Polite and rude replies, half of each; `noise` is the share of wrong labels."""
    draw = random.Random(seed)
    texts: list[str] = []
    values: list[str] = []
    for number in range(count):
        good = number % 2 == 0
        texts.append(
            f"About {draw.choice(TOPICS)} no {number}: {draw.choice(GOOD if good else BAD)}, {draw.random():.6f}."
        )
        values.append("pass" if good != (draw.random() < noise) else "fail")
    return texts, values


TEXTS, VALUES = replies(160, noise=0.08)


@pytest.fixture(scope="module")
def polite() -> ol.Classifier:
    return ol.train_classifier((TEXTS, VALUES), field="reply", abstain=0.95, name="polite")


def test_it_learns_what_was_planted_and_says_how_well(polite: ol.Classifier) -> None:
    report = polite.report
    assert report.n == 160
    assert report.accuracy.value > 0.85 > report.baseline
    assert report.accuracy.value in report.accuracy.interval
    assert report.better
    assert report.reliability.brier < report.reliability.brier_baseline
    fresh, truth = replies(200, seed=9)
    found = [one.label for one in polite.classify_all(fresh)]
    assert sum(one == right for one, right in zip(found, truth, strict=True)) >= 198
    assert polite(fresh[0]) > 0.8 > 0.2 > polite(fresh[1])
    assert "always the commonest class" in str(report)


def test_the_same_labels_make_the_same_classifier(polite: ol.Classifier) -> None:
    again = ol.train_classifier((TEXTS, VALUES), field="reply", abstain=0.95, name="polite")
    other = ol.train_classifier((TEXTS, VALUES), field="reply", abstain=0.95, name="polite", seed=1)
    assert again == polite
    assert hash(again) == hash(polite)
    assert other != polite


def test_one_text_and_many_give_the_same_to_the_last_bit(polite: ol.Classifier) -> None:
    fresh, _ = replies(30, seed=4)
    assert [polite.classify(text) for text in fresh] == polite.classify_all(fresh)
    assert asyncio.run(polite.aclassify_all(fresh)) == polite.classify_all(fresh)
    assert polite.classify_all([]) == []


def test_cross_validated_figures_are_no_better_than_chance_where_labels_are_noise() -> None:
    """One in forty gets through by chance; none may by memorising, which a leak between folds would do."""
    through: list[ol.Classifier] = []
    for seed in range(8):
        draw = random.Random(f"labels {seed}")
        texts, _ = replies(60, seed=seed)
        values = [draw.random() < 0.5 for _ in texts]
        with contextlib.suppress(DataError):
            through.append(ol.train_classifier((texts, values), seed=seed))
    assert len(through) <= 1


def test_copies_of_a_text_never_help() -> None:
    """With each text four times and noise for labels, a random split would look perfect."""
    draw = random.Random("labels")
    texts, _ = replies(40, seed=5)
    labels = {text: draw.random() < 0.5 for text in texts}
    many = texts * 4
    with pytest.raises(DataError, match="not clearly better than a baseline"):
        ol.train_classifier((many, [labels[text] for text in many]))


def test_the_small_problem_is_the_same_as_the_large_one() -> None:
    texts, values = replies(60, noise=0.1)
    right = np.array([value == "pass" for value in values])
    rows = matrix(Features.of(Seen(texts), text=True, most=5000), Seen(texts))
    space = _space(rows)
    found, bias = fit_linear(space.rows, right, np.ones(60), 2, 1.0)
    direct = LogisticRegression(C=1.0, tol=1e-8, max_iter=5000).fit(rows, right)
    assert rows @ space.back(found)[:, 0] + bias == pytest.approx(direct.decision_function(rows), abs=2e-3)


def test_weights_move_the_verdict_and_not_the_probability() -> None:
    draw = random.Random(1)
    texts, values = replies(300, noise=0.15)
    keep = [place for place, value in enumerate(values) if value == "pass" or draw.random() < 0.3]
    texts, values = [texts[place] for place in keep], [values[place] for place in keep]
    share = Counter(values)["pass"] / len(values)
    odds = {"plain": 1.0, "balanced": share / (1 - share), "dear": 3.0}
    for name, weights in (("plain", None), ("balanced", "balanced"), ("dear", {"fail": 3.0, "pass": 1.0})):
        found = ol.train_classifier((texts, values), weights=weights)  # type: ignore[arg-type]
        assert np.mean([found(text) for text in texts]) == pytest.approx(share, abs=0.06)
        for text in [*texts, "about the card", "a thank you", "our fault, sorry"]:
            p = found(text)
            assert found.classify(text).label == ("fail" if odds[name] * (1 - p) >= p else "pass")
            assert found.classify(text).sure == pytest.approx(1 - p if odds[name] * (1 - p) >= p else p)


def test_what_is_not_sure_is_undecided_and_the_report_foretells_how_much() -> None:
    texts, values = replies(300, noise=0.15, seed=2)
    found = ol.train_classifier((texts, values), abstain=ol.Abstain(coverage=0.6))
    assert found.report.band is not None
    assert found.report.band.coverage.value == pytest.approx(0.6, abs=0.12)
    decided = [one.decided for one in found.classify_all(texts)]
    assert 0.3 < sum(decided) / len(decided) < 0.95
    assert found.classify("x" * 300_000).decided is False


def test_the_threshold_is_the_lowest_at_which_the_share_is_right() -> None:
    sure = np.array([0.99, 0.95, 0.9, 0.9, 0.8, 0.7])
    right = np.array([True, True, True, False, True, False])
    assert least_sure(sure, right, ol.Abstain(accuracy=0.8)) == 0.8
    assert least_sure(sure, right, ol.Abstain(accuracy=0.76)) == 0.8
    assert least_sure(sure, right, ol.Abstain(accuracy=0.9)) == 0.95
    assert least_sure(sure, right, ol.Abstain(coverage=0.5)) == 0.9  # equal ones go together
    assert least_sure(sure, ~right, ol.Abstain(accuracy=0.9)) == float("inf")
    assert least_sure(sure, right, ol.Abstain(accuracy=0.8, level=0.95)) == float("inf")  # six prove nothing


def test_a_proven_threshold_keeps_its_promise() -> None:
    """At most one run in ten may choose a threshold whose true accuracy is below the target."""
    draw = np.random.default_rng(0)
    broken = chosen = 0
    for _ in range(150):
        sure = draw.uniform(0.5, 1.0, 250)
        least = least_sure(sure, draw.random(250) < sure, ol.Abstain(accuracy=0.85, level=0.9))
        if least < 1.0:
            chosen += 1
            broken += (1.0 + least) / 2 < 0.85  # the true accuracy above a threshold
    assert chosen > 75
    assert broken / 150 <= 0.15


def test_folds_spread_classes_and_keep_groups_whole() -> None:
    draw = random.Random(0)
    groups = [str(draw.randrange(40)) for _ in range(200)]
    values = ["a" if draw.random() < 0.2 else "b" for _ in range(200)]
    folds = fold_of(groups, values, 5, 0)
    homes: dict[str, set[int]] = {}
    for group, fold in zip(groups, folds, strict=True):
        homes.setdefault(group, set()).add(fold)
    assert all(len(home) == 1 for home in homes.values())
    rare = Counter(fold for fold, value in zip(folds, values, strict=True) if value == "a")
    assert max(rare.values()) <= 2 * min(rare.values())
    with pytest.raises(DataError, match="belong to one group"):
        fold_of(["g"] * 10 + [str(n) for n in range(10)], ["a"] * 10 + ["b"] * 10, 5, 0)


def test_as_a_metric_it_scores_and_leaves_out_what_it_is_not_sure_of(polite: ol.Classifier) -> None:
    metric = polite.as_metric()
    example = ol.Example({"question": "?"})
    assert metric(example, {"reply": TEXTS[0]}) == Score(1.0, metric(example, {"reply": TEXTS[0]}).feedback)
    assert metric(example, {"reply": TEXTS[1]}).value == 0.0
    strict = ol.train_classifier((TEXTS, VALUES), field="reply", abstain=ol.Abstain(coverage=0.05))
    said = strict.as_metric()(example, {"reply": "something else altogether"})
    assert isinstance(said, Unscored)
    assert "not sure enough" in said.reason
    with pytest.raises(UsageError, match="reads the field 'reply', which is not there. Did you mean 'replies'"):
        metric(example, {"replies": "x"})


def test_an_evaluation_counts_what_went_to_the_judge() -> None:
    judged: list[str] = []

    async def judge(example: ol.Example, out: Any) -> bool:
        judged.append(out.reply)
        return True

    texts, values = replies(200, noise=0.2, seed=6)
    found = ol.train_classifier((texts, values), field="reply", abstain=ol.Abstain(coverage=0.5), escalate_to=judge)
    data = ol.Dataset([ol.Example({"text": text}) for text in texts])
    run = ol.evaluate(lambda text: ol.Prediction(reply=text), data, found)
    assert run.states["unscored"] == run.states["error"] == 0
    asked = len(judged) / len(texts)
    assert run.parts["escalated"].value == pytest.approx(asked)
    assert asked == pytest.approx(1 - found.report.band.coverage.value, abs=0.15)  # type: ignore[union-attr]


def test_as_a_check_it_guards(polite: ol.Classifier) -> None:
    check = polite.as_check(on_fail="retry", message="Be polite.")
    assert check.needs == ("reply",)
    assert check.cost == "cheap"
    check.demand(reply=TEXTS[0])
    with pytest.raises(CheckFailed, match="Be polite|polite"):
        check.demand(reply=TEXTS[1])
    assert polite.as_check("answer").run({"answer": TEXTS[1]}).ok is False  # type: ignore[union-attr]
    assert polite.as_check() == polite.as_check()
    assert polite.as_check() != polite.as_check(unsure="fail")


def test_it_stands_in_a_guard_like_any_check(polite: ol.Classifier) -> None:
    program = ol.Predict("question -> reply", lm=ScriptedLM([{"reply": TEXTS[0]}, {"reply": TEXTS[1]}]))
    guarded = ol.guard(program, output=[polite.as_check()])
    assert guarded(question="?").reply == TEXTS[0]
    with pytest.raises(CheckFailed, match="polite"):
        guarded(question="?")


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, polite: ol.Classifier) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ConfigError, match=r"pip install 'outlast\[train\]'"):
        ol.train_classifier((TEXTS, VALUES))
    assert polite(TEXTS[0]) > 0.5
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(ConfigError, match="needs numpy to serve"):
        polite(TEXTS[0])


def test_an_unsure_check_does_as_it_is_told_or_asks() -> None:
    found = ol.train_classifier((TEXTS, VALUES), abstain=ol.Abstain(coverage=0.05))
    text = "something else altogether"
    assert found.as_check().run({"answer": text}) is None
    assert found.as_check(unsure="fail").run({"answer": text}).ok is False  # type: ignore[union-attr]
    asking = found.escalating(lambda example, out: out["answer"].endswith("altogether")).as_check()
    assert asking.cost == "model"
    assert asking.run({"answer": text}).ok is True  # type: ignore[union-attr]
    assert asyncio.run(asking.arun({"answer": "and so on"})).ok is False  # type: ignore[union-attr]


def test_several_classes_and_numbers() -> None:
    texts = [f"{word} number {n} {n * 7919 % 1000}" for n in range(40) for word in ("apple", "pear", "plum")]
    kinds = [text.split()[0] for text in texts]
    found = ol.train_classifier((texts, kinds))
    assert found.positive is None
    assert found.classify("a pear").label == "pear"
    assert sum(found.classify("a pear").probabilities.values()) == pytest.approx(1.0)
    with pytest.raises(UsageError, match="nothing says which of them is good"):
        found.as_metric()
    with pytest.raises(UsageError, match="no class that passes"):
        found("a pear")
    assert found.probability_of("pear")("a pear") > 0.8
    grades = ol.train_classifier((texts, [{"apple": 1, "pear": 3, "plum": 5}[kind] for kind in kinds]))
    assert grades.as_metric()(ol.Example({"q": "?"}), "a plum").value == 1.0
    assert grades.as_metric()(ol.Example({"q": "?"}), "a pear").value == 0.5


def test_a_planted_lie_about_the_source_is_seen_by_pairs_alone() -> None:
    draw = random.Random(0)
    items: list[dict[str, str]] = []
    values: list[bool] = []
    for number in range(160):
        price, year = draw.randrange(100, 999), draw.randrange(1900, 2020)
        true = number % 2 == 0
        said = price if true else draw.randrange(100, 999)
        items.append({"source": f"It was bought for {price} in {year}.", "summary": f"The price was {said} then."})
        values.append(true)
    found = ol.train_classifier((items, values), field="summary", source="source", text=False)
    assert found.report.accuracy.value > 0.95
    assert found.classify("The price was 55 then.", source="It was bought for 55 in 1999.").label is True
    with pytest.raises(UsageError, match="trained with sources"):
        found.classify("The price was 55.")
    metric = found.as_metric()
    lied = metric(ol.Example({"source": "It was bought for 55 in 1999."}), {"summary": "The price was 66 then."})
    assert lied.value == 0.0
    assert found.as_check().needs == ("source", "summary")


def test_it_is_the_classifier_that_the_toxicity_check_takes(polite: ol.Classifier) -> None:
    check = ol.checks.no_toxicity("reply", classifier=polite.probability_of("fail"))
    assert check.run({"reply": TEXTS[0]}).ok is True  # type: ignore[union-attr]
    assert check.run({"reply": TEXTS[1]}).ok is False  # type: ignore[union-attr]
    assert check == ol.checks.no_toxicity("reply", classifier=polite.probability_of("fail"))
    with pytest.raises(UsageError, match="has no class 'fial'. Did you mean 'fail'"):
        polite.probability_of("fial")


def letters(texts: list[str]) -> list[list[float]]:
    """An embedding of a kind: how often each letter occurs."""
    return [[float(text.count(chr(97 + place))) + 0.01 for place in range(26)] for text in texts]


async def letters_later(texts: list[str]) -> list[list[float]]:
    await asyncio.sleep(0)
    return letters(texts)


@pytest.mark.parametrize("embed", [letters, letters_later])
def test_an_embedding_serves_as_features_plain_or_async(embed: Any) -> None:
    found = ol.train_classifier((TEXTS, VALUES), embed=embed)
    fresh, truth = replies(40, seed=8)
    hits = [one.label == right for one, right in zip(found.classify_all(fresh), truth, strict=True)]
    assert sum(hits) > 34
    assert found.as_check().cost == "slow"
    assert asyncio.run(found.as_metric()(ol.Example({"q": "?"}), fresh[0])).value == 1.0
    assert asyncio.run(found.as_check().arun({"answer": fresh[1]})).ok is False  # type: ignore[union-attr]
    both = ol.train_classifier((TEXTS, VALUES), embed=embed, text=True)
    assert both.report.accuracy.value >= found.report.accuracy.value - 0.03


def test_labels_of_people_are_read_by_rubric_and_their_majority() -> None:
    tone = ol.Rubric("tone", "The reply is friendly.")
    rows = []
    for number, (text, value) in enumerate(zip(*replies(60), strict=True)):
        item = {"question": f"q{number // 2}", "reply": text}
        other = {"pass": "fail", "fail": "pass"}[value]
        said = [value, value, other] if number % 3 else [value]
        if number >= 50:
            said = [value, other]  # nobody wins
        rows += [ol.Label(item, one, rubric=tone, author=f"p{place}") for place, one in enumerate(said)]
    found = ol.train_classifier(ol.Labels(rows), field="reply", rubric=tone)
    assert found.name == "tone"
    assert found.positive == "pass"
    assert (found.report.n, found.report.dropped) == (50, 10)
    assert ol.train_classifier(ol.Labels(rows), field="reply").report.n == 50
    with pytest.raises(DataError, match="no field 'answer'. Fields: question, reply"):
        ol.train_classifier(ol.Labels(rows))


@pytest.mark.parametrize(
    ("kind", "words", "call"),
    [
        (
            DataError,
            "too few labels of 'fail'",
            lambda: ol.train_classifier((TEXTS[:19], ["pass"] * 10 + ["fail"] * 9)),
        ),
        (DataError, "at least two classes", lambda: ol.train_classifier((TEXTS, ["pass"] * 160))),
        (DataError, "Cut a graded label", lambda: ol.train_classifier((TEXTS, [0.5] * 160))),
        (DataError, "of one kind", lambda: ol.train_classifier((TEXTS, [True, 0] * 80))),
        (UsageError, "belong together", lambda: ol.train_classifier((TEXTS, VALUES[:5]))),
        (UsageError, "a pair \\(texts, values\\)", lambda: ol.train_classifier(TEXTS)),  # type: ignore[arg-type]
        (UsageError, "which of them counts as a pass", lambda: ol.train_classifier((TEXTS, ["x", "y"] * 80))),
        (
            UsageError,
            "none of the classes. Did you mean 'pass'",
            lambda: ol.train_classifier((TEXTS, VALUES), positive="pas"),
        ),
        (UsageError, "abstain is a wanted accuracy", lambda: ol.train_classifier((TEXTS, VALUES), abstain="0.9")),  # type: ignore[arg-type]
        (UsageError, "a share above 0", lambda: ol.train_classifier((TEXTS, VALUES), abstain=1.5)),
        (UsageError, "either accuracy= or coverage=", lambda: ol.Abstain()),
        (UsageError, "weights names every class", lambda: ol.train_classifier((TEXTS, VALUES), weights={"pass": 1.0})),
        (
            UsageError,
            "is a number above 0",
            lambda: ol.train_classifier((TEXTS, VALUES), weights={"pass": 1.0, "fail": -1}),
        ),
        (UsageError, "folds is a whole number", lambda: ol.train_classifier((TEXTS, VALUES), folds=1)),
        (UsageError, "max_features is", lambda: ol.train_classifier((TEXTS, VALUES), max_features=0)),
        (
            UsageError,
            "no calibration for 2 classes",
            lambda: ol.train_classifier((TEXTS, VALUES), calibration="temperature"),
        ),
        (UsageError, "leaves nothing to see", lambda: ol.train_classifier((TEXTS, VALUES), text=False)),
        (UsageError, "a mapping of fields", lambda: ol.train_classifier((TEXTS, VALUES), source="context")),
        (UsageError, "one value for each text", lambda: ol.train_classifier((TEXTS, VALUES), groups=["a"])),
        (UsageError, "as many|one vector", lambda: ol.train_classifier((TEXTS, VALUES), embed=lambda texts: [[1.0]])),
        (UsageError, "two arguments", lambda: ol.train_classifier((TEXTS, VALUES), escalate_to=lambda: 1)),
    ],
)
def test_misuse_is_a_clear_error(kind: type[Exception], words: str, call: Any) -> None:
    with pytest.raises(kind, match=words):
        call()


def test_a_metric_has_the_identity_of_what_it_says(polite: ol.Classifier) -> None:
    from outlast.tracing.identity import metric_hash

    other = ol.train_classifier((TEXTS, VALUES), field="reply", name="polite")
    assert metric_hash(polite.as_metric()) == metric_hash(polite.as_metric())
    assert metric_hash(polite.as_metric()) != metric_hash(other.as_metric())
    judge = ol.Predict("reply -> ok: bool", lm=ScriptedLM([]))
    asking = polite.escalating(lambda example, out: judge(reply=out.reply).ok)
    assert metric_hash(asking.as_metric()) != metric_hash(polite.as_metric())


def test_serving_takes_milliseconds(polite: ol.Classifier) -> None:
    text = " ".join(TEXTS[:20])  # some 1,500 characters
    polite.classify(text)
    taken = []
    for _ in range(30):
        started = time.process_time()
        polite.classify(text)
        taken.append(time.process_time() - started)
    assert sorted(taken)[15] < 0.01


def test_nothing_is_not_a_text(polite: ol.Classifier) -> None:
    """None is no text that reads 'null': a check does not apply, a metric is unscored, and nobody trains on it."""
    data = ol.Dataset([ol.Example({"q": "x"})])
    row = ol.evaluate(lambda q: ol.Prediction(reply=None), data, replace(polite, field="reply"), progress=False).rows[0]
    assert row.state == "unscored"
    assert "None" in row.feedback
    assert polite.as_check("reply").run({"reply": None}) is None
    items = [{"answer": f"{text} {n}"} for n in range(20) for text in (GOOD[0], BAD[0])]
    with pytest.raises(DataError, match="item 0 has None for 'answer'"):
        ol.train_classifier(([{"answer": None}, *items[1:]], ["pass", "fail"] * 20))
