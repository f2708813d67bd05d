"""Verdicts of judges that a metric holds: found beside people's labels without being written as labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.runtime import set_defaults
from outlast.testing import JudgingLM, ScriptedLM
from outlast.tracing.judged import judge_of, judged_runs
from outlast.tracing.queues import make_queue
from outlast.tracing.switch import flush

TONE = ol.Rubric("tone", "The reply is friendly.")
FACTS = ol.Rubric("facts", "The reply is right.")
DATA = ol.Dataset([ol.Example({"message": f"message {n}"}) for n in range(4)])


def even(fields: Mapping[str, str]) -> str:
    return "pass" if int(fields["message"].split()[1]) % 2 == 0 else "fail"


def judge(rubric: ol.Rubric, decide: Any = even) -> ol.Judge:
    return ol.Judge(rubric, ["message", "reply"], lm=JudgingLM(decide, name=f"judge of {rubric.name}"))


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "traces.db"
    set_defaults(recording=None)
    flush()


def evaluated(path: Path, metric: Any, **how: Any) -> ol.Store:
    with ol.trace(store=path), ol.context(lm=ScriptedLM(lambda _: {"reply": "hello"})):
        ol.evaluate(ol.Predict("message -> reply"), DATA, metric, progress=False, **how)
    assert flush()
    return ol.open_store(path)


def say(store: ol.Store, name: str, value: str) -> dict[int, str]:
    """Have a person say the same of every row; the traces by the number of their example."""
    [run] = store.runs("eval")
    found = {row.index: row.trace_id for row in store.results(run.id)}
    for trace in found.values():
        store.add_label(trace, value, name=name, author="ada")
    return found


def against(store: ol.Store) -> set[str]:
    return set(make_queue(store, "", "disagreement", 10, evaluated=True).trace_ids)


def test_each_of_several_judges_is_held_against_people(path: Path) -> None:
    both = ol.Judges([judge(TONE), judge(FACTS, lambda _: "pass")])
    with evaluated(path, both) as store:
        traces = say(store, "tone", "pass")
        found = {one.name: one for one in judged_runs(store)}
        assert set(found) == {"tone + facts", "tone", "facts"}
        assert [label.value for label in found["tone"].verdicts] == [1.0, 0.0, 1.0, 0.0]
        assert [label.value for label in found["facts"].verdicts] == [1.0] * 4
        assert {label.name for label in found["facts"].verdicts} == {"facts"}
        assert against(store) == {traces[1], traces[3]}


def test_a_function_that_asks_judges_gives_their_verdicts_as_parts(path: Path) -> None:
    inner = judge(TONE)

    async def quality(example: ol.Example, prediction: Any) -> Any:
        tone = await inner.ascore({"message": example["message"], "reply": prediction.reply})
        return ol.Score(0.5, parts={"tone": tone.value, "length": 0.3})

    with evaluated(path, quality) as store:
        [run] = store.runs("eval")
        assert judge_of(run) is None  # its own number is no verdict of a judge
        traces = say(store, "tone", "fail")
        [one] = judged_runs(store)
        assert (one.name, [label.value for label in one.verdicts]) == ("tone", [1.0, 0.0, 1.0, 0.0])
        assert "quality" in one.author
        assert against(store) == {traces[0], traces[2]}


def test_a_function_without_judges_gives_none(path: Path) -> None:
    with evaluated(path, lambda example, prediction: ol.Score(1.0, parts={"tone": 0.0})) as store:
        say(store, "tone", "pass")
        assert judged_runs(store) == []


def test_judges_are_found_where_a_metric_holds_them() -> None:
    from functools import partial

    from outlast.evals.judging.held import rubric_told
    from outlast.evals.judging.rubric import rubric_line

    tone, facts = judge(TONE), judge(FACTS)
    made = tone.as_metric()

    class Held:
        def __init__(self) -> None:
            self.judge = facts

        def __call__(self, example: Any, prediction: Any) -> float:
            return 1.0

    def given(example: Any, prediction: Any, judge: Any = tone) -> float:
        return 1.0

    def asking(example: Any, prediction: Any) -> Any:
        return made(example, prediction)

    def plain(example: Any, prediction: Any) -> float:
        return 1.0

    only = {"tone": f"[{rubric_line(TONE)}]", "facts": f"[{rubric_line(FACTS)}]"}
    assert rubric_told(made) == rubric_line(TONE)
    assert rubric_told(Held()) == only["facts"]
    assert rubric_told(given) == rubric_told(asking) == only["tone"]
    assert rubric_told(partial(plain, judge=facts)) == only["facts"]
    assert rubric_told(plain) == rubric_told(len) == rubric_told(None) == ""
