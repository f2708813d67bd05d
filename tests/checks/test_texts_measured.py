"""Floors of precision and recall of the checks of text, on the data of their benchmark; and each in its four uses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import CheckFailed
from outlast.testing import ScriptedLM

CORPUS = Path(__file__).with_name("corpus")
FLOORS = {  # precision, recall
    "numbers_supported": (0.99, 0.99),
    "dates_supported": (0.99, 0.99),
    "entities_supported": (0.98, 0.98),
    "quotes_supported": (0.99, 0.99),
    "cites": (0.93, 0.97),
    "language en": (0.98, 0.94),
    "not_copied": (0.97, 0.99),
}
FORMS = {  # precision, recall, how many texts, rows or files
    "length": (1.0, 1.0, 300),
    "length words": (0.94, 0.94, 600),
    "length sentences": (0.95, 0.95, 500),
    "matches full": (1.0, 1.0, None),
    "matches absent": (0.99, 0.99, None),
    "one_of": (1.0, 1.0, 100),
    "json_schema": (1.0, 1.0, 300),
    "parses_python": (1.0, 1.0, 40),
    "parses_python imports": (0.99, 0.99, 40),
    "sql": (1.0, 1.0, 100),
    "urls": (0.99, 1.0, None),
}
SMALL = 800  # passages, of the 5,863 of the benchmark


@pytest.fixture(scope="module")
def texts() -> Any:
    """The module with the cases."""
    sys.path.insert(0, str(CORPUS))
    try:
        import texts as module
    finally:
        sys.path.remove(str(CORPUS))
    if not module.DATA.is_dir():
        pytest.skip(f"no data at {module.DATA}; set OUTLAST_DATA")
    return module


@pytest.fixture(scope="module")
def forms(texts: Any) -> Any:
    """The module with the cases of the checks of form."""
    sys.path.insert(0, str(CORPUS))
    try:
        import forms as module
    finally:
        sys.path.remove(str(CORPUS))
    return module


@pytest.mark.parametrize("name", FORMS)
def test_checks_of_form_keep_their_precision_and_recall(texts: Any, forms: Any, name: str) -> None:
    precision, recall, most = FORMS[name]
    cases = forms.SETS[name][1]
    found = texts.measured(cases() if most is None else cases(most))
    assert min(found.caught + found.missed, found.alarms + found.passed) >= 25, found
    assert found.precision >= precision, found
    assert found.recall >= recall, found


def test_every_set_of_cases_of_form_has_a_floor(forms: Any) -> None:
    assert {*FORMS} == {*forms.SETS}


def test_one_of_mends_labels_in_other_case_space_or_quotes(forms: Any) -> None:
    right, given = forms.mended()
    assert right == given > 300


@pytest.mark.parametrize("name", FLOORS)
def test_checks_keep_their_precision_and_recall(texts: Any, name: str) -> None:
    cases = texts.SETS[name][1]
    sized = "most" in cases.__code__.co_varnames[: cases.__code__.co_argcount]
    found = texts.measured(cases(SMALL) if sized else cases())
    precision, recall = FLOORS[name]
    assert found.precision >= precision, found
    assert found.recall >= recall, found


def test_three_quarters_of_the_supported_claims_pass(texts: Any) -> None:
    found = texts.measured(texts.claim_cases())
    assert found.alarms <= 0.3 * (found.alarms + found.passed), found


USES: dict[str, tuple[Any, str, str]] = {  # a check of one field, what passes, what does not
    "length": (lambda c: c.length("answer", max=5), "short", "much too long"),
    "matches": (lambda c: c.matches("answer", r"\d"), "a1", "a"),
    "one_of": (lambda c: c.one_of("answer", ["yes", "no"]), "yes", "maybe"),
    "json_schema": (lambda c: c.json_schema("answer", {"type": "array"}), "[1]", "{}"),
    "parses_python": (lambda c: c.parses_python("answer"), "x = 1", "x ="),
    "sql": (lambda c: c.sql("answer", tables=["orders"]), "SELECT id FROM orders", "SELECT id FROM users"),
    "urls": (lambda c: c.urls("answer", allow=["good.test"]), "https://good.test/", "https://evil.test/"),
    "numbers_supported": (lambda c: c.numbers_supported("answer", source="context"), "it is 3", "it is 4"),
    "dates_supported": (lambda c: c.dates_supported("answer", source="context"), "May 5, 2020", "May 6, 2020"),
    "quotes_supported": (lambda c: c.quotes_supported("answer", source="context"), '"we are three"', '"we are four"'),
    "entities_supported": (lambda c: c.entities_supported("answer", source="context"), "for Ann Lee", "for Bob Lee"),
    "supported": (lambda c: c.supported("answer", source="context"), "for Ann Lee", "for Bob Lee"),
    "cites": (lambda c: c.cites("answer", sources="context"), "so [1]", "so [9]"),
    "language": (
        lambda c: c.language("answer"),
        "This is what we want to read.",
        "Das ist es, was wir nicht lesen wollen.",
    ),
    "not_copied": (lambda c: c.not_copied("answer", ["a b c d e f"], max_run=3), "a b c x", "a b c d"),
}
CONTEXT = ["On 2020-05-05 we are three, said Ann Lee."]


class Answer(ol.Signature):
    """Answer from the context."""

    context: list[str] = ol.input()
    answer: str = ol.output()


@pytest.mark.parametrize("name", USES)
def test_each_check_is_a_metric_a_guard_feedback_and_a_test(name: str) -> None:
    make, good, bad = USES[name]
    check = make(ol.checks)
    rows = ol.Dataset([ol.Example({"context": CONTEXT})])
    for reply, score in ((good, 1.0), (bad, 0.0)):
        lm = ScriptedLM([{"answer": reply}])
        with ol.context(lm=lm):
            evaluation = ol.evaluate(ol.Predict(Answer), rows, check)  # a metric
        (row,) = evaluation.rows
        assert row.score is not None
        assert (row.score == 1) is (score == 1)
        assert bool(row.feedback) is (score == 0)  # what optimizers see
    check.demand(context=CONTEXT, answer=good)  # a test
    with pytest.raises(CheckFailed):
        check.demand(context=CONTEXT, answer=bad)
    guarded = ol.guard(ol.Predict(Answer), output=[check])  # a guard
    with ol.context(lm=ScriptedLM([{"answer": good}, {"answer": bad}])):
        assert guarded(context=CONTEXT).answer == good
        with pytest.raises(CheckFailed):
            guarded(context=CONTEXT)
    asked = ol.Predict(Answer, checks=[check.with_policy("retry")])  # asked again with its message
    lm = ScriptedLM([{"answer": bad}, {"answer": good}], keep=True)
    with ol.context(lm=lm):
        assert asked(context=CONTEXT).answer == good
    assert row.feedback in "".join(message.text for message in lm.requests[1].messages)


def test_every_factory_of_these_files_is_used_here() -> None:
    homes = ("structure", "schema", "python_code", "queries", "links", "support", "citations", "languages", "copied")
    named = {
        name
        for name in ol.checks.__all__
        if getattr(getattr(ol.checks, name), "__module__", "").split(".")[-1] in homes
    }
    assert named == set(USES)
