"""Logs of Inspect, packed and plain; and files that only look like one."""

from __future__ import annotations

import io
import json
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
import zstandard
from tests.tracing.imports import logs

import outlast as ol
from outlast.errors import DataError
from outlast.messages import ToolCall, ToolResult
from outlast.tracing.imports import files
from outlast.tracing.imports.inspect_logs import read_inspect
from outlast.tracing.imports.logs import import_log
from outlast.tracing.saving import WholeTrace


def read(path: Path) -> list[WholeTrace]:
    return list(read_inspect(path).traces)


def zstd_eval(path: Path, *samples: Any) -> Path:
    """A log packed as Inspect does it today: zip entries of the method 93, which Python has from 3.14 on."""
    entries = {"header.json": logs.inspect_head()}
    entries |= {f"samples/{sample['id']}_epoch_{sample['epoch']}.json": sample for sample in samples}
    body, directory = io.BytesIO(), io.BytesIO()
    for name, data in entries.items():
        raw = json.dumps(data).encode()
        packed = zstandard.ZstdCompressor().compress(raw)
        sizes = b"".join(number.to_bytes(4, "little") for number in (zlib.crc32(raw), len(packed), len(raw)))
        named = len(name).to_bytes(2, "little")
        common = b"\x3f\x00\x00\x00" + (93).to_bytes(2, "little") + bytes(4) + sizes + named + b"\x00\x00"
        directory.write(b"PK\x01\x02\x3f\x00" + common + bytes(10) + body.tell().to_bytes(4, "little") + name.encode())
        body.write(b"PK\x03\x04" + common + name.encode() + packed)
    start, listed = body.tell(), directory.getvalue()
    count = len(entries).to_bytes(2, "little")
    end = (
        b"PK\x05\x06"
        + bytes(4)
        + count * 2
        + len(listed).to_bytes(4, "little")
        + start.to_bytes(4, "little")
        + b"\x00\x00"
    )
    path.write_bytes(body.getvalue() + listed + end)
    return path


def test_a_sample_is_a_trace_with_what_was_called(tmp_path: Path) -> None:
    (found,) = read(logs.inspect_json(tmp_path / "a.json", logs.inspect_sample()))
    trace, spans = found.trace, found.spans
    assert (trace.name, trace.example, trace.status, trace.seconds) == ("weather", "w1", "ok", 1.25)
    assert (trace.calls, trace.input_tokens, trace.output_tokens) == (2, 48, 18)
    assert (trace.input, trace.output, trace.models) == (
        "Weather in Paris?",
        "The answer is rain",
        ("gpt-5-mini-2026",),
    )
    root, step, first, tool, second = spans
    assert [span.kind for span in spans] == ["program", "module", "lm", "tool", "lm"]
    assert [span.parent_id for span in spans] == ["", root.id, step.id, step.id, step.id]
    assert (step.name, step.seconds, tool.name, tool.attributes["call_id"]) == ("generate", 1.0, "look", "t1")
    assert (first.lm_asked, first.finish, first.seconds) == ("openai/gpt-5-mini", "tool_calls", 0.25)
    assert (first.input_tokens, first.cached_tokens, first.reasoning_tokens) == (24, 4, 2)
    asked = found.contents[first.id].as_request()
    assert asked is not None
    assert [message.text for message in asked.messages] == ["Be brief.", "Weather in Paris?"]
    assert (asked.settings.temperature, asked.settings.stop, asked.settings.max_tokens) == (0.5, ("END",), 100)
    assert [one.name for one in asked.tools] == ["look"]
    said = found.contents[first.id].as_response()
    assert said is not None
    assert (said.text, said.reasoning) == ("A look.", "I must look.")
    assert said.tool_calls == (ToolCall("t1", "look", '{"city": "Paris"}'),)
    again = found.contents[second.id].as_request()
    assert again is not None
    assert again.messages[3].parts == (ToolResult("t1", "rain in Paris"),)
    assert found.contents[tool.id].outputs == "rain in Paris"


def test_its_scores_are_a_row_of_results(tmp_path: Path) -> None:
    path = logs.inspect_json(tmp_path / "a.json", logs.inspect_sample(), logs.inspect_failed())
    scored, failed = (found.result for found in read(path))
    assert scored is not None
    assert failed is not None
    assert (scored.state, scored.score, scored.feedback) == ("pass", 1.0, "it is in it")
    assert scored.parts == {"includes": 1.0, "match": 0.5}
    assert (scored.index, scored.epoch, scored.example) == (1, 0, "w1")
    assert (scored.inputs, scored.targets) == ({"input": "Weather in Paris?"}, {"target": "rain"})
    assert (failed.state, failed.score, failed.error) == ("error", None, "ValueError('boom happened')")
    assert (failed.index, failed.inputs, failed.targets) == (0, {"input": "boom"}, {"target": ["x", "y"]})


@pytest.mark.parametrize(
    ("value", "state", "score"),
    [("C", "pass", 1.0), ("I", "fail", 0.0), ("P", "fail", 0.5), (True, "pass", 1.0), (0.25, "fail", 0.25)]
    + [(value, "unscored", None) for value in ("X", None, {"a": 1}, float("nan"), 10**400)],
)
def test_values_of_scores(tmp_path: Path, value: Any, state: str, score: float | None) -> None:
    (found,) = read(logs.inspect_json(tmp_path / "a.json", logs.inspect_sample(value=value)))
    assert found.result is not None
    assert (found.result.state, found.result.score) == (state, score)


def test_the_run_is_what_the_log_says_of_it(tmp_path: Path) -> None:
    (run,) = read_inspect(logs.inspect_json(tmp_path / "a.json")).runs
    assert (run.kind, run.name, run.status, run.lm, run.dataset) == (
        "import",
        "weather",
        "done",
        "openai/gpt-5-mini",
        "cities",
    )
    assert (run.ended or 0) - run.started == 60
    assert run.summary == {"scores": {"includes/accuracy": 0.5, "includes/stderr": None}, "samples": 2}
    assert run.provenance["git"]["commit"] == "abc1234"


@pytest.mark.parametrize("write", [logs.inspect_eval, zstd_eval])
def test_each_packing_gives_the_same(tmp_path: Path, write: Any) -> None:
    plain = logs.inspect_json(tmp_path / "plain.json", logs.inspect_sample(), logs.inspect_failed())
    other = write(tmp_path / "log.eval", logs.inspect_sample(), logs.inspect_failed())
    assert read(other) == read(plain)


def test_importing_twice_is_as_importing_once(tmp_path: Path) -> None:
    path = logs.inspect_eval(
        tmp_path / "a.eval", logs.inspect_sample(), logs.inspect_sample(epoch=2), logs.inspect_failed()
    )
    with ol.open_store(tmp_path / "traces.db", create=True) as store:
        assert import_log(store, "inspect", path) == import_log(store, "inspect", path)
        (run,) = store.runs()
        assert store.count() == 3
        assert store.count_results(run.id) == {"error": 1, "pass": 2}
        row = store.results(run.id, state="pass")[1]
        assert (row.index, row.epoch) == (1, 1)
        spans = store.spans(row.trace_id)
        assert [span.kind for span in spans] == ["program", "module", "lm", "tool", "lm"]
        kept = store.content(spans[4]).as_request()
        assert kept is not None
        assert kept.messages[3].parts == (ToolResult("t1", "rain in Paris"),)


def test_a_log_that_was_cut_short_gives_what_is_in_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.eval", "w") as archive:
        archive.writestr("_journal/start.json", json.dumps({"version": 2, "eval": logs.inspect_head()["eval"]}))
        archive.writestr("samples/w1_epoch_1.json", json.dumps(logs.inspect_sample()))
    reading = read_inspect(tmp_path / "a.eval")
    assert len(list(reading.traces)) == 1
    assert reading.runs[0].status == "open"


def test_samples_that_are_none_cost_themselves(tmp_path: Path) -> None:
    circle = logs.inspect_sample("circle")
    circle["events"][1]["parent_id"] = "s2"
    circle["events"][1]["type"] = "solvers"
    strange = logs.inspect_sample("strange")
    strange["events"][2]["input_refs"] = [["a", None], [-5, 2], [0], 7]
    strange["events"][2]["config"] = {"temperature": "hot", "stop_seqs": [1], "max_tokens": -1}
    strange["events"][2]["tools"] = [{"name": "no good"}, "x", {"name": "ok", "parameters": 7}]
    strange["events"][3]["arguments"] = [1]
    strange["output"] = strange["scores"] = "not what it should be"
    path = logs.inspect_json(tmp_path / "a.json", 7, None, {"no": "id"}, circle, strange)
    reading = read_inspect(path)
    found = list(reading.traces)
    assert [one.trace.example for one in found] == ["circle", "strange"]
    assert reading.skipped == 3
    assert [span.parent_id for span in found[0].spans[1:]] == [found[0].spans[0].id] * 3
    asked = found[1].contents[found[1].spans[2].id].as_request()
    assert asked is not None
    assert [tool.name for tool in asked.tools] == ["ok"]


def zip_with(path: Path, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(f"{name}.json", data)
    return path


def test_a_bomb_is_refused_and_does_not_fill_the_memory(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "bomb.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("header.json", "w") as entry:
        for _ in range(200):
            entry.write(b" " * 1_000_000)
    assert path.stat().st_size < 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="unpacks to more than 64 MB"):
            read_inspect(path)
        assert tracemalloc.get_traced_memory()[1] < 80_000_000
    finally:
        tracemalloc.stop()


def test_a_bomb_of_zstd_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_ENTRY", 100_000)
    big = {**logs.inspect_sample(), "input": "x" * 200_000}
    reading = read_inspect(zstd_eval(tmp_path / "a.eval", big))
    with pytest.raises(DataError, match="unpacks to more than"):
        next(reading.traces)


def test_an_entry_that_lies_about_its_size_is_still_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zstd_eval(tmp_path / "a.eval", logs.inspect_sample())
    data = path.read_bytes()
    monkeypatch.setattr(files, "MOST_ENTRY", 1000)
    path.write_bytes(data)
    with pytest.raises(DataError, match="unpacks to more than"):
        list(read_inspect(path).traces)


def test_names_that_lead_out_of_the_zip_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = logs.inspect_eval(tmp_path / "in" / "a.eval")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("samples/../../../evil.json", json.dumps(logs.inspect_sample("evil")))
        archive.writestr("/etc/evil.json", "{}")
    assert [found.trace.example for found in read(path)] == ["evil"]  # it is read as any other, and written nowhere
    assert sorted(one.name for one in tmp_path.rglob("*") if one.is_file()) == ["a.eval"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not JSON"),
        (b"\x00\xff", "is not JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[]", "is no log of Inspect"),
        (b'{"version": 2}', "is no log of Inspect"),
        (b'{"version": 9, "eval": {}}', "is a log of version 9; those of 1 and 2 are read"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_inspect(tmp_path / "a.json")
    with pytest.raises(DataError, match=said):
        read_inspect(zip_with(tmp_path / "a.eval", header=content))


def test_a_zip_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.eval").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(DataError, match="is no zip file"):
        read_inspect(tmp_path / "a.eval")
    with pytest.raises(DataError, match=r"it has no header\.json"):
        read_inspect(zip_with(tmp_path / "b.eval", other=b"{}"))


def test_a_damaged_entry_is_refused(tmp_path: Path) -> None:
    for write in (logs.inspect_eval, zstd_eval):
        path = write(tmp_path / "a.eval", logs.inspect_sample())
        data = bytearray(path.read_bytes())
        start = data.index(b"header.json") + 30
        data[start : start + 40] = bytes(40)
        path.write_bytes(bytes(data))
        with pytest.raises(DataError, match="cannot be unpacked|is not JSON"):
            read_inspect(path)


def test_too_large_a_file_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_JSON", 1 << 20)
    (tmp_path / "a.json").write_bytes(b" " * (2 << 20))
    with pytest.raises(DataError, match="has 2 MB; logs of Inspect are read up to 1 MB"):
        read_inspect(tmp_path / "a.json")


def test_without_a_package_for_zstd_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if hasattr(zipfile, "ZIP_ZSTANDARD"):
        return  # this Python unpacks it itself
    path = zstd_eval(tmp_path / "a.eval", logs.inspect_sample())
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(DataError, match=r"pip install 'outlast\[inspect\]'"):
        read_inspect(path)
