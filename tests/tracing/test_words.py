"""Words as a search sees them: the same on every database."""

from __future__ import annotations

from pathlib import Path

import pytest

import outlast as ol
from outlast.testing import ScriptedLM
from outlast.tracing.passages import BEGIN, END
from outlast.tracing.record import TraceFilter
from outlast.tracing.switch import flush
from outlast.tracing.words import marked, vector, vector_query

MESSAGE = (
    "order ZQ-2024-001 of zed@example.org, v3.14, https://zed.org/zpath/to, café, cre\u0300me, ЁЛКА, snake_case, "
    "hug\U0001f917s 我的银行卡被机器吞了。カードを食べた abc銀行 हिन्दी ที่นี่"
)
FOUND = {  # what is typed, and what the passage marks of it
    "ZQ-2024-001": "[ZQ-2024-001]",
    "zq 2024": "[ZQ]-[2024]-001",
    "zed@example.org": "[zed@example.org]",
    "example": "zed@[example].org",
    "v3.14": "[v3.14]",
    "zpath": "https://zed.org/[zpath]/to",
    "zed.org": "https://[zed.org]/zpath/to",
    "zed.o*": "https://[zed.org]/zpath/to",
    "cafe": "[café]",
    "CAFÉ": "[café]",
    "crème": "[cre\u0300me]",
    "ёлка": "[ЁЛКА]",
    "ёлк*": "[ЁЛКА]",
    "snake_case": "[snake_case]",
    "case": "snake_[case]",
    "hug": "[hug]\U0001f917s",
    "银行卡": "我的[银行卡]被机器吞了。",
    "银行 机器": "我的[银行]卡被[机器]吞了。",
    "银行*": "我的[银行]卡被机器吞了。",
    "食べた": "カードを[食べた]",
    "カード": "[カード]を食べた",
    "abc": "[abc]銀行",
    "abc銀行": "[abc銀行]",
    "हिन्दी": "[हिन्द]ी",
    "นี่": "ที่[น]ี่",
}
MISSED = (
    "ZQ-001",
    "2024-ZQ",
    "行银卡",
    "卡银",
    "食た",
    "exampl",
    "org@zed",
    "caf",
    "xample.org",
    "_",
    "' & |",
    "银器*",
    "",
)


def checked(store: str | Path) -> None:
    """A store with that message: each is found where it should be, and shown so."""
    with ol.trace(store=store):
        ol.Predict("message -> team", lm=ScriptedLM(lambda messages: {"team": "x"}))(message=MESSAGE)
        ol.Predict("message -> team", lm=ScriptedLM(lambda messages: {"team": "y"}))(message="another")
    assert flush()
    with ol.open_store(store) as kept:
        shown = {typed: [hit.snippet for hit in kept.search(typed)] for typed in FOUND}
        assert {typed: len(hits) for typed, hits in shown.items()} == dict.fromkeys(FOUND, 1)
        wrong = {typed: hits for typed, hits in shown.items() if FOUND[typed] not in hits[0]}
        assert wrong == {}
        assert {typed: len(kept.search(typed)) for typed in MISSED} == dict.fromkeys(MISSED, 0)
        assert [kept.count(TraceFilter(text=typed)) for typed in ("ZQ-2024-001", "银行卡", "行银卡")] == [1, 1, 0]


def test_ids_addresses_accents_and_scripts_without_spaces_are_found(tmp_path: Path) -> None:
    checked(tmp_path / "t.db")


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("b", "a <b> c <B> d"),
        ('"a b"', "<a b> c B d"),
        ("b a", "<a> <b> c <B> d"),
        ('"a b" "b c"', "<a b> c B d"),
        ("x", "a b c B d"),
        ("", "a b c B d"),
    ],
)
def test_what_was_found_is_marked(typed: str, shown: str) -> None:
    assert marked("a b c B d", typed) == shown.replace("<", BEGIN).replace(">", END)


def test_what_postgres_reads_holds_no_sign_of_its_language() -> None:
    assert vector("It's (a) \\ 'quoted':3 & b|c!") == "'it':1 's':2 'a':3 'quoted':4 '3':5 'b':6 'c':7"
    assert vector_query("it's 'x':* | !b") == "('it' <-> 's') & ('x':*) & ('b')"
    assert len(vector("a" * 5_000).encode()) < 2_046
    assert vector("a " * 20_000).endswith("'a':16383")
