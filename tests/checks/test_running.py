"""Checks on a signature, run after the parse: what the model is told, what is given, and what is reported."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import outlast as ol
from outlast.errors import AnswerError, BudgetExceeded, CheckFailed, LMContextError, LMServerError, UsageError
from outlast.testing import ScriptedLM

SKY = "the sky is blue"


@ol.check(on_fail="retry", message="Quote the context.")
def cites(answer: str, context: str) -> bool:
    return answer in context


@ol.check(on_fail=ol.checks.retry(1, then="fix"))
def lower(answer: str) -> ol.CheckResult:
    return ol.CheckResult(answer.islower(), "Write in lower case.", fix={"answer": answer.lower()})


def asking(*replies: Any, **options: Any) -> ScriptedLM:
    return ScriptedLM([{"answer": one} if isinstance(one, str) else one for one in replies], keep=True, **options)


def ask(lm: Any, *checks: ol.Check, signature: str = "context -> answer", **options: Any) -> Any:
    program = ol.Predict(signature, checks=checks, lm=lm, **options)
    return program(context=SKY)


ADAPTERS = [ol.Chat(), ol.JSON(), ol.XML()]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda one: type(one).__name__)
def test_a_failed_answer_goes_back_in_the_same_conversation_with_what_is_wrong(adapter: Any) -> None:
    lm = asking("green", "blue")
    out = ask(lm, cites, adapter=adapter)
    assert out.answer == "blue"
    first, second = lm.requests
    assert second.messages[: len(first.messages)] == first.messages
    reply, told = second.messages[len(first.messages) :]
    assert reply.role == "assistant"
    assert "green" in reply.text
    assert told.text == (
        "Your answer could be read, but it is not accepted:\n- Quote the context.\n\n"
        "Answer again with every output, in the same form, and put this right."
    )


def test_an_answer_that_came_as_a_call_of_a_tool_is_refused_as_its_result() -> None:
    def called(answer: str) -> ol.Response:
        return ol.Response("", tool_calls=(ol.ToolCall("1", "Answer", json.dumps({"answer": answer})),))

    lm = ScriptedLM([called("green"), called("blue")], keep=True, capabilities=ol.Capabilities(tools=True))
    assert ask(lm, cites, adapter=ol.Tools()).answer == "blue"
    (result,) = [part for part in lm.requests[1].messages[-1].content if isinstance(part, ol.ToolResult)]
    assert result.error
    assert "- Quote the context." in result.text


def test_a_free_answer_is_asked_for_again_not_the_reading_of_it() -> None:
    lm = ScriptedLM(["I think green.", "Sorry: blue."], keep=True)
    reader = ScriptedLM([{"answer": "green"}, {"answer": "blue"}], keep=True)
    out = ask(lm, cites, adapter=ol.TwoStep(reader))
    assert (out.answer, lm.calls, reader.calls) == ("blue", 2, 2)
    assert "Quote the context." in lm.requests[1].messages[-1].text


def test_out_checks_says_what_became_of_each_check() -> None:
    out = ask(asking("green", "blue"), cites, lower)
    assert out.checks == {
        "cites": ol.Checked(False, True, 2, ("retry",), "Quote the context."),
        "lower": ol.Checked(True, True),
    }
    assert ol.checks_of(out) == out.checks
    assert ol.checks_of("plain") == {}


def test_a_field_named_checks_is_a_field() -> None:
    program = ol.Predict("context -> checks", checks=[ol.check(lambda checks: True)], lm=ScriptedLM([{"checks": "x"}]))
    out = program(context=SKY)
    assert out.checks == "x"
    assert list(ol.checks_of(out)) == ["<lambda>"]


def test_every_attempt_is_in_the_trace_with_what_was_wrong() -> None:
    out = ask(asking("green", "blue"), cites)
    first, second = out.trace
    assert (first.values, first.attempt) == ({"answer": "green"}, 0)
    assert isinstance(first.error, CheckFailed)
    assert (first.error.check, first.error.values) == ("cites", {"answer": "green", "context": SKY})
    assert (second.values, second.error, second.attempt) == ({"answer": "blue"}, None, 1)
    assert [(note.path, note.name, note.checked.attempts) for note in out.trace.checks] == [("", "cites", 2)]


def test_retries_end_and_the_error_says_everything() -> None:
    lm = asking("green", "red", "pink")
    with pytest.raises(CheckFailed, match=r"'cites' \(after 2 more tries\): Quote the context") as caught:
        ask(lm, cites)
    assert lm.calls == 3
    assert caught.value.check == "cites"
    assert caught.value.values == {"answer": "pink", "context": SKY}
    assert isinstance(caught.value, AnswerError)


def test_all_that_is_wrong_is_told_at_once() -> None:
    lm = asking("Green", "blue")
    ask(lm, cites, lower)
    assert "- Quote the context.\n- Write in lower case.\n" in lm.requests[1].messages[-1].text
    assert lm.calls == 2


def test_what_a_message_quotes_never_stands_at_the_margin() -> None:
    lm = asking("green", "blue")
    ask(lm, ol.check(on_fail="retry", name="c")(lambda answer: (answer == "blue", "no:\n[[ ## answer ## ]]\nx")))
    told = lm.requests[1].messages[-1].text
    assert "- no:\n  [[ ## answer ## ]]\n  x\n" in told


def test_a_chain_of_policies_goes_on_where_one_was_no_use() -> None:
    out = ask(asking("BLUE", "BLUE"), lower)
    assert out.answer == "blue"
    assert out.checks["lower"] == ol.Checked(False, True, 2, ("retry", "fix"), "Write in lower case.")
    assert out.trace[-1].values == {"answer": "blue"}


def test_values_that_a_check_proposes_are_validated_and_checked_again() -> None:
    @ol.check(on_fail=ol.checks.fix(then="log"))
    def few(n: int) -> ol.CheckResult:
        return ol.CheckResult(n < 5, "too many", fix={"n": "no number"})

    @ol.check(on_fail="fix")
    def even(n: int) -> ol.CheckResult:
        return ol.CheckResult(n % 2 == 0, fix={"n": str(n + 1)})

    out = ask(ScriptedLM([{"n": 7}]), few, even, signature="context -> n: int")
    assert out.n == 8
    assert out.checks["few"].actions == ("log",)
    assert out.checks["even"] == ol.Checked(False, True, 1, ("fix",), "the check 'even' does not pass")


def test_a_fix_that_another_check_refuses_does_not_go_round_in_circles() -> None:
    @ol.check(on_fail="fix")
    def upper(answer: str) -> ol.CheckResult:
        return ol.CheckResult(answer.isupper(), fix={"answer": answer.upper()})

    with pytest.raises(CheckFailed, match="'lower'|'upper'"):
        ask(asking("Blue"), upper, lower.with_policy("fix"))


def test_a_fallback_is_a_value_or_a_module() -> None:
    out = ask(asking("green"), cites.with_policy(ol.checks.fallback("I do not know")))
    assert out.answer == "I do not know"
    assert out.checks["cites"] == ol.Checked(False, False, 1, ("fallback",), "Quote the context.")
    assert out.trace[0].error is not None  # it is not what the model said, so it is no demonstration
    other = ol.Predict("context -> answer", lm=asking("from another"))
    out = ask(asking("green"), cites.with_policy(ol.checks.fallback(other)))
    assert out.answer == "from another"
    assert len(out.trace) == 2


def test_filter_leaves_out_the_items_that_fail() -> None:
    plain = ol.check(each=True, on_fail="filter", name="plain")(lambda tags: tags.isalpha())
    out = ask(ScriptedLM([{"tags": ["a", "1", "b"]}]), plain, signature="context -> tags: list[str]")
    assert out.tags == ["a", "b"]
    assert out.checks["plain"].actions == ("filter",)


def test_abstain_gives_none_and_spares_the_checks_that_need_the_value() -> None:
    long = ol.check(name="long")(lambda answer: len(answer) > 0)
    out = ask(asking("green"), cites.with_policy("abstain"), long, signature="context -> answer: str | None")
    assert out.answer is None


def test_log_only_notes_and_a_broken_check_that_logs_breaks_nothing() -> None:
    broken = ol.check(on_fail="log", name="broken")(lambda answer: 1 / 0)
    out = ask(asking("green"), cites.with_policy("log"), broken)
    assert out.answer == "green"
    assert out.checks["cites"] == ol.Checked(False, False, 1, ("log",), "Quote the context.")
    assert out.checks["broken"] == ol.Checked(None, None, 1, (), "ZeroDivisionError: division by zero")
    with pytest.raises(ZeroDivisionError):
        ask(asking("green"), broken.with_policy("raise"))


def test_cheap_checks_come_first_and_dear_ones_are_spared() -> None:
    asked: list[str] = []

    @ol.check(cost="model", on_fail="log")
    async def judged(answer: str) -> bool:
        asked.append(answer)
        return True

    with pytest.raises(CheckFailed):
        ask(asking("green"), judged, cites.with_policy("raise"))
    assert asked == []
    ask(asking("blue"), judged, cites)
    assert asked == ["blue"]


def test_an_input_check_runs_before_the_model_is_asked() -> None:
    calm = ol.check(message="no shouting", name="calm")(lambda context: not context.isupper())
    lm = asking("x")
    program = ol.Predict("context -> answer", checks=[calm], lm=lm)
    with pytest.raises(CheckFailed, match="no shouting"):
        program(context="HELP")
    assert lm.calls == 0
    given = ol.Predict("context -> answer", checks=[calm.with_policy(ol.checks.fallback("Calm down."))], lm=lm)
    out = given(context="HELP")
    assert (out.answer, lm.calls, out.checks["calm"].final) == ("Calm down.", 0, False)


@ol.check(on_fail="fix")
def hides_names(context: str) -> ol.CheckResult:
    hidden = context.replace("Ann", "<NAME_1>")
    return ol.CheckResult(hidden == context, "a name", fix={"context": hidden}, undo={"<NAME_1>": "Ann"})


def test_what_an_input_check_hid_is_put_back_into_the_answer() -> None:
    lm = ScriptedLM([{"answer": "<NAME_1> is here", "who": ["<NAME_1>"]}], keep=True)
    program = ol.Predict("context -> answer, who: list[str]", checks=[hides_names], lm=lm)
    out = program(context="Ann waits")
    assert (out.context, out.answer, out.who) == ("Ann waits", "Ann is here", ["Ann"])
    assert "Ann" not in "".join(message.text for message in lm.requests[0].messages)
    assert out.trace[0].inputs["context"] == "<NAME_1> waits"
    assert out.trace[0].values["answer"] == "<NAME_1> is here"
    assert out.checks["hides_names"] == ol.Checked(False, True, 1, ("fix",), "a name")


def test_the_limits_of_a_retry_are_counted() -> None:
    few = ol.checks.retry(5, tokens=1, then="log")
    lm = asking("green", "green", "green")
    assert ask(lm, cites.with_policy(few)).checks["cites"].attempts == 2
    assert lm.calls == 2
    lm = asking("green", "green", "green", latency=0.02)
    quick = ol.checks.retry(5, seconds=0.001, then="log")
    assert ask(lm, cites.with_policy(quick)).answer == "green"
    assert lm.calls == 2


def test_adapters_ask_again_on_their_own_account() -> None:
    lm = ScriptedLM([{"answer": "green"}, {"anwser": 1}, {"answer": "blue"}], keep=True)
    out = ask(lm, cites.with_policy(ol.checks.retry(1)), adapter=ol.JSON(reasks=1))
    assert out.answer == "blue"
    assert [span.attempt for span in out.trace] == [0, 1, 2]


def test_the_last_answer_stands_when_no_other_can_be_had_and_the_policy_allows() -> None:
    adapter = ol.JSON(reasks=0, fallback=None)
    replies = [{"answer": "green"}, {"anwser": 1}]
    out = ask(ScriptedLM(replies), cites.with_policy(ol.checks.retry(then="log")), adapter=adapter)
    assert out.answer == "green"
    assert out.checks["cites"].actions == ("retry", "log")
    with pytest.raises(CheckFailed):
        ask(ScriptedLM(replies), cites, adapter=adapter)


def test_a_budget_from_outside_goes_up() -> None:
    with ol.budget(calls=1), pytest.raises(BudgetExceeded):
        ask(asking("green", "blue"), cites)


def test_a_retry_is_another_request_so_no_cache_serves_the_failed_answer(tmp_path: Any) -> None:
    lm = asking("green", "blue")
    cached = ol.Cached(lm, tmp_path / "c.db")
    assert ask(cached, cites).answer == "blue"
    assert ask(cached, cites).answer == "blue"
    assert lm.calls == 2


async def test_checks_run_the_same_in_async_code() -> None:
    @ol.check(cost="model", on_fail="retry")
    async def judged(answer: str) -> bool:
        return answer == "blue"

    @ol.check(cost="slow", on_fail="retry")
    def slow(answer: str) -> bool:
        return answer == "blue"

    program = ol.Predict("context -> answer", checks=[judged, slow], lm=asking("green", "blue"))
    out = await program.acall(context=SKY)
    assert out.answer == "blue"
    assert out.checks["slow"].attempts == 2


def test_a_check_on_a_typed_function_runs_and_is_noted_in_the_trace() -> None:
    @ol.predict(checks=[lower.with_policy("fix")], lm=ScriptedLM([{"answer": "BLUE"}]))
    def color(context: str) -> str: ...

    assert color(SKY) == "blue"


def test_chain_of_thought_is_checked_on_the_declared_outputs() -> None:
    lm = ScriptedLM([{"reasoning": "hm", "answer": "green"}, {"reasoning": "ah", "answer": "blue"}])
    out = ol.ChainOfThought("context -> answer", checks=[cites], lm=lm)(context=SKY)
    assert (out.answer, out.reasoning, out.checks["cites"].attempts) == ("blue", "ah", 2)


def test_what_is_no_list_of_checks_is_refused() -> None:
    given: list[Any] = ["cites", {"a": cites}, 3]
    for wrong in given:
        with pytest.raises(UsageError, match="checks are a list"):
            ol.Predict("context -> answer", checks=wrong)


def test_an_async_check_may_need_an_event_loop_in_a_blocking_call_too() -> None:
    @ol.check
    async def waits(answer: str) -> bool:
        await asyncio.sleep(0)
        return True

    assert ask(asking("blue"), waits).checks["waits"].final


def test_a_model_that_fails_while_it_is_asked_again_costs_no_usable_answer() -> None:
    down = LMServerError("down")
    out = ask(asking("green", down), cites.with_policy(ol.checks.retry(then="log")))
    assert out.answer == "green"
    with pytest.raises(LMServerError):  # an accident, and no fault of the answer
        ask(asking("green", down), cites)
    with pytest.raises(CheckFailed):  # the conversation has grown too long
        ask(asking("green", LMContextError("too long")), cites)


def test_checks_stand_on_a_signature_and_so_not_in_a_recipe() -> None:
    with pytest.raises(UsageError, match=r"ChainOfThought\(QA, checks=\[...\]\)"):
        ol.ChainOfThought(checks=[cites])
    program = ol.update(ol.Predict("context -> answer", checks=[cites]), {"strategy": ol.ChainOfThought()})
    assert [check.name for check in program.signature.checks] == ["cites"]


def test_a_stream_tells_of_outputs_that_no_model_gave() -> None:
    calm = ol.check(on_fail=ol.checks.fallback("Calm down."), name="calm")(lambda context: False)
    events = list(ol.Predict("context -> answer", checks=[calm], lm=asking("x")).stream(context=SKY))
    assert [event.text for event in events if isinstance(event, ol.FieldDelta)] == ["Calm down."]
    assert events[-1].prediction.answer == "Calm down."
