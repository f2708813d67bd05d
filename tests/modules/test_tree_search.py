"""Trees of answers: they follow the curve of independent draws, get better where that is possible, and stop in time."""

from __future__ import annotations

import random
from typing import Any

import pytest

import outlast as ol
from outlast.errors import BudgetExceeded, SignatureError, UsageError
from outlast.testing import ScriptedLM

RIGHT = 42


class Ask(ol.Signature):
    """Answer with a number."""

    question: str = ol.input()
    number: int = ol.output()


@ol.predict
def ask(question: str) -> int:
    """Answer with a number."""


def guess(share: float) -> Any:
    def answer(prompt: str, luck: random.Random) -> str:
        return f"<<number>>\n{RIGHT if luck.random() < share else luck.randrange(100, 999)}\n<<end>>"

    return answer


def is_right(out: Any) -> bool:
    return out.number == RIGHT


def climb(prompt: str, luck: random.Random) -> str:
    """Nothing at first; one more than the earlier answer when that is shown."""
    earlier = prompt.rpartition("<<earlier_answer>>")[2] if "<<earlier_answer>>\nnumber = " in prompt else ""
    found = [int(word) for word in "".join(c if c.isdigit() else " " for c in earlier[:20]).split()]
    return f"<<number>>\n{found[0] + 1 if found else 0}\n<<end>>"


@pytest.mark.parametrize("method", ["mcts", "beam"])
@pytest.mark.parametrize("n", [1, 4, 12])
def test_with_a_perfect_verifier_the_accuracy_is_that_of_n_draws(sim: Any, method: Any, n: int) -> None:
    program = ol.TreeSearch(Ask, n=n, reward=is_right, method=method, threshold=1)
    with ol.context(lm=sim(guess(0.2))):
        right = sum(program(question=str(i)).number == RIGHT for i in range(400))
    expected = 1 - 0.8**n
    assert abs(right / 400 - expected) < 4 * (expected * (1 - expected) / 400) ** 0.5


@pytest.mark.parametrize("method", ["mcts", "beam"])
def test_it_goes_deep_where_answers_get_better_from_answers(sim: Any, method: Any) -> None:
    lm = sim(climb)
    program = ol.TreeSearch(
        Ask, n=20, reward=lambda out: out.number, method=method, branch=2, width=1, depth=5, explore=0.3
    )
    with ol.context(lm=lm):
        out = program(question="x")
        alone = ol.BestOfN(Ask, n=20, reward=lambda out: out.number)(question="x")
    assert out.number == 4  # one step a level: depth 5 is four steps from the first answer
    assert alone.number == 0
    assert out.outcome.facts["depth"] == 5


def test_the_result_is_of_the_declared_type_and_says_how_it_came_about(sim: Any) -> None:
    lm = sim(climb)
    with ol.context(lm=lm):
        out = ol.TreeSearch(Ask, n=6, reward=lambda out: out.number, branch=2)(question="x")
    assert type(out) is Ask
    assert ol.outputs_of(out).keys() == {"number"}
    assert len(out.outcome.attempts) == 6 == lm.calls == out.trace.spending.calls
    assert out.outcome.attempts[out.outcome.chosen].result.number == out.number
    parents = out.outcome.facts["parents"]
    assert parents[0] == -1
    assert all(parent < child for child, parent in enumerate(parents))
    assert max(parents.count(parent) for parent in set(parents)) <= 2


def test_a_function_signature_gives_its_plain_value(sim: Any) -> None:
    lm = ScriptedLM(lambda messages: "7")
    with ol.context(lm=lm):
        assert ol.TreeSearch(ask, n=4, reward=lambda out: out, branch=1)("x") == 7


def test_what_was_said_of_an_answer_is_shown_to_the_next(sim: Any) -> None:
    class Judged:
        value, feedback = 0.5, "too short by far"

    lm = sim(guess(0.0))
    with ol.context(lm=lm):
        ol.TreeSearch(Ask, n=2, reward=lambda out: Judged(), branch=1)(question="x")
    assert "too short by far" not in lm.prompts[0]
    assert "too short by far" in lm.prompts[1]
    assert "its score is 0.5" in lm.prompts[1]


def test_it_stops_when_an_answer_is_good_enough(sim: Any) -> None:
    lm = sim(guess(1.0))
    with ol.context(lm=lm):
        out = ol.TreeSearch(Ask, n=50, reward=is_right, threshold=1)(question="x")
    assert lm.calls == 1
    assert out.outcome.stopped == "enough"


def test_its_own_budget_gives_the_best_so_far_and_another_one_raises(sim: Any) -> None:
    lm = sim(climb)
    program = ol.TreeSearch(Ask, n=50, reward=lambda out: out.number, branch=1, depth=9, budget=ol.Budget(calls=4))
    with ol.context(lm=lm):
        out = program(question="x")
        assert lm.calls == 4
        assert out.number == 3
        assert out.outcome.stopped == "calls"
        with ol.budget(calls=2), pytest.raises(BudgetExceeded):
            ol.TreeSearch(Ask, n=50, reward=is_right)(question="x")
    assert lm.calls == 6


def test_failed_answers_grow_nothing_and_all_failed_raise(sim: Any) -> None:
    def sometimes(prompt: str, luck: random.Random) -> str:
        return "no idea, sorry" if luck.random() < 0.5 else "<<number>>\n3\n<<end>>"

    with ol.context(lm=sim(sometimes), adapter=ol.Chat(reasks=0)):
        out = ol.TreeSearch(Ask, n=12, reward=lambda out: out.number, branch=3)(question="x")
        assert any(not one.ok for one in out.outcome.attempts)
        failed = {at for at, one in enumerate(out.outcome.attempts) if not one.ok}
        assert not failed & set(out.outcome.facts["parents"])
    with ol.context(lm=sim(lambda prompt, luck: "no idea"), adapter=ol.Chat(reasks=0)):
        with pytest.raises(ol.errors.AnswerError):
            ol.TreeSearch(Ask, n=3, reward=is_right)(question="x")


async def test_several_at_once_give_the_same_tree_every_time(sim: Any) -> None:
    trees = []
    for _ in range(3):
        with ol.context(lm=sim(guess(0.3))):
            program = ol.TreeSearch(Ask, n=15, reward=lambda out: -out.number, at_once=4)
            out = await program.acall(question="x")
            trees.append((out.number, out.outcome.facts["parents"]))
    assert trees[0] == trees[1] == trees[2]


@pytest.mark.parametrize("method", ["mcts", "beam"])
def test_equal_answers_grow_independent_ones(sim: Any, method: Any) -> None:
    """Always the same wrong answer, so that the prompts below all of them are equal."""

    def answer(prompt: str, luck: random.Random) -> str:
        return f"<<number>>\n{RIGHT if luck.random() < 0.2 else 7}\n<<end>>"

    program = ol.TreeSearch(Ask, n=12, reward=is_right, method=method, threshold=1, branch=2)
    with ol.context(lm=sim(answer)):
        right = sum(program(question=str(i)).number == RIGHT for i in range(400))
    expected = 1 - 0.8**12
    assert abs(right / 400 - expected) < 4 * (expected * (1 - expected) / 400) ** 0.5


def test_the_same_answer_again_in_json_is_an_answer(sim: Any) -> None:
    """What is shown of an earlier answer must not make a model that repeats it look like one that echoes its prompt."""
    lm = sim(lambda prompt, luck: '{"number": 7}')
    with ol.context(lm=lm, adapter=ol.Chat(reasks=0)):
        out = ol.TreeSearch(Ask, n=4, reward=is_right, branch=1)(question="x")
    assert all(one.ok for one in out.outcome.attempts)


def test_siblings_are_independent_draws(sim: Any) -> None:
    lm = sim(guess(0.0))
    with ol.context(lm=lm):
        out = ol.TreeSearch(Ask, n=3, reward=is_right, branch=3, depth=1)(question="x")
    assert len({one.result.number for one in out.outcome.attempts}) == 3


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"n": 0}, "n="),
        ({"n": True}, "n="),
        ({"n": 3, "method": "dfs"}, "method"),
        ({"n": 3, "branch": 0}, "branch"),
        ({"n": 3, "explore": -1}, "explore"),
        ({"n": 3, "explore": float("nan")}, "explore"),
        ({"n": 3, "threshold": "high"}, "threshold"),
        ({"n": 3, "budget": 5}, "budget"),
        ({"n": 3, "reward": 3}, "reward"),
        ({"n": 3, "reward": lambda a, b, c: 1}, "reward"),
    ],
)
def test_bad_options_are_refused_at_once(options: dict[str, Any], named: str) -> None:
    given: dict[str, Any] = {"reward": is_right, **options}
    with pytest.raises(UsageError, match=named):
        ol.TreeSearch(Ask, **given)
    with pytest.raises(UsageError, match=named):
        ol.TreeSearch(**given)


def test_a_program_without_a_signature_is_refused() -> None:
    class Own(ol.Module):
        part = ol.Predict(Ask)

        def forward(self, question: str) -> Any:
            return self.part(question=question)

    with pytest.raises(SignatureError, match="BestOfN"):
        ol.TreeSearch(Own(), n=3, reward=is_right)


def test_draws_that_cannot_differ_are_refused() -> None:
    with pytest.raises(UsageError, match="temperature=0"):
        ol.TreeSearch(ol.Predict(Ask, temperature=0), n=3, reward=is_right)
