"""Debates: everyone hears the others, votes are counted, judges see every order."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

import outlast as ol
from outlast.errors import LMServerError, SignatureError, UsageError


class Ask(ol.Signature):
    """Answer with a number."""

    question: str = ol.input()
    number: int = ol.output()


def others(prompt: str) -> list[int]:
    """The answers of the others in a prompt, as it shows them."""
    shown = prompt.rpartition("<<other_answers>>")[2]
    return [int(one) for one in re.findall(r"number = (\d+)", shown)]


def follow(prompt: str, luck: random.Random) -> str:
    """Its own guess at first, then what most of the others say."""
    heard = others(prompt)
    number = max(set(heard), key=heard.count) if heard else luck.choice([1, 1, 2])
    return f"<<number>>\n{number}\n<<end>>"


def test_agents_hear_the_others_and_can_change_their_mind(sim: Any) -> None:
    lm = sim(follow)
    with ol.context(lm=lm):
        out = ol.Debate(Ask, agents=5, rounds=1)(question="x")
    assert type(out) is Ask
    assert lm.calls == 10 == out.trace.spending.calls
    assert all(len(others(prompt)) == 4 for prompt in lm.prompts[5:])
    assert len(out.outcome.attempts) == 10
    assert sum(out.outcome.facts["votes"].values()) == 5


@pytest.mark.parametrize("agents", [1, 3, 5])
def test_without_rounds_the_accuracy_is_that_of_a_vote(sim: Any, agents: int) -> None:
    from math import comb

    def guess(prompt: str, luck: random.Random) -> str:
        return f"<<number>>\n{1 if luck.random() < 0.7 else 2}\n<<end>>"

    with ol.context(lm=sim(guess)):
        right = sum(ol.Debate(Ask, agents=agents, rounds=0)(question=str(i)).number == 1 for i in range(400))
    expected = sum(comb(agents, k) * 0.7**k * 0.3 ** (agents - k) for k in range(agents // 2 + 1, agents + 1))
    assert abs(right / 400 - expected) < 4 * (expected * (1 - expected) / 400) ** 0.5


def test_different_modules_each_speak_for_themselves(sim: Any) -> None:
    one, two = sim(lambda p, luck: "<<number>>\n1\n<<end>>"), sim(lambda p, luck: "<<number>>\n2\n<<end>>")
    program = ol.Debate([ol.Predict(Ask, lm=one), ol.Predict(Ask, lm=two), ol.ChainOfThought(Ask, lm=two)], rounds=0)
    two.answer = lambda p, luck: (
        "<<reasoning>>\nr\n<<number>>\n2\n<<end>>" if "reasoning" in p else "<<number>>\n2\n<<end>>"
    )
    out = program(question="x")
    assert out.number == 2
    assert out.outcome.facts["votes"] == {"number = 1": 1, "number = 2": 2}
    assert (one.calls, two.calls) == (1, 2)


def test_a_panel_of_judges_decides_and_sees_every_order(sim: Any) -> None:
    def reply(prompt: str, luck: random.Random) -> str:
        if "<<best>>" in prompt:
            found = re.search(r"(\d+)\. number = 3", prompt)
            return f"<<best>>\n{found[1] if found else 1}\n<<end>>"
        return f"<<number>>\n{luck.choice([1, 2, 3])}\n<<end>>"

    lm = sim(reply, seed=3)
    with ol.context(lm=lm):
        out = ol.Debate(Ask, agents=9, rounds=0, by="judges", judges=3)(question="x")
    assert out.number == 3
    assert out.outcome.facts["votes"] == {"number = 3": 3}
    orders = {tuple(re.findall(r"\d+\. number = (\d)", p)) for p in lm.prompts[9:]}
    assert len(orders) == 3


def test_an_agent_whose_call_fails_keeps_its_answer(sim: Any) -> None:
    def reply(prompt: str, luck: random.Random) -> Any:
        return LMServerError("down") if "<<other_answers>>" in prompt else "<<number>>\n5\n<<end>>"

    with ol.context(lm=sim(reply)):
        assert ol.Debate(Ask, agents=3, rounds=2)(question="x").number == 5
    with ol.context(lm=sim(lambda p, luck: LMServerError("down"))), pytest.raises(LMServerError):
        ol.Debate(Ask)(question="x")


def test_every_round_is_a_draw_of_its_own(sim: Any) -> None:
    lm = sim(lambda prompt, luck: "<<number>>\n5\n<<end>>")  # nobody ever changes anything
    with ol.context(lm=lm):
        ol.Debate(Ask, agents=3, rounds=3)(question="x")
    assert len(set(lm.samples[3:])) == 9


def test_a_budget_ends_the_talking_and_the_vote_is_held(sim: Any) -> None:
    lm = sim(follow)
    with ol.context(lm=lm):
        out = ol.Debate(Ask, agents=3, rounds=5, budget=ol.Budget(calls=5))(question="x")
    assert lm.calls == 5
    assert out.outcome.stopped == "calls"


def test_bad_options_are_refused() -> None:
    other = ol.Predict("question -> other: int")
    for make, error in (
        (lambda: ol.Debate(Ask, agents=0), UsageError),
        (lambda: ol.Debate(Ask, rounds=-1), UsageError),
        (lambda: ol.Debate(Ask, by="coin"), UsageError),  # type: ignore[arg-type]
        (lambda: ol.Debate([ol.Predict(Ask)]), UsageError),
        (lambda: ol.Debate([ol.Predict(Ask), ol.Predict(Ask)], agents=3), UsageError),
        (lambda: ol.Debate([ol.Predict(Ask), other]), SignatureError),
    ):
        with pytest.raises(error):
            make()


async def test_it_runs_in_async_code(sim: Any) -> None:
    with ol.context(lm=sim(follow)):
        assert (await ol.Debate(Ask).acall(question="x")).number in (1, 2)
