"""Citations: what is a marker, what it may name, and which sentences need one."""

from __future__ import annotations

import time
from typing import Any

import pytest

import outlast as ol
from outlast.errors import UsageError

SOURCES = ["x", {"id": "doc-3", "text": "y"}, ol.Document("z", title="Smith 2020")]


def judged(answer: str, sources: Any = SOURCES, **options: Any) -> ol.CheckResult:
    """The result for an answer."""
    given = ol.checks.cites("answer", sources="passages", **options).run({"answer": answer, "passages": sources})
    assert given is not None
    return given


@pytest.mark.parametrize(
    "answer",
    [
        "So it is [1].",
        "So [1, 3] it is.",
        "So.[1-3]",
        "So [doc-3].",
        "So [^2].",
        "So 【3】.",
        "So (source: Smith 2020).",
    ]
    + ["So [Smith 2020]; but [sic], [T]he, [link](http://x.test), and [x].[1]", "So it is [1][2]."],
)
def test_markers_name_sources(answer: str) -> None:
    given = judged(answer)
    assert given.ok, given.message
    assert given.score == 1.0


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("So it is.", "has 0 of at least 1 citations; sources: 1, doc-3, 2"),
        ("So [4].", "cites '4', which names no source"),
        ("So [0].", "cites '0'"),
        ("So [1-4].", "cites '4'"),
        ("So [doc-4].", "cites 'doc-4'"),
        ("So (source: Jones).", "cites 'Jones'"),
        ("See [link](http://x.test).", "has 0"),
    ],
)
def test_markers_that_name_nothing(answer: str, problem: str) -> None:
    given = judged(answer)
    assert not given.ok
    assert problem in given.message


def test_the_fix_leaves_out_what_names_nothing() -> None:
    given = judged("So it is [1]. And so [7]. And [1, 9].")
    assert given.fix == {"answer": "So it is [1]. And so. And [1, 9]."}
    assert [place.text for place in given.found] == ["[7]", "[1, 9]"]
    assert given.score == 0.5
    assert judged("So [7].").fix is None


def test_every_sentence_is_cited() -> None:
    text = (
        "The first thing is so [1]. The second thing is so too.[2] The third is as well. [3] Is the fourth so as well?"
    )
    assert judged(text, every="sentence").ok
    given = judged(text + " The fifth one is not.", every="sentence")
    assert not given.ok
    assert "does not say where this is from: 'The fifth one is not.'" in given.message
    assert given.found[0].kind == "uncited"


@pytest.mark.parametrize(
    "sources", [3, {"1": "x", "2": "y", "3": "z"}, ("x", "y", "z"), {"a": "x", "3": "y", "1": "z"}]
)
def test_the_forms_of_sources(sources: Any) -> None:
    assert judged("So [1] [3].", sources).ok
    assert not judged("So [4].", sources).ok


def test_no_sources_and_wrong_values() -> None:
    assert "there are no sources" in judged("So [1].", []).message
    assert judged("So.", None, least=0).ok
    with pytest.raises(UsageError, match="list or dict of sources"):
        judged("So [1].", "text")
    with pytest.raises(UsageError, match="every is 'sentence'"):
        judged("So", every="claim")
    with pytest.raises(UsageError, match="sources is the name of a field"):
        ol.checks.cites("answer", sources=["x"])  # the name is asked for, not the sources


@pytest.mark.parametrize("piece", ["[1]", "[", "[1, ", "(source: ", "a [1]. b ", "[1-99]", "【", "\udc80[1]"])
def test_hostile_text_takes_linear_time(piece: str) -> None:
    started = time.process_time()
    judged(piece * (1_000_000 // len(piece)), every="sentence")
    assert time.process_time() - started < 8
