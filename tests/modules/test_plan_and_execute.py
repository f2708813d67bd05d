"""Plans: steps in order, what they gave is known to the next, and a step that fails changes the plan."""

from __future__ import annotations

from typing import Any

import pytest

import outlast as ol
from outlast.errors import AnswerError, BudgetExceeded, UsageError
from outlast.testing import ScriptedLM


class Cost(ol.Signature):
    """Say what the trip costs."""

    trip: str = ol.input()
    euros: int = ol.output()


def script(*replies: Any) -> ScriptedLM:
    return ScriptedLM(list(replies), keep=True)


def step(result: str, succeeded: bool = True) -> dict[str, Any]:
    return {"result": result, "succeeded": succeeded}


def test_steps_are_done_in_order_and_know_what_the_earlier_ones_gave() -> None:
    lm = script({"steps": ["find the fare", "find the hotel"]}, step("fare 40"), step("hotel 90"), {"euros": 130})
    with ol.context(lm=lm):
        out = ol.PlanAndExecute(Cost)(trip="Bern")
    assert type(out) is Cost
    assert out.euros == 130
    assert lm.calls == 4 == out.trace.spending.calls
    assert "fare 40" in lm.requests[2].messages[-1].text
    assert all(word in lm.requests[3].messages[-1].text for word in ("fare 40", "hotel 90"))
    assert [one.step for one in out.outcome.facts["steps"]] == ["find the fare", "find the hotel"]


def test_a_step_that_fails_leads_to_a_new_plan() -> None:
    lm = script(
        {"steps": ["ask the agency", "add it up"]},
        step("the agency is closed", succeeded=False),
        {"steps": ["look it up"]},
        step("70"),
        {"euros": 70},
    )
    with ol.context(lm=lm):
        out = ol.PlanAndExecute(Cost)(trip="Bern")
    assert out.euros == 70
    assert "FAILED: the agency is closed" in lm.requests[2].messages[-1].text
    assert [one.succeeded for one in out.outcome.facts["steps"]] == [False, True]


def test_plans_are_bounded_and_so_are_steps() -> None:
    def reply(messages: Any) -> Any:
        text = messages[0].text
        if "Say what steps lead to it" in text:
            return {"steps": ["try"] * 20}
        return step("no", succeeded=False) if "one step of a longer task" in text else {"euros": 0}

    lm = ScriptedLM(reply)
    with ol.context(lm=lm):
        out = ol.PlanAndExecute(Cost, max_steps=5, replans=2)(trip="Bern")
    assert out.outcome.stopped == "steps"
    assert lm.calls == 3 + 5 + 1


def test_with_tools_an_agent_does_each_step() -> None:
    seen: list[str] = []

    def fare(to: str) -> int:
        """The fare."""
        seen.append(to)
        return 40

    lm = script(
        {"steps": ["find the fare"]},
        {"thought": "ask", "calls": [{"name": "fare", "arguments": {"to": "Bern"}}]},
        {"thought": "done", "calls": []},
        step("40"),
        {"euros": 40},
    )
    program = ol.update(ol.PlanAndExecute(Cost, tools=[fare]), {"work.tools.fare.description": "By train."})
    with ol.context(lm=lm):
        assert program(trip="Bern").euros == 40
    assert seen == ["Bern"]
    assert "By train." in lm.requests[0].messages[-1].text
    assert ol.update(program, ol.parameters(program)) == program


def test_its_own_budget_keeps_a_call_for_the_answer() -> None:
    def reply(messages: Any) -> Any:
        text = messages[0].text
        if "Say what steps lead to it" in text:
            return {"steps": ["a", "b", "c", "d"]}
        return step("ok") if "one step of a longer task" in text else {"euros": 1}

    lm = ScriptedLM(reply)
    with ol.context(lm=lm):
        out = ol.PlanAndExecute(Cost, budget=ol.Budget(calls=4))(trip="x")
        assert (out.outcome.stopped, lm.calls) == ("calls", 4)
        with ol.budget(calls=2), pytest.raises(BudgetExceeded):
            ol.PlanAndExecute(Cost)(trip="x")


def test_declared_fields_may_be_called_like_those_of_the_plan() -> None:
    lm = script({"steps_": ["one"]}, {"result_": "r", "succeeded": True}, {"steps": "s"})
    with ol.context(lm=lm):
        out = ol.PlanAndExecute("result, step, done -> steps")(result="a", step="b", done="c")
    assert out.steps == "s"
    assert all(word in lm.requests[1].messages[-1].text for word in ("<<result>>\na", "<<step>>\nb", "<<done>>\nc"))


def test_no_plan_is_an_error() -> None:
    with ol.context(lm=ScriptedLM(lambda messages: "no idea")), pytest.raises(AnswerError):
        ol.PlanAndExecute(Cost)(trip="x")


@pytest.mark.parametrize("options", [{"max_steps": 0}, {"replans": -1}, {"max_turns": 0}, {"budget": 3}])
def test_bad_options_are_refused(options: Any) -> None:
    with pytest.raises(UsageError):
        ol.PlanAndExecute(Cost, **options)
