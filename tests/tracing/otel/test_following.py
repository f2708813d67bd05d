"""From a running program through the store to a collector."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.tracing.otel.conftest import Collector

import outlast as ol
from outlast.errors import UsageError
from outlast.testing import ScriptedLM
from outlast.tracing.otel import OTel
from outlast.tracing.switch import flush, from_environment


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """A place for a store; what goes on from it ends with the test."""
    place = tmp_path / "traces.db"
    yield place
    ol.configure(trace=place)
    ol.configure(otel=False)
    ol.configure(trace=False)
    assert flush(5)


def answers(*texts: str) -> ScriptedLM:
    return ScriptedLM([{"answer": text} for text in texts])


def keys(span: Any) -> set[str]:
    return {pair.key for pair in span.attributes}


def test_each_call_arrives_once_as_a_whole(store: Path, collector: Collector) -> None:
    sink = OTel(collector.url)
    ol.configure(trace=store, otel=sink)
    program = ol.Predict("question -> answer")
    with ol.context(lm=answers("a", "b", "c")):
        for word in "abc":
            program(question=word)
    assert flush(5)
    assert sink.counts.spans == 6
    assert [span.name for span in collector.spans] == ["invoke_workflow Predict", "chat scripted"] * 3
    kept = ol.open_store(store, read_only=True)
    assert {span.trace_id.hex() for span in collector.spans} == {trace.id for trace in kept.traces()}
    for parent, child in zip(collector.spans[::2], collector.spans[1::2], strict=True):
        assert (parent.parent_span_id, child.parent_span_id) == (b"", parent.span_id)
    assert not any("messages" in key or "value" in key for span in collector.spans for key in keys(span))
    kept.close()


def test_content_comes_from_the_store(store: Path, collector: Collector) -> None:
    ol.configure(trace=store, otel=OTel(collector.url, content=True))
    with ol.context(lm=answers("yes")):
        ol.Predict("question -> answer")(question="is it so?")
    assert flush(5)
    call = {pair.key: pair.value.string_value for pair in collector.spans[1].attributes}
    assert "is it so?" in call["gen_ai.input.messages"]
    assert '"finish_reason": "stop"' in call["gen_ai.output.messages"]


def test_a_long_call_arrives_when_it_is_over(store: Path, collector: Collector) -> None:
    ol.configure(trace=store, otel=collector.url)

    class Twice(ol.Module):
        ask = ol.Predict("question -> answer")

        def forward(self, question: str) -> Any:
            first = self.ask(question=question)
            assert flush(5)
            assert collector.spans == []
            return self.ask(question=first.answer)

    with ol.context(lm=answers("a", "b")):
        Twice()(question="q")
    assert flush(5)
    assert [span.name for span in collector.spans][:1] == ["invoke_workflow Twice"]
    assert len(collector.spans) == 5


def test_a_failed_call_is_an_error_there(store: Path, collector: Collector) -> None:
    ol.configure(trace=store, otel=collector.url)
    with ol.context(lm=ScriptedLM([TimeoutError("secret words")])), pytest.raises(TimeoutError):
        ol.Predict("question -> answer")(question="q")
    assert flush(5)
    assert collector.spans[0].status.code == 2
    assert collector.spans[0].status.message == "TimeoutError"


def test_a_call_inside_a_span_of_the_application_is_its_child(store: Path, collector: Collector) -> None:
    from opentelemetry.sdk.trace import TracerProvider

    ol.configure(trace=store, otel=collector.url)
    program = ol.Predict("question -> answer")
    with ol.context(lm=answers("a", "b", "c")):
        with TracerProvider().get_tracer("app").start_as_current_span("request") as request:
            program(question="1")
            program(question="2")
        program(question="3")
    assert flush(5)
    context = request.get_span_context()
    joined, alone = collector.spans[:4], collector.spans[4:]
    assert {int.from_bytes(span.trace_id, "big") for span in joined} == {context.trace_id}
    assert [int.from_bytes(span.parent_span_id, "big") for span in joined[::2]] == [context.span_id] * 2
    assert alone[0].parent_span_id == b""
    kept = ol.open_store(store, read_only=True)
    attributes = [trace.attributes.get("otel.trace_id") for trace in kept.traces()]
    assert attributes == [None, f"{context.trace_id:032x}", f"{context.trace_id:032x}"]
    kept.close()


def test_a_new_sink_takes_the_place_of_the_old_one(store: Path, collector: Collector) -> None:
    old, new = OTel(collector.url), OTel(collector.url)
    program = ol.Predict("question -> answer")
    ol.configure(trace=store, otel=old)
    with ol.context(lm=answers("a", "b", "c")):
        program(question="1")
        assert flush(5)
        ol.configure(otel=new)
        program(question="2")
        assert flush(5)
        ol.configure(otel=False)
        program(question="3")
    assert flush(5)
    assert (old.counts.spans, new.counts.spans) == (2, 2)
    assert len(collector.spans) == 4


def test_without_a_store_there_is_nothing_to_send() -> None:
    with pytest.raises(UsageError, match=r"give trace='traces\.db' too"):
        ol.configure(otel="http://localhost:4318")
    ol.configure(otel=False)


def test_the_thread_that_sends_is_there_before_the_process_ends(store: Path, collector: Collector) -> None:
    sink = OTel(collector.url)
    ol.configure(trace=store, otel=sink)
    assert sink._thread is not None
    assert sink._thread.is_alive()


@pytest.mark.parametrize("otel", [7, "localhost", ["http://a"]])
def test_what_is_no_collector_is_refused_before_anything_is_set(store: Path, otel: Any) -> None:
    with pytest.raises(UsageError):
        ol.configure(trace=store, otel=otel)
    assert not store.exists()


def test_the_environment_can_say_it(
    store: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OUTLAST_TRACE", str(store))
    monkeypatch.setenv("OUTLAST_OTEL", collector.url)
    from_environment()
    with ol.context(lm=answers("a")):
        ol.Predict("question -> answer")(question="q")
    assert flush(5)
    assert len(collector.spans) == 2
    monkeypatch.setenv("OUTLAST_OTEL", "nowhere")
    from_environment()
    assert "OUTLAST_OTEL: an OTLP endpoint is an http(s) address" in caplog.text


@pytest.mark.slow
def test_a_process_that_ends_at_once_loses_nothing(tmp_path: Path, collector: Collector) -> None:
    code = (
        "import outlast as ol\n"
        "from outlast.testing import ScriptedLM\n"
        f"ol.configure(lm=ScriptedLM([{{'answer': 'a'}}]), trace={str(tmp_path / 't.db')!r}, otel={collector.url!r})\n"
        "ol.Predict('question -> answer')(question='q')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert [span.name for span in collector.spans] == ["invoke_workflow Predict", "chat scripted"]


@pytest.mark.slow
def test_a_process_without_a_collector_ends_soon_and_says_what_was_not_sent(tmp_path: Path) -> None:
    code = (
        "import outlast as ol\n"
        "from outlast.testing import ScriptedLM\n"
        f"ol.configure(lm=ScriptedLM(lambda m: {{'answer': 'a'}}), trace={str(tmp_path / 't.db')!r},"
        " otel='http://127.0.0.1:9')\n"
        "for word in 'abc': ol.Predict('question -> answer')(question=word)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    [said] = [line for line in done.stderr.splitlines() if "not sent" in line]
    assert said.endswith("6 spans were not sent to http://127.0.0.1:9/v1/traces: nobody is there")


@pytest.mark.slow
def test_nothing_of_opentelemetry_is_loaded_until_it_is_asked_for(tmp_path: Path) -> None:
    code = (
        "import sys, outlast as ol\n"
        "from outlast.testing import ScriptedLM\n"
        f"ol.configure(lm=ScriptedLM([{{'answer': 'a'}}]), trace={str(tmp_path / 't.db')!r})\n"
        "ol.Predict('question -> answer')(question='q')\n"
        "found = [name for name in sys.modules if name.startswith(('opentelemetry', 'outlast.tracing.otel'))]\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
