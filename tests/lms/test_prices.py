"""Prices: the user's, the provider's or the table's; unknown stays unknown, and nothing is billed twice."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.errors import ConfigError
from outlast.lms import prices
from outlast.lms.prices import Price, as_price, find_price, priced, table
from outlast.messages import Usage

SOURCE = str(Path(prices.__file__).parents[2])
NOVEMBER = datetime(2026, 11, 29, tzinfo=UTC).timestamp()
amounts = st.floats(0, 1000, allow_nan=False)
maybe = st.none() | amounts
price_values = st.builds(Price, amounts, amounts, maybe, maybe, maybe, st.floats(0, 0.1))
tokens = st.integers(0, 3_000_000)


@given(price_values, tokens, tokens, tokens, tokens, tokens)
def test_the_parts_of_a_call_never_cost_more_than_its_whole(
    price: Price, incoming: int, outgoing: int, cached: int, written: int, hidden: int
):
    """However a server counts cached, written and hidden tokens, each token has one price."""
    cost = price.cost(Usage(incoming, outgoing, cached, hidden, cache_write_tokens=written))
    assert cost is not None
    dearest_in = max(price.input, price.cached_input or 0, price.cache_write or 0)
    cheapest_in = min(price.input, *(p for p in (price.cached_input, price.cache_write) if p is not None), price.input)
    dearest_out = max(price.output, price.reasoning or 0)
    cheapest_out = min(price.output, price.output if price.reasoning is None else price.reasoning)
    assert cost <= (incoming * dearest_in + outgoing * dearest_out) / 1e6 + price.call + 1e-9
    assert cost >= (incoming * cheapest_in + outgoing * cheapest_out) / 1e6 + price.call - 1e-9
    assert cost <= price.most(incoming, outgoing) + 1e-9


@given(price_values, tokens, tokens, tokens)
def test_cached_input_is_billed_once(price: Price, plain: int, cached: int, outgoing: int):
    cost = price.cost(Usage(plain + cached, outgoing, cached))
    rate = price.input if price.cached_input is None else price.cached_input
    assert cost == pytest.approx((plain * price.input + cached * rate + outgoing * price.output) / 1e6 + price.call)


@given(price_values, tokens, tokens, st.integers(0, 1000), st.integers(0, 1000))
def test_more_tokens_never_cost_less(price: Price, incoming: int, outgoing: int, more_in: int, more_out: int):
    less, more = price.cost(Usage(incoming, outgoing)), price.cost(Usage(incoming + more_in, outgoing + more_out))
    assert less is not None
    assert more is not None
    assert more >= less - 1e-9


@given(price_values, st.sampled_from([Usage(), Usage(5), Usage(None, 5), Usage(cached_tokens=3)]))
def test_unknown_tokens_have_no_cost(price: Price, usage: Usage):
    assert price.cost(usage) is None
    assert priced(usage, "m", "openai", price=price) == usage


@given(price_values, st.floats(0, 3), tokens, tokens)
def test_a_factor_scales_the_whole_bill(price: Price, factor: float, incoming: int, outgoing: int):
    usage = Usage(incoming, outgoing, incoming // 2, outgoing // 3)
    whole, part = price.cost(usage), price.times(factor).cost(usage)
    assert whole is not None
    assert part is not None
    assert part == pytest.approx(whole * factor, rel=1e-6, abs=1e-9)


def test_a_long_input_prices_the_whole_call():
    price = Price(1, 2, longer=((1000, Price(10, 20)), (5000, Price(100, 200))))
    assert price.cost(Usage(1000, 0)) == pytest.approx(0.001)
    assert price.cost(Usage(1001, 0)) == pytest.approx(0.01001)
    assert price.cost(Usage(5001, 1)) == pytest.approx(0.5003)
    assert price.most(1000, 1) == pytest.approx(0.001002)
    assert price.most(5001, 1) == pytest.approx(0.5003)


def test_the_most_of_a_call_counts_cheaper_long_inputs_too():
    """A table in which more input is cheaper per token must not lower the bound."""
    assert Price(10, 10, longer=((1000, Price(1, 1)),)).most(1001, 0) >= 0.01


def test_hidden_output_has_its_own_price():
    assert Price(0, 10, reasoning=30).cost(Usage(0, 3_000_000, reasoning_tokens=1_000_000)) == 50


@pytest.mark.parametrize(
    "wrong", [-1, "2", (1,), (1, 2, 3), (1, -2), (1, None), (True, 1), ("a", "b"), {"input": 1}, (float("nan"), 1)]
)
def test_a_price_that_means_nothing_is_refused(wrong: Any):
    with pytest.raises(ConfigError, match="dollars per million"):
        as_price(wrong)


@pytest.mark.parametrize("options", [{"input": -1}, {"cached_input": "x"}, {"call": None}, {"tiers": {"flex": -1}}])
def test_a_price_record_checks_itself(options: dict[str, Any]):
    with pytest.raises(ConfigError, match="price"):
        Price(**{"input": 1, "output": 2, **options})


def test_a_price_is_a_value():
    price = Price(1, 2, tiers={"flex": 0.5})
    assert as_price((1, 2)) == Price(1.0, 2.0)
    assert as_price(price) is price
    assert as_price(None) is None
    assert pickle.loads(pickle.dumps(price)) == price == copy.deepcopy(price)
    assert hash(price) == hash(Price(1, 2))


def test_the_users_price_beats_the_providers_word_and_the_table():
    told = Usage(1_000_000, 0, cost=9.0, cost_source="provider")
    assert priced(told, "gpt-5-mini", "openai", price=Price(1, 1)).cost == 1
    assert priced(told, "gpt-5-mini", "openai").cost == 9
    assert priced(told, "gpt-5-mini", "openai").cost_source == "provider"


@pytest.mark.parametrize(
    ("provider", "tier", "cost", "source"),
    [
        ("openai", None, 1.0, "user"),
        ("openai", "default", 1.0, "user"),
        ("groq", "on_demand", 1.0, "user"),
        ("openai", "flex", 0.5, "user, tier flex"),
        ("openai", "batch", 0.5, "user, tier batch"),
        ("anthropic", "batch", 0.5, "user, tier batch"),
        ("anthropic", "flex", None, None),
        ("openai", "priority", None, None),
        ("", "flex", None, None),
    ],
)
def test_tiers_change_a_users_price_only_where_that_is_known(
    provider: str, tier: str | None, cost: float | None, source: str | None
):
    usage = priced(Usage(1_000_000, 0), "m", provider, tier=tier, price=Price(1, 1))
    assert (usage.cost, usage.cost_source) == (cost, source)


def test_a_user_can_say_what_a_tier_costs():
    price = Price(1, 1, tiers={"priority": 2.5, "default": 0.9})
    assert priced(Usage(1_000_000, 0), "m", "", tier="priority", price=price).cost == 2.5
    assert priced(Usage(1_000_000, 0), "m", "", tier="default", price=price).cost == pytest.approx(0.9)


def test_the_table_names_itself_and_the_date_of_its_data():
    usage = priced(Usage(1_000_000, 1_000_000, 400_000), "gpt-5-mini", "openai", at=NOVEMBER)
    assert usage.cost == pytest.approx(0.6 * 0.25 + 0.4 * 0.025 + 2)
    assert usage.cost_source == table()
    assert usage.cost_source is not None
    name, day = usage.cost_source.split(", ")
    assert name.startswith("genai-prices ")
    assert datetime.fromisoformat(day) <= datetime.now()


def test_the_table_knows_tiers_and_batches():
    half = find_price("gpt-5-mini", "openai", tier="flex", at=NOVEMBER)
    assert half is not None
    assert half.price.output == 1
    assert half.source.endswith("tier flex")
    batch = find_price("claude-sonnet-4-5", "anthropic", tier="batch", at=NOVEMBER)
    whole = find_price("claude-sonnet-4-5", "anthropic", at=NOVEMBER)
    assert batch is not None
    assert whole is not None
    assert batch.price == whole.price.times(0.5)
    assert find_price("claude-sonnet-4-5", "anthropic", tier="flex", at=NOVEMBER) is None


def test_a_price_holds_from_its_day_on():
    before = datetime(2026, 9, 1, tzinfo=UTC).timestamp()
    assert find_price("gpt-5-mini", "openai", tier="flex", at=before) is None  # flex is listed from October
    assert find_price("gpt-5-mini", "openai", at=before) is not None


def test_cache_writes_have_their_price():
    usage = priced(Usage(1000, 0, 0, cache_write_tokens=1000), "claude-sonnet-4-5", "anthropic", at=NOVEMBER)
    assert usage.cost == pytest.approx(1000 * 3.75 / 1e6)


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-5-mini", ""),
        ("gpt-5-mini", "ollama"),
        ("qwen3", "vllm"),
        ("no-such-model", "openai"),
        ("gpt-5-mini", "nobody"),
        ("gpt-5-mini", "http://127.0.0.1:8000/v1"),
        ("", "openai"),
    ],
)
def test_what_nobody_lists_is_unknown_and_never_free(model: str, provider: str):
    assert priced(Usage(10, 10), model, provider) == Usage(10, 10)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-5-mini"),
        ("openai-responses", "gpt-5-mini"),
        ("azure", "gpt-5-mini"),
        ("anthropic", "claude-sonnet-4-5"),
        ("gemini", "gemini-2.5-flash"),
        ("openrouter", "openai/gpt-5-mini"),
        ("groq", "llama-3.3-70b-versatile"),
        ("mistral", "mistral-large-latest"),
        ("deepseek", "deepseek-chat"),
        ("xai", "grok-4"),
        ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
        ("moonshot", "kimi-k2-0905-preview"),
        ("zai", "glm-4.6"),
    ],
)
def test_every_provider_that_sells_is_in_the_table(provider: str, model: str):
    assert find_price(model, provider, at=NOVEMBER) is not None


def test_a_provider_in_another_dialect_has_the_same_tiers():
    price = Price(1, 1)
    half = [find_price("m", name, tier="flex", price=price) for name in ("openai", "openai-responses", "gemini")]
    assert [found.price.input for found in half if found is not None] == [0.5, 0.5, 0.5]


def test_a_server_is_known_by_its_address():
    named, addressed = (
        find_price("llama-3.3-70b-versatile", place, at=NOVEMBER)
        for place in ("groq", "https://api.groq.com/openai/v1")
    )
    assert named is not None
    assert named == addressed


def test_a_newer_version_costs_what_the_alias_that_was_asked_for_costs():
    found = find_price("gpt-5-mini-2029-01-01", "openai", asked="gpt-5-mini", at=NOVEMBER)
    assert found == find_price("gpt-5-mini", "openai", at=NOVEMBER)


def test_without_the_extra_prices_are_unknown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prices, "_library", lambda: None)
    prices._listed.cache_clear()
    try:
        assert find_price("gpt-5-mini", "openai") is None
        assert table() is None
        assert priced(Usage(1_000_000, 0), "m", "openai", price=Price(2, 2)).cost == 2
    finally:
        prices._listed.cache_clear()


def test_20_the_table_is_not_searched_again_for_every_call(monkeypatch: pytest.MonkeyPatch):
    found = find_price("gpt-5-mini", "openai", at=NOVEMBER)
    asked = 0

    def snapshot() -> Any:
        nonlocal asked
        asked += 1
        raise AssertionError("searched")

    monkeypatch.setattr(prices, "_snapshot", snapshot)
    for _ in range(1000):
        assert find_price("gpt-5-mini", "openai", at=NOVEMBER) is found
    assert asked == 0


def test_18_cached_tokens_are_not_billed_twice_and_unknown_is_not_zero():
    usage = Usage(1_000_000, 0, 1_000_000)
    assert priced(usage, "m", price=Price(1, 1, cached_input=0.1)).cost == pytest.approx(0.1)
    assert priced(usage, "m").cost is None
    assert priced(replace(usage, input_tokens=0, cached_tokens=0), "m", price=Price(1, 1)).cost == 0


def test_the_table_is_loaded_while_the_first_reply_is_waited_for():
    """In a new process: asking does not load it, and the thread that does is done when it is needed."""
    code = (
        "import sys, time\n"
        "from outlast.lms.prices import find_price, prepare\n"
        "prepare()\n"
        "until = time.monotonic() + 30\n"
        "while 'genai_prices.data' not in sys.modules and time.monotonic() < until:\n"
        "    time.sleep(0.01)\n"
        "assert find_price('gpt-5-mini', 'openai') is not None\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env={**os.environ, "PYTHONPATH": SOURCE})
