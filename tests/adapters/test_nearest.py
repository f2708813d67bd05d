"""Demonstrations that are chosen for each input."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.adapters.nearest import NearestPlan, nearest
from outlast.errors import ArtifactError, UsageError
from outlast.testing import ScriptedLM

POOL = [
    {"message": "my card was charged twice", "team": "billing"},
    {"message": "the card is lost in the street", "team": "cards"},
    {"message": "a transfer to my landlord is late", "team": "transfers"},
    {"message": "you ask for my passport again", "team": "identity"},
    {"message": "the transfer was sent to a wrong account", "team": "transfers"},
]
ADAPTERS = [ol.Chat(), ol.JSON(), ol.XML(), ol.Tools()]


def triage(**options: Any) -> Any:
    return ol.Predict("message -> team", demos=POOL, **options)


def shown(messages: Any) -> list[str]:
    """The pool's messages in a prompt, in their order."""
    text = "\n".join(str(message) for message in messages)
    return sorted((m["message"] for m in POOL if m["message"] in text), key=text.index)


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda one: type(one).__name__)
def test_each_input_sees_the_demonstrations_nearest_to_it_the_nearest_last(adapter: Any) -> None:
    asked = ScriptedLM(["billing"], capabilities=ol.Capabilities(tools=True))
    program = triage(shown=ol.Nearest(k=2), adapter=adapter, lm=asked)
    late = program.render(message="my transfer is late, where is it")
    lost = program.render(message="i lost the card")
    assert shown(late) == [POOL[4]["message"], POOL[2]["message"]]
    assert shown(lost)[-1] == POOL[1]["message"]
    assert len(shown(lost)) == 2
    assert asked.calls == 0


def test_a_call_sends_what_render_shows() -> None:
    seen: list[Any] = []

    def answer(messages: Any) -> str:
        seen.append(messages)
        return "<<team>>\ntransfers"

    program = triage(shown=ol.Nearest(k=1), lm=ScriptedLM(answer))
    assert program(message="a late transfer").team == "transfers"
    assert seen[0] == program.render(message="a late transfer")


def test_a_pool_no_greater_than_k_is_shown_whole_and_in_its_order() -> None:
    program = triage(shown=ol.Nearest(k=5))
    assert shown(program.render(message="lost card")) == [one["message"] for one in POOL]


def test_equal_likeness_goes_by_the_place_in_the_pool() -> None:
    assert nearest([0.1, 0.5, 0.5, 0.0], 3) == [1, 2, 0]
    program = triage(shown=ol.Nearest(k=2))
    assert shown(program.render(message="zzz")) == [POOL[1]["message"], POOL[0]["message"]]


@pytest.mark.parametrize("kind", [ol.Predict, ol.ChainOfThought])
def test_it_is_a_parameter_that_a_file_keeps(kind: Any, tmp_path: Path) -> None:
    program = kind("message -> team", demos=POOL)
    assert ol.parameters(program)["shown"] is None
    changed = ol.update(program, {"shown": ol.Nearest(k=2)})
    assert changed != program
    assert ol.update(changed, {"shown": None}) == program
    path = tmp_path / "p.outlast.json"
    ol.save(changed, path)
    assert ol.load(path, program).shown == ol.Nearest(k=2)


def test_a_file_cannot_say_nonsense(tmp_path: Path) -> None:
    path = tmp_path / "p.outlast.json"
    ol.save(triage(shown=ol.Nearest(k=2)), path)
    path.write_text(path.read_text().replace('"k": 2', '"k": 0'))
    with pytest.raises(ArtifactError, match="whole number from 1"):
        ol.load(path, triage())


def test_another_strategy_keeps_it() -> None:
    program = ol.update(triage(shown=ol.Nearest(k=2)), {"strategy": ol.ChainOfThought()})
    assert program.shown == ol.Nearest(k=2)


def test_an_agent_sees_the_nearest_too() -> None:
    def look(name: str) -> str:
        "Look."
        return name

    program = ol.ReAct("message -> team", tools=[look], demos=POOL, shown=ol.Nearest(k=1), native=True)
    assert shown(program.render(message="my transfer is late")) == [POOL[2]["message"]]


def test_a_prompt_that_differs_from_input_to_input_is_not_exported() -> None:
    with pytest.raises(UsageError, match=r"picks 2 of its 5 demonstrations.*'<path>.shown': None"):
        ol.export(triage(shown=ol.Nearest(k=2)))
    assert ol.export(triage(shown=ol.Nearest(k=5)))


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "8"])
def test_k_is_a_whole_number_from_1(wrong: Any) -> None:
    with pytest.raises(UsageError, match="whole number from 1"):
        ol.Nearest(k=wrong)


def test_shown_is_nothing_else() -> None:
    with pytest.raises(UsageError, match="Nearest"):
        triage(shown=8)


def test_choosing_from_a_thousand_texts_takes_about_a_millisecond() -> None:
    words = [f"word{n}" for n in range(300)]
    texts = [" ".join(words[(7 * n + 11 * m) % 300] for m in range(12)) for n in range(1000)]
    pool = [{"message": text, "team": "cards"} for text in texts]
    program = ol.Predict("message -> team", demos=pool, shown=ol.Nearest(k=8), lm=ScriptedLM([]))
    plan = program._plan(ol.Chat())
    assert isinstance(plan, NearestPlan)
    took = []
    for text in texts[:30]:
        began = time.perf_counter()
        plan.chosen({"message": text})
        took.append(time.perf_counter() - began)
    assert min(took) < 0.005, f"{min(took) * 1e3:.2f} ms"  # 0.6 ms on a free machine


def test_programs_that_show_one_pool_choose_from_one_index() -> None:
    one = triage(shown=ol.Nearest(k=2), lm=ScriptedLM([]))
    other = ol.update(one, {"instruction": "Say which team.", "shown": ol.Nearest(k=3)})
    plans = [program._plan(ol.Chat()) for program in (one, other)]
    assert plans[0]._pool is plans[1]._pool
    assert plans[0].chosen({"message": "lost card"}) == (0, 1)
    assert plans[1].chosen({"message": "lost card"})[-2:] == (0, 1)
    fewer = ol.update(one, {"demos": POOL[:4]})
    assert fewer._plan(ol.Chat())._pool is not plans[0]._pool


def test_a_pool_and_what_was_rendered_of_it_go_with_the_last_prompt() -> None:
    from outlast.adapters.nearest import _pools
    from outlast.adapters.turns import _rendered

    pools, rendered = len(_pools), len(_rendered)
    program = ol.Predict(
        "message -> team", demos=[{**one, "message": f"{one['message']}!"} for one in POOL], shown=ol.Nearest(k=2)
    )
    program.render(message="lost card")
    assert len(_pools) == pools + 1
    assert len(_rendered) > rendered
    del program
    gc.collect()
    assert len(_pools) <= pools
    assert len(_rendered) <= rendered
