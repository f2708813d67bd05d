"""Long inputs: every part is read, in parts that fit, and nothing is left out in silence."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import outlast as ol
from outlast.errors import LMServerError, SignatureError, UsageError
from outlast.modules.map_reduce import cut


class Sum(ol.Signature):
    """Add up the secrets in the document."""

    question: str = ol.input()
    document: str = ol.input()
    total: int = ol.output()


def read(prompt: str, luck: random.Random) -> str:
    """A model that finds SECRET-<n> in what it is shown, and adds them up where it is asked for the total."""
    found = sorted(set(re.findall(r"SECRET-(\d+)", prompt)), key=int)
    listed = " ".join(f"SECRET-{one}" for one in found)
    if "Here is one part of it" in prompt:
        return f"<<notes>>\n{listed or 'NOTHING'}\n<<end>>"
    if "Merge them" in prompt:
        return f"<<merged>>\n{listed}\n<<end>>"
    return f"<<total>>\n{sum(map(int, found))}\n<<end>>"


def document(paragraphs: int, every: int) -> tuple[str, int]:
    luck = random.Random(7)
    texts = ["word " * luck.randint(5, 60) + (f"SECRET-{i}." if i % every == 0 else "") for i in range(paragraphs)]
    return "\n\n".join(texts), sum(range(0, paragraphs, every))


def test_nothing_in_a_long_document_is_missed(sim: Any) -> None:
    text, total = document(1000, 13)
    lm = sim(read)
    with ol.context(lm=lm):
        out = ol.MapReduce(Sum, over="document", size=4000)(question="?", document=text)
    assert type(out) is Sum
    assert out.total == total
    assert out.document == text
    assert lm.calls == out.trace.spending.calls
    assert out.outcome.facts["unread"] == ()
    assert max(map(len, lm.prompts)) < 6500


def test_notes_that_are_too_long_are_merged_first(sim: Any) -> None:
    text, total = document(1500, 2)
    lm = sim(read)
    with ol.context(lm=lm):
        out = ol.MapReduce(Sum, over="document", size=3000)(question="?", document=text)
    assert out.total == total
    assert any("Merge them" in prompt for prompt in lm.prompts)


def test_a_short_document_is_asked_about_at_once(sim: Any) -> None:
    lm = sim(read)
    with ol.context(lm=lm):
        out = ol.MapReduce(Sum, over="document")(question="?", document="SECRET-5 and SECRET-6")
    assert (out.total, lm.calls) == (11, 1)


def test_lists_are_read_in_groups_of_items(sim: Any) -> None:
    lm = sim(read)
    with ol.context(lm=lm):
        program = ol.MapReduce("question, items: list[str] -> total: int", over="items", size=300)
        out = program(question="?", items=[f"SECRET-{i}" for i in range(100)])
    assert out.total == 4950
    assert lm.calls > 5


def test_a_part_that_fails_fails_the_whole(sim: Any) -> None:
    def reply(prompt: str, luck: random.Random) -> Any:
        return LMServerError("down") if "SECRET-650" in prompt else read(prompt, luck)

    text, _ = document(1000, 13)
    with ol.context(lm=sim(reply)), pytest.raises(LMServerError):
        ol.MapReduce(Sum, over="document", size=4000)(question="?", document=text)


def test_when_the_budget_ends_it_says_what_was_not_read(sim: Any) -> None:
    text, total = document(1000, 13)
    lm = sim(read)
    with ol.context(lm=lm):
        program = ol.MapReduce(Sum, over="document", size=4000, budget=ol.Budget(calls=9))
        out = program(question="?", document=text)
    assert lm.calls == 9
    assert 0 < out.total < total
    assert out.outcome.stopped == "calls"
    parts = len(program.parts(text))
    assert len(out.outcome.facts["unread"]) == parts - 8


@given(
    st.text(alphabet=st.sampled_from("ab \n.é"), max_size=3000),
    st.integers(20, 300),
    st.integers(0, 9),
)
def test_parts_cover_the_text_and_fit(text: str, size: int, overlap: int) -> None:
    parts = cut(text, size, overlap)
    assert all(len(part) <= size for part in parts)
    at = 0
    for part in parts:
        start = text.index(part, max(at - overlap, 0)) if part else at
        assert start <= at
        at = max(at, start + len(part))
    assert at == len(text)


def test_the_long_input_is_named_unless_there_is_only_one() -> None:
    assert ol.MapReduce("text -> answer").long == "text"
    with pytest.raises(SignatureError, match="question, document"):
        ol.MapReduce(Sum)
    with pytest.raises(SignatureError, match="no input 'documents'"):
        ol.MapReduce(Sum, over="documents")
    with pytest.raises(SignatureError, match="a text or a list"):
        ol.MapReduce("text, n: int -> answer", over="n")
    with pytest.raises(UsageError, match="overlap"):
        ol.MapReduce("text -> answer", size=400, overlap=300)


def test_a_recipe_that_does_not_fit_the_probe_still_fits_its_program() -> None:
    class Program(ol.Module):
        answer = ol.Predict(Sum)

        def forward(self, question: str, document: str) -> Any:
            return self.answer(question=question, document=document)

    program = ol.update(Program(), {"answer.strategy": ol.MapReduce(over="document")})
    assert isinstance(program.answer, ol.MapReduce)
