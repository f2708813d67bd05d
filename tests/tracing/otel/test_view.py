"""What goes out of a record, to the letter, for each convention, with and without content.

`OUTLAST_GOLDEN=update make test` writes the files anew.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openinference.semconv import trace as published
from tests.tracing.otel.records import STARTED, TRACE, contents, label, spans, trace

from outlast.errors import UsageError
from outlast.messages import Request, Response, user
from outlast.tracing.otel import Traced, exported
from outlast.tracing.otel.conventions import OpenInference
from outlast.tracing.otel.messages import LONGEST
from outlast.tracing.otel.naming import named
from outlast.tracing.otel.view import ExportedSpan, checked_format
from outlast.tracing.record import Content

GOLDEN = Path(__file__).parent / "golden"
SECRETS = ("Paris", "secret", "private", "Be brief", "rain", "sig=", "too slow", "Looks.")


def shown(found: list[ExportedSpan]) -> str:
    """The spans as readable JSON."""
    data = [
        {
            "name": span.name,
            "kind": "CLIENT" if span.calls_out else "INTERNAL",
            "trace": f"{span.trace_id:032x}",
            "id": f"{span.span_id:016x}",
            "parent": None if span.parent_id is None else f"{span.parent_id:016x}",
            "nanoseconds": span.ended - span.started,
            "ok": span.ok,
            "problem": span.problem,
            "attributes": dict(sorted(span.attributes.items())),
            "events": [[event.name, dict(event.attributes)] for event in span.events],
        }
        for span in found
    ]
    return json.dumps(data, ensure_ascii=False, indent=1) + "\n"


@pytest.mark.parametrize("content", [False, True], ids=["bare", "content"])
@pytest.mark.parametrize("format", ["gen_ai", "openinference"])
def test_the_spans_are_the_golden_ones(traced: Traced, format: Any, content: bool) -> None:
    text = shown(exported(traced, format, content=content))
    path = GOLDEN / f"{format}_{'content' if content else 'bare'}.json"
    if os.environ.get("OUTLAST_GOLDEN") == "update":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{path} differs; OUTLAST_GOLDEN=update writes it anew"


def test_both_is_the_two_together(traced: Traced) -> None:
    both = exported(traced, "both", content=True)
    for one in ("gen_ai", "openinference"):
        for span, part in zip(both, exported(traced, one, content=True), strict=True):
            assert part.attributes.items() <= span.attributes.items()


@pytest.mark.parametrize("format", ["gen_ai", "openinference", "both"])
def test_nothing_that_anybody_wrote_goes_out_unasked(traced: Traced, format: Any) -> None:
    bare, full = (shown(exported(traced, format, content=content)) for content in (False, True))
    assert [word for word in SECRETS if word in bare] == []
    assert [word for word in SECRETS if word not in full] == ["sig="]  # secrets of an address never do


def test_bytes_of_media_never_go_out(traced: Traced) -> None:
    text = shown(exported(traced, "both", content=True))
    assert "iVBOR" not in text
    assert "iVBP" not in text
    assert "8 bytes" in text


def test_the_times_are_those_of_the_record(traced: Traced) -> None:
    found = exported(traced)
    assert found[0].started == 1_790_000_000_250_000_000 == int(STARTED * 4) * 250_000_000
    assert found[0].ended - found[0].started == 4_000_000_000


def test_a_program_that_is_an_agent_itself_is_one_there() -> None:
    (found,) = exported(Traced(trace(name="ReAct"), [replace(spans()[0], name="ReAct")]))
    assert (found.name, found.attributes["gen_ai.operation.name"]) == ("invoke_agent ReAct", "invoke_agent")
    assert found.attributes["openinference.span.kind"] == "AGENT"


def test_a_joined_trace_is_a_child_of_the_span_of_the_application(traced: Traced) -> None:
    theirs = {"otel.trace_id": "f" * 32, "otel.span_id": "e" * 16}
    found = exported(replace(traced, trace=trace(attributes=theirs)))
    assert {span.trace_id for span in found} == {int("f" * 32, 16)}
    assert found[0].parent_id == int("e" * 16, 16)
    assert found[1].parent_id == 1
    assert found[0].attributes["outlast.trace.id"] == TRACE


def test_open_spans_and_what_is_below_them_wait(traced: Traced) -> None:
    held = [replace(span, seconds=None, status="open") if span.id.endswith("2") else span for span in spans()]
    assert [span.span_id for span in exported(replace(traced, spans=held))] == [1]


def test_long_texts_are_cut_and_say_so() -> None:
    asked = Request((user("x" * (LONGEST + 5)),)).to_json()
    held = {f"{3:016x}": Content(None, None, asked, None)}
    found = exported(Traced(trace(), spans(), held), content=True)[2]
    told = json.loads(str(found.attributes["gen_ai.input.messages"]))
    assert told[0]["parts"][0]["content"].endswith("x… (5 more characters)")
    assert "more characters)" in str(found.attributes["input.value"])


def test_arguments_that_are_no_object_go_out_as_text() -> None:
    reply = {**Response("").to_json(), "tool_calls": [["c", "look", "[" * 100_000]], "finish": "tool_calls"}
    held = {f"{3:016x}": Content(None, None, None, reply)}
    found = exported(Traced(trace(), spans(), held), content=True)[2]
    told = json.loads(str(found.attributes["gen_ai.output.messages"]))
    assert told[0]["parts"][0]["arguments"].startswith("[[[")
    assert told[0]["finish_reason"] == "tool_call"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("pass", {"gen_ai.evaluation.score.label": "pass"}),
        ("my words", {}),
        (True, {"gen_ai.evaluation.score.value": 1.0}),
        (0.25, {"gen_ai.evaluation.score.value": 0.25}),
        (None, {}),
    ],
)
def test_labels_are_evaluations(value: Any, told: dict[str, Any]) -> None:
    found = exported(Traced(trace(), spans(), {}, (label(value),)), "gen_ai")
    event = found[0].events[-1]
    assert event.name == "gen_ai.evaluation.result"
    assert event.attributes == {"gen_ai.evaluation.name": "helpful", **told}
    assert [len(span.events) for span in found[1:4]] == [0, 0, 0]


def test_a_label_of_a_span_stands_at_that_span() -> None:
    found = exported(Traced(trace(), spans(), {}, (label(span_id=f"{4:016x}"),)), "gen_ai")
    assert [event.name for event in found[3].events] == ["gen_ai.evaluation.result"]
    assert [event.name for event in found[0].events] == ["exception"]


@pytest.mark.parametrize("change", [{"cache": "hit"}, {"cache": "semantic"}, {"joined": 3}])
def test_what_was_not_paid_here_is_not_counted_there(change: dict[str, Any]) -> None:
    free, paid = (exported(Traced(trace(), [replace(spans()[2], parent_id="", **more)]))[0] for more in (change, {}))
    tokens = [name for name in paid.attributes if "token" in name or "cost" in name]
    assert len(tokens) == 13
    assert [name for name in tokens if name in free.attributes] == [
        "outlast.cost_source",
        "gen_ai.request.max_tokens",
    ]


def test_contents_may_be_missing() -> None:
    found = exported(Traced(trace(), spans(), {f"{3:016x}": Content(None, None, None, None)}), content=True)
    assert len(found) == 5
    assert contents()  # the same spans with theirs have more to tell


@pytest.mark.parametrize(
    ("asked", "gen_ai", "openinference", "model", "inside"),
    [
        ("openai/gpt-5-mini", "openai", "openai", "gpt-5-mini", False),
        ("gemini/gemini-3", "gcp.gemini", "google", "gemini-3", False),
        ("litellm:mistral/large", "mistral_ai", "mistralai", "large", False),
        ("llm:gpt-4o", "llm", "llm", "gpt-4o", False),
        ("ollama/qwen3:8b", "ollama", "ollama", "qwen3:8b", False),
        ("openrouter/meta/llama-3", "openrouter", "openrouter", "meta/llama-3", False),
        ("hf:org/tiny", "org", "org", "tiny", True),
        ("outlast/baseline", "outlast", "outlast", "baseline", True),
        ("scripted", "scripted", "scripted", "scripted", True),
        ("qwen3", "custom", "custom", "qwen3", False),
        ("/x", "custom", "custom", "x", False),
        (None, "custom", "custom", "unknown", False),
        ("", "custom", "custom", "unknown", False),
    ],
)
def test_names_of_models_in_parts(asked: str, gen_ai: str, openinference: str, model: str, inside: bool) -> None:
    found = named(asked)
    assert (found.gen_ai, found.openinference, found.model, found.in_process) == (gen_ai, openinference, model, inside)


def test_a_format_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="'gen_ai', 'openinference', 'both'"):
        checked_format("genai")


def test_the_names_of_openinference_are_those_of_its_package() -> None:
    known = {
        value
        for kind in vars(published).values()
        if isinstance(kind, type)
        for name, value in vars(kind).items()
        if name.isupper() and isinstance(value, str)
    }
    of_events = {"annotation.name", "annotation.label", "annotation.score", "annotation.explanation"}
    of_events |= {"annotation.annotator_kind", "annotation.identifier"}
    mine = {value for name, value in vars(OpenInference).items() if name.isupper() and "." in value}
    resources = {"openinference.project.name"}
    assert mine - known - of_events - resources == set()
