"""Replays from the page: what is sent, what it may cost, what is kept, and what a browser can never choose."""

from __future__ import annotations

import threading
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.testclient import TestClient

from outlast.cli.app import main
from outlast.cli.view import _replays
from outlast.errors import ConfigError, UsageError
from outlast.lms.models import open_model
from outlast.messages import Message, Request, Settings, TextPart, ToolCall, user
from outlast.testing import ScriptedLM
from outlast.tracing.record import SpanRecord, TraceFilter
from outlast.tracing.replay import replay
from outlast.tracing.store import Store
from outlast.types import Image
from outlast.view.app import view_app
from outlast.view.guard import cookie_name
from outlast.view.replaying import Replays, editable, edited, replays_of, typed, with_settings
from outlast.view.site import Site
from tests.view.conftest import DESK, PHONE, opened
from tests.view.kept import sample_store
from tests.view.payloads import PAYLOADS
from tests.view.samples import PIXEL, _id
from tests.view.serving import served
from tests.view.test_browser import AXE
from tests.view.test_hostile import FOREIGN

TRIAGE, AGENT = _id(1000, "0"), _id(1042, "e")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with sample_store(tmp_path / "traces.db") as opened_store:
        yield opened_store


def exchange(store: Store, trace: str = TRIAGE, number: int = -1) -> SpanRecord:
    return [span for span in store.spans(trace) if span.kind == "lm"][number]


class Tab:
    """A browser that was let in, as far as forms go."""

    def __init__(self, store: Store, *models: Any, dollars: float = 1.0, **options: Any) -> None:
        replays = Replays(models, dollars) if models else None
        self.site = Site(store, hosts=frozenset({"127.0.0.1:80"}), replays=replays, **options)
        self.client = TestClient(view_app(self.site), base_url="http://127.0.0.1:80", raise_server_exceptions=False)
        self.client.headers |= {"host": "127.0.0.1:80"}
        self.client.cookies.set(cookie_name("127.0.0.1:80"), self.site.session, domain="127.0.0.1")

    def get(self, path: str) -> Any:
        return self.client.get(path)

    def send(self, span: SpanRecord, *, follow: bool = True, origin: str = "http://127.0.0.1:80", **fields: str) -> Any:
        form = {"form_token": self.site.form_token, "model": "0", **fields}
        headers = {"origin": origin, "content-type": "application/x-www-form-urlencoded"}
        path = f"/replay/{span.id}"
        return self.client.post(path, content=urlencode(form), headers=headers, follow_redirects=follow)


def test_it_sends_the_edited_request_and_keeps_the_answer(store: Store) -> None:
    lm, span = ScriptedLM(["team: billing, urgency: 99"], name="other", keep=True, price=0.002), exchange(store)
    tab = Tab(store, lm)
    sent = tab.send(
        span,
        follow=False,
        **{"text-0-0": "Be brief.\r\nAlways.", "temperature": "0.5", "max_tokens": "50", "reasoning": "low"},
    )
    assert sent.status_code == 303
    [request] = lm.requests
    stored = store.content(span).as_request()
    assert stored is not None
    assert request.messages == (Message("system", "Be brief.\nAlways."), stored.messages[1])
    assert request.settings == Settings(temperature=0.5, max_tokens=50, reasoning="low")

    [trace] = store.traces(TraceFilter(tag="replay"))
    assert sent.headers["location"] == f"/replay/{span.id}?shown={trace.id}"
    assert trace.attributes["replay of"] == span.id
    assert (trace.output, trace.cost, trace.status) == ("team: billing, urgency: 99", 0.002, "ok")
    assert store.run(trace.run_id).kind == "replay"
    assert [one.id for one in replays_of(store, span.id)] == [trace.id]

    page = tab.get(sent.headers["location"]).text
    assert "<ins>99</ins>" in page
    assert "What was asked otherwise" in page
    assert "\nBe brief.\nAlways.</textarea>" in page  # the next one begins where this one was
    assert "$0.0020</b> of $1.00" in page


def test_a_replay_goes_on_from_another_and_from_those_of_the_command_line(store: Store) -> None:
    lm, span = ScriptedLM(lambda messages: f"answer to {messages[0].text}", name="m", keep=True), exchange(store)
    replay(span.id, store=store, mode="live", lm=lm, messages=(user("only this"),))
    [first] = replays_of(store, span.id)
    tab = Tab(store, lm)
    assert "\nonly this</textarea>" in tab.get(f"/replay/{span.id}?shown={first.id}").text
    answer = tab.send(span, base=first.id, **{"text-0-0": "only that"})
    assert lm.requests[-1].messages == (user("only that"),)
    assert "answer to only" in answer.text
    assert [one.input for one in replays_of(store, span.id)] == ["only that", "only this"]


def test_what_nobody_edited_goes_as_it_is_to_the_byte(store: Store) -> None:
    text = "\n one\r\ntwo\0\ud800 \u202e"
    image = Image.from_json({"type": "image", "mime": "image/png", "data": PIXEL})
    called = Message("assistant", (ToolCall("c1", "refund", "{}"),))
    request = Request((Message("user", (TextPart(text), image, TextPart("second"))), called))
    same = {one.name: one.text for one in editable(request).values()}
    assert same == {"text-0-0": "\n one\ntwo\ufffd? \u202e", "text-0-2": "second"}
    assert edited(request, same.get) == request
    assert edited(request, {}.get) == request
    changed = edited(request, {**same, "text-0-2": "2nd", "text-0-1": "no", "text-1-0": "no", "text-9-9": "no"}.get)
    assert changed.messages == (Message("user", (TextPart(text), image, TextPart("2nd"))), called)
    assert typed("a\rb") == "a\nb"


def test_texts_that_are_too_long_for_a_form_are_not_edited() -> None:
    request = Request((user("é" * 300_000), user("short"), user("x" * 100_000)))
    assert sorted(editable(request)) == [(1, 0), (2, 0)]


def test_a_long_prompt_is_not_cut(store: Store) -> None:
    lm, long = ScriptedLM(["fine"], keep=True), "word " * 30_000
    Tab(store, lm).send(exchange(store), **{"text-1-0": long})
    assert lm.requests[0].messages[1].text == long


def test_tool_calls_and_media_are_shown_and_sent(store: Store) -> None:
    lm, span = ScriptedLM(["done"], keep=True), exchange(store, AGENT)
    tab = Tab(store, lm)
    page = tab.get(f"/replay/{span.id}").text
    assert "find_bookings" in page
    assert "2 tools" in page
    tab.send(span)
    stored = store.content(span).as_request()
    assert stored is not None
    assert lm.requests[0].messages == stored.messages
    assert [tool.name for tool in lm.requests[0].tools] == [tool.name for tool in stored.tools]


def test_settings_are_checked_before_anything_is_sent(store: Store) -> None:
    lm, span = ScriptedLM(["x"]), exchange(store)
    answer = Tab(store, lm).send(span, temperature="hot", **{"text-0-0": "my new words"})
    assert answer.status_code == 400
    assert "temperature is a number from 0 to 2" in answer.text
    assert "\nmy new words</textarea>" in answer.text  # nothing that was written is lost
    assert 'value="hot"' in answer.text
    assert lm.calls == 0
    request = replace(Request((user("x"),)), settings=Settings(temperature=1.0, tier="flex"))
    assert with_settings(request, {"temperature": "", "seed": "7"}).settings == Settings(seed=7, tier="flex")


@pytest.mark.parametrize("number", ["1", "-1", "99999", "", "x", "openai/gpt-5", "\u0661", "0.0"])
def test_a_browser_names_a_model_by_its_place_alone(store: Store, number: str) -> None:
    lm = ScriptedLM(["x"])
    answer = Tab(store, lm).send(exchange(store), model=number)
    assert answer.status_code == 400
    assert "a model is chosen by its place in the list" in answer.text
    assert lm.calls == 0
    assert store.count(TraceFilter(tag="replay")) == 0


def test_a_budget_that_is_used_up_sends_nothing(store: Store) -> None:
    lm, span = ScriptedLM(["a", "b", "c"], price=0.4), exchange(store)
    tab = Tab(store, lm, dollars=0.8)
    assert "$0.40</b> of $0.80" in tab.send(span).text
    assert tab.send(span).status_code == 200
    answer = tab.send(span, **{"text-0-0": "kept words"})
    assert answer.status_code == 409
    assert "the budget of $0.8 is used up" in answer.text
    assert "\nkept words</textarea>" in answer.text
    assert lm.calls == 2
    assert store.count(TraceFilter(tag="replay")) == 2


def test_a_call_that_may_take_more_than_is_left_is_not_made(store: Store) -> None:
    lm = ScriptedLM(["a"], price=2.0)
    assert Tab(store, lm).send(exchange(store)).status_code == 409
    assert lm.calls == 0


def test_a_model_without_a_price_answers_once(store: Store) -> None:
    lm = ScriptedLM(["a", "b"], price=None, name="mystery")
    tab = Tab(store, lm)
    assert tab.send(exchange(store)).status_code == 200
    refused = tab.send(exchange(store))
    assert refused.status_code == 409
    assert "nobody knows what" in refused.text
    assert lm.calls == 1


def test_an_error_of_the_model_is_text(store: Store) -> None:
    lm = ScriptedLM([RuntimeError("<script>window.pwned=1</script> 500 from /etc/secret")])
    answer = Tab(store, lm).send(exchange(store))
    assert answer.status_code == 200
    assert "&lt;script&gt;window.pwned=1&lt;/script&gt;" in answer.text
    assert "Traceback" not in answer.text
    [trace] = store.traces(TraceFilter(tag="replay"))
    assert trace.status == "error"


def test_characters_that_hide_are_counted(store: Store) -> None:
    lm, span = ScriptedLM(["a\u202eb"]), exchange(store)
    answer = Tab(store, lm).send(span, **{"text-0-0": "left\u202eright\u200b"})
    assert "It holds 2 characters that cannot be seen." in answer.text
    assert "U+202E" in answer.text  # of the answer, as its number


def test_two_clicks_are_one_call(store: Store) -> None:
    begun, go = threading.Event(), threading.Event()

    def handler(messages: Sequence[Message]) -> str:
        begun.set()
        assert go.wait(10)
        return "once"

    lm, span, found = ScriptedLM(handler), exchange(store), list[Any]()
    replays, request = Replays([lm]), store.content(span).as_request()
    assert request is not None
    threads = [threading.Thread(target=lambda: found.append(replays.send(store, span, request, lm))) for _ in range(2)]
    threads[0].start()
    assert begun.wait(10)
    threads[1].start()
    threads[1].join(0.2)
    go.set()
    for thread in threads:
        thread.join(10)
    assert lm.calls == 1
    assert len(set(found)) == 1
    assert len(found) == 2


def test_without_a_model_the_page_says_how(store: Store) -> None:
    tab, span = Tab(store), exchange(store)
    page = tab.get(f"/replay/{span.id}").text
    assert "--lm openai/gpt-5-mini --lm outlast/baseline --budget 1.00" in page
    answer = tab.send(span)
    assert answer.status_code == 400
    assert "without --lm" in answer.text


def test_a_page_that_only_reads_has_no_replay(store: Store) -> None:
    lm, span = ScriptedLM(["x"]), exchange(store)
    tab = Tab(store, lm, read_only=True)
    assert "/replay/" not in tab.get(f"/traces/{TRIAGE}").text
    assert tab.get(f"/replay/{span.id}").status_code == 400
    assert tab.send(span).status_code == 403
    assert lm.calls == 0
    assert f"/replay/{span.id}" in Tab(store, lm).get(f"/traces/{TRIAGE}").text


def test_another_page_cannot_send(store: Store) -> None:
    lm, span = ScriptedLM(["x"]), exchange(store)
    tab = Tab(store, lm)
    assert tab.send(span, origin="http://evil.example").status_code == 403
    assert tab.send(span, form_token="guessed").status_code == 403
    assert tab.client.get(f"/replay/{span.id}?model=0&text-0-0=x").status_code == 200
    assert lm.calls == 0


def test_only_exchanges_and_their_own_replays(store: Store) -> None:
    lm, span = ScriptedLM(["x", "y"]), exchange(store)
    tab = Tab(store, lm)
    root = store.spans(TRIAGE)[0]
    assert tab.get(f"/replay/{root.id}").status_code == 404
    assert tab.get(f"/replay/{span.id}?shown={AGENT}").status_code == 404
    assert tab.send(span, base=AGENT).status_code == 404
    assert tab.get("/replay/nothing").status_code == 404
    assert lm.calls == 0


def test_the_command_line_says_what_may_be_asked(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = str(tmp_path / "traces.db")
    for more, said in (
        (["--budget", "2"], "name one with --lm"),
        (["--lm", "outlast/baseline", "--read-only"], "leave --lm out"),
        (["--lm", "outlast/baseline", "--export", str(tmp_path / "x")], "leave --lm out"),
        (["--lm", "outlast/baseline", "--budget", "0"], "above 0"),
        (["--lm", "nobody"], "nobody"),
    ):
        assert main(["view", place, "--no-open", *more]) != 0
        assert said in capsys.readouterr().err
    args = Namespace(lm=["outlast/baseline", "openai/gpt-5-mini"], budget=None, export=None, read_only=False)
    replays = _replays(args)
    assert replays is not None
    assert [model.name for model in replays.models] == args.lm
    assert (replays.dollars, replays.spent, replays.calls) == (1.0, 0.0, 0)
    assert "Cached" not in [layer.kind for layer in replays.models[1].info()]  # what it says now is wanted
    with pytest.raises(UsageError):
        Replays([])
    with pytest.raises(ConfigError):
        Replays([ScriptedLM(["x"])], 0.0)


@pytest.mark.server
def test_a_prompt_is_edited_and_sent_in_a_browser(chromium: Any, store: Store) -> None:
    lm, span = (
        ScriptedLM([f"[[ ## team ## ]]\ncards {PAYLOADS[0]}"], name="second", price=0.01, keep=True),
        exchange(store),
    )
    replays = Replays([ScriptedLM([], name="first"), lm])
    with served(store, name="traces.db", replays=replays) as page, opened(chromium, page) as seen:
        tab = seen.tab
        tab.set_default_timeout(10_000)
        seen.open(f"/traces/{TRIAGE}")
        tab.get_by_role("link", name="Replay").click()
        tab.wait_for_url(f"**/replay/{span.id}")
        tab.get_by_label("system, message 1").fill("You route messages.")
        tab.get_by_label("Model").select_option("second")
        tab.get_by_label("max tokens").fill("99")
        tab.get_by_role("button", name="Send").click()
        tab.wait_for_url(f"**/replay/{span.id}?shown=*")
        now = tab.locator(".half.now")
        assert PAYLOADS[0] in now.inner_text()
        assert now.locator("ins").count() > 0
        assert "$0.01" in now.inner_text()
        assert tab.get_by_label("system, message 1").input_value() == "You route messages."
        assert tab.get_by_label("Model").evaluate("one => one.selectedOptions[0].textContent") == "second"
        assert tab.evaluate("window.pwned") is None
        assert tab.locator(".replays li").count() == 1
        assert (seen.troubles, seen.elsewhere) == ([], [])
    assert lm.requests[0].messages[0].text == "You route messages."
    assert lm.requests[0].settings.max_tokens == 99
    [trace] = store.traces(TraceFilter(tag="replay"))
    assert trace.attributes["replay of"] == span.id


@pytest.mark.server
def test_it_works_without_scripts(chromium: Any, store: Store) -> None:
    span = exchange(store)
    replays = Replays([open_model("outlast/baseline")])
    with (
        served(store, replays=replays) as page,
        opened(chromium, page, java_script_enabled=False) as seen,
    ):
        seen.open(f"/replay/{span.id}")
        seen.tab.get_by_label("system, message 1").fill("Say one word.")
        seen.tab.get_by_role("button", name="Send").click()
        seen.tab.wait_for_url(f"**/replay/{span.id}?shown=*")
        assert seen.tab.locator(".half.now .said").count() == 1
        assert seen.tab.get_by_label("system, message 1").input_value() == "Say one word."


@pytest.mark.server
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_everybody_can_use_it(chromium: Any, store: Store, scheme: str, size: dict[str, int]) -> None:
    lm, first, last = ScriptedLM(["short", OSError("gone")], price=0.3), exchange(store), exchange(store, AGENT)
    replays, found = Replays([lm]), list[str]()
    request = store.content(first).as_request()
    assert request is not None
    shown = [replays.send(store, first, edited(request, {"text-1-0": "x"}.get), lm) for _ in range(2)]
    paths = [f"/replay/{first.id}?shown={id}" for id in shown] + [f"/replay/{last.id}", f"/traces/{TRIAGE}"]
    options = {"color_scheme": scheme, "viewport": size, "bypass_csp": True}
    with served(store, replays=replays) as page, opened(chromium, page, **options) as seen:
        for path in paths:
            seen.open(path)
            seen.tab.evaluate("for (const one of document.querySelectorAll('details:not([hx-get])')) one.open = true")
            seen.tab.add_script_tag(path=AXE)
            for one in seen.tab.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]:
                found.append(f"{path}: {one['id']}: {[node['html'][:160] for node in one['nodes'][:3]]}")
            if seen.tab.evaluate("document.documentElement.scrollWidth > innerWidth"):
                found.append(f"{path}: wider than the screen")
    assert found == []


@pytest.mark.server
def test_no_answer_and_no_error_is_markup(chromium: Any, store: Store) -> None:
    span = exchange(store)
    answers: list[Any] = [*PAYLOADS, *(RuntimeError(bad) for bad in PAYLOADS[:8])]
    replays = Replays([ScriptedLM(answers, name=PAYLOADS[2])])
    request = store.content(span).as_request()
    assert request is not None
    with served(store, replays=replays) as page, opened(chromium, page) as seen:
        for number, bad in enumerate([*PAYLOADS, *PAYLOADS[:8]]):
            words = edited(request, {"text-1-0": bad}.get)
            seen.open(f"/replay/{span.id}?shown={replays.send(store, span, words, replays.models[0])}")
            assert seen.tab.evaluate(FOREIGN) == [], number
            assert seen.tab.evaluate("window.pwned") is None, number
        assert (seen.troubles, seen.elsewhere) == ([], [])
