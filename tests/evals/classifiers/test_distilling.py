"""A judge's verdicts learned by a classifier, and the judge kept for the rest."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

import outlast as ol
from outlast.errors import DataError, UsageError
from outlast.testing import JudgingLM

TONE = ol.Rubric("tone", "The reply is friendly.")
FRIENDLY = ("thank you so much", "glad to help", "sorry about that", "have a nice day")
RUDE = ("read the terms", "your own fault", "stop asking", "not our problem")


def rows(count: int) -> list[dict[str, str]]:
    draw = random.Random(count)
    return [
        {
            "message": f"question {n}",
            "reply": f"{draw.choice(FRIENDLY if n % 2 else RUDE)}, case {n} {draw.random():.4f}",
        }
        for n in range(count)
    ]


def said(fields: Any) -> str | None:
    if "case 13 " in fields["reply"]:
        return None  # a reply of the judge that cannot be read
    return "pass" if any(words in fields["reply"] for words in FRIENDLY) else "fail"


def test_a_judge_teaches_a_classifier_that_agrees_with_it_and_asks_it_when_unsure() -> None:
    lm = JudgingLM(said)
    judge = ol.Judge(TONE, ["message", "reply"], lm=lm)
    found = ol.distill(judge, rows(120), field="reply", abstain=ol.Abstain(coverage=0.8))
    assert (found.items, found.unscored, found.errors) == (119, 1, 0)
    assert found.spending.calls >= 119
    assert found.classifier.report.agreement > 0.9
    assert found.classifier.rubric == TONE
    assert "agreement with the judge" in str(found)
    before = lm.calls
    data = ol.Dataset([ol.Example({"message": row["message"]}, {"told": row["reply"]}) for row in rows(80)])
    replies = {row["message"]: row["reply"] for row in rows(80)}
    run = ol.evaluate(lambda message: ol.Prediction(reply=replies[message]), data, found.classifier)
    asked = lm.calls - before
    assert asked < 60
    assert run.parts["escalated"].value == pytest.approx(asked / len(data), abs=0.03)
    assert run.score.value == pytest.approx(0.5, abs=0.02)
    assert run.about.judged_by == lm.identity


def test_the_check_of_an_escalating_classifier_needs_what_its_judge_needs() -> None:
    judge = ol.Judge(TONE, ["message", "reply"], lm=JudgingLM(said))
    found = ol.distill(judge, rows(60), field="reply", abstain=ol.Abstain(coverage=0.8)).classifier
    check = found.as_check()
    assert check.needs == ("message", "reply")
    assert check.run({"message": "?", "reply": "utterly other words, thank you so much"}).ok is True  # type: ignore[union-attr]


def test_verdicts_of_an_evaluation_by_the_judge_are_not_asked_for_again() -> None:
    lm = JudgingLM(said)
    judge = ol.Judge(TONE, ["message", "reply"], lm=lm)
    made = {row["message"]: row["reply"] for row in rows(60)}
    data = ol.Dataset([ol.Example({"message": message}) for message in made])
    run = ol.evaluate(lambda message: ol.Prediction(reply=made[message]), data, judge)
    asked = lm.calls
    found = ol.distill(judge, run, field="reply", abstain=None)
    assert lm.calls == asked
    assert found.items == 59
    assert found.classifier.judge is None


def test_any_metric_can_teach_from_async_code_and_labels_give_items_only() -> None:
    async def polite(example: ol.Example, out: Any) -> float:
        return 1.0 if any(words in out.reply for words in FRIENDLY) else 0.2

    items = ol.Labels([ol.Label(row, None, rubric=TONE) for row in rows(60)])
    found = asyncio.run(ol.adistill(polite, items, field="reply", abstain=None))
    assert found.classifier.positive is True
    assert found.classifier.report.accuracy.value > 0.9
    low = ol.distill(polite, [ol.Example(row) for row in rows(60)], field="reply", abstain=None, name="tone")
    assert low.classifier.name == "tone"
    assert low.spending.calls == 0


def test_misuse_is_a_clear_error() -> None:
    def always(example: ol.Example, out: Any) -> bool:
        return True

    with pytest.raises(DataError, match="at least two classes"):
        ol.distill(always, rows(30), field="reply")
    with pytest.raises(DataError, match="no field 'reply'"):
        ol.distill(always, [{"message": "x"}], field="reply")
    with pytest.raises(UsageError, match="rows of fields by name"):
        ol.distill(always, ["text"], field="reply")  # type: ignore[list-item]
    with pytest.raises(UsageError, match="takes no positive="):
        ol.distill(always, rows(30), field="reply", positive=True)
    with pytest.raises(DataError, match="gave no verdict on any"):
        ol.distill(lambda example, out: None, rows(30), field="reply")
