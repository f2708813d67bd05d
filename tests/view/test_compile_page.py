"""The page of a search: drawn while it runs in another process, its lineage, and only ledgers that were named."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outlast.cli.view import _studies
from outlast.errors import StudyError, UsageError
from outlast.optimize.candidate import Candidate
from outlast.optimize.ledger import Ledger
from outlast.optimize.watching import watch
from outlast.tracing.record import RunRecord
from outlast.tracing.store import Store, open_store
from outlast.view.exporting import export
from tests.optimize.test_explain import FIRST, compiled
from tests.view.conftest import DESK, PHONE, opened
from tests.view.payloads import PAYLOADS
from tests.view.serving import Page, served
from tests.view.test_browser import AXE
from tests.view.test_hostile import FOREIGN

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return compiled(tmp_path_factory.mktemp("search") / "steps.study.db")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "traces.db", create=True) as opened_store:
        yield opened_store


@pytest.fixture
def page(store: Store, found: Any) -> Iterator[Page]:
    with served(store, studies={"steps": Path(found.ledger).resolve()}) as running:
        yield running


def test_a_search_that_runs_draws_itself(chromium: Any, store: Store, tmp_path: Path) -> None:
    ledger = tmp_path / "slow.study.db"
    command = [sys.executable, "-m", "tests.view.slow_search", str(ledger), "0.025"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    process = subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE)
    try:
        _until(lambda: _candidates(ledger) > 1 or process.poll() is not None)
        with served(store, studies={"slow": ledger}) as page, opened(chromium, page) as seen:
            seen.open("/compile/slow")
            tab = seen.tab
            assert tab.locator("#live").get_attribute("data-state") == "running"
            before = _rollouts(tab)
            assert tab.locator(".proof").count() == 0
            _until(lambda: _rollouts(tab) > before)
            tab.locator(".curve circle.dot").first.wait_for(state="attached")
            assert tab.locator("#live").get_attribute("data-state") == "running"
            tab.wait_for_selector("#live[data-state=done]")
            assert tab.locator(".proof").count() == 2
            assert tab.locator(".lineage .chip.pass").inner_text() == "winner"
            assert "better" in tab.locator(".head").inner_text()
            assert tab.locator("#live").get_attribute("hx-trigger") is None
            asked: list[str] = []
            tab.on("request", lambda request: asked.append(request.url))
            tab.wait_for_timeout(2_500)
            assert asked == []  # it has ended, and nobody asks any more
            assert (seen.troubles, seen.elsewhere) == ([], [])
        assert process.wait(20) == 0, process.stderr and process.stderr.read().decode()
    finally:
        process.kill()
        process.communicate()


def _rollouts(tab: Any) -> int:
    return int(tab.locator("#live").get_attribute("data-rollouts"))


def _candidates(ledger: Path) -> int:
    try:
        return len(watch(ledger).order)
    except StudyError:  # it is not there yet
        return 0


def _until(true: Any, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_nothing_is_sent_again_when_nothing_has_changed(page: Page) -> None:
    whole = page.get("/compile/steps", Hx_Request="true")
    assert whole.status == 200
    assert "<html" not in whole.text
    version = whole.text.partition('data-version="')[2].partition('"')[0]
    assert page.get(f"/compile/steps?seen={version}", Hx_Request="true").status == 204
    assert page.get(f"/compile/steps?seen={version}").status == 200


def test_curve_tree_and_parts_are_there(chromium: Any, page: Page, found: Any) -> None:
    seen_from = watch(found.ledger)
    with opened(chromium, page) as seen:
        seen.open("/compile")
        seen.tab.get_by_role("link", name="steps").click()
        tab = seen.tab
        assert tab.locator(".curve circle.dot").count() == len(seen_from.moments)
        assert tab.locator(".lineage li").count() == len(seen_from.order)
        assert tab.locator(".lineage li.path").count() == 4
        tab.get_by_role("link", name="rollouts").click()
        tab.wait_for_url("**/compile/steps?by=rollouts")
        winner = tab.locator("table.beside tr", has_text="winner")
        assert winner.locator("circle").count() == 2  # selection and held out: it was not run on training examples
        start = tab.locator("table.beside tr", has_text="start")
        assert start.locator("circle").count() == 3
        origin = tab.locator(".part", has_text=FIRST)
        assert origin.locator(".step-mark").inner_text() == "1"
        origin.locator(".step-mark").click()
        assert tab.evaluate("location.hash") == "#step-1"
        tab.locator("#step-1 a.mono").click()
        tab.wait_for_url("**/compile/steps/*")
        assert "Because of" in tab.locator("main").inner_text()
        assert FIRST in tab.locator("section.param").inner_text()
        assert (seen.troubles, seen.elsewhere) == ([], [])


def test_only_ledgers_that_were_named_are_opened(store: Store, found: Any, tmp_path: Path) -> None:
    secret = tmp_path / "other.study.db"
    Ledger(secret, {"program": "secret"}).close()
    for number, told in enumerate((str(secret), str(Path(found.ledger).resolve()), Path(found.ledger).name, "x.db")):
        run = RunRecord(f"{number:032x}", "compile", f"run {number}", "done", 1.0 + number, attributes={"ledger": told})
        store.save_records([run], [])
    with served(store, studies={"steps": Path(found.ledger).resolve()}) as page:
        listed = page.get("/compile").text
        assert listed.count('href="/compile/steps"') == 3  # the card, and the runs that wrote this ledger
        assert "other" not in listed
        for name in ("other", "other.study.db", "..", "%2e%2e%2fother.study.db", str(secret).replace("/", "%2f")):
            assert page.get(f"/compile/{name}").status == 404
            assert "secret" not in page.get(f"/compile/{name}").text
        assert page.get("/compile/steps/nobody").status == 404


def test_a_ledger_that_cannot_be_read_is_named(store: Store, tmp_path: Path) -> None:
    with served(store, studies={"gone": tmp_path / "gone.db"}) as page:
        assert "cannot be read" in page.get("/compile").text
        assert page.get("/compile/gone").status == 400


def test_names_of_ledgers_come_from_their_files(tmp_path: Path, found: Any) -> None:
    paths = [tmp_path / "a b.study.db", tmp_path / "inner" / "a b.study.db"]
    paths[1].parent.mkdir()
    for path in paths:
        Ledger(path, {}).close()
    assert _studies([str(paths[0])]) == {"a-b": paths[0]}
    assert list(_studies([str(path) for path in paths])) == ["1-a-b", "2-a-b"]
    with pytest.raises(UsageError, match="no ledger at"):
        _studies([str(tmp_path / "nothing.db")])


def test_an_export_holds_the_search(store: Store, found: Any, tmp_path: Path) -> None:
    done = export(store, tmp_path / "site", studies={"steps": Path(found.ledger).resolve()})
    assert done.left_out == 0
    text = (tmp_path / "site" / "compile-steps.html").read_text()
    assert 'class="curve"' in text
    assert "hx-get" not in text
    without = export(store, tmp_path / "without")
    assert not (tmp_path / "without" / "compile.html").exists()
    assert without.pages < done.pages


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A ledger in which every text is an attack."""
    path = tmp_path / "hostile.study.db"
    ledger = Ledger(path, {"program": PAYLOADS[0], "metric": PAYLOADS[1], "model": PAYLOADS[2]})
    ledger.add_candidate(Candidate("start", {}, "", PAYLOADS[3]), {})
    parent = "start"
    for number, bad in enumerate(PAYLOADS):
        id = f"c{number}"
        changes = {"instruction": f"{bad}\nline {number}", bad: [{"values": {bad: bad}, "source": bad}]}
        ledger.add_candidate(Candidate(id, {}, parent, bad, operator=bad, cause=(bad,)), changes)
        ledger.add_event("point", {"calls": number, "rollouts": number, "leader": id, "score": 0.5, "n": 3})
        ledger.add_event("failure", {"example": bad, "error": bad})
        parent = id if number % 3 else "start"
    ledger.add_event("run", {"optimizer": bad, "seed": bad})
    ledger.close()
    return path


def test_no_attack_in_a_search_runs(chromium: Any, store: Store, hostile: Path) -> None:
    with served(store, studies={"hostile": hostile}) as page, opened(chromium, page) as seen:
        for path in ("/compile", "/compile/hostile", *(f"/compile/hostile/c{n}" for n in range(len(PAYLOADS)))):
            assert seen.open(path).status == 200, path
            seen.tab.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
            assert seen.tab.evaluate(FOREIGN.replace("'/traces/'", "'/compile/'")) == [], path
        assert (seen.troubles, seen.elsewhere) == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize("look", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_pages_of_searches_are_accessible(
    chromium: Any, page: Page, found: Any, look: str, size: dict[str, int]
) -> None:
    paths = ["/compile", "/compile/steps", f"/compile/steps/{watch(found.ledger).leader}"]
    wrong: list[str] = []
    with opened(chromium, page, color_scheme=look, viewport=size, bypass_csp=True) as seen:
        for path in paths:
            seen.open(path)
            seen.tab.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
            seen.tab.add_script_tag(path=AXE)
            result = seen.tab.evaluate("axe.run(document, {resultTypes: ['violations']})")
            for broken in result["violations"]:
                nodes = "; ".join(node["html"][:160] for node in broken["nodes"][:3])
                wrong.append(f"{path}: {broken['id']} ({broken['impact']}): {nodes}")
            wide = seen.tab.evaluate("document.documentElement.scrollWidth - innerWidth")
            if wide > 0:
                wrong.append(f"{path}: {wide} pixels wider than the screen")
    assert not wrong, "\n".join(wrong)
