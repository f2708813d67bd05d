from __future__ import annotations

from typing import Any

import pytest

import outlast as ol
from outlast.data.example import id_of
from outlast.messages import Response, ToolCall
from outlast.optimize.demos import bootstrapped_demos, example_of
from outlast.optimize.ledger import Ledger
from outlast.optimize.setting import split_data
from outlast.optimize.study import Study
from outlast.runtime import run_blocking, running
from outlast.testing import ScriptedLM
from outlast.testing.contracts import check_optimizer
from outlast.testing.world import Triage, World, right
from outlast.types import Label


class Reasoned(ol.Module):
    route = ol.ChainOfThought("message -> team: Literal['billing', 'cards', 'transfers', 'identity']")

    async def forward(self, message: str) -> Any:
        return await self.route.acall(message=message)


def search(optimizer: Any, *, seed: int = 0, world: World | None = None, program: Any = None, lm: Any = None):
    """Run a search on a fresh study in memory; gives winner, study, model."""
    world = world or World(examples=80)
    parts = split_data(world.data(), 0)
    lm = lm or world.lm()

    async def run():
        study = Study(
            program or Triage(),
            right,
            train=parts["train"],
            select=parts["select"],
            ledger=Ledger(None, {}),
            seed=seed,
        )
        with running(lm=lm), study.stage("search"):
            return await optimizer.search(study), study

    winner, study = run_blocking(run)
    return winner, study, lm


def demos(study: Study, candidate: Any) -> dict[str, Any]:
    return {path: value for path, value in candidate.changes.items() if path.endswith("demos")}


@pytest.mark.parametrize(
    "optimizer",
    [
        ol.RandomSearch(candidates=4),
        ol.RandomSearch(candidates=3, bootstrap=False),
        ol.BootstrapFewShot(),
        ol.LabeledFewShot(k=4),
        ol.LabeledFewShot(k=4, cover=True),
        ol.KNNFewShot(k=2),
        ol.KNNFewShot(k=(1, 3)),
    ],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_the_built_in_optimizers_keep_the_contract(optimizer: Any):
    check_optimizer(optimizer)


class Cheat(ol.Optimizer):
    """Breaks one rule of the contract, by name."""

    def __init__(self, rule: str) -> None:
        self.rule = rule
        self.ran = 0

    def rollouts(self, train: int, select: int) -> int:
        return 1 if self.rule == "costs" else train + select

    async def search(self, study: Study) -> Any:
        self.ran += 1
        examples = list(study.train)
        if self.rule == "random":
            text = f"Try number {self.ran}"
        else:
            text = "Think."
        if self.rule == "leak":
            found = ol.LabeledFewShot(k=2)
            object.__setattr__(study, "train", study.select)
            winner = await found.search(study)
            object.__setattr__(study, "train", tuple(examples))
            return winner
        one = study.propose({"route.instruction": text}, origin="by hand")
        try:
            await study.evaluate(one, examples[:5] if self.rule != "select" else examples)
        except ol.OutlastError:
            if self.rule != "budget":
                raise
        if self.rule == "again":
            await study.evaluate(one, examples, sample=self.ran)
        return one if self.rule != "foreign" else "route.instruction"


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("costs", "promises at most 1"),
        ("random", "resume is free"),
        ("leak", "no training example"),
        ("again", "resume is free"),
        ("budget", "let BudgetExceeded pass"),
        ("foreign", "gives a Candidate"),
    ],
)
def test_the_contract_names_the_rule_that_an_optimizer_breaks(rule: str, says: str):
    with pytest.raises(AssertionError, match=says):
        check_optimizer(Cheat(rule))


def test_the_contract_accepts_an_honest_optimizer_of_somebody_else():
    check_optimizer(Cheat("none"))


def test_labelled_demos_come_from_training_examples_and_say_which():
    winner, study, lm = search(ol.LabeledFewShot(k=5))
    train = {id_of(example): example for example in study.train}
    assert lm.calls == 0
    assert set(winner.changes) == {"route.demos", "rate.demos"}
    for path, some in winner.changes.items():
        assert len(some) == 5
        for demo in some:
            example = train[example_of(demo)]
            assert demo.values["message"] == example.message
            assert demo.values["team"] == example.team
            assert ("urgent" in demo.values) == (path == "rate.demos")


@pytest.mark.parametrize("optimizer", [ol.LabeledFewShot(k=4), ol.BootstrapFewShot(), ol.RandomSearch(candidates=3)])
def test_the_same_seed_gives_the_same_result_and_another_seed_another(optimizer: Any):
    zero, one = search(optimizer, seed=0)[0], search(optimizer, seed=1)[0]
    assert zero == search(optimizer, seed=0)[0]
    assert zero != one


def test_random_search_draws_other_sets_for_another_seed():
    _, first, _ = search(ol.RandomSearch(candidates=6), seed=0)
    _, second, _ = search(ol.RandomSearch(candidates=6), seed=7)
    assert set(first.candidates) & set(second.candidates) == {"start"}


def test_bootstrapped_demos_are_answers_that_passed_of_a_teacher_that_was_not_shown_them():
    winner, study, _ = search(ol.BootstrapFewShot(max_bootstrapped=3, max_demos=5, max_labeled_teacher=6))
    train = {id_of(example): example for example in study.train}
    teacher = next(c for c in study.candidates.values() if c.origin.startswith("teacher"))
    shown = {example_of(demo) for demo in teacher.changes["route.demos"]}
    assert len(shown) == 6
    for path in ("route.demos", "rate.demos"):
        some = winner.changes[path]
        assert len(some) == 5
        made = [demo for demo in some if "answered by" in demo.source]
        assert len(made) == 3
        assert len({example_of(demo) for demo in some}) == 5
        for demo in made:
            assert example_of(demo) not in shown
            assert demo.source.endswith(f"answered by candidate {teacher.id}")
            assert demo.values["team"] == train[example_of(demo)].team


def test_bootstrapping_keeps_the_reasoning_of_the_steps():
    def answer(messages: Any) -> str:
        team = "billing" if "billing" in messages[-1].text else "cards"
        return f"<<reasoning>>\nIt says {team}.\n\n<<team>>\n{team}\n\n<<end>>"

    rows = [ol.Example({"message": f"{t} {i}"}, {"team": t}) for i in range(60) for t in ("billing", "cards")]
    world = ol.Dataset(rows)
    parts = split_data(world, 0)

    async def run():
        study = Study(
            Reasoned(),
            lambda example, out: example.team == out.team,
            train=parts["train"],
            select=parts["select"],
            ledger=Ledger(None, {}),
        )
        with running(lm=ol.testing.ScriptedLM(answer)), study.stage("search"):
            return await ol.BootstrapFewShot().search(study)

    import outlast.testing  # noqa: F401

    winner = run_blocking(run)
    made = [demo for demo in winner.changes["route.demos"] if "answered by" in demo.source]
    assert made
    assert all(demo.values["reasoning"].startswith("It says") for demo in made)
    rest = [demo for demo in winner.changes["route.demos"] if "answered by" not in demo.source]
    assert rest
    assert all("reasoning" not in demo.values for demo in rest)  # partial


def test_a_teacher_answers_with_its_own_model_and_its_student_is_shown_the_answers():
    strong = World(examples=80, base=1.0).lm(name="strong")
    weak = World(examples=80, base=0.0, gain=0.0).lm(name="weak")
    teacher = ol.update(Triage(), {"route.lm": strong, "rate.lm": strong})
    winner, study, _ = search(ol.BootstrapFewShot(teacher=teacher, max_demos=4), lm=weak)
    assert strong.calls > 0
    assert weak.calls == 0
    assert [demo.source.split()[-1] for demo in winner.changes["route.demos"]] == [
        c.id for c in study.candidates.values() if c.origin == "the teacher given"
    ] * 4
    assert ol.parameters(study.build(winner))["route.lm"] is None


def test_a_teacher_of_another_strategy_gives_the_fields_that_the_student_has():
    class Student(ol.Module):
        route = ol.Predict("message -> team")

        async def forward(self, message: str) -> Any:
            return await self.route.acall(message=message)

    class Teacher(ol.Module):
        route = ol.ChainOfThought("message -> team")

        async def forward(self, message: str) -> Any:
            return await self.route.acall(message=message)

    from outlast.testing import ScriptedLM

    lm = ScriptedLM(lambda messages: "<<reasoning>>\nhm\n\n<<team>>\ncards\n\n<<end>>")
    rows = [ol.Example({"message": f"m{i}"}, {"team": "cards"}) for i in range(90)]
    parts = split_data(rows, 0)

    async def run():
        study = Study(
            Student(),
            lambda example, out: example.team == out.team,
            train=parts["train"],
            select=parts["select"],
            ledger=Ledger(None, {}),
        )
        with running(lm=lm), study.stage("search"):
            return await ol.BootstrapFewShot(teacher=Teacher(), max_demos=4).search(study)

    winner = run_blocking(run)
    assert {frozenset(demo.values) for demo in winner.changes["route.demos"]} == {frozenset({"message", "team"})}


def test_graded_answers_become_demos_from_the_threshold_on():
    world = World(examples=80)
    parts = split_data(world.data(), 0)

    def graded(example: Any, out: Any) -> float:
        return 0.8 if right(example, out) else 0.2

    def made(threshold: float) -> int:
        async def run():
            study = Study(Triage(), graded, train=parts["train"], select=parts["select"], ledger=Ledger(None, {}))
            with running(lm=world.lm()), study.stage("search"):
                return await ol.BootstrapFewShot(threshold=threshold).search(study)

        return sum("answered by" in demo.source for demo in run_blocking(run).changes["route.demos"])

    assert made(1.0) == 0
    assert made(0.8) == 4


def test_a_teacher_without_modules_at_the_same_paths_is_refused():
    with pytest.raises(ol.OutlastError, match="at the paths of the student"):
        search(ol.BootstrapFewShot(teacher=ol.Predict("question -> answer")))


def test_demos_written_by_hand_stay_in_front_and_those_of_an_earlier_compile_are_replaced():
    by_hand = ol.Demo({"message": "hello", "team": "cards"}, "hand")
    earlier = ol.Demo({"message": "old", "team": "cards"}, "example 0123 answered by candidate 9")
    program = ol.update(Triage(), {"route.demos": [by_hand, earlier]})
    winner, _, _ = search(ol.LabeledFewShot(k=3), program=program)
    some = winner.changes["route.demos"]
    assert some[0] == by_hand
    assert len(some) == 4
    assert earlier not in some


def test_predictors_without_labels_in_the_data_keep_what_they_have():
    class Hidden(ol.Module):
        think = ol.Predict("message -> thought")
        route = ol.Predict("message, thought -> team")

        async def forward(self, message: str) -> Any:
            thought = (await self.think.acall(message=message)).thought
            return await self.route.acall(message=message, thought=thought)

    winner, _, _ = search(ol.LabeledFewShot(k=3), program=Hidden())
    assert set(winner.changes) == {"route.demos"}
    assert all(set(demo.values) == {"message", "team"} for demo in winner.changes["route.demos"])


def test_demos_of_one_example_stay_together_over_all_predictors():
    _, study, _ = search(ol.RandomSearch(candidates=8))
    for candidate in study.candidates.values():
        if candidate.origin.startswith("set"):
            route, rate = candidate.changes["route.demos"], candidate.changes["rate.demos"]
            assert [example_of(demo) for demo in route] == [example_of(demo) for demo in rate]
            assert len({example_of(demo) for demo in route}) == len(route)
            assert len(route) <= 64


def test_random_search_finds_a_better_prompt_where_there_is_one():
    world = World(examples=200, base=0.3, gain=0.6)
    winner, study, lm = search(ol.RandomSearch(candidates=8), world=world)
    assert study.tally(winner).mean > study.tally(study.start).mean + 0.2
    assert len(winner.changes["route.demos"]) >= 3


def test_a_demo_made_of_a_rollout_carries_the_label_of_its_prompt():
    world = World(examples=80, base=1.0)
    parts = split_data(world.data(), 0)
    label = Label(frozenset({"mail"}))

    async def run():
        study = Study(Triage(), right, train=parts["train"], select=parts["select"], ledger=Ledger(None, {}))
        with running(lm=world.lm(), label=label), study.stage("search"):
            return await ol.BootstrapFewShot(max_demos=4).search(study)

    winner = run_blocking(run)
    assert {demo.label for demo in winner.changes["route.demos"]} == {label}


@pytest.mark.parametrize(
    "make",
    [
        lambda: ol.LabeledFewShot(k=0),
        lambda: ol.BootstrapFewShot(max_demos=0),
        lambda: ol.RandomSearch(candidates=0),
        lambda: ol.RandomSearch(max_labeled_teacher=-1),
    ],
)
def test_options_that_mean_nothing_are_refused(make: Any):
    with pytest.raises(ol.OutlastError):
        make()


def test_a_description_is_the_same_in_every_process_and_holds_no_secret():
    class Keyed(ol.LM):
        name = "keyed"

        def __repr__(self) -> str:
            return "Keyed(sk-secret)"

        async def complete(self, request: Any) -> Any:
            raise NotImplementedError

    teacher = ol.update(Triage(), {"route.lm": Keyed()})
    text = repr(ol.RandomSearch(teacher=teacher).describe())
    assert "Triage" in text
    assert "sk-secret" not in text
    assert " at 0x" not in text


def test_turns_of_an_agent_that_call_tools_make_no_demonstrations() -> None:
    def look(city: str) -> str:
        """The weather."""
        return "warm"

    def reply(messages: Any) -> Any:
        called = any(message.role == "tool" for message in messages)
        call = ToolCall("1", "look", '{"city": "Bern"}')
        return {"warm": True} if called else Response(text="", tool_calls=(call,))

    examples = [ol.Example({"question": str(n)}, {"warm": True}) for n in range(20)]
    agent = ol.ReAct("question -> warm: bool", tools=[look])

    async def run() -> Any:
        study = Study(
            agent,
            lambda example, out: out.warm == example.warm,
            train=ol.Dataset(examples[:10]),
            select=ol.Dataset(examples[10:]),
            ledger=Ledger(None, {}),
            seed=0,
        )
        return await bootstrapped_demos(study, study.start, study.train)

    lm = ScriptedLM(reply, capabilities=ol.Capabilities(tools=True))
    with running(lm=lm):
        found = run_blocking(run)
    assert len(found) == 10
    assert all(demos[""].values == {"question": str(n), "warm": True} for n, demos in enumerate(found))
