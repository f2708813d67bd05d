"""Checks in evaluations: of the program and beside the metric, before and after what mended the answer."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest

import outlast as ol
from outlast.errors import DataError, UsageError
from outlast.evals import Evaluation
from outlast.evals.checking import CheckRates
from outlast.evals.row import CheckOutcome
from outlast.evals.statistics import wilson
from outlast.optimize.budget import Purse
from outlast.optimize.ledger import Ledger
from outlast.optimize.memory import Memory
from outlast.optimize.rollout import Roller, steps_from_json
from outlast.testing import ScriptedLM

DATA = ol.Dataset([ol.Example(inputs={"n": n}, targets={"answer": "yes"}) for n in range(20)])


@ol.check(on_fail="retry", message="say yes or no")
def plain(answer: str) -> bool:
    return answer in ("yes", "no")


@ol.check(message="too long")
def short(answer: str) -> bool:
    return len(answer) <= 3


@ol.metric
def right(example: Any, out: Any) -> Any:
    return ol.Score(out.answer == example.answer, feedback="looked at")


def model(messages: Any) -> Any:
    """Every fourth first answer is none of the two; one of these is not mended either."""
    number = int("".join(char for char in messages[1].text if char.isdigit()))
    again = len(messages) > 2
    if number == 8:
        return {"answer": "maybe"}
    return {"answer": "maybe" if number % 4 == 0 and not again else "yes"}


def run(program: Any, **options: Any) -> Any:
    return ol.evaluate(program, DATA, right, progress=False, lm=ScriptedLM(model), **options)


def test_first_answers_and_given_ones_are_counted_apart() -> None:
    logged = plain.with_policy(ol.checks.retry(1, then="log"))
    result = run(ol.Predict("n: int -> answer", checks=[logged]))
    rates = result.checks["plain"]
    assert isinstance(rates, CheckRates)
    assert (rates.n, rates.failed, rates.mended, rates.added_calls) == (20, 5, 4, 5)
    assert (rates.first.value, rates.final.value) == (0.75, 0.95)
    assert rates.first.interval == wilson(15, 20)
    assert rates.to_json()["first"] == 0.75
    assert rates.to_json()["final_interval"] == [rates.final.interval.low, rates.final.interval.high]
    assert rates.final.interval == wilson(19, 20)
    assert result.rows[4].checks == {"plain": CheckOutcome(False, True, 2)}
    assert result.spending.calls == 25


def test_what_checks_said_is_feedback_also_where_it_was_mended() -> None:
    logged = plain.with_policy(ol.checks.retry(1, then="log"))
    rows = run(ol.Predict("n: int -> answer", checks=[logged])).rows
    assert rows[1].feedback == "looked at"
    assert rows[4].feedback == "looked at\ncheck 'plain', at first: say yes or no"
    assert rows[8].feedback == "looked at\ncheck 'plain': say yes or no"


def test_a_row_that_a_check_ended_says_so() -> None:
    result = run(ol.Predict("n: int -> answer", checks=[plain.with_policy("raise")]))
    assert result.states["error"] == 5
    assert result.unanswered == 5
    assert result.rows[8].checks == {"plain": CheckOutcome(False, False, 1)}
    assert result.checks["plain"].final.value == 0.75


def test_checks_beside_the_metric_look_at_every_answer_whatever_their_policy() -> None:
    result = run(ol.Predict("n: int -> answer"), checks=[plain, short])
    assert result.score.n == 20
    assert result.checks["plain"].final.value == 0.75
    assert result.checks["plain"].added_calls == 0
    assert result.checks["short"].first.value == 0.75
    assert "check 'short': too long" in result.rows[4].feedback


def test_the_checks_of_parts_have_their_paths() -> None:
    class Two(ol.Module):
        draft = ol.Predict("n: int -> answer", checks=[short.with_policy("log")])
        final = ol.Predict("n: int, draft -> answer", checks=[plain.with_policy("log")])

        @ol.check(on_fail="log")
        def said(answer: str) -> bool:
            return bool(answer)

        def forward(self, n: int) -> Any:
            return self.final(n=n, draft=self.draft(n=n).answer)

    result = run(Two())
    assert set(result.checks) == {"draft.short", "final.plain", "said"}


def test_the_unit_stays_the_example() -> None:
    result = run(ol.Predict("n: int -> answer"), checks=[short], epochs=3)
    assert result.checks["short"].n == 20
    assert result.checks["short"].failed == 15
    clustered = ol.evaluate(
        ol.Predict("n: int -> answer"),
        DATA,
        right,
        checks=[short],
        cluster=lambda example: example.n // 4,
        lm=ScriptedLM(model),
        progress=False,
    )
    assert clustered.checks["short"].first.interval != result.checks["short"].first.interval


def test_checks_are_in_the_file_and_in_the_table(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.jsonl"
    result = run(ol.Predict("n: int -> answer", checks=[plain.with_policy("log")]), checks=[short], save=path)
    again = Evaluation.from_jsonl(path)
    assert again.checks == result.checks
    assert again.about.checks.startswith("short ")
    out = io.StringIO()
    result.print_table(file=out)
    assert "plain  75.0%  53.1..88.8" in out.getvalue()
    monkeypatch.setenv("COLUMNS", "80")
    long = ol.check(lambda answer: True, name="the_answer_is_one_of_a_few")
    narrow = io.StringIO()
    run(ol.Predict("n: int -> answer"), checks=[long]).print_table(file=narrow)
    assert "100.0%  83.9..100.0  100.0%  83.9..100.0  20" in narrow.getvalue()
    assert "…" not in narrow.getvalue()
    assert "| `plain` | 75.0% (95% CI 53.1..88.8, Wilson) |" in result.to_markdown()
    with pytest.raises(DataError, match="its checks"):
        run(ol.Predict("n: int -> answer", checks=[plain.with_policy("log")]), save=path, resume=True)


@pytest.mark.parametrize(
    ("checks", "message"),
    [(short, "a list of checks"), ([len], "made with @ol.check"), ([short, short.with_policy("log")], "two checks")],
)
def test_what_is_no_list_of_checks_is_refused(checks: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(ol.Predict("n: int -> answer"), checks=checks)


def test_a_check_that_needs_what_is_not_there_is_refused_before_any_call() -> None:
    with pytest.raises(UsageError, match="needs the field 'anser', which is not there. Did you mean 'answer'"):
        run(ol.Predict("n: int -> answer"), checks=[ol.check(name="c")(lambda anser: True)])


def test_a_check_that_breaks_is_an_error_of_the_row_and_no_zero() -> None:
    result = run(ol.Predict("n: int -> answer"), checks=[ol.check(name="c")(lambda answer: 1 / 0)])
    assert result.states["error"] == 20
    assert {row.error.subject for row in result.rows} == {"metric"}


def test_demonstrations_are_answers_that_the_checks_let_pass() -> None:
    once = plain.with_policy(ol.checks.retry(1, then=ol.checks.fallback("yes")))
    program = ol.Predict("n: int -> answer", checks=[once])
    kept: dict[int, list[Any]] = {}
    with ol.context(lm=ScriptedLM(model)):
        roller = Roller(program, right, Memory(Ledger(None, {}), Purse(ol.Budget())), "c")
        for n in (1, 4, 8):
            rolled = asyncio.run(roller.roll(DATA[n], 0))
            assert rolled.outcome.score == 1.0
            kept[n] = [step.values for step in steps_from_json(program, rolled.steps)]
    # 1 passed at once, 4 when it was told, 8 never: its fallback is not what the model said.
    assert kept == {1: [{"answer": "yes"}], 4: [{"answer": "yes"}], 8: []}


def test_a_check_stands_as_the_metric_of_a_search() -> None:
    data = [ol.Example(inputs={"n": n}, targets={"answer": "yes"}) for n in range(60)]
    with ol.context(lm=ScriptedLM(model)):
        compiled = ol.compile(
            ol.Predict("n: int -> answer"), data, plain, optimizer=ol.LabeledFewShot(), progress=False
        )
    assert compiled.program.signature.outputs


@pytest.mark.parametrize("metric", ["check", "judge"])
def test_a_metric_that_looks_at_a_field_which_is_not_there_is_refused_before_any_call(metric: str) -> None:
    lm = ScriptedLM(lambda _: {"answer": "yes"})
    judge = ol.Judge(ol.Rubric("tone", "It is kind."), ["anwser"], lm=lm)
    data = ol.Dataset([ol.Example({"n": 1}, {"answer": "yes"})])
    by = judge if metric == "judge" else ol.checks.length("anwser", max=3)
    with pytest.raises(UsageError, match="needs the field 'anwser', which is not there. Did you mean 'answer'"):
        ol.evaluate(ol.Predict("n: int -> answer", lm=lm), data, by, progress=False)
    assert lm.calls == 0


def test_two_checks_of_one_name_cannot_both_be_reported() -> None:
    lm = ScriptedLM(lambda _: {"answer": "yes"})
    mine = ol.checks.length("answer", max=9, on_fail="log")
    program = ol.Predict("n: int -> answer", checks=[mine], lm=lm)
    data = ol.Dataset([ol.Example({"n": 1}, {"answer": "yes"})])
    with pytest.raises(UsageError, match="another check named 'length'"):
        ol.evaluate(program, data, ol.exact_match("answer"), checks=[ol.checks.length("answer", max=1)], progress=False)
    same = ol.checks.length("answer", max=9)
    assert ol.evaluate(program, data, ol.exact_match("answer"), checks=[same], progress=False).checks["length"].n == 1
