"""Answers in words and in percentages: read where they are beyond doubt, and nowhere else."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.lms.readings import percentages_in, read_answer, told
from outlast.messages import Question

YES = Question("yes_no", "Is it?", described=(("yes", "money is leaving"),))
TEAM = Question("choice", "Which team?", ("cards", "billing", "lost card"))
SPAM = Question("choice", "Is it spam?", ("spam", "ham"))
STARS = Question("score", "How many?", low=1, high=10)
BELOW = Question("score", "How warm?", low=-5, high=5)
CASED = Question("choice", "Which?", ("a", "A", "b"))


@pytest.mark.parametrize(
    ("question", "text", "answer"),
    [
        (YES, "yes", "yes"),
        (YES, " Yes.\n", "yes"),
        (YES, "**No**", "no"),
        (YES, "NO!", "no"),
        (YES, "Yes, it is urgent.", "yes"),
        (YES, "No\n\nNothing in it hurries.", "no"),
        (YES, "Yes - money is leaving", "yes"),
        (YES, "yes (money is leaving)", "yes"),
        (YES, "Answer: yes", "yes"),
        (YES, "**The final answer is: no**.", "no"),
        (TEAM, "- cards", "cards"),
        (TEAM, '"Lost card"', "lost card"),
        (TEAM, "`billing`: they were charged twice", "billing"),
        (STARS, "5", "5"),
        (STARS, "10.", "10"),
        (STARS, "- 3", "3"),
        (BELOW, "-3", "-3"),
        (BELOW, "3, as it is warm", "3"),
        (CASED, "A", "A"),
        (CASED, "a.", "a"),
    ],
)
def test_an_answer_that_is_clear_is_read(question: Question, text: str, answer: str):
    assert read_answer(question, text) == answer


@pytest.mark.parametrize(
    ("question", "text"),
    [
        (YES, ""),
        (YES, "Not yes"),
        (YES, "No. Yes."),
        (YES, "yes and no"),
        (YES, "yes or no"),
        (YES, "Yes, but not really"),
        (YES, "Yes? No idea"),
        (YES, "Yes, wait, that is wrong"),
        (YES, "Yes: 30%"),
        (YES, "The answer is not yes"),
        (YES, "I cannot say yes"),
        (SPAM, "This is definitely not spam"),
        (SPAM, "spam filter settings"),
        (SPAM, "It isn't spam"),
        (SPAM, "Spam. It isn't ham."),
        (TEAM, "cards? no. billing"),
        (TEAM, "cards, billing"),
        (TEAM, "cardsharp"),
        (STARS, "-3"),
        (STARS, "3.5"),
        (STARS, "4 or 5"),
        (STARS, "4, maybe"),
        (STARS, "5 of 10"),
        (STARS, "not 5"),
        (STARS, "3-4"),
        (STARS, "3 - 4"),
        (STARS, "7/10"),
        (STARS, "11"),
        (BELOW, "- 3"),
        (CASED, "B"),
    ],
)
def test_an_answer_in_doubt_is_not(question: Question, text: str):
    assert read_answer(question, text) is None


@given(st.sampled_from([YES, TEAM, SPAM, STARS, BELOW, CASED]), st.data())
def test_every_answer_is_read_as_it_is_asked_for(question: Question, data: st.DataObject):
    answer = data.draw(st.sampled_from(question.answers))
    assert read_answer(question, told(question, answer)) == answer
    assert read_answer(question, f"not {answer}") is None


@pytest.mark.parametrize(
    ("question", "text", "shares"),
    [
        (YES, "yes: 70%\nno: 30%", {"yes": 70, "no": 30}),
        (YES, "yes: 70%", {"yes": 70, "no": 30}),
        (YES, "No — 5.5 %", {"yes": 94.5, "no": 5.5}),
        (YES, "yes (money is leaving): 70%\nno: 30%", {"yes": 70, "no": 30}),
        (YES, "yes: 70% no: 30%", {"yes": 70, "no": 30}),
        (YES, "yes: 0.7\nno: 0.3", {"yes": 0.7, "no": 0.3}),
        (YES, "yes: 70, no: 30", {"yes": 70, "no": 30}),
        (
            TEAM,
            "Sure:\n- **cards**: 70%\n- billing: 20 %\n- lost card: 9%",
            {"cards": 70, "billing": 20, "lost card": 9},
        ),
        (
            TEAM,
            "| cards | 70% |\n| billing | 20% |\n| lost card | 10% |",
            {"cards": 70, "billing": 20, "lost card": 10},
        ),
    ],
)
def test_percentages_that_are_clear_are_read(question: Question, text: str, shares: dict[str, float]):
    assert percentages_in(question, text) == shares


@pytest.mark.parametrize(
    ("question", "text"),
    [
        (YES, ""),
        (YES, "yes"),
        (YES, "yes 0.7"),
        (YES, "yes: 70"),
        (YES, "yes: 170%"),
        (YES, "yes: -5%"),
        (YES, "yes: - 5%"),
        (YES, "yes: 70% no: 70%"),
        (YES, "yes: 70%\nyes: 30%"),
        (YES, "yes: 70-80%"),
        (YES, "yes: 70% to 80%"),
        (YES, "yes: 7/10"),
        (YES, "yes: 70%\nno: 7/10"),
        (YES, "yes70%"),
        (YES, "yes\n70%"),
        (YES, "yes: 1,5%"),
        (YES, "not yes: 70%"),
        (YES, "yes: 0%\nno: 0%"),
        (TEAM, "billing: 80%"),
        (TEAM, "cards: 70%\nbilling: 30%"),
        (TEAM, "cards: 50%\nbilling: 60%\nlost card: 40%"),
        (STARS, "\n".join(f"{step}: 5%" for step in range(1, 11))),
    ],
)
def test_percentages_in_doubt_are_not(question: Question, text: str):
    assert percentages_in(question, text) is None


@given(st.sampled_from([TEAM, SPAM, STARS, BELOW, CASED]), st.data())
def test_all_lines_as_they_are_asked_for_are_read(question: Question, data: st.DataObject):
    drawn = {answer: data.draw(st.integers(0, 100)) for answer in question.answers}
    lines = "\n".join(f"{told(question, answer)}: {share}%" for answer, share in drawn.items())
    for text in (lines, lines.replace("\n", ", "), "Here:\n- " + lines.replace("\n", "\n- ")):
        assert percentages_in(question, text) == (drawn if 95 <= sum(drawn.values()) <= 105 else None)


@pytest.mark.parametrize("piece", ["\n", " ", ".", "!", "*", "|", "- ", "9", "yes ", "yes: ", "9,", "yes: 1.", "%\n"])
def test_a_long_reply_of_nothing_is_read_at_once(piece: str):
    started = time.process_time()
    for text in (piece * 20_000, f"yes{piece * 20_000}", f"yes: {piece * 20_000}x"):
        read_answer(YES, text)
        percentages_in(YES, text)
    assert time.process_time() - started < 2
