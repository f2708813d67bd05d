"""What an optimizer cannot do on a program, or has nothing to do for, is found before anything is paid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.optimize.studies import Paint, Pick, knows, matches, study_of, things
from tests.optimize.test_little_to_do import Table

import outlast as ol
from outlast.errors import OutlastError, PathError, UsageError
from outlast.optimize.proposers import RewriteInstruction
from outlast.testing import ScriptedLM


class Dial(ol.Module):
    """A program with numbers and a choice."""

    limit = ol.param(ol.Int(0, 4, start=2))
    pick = ol.Predict("thing -> colour: str", instruction="Pick a colour.")

    async def forward(self, thing: str) -> Any:
        return await self.pick.acall(thing=thing)


def refused(optimizer: Any, program: ol.Module, kind: type[OutlastError] = UsageError, **options: Any) -> str:
    """The message, which came before any call."""
    lm = ScriptedLM(knows)
    data = things(80, name="text" if isinstance(program, Paint) else "thing")
    options.setdefault("lm", lm)
    with pytest.raises(kind) as caught:
        ol.compile(program, data, matches, optimizer=optimizer, study=False, progress=False, **options)
    assert lm.calls == 0
    return str(caught.value)


@pytest.mark.parametrize(
    ("space", "kind", "said"),
    [
        ({"pick.instructions": ["a", "b"]}, PathError, r"no parameter 'pick.instructions'.* 'pick.instruction'"),
        ({"pick.settings.temprature": ol.Float(0, 1)}, PathError, r"'pick.settings.temprature'.*temperature"),
        ({"limits": ol.Int(0, 3)}, PathError, r"'limits'.*'limit'"),
        ({"pick.adapter": ["Chat"]}, UsageError, r"'Chat' cannot stand at 'pick.adapter'"),
        ({"pick.settings.temperature": ["warm"]}, UsageError, r"'warm' cannot stand at 'pick.settings.temperature'"),
        ({"limit": ol.Int(0, 30)}, UsageError, r"30 cannot stand at 'limit'"),
        ({"limit": [1, "two"]}, UsageError, r"'two' cannot stand at 'limit'"),
        ({"pick.instruction": [7]}, UsageError, r"7 cannot stand at 'pick.instruction'"),
    ],
)
def test_a_space_that_the_program_does_not_have_costs_nothing(space: Any, kind: Any, said: str):
    import re

    assert re.search(said, refused(ol.SpaceSearch(space), Dial(), kind))


@pytest.mark.parametrize(
    ("strategies", "kind", "said"),
    [
        ({"pik": [ol.ChainOfThought()]}, PathError, "'pick"),
        ({"pick.pick": [ol.ChainOfThought()]}, PathError, "'pick.pick.strategy'"),
    ],
)
def test_a_strategy_for_no_place_costs_nothing(strategies: Any, kind: Any, said: str):
    assert said in refused(ol.StrategySearch(strategies), Dial(), kind)


@pytest.mark.parametrize(
    "optimizer",
    [
        ol.SpaceSearch({"pick.settings.temperature": ol.Float(0, 1)}),
        ol.StrategySearch({"pick": [ol.ChainOfThought()]}),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_locked_place_in_a_space_costs_nothing(optimizer: Any):
    assert "'pick" in refused(optimizer, Dial(), lock=["pick"])
    assert "locked" in refused(optimizer, Dial(), lock=["pick"])


EVERY = [
    ol.Auto(),
    ol.Auto(operators=[ol.ReflectEdit()]),
    ol.COPRO(),
    ol.OPRO(),
    ol.MIPRO(sampler="own"),
    ol.GEPA(),
    ol.TextGrad(),
    ol.InferRules(),
    ol.CAPO(),
    ol.SIMBA(),
    ol.BootstrapFewShot(),
    ol.LabeledFewShot(),
    ol.KNNFewShot(),
    ol.RandomSearch(),
    ol.Committee(),
    ol.Committee(ol.LabeledFewShot()),
    ol.ParamSearch(),
    ol.SpaceSearch(),
    ol.StructureSearch(),
]
every = pytest.mark.parametrize("optimizer", EVERY, ids=lambda one: type(one).__name__)


@every
def test_a_program_that_is_locked_whole_costs_nothing(optimizer: Any):
    said = refused(optimizer, Paint(), lock=["read", "pick"])
    assert "changes" in said or "space" in said


@every
def test_a_program_without_anything_for_an_optimizer_costs_nothing(optimizer: Any):
    said = refused(optimizer, Table(), lm=None) if optimizer != ol.Auto(operators=[ol.ReflectEdit()]) else "Table"
    assert "Table has none" in said or "space" in said or said == "Table"


def test_what_is_locked_and_what_is_free_is_told():
    said = refused(ol.COPRO(), Pick(), lock=["pick.instruction"])
    assert "COPRO changes texts, and Pick has none that may change" in said
    assert "Locked: pick.instruction. Free: pick.strategy, " in said
    assert "pick.demos" in said


def test_demonstrations_that_the_labels_do_not_make_cost_nothing():
    data = [ol.Example({"thing": f"thing {n}"}, {"paint": "red"}) for n in range(80)]
    lm = ScriptedLM(knows)
    for optimizer in (ol.LabeledFewShot(), ol.BootstrapFewShot(max_bootstrapped=0), ol.RandomSearch(bootstrap=False)):
        with pytest.raises(UsageError, match="changes demonstrations"):
            ol.compile(
                Pick(), data, lambda e, o: True, optimizer=optimizer, lm=lm, study=False, progress=False
            )  # fmt: skip
    assert lm.calls == 0


def test_a_pool_whose_choice_is_locked_is_refused_and_one_beside_it_is_filled():
    assert "which of them are shown" in refused(ol.KNNFewShot(), Pick(), lock=["pick.shown"])
    found = ol.compile(
        Paint(),
        [ol.Example({"text": f"thing {n}"}, {"thing": f"thing {n}", "colour": "red"}) for n in range(80)],
        matches,
        optimizer=ol.KNNFewShot(),
        lm=ScriptedLM(knows),
        lock=["read.shown"],
        study=False,
        progress=False,
    )
    assert set(found.report.candidate.changes) == {"pick.demos", "pick.shown"}


def test_nothing_to_prune_costs_nothing():
    lm = ScriptedLM(knows)
    with pytest.raises(UsageError, match="prune leaves out lines and demonstrations, and Pick has no"):
        ol.prune(Pick(), things(80), matches, lm=lm, study=False, progress=False)
    assert lm.calls == 0


def test_an_optimizer_of_ones_own_is_asked_and_needs_no_check():
    class Mine(ol.Optimizer):
        def rollouts(self, train: int, select: int) -> int:
            return 0

        async def search(self, study: ol.Study) -> ol.Candidate:
            return study.start

    class Picky(Mine):
        def check(self, study: ol.Study) -> None:
            raise UsageError(f"not for {type(study.program).__name__}")

    assert "Mine changes parameters" in refused(Mine(), Pick(), lock=["pick"])
    assert refused(Picky(), Pick()) == "not for Pick"
    found = ol.compile(
        Pick(), things(80), matches, optimizer=Mine(), lm=ScriptedLM(knows), study=False, progress=False
    )  # fmt: skip
    assert found.report.verdict.word == "inconclusive"


def test_checking_a_change_proposes_nothing():
    study = study_of(Pick())
    study.check({"pick.instruction": "Say red."})
    with pytest.raises(PathError, match="'pick.instructio'"):
        study.check({"pick.instructio": "Say red."})
    assert list(study.candidates) == ["start"]


class Wrong(ol.Signature):
    """Rewrite."""

    prompt: str = ol.input()
    better: str = ol.output()


class Half(ol.Module):
    """A proposer that takes one of the inputs, and asks for one that nobody gives."""

    async def forward(self, module: str, extra: int, style: str = "plain") -> Any:
        return None


class Whatever(ol.Module):
    """A proposer that takes what comes."""

    async def forward(self, **inputs: str) -> Any:
        return None


PROPOSERS = [
    (ol.COPRO, "vary"),
    (ol.COPRO, "improve"),
    (ol.OPRO, "improve"),
    (ol.MIPRO, "describe_data"),
    (ol.MIPRO, "proposer"),
    (ol.GEPA, "reflect"),
    (ol.TextGrad, "criticize"),
    (ol.TextGrad, "apply"),
    (ol.InferRules, "induce"),
    (ol.CAPO, "vary"),
    (ol.CAPO, "combine"),
    (ol.SIMBA, "advise"),
    (ol.ReflectEdit, "proposer"),
]


@pytest.mark.parametrize(("kind", "option"), PROPOSERS, ids=lambda one: getattr(one, "__name__", one))
def test_a_proposer_that_cannot_take_what_it_is_given_is_refused(kind: Any, option: str):
    with pytest.raises(
        UsageError, match=rf"^{kind.__name__}\({option}=\.\.\.\) stands for .*Predict\(Wrong\)"
    ) as caught:
        kind(**{option: ol.Predict(Wrong)})
    assert "needs the input 'prompt'; does not give the output" in str(caught.value)
    assert kind(**{option: Whatever()})


def test_the_inputs_of_a_proposer_with_its_own_forward_are_looked_at_too():
    with pytest.raises(UsageError, match="does not take the inputs 'instruction', 'episodes'; needs the input 'extra'"):
        ol.GEPA(reflect=Half())
    with pytest.raises(UsageError, match=r"BestOfN\(.* does not take the inputs 'module', 'instruction', 'episodes'"):
        ol.GEPA(reflect=ol.BestOfN(Wrong, n=2, reward=lambda out: 1.0))
    assert ol.GEPA(reflect=ol.BestOfN(RewriteInstruction, n=2, reward=lambda out: 1.0))


def test_a_budget_that_proves_nothing_leaves_no_file(tmp_path: Path):
    for budget in (ol.Budget(calls=1), ol.Budget(rollouts=1)):
        with pytest.raises(UsageError, match="budget"):
            ol.compile(Pick(), things(80), matches, lm=ScriptedLM(knows), budget=budget, study=tmp_path / "s1.db")
    assert list(tmp_path.iterdir()) == []
