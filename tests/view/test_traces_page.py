"""What the list of traces makes of an address and of a search."""

from __future__ import annotations

import pytest

from outlast.errors import UsageError
from outlast.tracing.record import TraceFilter
from outlast.view.pages.traces import filter_of, marked


def test_an_address_is_a_filter() -> None:
    assert filter_of({}) == TraceFilter()
    told = {"name": "Triage", "status": "error", "labelled": "no", "min_cost": "0.5", "since": "2026-11-29", "tag": "a"}
    assert filter_of(told) == TraceFilter(
        name="Triage", status="error", labelled=False, min_cost=0.5, since=1_795_910_400.0, tag="a"
    )
    since = filter_of({"since": "2h"}).since
    assert since is not None
    assert since > filter_of({"since": "1d"}).since


@pytest.mark.parametrize(
    "query",
    [{"since": "soon"}, {"until": "h"}, {"min_cost": "much"}, {"min_seconds": "nan"}, {"since": "99999999999w"}],
)
def test_what_is_no_time_and_no_number_is_said(query: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=next(iter(query))):
        filter_of(query)


def test_matches_of_a_search_are_marked_and_other_brackets_are_not() -> None:
    assert marked("the [petrol] station", "petrol") == "the <mark>petrol</mark> station"
    assert marked("[[ ## message ## ]] my [petrol]", "petrol") == "[[ ## message ## ]] my <mark>petrol</mark>"
    assert marked("[[ ## [message] ## ]]", "Message") == "[[ ## <mark>message</mark> ## ]]"
    assert marked("two [red cars] [here]", "red car") == "two <mark>red cars</mark> [here]"
    assert marked("[<b>b] [] ]", "b") == "<mark>&lt;b&gt;b</mark> [] ]"
