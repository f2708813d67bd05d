"""Ensemble, Fallback, Route, Parallel, Retry, MultiChainComparison: several modules or tries for one answer."""

from __future__ import annotations

from typing import Any

import pytest

import outlast as ol
from outlast.errors import AnswerError, InputError, LMAuthError, LMServerError, UsageError
from outlast.testing import ScriptedLM


class Ask(ol.Signature):
    """Answer."""

    question: str = ol.input()
    answer: str = ol.output()


def lm(*replies: Any, **options: Any) -> ScriptedLM:
    return ScriptedLM(
        [{"answer": one} if isinstance(one, str) else {"no": 1} if one is None else one for one in replies],
        keep=True,
        **options,
    )


def run(program: Any, model: Any = None, **inputs: Any) -> Any:
    with ol.context(lm=model, adapter=ol.Chat(reasks=0)):
        return program(**(inputs or {"question": "?"}))


def part(*replies: Any) -> ol.Predict[..., Any]:
    return ol.Predict(Ask, lm=lm(*replies))


# Ensemble


def test_an_ensemble_gives_what_most_of_its_parts_say():
    out = run(ol.Ensemble([part("a"), part("B"), part("b ")]))
    assert isinstance(out, Ask)
    assert out.answer == "B"
    assert out.outcome.facts == {"votes": {"B": 2, "a": 1}, "agreement": 2 / 3, "part": "1"}
    assert out.trace.spending.calls == 3


def test_an_ensemble_gives_the_best_by_a_reward_or_what_a_function_makes():
    parts = {"one": part("aa", "aa", "aa"), "two": part("bbbb", "bbbb", "bbbb"), "bad": part(None, None, None)}
    best = run(ol.Ensemble(parts, how="best", reward=lambda out: len(out.answer)))
    assert best.answer == "bbbb"
    assert best.outcome.facts["part"] == "two"
    last = run(ol.Ensemble(parts, how=lambda outs: outs[-1]))
    assert (last.answer, last.outcome.facts) == ("bbbb", {"part": "two"})
    joined = run(ol.Ensemble(parts, how=lambda outs: " ".join(one.answer for one in outs)))
    assert joined == "aa bbbb"


def test_a_reward_weighs_the_votes_of_an_ensemble():
    out = run(ol.Ensemble([part("a"), part("a"), part("b")], reward=lambda out: 5.0 if out.answer == "b" else 1.0))
    assert out.answer == "b"


def test_parts_of_an_ensemble_on_one_model_are_drawn_apart():
    model = lm("a", "b", "b")
    run(ol.Ensemble([Ask, Ask, Ask]), model)
    assert sorted(request.sample for request in model.requests) == [0, 1, 2]


def test_an_ensemble_whose_parts_all_fail_raises():
    with pytest.raises(AnswerError):
        run(ol.Ensemble([part(None), part(None)]))


# Fallback


def test_the_first_module_that_gives_an_answer_gives_it():
    third = part("never")
    out = run(ol.Fallback({"a": part(None), "b": part("yes"), "c": third}))
    assert out.answer == "yes"
    assert out.outcome.facts == {"part": "b"}
    assert out.outcome.stopped == "enough"
    assert third.lm.calls == 0
    assert out.trace.spending.calls == 2


def test_a_check_makes_the_next_part_answer():
    out = run(ol.Fallback([part("no"), part("yes")], until=lambda out: out.answer == "yes"))
    assert out.answer == "yes"


def test_errors_that_no_other_part_should_hide_go_out_at_once():
    with pytest.raises(LMAuthError):
        run(ol.Fallback([part(LMAuthError("key")), part("yes")]))
    assert run(ol.Fallback([part(LMServerError("down")), part("yes")])).answer == "yes"


def test_when_every_part_fails_the_last_error_is_raised():
    with pytest.raises(LMServerError, match="down"):
        run(ol.Fallback([part(None), part(LMServerError("down"))]))
    with pytest.raises(AnswerError, match="says no to each of 2 answers"):
        run(ol.Fallback([part("a"), part("b")], until=lambda out: False))


def test_given_models_it_is_a_model_and_given_modules_in_a_row_it_says_what_to_do():
    model = ol.Fallback(lm(LMServerError("down")), lm("spare"))
    assert isinstance(model, ol.LM)
    assert run(ol.Predict(Ask), model).answer == "spare"
    with pytest.raises(UsageError, match="in a list"):
        ol.Fallback(part("a"), part("b"))


# Route


def test_a_function_of_the_inputs_chooses_the_part():
    program = ol.Route(
        {"short": part("s", "s"), "long": part("l")}, by=lambda i: "long" if len(i.question) > 5 else "short"
    )
    assert run(program, question="hi").answer == "s"
    out = run(program, question="a long one")
    assert (out.answer, out.outcome.facts) == ("l", {"part": "long"})


def test_a_module_chooses_the_part_and_takes_the_inputs_that_it_names():
    model = ScriptedLM([{"kind": "b"}])
    program = ol.Route({"a": part("1"), "b": part("2")}, by="question -> kind: Literal['a', 'b']")
    out = run(program, model)
    assert out.answer == "2"
    assert [span.path for span in out.trace] == ["by", "parts.b"]
    assert "by.instruction" in ol.parameters(program)


def test_a_name_that_is_none_goes_to_the_default_or_is_an_error():
    parts = {"alpha": part("1"), "beta": part("2")}
    out = run(ol.Route(parts, by=lambda i: "else", default="beta"))
    assert (out.answer, out.outcome.facts) == ("2", {"part": "beta", "asked_for": "else"})
    with pytest.raises(UsageError, match="Did you mean 'alpha'"):
        run(ol.Route(parts, by=lambda i: "alhpa"))
    with pytest.raises(AnswerError, match="no part here"):
        run(ol.Route(parts, by="question -> kind"), ScriptedLM([{"kind": "zeta"}]))


# Parallel


class Tags(ol.Signature):
    """Tag."""

    text: str = ol.input()
    tags: list[str] = ol.output()


def test_each_part_gets_the_inputs_that_it_takes_and_all_results_come_by_name():
    program = ol.Parallel({"answer": part("a", "a"), "tags": ol.Predict(Tags, lm=ScriptedLM([{"tags": ["x"]}]))})
    out = run(program, question="?", text="t")
    assert out.answer.answer == "a"
    assert out.tags.tags == ["x"]
    assert out.trace.spending.calls == 2
    with pytest.raises(InputError, match="no part takes an input 'txt'"):
        run(program, question="?", txt="t")


def test_errors_are_kept_apart_or_raised():
    parts = {"good": part("a", "a"), "bad": part(None, None)}
    with pytest.raises(AnswerError):
        run(ol.Parallel(parts))
    out = run(ol.Parallel(parts, failures="keep"))
    assert list(out) == ["good"]
    assert isinstance(out.outcome.facts["errors"]["bad"], AnswerError)
    with pytest.raises(AnswerError):
        run(ol.Parallel([part(None), part(None)], failures="keep"))


async def test_parts_run_at_the_same_time():
    import time

    slow = [ol.Predict(Ask, lm=lm("a", latency=0.5)) for _ in range(8)]
    start = time.perf_counter()
    await ol.Parallel(slow).acall(question="?")
    assert time.perf_counter() - start < 3  # 4 s one after another


# Retry


def test_another_try_follows_a_failure_and_a_check_that_says_no():
    model = lm(None, "no", "yes", "more")
    out = run(ol.Retry(Ask, n=4, until=lambda out: out.answer == "yes"), model)
    assert out.answer == "yes"
    assert out.outcome.chosen == 2
    assert model.calls == out.trace.spending.calls == 3
    assert [request.sample for request in model.requests] == [0, 1, 2]


def test_an_answer_that_the_check_refused_is_never_given():
    refuse = lambda out: ol.Score(0.0, "too dull")  # noqa: E731
    with pytest.raises(AnswerError, match="says no to each of 2 answers.*too dull"):
        run(ol.Retry(Ask, n=2, until=refuse), lm("a", "b"))
    model = lm("a", "b", "c")
    with pytest.raises(AnswerError, match="says no"):
        run(ol.Retry(Ask, n=3, until=refuse, budget=ol.Budget(calls=2)), model)
    assert model.calls == 2


def test_errors_that_another_try_cannot_mend_go_out_at_once():
    model = lm(LMAuthError("key"), "yes")
    with pytest.raises(LMAuthError):
        run(ol.Retry(Ask, n=3), model)
    assert model.calls == 1
    assert run(ol.Retry(Ask, n=3, on=LMAuthError), lm(LMAuthError("key"), "yes")).answer == "yes"


# MultiChainComparison


def chains(*answers: str, last: str = "final") -> ScriptedLM:
    def reply(messages: Any) -> Any:
        text = "\n".join(m.text for m in messages)
        if "<<attempts>>" in text:
            return {"answer": last}
        one = next(left)
        return {"reasoning": f"because {one}", "answer": one}

    left = iter(answers)
    return ScriptedLM(reply, keep=True)


def test_chains_are_compared_in_one_more_step():
    model = chains("a", "b", "a")
    out = run(ol.MultiChainComparison(Ask, n=3), model)
    assert type(out) is Ask
    assert out.answer == "final"
    assert model.calls == out.trace.spending.calls == 4
    shown = model.requests[-1].messages[-1].text
    assert "because a" in shown
    assert "because b" in shown
    assert set(ol.modules_of(ol.MultiChainComparison(Ask))) == {"", "think", "compare"}


def test_when_the_budget_ends_early_one_call_is_kept_for_the_comparison():
    model = chains("a", "b", "b", "c")
    out = run(ol.MultiChainComparison(Ask, n=4, budget=ol.Budget(calls=3)), model)
    assert out.answer == "final"
    assert out.outcome.stopped == "calls"
    assert model.calls == 3


# All of them


def test_parts_that_do_not_answer_the_same_are_refused():
    other = ol.Predict("question -> title")
    for make in (ol.Ensemble, ol.Fallback, ol.Cascade):
        with pytest.raises(UsageError, match="one can stand in for another"):
            make([Ask, other])
    with pytest.raises(UsageError, match="one can stand in for another"):
        ol.Route({"a": Ask, "b": other}, by=lambda i: "a")


@pytest.mark.parametrize(
    "make",
    [
        lambda: ol.Ensemble([]),
        lambda: ol.Ensemble(Ask),
        lambda: ol.Ensemble([Ask], how="worst"),
        lambda: ol.Ensemble([Ask], how="best"),
        lambda: ol.Fallback([Ask]),
        lambda: ol.Fallback([Ask, Ask], on="x"),
        lambda: ol.Route([Ask], by=len),
        lambda: ol.Route({"a": Ask}, by=3),
        lambda: ol.Route({"a": Ask}, by=len, default="b"),
        lambda: ol.Parallel([Ask], failures="hide"),
        lambda: ol.Retry(Ask, n=0),
        lambda: ol.Retry(ol.Predict(Ask, temperature=0), until=len),
        lambda: ol.MultiChainComparison(Ask, n=1),
        lambda: ol.Cascade([Ask]),
        lambda: ol.Cascade([Ask, Ask], confidence="feeling"),
        lambda: ol.Cascade([Ask, Ask], samples=1),
    ],
)
def test_options_that_mean_nothing_are_refused(make: Any):
    with pytest.raises(UsageError):
        make()
