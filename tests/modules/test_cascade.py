"""Cascades: escalate below the threshold, believe the last, keep to the budget; and chains that are compared."""

from __future__ import annotations

import random
from typing import Any

import pytest

import outlast as ol
from outlast.errors import AnswerError, BudgetExceeded, UsageError
from outlast.messages.response import Response, TokenLogprob
from outlast.testing import ScriptedLM


class Ask(ol.Signature):
    """Answer with a number."""

    question: str = ol.input()
    number: int = ol.output()


def guess(share: float) -> Any:
    def answer(prompt: str, luck: random.Random) -> str:
        return f"<<number>>\n{42 if luck.random() < share else luck.randrange(100, 999)}\n<<end>>"

    return answer


def test_where_the_draws_agree_the_cheap_part_answers(sim: Any) -> None:
    cheap, dear = sim(guess(1.0)), sim(guess(1.0))
    out = ol.Cascade([ol.Predict(Ask, lm=cheap), ol.Predict(Ask, lm=dear)], samples=3)(question="x")
    assert (cheap.calls, dear.calls) == (3, 0)
    assert out.outcome.facts == {"part": "0", "confidence": 1.0, "asked": 1}


def test_where_they_differ_the_next_part_is_asked_once(sim: Any) -> None:
    cheap, dear = sim(guess(0.0)), sim(guess(1.0))
    out = ol.Cascade({"small": ol.Predict(Ask, lm=cheap), "big": ol.Predict(Ask, lm=dear)})(question="x")
    assert (out.number, cheap.calls, dear.calls) == (42, 3, 1)
    assert out.outcome.facts["part"] == "big"


def test_cheap_answers_that_are_kept_are_righter_than_those_of_one_draw(sim: Any) -> None:
    cheap, dear = sim(guess(0.6)), sim(guess(1.0))
    program = ol.Cascade([ol.Predict(Ask, lm=cheap), ol.Predict(Ask, lm=dear)], samples=3, threshold=0.6)
    kept = [out for n in range(300) if (out := program(question=str(n))).outcome.facts["part"] == "0"]
    # at least 2 of 3 draws agree; wrong draws hardly ever do: P = p^3 + 3 p^2 (1 - p)
    assert abs(len(kept) / 300 - 0.648) < 0.11
    assert sum(out.number == 42 for out in kept) / len(kept) > 0.97


def test_a_reward_is_a_confidence_too_and_the_threshold_is_tunable(sim: Any) -> None:
    cheap, dear = sim(guess(0.0)), sim(guess(1.0))
    parts = [ol.Predict(Ask, lm=cheap), ol.Predict(Ask, lm=dear)]
    program = ol.Cascade(parts, confidence=lambda out: 0.5, threshold=0.4)
    assert program(question="x").outcome.facts["part"] == "0"
    assert ol.parameters(program)["threshold"] == 0.4
    stricter = ol.update(program, {"threshold": 0.6})
    assert stricter(question="x").number == 42


def test_a_part_that_fails_is_passed_over(sim: Any) -> None:
    broken, dear = sim(lambda p, luck: "no idea"), sim(guess(1.0))
    with ol.context(adapter=ol.Chat(reasks=0)):
        assert ol.Cascade([ol.Predict(Ask, lm=broken), ol.Predict(Ask, lm=dear)])(question="x").number == 42
        with pytest.raises(AnswerError):
            ol.Cascade([ol.Predict(Ask, lm=broken), ol.Predict(Ask, lm=broken)])(question="x")


def test_its_own_budget_gives_the_most_trusted_answer_so_far(sim: Any) -> None:
    lm = sim(guess(0.0))
    with ol.context(lm=lm):
        out = ol.Cascade([ol.Predict(Ask), ol.Predict(Ask)], budget=ol.Budget(calls=3))(question="x")
        assert lm.calls == 3
        assert out.outcome.stopped == "calls"
        with ol.budget(calls=2), pytest.raises(BudgetExceeded):
            ol.Cascade([ol.Predict(Ask), ol.Predict(Ask)])(question="y")


def test_chains_are_compared_in_view_of_all_of_them() -> None:
    chain = "<<reasoning>>\nbecause {0}\n<<number>>\n{0}\n<<end>>"
    lm = ScriptedLM([chain.format(1), chain.format(2), chain.format(2), "<<number>>\n2\n<<end>>"], keep=True)
    with ol.context(lm=lm):
        out = ol.MultiChainComparison(Ask, n=3)(question="x")
    assert type(out) is Ask
    assert out.number == 2
    assert lm.calls == 4 == out.trace.spending.calls
    assert all(f"because {n}" in lm.requests[-1].messages[-1].text for n in (1, 2))
    assert len(out.outcome.attempts) == 3


def test_the_comparison_has_a_call_kept_for_it() -> None:
    def reply(messages: Any) -> str:
        compare = "Several attempts" in messages[0].text
        return "<<number>>\n7\n<<end>>" if compare else "<<reasoning>>\nr\n<<number>>\n1\n<<end>>"

    lm = ScriptedLM(reply)
    with ol.context(lm=lm):
        out = ol.MultiChainComparison(Ask, n=5, budget=ol.Budget(calls=3))(question="x")
    assert (out.number, lm.calls, out.outcome.stopped) == (7, 3, "calls")


@pytest.mark.parametrize(
    "make",
    [
        lambda: ol.Cascade([ol.Predict(Ask)]),
        lambda: ol.Cascade([ol.Predict(Ask), ol.Predict(Ask)], confidence="gut"),
        lambda: ol.Cascade([ol.Predict(Ask), ol.Predict(Ask)], samples=1),
        lambda: ol.Cascade([ol.Predict(Ask), ol.Predict(Ask)], threshold="high"),  # type: ignore[arg-type]
        lambda: ol.MultiChainComparison(Ask, n=1),
    ],
)
def test_bad_options_are_refused(make: Any) -> None:
    with pytest.raises(UsageError):
        make()


@pytest.mark.parametrize(("logprob", "part"), [(-0.1, "0"), (-0.2, "1")])
def test_the_probability_of_the_tokens_is_a_confidence(logprob: float, part: str, sim: Any) -> None:
    tokens = (TokenLogprob("4", logprob), TokenLogprob("2", logprob))
    cheap = ScriptedLM([Response("<<number>>\n42\n<<end>>", logprobs=tokens)])
    parts = [ol.Predict(Ask, lm=cheap), ol.Predict(Ask, lm=sim(guess(1.0)))]
    assert ol.Cascade(parts, confidence="logprobs", threshold=0.9)(question="x").outcome.facts["part"] == part


def test_a_model_that_tells_no_probabilities_is_an_error(sim: Any) -> None:
    parts = [ol.Predict(Ask, lm=sim(guess(1.0))), ol.Predict(Ask, lm=sim(guess(1.0)))]
    with pytest.raises(UsageError, match="logprobs=1"):
        ol.Cascade(parts, confidence="logprobs")(question="x")


def test_agreement_can_be_on_one_field() -> None:
    lm = ScriptedLM([f"<<number>>\n1\n<<note>>\n{note}\n<<end>>" for note in "abc"])
    parts = ["question -> number: int, note", "question -> number: int, note"]
    with ol.context(lm=lm):
        assert ol.Cascade(parts, by="number")(question="x").outcome.facts["confidence"] == 1.0


def test_a_file_holds_a_cascade_and_its_threshold(tmp_path: Any) -> None:
    recipe = ol.Cascade([ol.Predict(), ol.ChainOfThought()])
    program = ol.update(ol.Predict(Ask), {"strategy": recipe, "threshold": 0.7})
    ol.save(program, tmp_path / "c.outlast.json")
    assert ol.load(tmp_path / "c.outlast.json", ol.Predict(Ask)) == program


def test_a_cheap_part_that_may_not_vary_is_refused() -> None:
    with pytest.raises(UsageError, match="temperature=0"):
        ol.Cascade([ol.Predict(Ask, temperature=0), Ask])
