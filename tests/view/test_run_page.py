"""What a run that scores nothing comes to, and lists whose entries began at one moment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from outlast.tracing.record import RunRecord, TraceRecord
from outlast.tracing.saving import WholeTrace
from outlast.tracing.store import Store, open_store
from tests.view.samples import START
from tests.view.serving import Page, served

pytestmark = pytest.mark.server

RUN = "b" * 32


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "traces.db", create=True) as made:
        yield made


@pytest.fixture
def page(store: Store) -> Iterator[Page]:
    with served(store) as running:
        yield running


def traces(count: int, **more: Any) -> list[WholeTrace]:
    one = TraceRecord("", RUN, "program", "Ask", started=START, seconds=1.0, status="ok", input="a question")
    return [WholeTrace(replace(one, id=f"{at:032x}", **more)) for at in range(count)]


def facts(text: str) -> dict[str, str]:
    found = re.findall(r"<div><dt>(.*?)</dt><dd[^>]*>(.*?)</dd></div>", text)
    return {name: " ".join(re.sub("<[^>]+>", " ", value).split()) for name, value in found}


def test_a_process_shows_the_sums_of_its_traces(store: Store, page: Page) -> None:
    priced = traces(6, calls=2, input_tokens=100, output_tokens=20, cost=0.25)
    broken = replace(priced[0].trace, status="error", error="it broke", cost=None)
    store.save_records(
        [RunRecord(RUN, "process", "app.py", "done", START, START + 60)], [WholeTrace(broken), *priced[1:]]
    )
    told = facts(page.get(f"/runs/{RUN}").text)
    assert (told["Traces"], told["Errors"], told["Model calls"], told["Tokens"]) == ("6", "1", "12", "720")
    assert told["Cost"] == "$1.25 and 1 trace of unknown price"
    row = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", page.get("/runs").text.split("<tbody>")[1]))
    assert "app.py process" in row
    assert " 6 1 $1.25 + 720 60 s " in row.replace("1 min 0 s", "60 s")


def test_a_run_without_traces_says_nothing_of_sums(store: Store, page: Page) -> None:
    store.save_records([RunRecord(RUN, "process", "app.py", "done", START, START + 60)], [])
    told = facts(page.get(f"/runs/{RUN}").text)
    assert "Traces" not in told
    assert told["Cost"] == "–"


def test_pages_show_every_trace_of_one_moment_once(store: Store, page: Page) -> None:
    store.save_records([RunRecord(RUN, "import", "old", "done", START)], traces(250))
    address, seen = "/traces", list[str]()
    while address:
        text = page.get(address).text
        seen += re.findall(r'href="/traces/([0-9a-f]{32})"', text)
        older = re.search(r'rel="next" href="([^"]+)"', text)
        address = older[1].replace("&amp;", "&") if older else ""
    assert len(seen) == len(set(seen)) == 250


def test_replays_are_listed_where_they_are_asked_for(store: Store, page: Page) -> None:
    again = RunRecord("ab" * 16, "replay", "the replayed one", "done", START + 1)
    store.save_records([RunRecord(RUN, "import", "old", "done", START), again], traces(2))
    for path in ("/", "/runs"):
        text = page.get(path).text
        assert f"/runs/{RUN}" in text
        assert f"/runs/{again.id}" not in text
    text = page.get("/runs?kind=replay").text
    assert f"/runs/{again.id}" in text
    assert f"/runs/{RUN}" not in text
