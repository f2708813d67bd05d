"""Checks on signatures: kept by every edit, fitted to the fields, pickled, and part of what a program is."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import outlast as ol
from outlast.errors import SignatureError
from outlast.tracing.identity import program_hash


@ol.check(on_fail="retry", message="Quote the context.")
def cites(answer: str, context: str) -> bool:
    return answer in context


class QA(ol.Signature):
    """Answer from the context."""

    context: str = ol.input()
    answer: str | None = ol.output()
    tags: list[str] = ol.output()

    @ol.check
    def short(answer: str) -> bool:
        return len(answer) < 80

    quotes = cites


class Stricter(QA):
    short = None

    @ol.check(each=True, on_fail="filter")
    def plain(tags: str) -> bool:
        return tags.isalpha()


def names(signature: Any) -> list[str]:
    return [check.name for check in signature.checks]


def test_the_checks_of_a_class_have_the_names_of_their_attributes() -> None:
    assert names(QA) == ["short", "quotes"]
    assert QA.short.run({"answer": "x" * 80}) == ol.CheckResult(False)


def test_checks_are_inherited_replaced_and_taken_away() -> None:
    assert names(Stricter) == ["quotes", "plain"]
    assert names(QA) == ["short", "quotes"]


def test_every_edit_keeps_the_checks() -> None:
    for edited in (
        QA.with_description("Other"),
        QA.append("page", int, ol.output()),
        QA.prepend("language", str, ol.input()),
        QA.with_updated_field("answer", desc="short"),
        QA.delete("tags"),
    ):
        assert edited.checks == QA.checks


def test_a_field_that_a_check_needs_cannot_go_before_the_check() -> None:
    with pytest.raises(SignatureError, match=r"'quotes' of QA needs the field 'context'.*without_checks\('quotes'\)"):
        QA.delete("context")
    assert names(QA.without_checks("quotes").delete("context")) == ["short"]
    assert QA.without_checks().checks == ()


def test_with_checks_adds_and_replaces_by_name() -> None:
    made = ol.signature("context -> answer").with_checks(cites)
    assert names(made) == ["cites"]
    assert made.with_checks(cites.with_policy("log")).checks[0].on_fail.action == "log"
    with pytest.raises(SignatureError, match=r"two checks named 'cites'.*named"):
        ol.signature("context -> answer").with_checks(cites, cites.with_policy("log"))
    with pytest.raises(SignatureError, match="made with @ol.check"):
        ol.signature("context -> answer").with_checks(len)
    with pytest.raises(SignatureError, match="no check 'cite'. Did you mean 'cites'"):
        made.without_checks("cite")


@pytest.mark.parametrize(
    ("spelled", "check", "message"),
    [
        ("contxt -> answer", cites, "Did you mean 'contxt'"),
        ("context -> answer", cites.with_policy("abstain"), "its type does not allow that"),
        ("context, answer -> reply", cites, "looks at inputs only"),
        ("context -> answer", cites.with_policy(ol.checks.fallback({"anwser": "x"})), None),
        ("context -> answer, n: int", cites.with_policy(ol.checks.fallback({"n": "many"})), "'n' that does not fit"),
        ("context -> answer, n: int", ol.check(each=True)(lambda answer: True), "looks at the items of a list"),
    ],
)
def test_what_a_signature_does_not_allow_is_refused_when_they_meet(spelled: str, check: Any, message: str) -> None:
    if message is None:  # a mapping that names no output is the value of the one output, and no text
        message = "does not fit"
    with pytest.raises(SignatureError, match=message):
        ol.signature(spelled).with_checks(check)


def test_a_field_and_a_check_of_one_name_are_refused() -> None:
    with pytest.raises(SignatureError, match="a field and a check named 'answer'"):
        type(ol.Signature)("Bad", (QA,), {"answer": cites, "__annotations__": {}, "__module__": __name__})


def test_checks_belong_to_a_signature_but_not_to_its_prompt() -> None:
    bare = QA.without_checks()
    assert bare != QA
    assert bare.key == QA.key
    assert QA.with_checks(cites.named("quotes")) == QA
    assert program_hash(ol.Predict(bare)) != program_hash(ol.Predict(QA))
    logged = QA.with_checks(cites.named("quotes").with_policy("log"))
    assert program_hash(ol.Predict(logged)) != program_hash(ol.Predict(QA))


def test_checks_are_pickled() -> None:
    assert pickle.loads(pickle.dumps(QA)) is QA
    changed = cites.named("other").with_policy("log")
    assert pickle.loads(pickle.dumps(changed)) == changed
    made = ol.signature("context -> answer").with_checks(cites, QA.short)
    again = pickle.loads(pickle.dumps(made))
    assert again == made
    assert names(again) == ["cites", "short"]


def test_a_check_does_not_hide_what_results_say_of_themselves() -> None:
    with pytest.raises(SignatureError, match="named 'trace', which is what every result says of itself"):
        type(ol.Signature)("Bad", (QA,), {"trace": cites, "__annotations__": {}, "__module__": __name__})
