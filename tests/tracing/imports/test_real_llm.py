"""A log that the real `llm` writes, read back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llm
import pytest
import sqlite_utils
from llm.migrations import migrate

import outlast as ol
from outlast.messages import ToolCall, ToolResult
from outlast.tracing.imports.llm_logs import read_llm
from outlast.tracing.imports.logs import import_log
from outlast.types import Image

PNG = b"\x89PNG\r\n\x1a\n...."


class Fake(llm.Model):
    """A model of the test."""

    model_id = "test-logged"
    supports_tools = supports_schema = True
    attachment_types = {"image/png"}

    class Options(llm.Options):
        temperature: float | None = None

    def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any) -> Iterator[str]:
        response.set_usage(input=11, output=7, details={"prompt_tokens_details": {"cached_tokens": 5}})
        response.set_resolved_model("test-logged-1")
        if prompt.tools and not prompt.tool_results:
            response.add_tool_call(llm.ToolCall(tool_call_id="t1", name="look", arguments={"city": "Paris"}))
        yield "" if prompt.tools and not prompt.tool_results else f"heard {prompt.prompt}"


def look(city: str) -> str:
    """Looks."""
    return f"rain in {city}"


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    made = sqlite_utils.Database(str(tmp_path / "logs.db"))
    migrate(made)
    yield made
    made.close()


def read(tmp_path: Path) -> list[tuple[Any, Any]]:
    found = [(whole, whole.contents[whole.spans[0].id]) for whole in read_llm(tmp_path / "logs.db").traces]
    return [(held.as_request(), held.as_response()) for _, held in found]


def test_a_conversation(tmp_path: Path, database: Any) -> None:
    talk = llm.Conversation(model=Fake())
    for words in ("one", "two"):
        reply = talk.prompt(words, system="Be brief." if words == "one" else None, temperature=0.5)
        reply.text()
        reply.log_to_db(database)
    (first, said), (second, last) = read(tmp_path)
    assert [(one.role, one.text) for one in first.messages] == [("system", "Be brief."), ("user", "one")]
    assert ("assistant", "heard one") in [(one.role, one.text) for one in second.messages]
    assert second.messages[-1].text == "two"
    assert (said.text, last.text, said.model) == ("heard one", "heard two", "test-logged-1")
    assert (said.usage.input_tokens, said.usage.cached_tokens, first.settings.temperature) == (11, 5, 0.5)


def test_a_chain_with_a_tool(tmp_path: Path, database: Any) -> None:
    chain = Fake().chain("weather?", tools=[look])
    chain.text()
    chain.log_to_db(database)
    (asked, called), (again, said) = read(tmp_path)
    assert [tool.name for tool in asked.tools] == ["look"]
    assert called.tool_calls == (ToolCall("t1", "look", '{"city": "Paris"}'),)
    parts = [part for message in again.messages for part in message.parts]
    assert ToolResult("t1", "rain in Paris") in parts
    assert said.text.startswith("heard")


def test_attachments_fragments_and_schemas(tmp_path: Path, database: Any) -> None:
    model = Fake()
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    long = "A FRAGMENT " * 30
    for reply in (
        model.prompt("a picture", attachments=[llm.Attachment(type="image/png", content=PNG)]),
        model.prompt("of it?", fragments=[long], system_fragments=["SYSTEM " * 30], system="end"),
        model.prompt("shape", schema=schema),
    ):
        reply.text()
        reply.log_to_db(database)
    (picture, _), (referred, _), (shaped, _) = read(tmp_path)
    assert Image("image/png", PNG) in picture.messages[-1].parts
    assert referred.messages[-1].text.startswith("A FRAGMENT A FRAGMENT")
    assert referred.messages[-1].text.endswith("of it?")
    assert referred.messages[0].text.startswith("SYSTEM SYSTEM")
    assert shaped.output.schema == schema


def test_all_of_it_goes_into_a_store(tmp_path: Path, database: Any) -> None:
    for words in ("one", "two", "three"):
        reply = Fake().prompt(words)
        reply.text()
        reply.log_to_db(database)
    with ol.open_store(tmp_path / "traces.db", create=True) as store:
        assert import_log(store, "llm") == import_log(store, "llm")  # where llm keeps it
        assert [trace.output for trace in store.traces()] == ["heard three", "heard two", "heard one"]
        assert store.traces()[0].name == "llm:test-logged"
