"""Checks around whole programs: in the class of a module, in a guard, and around strategies that make their own
answers."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest

import outlast as ol
from outlast.errors import CheckFailed, InputError, SignatureError, UsageError
from outlast.testing import ScriptedLM


def short(answer: str) -> bool:
    """At most ten characters."""
    return len(answer) <= 10


SHORT = ol.check(message="too long")(short)
CALM = ol.check(message="no shouting", name="calm")(lambda question: not question.isupper())


@ol.check(on_fail="fix")
def hides_names(question: str) -> ol.CheckResult:
    hidden = question.replace("Ann", "<NAME_1>")
    return ol.CheckResult(hidden == question, "a name", fix={"question": hidden}, undo={"<NAME_1>": "Ann"})


def answering(*texts: str, **options: Any) -> Any:
    return ol.Predict("question -> answer", lm=ScriptedLM([{"answer": text} for text in texts], keep=True, **options))


class Steps(ol.Module):
    """Two steps."""

    draft = ol.Predict("question -> answer")

    @ol.check(message="no shouting")
    def calm(question: str) -> bool:
        return not question.isupper()

    @ol.check(on_fail="fix")
    def tidy(answer: str) -> ol.CheckResult:
        return ol.CheckResult(answer == answer.strip("!"), "calm down", fix={"answer": answer.strip("!")})

    def forward(self, question: str) -> Any:
        return self.draft(question=question)


class Plain(Steps):
    tidy = None

    async def forward(self, question: str) -> str:
        return (await self.draft.acall(question=question)).answer

    @ol.check(on_fail="log")
    def short(answer: str) -> bool:
        return len(answer) < 4


def test_the_checks_of_a_module_class_run_around_its_forward() -> None:
    lm = ScriptedLM([{"answer": "yes!!"}] * 9, keep=True)
    with ol.context(lm=lm):
        out = Steps()(question="why")
        assert out.answer == "yes"
        assert out.checks["tidy"] == ol.Checked(False, True, 1, ("fix",), "calm down")
        assert out.checks["calm"] == ol.Checked(True, True)
        with pytest.raises(CheckFailed, match="the inputs of Steps do not pass the check 'calm': no shouting"):
            Steps()(question="WHY")
    assert lm.calls == 1


def test_checks_of_modules_are_inherited_and_taken_away_and_see_plain_results() -> None:
    with ol.context(lm=ScriptedLM([{"answer": "yes!!"}] * 9)):
        assert Plain()(question="why") == "yes!!"
        assert asyncio.run(Plain().acall(question="why")) == "yes!!"
        trace = ol.recent()[-1].trace if hasattr(ol, "recent") else None
    assert trace is None or [note.name for note in trace.checks] == ["calm", "short"]


def test_a_whole_program_is_not_told_anything_so_retry_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'good' of module Bad says 'retry'.*ol.Retry\(program, until=check\)"):

        class Bad(ol.Module):
            @ol.check(on_fail="retry")
            def good(answer: str) -> bool:
                return True

    with pytest.raises(UsageError, match="'short' of guard says 'retry'"):
        ol.guard(answering("x"), output=[SHORT.with_policy("retry")])


def test_a_guard_stands_between_a_program_and_its_caller() -> None:
    program = answering("yes", "a very long answer")
    safe = ol.guard(program, input=[CALM], output=[SHORT])
    assert safe(question="why").answer == "yes"
    with pytest.raises(CheckFailed, match="no shouting"):
        safe(question="WHY")
    with pytest.raises(CheckFailed, match="too long"):
        safe(question="why")
    assert program.lm.calls == 2


def test_one_policy_for_all_checks_of_a_guard() -> None:
    safe = ol.guard(answering("a very long answer"), input=[CALM], output=[SHORT], on_fail="log")
    out = safe(question="WHY")
    assert out.answer == "a very long answer"
    assert {name: one.first for name, one in out.checks.items()} == {"calm": False, "short": False}


def test_a_guard_hides_what_its_input_checks_find_and_puts_it_back() -> None:
    program = answering("<NAME_1> waits")
    out = ol.guard(program, input=[hides_names])(question="who, Ann?")
    assert (out.question, out.answer) == ("who, Ann?", "Ann waits")
    assert "Ann" not in program.lm.requests[0].messages[-1].text


def test_a_fallback_of_a_guard_stands_in_for_the_whole_program() -> None:
    program = answering("a very long answer")
    instead = ol.checks.fallback("sorry")
    safe = ol.guard(program, input=[CALM.with_policy(instead)], output=[SHORT.with_policy(instead)])
    assert safe(question="WHY").answer == "sorry"
    assert program.lm.calls == 0
    assert safe(question="why").answer == "sorry"
    named = ol.guard(Plain(), input=[CALM.with_policy(ol.checks.fallback({"answer": "no", "why": "loud"}))])
    assert named(question="WHY").why == "loud"


def test_a_guard_is_a_program_like_any_other() -> None:
    safe = ol.guard(answering("yes"), output=[SHORT])
    assert safe.inner.signature.__name__ == "Answer"
    assert "inner.instruction" in ol.parameters(safe)
    assert ol.update(safe, ol.parameters(safe)) == safe
    changed = ol.update(safe, {"inner.instruction": "Other"})
    assert changed.inner.instruction == "Other"
    assert changed.output == safe.output
    with pytest.raises(InputError, match="quesion"):
        safe(quesion="x")
    bare = ol.guard("question -> answer", output=[SHORT])
    assert pickle.loads(pickle.dumps(ol.guard("question -> answer", output=[hides_names]))) is not None
    assert bare == ol.guard("question -> answer", output=[SHORT])


def test_a_guard_is_saved_and_loaded_with_what_was_tuned_inside(tmp_path: Any) -> None:
    safe = ol.update(ol.guard("question -> answer", output=[SHORT]), {"inner.instruction": "Be brief."})
    ol.save(safe, tmp_path / "safe.outlast.json")
    again = ol.load(tmp_path / "safe.outlast.json", ol.guard("question -> answer", output=[SHORT]))
    assert again == safe


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        ({}, "a guard has checks"),
        ({"input": [SHORT]}, "needs 'answer', which is no input"),
        ({"output": SHORT}, "is a list of checks"),
        ({"output": [len]}, "holds checks"),
        ({"output": [SHORT, SHORT.with_policy("log")]}, "two checks named 'short'"),
    ],
)
def test_guards_that_mean_nothing_are_refused(sides: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ol.guard("question -> answer", **sides)
    with pytest.raises(SignatureError, match="Did you mean 'answer'"):
        ol.guard("question -> answer", output=[ol.check(lambda answr: True)])


@pytest.mark.parametrize("kind", ["blocking", "async"])
def test_a_stream_shows_nothing_that_may_still_be_refused(kind: str) -> None:
    def fields(program: Any) -> list[str]:
        with ol.context(lm=ScriptedLM(lambda _: {"answer": "a very long answer"}, piece=4), adapter=ol.JSON()):
            if kind == "blocking":
                events = list(program.stream(question="why"))
            else:

                async def read() -> list[Any]:
                    return [event async for event in program.stream(question="why")]

                events = asyncio.run(read())
        return [event.text for event in events if isinstance(event, ol.FieldDelta)]

    instead = ol.checks.fallback("sorry")
    plain = ol.Predict("question -> answer")
    assert "".join(fields(plain)) == "a very long answer"
    assert len(fields(plain)) > 2
    assert fields(ol.guard(plain, output=[SHORT.with_policy(instead)])) == []
    assert len(fields(ol.guard(plain, output=[SHORT.with_policy("log")]))) > 2
    assert fields(ol.Predict("question -> answer", checks=[SHORT.with_policy(instead)])) == ["sorry"]
    early = ol.Predict("question -> answer", checks=[SHORT.with_policy(instead).shown_early()])
    assert "".join(fields(early)) == "a very long answersorry"


def test_an_early_answer_that_fails_is_taken_back_in_the_stream() -> None:
    check = SHORT.with_policy("retry").shown_early()
    lm = ScriptedLM([{"answer": "a very long answer"}, {"answer": "yes"}], piece=4)
    program = ol.Predict("question -> answer", checks=[check], lm=lm, adapter=ol.JSON())
    events = list(program.stream(question="why"))
    restarts = [event for event in events if isinstance(event, ol.Restarted)]
    assert [one.reason for one in restarts] == ["the answer does not pass 'short': too long"]
    last = events.index(restarts[0])
    assert "".join(one.text for one in events[last:] if isinstance(one, ol.FieldDelta)) == "yes"
    assert events[-1].prediction.answer == "yes"


def test_an_agent_is_told_what_is_wrong_and_goes_on() -> None:
    lm = ScriptedLM(
        [
            ol.Response("", tool_calls=(ol.ToolCall("1", "look", '{"answer": "x"}'),)),
            {"answer": "a very long answer"},
            {"answer": "yes"},
        ],
        keep=True,
        capabilities=ol.Capabilities(tools=True),
    )

    def look(answer: str) -> str:
        return "seen"

    agent = ol.ReAct("question -> answer", tools=[look], checks=[SHORT.with_policy("retry"), hides_names], lm=lm)
    out = agent(question="who is Ann")
    assert (out.answer, out.question) == ("yes", "who is Ann")
    assert out.checks["short"].attempts == 2
    assert len(out.outcome.turns) == 1
    assert "- too long" in lm.requests[-1].messages[-1].text
    assert "Ann" not in lm.requests[0].messages[-1].text
    with pytest.raises(CheckFailed, match="no shouting"):
        ol.ReAct("question -> answer", tools=[look], checks=[CALM], lm=lm)(question="WHY")


def test_retry_and_refine_take_a_check() -> None:
    program = answering("a very long answer", "yes")
    assert ol.Retry(program, until=SHORT)(question="why").answer == "yes"
    lm = ScriptedLM([{"answer": "a very long answer"}, {"answer": "yes"}], keep=True)
    refined = ol.Refine(ol.Predict("question -> answer", lm=lm), n=3, reward=SHORT)
    assert refined(question="why").answer == "yes"
    assert "too long" in lm.requests[1].messages[-1].text


def test_an_agent_that_is_stepped_hides_and_puts_back_too() -> None:
    def look(answer: str) -> str:
        return "seen"

    lm = ScriptedLM(
        [
            ol.Response("", tool_calls=(ol.ToolCall("1", "look", '{"answer": "x"}'),)),
            {"answer": "<NAME_1> is in"},
        ],
        keep=True,
        capabilities=ol.Capabilities(tools=True),
    )
    agent = ol.ReAct("question -> answer", tools=[look], checks=[hides_names], lm=lm)
    state = agent.start(question="is Ann in?")
    while not state.done:
        state = agent.step(state)
        assert state.inputs == {"question": "is Ann in?"}
    assert state.result.answer == "Ann is in"
    assert all("Ann" not in message.text for request in lm.requests for message in request.messages)


def test_an_input_that_was_left_out_is_checked_by_its_default() -> None:
    class Repeat(ol.Module):
        async def forward(self, word: str, times: int = 9) -> str:
            return word * times

    few = ol.check(name="few", message="not so often")(lambda times: times < 5)
    safe = ol.guard(Repeat(), input=[few])
    assert safe(word="a", times=2) == "aa"
    with pytest.raises(CheckFailed, match="not so often"):
        safe(word="a")

    class Told(ol.Signature):
        word: str = ol.input()
        times: int = ol.input(default=9)
        answer: str = ol.output()

    with pytest.raises(CheckFailed, match="not so often"):
        ol.guard(ol.Predict(Told, lm=ScriptedLM([{"answer": "x"}])), input=[few])(word="a")


def test_filter_is_for_items_of_a_list_wherever_it_is_said() -> None:
    program = ol.Predict("q -> answer", lm=ScriptedLM([{"answer": "x"}]))
    for call in (
        lambda: ol.guard(program, output=[ol.checks.length("answer", max=3)], on_fail="filter"),
        lambda: ol.checks.length("answer", max=3).with_policy(ol.checks.fix(then="filter")),
    ):
        with pytest.raises(UsageError, match="say each=True"):
            call()


def test_a_result_with_keys_that_are_no_names_is_a_clear_error() -> None:
    class Table(ol.Module):
        async def forward(self, q: str) -> dict[int, str]:
            return {1: "a"}

    with pytest.raises(UsageError, match="needs the field 'answer'"):
        ol.guard(Table(), output=[ol.checks.length("answer", max=3)])(q="x")
