"""Compiling for what costs less: what is chosen, what is proven, what the verdict says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

import outlast as ol
from outlast.errors import UsageError
from outlast.lms.protocol import LM
from outlast.messages import Request, Response, Usage
from outlast.optimize.candidate import Candidate
from outlast.optimize.prefer import choose
from outlast.optimize.study import Study
from outlast.optimize.vectors import Item
from outlast.optimize.verdict import judge, saving_of


class Wordy(LM):
    """Answers the number it is given when the prompt says "echo"; each word costs a token and a hundredth of a cent."""

    blocking_safe = True

    def __init__(self, *, price: float | None = 0.0001, wrong: int = 0) -> None:
        self.name = "wordy"
        self.price = price
        self.wrong = wrong  # of ten, where the prompt does not say "carefully"

    async def complete(self, request: Request) -> Response:
        prompt = "\n".join(message.text for message in request.messages)
        number = int(prompt.rsplit("number", 1)[1].split(">>", 1)[1].split("<<", 1)[0].strip())
        right = "carefully" in prompt or number % 10 >= self.wrong
        words = len(prompt.split())
        usage = Usage(words, 3, cost=None if self.price is None else words * self.price, cost_source="test")
        return Response(f"<<answer>>\n{number if right else -1}\n\n<<end>>", self.name, usage=usage, seconds=0.0)


class Echo(ol.Signature):
    """Give back the number. Please be so kind as to take all the time and all the words in the world for it."""

    number: int = ol.input()
    answer: int = ol.output()


@dataclass(frozen=True)
class Try(ol.Optimizer):
    """Races the start against these instructions."""

    texts: tuple[str, ...]

    def rollouts(self, train: int, select: int) -> int:
        return (len(self.texts) + 1) * select

    async def search(self, study: Study) -> Candidate:
        field = [study.propose({"instruction": text}, origin=text, operator="try") for text in self.texts]
        return (await study.race([study.start, *field]))[0]


def right(example: Any, out: Any) -> bool:
    return out.answer == example.answer


def numbers(n: int) -> list[ol.Example]:
    return [ol.Example({"number": k}, {"answer": k}) for k in range(n)]


def compiled(texts: Sequence[str], prefer: ol.Prefer | str, lm: LM | None = None, n: int = 600, **options: Any) -> Any:
    return ol.compile(
        ol.Predict(Echo),
        numbers(n),
        right,
        optimizer=Try(tuple(texts)),
        prefer=prefer,
        lm=lm or Wordy(),
        study=False,
        progress=False,
        **options,
    )


@pytest.mark.parametrize(
    ("wish", "what"), [("fewest tokens within 3 points", "tokens"), ("cheapest within 3 points", "dollars")]
)
def test_a_shorter_prompt_that_is_as_good_ships_as_no_worse(wish: str, what: str):
    found = compiled(["Echo.", "Echo the number, please, if you would be so kind."], wish)
    verdict = found.report.verdict
    assert verdict.word == "no worse"
    assert not verdict.better
    assert verdict.ships
    assert found.improved
    assert found.program.instruction == "Echo."
    assert verdict.saving.what == what
    assert verdict.saving.proven
    assert verdict.saving.winner < verdict.saving.start
    assert "No loss beyond the 3 points that were allowed" in verdict.reason
    record = found.report.record
    assert record["kept"] == "winner"
    assert record["search"]["prefer"] == wish
    assert record["result"]["saving"]["proven"] is True
    assert record["front"]["cost"] == what
    assert {spot["id"] for spot in record["front"]["candidates"] if spot["front"]} == {found.report.candidate.id}


def test_without_the_wish_nothing_ships_for_being_shorter():
    found = compiled(["Echo."], "best")
    assert not found.improved
    assert found.report.verdict.saving is None
    assert found.report.record["front"]["cost"] == "dollars"


def test_what_is_better_ships_although_it_costs_more_than_the_start():
    found = compiled(
        ["Echo. Be careful and work carefully at it. " * 9, "Echo carefully. " * 9],
        "fewest tokens within 1 point",
        Wordy(wrong=3),
    )
    assert found.report.verdict.word == "better"
    assert found.program.instruction == "Echo carefully. " * 9  # the shorter of two that are as good
    assert "%" in found.report.verdict.reason


def test_too_few_examples_to_prove_that_nothing_is_lost_ship_nothing_and_say_how_many_would_do():
    found = compiled(["Echo."], "fewest tokens within 1 point", n=200)
    assert found.report.verdict.word == "inconclusive"
    assert not found.improved
    assert "About 381 held-out examples would tell" in found.report.verdict.reason


def test_the_start_is_kept_when_it_is_the_shortest():
    found = compiled(["Echo the number. " * 30], "fewest tokens within 1 point")
    assert found.program == found.start
    assert "nothing that is fewest tokens within 1 point of the best but the program as it is" in str(found.report)


def test_unknown_prices_are_told_before_much_is_paid():
    lm = Wordy(price=None)
    with pytest.raises(UsageError, match="needs prices, and that of wordy is not known; say 'fewest tokens"):
        compiled(["Echo."], "cheapest within 1 point", lm)


def test_a_margin_beside_the_wish_is_refused():
    with pytest.raises(UsageError, match="brings its own margin"):
        compiled(["Echo."], "cheapest within 1 point", margin=0.1)


def test_batches_do_not_tell_time():
    with pytest.raises(UsageError, match="batches do not tell"):
        compiled(["Echo."], "fastest within 1 point", transport="batch")


def items(scores: Sequence[float], tokens: float) -> dict[str, Item]:
    return {str(number): Item(score, 0.0, 0.0, tokens) for number, score in enumerate(scores)}


def test_the_choice_takes_the_cheapest_within_the_margin_of_the_best():
    field = {
        "best": items([1.0] * 95 + [0.0] * 5, 500),
        "near": items([1.0] * 94 + [0.0] * 6, 200),
        "far": items([1.0] * 90 + [0.0] * 10, 50),
    }
    assert choose(field, "best", ol.Prefer("tokens", 1)) == "near"
    assert choose(field, "best", ol.Prefer("tokens", 5)) == "far"
    assert choose(field, "best", ol.Prefer("tokens", 0.5)) == "best"
    assert choose(field, "best", ol.Prefer()) == "best"


def test_a_proven_small_loss_within_the_margin_is_no_worse_and_says_so():
    start, winner = [1.0] * 5000, [1.0] * 4950 + [0.0] * 50
    saving = saving_of("tokens", [100.0] * 5000, [50.0] * 5000, level=0.95, seed=0)
    found = judge(start, winner, level=0.95, margin=0.03, seed=0, saving=saving)
    assert found.word == "no worse"
    assert "-1.0 points" in found.reason
    assert found.ships
    assert judge(start, winner, level=0.95, margin=0.03, seed=0).word == "worse"  # nobody asked for a trade


def test_no_worse_without_a_proven_saving_ships_nothing():
    same = [1.0] * 500
    found = judge(
        same, same, level=0.95, margin=0.05, seed=0, saving=saving_of("tokens", same, same, level=0.95, seed=0)
    )
    assert found.word == "no worse"
    assert not found.ships
    assert "not proven to take less" in found.reason
