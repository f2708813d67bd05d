"""`outlast run`: JSON lines in, JSON lines out."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest

LM = ("--lm", "outlast/baseline")
TEAMS = {"billing", "cards", "transfers", "identity", "fraud", "app", "lending", "complaints"}


def test_one_input(outlast) -> None:
    result = outlast("run", "app.py:Triage", *LM, "--input", "message=my card is gone")
    assert result.code == 0
    assert result.lines == [{"team": "cards"}]
    assert result.err == ""


def test_a_plain_result_is_named_output(outlast) -> None:
    assert outlast("run", "app.py:team_of", *LM, "-i", "message=my card is gone").lines == [{"output": "cards"}]


def test_a_file_of_rows_in_order(outlast, desk) -> None:
    rows = [json.loads(line) for line in (desk / "inputs.jsonl").read_text().splitlines()]
    result = outlast("run", "app.py:route", "inputs.jsonl", *LM, "--concurrency", "3")
    alone = [outlast("run", "app.py:route", *LM, "--input", f"message={row['message']}").lines[0] for row in rows]
    assert result.lines == alone


def test_options_may_stand_before_the_file(outlast) -> None:
    assert len(outlast("run", "app.py:route", *LM, "inputs.jsonl").lines) == 5


def test_standard_input_in_this_process(outlast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"message": "my card is gone"}\n\n{"message": "lending"}\n'))
    assert [row["team"] for row in outlast("run", "app.py:route", "-", *LM).lines] == ["cards", "lending"]


def test_a_pipe(shell) -> None:
    result = shell("run", "app.py:route", "-", *LM, stdin='{"message": "my card is gone"}\n{"message": "lending"}')
    assert result.code == 0
    assert [row["team"] for row in result.lines] == ["cards", "lending"]


def test_answers_come_before_the_input_ends(desk) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "outlast.cli", "run", "app.py:route", "-", *LM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write('{"message": "my card is gone"}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"team": "cards"}
        process.stdin.close()
        assert process.wait(timeout=20) == 0


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_while_waiting_for_input_ends_at_once(desk) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "outlast.cli", "run", "app.py:route", "-", *LM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write('{"message": "my card is gone"}\n')
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert process.wait(timeout=20) == 130
        assert time.monotonic() - began < 15
        assert process.stderr.read() == "outlast: interrupted\n"


def test_a_reader_that_goes_away_is_no_crash(desk) -> None:
    rows = "".join(json.dumps({"message": f"card {n}" + "x" * 2000}) + "\n" for n in range(300))
    (desk / "many.jsonl").write_text(rows)
    (desk / "echo.py").write_text(
        "import outlast as ol\n\nclass Echo(ol.Module):\n    def forward(self, message):\n        return message\n"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "outlast.cli", "run", "echo.py:Echo", "many.jsonl", *LM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["output"].startswith("card 0")
        process.stdout.close()
        assert process.wait(timeout=20) == 141
        assert process.stderr.read() == ""


def test_rows_that_fail_are_rows(outlast, desk) -> None:
    lines = ['{"message": "my card is gone"}', "not json", '{"mesage": "x"}', "[1]", '{"message": 4}', "", "\ufeff{}"]
    lines += ['{"id": "1", "inputs": {"message": "lending"}, "targets": {}}']
    (desk / "bad.jsonl").write_text("\n".join(lines))
    result = outlast("run", "app.py:route", "bad.jsonl", *LM)
    assert result.code == 1
    kinds = [row.get("error", {}).get("type", "ok") for row in result.lines]
    assert kinds == ["ok", "DataError", "InputError", "DataError", "InputError", "InputError", "ok"]
    assert "bad.jsonl, line 2: not JSON" in result.lines[1]["error"]["message"]
    assert "Did you mean 'message'?" in result.lines[2]["error"]["message"]
    assert "5 of 7 rows failed" in result.err


def test_an_exception_of_the_program_is_a_row(outlast, desk) -> None:
    (desk / "two.jsonl").write_text('{"message": "boom"}\n{"message": "my card is gone"}\n')
    result = outlast("run", "app.py:Broken", "two.jsonl", *LM)
    assert result.code == 1
    assert result.lines == [{"error": {"type": "RuntimeError", "message": "a bug of mine"}}, {"team": "cards"}]


def test_columns_that_are_no_inputs_are_left_out_and_named_once(outlast, desk) -> None:
    inferred = outlast("run", "app.py:route", "data.jsonl", *LM, "--limit", "3")
    assert inferred.code == 0
    assert inferred.err.splitlines() == ["outlast: columns that are no inputs are left out: 'team'"]
    chosen = outlast("run", "app.py:route", "data.jsonl", *LM, "--limit", "3", "--inputs", "message")
    assert (chosen.code, chosen.err) == (0, "")
    assert chosen.lines == inferred.lines


def test_a_row_that_lacks_an_input_is_refused_whatever_else_it_has(outlast, desk) -> None:
    (desk / "rows.jsonl").write_text('{"mesage": "lending", "team": "cards"}\n{"message": "lending"}\n')
    result = outlast("run", "app.py:route", "rows.jsonl", *LM)
    assert result.code == 1
    assert "mesage" in result.lines[0]["error"]["message"]
    assert "team" in result.lines[1]
    assert "left out: " not in result.err


def test_a_missing_column_is_named(outlast) -> None:
    result = outlast("run", "app.py:route", "inputs.jsonl", *LM, "--limit", "1", "--inputs", "messag")
    assert "no column 'messag'" in result.lines[0]["error"]["message"]


def test_json_values_of_inputs(outlast) -> None:
    result = outlast("run", "app.py:route", *LM, "--input", 'message:="quoted"')
    assert result.code == 0
    assert outlast("run", "app.py:route", *LM, "--input", "message:=quoted").code == 2
    assert outlast("run", "app.py:route", *LM, "--input", "message").code == 2
    assert outlast("run", "app.py:route", *LM, "-i", "message=a", "-i", "message=b").code == 2


def test_show_prints_the_prompt_and_asks_no_model(outlast) -> None:
    result = outlast("run", "app.py:Triage", "--input", "message=my card is gone", "--show")
    assert result.code == 0
    assert result.out.startswith("[system]\nRoute a customer message")
    assert "my card is gone" in result.out
    as_json = outlast("run", "app.py:Triage", "--input", "message=x", "--show", "--json").lines[0]
    assert [message["role"] for message in as_json["messages"]] == ["system", "user"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("run", "app.py:route", *LM), 2, "either --input k=v"),
        (("run", "app.py:route", "inputs.jsonl", "--input", "message=x", *LM), 2, "either --input k=v"),
        (("run", "app.py:route", "nothing.jsonl", *LM), 3, "cannot read 'nothing.jsonl'"),
        (("run", "app.py:route", ".", *LM), 3, "cannot read '.'"),
        (("run", "app.py:route", "--input", "message=x"), 3, "no model: give --lm"),
        (("run", "app.py:route", "--input", "message=x", "--lm", "openia/gpt"), 3, "Did you mean 'openai'?"),
        (("run", "app.py:route", "--input", "message=x", "--base-url", "http://127.0.0.1:9"), 2, "give --lm"),
        (("run", "app.py:route", "inputs.jsonl", *LM, "--concurrency", "0"), 2, "--concurrency"),
        (("run", "app.py:route", "inputs.jsonl", *LM, "--from", "nothing.outlast.json"), 3, "nothing.outlast.json"),
    ],
)
def test_what_cannot_be_run(outlast, words: tuple[str, ...], code: int, told: str) -> None:
    result = outlast(*words)
    assert result.code == code
    assert result.out == ""
    assert told in result.err


def test_an_empty_file_holds_no_rows(outlast, desk) -> None:
    (desk / "empty.jsonl").write_text("\n\n")
    result = outlast("run", "app.py:route", "empty.jsonl", *LM)
    assert result.code == 3
    assert "holds no rows" in result.err


def test_a_refused_key_stops_the_run_and_keeps_what_was_answered(outlast, desk) -> None:
    (desk / "server.py").write_text(
        "import outlast as ol\nfrom outlast.errors import LMAuthError, LMConnectionError\n"
        "from outlast.testing import ScriptedLM\n"
        "def answer(messages):\n"
        "    text = messages[-1].text\n"
        "    if 'refuse' in text: raise LMAuthError('the key is refused')\n"
        "    if 'down' in text: raise LMConnectionError('no server')\n"
        "    return '<<team>>\\ncards\\n<<end>>'\n"
        "route = ol.Predict('message -> team', lm=ScriptedLM(answer))\n"
    )
    (desk / "rows.jsonl").write_text('{"message": "a"}\n{"message": "refuse"}\n{"message": "c"}\n')
    result = outlast("run", "server.py:route", "rows.jsonl", "--concurrency", "1")
    assert result.code == 4
    assert result.lines == [{"team": "cards"}]
    assert "the key is refused" in result.err
    (desk / "rows.jsonl").write_text('{"message": "down"}\n')
    result = outlast("run", "server.py:route", "rows.jsonl")
    assert result.code == 4
    assert result.lines[0]["error"]["type"] == "LMConnectionError"


def test_no_more_rows_are_read_ahead_than_are_in_flight() -> None:
    from outlast.cli.stream import answer_all
    from outlast.modules.module import Module

    read: list[int] = []
    seen: list[tuple[int, int]] = []

    class Same(Module):
        async def forward(self, n):
            return n

    def rows():
        for n in range(50):
            read.append(n)
            yield {"n": n}

    def write(answer) -> None:
        seen.append((answer.outputs, len(read)))

    answer_all(Same(), rows(), 4, write)
    assert [n for n, _ in seen] == list(range(50))
    assert max(ahead - n for n, ahead in seen) <= 5


def test_what_a_program_prints_never_mixes_with_results(tmp_path, capsys):
    (tmp_path / "noisy.py").write_text(
        "import outlast as ol\n"
        "print('noise at import')\n"
        "class Noisy(ol.Module):\n"
        "    ask = ol.Predict('q -> a')\n"
        "    def forward(self, q):\n"
        "        print('noise in forward')\n"
        "        return self.ask(q=q)\n"
    )
    from outlast.cli import main

    assert main(["run", f"{tmp_path}/noisy.py:Noisy", "--lm", "outlast/baseline", "--input", "q=hello"]) == 0
    shown = capsys.readouterr()
    assert [list(json.loads(line)) for line in shown.out.splitlines()] == [["a"]]
    assert "noise at import" in shown.err
    assert "noise in forward" in shown.err


def test_a_run_with_a_checkpoint_is_resumed_with_the_inputs_it_had(outlast, tmp_path) -> None:
    path = str(tmp_path / "run.jsonl")
    first = outlast("run", "app.py:Triage", *LM, "--input", "message=my card is gone", "--checkpoint", path)
    again = outlast("run", "app.py:Triage", *LM, "--resume", path)
    assert first.lines == again.lines == [{"team": "cards"}]
    assert "1 answer known" in again.err


def test_resume_goes_with_nothing_else_and_knows_its_program(outlast, tmp_path) -> None:
    path = tmp_path / "run.jsonl"
    resume = ("run", "app.py:Triage", *LM, "--resume", str(path))
    assert "cannot be read" in outlast(*resume).err
    path.write_text('{"checkpoint": 1, "about": {"target": "other.py:x", "inputs": {}}}\n')
    assert "other.py:x" in outlast(*resume).err
    assert "leave --input" in outlast(*resume, "--input", "a=b").err
    assert "one run" in outlast("run", "app.py:Triage", *LM, "inputs.jsonl", "--checkpoint", str(path)).err
    assert outlast(*resume).code != 0
