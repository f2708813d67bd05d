"""A judge is compiled against labels of people: on the train part only, and it agrees better on the others."""

from __future__ import annotations

from typing import Any

import pytest

import outlast as ol
from outlast.data.example import targets_of
from outlast.errors import DataError, MetricError, UsageError
from outlast.evals.judging import Item
from outlast.messages import Message
from outlast.testing import ScriptedLM
from outlast.testing.judging import fields_in

TONE = ol.Rubric("tone", "The reply is friendly.")
STARS = ol.Rubric("stars", "The reply helps.", scale=(1, 5))


def reply(k: int) -> str:
    return f"reply {k}" + (" thanks" if k % 3 else "") + (" but it is your fault" if k % 5 in (0, 1) else "")


def is_good(text: str) -> bool:
    """What people mean by the rubric: thanks alone do not make it friendly."""
    return "thanks" in text and "but" not in text


def labels(n: int = 300) -> ol.Labels:
    return ol.Labels(
        [
            ol.Label(
                Item({"message": f"m{k}", "reply": reply(k)}, ["message"]),
                is_good(reply(k)),
                rubric=TONE,
                author="ann",
                note="It blames the customer." if "but" in reply(k) else "",
            )
            for k in range(n)
        ]
    )


def model(messages: tuple[Message, ...]) -> Any:
    """Takes thanks for friendliness, until an example in the prompt shows that blame is what fails."""
    text = fields_in(messages)["reply"]
    shown = "\n".join(message.text for message in messages[:-1])
    knows = any("thanks but" in part and "fail" in part for part in shown.split("<<message"))
    passes = is_good(text) if knows else "thanks" in text
    return {"critique": "so it seems", "verdict": "pass" if passes else "fail"}


def judge() -> ol.Judge:
    return ol.Judge(TONE, ["message", "reply"], lm=ScriptedLM(model))


def test_a_judge_compiled_on_train_labels_agrees_better_on_the_others() -> None:
    parts = labels().split(train=0.5, dev=0.2, test=0.3)
    before = ol.align(judge(), parts.test)
    compiled = ol.compile(
        judge(),
        parts.train.examples(judge()),
        ol.agrees(judge()),
        optimizer=ol.LabeledFewShot(k=8),
        study=False,
        progress=False,
    )
    after = ol.align(compiled.program, parts.test)
    assert before.tnr is not None
    assert after.tnr is not None
    assert before.standing == "weak"
    assert after.standing == "aligned"
    assert after.tnr.value > before.tnr.value + 0.3
    with pytest.raises(DataError, match="of these items as demonstrations"):
        ol.align(compiled.program, parts.train)


def test_the_words_of_people_become_critiques() -> None:
    examples = labels(6).examples(judge())
    assert [dict(targets_of(one)) for one in examples][:2] == [
        {"verdict": "fail", "critique": "It blames the customer."},
        {"verdict": "fail", "critique": "It blames the customer."},
    ]
    assert dict(targets_of(examples[2])) == {"verdict": "pass"}
    assert dict(examples[2].inputs) == {"message": "m2", "reply": "reply 2 thanks"}


def test_test_labels_do_not_train() -> None:
    parts = labels().split(train=0.5, test=0.5)
    with pytest.raises(UsageError, match="are the part 'test', which measures a judge"):
        parts.test.examples(judge())
    with pytest.raises(DataError, match="300 of 300 were given under another version"):
        labels().examples(ol.Judge(TONE.edited(fails="It sighs."), ["message", "reply"]))
    with pytest.raises(UsageError, match="takes the ol.Judge"):
        labels().examples(TONE)  # type: ignore[arg-type]


def test_agreement_is_a_metric_with_words() -> None:
    example = ol.Example({"reply": "r"}, {"verdict": "fail", "critique": "It blames."})
    score = ol.agrees(judge())(example, ol.Prediction(critique="c", verdict="pass"))
    assert (score.value, score.feedback) == (0.0, "people say 'fail', not 'pass': It blames.")
    assert ol.agrees(TONE)(example, ol.Prediction(critique="c", verdict="fail")).value == 1
    graded = ol.Example({"reply": "r"}, {"verdict": 4})
    assert ol.agrees(STARS)(graded, ol.Prediction(critique="c", verdict=3)).value == 0.75
    with pytest.raises(UsageError, match="agrees takes an ol.Judge"):
        ol.agrees("tone")  # type: ignore[arg-type]
    with pytest.raises(MetricError, match="a record with a verdict"):
        ol.agrees(TONE)(example, "pass")
