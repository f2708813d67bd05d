"""When the next call may go: no window holds too much, whatever the calls are and however they end."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.lms.layers.pace import REQUESTS, SLOTS, TOKENS, Account, Limits


def fullest(events: list[tuple[float, float]], window: float) -> float:
    """The largest sum within any half-open window."""
    most = total = 0.0
    first = 0
    for when, amount in events:
        total += amount
        while events[first][0] <= when - window:
            total -= events[first][1]
            first += 1
        most = max(most, total)
    return most


@settings(max_examples=120, deadline=None)
@given(
    limit=st.floats(1, 500),
    burst=st.floats(0, 1),
    window=st.sampled_from([1.0, 6.0, 60.0]),
    pauses=st.lists(st.floats(0, 0.3), min_size=1, max_size=200),
)
def test_no_window_holds_more_requests_than_allowed(limit, burst, window, pauses):
    account, limits, now = Account(), Limits(limit, None, window, burst), 1000.0
    sent = []
    for pause in pauses:
        now += pause * window
        lease = account.reserve(limits, 0.0, now)
        now = max(now, lease.at)
        sent.append((now, 1.0))
    assert fullest(sent, window) <= limit


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from([0.0, 0.05, 0.5]))
def test_no_window_holds_more_tokens_than_allowed_when_the_estimates_are_right(seed, burst):
    rng = random.Random(seed)
    account, limits, now = Account(), Limits(rng.choice([None, 40]), 1000.0, 10.0, burst), 5.0
    sent = []
    for _ in range(150):
        now += rng.choice([0, 0, rng.random()])
        tokens = rng.choice([1.0, 30.0, rng.uniform(0, 400), 1000.0])
        lease = account.reserve(limits, tokens, now)
        now = max(now, lease.at)
        sent.append((now, tokens))
    assert fullest(sent, 10.0) <= 1000.0 + 1e-6
    if limits.requests:
        assert fullest([(when, 1.0) for when, _ in sent], 10.0) <= 40


def test_leases_come_in_the_order_of_asking_and_the_limit_is_used():
    account, limits = Account(), Limits(600, None)
    leases = [account.reserve(limits, 0.0, 50.0) for _ in range(2400)]
    times = [lease.at for lease in leases]
    assert times == sorted(times)
    assert leases[-1].at - 50.0 == pytest.approx(60 * 2400 / 600, rel=0.03)


def test_after_a_quiet_time_the_burst_goes_at_once_and_the_rest_at_an_even_pace():
    account, limits = Account(), Limits(100, None, 60.0, 0.1)
    times = [account.reserve(limits, 0.0, 6000.0).at for _ in range(14)]
    assert [when < 6000.001 for when in times] == [True] * 11 + [False] * 3
    assert times[13] - times[12] == pytest.approx(0.6)


def test_without_a_burst_calls_are_evenly_spaced():
    account, limits = Account(), Limits(60, None, 60.0, 0.0)
    times = [account.reserve(limits, 0.0, 100.0).at for _ in range(5)]
    assert times == pytest.approx([100.0, 101.0, 102.0, 103.0, 104.0])


def test_a_call_that_is_larger_than_the_limit_waits_for_an_empty_window():
    account, limits = Account(), Limits(None, 100.0, 60.0, 1.0)
    first = account.reserve(limits, 30.0, 1000.0)
    large = account.reserve(limits, 500.0, 1000.0)
    assert first.at == 1000.0
    assert 1060.0 <= large.at <= 1061.9
    assert account.reserve(limits, 1.0, 1000.0).at >= large.at + 60.0


def test_what_was_not_used_is_free_again():
    account, limits = Account(), Limits(None, 1000.0, 60.0, 1.0)
    lease = account.reserve(limits, 1000.0, 1000.0)
    assert account.reserve(limits, 0.0, 1000.0).at == 1000.0
    account.settle(limits, lease.slot, 0.0, -900.0)
    assert account.reserve(limits, 900.0, 1000.5).at == 1000.5
    assert account.used(TOKENS) == pytest.approx(1000.0)


def test_what_was_used_beyond_the_estimate_is_paid_by_later_calls():
    account, limits = Account(), Limits(None, 1000.0, 60.0, 1.0)
    lease = account.reserve(limits, 10.0, 1000.0)
    account.settle(limits, lease.slot, 0.0, 990.0)
    assert account.reserve(limits, 10.0, 1001.0).at >= 1060.0


def test_a_lease_that_is_given_back_leaves_no_trace():
    account, limits = Account(), Limits(10, 100.0, 60.0, 0.0)
    for _ in range(30):
        lease = account.reserve(limits, 7.0, 500.0)
        assert lease.at == 500.0
        account.release(limits, lease)
    assert account == Account()
    assert (account.used(REQUESTS), account.used(TOKENS)) == (0.0, 0.0)


def test_nobody_waits_behind_a_lease_that_was_given_back():
    account, limits = Account(), Limits(None, 100.0, 60.0, 0.0)
    account.reserve(limits, 1.0, 1000.0)
    far = account.reserve(limits, 100.0, 1000.0)
    assert far.at >= 1060.0
    account.release(limits, far)
    assert account.reserve(limits, 1.0, 1001.0).at == 1001.0


def test_nobody_goes_while_the_account_is_held():
    account, limits = Account(), Limits(100, None)
    account.held = 1007.0
    assert account.reserve(limits, 0.0, 1000.0).at == 1007.0


def test_it_does_not_grow_and_survives_a_clock_that_begins_anew():
    account, limits, now = Account(), Limits(10_000, None), 1e5
    for _ in range(5000):
        now += 0.05
        account.reserve(limits, 0.0, now)
    assert len(account.slots) <= SLOTS + 3
    assert account.reserve(limits, 0.0, 3.0).at == 3.0  # the machine was restarted
    assert len(account.slots) == 1


def test_without_limits_everything_goes_at_once():
    account = Account()
    assert [account.reserve(Limits(None, None), 1e9, 10.0).at for _ in range(3)] == [10.0] * 3
