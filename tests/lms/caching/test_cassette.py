"""Recordings: what is replayed, what is written and how, what is missing or broken, and that no secret gets in."""

from __future__ import annotations

import asyncio
import json
import pickle
import threading
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import ConfigError, LMReplayError, LMServerError, UsageError
from outlast.lms.caching.cassette import Cassette
from outlast.lms.caching.tape import shortened
from outlast.lms.protocol import LM
from outlast.messages import (
    Citation,
    Decision,
    Finished,
    Message,
    OutputSchema,
    Question,
    Request,
    Response,
    Settings,
    StreamEvent,
    TextDelta,
    TextPart,
    Thought,
    TokenLogprob,
    ToolCall,
    Usage,
    system,
    user,
)
from outlast.runtime import sleep
from outlast.types import Image, Label, Tool


class Counting(LM):
    """Answers with the number of the call; `delays` are seconds by the text of the question."""

    blocking_safe = True

    def __init__(self, name: str = "counting", **response: Any) -> None:
        self.name, self.response, self.calls = name, response, 0
        self.delays: dict[str, float] = {}
        self.failure: Exception | None = None
        self.lock = threading.Lock()

    async def complete(self, request: Request) -> Response:
        with self.lock:
            self.calls += 1
            number = self.calls
        await sleep(self.delays.get(request.messages[-1].text, 0.0))
        if self.failure is not None:
            raise self.failure
        return Response(**{"text": f"answer {number}", "usage": Usage(3, 4, cost=0.5), **self.response})

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        response = await self.complete(request)
        for word in response.text.split(" "):
            yield TextDelta(word)
        yield Finished(response)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tapes" / "triage.jsonl"


def lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


RICH = Request(
    (
        system("s"),
        Message("user", (TextPart("look"), Image("image/png", b"\x89PNG" * 1000))),
        user("täxt\u2028 \ud800"),
    ),
    Settings(temperature=0.5, extra={"b": 1, "a": 2}),
    OutputSchema("n", {"b": 1, "a": 2}),
    2,
    Label(frozenset({"web"})),
    (Tool("look"),),
    "look",
    (("q", Question("yes_no", "Is it?")),),
)
RICH_RESPONSE: dict[str, Any] = {
    "text": "täxt \ud800 😀\u2028", "model": "m-1", "reasoning": "hm", "usage": Usage(1, 2, 0, None, 0.25, "user", 3),
    "finish": "tool_calls", "seconds": 1.25, "request_id": "r", "adaptations": ("seed not sent",),
    "label": Label(frozenset({"web"}), frozenset({"me"})), "tool_calls": (ToolCall("1", "look", "{"),),
    "thoughts": (Thought("hm", "{}", "x"),), "citations": (Citation("c", "s", 0, 1),),
    "logprobs": (TokenLogprob("t", -0.5, (("u", -1.0),)),), "tier": "flex",
    "decisions": (("q", Decision(True, {"yes": 1.0}, "native")),),
}  # fmt: skip


async def test_what_was_recorded_is_replayed_whole_without_the_model(path: Path) -> None:
    first = await Cassette(Counting(**RICH_RESPONSE), path, "record").complete(RICH)
    inner = Counting()
    again = await Cassette(inner, path).complete(RICH)
    assert again == replace(first, cache="replayed", attempts=0)
    assert inner.calls == 0
    assert len(lines(path)) == 1


def test_a_line_is_one_exchange_that_a_person_can_read(path: Path) -> None:
    lm = Cassette(Counting(model="m-1"), path, "auto")
    lm("A töp-up?\nThanks")
    assert path.read_text(encoding="utf-8") == (
        '{"model": "counting", "request": {"messages": [{"role": "user", "content": "A töp-up?\\nThanks"}]}, '
        '"response": {"text": "answer 1", "model": "m-1", "finish": "stop", "usage": {"input_tokens": 3, '
        '"output_tokens": 4, "cost": 0.5}, "seconds": 0.0}}\n'
    )


async def test_media_are_told_by_their_hash(path: Path) -> None:
    lm = Cassette(Counting(), path, "auto")
    await lm.complete(RICH)
    assert len(json.dumps(lines(path))) < 1500
    other = Message("user", (TextPart("look"), Image("image/png", b"\x89PNX" * 1000)))
    assert (await lm.complete(replace(RICH, messages=(RICH.messages[0], other, RICH.messages[2])))).text == "answer 2"


def test_auto_asks_for_what_is_missing_and_appends_it(path: Path) -> None:
    Cassette(Counting(), path, "auto")("a")
    inner = Counting(text="new")
    lm = Cassette(inner, path, "auto")
    assert [(lm(text).text, lm(text).cache) for text in ("a", "b")] == [("answer 1", "replayed"), ("new", "replayed")]
    assert inner.calls == 1
    assert [line["response"]["text"] for line in lines(path)] == ["answer 1", "new"]


def test_record_asks_for_everything_and_begins_anew(path: Path) -> None:
    Cassette(Counting(), path, "auto")("old")
    student, judge = Cassette(Counting("student"), path, "record"), Cassette(Counting("judge"), path, "record")
    student("a"), judge("a"), student("a")
    assert [line["model"] for line in lines(path)] == ["student", "judge", "student"]
    del student, judge
    replayed = Cassette(Counting("student"), path)
    assert [replayed("a").text for _ in range(3)] == ["answer 1", "answer 2", "answer 2"]
    assert Cassette(Counting("student"), path)("a").text == "answer 1"


@pytest.mark.parametrize("mode", ["replay", "auto"])
def test_blocking_async_and_streams_are_alike(path: Path, mode: str) -> None:
    inner = Counting(reasoning="hm")
    lm = Cassette(inner, path, "record")
    recorded = list(lm.events("streamed"))
    assert [type(event).__name__ for event in recorded] == ["TextDelta", "TextDelta", "Finished"]
    lm("whole")
    lm = Cassette(inner, path, mode)
    events = list(lm.events("whole"))
    assert [type(event).__name__ for event in events] == ["ThoughtDelta", "TextDelta", "Finished"]
    assert events[-1].response.cache == "replayed"
    assert asyncio.run(lm.acall("streamed")).text == "answer 1"
    assert inner.calls == 2


async def test_streams_and_errors_that_end_early_leave_no_line(path: Path) -> None:
    inner = Counting()
    lm = Cassette(inner, path, "record")
    events = lm.stream(Request((user("left"),)))
    await anext(events)
    await events.aclose()
    inner.failure = LMServerError("down")
    with pytest.raises(LMServerError):
        await lm.acall("broken")
    inner.failure = None
    await lm.acall("good")
    assert [line["request"]["messages"][0]["content"] for line in lines(path)] == ["good"]


async def test_lines_stand_in_the_order_in_which_the_requests_were_made(path: Path) -> None:
    inner = Counting()
    inner.delays = {"0": 0.05, "1": 0.02, "2": 0.03, "3": 0.0}
    lm = Cassette(inner, path, "record")
    await asyncio.gather(*(lm.acall(str(number)) for number in range(4)))
    assert [line["request"]["messages"][0]["content"] for line in lines(path)] == ["0", "1", "2", "3"]


async def test_what_has_ended_is_written_at_the_end_although_something_before_has_not(path: Path) -> None:
    inner = Counting()
    inner.delays = {"slow": 30}
    lm = Cassette(inner, path, "record")
    slow = asyncio.ensure_future(lm.acall("slow"))
    await asyncio.sleep(0.01)
    await lm.acall("quick")
    assert lines(path) == []
    lm.close()
    assert len(lines(path)) == 1
    slow.cancel()
    await asyncio.wait([slow])
    await lm.acall("after")
    assert [line["request"]["messages"][0]["content"] for line in lines(path)] == ["quick", "after"]


def test_threads_write_whole_lines(path: Path) -> None:
    lm = Cassette(Counting(text="x" * 5000), path, "record")
    threads = [threading.Thread(target=lambda n=n: [lm(f"{n} {m}") for m in range(25)]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asked = {line["request"]["messages"][0]["content"] for line in lines(path)}
    assert asked == {f"{n} {m}" for n in range(8) for m in range(25)}


# What is missing or broken


def test_a_request_that_is_not_recorded_shows_how_it_differs(path: Path) -> None:
    lm = Cassette(Counting(), path, "record")
    lm("Say hello\nto the world")
    lm("Something else entirely, and much longer than the other one")
    inner = Counting()
    with pytest.raises(LMReplayError) as caught:
        Cassette(inner, path)("Say hello\nto the moon", temperature=0.5)
    assert inner.calls == 0
    told = str(caught.value)
    assert "'counting' is not in the recording" in told
    assert "2 recorded exchanges" in told
    assert "OUTLAST_CASSETTE=auto" in told
    assert "--- line 1" in told
    assert "-to the world" in told
    assert "+to the moon" in told
    assert '+   "temperature": 0.5' in told
    assert isinstance(caught.value, LookupError)
    assert not caught.value.retryable


def test_another_model_is_another_request(path: Path) -> None:
    Cassette(Counting("old"), path, "record")("hi")
    with pytest.raises(LMReplayError, match='(?s)- "model": "old".*\\+ "model": "new"'):
        Cassette(Counting("new"), path)("hi")


def test_without_a_file_replay_says_so(path: Path) -> None:
    with pytest.raises(LMReplayError, match="no such file"):
        Cassette(Counting(), path)("hi")
    assert not path.exists()


def test_a_long_difference_is_cut(path: Path) -> None:
    Cassette(Counting(), path, "record")("\n".join(f"a {n}" for n in range(500)))
    with pytest.raises(LMReplayError) as caught:
        Cassette(Counting(), path)("\n".join(f"b {n}" for n in range(500)))
    assert len(str(caught.value).splitlines()) < 50
    assert "more lines" in str(caught.value)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ('{"model": "counting", "requ', "no recorded exchange"),
        ("[]", "no recorded exchange"),
        ('{"model": "counting"}', "'response'"),
        ('{"model": 3, "request": {}, "response": {"text": "x"}}', "'model'"),
        ("<<<<<<< HEAD", "no recorded exchange"),
        ("\udcff", "no recorded exchange"),
    ],
)
@pytest.mark.parametrize("mode", ["replay", "auto"])
def test_a_bad_line_is_named(path: Path, bad: str, why: str, mode: str) -> None:
    Cassette(Counting(), path, "auto")("a")
    with path.open("a", encoding="utf-8", errors="surrogateescape") as file:
        file.write("\n" + bad)
    with pytest.raises(LMReplayError, match=f"triage.jsonl, line 3, .*{why}"):
        Cassette(Counting(), path, mode)("a")


def test_a_file_that_lost_its_last_line_end_is_gone_on_with(path: Path) -> None:
    Cassette(Counting(), path, "auto")("a")
    path.write_text(path.read_text().rstrip("\n"))
    Cassette(Counting(), path, "auto")("b")
    assert len(lines(path)) == 2


async def test_what_json_cannot_hold_cannot_be_recorded(path: Path) -> None:
    with pytest.raises(UsageError, match="recorded"):
        await Cassette(Counting(), path, "auto").complete(Request((user("x"),), Settings(extra={"f": object()})))


# Secrets


def test_no_secret_is_written_and_what_was_hidden_is_found_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-proj-abcdefghijklmnop1234"
    monkeypatch.setenv("ACME_API_KEY", "acme-0123456789")
    lm = Cassette(Counting(text=f"your key is {key}, ours is acme-0123456789"), path, "record")
    extra = {
        "headers": {"Authorization": "Basic abc", "x-api-key": "zzz"},
        "stop_token": "end",
        "user": "acme-0123456789",
    }

    def ask(lm: LM) -> Response:
        return lm(f"my key is {key} and Bearer 0123456789abcdef0123", extra=extra)

    ask(lm)
    text = path.read_text()
    for secret in (key, "acme-0123456789", "Basic abc", "zzz", "0123456789abcdef0123"):
        assert secret not in text
    assert "[ACME_API_KEY]" in text
    assert '"stop_token": "end"' in text
    assert ask(Cassette(Counting(), path)).text == "your key is [hidden], ours is [ACME_API_KEY]"
    with pytest.raises(LMReplayError) as caught:
        Cassette(Counting(), path)(f"another question with {key}")
    assert key not in str(caught.value)


# The rest


def test_the_environment_chooses_the_mode(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OUTLAST_CASSETTE", raising=False)
    assert Cassette(Counting(), path).mode == "replay"
    monkeypatch.setenv("OUTLAST_CASSETTE", "auto")
    assert Cassette(Counting(), path).mode == "auto"
    assert Cassette(Counting(), path, "record").mode == "record"
    monkeypatch.setenv("OUTLAST_CASSETTE", "rewind")
    with pytest.raises(ConfigError, match="OUTLAST_CASSETTE is 'replay', 'auto' or 'record'; got 'rewind'"):
        Cassette(Counting(), path)


def test_options_are_checked(path: Path) -> None:
    wrong: list[tuple[Any, Any, Any]] = [
        ("m", path, None),
        (Counting(), "", None),
        (Counting(), 3, None),
        (Counting(), path, "x"),
    ]
    for inner, place, mode in wrong:
        with pytest.raises(ConfigError):
            Cassette(inner, place, mode)
    lm = Cassette(Counting(), path)
    assert lm.info()[0].facts == {"path": str(path), "mode": "replay"}
    assert repr(pickle.loads(pickle.dumps(Cassette(ol.LM("openai/m", cache=False), path)))).startswith(
        "Cassette(LM('openai/m'"
    )


def test_a_program_runs_from_a_recording_without_a_key(path: Path) -> None:
    live = Cassette(Counting("openai/m", text="<<answer>>\n42\n\n<<end>>"), path, "record")
    assert ol.Predict("question -> answer: int", lm=live)(question="6 x 7?").answer == 42
    offline = Cassette(Counting("openai/m"), path)
    out = ol.Predict("question -> answer: int", lm=offline)(question="6 x 7?")
    assert (out.answer, out.trace[0].response.cache) == (42, "replayed")


def test_a_few_lines_of_a_difference_are_those_with_words() -> None:
    told = ["--- line 1", "+++ asked now", "@@ -1,9 +1,9 @@", ' "role": "user",', "-old words", "-  },", "-<<end>>"]
    told += [f"-old {n}" for n in range(9)] + ["+new words", "+<<end>>", f"+{'long ' * 99}"]
    assert shortened("\n".join(told)).split("\n") == [
        "-old words",
        "-old 0",
        "-old 1",
        "-old 2",
        "+new words",
        f"+{'long ' * 99}"[:109] + "…",
        "... 9 more lines",
    ]
    assert shortened("--- a\n+++ b\n@@ -1 +1 @@\n-  }\n+  ]") == "-  }\n+  ]"
    assert shortened("--- a\n+++ b\n@@ -1 +1 @@\n-x: 1\n+x: 2") == "-x: 1\n+x: 2"
