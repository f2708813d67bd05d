from __future__ import annotations

import json
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import StudyError
from outlast.messages import Message, OutputSchema, Question, Request, Response, Settings, TextPart, Usage, system, user
from outlast.optimize.candidate import Outcome
from outlast.optimize.ledger import Ledger
from outlast.optimize.ledger_file import TABLES
from outlast.types import Document, Image, Tool

IDENTITY = {"program": "P 1", "data": "train 2"}
SHARED = (system("Answer."), user("demo question"))


def request(text: str = "q", **options: Any) -> Request:
    return Request((*SHARED, user(text)), **options)


def response(text: str = "a", **options: Any) -> Response:
    return Response(text, "model-7", usage=Usage(3, 4, cost=0.5), **options)


def test_a_reply_comes_back_as_it_was(tmp_path: Path):
    path = tmp_path / "one.db"
    ledger = Ledger(path, IDENTITY)
    form = ledger.form("lm", request())
    assert ledger.reply(form.key) is None
    ledger.add_reply(form, "lm", response("é\ud800\n", reasoning="because", finish="length"))
    ledger.close()
    again = Ledger(path, IDENTITY)
    found = again.reply(again.form("lm", request()).key)
    assert found == response("é\ud800\n", reasoning="because", finish="length")
    assert again.models() == ["model-7"]
    assert again.totals() == {"calls": 1, "input_tokens": 3, "output_tokens": 4, "dollars": 0.5, "unpriced": 0}
    again.close()


@pytest.mark.parametrize(
    "other",
    [
        request("other"),
        request(settings=Settings(temperature=1.0)),
        request(output="json"),
        request(output=OutputSchema("a", {"type": "object"})),
        request(sample=1),
        Request((system("Answer!"), user("demo question"), user("q"))),
        replace(request(), tools=(Tool("look"),)),
        replace(request(), tools=(Tool("look"),), tool_choice="required"),
        replace(request(), questions=(("sure", Question("yes_no", "Sure?")),)),
        Request((system("Answer."), user("demo question"), Message("user", (Image("image/png", b"x"), TextPart("q"))))),
        Request((system("Answer."), user("demo question"), Message("user", (Document("q"),)))),
        Request((user("Answer."), user("demo question"), user("q"))),
    ],
)
def test_requests_that_differ_in_anything_have_different_keys_and_come_back_whole(other: Request):
    ledger = Ledger(None, {})
    forms = [ledger.form("lm", one) for one in (request(), other)]
    assert forms[0].key != forms[1].key
    assert forms[0].key == ledger.form("lm", request()).key != ledger.form("lm 2", request()).key
    for form in forms:
        ledger.add_reply(form, "lm", response())
    assert ledger.request(forms[1].key) == json.loads(json.dumps(other.to_json()))
    assert ledger.request(forms[0].key) == request().to_json()
    assert ledger.request("nothing") is None


def test_texts_that_many_requests_share_are_kept_once():
    ledger = Ledger(None, {})
    for number in range(20):
        ledger.add_reply(ledger.form("lm", request(f"question {number}")), "lm", response())
    assert ledger.count("reply") == 20
    assert ledger.count("text") == 22


def test_the_first_of_two_replies_counts():
    ledger = Ledger(None, {})
    form = ledger.form("lm", request())
    assert ledger.add_reply(form, "lm", response("first")).text == "first"
    assert ledger.add_reply(form, "lm", response("second")).text == "first"
    assert ledger.count("reply") == 1


def test_the_first_of_two_rollouts_counts():
    ledger = Ledger(None, {})
    one = Outcome("c", "e", 0, "pass", 1.0, replies=("k",), calls=2, tokens=7, dollars=0.5, seconds=0.1)
    other = Outcome("c", "e", 0, "fail", 0.0)
    assert ledger.add_rollout(one, parts={}, outputs=None, trace=[{"path": "a"}]) == one
    assert ledger.add_rollout(other, parts={}, outputs=None, trace=[]) == one
    assert list(ledger.rollouts()) == [one]
    assert ledger.trace("c", "e", 0) == [{"path": "a"}]
    assert ledger.trace("c", "e", 1) == []


def test_answers_of_a_cache_are_kept_and_cost_nothing():
    ledger = Ledger(None, {})
    form = ledger.form("lm", request())
    ledger.add_reply(form, "lm", response(cache="hit"))
    assert ledger.reply(form.key).cache == "hit"  # type: ignore[union-attr]
    assert ledger.totals()["calls"] == 0


def test_events_belong_to_their_run(tmp_path: Path):
    path = tmp_path / "one.db"
    for number in range(3):
        ledger = Ledger(path, IDENTITY)
        ledger.add_event("note", {"n": number})
        ledger.close()
    db = sqlite3.connect(path)
    assert db.execute("SELECT run, data FROM event WHERE kind = 'note' ORDER BY id").fetchall() == [
        (n + 1, f'{{"n":{n}}}') for n in range(3)
    ]
    db.close()
    ledger = Ledger(path, IDENTITY)
    assert ledger.events("note") == [{"n": 0}, {"n": 1}, {"n": 2}]
    ledger.close()


def test_two_that_are_open_at_once_have_different_numbers(tmp_path: Path):
    path = tmp_path / "one.db"
    both = [Ledger(path, IDENTITY) for _ in range(2)]
    for ledger in both:
        ledger.add_event("note", {})
        ledger.close()
    db = sqlite3.connect(path)
    assert sorted(row[0] for row in db.execute("SELECT run FROM event WHERE kind = 'note'")) == [1, 2]
    db.close()


def test_it_can_be_read_while_it_is_written(tmp_path: Path):
    path = tmp_path / "one.db"
    ledger = Ledger(path, IDENTITY)
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    for number in range(5):
        ledger.add_reply(ledger.form("lm", request(str(number))), "lm", response())
        assert reader.execute("SELECT count(*) FROM reply").fetchone()[0] == number + 1
    reader.close()
    ledger.close()


def test_many_threads_may_write(tmp_path: Path):
    ledger = Ledger(tmp_path / "one.db", IDENTITY)
    problems: list[Exception] = []

    def work(name: int) -> None:
        try:
            for number in range(40):
                form = ledger.form("lm", request(f"{number % 20} {name % 2}"))
                ledger.add_reply(form, "lm", response())
                assert ledger.reply(form.key) is not None
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert ledger.count("reply") == 40
    ledger.close()


def test_another_search_and_another_version_are_refused_by_name(tmp_path: Path):
    path = tmp_path / "one.db"
    Ledger(path, IDENTITY).close()
    with pytest.raises(StudyError, match=r"different: data \(was 'train 2', is 'train 3'\)\."):
        Ledger(path, {**IDENTITY, "data": "train 3"})
    db = sqlite3.connect(path)
    db.execute("UPDATE meta SET value = '99' WHERE key = 'version'")
    db.commit()
    db.close()
    with pytest.raises(StudyError, match="version '99'"):
        Ledger(path, IDENTITY)


def test_after_a_failure_nothing_more_is_written(tmp_path: Path):
    ledger = Ledger(tmp_path / "one.db", IDENTITY)
    form = ledger.form("lm", request())
    ledger._file._db.execute("DROP TABLE reply")
    with pytest.raises(StudyError, match="cannot write to the ledger") as first:
        ledger.add_reply(form, "lm", response())
    with pytest.raises(StudyError) as second:
        ledger.add_event("note", {})
    assert second.value is first.value is ledger.failure
    ledger.close()


def test_only_tables_that_exist_are_counted():
    ledger = Ledger(None, {})
    counts = {table: ledger.count(table) for table in TABLES}
    assert counts == {**dict.fromkeys(TABLES, 0), "meta": 1, "event": 1}  # the version, and that it was opened
    with pytest.raises(StudyError, match="no table"):
        ledger.count("reply; DROP TABLE reply")


def test_a_ledger_holds_no_key_of_a_model(tmp_path: Path):
    from outlast.testing.world import Triage, World, right

    class Keyed(ol.LM):
        name = "keyed"
        capabilities = ol.Capabilities()
        blocking_safe = True

        def __init__(self) -> None:
            self.inner = World(examples=60).lm()
            self.api_key = "sk-topsecret"

        def __repr__(self) -> str:
            return f"Keyed({self.api_key})"

        async def complete(self, request: Request) -> Response:
            return await self.inner.complete(request)

    path = tmp_path / "one.study.db"
    program = ol.update(Triage(), {"route.lm": Keyed()})
    teacher = ol.update(Triage(), {"rate.lm": Keyed()})
    found = ol.compile(
        program,
        World(examples=60).data(),
        right,
        lm=Keyed(),
        study=path,
        optimizer=ol.BootstrapFewShot(teacher=teacher),
        progress=False,
    )
    found.save(tmp_path / "x.outlast.json")
    for file in tmp_path.iterdir():
        if file.is_file():
            assert b"topsecret" not in file.read_bytes(), file
