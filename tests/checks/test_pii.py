"""Personal data: what is found and what is not, put away behind placeholders, brought back."""

from __future__ import annotations

import json
import pickle
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

import outlast as ol
from outlast.checks.pii import PII_KINDS, find_pii, redact
from outlast.checks.redaction import restore
from outlast.errors import CheckFailed, UsageError
from outlast.testing import ScriptedLM

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not (DATA / "pii_synth").exists(), reason="no ../shared/data/pii_synth here")


def values(text: str, *kinds: str) -> list[tuple[str, str]]:
    found = find_pii(text, kinds) if kinds else find_pii(text)
    return [(item.kind, text[item.start : item.end]) for item in found]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("mail ann.lee+x@example.co.uk, please", "email", "ann.lee+x@example.co.uk"),
        ("Пишите: иван@почта.рф", "email", "иван@почта.рф"),
        ("<bob@example.com>", "email", "bob@example.com"),
        ("write to ann.lee [at] example (dot) co.uk", "email", "ann.lee [at] example (dot) co.uk"),
        ("tel. 21 12 34", "phone", "21 12 34"),
        ("pay with 4111 1111 1111 1111 12/27", "card", "4111 1111 1111 1111"),
        ("amex 3782-822463-10005", "card", "3782-822463-10005"),
        ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "card", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
        ("to GB82 WEST 1234 5698 7654 32 today", "iban", "GB82 WEST 1234 5698 7654 32"),
        ("de89370400440532013000", "iban", "de89370400440532013000"),
        ("from 203.0.113.77:8080", "ip", "203.0.113.77"),
        ("from 2001:db8::8a2e:370:7334.", "ip", "2001:db8::8a2e:370:7334"),
        ("a 00:1B:44:11:3A:B7 b", "mac", "00:1B:44:11:3A:B7"),
        ("SSN 123-45-6789", "ssn", "123-45-6789"),
        ("my social security number is 123456789", "ssn", "123456789"),
        ("Date of birth: 12/03/1984", "birth_date", "12/03/1984"),
        ("She was born on March 3, 1984.", "birth_date", "March 3, 1984"),
        ("geboren am 3. März 1984", "birth_date", "3. März 1984"),
        ("call +49 (0)30 1234567 now", "phone", "+49 (0)30 1234567"),
        ("call 0049 30 1234567", "phone", "0049 30 1234567"),
        ("(602) 272-9781", "phone", "(602) 272-9781"),
        ("602-272-9781 x12", "phone", "602-272-9781 x12"),
        ("01 84 17 61 18", "phone", "01 84 17 61 18"),
        ("my number is 555 0199 22", "phone", "555 0199 22"),
        ("NI number QQ 12 34 56 C is no number but AB 12 34 56 C is", "national_id", "AB 12 34 56 C"),
        ("NHS 943 476 5919", "national_id", "943 476 5919"),
        ("CPF 529.982.247-25", "national_id", "529.982.247-25"),
        ("DNI 12345678Z", "national_id", "12345678Z"),
        ("RSSMRA85T10A562S", "national_id", "RSSMRA85T10A562S"),
        ("Aadhaar 2341 2341 2346", "national_id", "2341 2341 2346"),
        ("PESEL 44051401359", "national_id", "44051401359"),
        ("BSN 111222333", "national_id", "111222333"),
        ("Steuer-ID 86 095 742 719", "national_id", "86 095 742 719"),
        ("811228-9874", "national_id", "811228-9874"),
        ("131052-308T", "national_id", "131052-308T"),
        ("NIR 2 55 08 14 168 025 38", "national_id", "2 55 08 14 168 025 38"),
        ("my SIN is 130 692 544", "national_id", "130 692 544"),
        ("passport number: X1234567", "id_document", "X1234567"),
    ],
)  # fmt: skip
def test_what_is_personal_is_found(text: str, kind: str, value: str) -> None:
    assert values(text) == [(kind, value)]


def test_web_and_crypto_addresses_are_found_when_asked_for() -> None:
    text = "see https://example.com/a?b=1, "
    text += "pay 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa or bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
    assert values(text) == []
    assert [kind for kind, _ in values(text, "url", "crypto")] == ["url", "crypto", "crypto"]
    assert values("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "crypto") == [], "the check sum does not fit"


@pytest.mark.parametrize(
    "text",
    [
        "order 4111111111111112 and 1234567890123456",  # no check digit, no issuer
        "GB82 WEST 1234 5698 7654 33",
        "2026-11-29, 29.11.2026, 11/29/2026 10:12:13.123456",
        "version 1.2.3.4 and section 10.1.2.3",
        "std::vector<a::b>::size, 127.0.0.1, ::1, 0.0.0.0",
        "order no. 555 0199 22, invoice 0012345678, ISBN 978-3-16-148410-0, ticket #0123 456 789",
        "commit 1234567890abcdef1234567890abcdef12345678",
        "550e8400-e29b-41d4-a716-446655440000",
        "it cost $1,234,567.89 and 1 000 000 kr; 0.123 456 789",
        "pages 1203-1210, years 1990-2024, PMID 12345678",
        "born to run, @decorator, a@b, x @ y, user@localhost",
        "1700000000000 ms, 20261129",
        "000-12-3456 and 666-12-3456 and 900-12-3456",
    ],
)  # fmt: skip
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert values(text) == []


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("card ４１１１ １１１１ １１１１ １１１１!", "card", "４１１１ １１１１ １１１１ １１１１"),
        ("card ٤١١١١١١١١١١١١١١١", "card", "٤١١١١١١١١١١١١١١١"),
        ("card 4111\u200b1111\u200b1111\u200b1111", "card", "4111\u200b1111\u200b1111\u200b1111"),
        ("b\u00adob@exa\u200dmple.com", "email", "b\u00adob@exa\u200dmple.com"),
        ("bob＠example．com", "email", "bob＠example．com"),
        ("SSN 123–45–6789", "ssn", "123–45–6789"),
        ("4111\u00a01111\u00a01111\u00a01111", "card", "4111\u00a01111\u00a01111\u00a01111"),
    ],
)  # fmt: skip
def test_writing_it_otherwise_does_not_hide_it(text: str, kind: str, value: str) -> None:
    assert values(text) == [(kind, value)]


def test_redacting_gives_equal_values_equal_placeholders_and_comes_back_to_the_letter() -> None:
    text = "From ann@example.com to bob@example.com, cc ann@example.com, card 4111 1111 1111 1111."
    redacted = redact(text)
    assert redacted.text == "From <EMAIL_1> to <EMAIL_2>, cc <EMAIL_1>, card <CARD_1>."
    assert restore(redacted.text, redacted.mapping) == text
    assert restore("Dear <EMAIL_2>, <EMAIL_3> <CARD_1>", redacted.mapping) == (
        "Dear bob@example.com, <EMAIL_3> 4111 1111 1111 1111"
    )
    assert "ann@" not in repr(redacted), "what must not be shown is in no log"


def test_no_text_can_forge_a_placeholder() -> None:
    redacted = redact("ignore me <EMAIL_1> <EMAIL_2>; real: ann@example.com")
    assert redacted.text == "ignore me <EMAIL_1> <EMAIL_2>; real: <EMAIL_3>"
    assert restore("<EMAIL_1> <EMAIL_3>", redacted.mapping) == "<EMAIL_1> ann@example.com"
    check = ol.checks.no_pii("mail", "note")
    result = check.run({"mail": "ann@example.com", "note": "give me <EMAIL_1>"})
    assert result is not None
    assert result.fix == {"mail": "<EMAIL_2>"}, "a text of the other field counts too"


class Reply(ol.Signature):
    """Answer the mail."""

    mail: str = ol.input()
    note: str = ol.input()
    answer: str = ol.output()
    people: list[str] = ol.output()


SENT = {"mail": "I am Ann, ann@example.com, card 4111 1111 1111 1111.", "note": "bob@example.com, ann@example.com"}


def prompt_of(lm: ScriptedLM) -> str:
    return str([message.text for message in lm.requests[-1].messages])


def test_the_model_sees_placeholders_and_the_answer_holds_the_values() -> None:
    lm = ScriptedLM(
        [{"answer": "Dear <EMAIL_1>, not <EMAIL_2>: <CARD_1>.", "people": ["<EMAIL_2>", "<EMAIL_9>"]}], keep=True
    )
    program = ol.Predict(Reply.with_checks(ol.checks.no_pii("mail", "note", on_fail="fix")))
    with ol.context(lm=lm):
        out = program(**SENT)
    prompt = prompt_of(lm)
    assert not find_pii(prompt)
    assert "I am Ann, <EMAIL_1>, card <CARD_1>." in prompt
    assert "<EMAIL_2>, <EMAIL_1>" in prompt
    assert out.answer == "Dear ann@example.com, not bob@example.com: 4111 1111 1111 1111."
    assert out.people == ["bob@example.com", "<EMAIL_9>"]
    assert "ann@" not in str(out.checks), "and the report of the check does not name them"


def test_a_guard_around_a_program_hides_and_restores_too() -> None:
    lm = ScriptedLM([{"answer": "To <EMAIL_1>", "people": []}], keep=True)
    guarded = ol.guard(ol.Predict(Reply), input=[ol.checks.no_pii("mail", "note", on_fail="fix")])
    with ol.context(lm=lm):
        out = guarded(**SENT)
    assert not find_pii(prompt_of(lm))
    assert out.answer == "To ann@example.com"


def test_outputs_keep_their_placeholders() -> None:
    lm = ScriptedLM([{"answer": "Write to eve@example.com", "people": ["eve@example.com"]}])
    program = ol.Predict(Reply.with_checks(ol.checks.no_pii("answer", "people", on_fail="fix")))
    with ol.context(lm=lm):
        out = program(mail="a", note="b")
    assert (out.answer, out.people) == ("Write to <EMAIL_1>", ["<EMAIL_1>"])


def test_items_of_a_list_that_hold_personal_data_are_left_out() -> None:
    lm = ScriptedLM([{"answer": "x", "people": ["Ann", "eve@example.com", "Bob"]}])
    program = ol.Predict(Reply.with_checks(ol.checks.no_pii("people", each=True, on_fail="filter")))
    with ol.context(lm=lm):
        assert program(mail="a", note="b").people == ["Ann", "Bob"]


def test_the_check_is_a_metric() -> None:
    lm = ScriptedLM([{"answer": "fine", "people": []}, {"answer": "eve@example.com", "people": []}])
    data = [ol.Example({"mail": str(number), "note": ""}) for number in range(2)]
    with ol.context(lm=lm):
        found = ol.evaluate(ol.Predict(Reply), data, ol.checks.no_pii("answer"), concurrency=1)
    assert found.score.value == 0.5


PIECES = [
    "ann@example.com",
    "4111 1111 1111 1111",
    "<EMAIL_1>",
    "<CARD_2>",
    "<EMAIL_",
    "1>",
    " ",
    "\u200b",
    "x",
    "\ud800",
    "٤",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=5)).map("".join))
def test_any_text_comes_back_to_the_letter(text: str) -> None:
    redacted = redact(text, PII_KINDS)
    assert restore(redacted.text, redacted.mapping) == text
    assert not any(placeholder in text for placeholder in redacted.mapping)


def test_placeholders_of_two_checks_do_not_meet() -> None:
    one, two = (ol.checks.no_pii(field, on_fail="fix").named(f"no_pii_{field}") for field in ("mail", "note"))
    lm = ScriptedLM([{"answer": "<EMAIL_1> <EMAIL_2> <EMAIL_3>", "people": []}], keep=True)
    with ol.context(lm=lm):
        out = ol.Predict(Reply.with_checks(one, two))(**SENT)
    assert not find_pii(prompt_of(lm))
    assert out.answer == "ann@example.com ann@example.com bob@example.com"


def test_a_text_that_no_check_looks_at_cannot_forge_a_placeholder() -> None:
    lm = ScriptedLM([{"answer": "<EMAIL_1> <EMAIL_2>", "people": []}], keep=True)
    program = ol.Predict(Reply.with_checks(ol.checks.no_pii("mail", on_fail="fix")))
    with ol.context(lm=lm):
        out = program(mail="ann@example.com", note="send it to <EMAIL_1>")
    assert out.answer == "<EMAIL_1> ann@example.com"


def test_a_value_is_not_restored_twice() -> None:
    assert restore("<EMAIL_1>", {"<EMAIL_1>": "<EMAIL_2>", "<EMAIL_2>": "x"}) == "<EMAIL_2>"


def test_the_check_names_no_value_and_its_fix_holds_placeholders() -> None:
    check = ol.checks.no_pii("answer", on_fail="fix")
    assert check.run({"answer": "nothing here"}) == ol.CheckResult(True)
    result = check.run({"answer": "I am ann@example.com, call +49 30 1234567"})
    assert result is not None
    assert not result.ok
    assert result.message == (
        "personal data in 'answer' (1 e-mail address, 1 telephone number); leave it out"
    )  # fmt: skip
    assert [(item.field, item.kind, item.text) for item in result.found] == [
        ("answer", "email", ""),
        ("answer", "phone", ""),
    ]
    assert result.fix == {"answer": "I am <EMAIL_1>, call <PHONE_1>"}
    assert result.undo == {"<EMAIL_1>": "ann@example.com", "<PHONE_1>": "+49 30 1234567"}
    assert "ann@" not in repr(result)
    with pytest.raises(CheckFailed) as failed:
        check.demand(answer="ann@example.com")
    assert "ann@" not in str(failed.value)


class Person(BaseModel):
    name: str
    mails: list[str]


@dataclass(frozen=True)
class Note:
    text: str
    number: int = 0


def test_texts_are_found_wherever_they_are_in_a_value() -> None:
    check = ol.checks.no_pii("people")
    given: dict[str, Any] = {
        "first": Person(name="Ann", mails=["ann@example.com"]),
        "bob@example.com": (Note("ann@example.com"), {"x"}),
        "doc": ol.Document("ann@example.com"),
    }
    result = check.run({"people": given})
    assert result is not None
    assert [item.field for item in result.found] == [
        "people.first.mails[0]",
        "people (key 2)",
        "people[1][0].text",
        "people.doc.text",
    ]
    assert result.fix == {
        "people": {
            "first": Person(name="Ann", mails=["<EMAIL_1>"]),
            "<EMAIL_2>": (Note("<EMAIL_1>"), {"x"}),
            "doc": ol.Document("<EMAIL_1>"),
        }
    }
    assert given["first"].mails == ["ann@example.com"], "what was given is as it was"


def test_a_number_is_looked_at_but_cannot_hold_a_placeholder() -> None:
    result = ol.checks.no_pii("card").run({"card": 4111111111111111})
    assert result is not None
    assert (result.ok, result.fix, result.undo) == (False, None, None)


class Color(Enum):
    RED = "red"


@pytest.mark.parametrize("given", [None, True, 3, 2.5, Color.RED, [], {}, [None, [{"a": ()}]]])
def test_values_without_personal_data_pass(given: Any) -> None:
    assert ol.checks.no_pii("answer").run({"answer": given}) == ol.CheckResult(True)


@pytest.mark.parametrize("given", [b"bytes", object(), Person, [object()]])
def test_what_cannot_be_looked_at_does_not_pass_unseen(given: Any) -> None:
    with pytest.raises(UsageError, match="looks at text"):
        ol.checks.no_pii("answer").run({"answer": given})


def test_a_value_without_bottom_is_refused() -> None:
    deep: list[Any] = []
    deep.append(deep)
    with pytest.raises(UsageError, match="nested more than"):
        ol.checks.no_pii("answer").run({"answer": deep})


def test_what_is_allowed_may_stand() -> None:
    text = "Write to Help@Example.com or ann@mail.org or eve@evil.example.com"
    assert values(text) != []
    left = find_pii(text, allow=["@example.com", "ANN@mail.org"])
    assert [text[item.start : item.end] for item in left] == ["eve@evil.example.com"]


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: ol.checks.no_pii(), "takes names of fields"),
        (lambda: ol.checks.no_pii(3), "takes names of fields"),  # pyright: ignore[reportArgumentType]
        (lambda: ol.checks.no_pii("a", kinds=["emial"]), "did you mean 'email'|Did you mean 'email'"),
        (lambda: ol.checks.no_pii("a", kinds=[]), "no kinds"),
        (lambda: ol.checks.no_pii("a", allow=[""]), "allow holds texts"),
        (lambda: ol.checks.no_pii("a", on_fail="explode"), "on_fail is one of"),
        (lambda: find_pii(3), "takes a text"),  # pyright: ignore[reportArgumentType]
        (lambda: redact(None), "takes a text"),  # pyright: ignore[reportArgumentType]
        (lambda: restore(b"x", {}), "takes a text"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_bad_input_is_refused(call: Any, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        call()


def test_equal_calls_are_equal_checks() -> None:
    assert ol.checks.no_pii("a") == ol.checks.no_pii("a")
    assert ol.checks.no_pii("a", kinds=["phone", "email"]) == ol.checks.no_pii("a", kinds=["email", "phone"])
    assert ol.checks.no_pii("a") != ol.checks.no_pii("a", allow=["@x.org"])
    made = ol.checks.no_pii("a", "b", kinds=["email"], on_fail="log")
    assert pickle.loads(pickle.dumps(made)) == made


HOSTILE = {
    "one letter": "a",
    "one digit": "1",
    "at": "@",
    "a@": "a@",
    "a@b.": "a@b.",
    "digits and spaces": "1 ",
    "brackets": "(1",
    "colons": "a:",
    "accounts": "GB12 ",
    "births": "born ",
    "addresses": "http://",
    "unseen": "4\u200b",
    "surrogates": "\ud800",
    "placeholders": "<EMAIL_1>",
}


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_takes_time_in_proportion_to_its_length(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    began = time.process_time()
    redact(text, PII_KINDS)
    assert time.process_time() - began < 6  # about half a second here; a pattern that goes back would take hours


TYPES = {
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "CREDIT_CARD": "card",
    "IBAN_CODE": "iban",
    "US_SSN": "ssn",
    "IP_ADDRESS": "ip",
    "US_DRIVER_LICENSE": "id_document",
    "DOMAIN_NAME": "url",
}


def rows(path: Path) -> Iterator[dict[str, Any]]:
    yield from (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())


@needs_data
def test_kinds_reach_their_floors_on_pii_synth() -> None:
    right, wrong, missed = Counter[str](), Counter[str](), Counter[str]()
    for row in rows(DATA / "pii_synth" / "test.jsonl"):
        found = {(item.start, item.end): item.kind for item in find_pii(row["text"], set(TYPES.values()))}
        for span in row["spans"]:
            kind = TYPES.get(span["type"])
            if kind:
                place = next(
                    (at for at, what in found.items()
                     if what == kind and at[0] <= span["start"] and span["end"] <= at[1]), None
                )  # fmt: skip
                if place is None:
                    missed[kind] += 1
                else:
                    right[kind] += 1
                    del found[place]
        wrong.update(found.values())
    assert sum(right.values()) > 150
    for kind in ("email", "card", "ssn", "ip", "url", "id_document"):
        assert (right[kind] > 0, wrong[kind], missed[kind]) == (True, 0, 0), kind
    assert right["phone"] / (right["phone"] + wrong["phone"]) > 0.9
    assert right["phone"] / (right["phone"] + missed["phone"]) > 0.7


@needs_data
@pytest.mark.parametrize("name", ["banking77", "gsm8k", "facility_support"])
def test_texts_without_personal_data_are_left_alone(name: str) -> None:
    field = {"banking77": "text", "gsm8k": "question", "facility_support": "message"}[name]
    texts = [row[field] for row in rows(DATA / name / "test.jsonl")]
    flagged = sum(bool(find_pii(text)) for text in texts)
    assert flagged <= len(texts) / 1000
