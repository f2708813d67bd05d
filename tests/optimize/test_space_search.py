"""Searching numbers and choices: what is drawn, what it finds, how it resumes, what it refuses."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from random import Random
from typing import Any

import pytest
from tests.optimize.studies import COLOURS, Pick, matches, study_of, things, within

import outlast as ol
from outlast.errors import ConfigError, PathError, UsageError
from outlast.lms.protocol import LM
from outlast.messages import Request, Response, Settings
from outlast.optimize import space_search
from outlast.optimize.space_search import OptunaDraws, RandomDraws, SpaceSearch, placed

HOT = "pick.settings.temperature"


class Kettle(LM):
    """A model that is right most often at one temperature: 0.9 there, and less with the distance from it."""

    blocking_safe = True
    name = "kettle"

    def __init__(self, best: float = 0.4) -> None:
        self.best = best
        self.calls = 0

    async def complete(self, request: Request) -> Response:
        self.calls += 1
        temperature = request.settings.temperature
        number = int(re.findall(r"thing (\d+)", request.messages[-1].text)[-1])
        chance = 0.2 if temperature is None else max(0.1, 0.95 - 1.0 * abs(temperature - self.best))
        draw = hashlib.blake2b(f"{number} {temperature} {request.sample}".encode(), digest_size=4).digest()
        right = int.from_bytes(draw) / 2**32 < chance
        colour = COLOURS[number % 4] if right else "none"
        return Response(f'{{"colour": "{colour}"}}', self.name)


def found(seed: int, **options: Any) -> float:
    study = study_of(Pick(), train=4, select=40, seed=seed)
    search = SpaceSearch({HOT: ol.Float(0, 2)}, trials=16, **options)
    best = within(study, lambda: search.search(study), Kettle())
    return best.changes["pick.settings"].temperature


@pytest.mark.parametrize("sampler", ["optuna", "random"])
def test_the_temperature_that_matters_is_found(sampler: Any) -> None:
    assert [abs(found(seed, sampler=sampler) - 0.4) < 0.3 for seed in range(2)] == [True] * 2


def test_the_sampler_that_learns_asks_more_often_where_it_is_good() -> None:
    near: dict[str, int] = {}
    for kind in (OptunaDraws, RandomDraws):
        near[kind.__name__] = 0
        for seed in range(3):
            draws = kind({"heat": ol.Float(0, 2), "kind": ("a", "b", "c")}, Random(seed))
            for _ in range(40):
                key, values = draws.ask()
                off = abs(values["heat"] - 0.4) + 0.3 * (values["kind"] != "b")
                draws.tell(key, -off)
                near[kind.__name__] += off < 0.2
    assert near["OptunaDraws"] > 2 * near["RandomDraws"]


def test_the_same_seed_draws_the_same_points() -> None:
    def points(kind: Any, seed: int) -> list[Any]:
        draws, some = kind({"heat": ol.Float(0.001, 2, log=True), "top": ol.Int(1, 9)}, Random(seed)), []
        for _ in range(14):
            key, values = draws.ask()
            draws.tell(key, -abs(values["heat"] - 0.1))
            some.append(values)
        return some

    for kind in (OptunaDraws, RandomDraws):
        assert points(kind, 1) == points(kind, 1) != points(kind, 2)


def test_numbers_choices_and_settings_together() -> None:
    class Both(ol.Module):
        pick = ol.Predict("thing -> colour", max_tokens=100)
        top = ol.param(3)

        async def forward(self, thing: str) -> Any:
            return await self.pick.acall(thing=thing)

    study = study_of(Both(), train=4, select=20)
    space = {
        HOT: ol.Float(0, 1),
        "pick.settings.top_p": [0.5, 1.0],
        "pick.adapter": [ol.Chat(), ol.JSON()],
        "top": ol.Int(1, 9),
    }
    within(study, lambda: SpaceSearch(space, trials=6, sampler="random").search(study), Kettle())
    made = [one for one in study.candidates.values() if one.changes]
    assert len(made) == 6
    for one in made:
        program: Any = study.build(one)
        assert 0 <= program.pick.settings.temperature <= 1
        assert program.pick.settings.top_p in (0.5, 1.0)
        assert program.pick.settings.max_tokens == 100
        assert 1 <= program.top <= 9
        assert one.operator == "space"
        assert "drawn at random" in one.origin
    assert placed(study, {HOT: 0.5, "pick.settings.seed": 7}) == {
        "pick.settings": Settings(temperature=0.5, seed=7, max_tokens=100)
    }


def test_declared_spaces_are_searched_when_none_is_given() -> None:
    class Declared(ol.Module):
        pick = ol.Predict("thing -> colour")
        share = ol.param(ol.Float(0, 1))

        async def forward(self, thing: str) -> Any:
            return await self.pick.acall(thing=thing)

    study = study_of(Declared(), train=4, select=20)
    within(study, lambda: SpaceSearch(trials=4).search(study), Kettle())
    assert {path for one in study.candidates.values() for path in one.changes} == {"share"}


@pytest.mark.parametrize("sampler", ["optuna", "random"])
def test_it_resumes_for_nothing_through_compile(tmp_path: Any, sampler: Any) -> None:
    lm = Kettle()
    search = SpaceSearch({HOT: ol.Float(0, 2)}, trials=8, sampler=sampler)
    options: Any = {"optimizer": search, "lm": lm, "progress": False, "seed": 3}
    first = ol.compile(Pick(), things(120), matches, study=tmp_path / "a.db", **options)
    calls = lm.calls
    again = ol.compile(Pick(), things(120), matches, study=tmp_path / "a.db", **options)
    fresh = ol.compile(Pick(), things(120), matches, study=tmp_path / "b.db", **options)
    assert first.report.verdict.better
    assert lm.calls == 2 * calls
    assert first.program == again.program == fresh.program
    assert ol.load(first.save(tmp_path / "x.outlast.json"), Pick()) == first.program


def test_a_budget_ends_it_with_the_best_so_far() -> None:
    options: Any = {"optimizer": SpaceSearch({HOT: ol.Float(0, 1)}, trials=500), "progress": False, "study": False}
    compiled = ol.compile(Pick(), things(200), matches, lm=Kettle(), budget=ol.Budget(calls=600), **options)
    assert compiled.report.rollouts <= 600
    assert compiled.report.stopped
    assert compiled.report.verdict.better


def test_without_the_extra_it_draws_at_random_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space_search, "_has_optuna", lambda: False)
    assert SpaceSearch({HOT: ol.Float(0, 1)}).describe()["sampler"] == "random"
    with pytest.raises(ConfigError, match=r'pip install "outlast\[optuna\]"'):
        SpaceSearch({HOT: ol.Float(0, 1)}, sampler="optuna")
    study = study_of(Pick(), train=4, select=20)
    within(study, lambda: SpaceSearch({HOT: ol.Float(0, 1)}, trials=2).search(study), Kettle())
    origins = [one.origin for one in study.candidates.values() if one.changes]
    assert all("outlast[optuna] is not installed" in one for one in origins)
    assert importlib.util.find_spec("optuna") is not None, "part of the dev extra"


def test_optuna_is_loaded_by_a_search_only() -> None:
    import subprocess
    import sys

    code = (
        f"import sys; sys.path[:0] = {sys.path!r}; import outlast as ol; "
        "ol.SpaceSearch({'settings.temperature': ol.Float(0, 1)}).describe(); print('optuna' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    "make",
    [
        lambda: SpaceSearch({HOT: 0.5}),
        lambda: SpaceSearch({HOT: []}),
        lambda: SpaceSearch({HOT: "abc"}),
        lambda: SpaceSearch({HOT: ol.Text("a")}),
        lambda: SpaceSearch({"": ol.Float(0, 1)}),
        lambda: SpaceSearch([ol.Float(0, 1)]),  # type: ignore[arg-type]
        lambda: SpaceSearch({HOT: ol.Float(0, 1)}, trials=0),
        lambda: SpaceSearch({HOT: ol.Float(0, 1)}, parallel=True),
        lambda: SpaceSearch({HOT: ol.Float(0, 1)}, sampler="tpe"),  # type: ignore[arg-type]
    ],
)
def test_bad_spaces_are_refused_at_once(make: Any) -> None:
    with pytest.raises(UsageError):
        make()


@pytest.mark.parametrize(
    ("space", "kind", "message"),
    [
        ({"pick.settings.temprature": ol.Float(0, 1)}, PathError, "Did you mean 'pick.settings.temperature'"),
        ({"pik.settings.temperature": ol.Float(0, 1)}, PathError, "has no parameter"),
        ({"pick.top": ol.Int(0, 1)}, PathError, "has no parameter 'pick.top'"),
        ({HOT: ol.Float(5, 9)}, UsageError, "temperature is a number from 0 to 2"),
        ({"pick.adapter": ["JSON"]}, UsageError, "adapter"),
        ({}, UsageError, "has no space"),
    ],
)
def test_a_space_that_the_program_does_not_have_costs_nothing(space: Any, kind: Any, message: str) -> None:
    study = study_of(Pick())
    with pytest.raises(kind, match=message):
        within(study, lambda: SpaceSearch(space).search(study))
    assert study.rollouts == 0


def test_what_is_locked_is_not_searched() -> None:
    study = study_of(Pick(), lock=["pick.settings"])
    with pytest.raises(UsageError, match="is locked"):
        within(study, lambda: SpaceSearch({HOT: ol.Float(0, 1)}).search(study))
