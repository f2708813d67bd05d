from __future__ import annotations

import asyncio
import json
import math
import os
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import DataError, InputError, SearchStopped, StudyError, UsageError
from outlast.messages import Response
from outlast.optimize.anything import Optimized
from outlast.optimize.candidate import Candidate
from outlast.optimize.setting import split_data
from outlast.optimize.verdict import judge
from outlast.testing import ScriptedLM
from outlast.testing.world import SimulatedLM, Triage, World, right

WORLD = World(examples=100, base=0.3, gain=0.65)


def compiled(world: World = WORLD, **options: Any) -> Any:
    program = options.pop("program", None) or Triage()
    data = options.pop("data", None) or world.data()
    metric = options.pop("metric", right)
    for name, value in (
        ("lm", world.lm()),
        ("study", False),
        ("progress", False),
        ("optimizer", ol.RandomSearch(candidates=5)),
    ):
        options.setdefault(name, value)
    return ol.compile(program, data, metric, **options)


async def until(happened: Any) -> None:
    for _ in range(4000):
        if happened():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen within 20 s")


class Fixed(ol.Optimizer):
    """Proposes one change without asking anybody."""

    def __init__(self, changes: dict[str, Any]) -> None:
        self.changes = changes

    def rollouts(self, train: int, select: int) -> int:
        return 0

    async def search(self, study: Any) -> Candidate:
        return study.propose(self.changes, origin="fixed")


def test_a_gain_is_found_proven_and_shipped():
    program = Triage()
    found = compiled(program=program)
    report = found.report
    assert report.verdict.word == "better"
    assert found.improved
    assert found.program is found.winner
    assert found.program != program
    assert found.start is program
    assert report.verdict.paired.difference > 0.2
    assert report.verdict.winner.value > report.verdict.start.value
    assert re.match(
        r"better: \d+\.\d% -> \d+\.\d% \(\+\d+\.\d, 95% CI \d+\.\d\.\.\d+\.\d, p<0\.001\) on \d+", str(report)
    )
    assert ol.parameters(program) == ol.parameters(Triage())


def test_a_loss_is_called_worse_and_the_original_is_kept():
    found = compiled(World(examples=200, base=0.9, gain=-0.6), optimizer=ol.LabeledFewShot(k=8))
    assert found.report.verdict.word == "worse"
    assert found.program is found.start
    assert found.winner != found.start
    assert not found.improved


def test_no_gain_is_inconclusive_or_with_a_margin_no_worse():
    world = World(examples=200, base=0.8, gain=0.0)
    found = compiled(world, optimizer=ol.LabeledFewShot(k=8))
    assert found.report.verdict.word == "inconclusive"
    assert found.program is found.start
    wide = compiled(world, optimizer=ol.LabeledFewShot(k=8), margin=0.3)
    assert wide.report.verdict.word == "no worse"
    assert wide.program is wide.start


def test_a_search_that_prefers_the_start_is_inconclusive():
    found = compiled(World(examples=100, base=1.0, gain=0.0))
    assert found.report.verdict.word == "inconclusive"
    assert "nothing better" in found.report.verdict.reason
    assert found.winner is found.program is found.start
    assert found.report.verdict.paired is None


def test_a_proof_that_the_budget_does_not_finish_is_unproven():
    class Rambling(SimulatedLM):
        """Needs three tries for every answer once it was shown demonstrations."""

        def answer(self, request: Any) -> str:
            tries = sum("could not" in m.text or m.role == "assistant" for m in request.messages[-4:])
            return super().answer(request) if len(request.messages) < 4 or tries > 2 else "<<nonsense>>"

    found = compiled(lm=Rambling(WORLD), optimizer=ol.LabeledFewShot(k=4), budget=ol.Budget(calls=110))
    assert found.report.verdict.word == "unproven"
    assert found.program is found.start
    assert "budget" in found.report.verdict.reason
    assert found.report.stopped == "the budget of calls was used up"


def test_a_prompt_that_makes_no_difference_is_seldom_called_better():
    better = 0
    for seed in range(60):
        world = World(seed=seed, examples=72, base=0.5, gain=0.0)
        program = Triage()
        optimizer = ol.RandomSearch(candidates=3, max_demos=3, bootstrap=False)
        found = compiled(world, program=program, seed=seed, optimizer=optimizer)
        if found.improved:
            better += 1
        else:
            assert found.program is program
    # at most 2.5 % are expected; more than 6 of 60 has a chance below 1 in 1,000 even at 2.5 %
    assert better <= 5


def test_ranking_flatters_and_the_report_says_by_how_much():
    world = World(seed=3, examples=150, base=0.5, gain=0.0)
    gains = [compiled(world, seed=s, optimizer=ol.RandomSearch(candidates=12)).report for s in range(4)]
    told = [report for report in gains if report.optimism is not None]
    assert told
    assert sum(report.optimism for report in told) / len(told) > 0.02
    assert "while ranking the gain looked +" in str(max(told, key=lambda report: report.optimism))


def test_the_numbers_of_the_report_are_those_of_the_ledger(tmp_path: Path):
    path = tmp_path / "one.study.db"
    lm = WORLD.lm()
    report = compiled(lm=lm, study=path).report
    db = sqlite3.connect(path)

    def one(sql: str, *values: Any) -> Any:
        return db.execute(sql, values).fetchone()[0]

    mean = """SELECT avg(CASE WHEN r.answered THEN r.score ELSE 0 END) FROM rollout r JOIN example e ON e.id = r.example
              WHERE r.candidate = ? AND e.part = ?"""
    assert one(mean, "start", "confirm") == pytest.approx(report.verdict.start.value)
    assert one(mean, report.candidate.id, "confirm") == pytest.approx(report.verdict.winner.value)
    gain = one(mean, report.candidate.id, "select") - one(mean, "start", "select")
    assert gain == pytest.approx(report.ranked)
    assert one("SELECT count(*) FROM rollout") == report.rollouts
    assert one("SELECT count(*) - 1 FROM candidate") == report.candidates
    assert one("SELECT count(*) FROM reply") == report.spending.calls == lm.calls == report.record["cost"]["calls"]
    assert one("SELECT sum(dollars) FROM reply") == pytest.approx(report.spending.dollars)
    assert one("SELECT sum(input_tokens + output_tokens) FROM reply") == report.spending.tokens
    wins = one(
        """SELECT count(*) FROM rollout a JOIN rollout b ON a.example = b.example JOIN example e ON e.id = a.example
           WHERE a.candidate = 'start' AND b.candidate = ? AND e.part = 'confirm' AND b.score > a.score""",
        report.candidate.id,
    )
    assert wins == report.verdict.paired.wins
    points = [json.loads(row[0]) for row in db.execute("SELECT data FROM event WHERE kind = 'point' ORDER BY id")]
    assert points == [point.to_json() for point in report.points]
    assert {json.loads(row[0])["model"] for row in db.execute("SELECT response FROM reply")} == {"simulated"}
    db.close()


def test_the_proof_is_on_examples_that_nobody_ranked_or_showed(tmp_path: Path):
    path = tmp_path / "one.study.db"
    report = compiled(study=path).report
    parts = split_data(WORLD.data(), 0)
    ids = {name: {example.id for example in part} for name, part in parts.items()}
    db = sqlite3.connect(path)
    ran = {
        key
        for (key,) in db.execute(
            "SELECT DISTINCT candidate FROM rollout JOIN example ON id = example WHERE part = 'confirm'"
        )
    }
    db.close()
    assert ran == {"start", report.candidate.id}
    shown = {demo.source.split(" ")[1] for demo in report.candidate.changes["route.demos"]}
    assert shown <= ids["train"]
    assert not shown & (ids["select"] | ids["confirm"])


def test_running_again_repeats_the_result_for_nothing(tmp_path: Path):
    path = tmp_path / "one.study.db"
    first = compiled(study=path)
    lm = WORLD.lm()
    again = compiled(study=path, lm=lm)
    assert lm.calls == 0
    assert again.program == first.program
    assert again.report.record == first.report.record
    assert again.report.points == first.report.points
    assert again.report.verdict == first.report.verdict
    assert first.report.known == 0
    assert again.report.known == first.report.spending.calls
    assert f"resumed with {again.report.known} replies known" in str(again.report)
    first.save(tmp_path / "a.outlast.json")
    again.save(tmp_path / "b.outlast.json")
    assert (tmp_path / "a.outlast.json").read_bytes() == (tmp_path / "b.outlast.json").read_bytes()


@pytest.mark.parametrize("limits", [{"calls": 20}, {"calls": 50}, {"tokens": 500}])
def test_a_budget_that_a_fresh_ledger_refuses_is_refused_on_a_known_one(limits: dict[str, Any], tmp_path: Path):
    path = tmp_path / "one.study.db"
    first = compiled(study=path, budget=ol.Budget(calls=1500))
    said: list[str] = []
    for study in (tmp_path / "fresh.study.db", path):
        with pytest.raises(UsageError, match="does not pay for the proof") as caught:
            compiled(study=study, budget=ol.Budget(**limits))
        said.append(str(caught.value))
    assert said[0] == said[1]
    with ol.budget(calls=1):  # a budget around pays for new replies alone
        assert compiled(study=path, budget=ol.Budget(calls=1500)).report.record == first.report.record


def test_by_default_the_ledger_lies_in_the_cache_and_is_found_again(studies: Path, monkeypatch: pytest.MonkeyPatch):
    first = compiled(study=None)
    assert first.ledger.parent == studies
    lm = WORLD.lm()
    assert compiled(study=None, lm=lm).ledger == first.ledger
    assert lm.calls == 0
    assert compiled(study=None, seed=1).ledger != first.ledger
    assert compiled(study=None, optimizer=ol.LabeledFewShot()).ledger != first.ledger
    monkeypatch.setenv("OUTLAST_STUDIES", "off")
    assert compiled(study=None).ledger is None
    monkeypatch.delenv("OUTLAST_STUDIES")
    monkeypatch.setenv("XDG_CACHE_HOME", str(studies / "cache"))
    assert compiled(study=None).ledger.parent == studies / "cache" / "outlast" / "studies"


def test_another_seed_is_another_search():
    zero, again, one = compiled(seed=0), compiled(seed=0), compiled(seed=1)
    assert zero.report.record == {**again.report.record, "compiled_at": zero.report.record["compiled_at"]}
    assert zero.report.candidate != one.report.candidate
    assert zero.report.record["data"] != one.report.record["data"]


def test_the_parts_may_be_given(tmp_path: Path):
    rows = list(WORLD.data())
    found = compiled(data={"train": rows[:30], "select": rows[30:60], "confirm": rows[60:]})
    assert found.report.verdict.paired.n == 40
    assert found.report.record["data"]["confirm"]["n"] == 40


@pytest.mark.parametrize(
    ("parts", "error", "says"),
    [
        ({"train": (0, 30), "select": (20, 60), "confirm": (60, 100)}, DataError, "in 'train' and in 'select'"),
        ({"train": (0, 30), "select": (30, 60)}, UsageError, "'confirm' is missing"),
        ({"train": (0, 30), "select": (30, 60), "confim": (60, 100)}, UsageError, "Did you mean 'confirm'"),
        ({"train": (0, 5), "select": (30, 60), "confirm": (60, 100)}, DataError, "'train' has 5"),
    ],
)
def test_parts_that_cannot_be_used_are_refused(parts: Any, error: type[Exception], says: str):
    rows = list(WORLD.data())
    lm = WORLD.lm()
    with pytest.raises(error, match=says):
        compiled(data={name: rows[a:b] for name, (a, b) in parts.items()}, lm=lm)
    assert lm.calls == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"data": []}, "got none|at least"),
        ({"data": list(WORLD.data())[:12]}, "at least 10 examples"),
        ({"data": "rows.jsonl"}, "Dataset or a list of Examples"),
        ({"data": [{"message": "m"}] * 100}, "takes examples"),
        ({"program": Triage}, "a program"),
        ({"program": lambda message: message}, "a program"),
        ({"metric": "accuracy"}, "metric"),
        ({"metric": lambda out: True}, "two arguments"),
        ({"optimizer": ol.RandomSearch}, "optimizer"),
        ({"optimizer": "random"}, "optimizer"),
        ({"budget": 5}, "Budget"),
        ({"budget": {"calls": 5}}, "Budget"),
        ({"seed": None}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"concurrency": 0}, "concurrency"),
        ({"level": 95}, "level"),
        ({"margin": -0.1}, "margin"),
        ({"lm": 5}, "lm"),
        ({"study": 5}, "study"),
        ({"progress": "yes"}, "progress"),
    ],
)
def test_what_cannot_mean_anything_is_refused_before_any_call(options: Any, says: str):
    lm = WORLD.lm()
    defaults = {"data": WORLD.data(), "program": Triage(), "metric": right, "lm": lm, "study": False, "progress": False}
    given = {**defaults, **options}
    with pytest.raises(ol.OutlastError, match=says):
        ol.compile(given.pop("program"), given.pop("data"), given.pop("metric"), **given)
    assert lm.calls == 0


def test_unknown_keywords_are_refused():
    with pytest.raises(TypeError, match="optimiser"):
        compiled(optimiser=ol.LabeledFewShot())


def test_examples_without_an_input_are_found_before_anything_is_spent():
    rows = [*WORLD.data(), ol.Example({"mesage": "x"}, {"team": "cards", "urgent": True})]
    lm = WORLD.lm()
    with pytest.raises(InputError, match=r"example \d+ of '\w+' .*'mesage'"):
        compiled(data=rows, lm=lm)
    assert lm.calls == 0
    single = ol.Predict("message, note -> team")
    with pytest.raises(InputError, match="note"):
        compiled(program=single, lm=lm)
    assert lm.calls == 0


def test_examples_with_an_input_of_the_wrong_type_are_found_before_anything_is_spent():
    single = ol.Predict("number: int -> team")
    rows = [ol.Example({"number": n if n != 37 else "many"}, {"team": "cards"}) for n in range(100)]
    lm = WORLD.lm()
    with pytest.raises(InputError, match="number"):
        compiled(program=single, data=rows, lm=lm, metric=lambda e, o: True)
    assert lm.calls == 0


def test_a_metric_that_reads_missing_targets_is_found_before_anything_is_spent():
    lm = WORLD.lm()
    with pytest.raises(ol.OutlastError, match="answer"):
        compiled(metric=ol.exact_match("answer"), lm=lm)
    assert lm.calls == 0


def test_a_parameter_that_no_file_can_hold_is_found_before_anything_is_spent():
    class Odd(Triage):
        tool = ol.param(object())

    lm = WORLD.lm()
    with pytest.raises(ol.OutlastError, match="'tool'"):
        compiled(program=Odd(), lm=lm)
    assert lm.calls == 0


def test_a_refused_key_costs_one_call():
    lm = ScriptedLM(lambda messages: ol.errors.LMAuthError("no such key", status=401))
    with pytest.raises(ol.errors.LMAuthError):
        compiled(lm=lm)
    assert lm.calls == 1


def test_a_dead_server_ends_the_compile_with_its_cause():
    lm = ScriptedLM(lambda messages: ol.errors.LMConnectionError("connection refused"))
    with pytest.raises(SearchStopped, match="connection refused") as caught:
        compiled(lm=lm)
    assert isinstance(caught.value.__cause__, ol.errors.LMConnectionError)
    assert lm.calls == 3


def test_a_metric_that_returns_nothing_is_told_after_a_first_look():
    def silent(example: Any, out: Any) -> Any:
        _ = out.team == example.team

    lm = WORLD.lm()
    with pytest.raises(SearchStopped, match=r"'silent' returned None for the first 10 .*a 'return' missing") as caught:
        compiled(metric=silent, lm=lm)
    assert lm.calls <= 20
    assert "ol.unscored(reason)" in str(caught.value)


@pytest.mark.parametrize("silent", [2, 3, 9])
def test_a_metric_that_cannot_judge_the_first_examples_goes_on(silent: int):
    def some(example: Any, out: Any) -> Any:
        return None if example.message in first else out.team == example.team

    confirm = split_data(WORLD.data(), 0)["confirm"]
    first = {example.message for example in confirm[:silent]}
    found = compiled(metric=some).report
    assert found.verdict.start is not None
    assert found.verdict.paired is None or found.verdict.paired.n == len(confirm) - silent


def test_other_seeds_on_a_ledger_are_named_where_they_split_the_data(tmp_path: Path):
    path = tmp_path / "one.study.db"
    compiled(study=path, optimizer=ol.LabeledFewShot())
    with pytest.raises(StudyError, match=r"The seed splits the data; it was 0 and is 2: go on with 0, or give another"):
        compiled(study=path, optimizer=ol.LabeledFewShot(), seed=2)
    with pytest.raises(StudyError, match="Give another path for this one") as caught:
        compiled(study=path, optimizer=ol.LabeledFewShot(), data=World(examples=100, seed=3).data())
    assert "The seed splits" not in str(caught.value)


def test_a_budget_is_refused_with_the_size_of_the_proof_and_advice_that_can_help():
    with pytest.raises(UsageError, match=r"runs at least 20 of the \d\d examples .* twice: .*Raise it\.$"):
        compiled(budget=ol.Budget(calls=30))
    parts = dict(split_data(WORLD.data(), 0))
    size = len(parts["confirm"])
    with pytest.raises(UsageError, match=rf"the {size} examples .* Raise it, or give fewer examples to that part"):
        compiled(budget=ol.Budget(calls=30), data=parts)


def test_a_broken_program_costs_one_rollout():
    class Broken(Triage):
        async def forward(self, message: str) -> Any:
            await self.route.acall(message=message)
            raise RuntimeError("not finished")

    lm = WORLD.lm()
    with pytest.raises(SearchStopped, match="the program as it is fails on the first confirmation example: .*finished"):
        compiled(program=Broken(), lm=lm)
    assert lm.calls == 1


def test_a_program_that_mostly_breaks_is_not_searched():
    class Shaky(Triage):
        async def forward(self, message: str) -> Any:
            out = await super().forward(message)
            if not message.startswith(first):
                raise RuntimeError("not finished")
            return out

    first = split_data(WORLD.data(), 0)["confirm"][0].message
    with pytest.raises(SearchStopped, match="not finished.*Mend the program first"):
        compiled(program=Shaky())


def test_a_metric_that_raises_everywhere_ends_the_compile_with_its_cause():
    def broken(example: Any, out: Any) -> bool:
        return out.teem == example.team

    lm = WORLD.lm()
    with pytest.raises(SearchStopped, match="the metric 'broken' fails on the first 3 .*teem") as caught:
        compiled(metric=broken, lm=lm)
    assert isinstance(caught.value.__cause__, AttributeError)
    assert lm.calls <= 6


def test_a_metric_that_raises_on_some_leaves_those_out_of_the_proof():
    def shaky(example: Any, out: Any) -> bool:
        if example.id[0] == "0":
            raise ValueError("broken label")
        return right(example, out)

    found = compiled(World(examples=200, base=0.3, gain=0.65), metric=shaky)
    confirm = split_data(World(examples=200, base=0.3, gain=0.65).data(), 0)["confirm"]
    assert found.report.verdict.paired.n == sum(e.id[0] != "0" for e in confirm) < len(confirm)
    assert found.report.failures > 0
    assert "rollouts failed" in str(found.report)


@pytest.mark.parametrize("value", [None, float("nan"), "good"])
def test_a_metric_that_never_scores_ends_the_compile(value: Any):
    with pytest.raises(ol.OutlastError, match="could be scored|fails on the first|returned None for the first 10"):
        compiled(metric=lambda example, out: value)


def test_graded_scores_and_feedback_are_kept(tmp_path: Path):
    def graded(example: Any, out: Any) -> ol.Score:
        good = out.team == example.team
        return ol.Score(
            0.8 if good else 0.1,
            feedback="" if good else f"{example.team}, not {out.team}",
            parts={"team": float(good)},
        )

    path = tmp_path / "one.study.db"
    found = compiled(metric=graded, study=path, optimizer=ol.RandomSearch(candidates=4, bootstrap=False))
    assert found.report.verdict.word == "better"
    db = sqlite3.connect(path)
    rows = db.execute("SELECT feedback, parts, trace FROM rollout WHERE score < 0.5").fetchall()
    db.close()
    assert rows
    assert all(", not " in feedback and json.loads(parts) == {"team": 0.0} for feedback, parts, _ in rows)
    steps = json.loads(rows[0][2])
    assert [step["path"] for step in steps] == ["route", "rate"]


def test_every_prompt_can_be_read_back_from_the_ledger(tmp_path: Path):
    from outlast.optimize.ledger import Ledger

    class Keeping(SimulatedLM):
        def __init__(self, world: World) -> None:
            super().__init__(world)
            self.seen: list[Any] = []

        async def complete(self, request: Any) -> Response:
            self.seen.append(request)
            return await super().complete(request)

    path = tmp_path / "one.study.db"
    lm = Keeping(WORLD)
    compiled(study=path, lm=lm)
    db = sqlite3.connect(path)
    keys = [row[0] for row in db.execute("SELECT key FROM reply")]
    told = {step["reply"] for (text,) in db.execute("SELECT trace FROM rollout") for step in json.loads(text)}
    meta = dict(db.execute("SELECT key, value FROM meta WHERE key != 'version'"))
    db.close()
    ledger = Ledger(path, meta)
    stored = sorted(json.dumps(ledger.request(key), sort_keys=True) for key in keys)
    ledger.close()
    assert stored == sorted(json.dumps(request.to_json(), sort_keys=True) for request in lm.seen)
    assert told == set(keys)


def test_a_ledger_of_another_search_is_refused_and_says_what_differs(tmp_path: Path):
    path = tmp_path / "one.study.db"
    compiled(study=path)
    other = World(seed=1, examples=100)

    class Longer(Triage):
        async def forward(self, message: str) -> Any:
            return await super().forward(message + "!")

    def other_metric(example: Any, out: Any) -> bool:
        return out.team == example.team

    other_metric.__name__ = right.__name__

    for options, says in (
        ({"data": other.data()}, "data"),
        ({"metric": other_metric}, "metric"),
        ({"program": Longer()}, "program"),
        ({"program": ol.update(Triage(), {"route.instruction": "x"})}, "program"),
        ({"lm": SimulatedLM(WORLD, name="newer")}, "model"),
        ({"program": ol.update(Triage(), {"route.lm": SimulatedLM(WORLD, name="newer")})}, "model"),
        ({"adapter": ol.JSON()}, "adapter"),
    ):
        with pytest.raises(StudyError, match=rf"different: .*{says} \(was"):
            compiled(study=path, **options)
    assert compiled(study=path, optimizer=ol.LabeledFewShot()).report.known  # another optimizer shares it


def test_a_change_of_types_is_another_search(tmp_path: Path):
    path = tmp_path / "one.study.db"
    lm = ScriptedLM(lambda messages: "<<team>>\ncards\n\n<<end>>")
    options: Any = {"lm": lm, "metric": lambda e, o: e.team == o.team, "optimizer": ol.LabeledFewShot(), "study": path}
    compiled(program=ol.Predict("message -> team"), **options)
    with pytest.raises(StudyError, match="program"):
        compiled(program=ol.Predict("message -> team: Literal['cards', 'identity', 'billing', 'transfers']"), **options)


@pytest.mark.parametrize(
    "content", [b"this is no database, it is a letter" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_file_that_is_no_ledger_is_refused_and_left_alone(tmp_path: Path, content: bytes):
    path = tmp_path / "one.study.db"
    path.write_bytes(content)
    with pytest.raises(StudyError, match=r"one\.study\.db"):
        compiled(study=path)
    assert path.read_bytes() == content


def test_a_ledger_that_is_damaged_inside_ends_in_a_clear_error(tmp_path: Path):
    path = tmp_path / "one.study.db"
    compiled(study=path)
    db = sqlite3.connect(path)
    db.execute("UPDATE rollout SET replies = 'nonsense'")
    db.commit()
    db.close()
    with pytest.raises(StudyError, match="cannot be read"):
        compiled(study=path)
    db = sqlite3.connect(path)
    db.execute("DELETE FROM rollout")
    db.execute("UPDATE reply SET response = '{\"text\": 3'")
    db.commit()
    db.close()
    with pytest.raises(StudyError, match="cannot be read"):
        compiled(study=path)


def test_a_ledger_cut_off_in_the_middle_ends_in_a_clear_error(tmp_path: Path):
    path = tmp_path / "one.study.db"
    compiled(study=path)
    whole = path.read_bytes()
    for size in (len(whole) // 2, len(whole) // 3):
        path.write_bytes(whole[:size] + os.urandom(1000))
        with pytest.raises(StudyError, match=r"one\.study\.db"):
            compiled(study=path)


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_spent(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    lm = WORLD.lm()
    for path in (tmp_path / "file" / "one.study.db", tmp_path, "/proc/one.study.db"):
        with pytest.raises(StudyError, match="study=False"):
            compiled(study=path, lm=lm)
    assert lm.calls == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_folder_is_refused(tmp_path: Path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    with pytest.raises(StudyError, match="study=False"):
        compiled(study=folder / "one.study.db")


def test_an_optimizer_that_gives_something_else_is_told():
    class Odd(Fixed):
        async def search(self, study: Any) -> Any:
            return study.program

    with pytest.raises(UsageError, match="proposed candidate"):
        compiled(optimizer=Odd({}))


def test_a_proven_instruction_says_where_it_comes_from(tmp_path: Path):
    class Obedient(SimulatedLM):
        def answer(self, request: Any) -> str:
            world = World(base=0.95 if "Think" in request.messages[0].text else 0.3, gain=0)
            return SimulatedLM(world).answer(request)

    found = compiled(lm=Obedient(WORLD), optimizer=Fixed({"route.instruction": "Think first.\nThen route."}))
    assert found.improved
    path = found.save(tmp_path / "t.outlast.json")
    record = ol.artifact.read(path)["record"] if hasattr(ol, "artifact") else json.loads(path.read_text())["record"]
    assert record["winner"]["provenance"] == {"route.instruction": f"candidate {found.report.candidate.id}: fixed"}
    assert record["models"] == {"asked": ["simulated"], "answered": ["simulated"]}
    assert record["kept"] == "winner"
    assert record["cost"]["calls"] == found.report.spending.calls
    assert ol.load(path, Triage()) == found.program


def test_what_is_saved_without_a_gain_is_the_original_and_says_so(tmp_path: Path):
    found = compiled(World(examples=200, base=0.9, gain=-0.6), optimizer=ol.LabeledFewShot(k=8))
    path = found.save(tmp_path / "t.outlast.json")
    assert ol.load(path, Triage()) == Triage()
    record = json.loads(path.read_text())["record"]
    assert record["kept"] == "original"
    assert record["result"]["verdict"] == "worse"


def test_progress_is_told_and_a_display_that_breaks_costs_nothing():
    told: list[Any] = []
    found = compiled(progress=told.append)
    assert {state.phase for state in told} == {"start", "search", "confirm"}
    assert told[-1].expected >= found.report.rollouts
    assert any(state.score is not None and state.start_score is not None for state in told)

    def broken(state: Any) -> None:
        raise RuntimeError("no screen")

    with pytest.warns(RuntimeWarning, match="no screen"):
        assert compiled(progress=broken).improved


def test_lines_of_progress_tell_calls_budget_and_resume(
    capsys: pytest.CaptureFixture[str], monkeypatch: Any, tmp_path: Path
):
    monkeypatch.setattr("outlast.optimize.progress.EVERY", 0.0)
    path = tmp_path / "one.study.db"
    compiled(progress=True, study=path, budget=ol.Budget(calls=5000))
    text = capsys.readouterr().err
    assert re.search(r"compile: search: \d+ of at most \d+ rollouts \(about [\d,]+ calls\)", text)
    assert "of 5000 calls" in text
    assert "replies known" not in text
    compiled(progress=True, study=path, budget=ol.Budget(calls=5000))
    assert "replies known" in capsys.readouterr().err


async def test_acompile_runs_in_a_loop_and_a_cancelled_one_gives_what_is_done(tmp_path: Path):
    path = tmp_path / "one.study.db"
    lm = WORLD.lm(latency=0.01)
    options: Any = {"lm": lm, "study": path, "progress": False, "optimizer": ol.RandomSearch(candidates=5)}

    async def job() -> Any:
        result = await ol.acompile(Triage(), WORLD.data(), right, **options)
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
        return result

    task = asyncio.create_task(job())
    await until(lambda: lm.calls >= 150)
    task.cancel()
    found = await task
    assert found.report.verdict.word == "unproven"
    assert found.report.stopped == "interrupted"
    assert found.program is found.start
    assert found.report.verdict.reason.endswith("Run the same compile again to go on.")
    file = tmp_path / "proven.outlast.json"
    file.write_text("proven")
    with pytest.raises(
        SearchStopped, match=r"nothing is saved.*Run the same compile again \(it goes on where it was\)"
    ):
        found.save(file)
    assert file.read_text() == "proven"
    assert ol.load(found.save(file, anyway=True), Triage()) == Triage()
    before = lm.calls
    done = await ol.acompile(Triage(), WORLD.data(), right, **options)
    whole = WORLD.lm()
    fresh = await ol.acompile(Triage(), WORLD.data(), right, **{**options, "lm": whole, "study": False})
    assert done.report.verdict == fresh.report.verdict
    assert lm.calls - before < whole.calls - 100


async def test_a_cancel_before_anything_was_measured_is_unproven_too():
    lm = WORLD.lm(latency=0.05)
    task = asyncio.create_task(ol.acompile(Triage(), WORLD.data(), right, lm=lm, study=False, progress=False))
    await asyncio.sleep(0.08)
    task.cancel()
    found = await task
    assert found.report.verdict.word == "unproven"
    assert "before the program as it is was measured" in found.report.verdict.reason
    assert "go on" not in found.report.verdict.reason
    assert "study=False" in found.report.verdict.reason
    with pytest.raises(SearchStopped, match="from the start, as study=False"):
        found.save("never.outlast.json")
    with pytest.raises(SearchStopped, match="nothing is saved"):
        Optimized(len, found).save("never.outlast.json")


def test_the_judgement_needs_interval_and_test_to_agree():
    ones, zeros = [1.0] * 20, [0.0] * 20
    options: Any = {"level": 0.95, "margin": 0.0, "seed": 0}
    assert judge(zeros, ones, **options).word == "better"
    assert judge(ones, zeros, **options).word == "worse"
    assert judge(ones, ones, **options).word == "inconclusive"
    few = [*([1.0] * 4), *([0.0] * 26)]
    assert judge([0.0] * 30, few, **options).word == "inconclusive"  # 4 of 4 changed for the better: p = 0.0625
    assert judge(ones, ones, level=0.95, margin=0.2, seed=0).word == "no worse"
    assert "95% CI" in judge(zeros, ones, **options).reason


def test_a_verdict_without_bounds_has_a_json_form():
    from outlast.evals.statistics import Estimate, Interval, Paired

    endless = Interval(float("-inf"), float("inf"), 0.95, "unknown")
    from outlast.optimize.verdict import Verdict

    verdict = Verdict(
        "inconclusive", "?", Estimate(0.5, endless, 1, "unknown"), None, Paired(0, endless, 1, "x", 1, 0, 0, 1)
    )
    assert json.loads(json.dumps(verdict.to_json(), allow_nan=False))["start"]["interval"] == [None, None]


def test_a_program_that_asks_from_plain_threads_is_refused_after_ten_examples():
    from concurrent.futures import ThreadPoolExecutor

    class Threads(ol.Module):
        ask = ol.Predict("q -> a")

        def forward(self, q: str) -> Any:
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(lambda: self.ask(q=q)).result()

    configured = ScriptedLM(lambda _: "<<a>>\nx\n<<end>>")
    data = [ol.Example({"q": f"q{i}"}, {"a": "x"}) for i in range(100)]
    ol.configure(lm=configured)
    with pytest.raises(TypeError, match=r"ol\.gather"):
        ol.compile(Threads(), data, lambda e, o: o.a == e.a, lm=ScriptedLM(lambda _: "y"), study=False, progress=False)
    assert configured.calls == 10


def test_a_compile_counts_how_often_its_proof_was_read(tmp_path, monkeypatch):
    monkeypatch.setenv("OUTLAST_SPLITS", str(tmp_path / "splits.jsonl"))
    assert "read for" not in str(compiled().report)
    again = compiled()
    assert again.report.reads.count == 2
    assert "; proof examples read for the 2nd time" in str(again.report)


def test_another_winner_of_a_known_ledger_is_another_look_at_the_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    splits = tmp_path / "splits.jsonl"
    monkeypatch.setenv("OUTLAST_SPLITS", str(splits))
    one, other = Fixed({"route.instruction": "Route it well."}), Fixed({"route.instruction": "Route it better."})
    counts: list[int | None] = []
    for optimizer in (one, other, one, other):
        found = compiled(study=tmp_path / "s.db", optimizer=optimizer)
        counts.append(found.report.reads and found.report.reads.count)
        said = "read for the 2nd time"
        assert (
            (said in str(found.report)) == (said in found.to_html(tmp_path / "r.html").read_text()) == (counts[-1] == 2)
        )
    assert counts == [1, 2, None, None]  # the same winner on the same examples is the same look
    assert len(splits.read_text().splitlines()) == 2


def test_a_first_proof_is_counted_where_replies_were_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    splits = tmp_path / "splits.jsonl"
    monkeypatch.setenv("OUTLAST_SPLITS", str(splits))
    few = compiled(study=tmp_path / "s.db", optimizer=Fixed({}))  # nothing is proven, and some replies are known
    assert few.report.reads is None
    found = compiled(study=tmp_path / "s.db", optimizer=Fixed({"route.instruction": "Route it well."}))
    assert found.report.known
    assert found.report.reads.count == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [("margin", True), ("margin", math.inf), ("margin", math.nan), ("margin", -0.1), ("study", "")],
)
def test_options_that_mean_nothing_are_refused(option: str, value: Any):
    with pytest.raises(UsageError, match=f"^{option} is a "):
        compiled(lm=World(examples=80).lm(), **{"study": False, option: value})


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda **options: ol.compile(Triage(), [], right, **options),
            "compile has no option 'concurency'.*'concurrency'",
        ),
        (lambda **options: ol.prune(Triage(), [], right, **options), "prune has no option 'concurency'"),
        (lambda **options: ol.headroom(Triage(), [], right, **options), "headroom has no option 'concurency'"),
        (lambda **options: ol.optimize(len, [], right, params={}, **options), "optimize has no option 'concurency'"),
    ],
)
def test_an_option_that_is_not_there_is_refused_with_those_that_are(call: Any, said: str):
    with pytest.raises(UsageError, match=said):
        call(concurency=4)


def test_prune_and_optimize_take_no_more_than_they_hand_on():
    with pytest.raises(UsageError, match="prune has no option 'margin'"):
        ol.prune(Triage(), [], right, margin=0.1)  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="optimize has no option 'lm'.*Options: params, "):
        ol.optimize(len, [], right, params={}, lm="x")  # type: ignore[call-arg]
