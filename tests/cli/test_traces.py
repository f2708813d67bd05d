"""`outlast traces export`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.tracing.otel.conftest import Collector
from tests.tracing.otel.records import contents, spans, trace

import outlast as ol
from outlast.tracing.record import RunRecord
from outlast.tracing.saving import WholeTrace


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


@pytest.fixture
def stored(tmp_path: Path) -> str:
    """A store with a trace of five spans that has a label, one of an hour later, and one that goes on."""
    place = str(tmp_path / "traces.db")
    first = trace()
    later = replace(first, id="f" * 32, name="Later", started=first.started + 3600, tags=("new",))
    going = replace(first, id="e" * 32, seconds=None, status="open")
    own = tuple(
        replace(span, id=f"{n:016x}", trace_id=later.id, parent_id="") for n, span in enumerate(spans()[:1], 100)
    )
    with ol.open_store(place, create=True) as store:
        wholes = [WholeTrace(first, tuple(spans()), contents()), WholeTrace(later, own), WholeTrace(going)]
        store.save_records([RunRecord(first.run_id, "import")], wholes)
        store.add_label(first.id, "fail", name="helpful", note="my private note")
    return place


def test_a_store_goes_to_a_collector(outlast, stored: str, collector: Collector) -> None:
    done = outlast("traces", "export", stored, "--otlp", collector.url)
    assert (done.code, done.out) == (0, "6 spans of 2 traces sent\n")
    assert "1 trace not over yet, left out" in done.err
    assert [span.name for span in collector.spans][:2] == ["invoke_workflow Later", "invoke_workflow Forecast"]
    assert [event.name for event in collector.spans[1].events] == ["exception", "gen_ai.evaluation.result"]
    sent = collector.requests[0].SerializeToString()
    assert b"Paris" not in sent
    assert b"private" not in sent


def test_content_and_one_convention_when_asked_for(outlast, stored: str, collector: Collector) -> None:
    words = ("--content", "--format", "gen_ai", "--header", "x-key=k=1", "--service", "shop", "--project", "p")
    assert outlast("traces", "export", stored, "--otlp", collector.url, *words).code == 0
    sent = collector.requests[0].SerializeToString()
    assert b"What of Paris?" in sent
    assert b"my private note" in sent
    assert b"openinference.span.kind" not in sent
    assert collector.headers[0]["x-key"] == "k=1"


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("--limit", "1"), ["invoke_workflow Later"]),
        (("--tag", "new"), ["invoke_workflow Later"]),
        (("--name", "Nothing"), []),
        (("--since", "2026-09-21T14:40:00+00:00"), ["invoke_workflow Later"]),
    ],
)
def test_a_part_of_it(outlast, stored: str, collector: Collector, words: tuple[str, ...], names: list[str]) -> None:
    done = outlast("traces", "export", stored, "--otlp", collector.url, *words, "--json")
    assert [span.name for span in collector.spans] == names
    assert done.json["spans"] == len(names)
    assert done.json["lost"] == 0


def test_a_collector_that_refuses_ends_it(outlast, stored: str, collector: Collector) -> None:
    collector.status = 401
    done = outlast("traces", "export", stored, "--otlp", collector.url)
    assert (done.code, done.out) == (1, "")
    assert "the collector took nothing of the first message" in done.err


def test_many_traces_of_one_moment_all_arrive(outlast, tmp_path: Path, collector: Collector) -> None:
    place = str(tmp_path / "many.db")
    one = replace(trace(), tags=())
    wholes = []
    for n in range(1200):
        own = replace(one, id=f"{n:032x}", started=one.started + n // 700)
        wholes.append(WholeTrace(own, (replace(spans()[0], id=f"{n + 1:016x}", trace_id=own.id),)))
    with ol.open_store(place, create=True) as store:
        store.save_records([], wholes)
    assert outlast("traces", "export", place, "--otlp", collector.url, "--json").json["traces"] == 1200
    assert len({span.span_id for span in collector.spans}) == 1200


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--otlp", "localhost:4318"), 2, "an OTLP endpoint is an http"),
        (("--otlp", "http://a", "--header", "key"), 2, "--header takes name=value"),
        (("--otlp", "http://a", "--timeout", "0"), 2, "--timeout"),
        (("--otlp", "http://a", "--since", "soon"), 2, "a time is"),
        (("--otlp", "http://a", "--format", "x"), 2, "invalid choice"),
    ],
)
def test_options_that_cannot_be(outlast, stored: str, words: tuple[str, ...], code: int, said: str) -> None:
    done = outlast("traces", "export", stored, *words)
    assert done.code == code
    assert said in done.err


def test_a_store_that_is_not_there(outlast) -> None:
    assert outlast("traces", "export", "nowhere.db", "--otlp", "http://a").code == 3
