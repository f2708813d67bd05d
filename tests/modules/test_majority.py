from __future__ import annotations

import math
import random
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import outlast as ol
from outlast.modules.attempts import Attempt
from outlast.modules.normal import normal_form
from outlast.modules.votes import count, still_needed
from outlast.testing import ScriptedLM


class Sum(ol.Signature):
    """Add up."""

    question: str = ol.input()
    answer: int = ol.output()
    note: str = ol.output()


def says(*answers: Any) -> ScriptedLM:
    """A model that gives these answers in turn; an exception is raised, None cannot be read."""
    replies = [
        {"answer": one, "note": f"note {number}"} if isinstance(one, int | str) else one or "nothing"
        for number, one in enumerate(answers)
    ]
    return ScriptedLM(replies)


def ask(program: Any, lm: Any) -> Any:
    with ol.context(lm=lm, adapter=ol.Chat(reasks=0)):
        return program(question="2+2?")


def test_the_answer_that_most_give_wins_and_the_outcome_tells_the_votes():
    lm = says(3, 4, 5, 4, 4)
    out = ask(ol.Majority(Sum, n=5, by="answer"), lm)
    assert isinstance(out, Sum)
    assert (out.answer, out.note) == (4, "note 1")
    assert out.outcome.chosen == 1
    assert out.outcome.facts == {"votes": {"4": 3, "3": 1, "5": 1}, "agreement": 0.6}
    assert lm.calls == out.trace.spending.calls == 5


def test_without_a_field_to_vote_on_the_outputs_count_together():
    out = ask(ol.Majority(Sum, n=3), says(4, 4, 4))
    assert set(out.outcome.facts["votes"].values()) == {1}
    assert out.note == "note 0"


def test_the_first_of_equals_wins():
    assert ask(ol.Majority(Sum, n=4, by="answer"), says(1, 2, 2, 1)).answer == 1


def test_votes_are_for_what_a_function_makes_of_the_output():
    out = ask(ol.Majority(Sum, n=3, by=lambda out: out.answer % 2), says(1, 2, 4))
    assert out.answer == 2


def test_a_weight_makes_some_votes_count_more():
    out = ask(ol.Majority(Sum, n=3, by="answer", weight=lambda out: 5.0 if out.answer == 9 else 1.0), says(1, 1, 9))
    assert out.answer == 9
    assert out.outcome.facts["votes"] == {"9": 5.0, "1": 2.0}


def test_a_negative_weight_is_an_error():
    with pytest.raises(ol.OutlastError, match="at least 0"):
        ask(ol.Majority(Sum, n=2, weight=lambda out: -1), says(1, 2))


def test_failed_attempts_have_no_vote_and_lower_the_agreement():
    out = ask(ol.Majority(Sum, n=4, by="answer"), says(None, 7, ol.errors.LMServerError("down"), 7))
    assert out.answer == 7
    assert out.outcome.facts["agreement"] == 0.5
    assert [one.ok for one in out.outcome.attempts] == [False, True, False, True]
    assert out.trace.spending.calls == 4


def test_when_all_fail_the_error_is_raised_with_a_note():
    with pytest.raises(ol.errors.AnswerError) as caught:
        ask(ol.Majority(Sum, n=2), says(None, None))
    assert "none of 2 attempts" in caught.value.__notes__[0]


def test_a_function_signature_gives_its_plain_value():
    def add(question: str) -> int:
        """Add up."""

    lm = ScriptedLM([{"answer": 3}, {"answer": 4}, {"answer": 4}])
    with ol.context(lm=lm):
        assert ol.Majority(add, n=3)("2+2?") == 4


def test_any_program_can_be_voted_on():
    class Two(ol.Module):
        first = ol.Predict("question -> draft")
        second = ol.Predict("draft -> answer: int")

        def forward(self, question: str) -> Any:
            return self.second(draft=self.first(question=question).draft).answer

    numbers = iter([1, 2, 2])
    lm = ScriptedLM(lambda m: {"draft": "d"} if "<<question>>" in m[-1].text else {"answer": next(numbers)})
    assert ask(ol.Majority(Two(), n=3), lm) == 2
    assert lm.calls == 6


@pytest.mark.parametrize("right", [0.45, 0.6, 0.75])
async def test_accuracy_follows_the_binomial_curve(right: float):
    draws = random.Random(1)
    lm = ScriptedLM(lambda messages: {"answer": "yes" if draws.random() < right else "no"})
    votes = 5
    program = ol.Majority("question -> answer: Literal['yes', 'no']", n=votes)
    runs = 600
    with ol.context(lm=lm):
        hits = sum([(await program.acall(question="?")).answer == "yes" for _ in range(runs)])
    expected = sum(
        math.comb(votes, k) * right**k * (1 - right) ** (votes - k) for k in range(votes // 2 + 1, votes + 1)
    )
    assert abs(hits / runs - expected) < 4 * math.sqrt(expected * (1 - expected) / runs)
    assert lm.calls == runs * votes


def test_a_certain_result_ends_the_vote_and_asks_no_call_that_one_by_one_would_save():
    lm = says(4, 4, 4)
    out = ask(ol.Majority(Sum, n=5, by="answer", stop="certain"), lm)
    assert lm.calls == 3
    assert out.outcome.stopped == "enough"
    assert ask(ol.Majority(Sum, n=5, by="answer", stop="certain"), says(4, 1, 2, 1, 4)).outcome.stopped is None


def test_a_probable_result_ends_the_vote():
    lm = says(*[4] * 40)
    out = ask(ol.Majority(Sum, n=40, by="answer", stop=0.95), lm)
    assert lm.calls == 4  # 1 - 0.5 ** 5 is over 0.95
    assert out.outcome.facts["agreement"] == 1


answers = st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=11)


def attempts_of(values: list[str | None]) -> list[Attempt]:
    return [Attempt(one, None if one else ValueError("no")) for one in values]


def vote(values: list[str | None], stop: Any, *, one_by_one: bool = False) -> tuple[int | None, int]:
    """The winner and the number of votes of a poll over these answers."""
    seen = 0
    while seen < len(values):
        needed = still_needed(count(attempts_of(values[:seen])), len(values) - seen, stop)
        if not needed:
            break
        seen += 1 if one_by_one else needed
    return count(attempts_of(values[:seen])).winner, seen


@given(answers)
def test_stopping_when_certain_never_changes_the_winner(values: list[str | None]):
    assert vote(values, "certain")[0] == count(attempts_of(values)).winner


@given(answers, st.sampled_from(["certain", 0.7, 0.95]))
def test_asking_several_at_a_time_costs_no_more_than_one_by_one(values: list[str | None], stop: Any):
    assert vote(values, stop) == vote(values, stop, one_by_one=True)


@given(answers)
def test_a_certain_end_is_as_early_as_it_can_be(values: list[str | None]):
    _, seen = vote(values, "certain")
    if 1 < seen < len(values):
        before = values[: seen - 1]
        rest = len(values) - len(before)
        ends = {
            count(attempts_of([*before, *more])).winner is not None
            and [*before, *more][count(attempts_of([*before, *more])).winner or 0]
            for more in ([kind] * rest for kind in ("a", "b", "c", "new", None))
        }
        assert len(ends) > 1


def test_the_budget_ends_the_vote_and_the_votes_so_far_decide():
    lm = says(1, 2, 2, 2, 2)
    out = ask(ol.Majority(Sum, n=5, by="answer", budget=ol.Budget(calls=3)), lm)
    assert lm.calls == 3
    assert out.answer == 2
    assert out.outcome.stopped == "calls"


def test_a_budget_from_outside_goes_up():
    with pytest.raises(ol.errors.BudgetExceeded), ol.budget(calls=2):
        ask(ol.Majority(Sum, n=5), says(1, 2, 2, 2, 2))


@pytest.mark.parametrize(
    "options",
    [
        {"n": 0},
        {"n": 2.5},
        {"n": 3, "by": "wrong"},
        {"n": 3, "by": "question"},
        {"n": 3, "by": 7},
        {"n": 3, "stop": "soon"},
        {"n": 3, "stop": 0.5},
        {"n": 3, "stop": "certain", "weight": len},
        {"n": 3, "budget": 5},
        {"n": 3, "weight": 5},
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any]):
    with pytest.raises(ol.errors.UsageError):
        ol.Majority(Sum, **options)


def test_a_model_that_may_not_vary_is_refused():
    with pytest.raises(ol.errors.UsageError, match="temperature=0"):
        ol.Majority(ol.Predict(Sum, temperature=0), n=3)


class Colour(ol.Signature):
    """x"""

    text: str = ol.input()
    colour: Literal["red", "blue"] = ol.output()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Paris", " paris ", True),
        ("1,234.0", 1234, True),
        ("-0.50", -0.5, True),
        ("007", 7, False),
        ("1,23", 123, False),
        ("0", False, False),
        ([1, 2], (1.0, 2.0), True),
        ({1, 2}, {2, 1}, True),
        ({"a": "X"}, {"a": "x"}, True),
        (float("nan"), float("nan"), True),
        (ol.Prediction(a="X"), "x", True),
        (ol.Prediction(a=1, b=2), ol.Prediction(b=2, a=1), True),
        ("10²", "102", False),
    ],
)
def test_answers_that_mean_the_same_have_one_normal_form(one: Any, other: Any, same: bool):
    assert (normal_form(one) == normal_form(other)) is same


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
        lambda s: st.lists(s) | st.dictionaries(st.text(), s),
    )
)
def test_every_value_has_a_normal_form_and_always_the_same(value: Any):
    assert normal_form(value) == normal_form(value)
