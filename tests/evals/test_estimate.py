"""Estimates: what a run will take, before it; no model is asked."""

from __future__ import annotations

from typing import Any

import pytest

import outlast as ol
from outlast.errors import DataError, UsageError
from outlast.evals.estimate import Range, estimate
from outlast.testing import FakeServer, ScriptedLM


class Two(ol.Module):
    """Two steps, the second of which needs the first one's answer."""

    first = ol.Predict("question -> draft")
    second = ol.Predict("draft -> count: int")

    def forward(self, question: str) -> Any:
        return self.second(draft=self.first(question=question).draft)


def data(count: int) -> ol.Dataset:
    return ol.Dataset([ol.Example({"question": f"How long does refund {n} take?"}, {"count": 1}) for n in range(count)])


def test_every_step_is_seen_and_scaled_to_the_whole():
    found = estimate(Two(), data(100), lm=ol.LM("openai/gpt-5-mini", max_tokens=50, cache=False), sample=10)
    assert (found.examples, found.sampled, found.calls) == (100, 10, 200)
    assert found.output_tokens.high == 200 * 50
    assert found.input_tokens.low < found.input_tokens.likely < (found.input_tokens.high or 0)
    assert found.dollars is not None
    assert found.dollars.low < found.dollars.likely < (found.dollars.high or 0)
    assert found.models == ("openai/gpt-5-mini",)
    assert found.sources[0].startswith("genai-prices")
    assert "at most" in str(found)


def test_the_real_run_stays_within_the_high_figure_and_near_the_likely_one():
    with FakeServer(lambda body: "<<draft>>\nfive days\n\n<<end>>") as server:
        lm = ol.LM("openai/m", base_url=server.url, price=(1, 2), max_tokens=20, cache=False)
        program = ol.Predict("question -> draft", lm=lm)
        found = estimate(program, data(30))
        with ol.budget(dollars=(found.dollars or Range(0, 0, 0)).high or 0) as spent:
            ol.evaluate(program, data(30), ol.metric(lambda example, out: True), progress=False)
    assert spent.calls == found.calls == 30
    assert found.dollars is not None
    assert spent.dollars < (found.dollars.high or 0)
    assert 0.3 < found.input_tokens.likely / spent.input_tokens < 3


def test_no_model_is_asked_and_nothing_is_spent():
    lm = ScriptedLM(lambda _: {"draft": "x"}, price=0.5)
    with ol.budget(calls=1) as spent, ol.trace() as spans:
        found = estimate(ol.Predict("question -> draft", lm=lm), data(8))
    assert (lm.calls, spent.calls, len(spans)) == (0, 0, 0)
    assert found.dollars == Range(4.0, 4.0, 4.0)


def test_an_unknown_price_is_unknown_and_a_bound_that_is_not_there_is_none():
    found = estimate(ol.Predict("question -> draft"), data(5), lm="ollama/qwen3")
    assert (found.dollars, found.unpriced) == (None, ("ollama/qwen3",))
    assert found.output_tokens.high is None
    assert "nobody knows the price of ollama/qwen3" in str(found)
    assert found.to_json()["dollars"] is None


def test_what_a_dialect_sends_anyway_bounds_the_output():
    found = estimate(ol.Predict("question -> draft"), data(5), lm="anthropic/claude-sonnet-4-5")
    assert found.output_tokens.high is not None
    assert found.dollars is not None
    assert found.dollars.high is not None


def test_a_user_may_know_better_what_a_reply_takes():
    short, long = (
        estimate(ol.Predict("question -> draft"), data(5), lm="openai/gpt-5-mini", output_tokens=tokens)
        for tokens in (1, 1000)
    )
    assert (short.output_tokens.likely, long.output_tokens.likely) == (5, 5000)
    assert short.dollars is not None
    assert long.dollars is not None
    assert long.dollars.likely > short.dollars.likely


def test_what_means_nothing_is_refused():
    with pytest.raises(DataError, match="at least one example"):
        estimate(Two(), [], lm="openai/gpt-5-mini")
    for options in ({"sample": 0}, {"sample": 1.5}, {"output_tokens": -1}, {"output_tokens": float("nan")}):
        with pytest.raises(UsageError, match=next(iter(options))):
            estimate(Two(), data(1), lm="openai/gpt-5-mini", **options)  # type: ignore[arg-type]
