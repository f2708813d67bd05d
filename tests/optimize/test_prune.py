"""Leaving out what does not help."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.adapters.protocol import Demo
from outlast.errors import UsageError
from outlast.lms.protocol import LM
from outlast.messages import Request, Response, Usage
from outlast.optimize.ledger import Ledger
from outlast.optimize.operators.prune import Prune, grouped, spots_of
from outlast.optimize.study import Study

USEFUL = ("Know the ones.", "Know the twos.", "Know the threes.")
IDLE = ("Be nice to everybody.", "The weather may change, so take a coat.", "Think of the children.")


class Digits(LM):
    """Answers right when the prompt names the last digit; every word is a token."""

    blocking_safe = True
    name = "digits"

    def __init__(self) -> None:
        self.calls = 0

    async def complete(self, request: Request) -> Response:
        self.calls += 1
        prompt = "\n".join(message.text for message in request.messages)
        number = int(prompt.rsplit("number", 1)[1].split(">>", 1)[1].split("<<", 1)[0].strip())
        known = ("zeros", "ones", "twos", "threes")[number % 4]
        text = number if known in prompt else -1
        usage = Usage(len(prompt.split()), 1, cost=0.0, cost_source="test")
        return Response(f"<<answer>>\n{text}\n\n<<end>>", self.name, usage=usage)


class Echo(ol.Signature):
    """Give back the number; know the zeros."""

    number: int = ol.input()
    answer: int = ol.output()


def right(example: Any, out: Any) -> bool:
    return out.answer == example.answer


def numbers(n: int = 600) -> list[ol.Example]:
    return [ol.Example({"number": k}, {"answer": k}) for k in range(n)]


def program(*lines: str, demos: int = 0) -> Any:
    text = "\n".join(["Give back the number; know the zeros.", *lines])
    shown = tuple(Demo({"number": k, "answer": k}, "by hand") for k in range(demos))
    return ol.update(ol.Predict(Echo), {"instruction": text, "demos": shown})


def pruned(given: Any, **options: Any) -> ol.Pruned[Any]:
    options = {"lm": Digits(), "study": False, "progress": False, "within": 3, **options}
    return ol.prune(given, numbers(), right, **options)


def test_what_does_not_help_goes_and_what_helps_stays_with_a_proof():
    found = pruned(program(*USEFUL, *IDLE))
    assert found.improved
    assert found.program.instruction.split("\n") == ["Give back the number; know the zeros.", *USEFUL]
    assert found.compiled.report.verdict.word == "no worse"
    assert found.compiled.report.verdict.saving.what == "tokens"  # type: ignore[union-attr]
    assert {effect.text for effect in found.effects if effect.dropped} == set(IDLE)
    assert {effect.text for effect in found.effects} == {*USEFUL, *IDLE}
    useful = next(effect for effect in found.effects if effect.text == USEFUL[0])
    assert useful.effect is not None
    assert useful.effect.difference == pytest.approx(-0.25, abs=0.2)
    assert useful.effect.n < 100  # clearly useful, so it was measured no further
    idle = next(effect for effect in found.effects if effect.text == IDLE[1])
    assert idle.effect is not None
    assert idle.effect.difference == 0
    assert idle.tokens == len(IDLE[1].split())


def test_the_lines_of_the_signature_stay():
    found = pruned(program(*IDLE))
    assert found.compiled.winner.instruction == "Give back the number; know the zeros."
    assert all("zeros" not in effect.text for effect in found.effects)


def test_demonstrations_go_as_well():
    found = pruned(program(*USEFUL, demos=4))
    assert found.program.demos == ()
    assert found.program.instruction.count("Know") == 3
    assert sum(effect.path == "demos" for effect in found.effects) == 4


def test_what_is_locked_stays():
    found = pruned(program(*USEFUL, *IDLE, demos=2), lock=["instruction"])
    assert found.program.instruction.count("\n") == 6
    assert found.program.demos == ()


def test_of_a_pool_fewer_are_shown_and_no_entry_is_left_out():
    lm = Digits()
    given = ol.update(program(demos=40), {"shown": ol.Nearest(8)})
    found = pruned(given, lm=lm)
    assert [effect.path for effect in found.effects] == ["shown"] * 3
    assert {effect.text.split(" ")[0] for effect in found.effects} == {"4", "2", "1"}
    assert all(effect.tokens > 0 for effect in found.effects)
    assert all(effect.dropped for effect in found.effects)
    assert found.improved
    assert (len(found.program.demos), found.program.shown) == (40, ol.Nearest(1))
    assert "4 of the 8 demonstrations that a call shows" in str(found)


def test_a_pool_that_holds_all_training_examples_can_be_shown_less_of():
    knn = ol.compile(
        ol.Predict(Echo), numbers(), right, optimizer=ol.KNNFewShot(k=4), lm=Digits(), study=False, progress=False
    )
    found = pruned(knn.winner)
    assert knn.winner.shown == ol.Nearest(4)
    assert found.compiled.winner.shown == ol.Nearest(1)
    assert found.compiled.winner.demos == knn.winner.demos


def test_nothing_to_prune_is_no_gain():
    with pytest.raises(UsageError, match="prune leaves out lines and demonstrations, and Predict has no"):
        pruned(ol.Predict(Echo))
    found = pruned(program(*USEFUL))
    assert not found.improved
    assert not any(effect.dropped for effect in found.effects)


def test_a_length_budget_drops_what_helps_least_for_its_tokens_and_the_proof_says_what_that_cost():
    whole = pruned(program(*USEFUL, *IDLE))
    tokens = whole.compiled.report.record["front"]["candidates"]
    least = min(spot["tokens"] for spot in tokens)
    short = pruned(program(*USEFUL, *IDLE), most_tokens=round(least) - 2)
    assert short.compiled.winner.instruction.count("Know") == 2
    assert short.compiled.report.verdict.word == "worse"
    assert short.program == short.compiled.start


def test_a_compiled_program_is_taken_and_its_record_explains_the_effects(tmp_path: Path):
    found = pruned(program(*USEFUL, *IDLE))
    path = found.compiled.save(tmp_path / "x.outlast.json")
    parts = {part.text: part.alone for part in ol.explain(path).parts if part.kind == "line"}
    alone = parts[USEFUL[1]]
    assert alone is not None
    assert alone.difference < 0
    assert parts["Give back the number; know the zeros."] is None
    assert "without it alone:" in str(ol.explain(path))
    again = pruned(found.compiled)
    assert again.compiled.start == found.program
    assert not again.improved


def test_nothing_is_paid_twice(tmp_path: Path):
    first, second = Digits(), Digits()
    one = pruned(program(*USEFUL, *IDLE), study=tmp_path / "s.db", lm=first)
    two = pruned(program(*USEFUL, *IDLE), study=tmp_path / "s.db", lm=second)
    assert first.calls > 0
    assert second.calls == 0
    assert one.program == two.program
    assert one.effects == two.effects


def test_a_budget_that_ends_keeps_the_program():
    found = pruned(program(*USEFUL, *IDLE), budget=ol.Budget(calls=700))
    assert found.program == found.compiled.start or found.improved
    assert found.compiled.report.stopped


async def test_it_runs_in_async_code_too():
    found = await ol.aprune(
        program(*USEFUL, *IDLE), numbers(), right, within=3, lm=Digits(), study=False, progress=False
    )
    assert found.improved
    assert "dropped" in str(found)


def test_many_parts_are_left_out_in_groups_of_one_parameter():
    spots = [("instruction", 1), *(("demos", place) for place in range(40))]
    groups = grouped(spots, 10)
    assert len(groups) <= 11
    assert [spot for group in groups for spot in group] == spots
    assert all(len({path for path, _ in group}) == 1 for group in groups)
    assert grouped(spots[:5], 10) == [(spot,) for spot in spots[:5]]


def test_one_line_is_nothing_to_prune():
    data = numbers(40)
    study = Study(ol.Predict(Echo), right, train=data[:20], select=data[20:], ledger=Ledger(None, {}))
    assert spots_of(study, study.start) == []
    assert not Prune().applies(study, study.start)


@pytest.mark.parametrize("options", [{"within": -1}, {"within": "2"}, {"most_tokens": 0}, {"most_parts": 1.5}])
def test_bad_options_are_refused(options: dict[str, Any]):
    with pytest.raises(UsageError, match="Prune"):
        Prune(**options)
