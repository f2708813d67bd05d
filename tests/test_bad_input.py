"""Bad input of every kind, end to end: each case is a clear error or a recorded row; nothing is lost, nothing hangs.

Each case names what must be raised and words that the message must hold, so that a person knows what to do.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import sqlite3
import threading
from pathlib import Path
from typing import Any, Literal

import pytest

import outlast as ol
from outlast.errors import (
    AnswerError,
    ArtifactError,
    ConfigError,
    DataError,
    FrozenError,
    InputError,
    LMConnectionError,
    LMResponseError,
    MetricError,
    OutlastError,
    ParseError,
    PathError,
    SignatureError,
    StudyError,
    UsageError,
)
from outlast.testing import ScriptedLM

Team = Literal["billing", "cards"]


class Triage(ol.Signature):
    """Route a message."""

    message: str = ol.input()
    team: Team = ol.output()
    urgency: int = ol.output(ge=1, le=5)


GOOD = "<<team>>\nbilling\n<<urgency>>\n3\n<<end>>"


def answering(*replies: Any, **options: Any) -> ScriptedLM:
    """A model that gives these replies in turn and then the last one for ever."""
    left = list(replies)
    return ScriptedLM(lambda _: left.pop(0) if len(left) > 1 else left[0], **options)


def program(*replies: Any) -> ol.Predict[Any, Any]:
    return ol.Predict(Triage, lm=answering(*(replies or (GOOD,))))


def rows(n: int = 90) -> list[ol.Example]:
    return [ol.Example({"message": f"m{i}"}, {"team": "billing"}) for i in range(n)]


def right(example: Any, out: Any) -> bool:
    return out.team == example.team


def untyped(value: Any) -> Any:
    """Hides a value's type from the checker: these tests call things wrongly on purpose."""
    return value


CALLS: list[tuple[str, Any, type[BaseException], str]] = [
    # calls of a program
    ("misspelt input", lambda: untyped(program())(mesage="x"), InputError, "Did you mean 'message'"),
    ("missing input", lambda: untyped(program())(), InputError, "'message'"),
    ("extra input", lambda: untyped(program())(message="x", other=1), InputError, "other"),
    ("wrong type", lambda: untyped(program())(message=3), InputError, "message"),
    ("None for text", lambda: untyped(program())(message=None), InputError, "message"),
    ("positional input", lambda: untyped(program())("x"), InputError, "by name"),
    ("assignment", lambda: setattr(program(), "instruction", "x"), FrozenError, "update"),
    ("deletion", lambda: delattr(program(), "demos"), FrozenError, "value"),
    ("unknown keyword", lambda: ol.Predict(Triage, temprature=1), UsageError, "temperature"),
    ("no such field described", lambda: ol.Predict(Triage, fields={"taem": "x"}), UsageError, "team"),
    ("demo with an unknown field", lambda: ol.Predict(Triage, demos=[{"txt": "x"}]), UsageError, "txt"),
    ("demo that is no mapping", lambda: ol.Predict(Triage, demos=untyped([3])), UsageError, "demo"),
    ("lm that is none", lambda: ol.Predict(Triage, lm=untyped(3)), UsageError, "LM"),
    ("adapter that is none", lambda: ol.Predict(Triage, adapter=untyped("chat")), UsageError, "Adapter"),
    ("negative reasks", lambda: ol.Chat(reasks=-1), UsageError, "reasks"),
    ("unknown path", lambda: ol.update(program(), {"instrution": "x"}), PathError, "instruction"),
    ("path into nothing", lambda: ol.update(program(), {"a.b.c": "x"}), PathError, "a.b.c"),
    ("empty path", lambda: ol.update(program(), {"": "x"}), PathError, "path"),
    ("instruction of a wrong type", lambda: ol.update(program(), {"instruction": 3}), UsageError, "text"),
    ("demos of a wrong type", lambda: ol.update(program(), {"demos": "abc"}), UsageError, "demos"),
    ("settings of a wrong type", lambda: ol.update(program(), {"settings": {}}), UsageError, "Settings"),
    ("configure with a typo", lambda: untyped(ol.configure)(model="x"), TypeError, "model"),
    ("unknown provider", lambda: ol.LM("opnai/gpt-5"), ConfigError, "openai"),
    ("model name without provider", lambda: ol.LM("gpt-5"), ConfigError, "/"),
    ("unknown option of LM", lambda: untyped(ol.LM)("openai/x", tempature=1), TypeError, "temp"),
    ("module without forward", lambda: ol.Module()(x=1), UsageError, "forward"),
    ("unknown public name", lambda: untyped(ol).Predct, AttributeError, "Predict"),
    # signatures
    ("string without arrow", lambda: ol.signature("question answer"), SignatureError, "->"),
    ("string with two arrows", lambda: ol.signature("a -> b -> c"), SignatureError, "->"),
    ("string without output", lambda: ol.signature("a ->"), SignatureError, "output"),
    ("string with a bad name", lambda: ol.signature("1a -> b"), SignatureError, "1a"),
    ("string with a call", lambda: ol.signature("a: __import__('os') -> b"), SignatureError, "type"),
    ("string with an attribute", lambda: ol.signature("a: os.path -> b"), SignatureError, "type"),
    ("string with an unknown type", lambda: ol.signature("a: Sring -> b"), SignatureError, "types="),
    ("string with a default", lambda: ol.signature("a=3 -> b"), SignatureError, "names, each with a type"),
    ("same field twice", lambda: ol.signature("a -> a"), SignatureError, "a"),
    ("private field", lambda: ol.signature("_a -> b"), SignatureError, "_a"),
    ("huge string", lambda: ol.signature("a" * 30_000 + " -> b"), SignatureError, "characters"),
    ("deep string", lambda: ol.signature("a: " + "list[" * 900 + "int" + "]" * 900 + " -> b"), SignatureError, ""),
    ("not a signature", lambda: ol.Predict(untyped(3)), SignatureError, "spelled"),
    ("field that is gone", lambda: Triage.delete("tam"), SignatureError, "team"),
    ("field that exists", lambda: Triage.append("team", str, ol.output()), SignatureError, "team"),
    ("signature assigned to", lambda: setattr(Triage, "team", 3), FrozenError, "value"),
    ("function without return type", lambda: ol.predict(untyped(lambda message: 1)), SignatureError, "return"),
    ("reasoning twice", lambda: ol.ChainOfThought("q -> reasoning, a"), SignatureError, "reasoning"),
    # data and metrics
    ("empty data", lambda: ol.evaluate(program(), [], right, progress=False), DataError, "empty"),
    ("metric of one argument", lambda: ol.evaluate(program(), rows(), lambda e: 1, progress=False), UsageError, "two"),
    ("metric that is none", lambda: ol.evaluate(program(), rows(), untyped(3), progress=False), UsageError, "metric"),
    ("evaluate with a typo", lambda: untyped(ol.evaluate)(program(), rows(), right, num_thread=4), TypeError, "num"),
    ("too little data to compile", lambda: ol.compile(program(), rows(20), right, study=False), DataError, "at least"),
    (
        "misspelt option of compile",
        lambda: ol.compile(program(), rows(), right, optimzer=None),
        UsageError,
        "optimizer",
    ),
    ("compile of no program", lambda: ol.compile(untyped(3), rows(), right, study=False), UsageError, "program"),
    ("negative budget", lambda: ol.Budget(calls=-1), UsageError, "calls"),
    ("budget of text", lambda: ol.Budget(dollars=untyped("2")), UsageError, "number"),
    ("no model configured", lambda: untyped(ol.Predict("q -> a"))(q="x"), ConfigError, "configure"),
    ("score of NaN", lambda: ol.Score(math.nan), MetricError, "finite"),
]


@pytest.mark.parametrize(("case", "call", "kind", "words"), CALLS, ids=[case[0] for case in CALLS])
def test_misuse_is_a_clear_error(case: str, call: Any, kind: type[BaseException], words: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert words in str(caught.value), str(caught.value)
    assert len(str(caught.value)) < 2000


REPLIES: list[tuple[str, Any]] = [
    ("empty", ""),
    ("blank", "  \n\t "),
    ("refusal", "I'm sorry, I can't help with that."),
    ("markers only", "<<team>><<urgency>><<end>>"),
    ("missing field", "<<team>>\nbilling\n<<end>>"),
    ("unknown choice", "<<team>>\nmarketing\n<<urgency>>\n3\n<<end>>"),
    ("out of range", "<<team>>\nbilling\n<<urgency>>\n9\n<<end>>"),
    ("words for a number", "<<team>>\nbilling\n<<urgency>>\nvery\n<<end>>"),
    ("field twice", "<<team>>\nbilling\n<<team>>\ncards\n<<urgency>>\n3\n<<end>>"),
    ("NaN", "<<team>>\nbilling\n<<urgency>>\nNaN\n<<end>>"),
    ("huge number", "<<team>>\nbilling\n<<urgency>>\n" + "9" * 100_000 + "\n<<end>>"),
    ("deep nesting", "<<team>>\nbilling\n<<urgency>>\n" + "[" * 100_000 + "\n<<end>>"),
    ("many quotes", "<<team>>\n" + '"' * 100_000 + "\n<<urgency>>\n3\n<<end>>"),
    ("many markers", "<<team>>\n" * 20_000),
    ("one megabyte", "x" * 1_000_000),
    ("lone surrogate", "<<team>>\n\ud800\n<<urgency>>\n3\n<<end>>"),
    ("NUL bytes", "\x00" * 1000),
    ("braces", "{" * 5_000),
    ("broken JSON", '{"team": "billing", "urgency": '),
    ("two JSON objects", '{"team": "billing", "urgency": 1} {"team": "cards", "urgency": 2}'),
]


@pytest.mark.parametrize(("case", "reply"), REPLIES, ids=[case[0] for case in REPLIES])
@pytest.mark.parametrize("adapter", [ol.Chat(reasks=1), ol.JSON(reasks=1)], ids=["chat", "json"])
def test_garbage_from_a_model_is_an_answer_error_after_the_re_ask(case: str, reply: str, adapter: Any) -> None:
    lm = answering(reply)
    with pytest.raises(AnswerError) as caught, ol.context(lm=lm, adapter=adapter):
        ol.Predict(Triage)(message="hello")
    assert lm.calls == 2
    assert caught.value.response is not None
    assert len(str(caught.value)) < 3000


@pytest.mark.parametrize(("case", "reply"), REPLIES, ids=[case[0] for case in REPLIES])
def test_garbage_once_is_mended_by_the_re_ask(case: str, reply: str) -> None:
    out = program(reply, GOOD)(message="hello")
    assert (out.team, out.urgency) == ("billing", 3)
    assert [span.attempt for span in out.trace] == [0, 1]


@pytest.mark.parametrize("name", ["lm", "config", "self", "items", "demos", "signature", "trace", "metadata", "inputs"])
def test_no_field_name_is_reserved(name: str) -> None:
    signature = ol.signature(f"{name} -> answer_{name}, get")
    reply = f"<<answer_{name}>>\nyes\n<<get>>\nno\n<<end>>"
    out = untyped(ol.Predict(signature, lm=answering(reply)))(**{name: "value"})
    assert getattr(out, f"answer_{name}") == "yes"
    assert out[name] == "value"
    assert getattr(out, name) == "value"
    assert out.get == "no"


def test_a_metric_that_raises_or_gives_nothing_or_nan_is_a_recorded_row() -> None:
    def metric(example: Any, out: Any) -> Any:
        kind = int(example.message[1:]) % 4
        if kind == 0:
            raise ZeroDivisionError("metric broke")
        return {1: None, 2: math.nan, 3: True}[kind]

    result = ol.evaluate(program(), rows(40), metric, progress=False)
    states = [row.state for row in result.rows]
    assert states.count("error") == 20
    assert states.count("unscored") == 10
    assert states.count("pass") == 10
    assert result.score.n == 10
    assert result.score.value == 1.0
    assert any("metric broke" in str(row.error) for row in result.rows)


def test_a_dead_server_is_an_error_row_not_a_zero() -> None:
    lm = ol.LM("openai/x", base_url="http://127.0.0.1:9/v1", api_key="secret-key", retries=0, cache=False)
    result = ol.evaluate(ol.Predict(Triage, lm=lm), rows(5), right, progress=False)
    assert [row.state for row in result.rows] == ["error"] * 5
    assert result.score.n == 0
    assert "secret-key" not in repr(result) + "".join(str(row.error) for row in result.rows)


def test_a_call_to_a_dead_server_fails_fast_and_says_where() -> None:
    lm = ol.LM("openai/x", base_url="http://127.0.0.1:9/v1", api_key="secret-key", retries=0, cache=False)
    with pytest.raises(LMConnectionError, match=r"127\.0\.0\.1:9"):
        lm("hello")


def test_a_corrupted_cache_is_put_aside_and_nothing_is_lost(tmp_path: Path) -> None:
    from outlast.testing.server import FakeServer

    path = tmp_path / "cache.db"
    path.write_bytes(b"this is not a database" * 100)
    with FakeServer(lambda request: "hi") as server:
        lm = ol.LM("openai/x", base_url=server.url, api_key="k", cache=str(path))
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert lm("hello").text == "hi"
            assert lm("hello").text == "hi"
    assert list(tmp_path.glob("cache.db.corrupt*"))


ARTIFACTS: list[tuple[str, bytes, str]] = [
    ("empty", b"", "JSON"),
    ("binary", b"\xff\xfe\x00\x01", "UTF-8"),
    ("no JSON", b"hello", "JSON"),
    ("wrong kind", b"[1, 2]", "compiled file"),
    ("another format", b'{"format": "other"}', "compiled file"),
    ("no parameters", b'{"format": "outlast artifact 1", "program": {}}', "parameters"),
    ("duplicate keys", b'{"format": "a", "format": "b"}', "twice"),
    ("deep", b"[" * 200_000, "JSON"),
]


@pytest.mark.parametrize(("case", "content", "words"), ARTIFACTS, ids=[case[0] for case in ARTIFACTS])
def test_a_bad_artefact_is_a_clear_error(case: str, content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.outlast.json"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=words):
        ol.load(path, program())


def test_an_artefact_cannot_bring_a_model_or_a_url(tmp_path: Path) -> None:
    path = ol.save(program(), tmp_path / "x.outlast.json")
    data = json.loads(path.read_text())
    data["parameters"]["lm"] = "openai/evil"
    path.write_text(json.dumps(data))
    with pytest.raises(ArtifactError, match="never taken from a file"):
        ol.load(path, program())


def test_an_artefact_for_another_signature_names_the_field(tmp_path: Path) -> None:
    path = ol.save(program(), tmp_path / "x.outlast.json")
    other = Triage.with_updated_field("urgency", type=float)
    with pytest.raises(ArtifactError, match="urgency"):
        ol.load(path, ol.Predict(other))


def test_a_missing_artefact_and_an_unwritable_place_are_clear(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no compiled file"):
        ol.load(tmp_path / "none.json", program())
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot write"):
        ol.save(program(), tmp_path / "file" / "x.json")


def test_a_ledger_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(StudyError, match=r"study\.db"):
        ol.compile(program(), rows(), right, study=path, progress=False)
    assert path.read_bytes() == b"garbage" * 1000


def test_a_ledger_of_another_search_is_refused_and_says_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    search = ol.LabeledFewShot(k=2)
    ol.compile(program(), rows(), right, optimizer=search, study=path, progress=False)

    def other(example: Any, out: Any) -> bool:
        return out.urgency == 1

    with pytest.raises(StudyError, match="metric"):
        ol.compile(program(), rows(), other, optimizer=search, study=path, progress=False)


def test_a_ledger_on_a_full_disk_stops_with_the_cause(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    search = ol.LabeledFewShot(k=2)
    ol.compile(program(), rows(), right, optimizer=search, study=path, progress=False)
    with sqlite3.connect(path) as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
    assert pages > 0
    if os.path.exists("/dev/full"):
        with pytest.raises(StudyError):
            ol.compile(program(), rows(), right, optimizer=search, study="/dev/full", progress=False)


def test_blocking_call_inside_async_code_of_a_program_is_refused() -> None:
    class Wrong(ol.Module):
        step = ol.Predict(Triage)

        async def forward(self, message: str) -> Any:
            return self.step(message=message)

    with pytest.raises(UsageError, match="await"), ol.context(lm=answering(GOOD)):
        Wrong()(message="x")


def test_a_huge_response_is_refused() -> None:
    from outlast.testing.server import FakeServer

    with FakeServer(lambda request: "x" * 200_000) as server:
        lm = ol.LM("openai/x", base_url=server.url, api_key="k", cache=False, retries=0, max_response_bytes=10_000)
        with pytest.raises(LMResponseError, match="10000|10,000|10_000"):
            lm("hello")


def test_many_threads_with_bad_input_do_not_disturb_each_other() -> None:
    good = program()
    problems: list[str] = []

    def work(number: int) -> None:
        for _ in range(50):
            try:
                untyped(good)(**({"message": "x"} if number % 2 else {"mesage": "x"}))
                if not number % 2:
                    problems.append("no error")
            except InputError:
                if number % 2:
                    problems.append("error")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_cancelling_leaves_nothing_running() -> None:
    lm = ScriptedLM(lambda _: GOOD, latency=5)

    async def main() -> None:
        task = asyncio.create_task(untyped(ol.Predict(Triage, lm=lm)).acall(message="x"))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert lm.calls == 1


def test_errors_have_one_root_and_the_builtin_kind() -> None:
    for error, builtin in [
        (InputError, TypeError),
        (DataError, ValueError),
        (PathError, KeyError),
        (ConfigError, ValueError),
        (LMConnectionError, ConnectionError),
        (ParseError, ValueError),
    ]:
        assert issubclass(error, OutlastError)
        assert issubclass(error, builtin)


def test_there_are_at_least_sixty_cases() -> None:
    assert len(CALLS) + len(REPLIES) + len(ARTIFACTS) >= 60


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE customers (name TEXT)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StudyError, match="customers"):
        ol.compile(program(), rows(), right, study=path, progress=False)
    with sqlite3.connect(path) as db:
        assert [row[0] for row in db.execute("SELECT name FROM sqlite_master")] == ["customers"]
    db.close()
    assert path.read_bytes() == before


def test_a_label_that_fits_no_output_is_found_before_anything_is_spent() -> None:
    lm = answering(GOOD)
    data = [*rows(), *(ol.Example({"message": f"wrong {i}"}, {"team": "marketing"}) for i in range(60))]
    with pytest.raises(DataError, match="team"):
        ol.compile(ol.Predict(Triage, lm=lm), data, right, study=False, progress=False)
    assert lm.calls == 0


def test_the_same_inputs_in_two_parts_are_refused_whatever_their_labels() -> None:
    def part(note: str, start: int) -> list[ol.Example]:
        return [ol.Example({"message": f"m{start + i}"}, {"team": "billing", "note": note}) for i in range(20)]

    data = {"train": part("a", 0), "select": part("b", 20), "confirm": part("c", 0)}
    with pytest.raises(DataError, match="overlap"):
        ol.compile(program(), data, right, study=False, progress=False)
