"""Where results come from: read off git, the machine and the command, whatever state they are in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from outlast.data import Example
from outlast.evals import Evaluation, evaluate
from outlast.lms.protocol import LM
from outlast.messages import Response
from outlast.modules import Predict
from outlast.tracing import provenance
from outlast.tracing.provenance import Provenance, gather

KEY = "sk-ant-api03-" + "Ab3dEf6hIj9kLm2nOp5q" * 4


def git(*arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=trunk"]
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with one commit, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    git("init")
    Path("app.py").write_text("prompt = 'one'\n")
    git("add", "app.py")
    git("commit", "-m", "first")
    return tmp_path


def now():
    return gather(datetime.now(UTC))


async def program(message):
    return message


def run(**options):
    data = [Example({"message": f"m{i}"}, {}) for i in range(3)]
    return evaluate(program, data, lambda e, o: True, progress=False, **options)


def test_a_clean_repository(repository):
    found = run().provenance
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert (found.commit, found.branch, found.dirty, found.untracked) == (commit, "trunk", False, 0)
    assert (found.diff, found.diff_hash, found.git_error) == ("", "", "")
    assert found.code == f"{commit[:7]} on trunk"
    assert found.directory == str(repository)
    assert found.packages["pydantic"]
    assert found.python == ".".join(map(str, sys.version_info[:3]))
    assert abs(datetime.fromisoformat(found.started).timestamp() - time.time()) < 60


def test_changes_are_kept_and_hashed(repository):
    Path("app.py").write_text("prompt = 'two'\n")
    Path("notes.txt").write_text("x")
    first = now()
    assert (first.dirty, first.untracked) == (True, 1)
    assert "+prompt = 'two'" in first.diff
    assert first.code.endswith(f"on trunk, changed (diff {first.diff_hash[:8]}), 1 file untracked")
    assert now().diff_hash == first.diff_hash
    Path("app.py").write_text("prompt = 'three'\n")
    assert now().diff_hash not in ("", first.diff_hash)
    git("checkout", "--detach")
    assert (now().branch, now().commit) == ("", first.commit)


def test_a_large_diff_is_cut_and_hashed_whole(repository):
    hashes = set()
    for end in ("a", "b"):
        Path("app.py").write_text("x = 1\n" * 100_000 + end)
        found = now()
        assert len(found.diff) <= 50_000
        hashes.add(found.diff_hash)
    assert len(hashes) == 2


def test_secrets_do_not_reach_the_file(repository, monkeypatch):
    Path("app.py").write_text(f"key = '{KEY}'\n")
    arguments = ["app.py", "--api-key", "hunter22", f"--token={KEY}", "--lm", "openai/x", KEY]
    monkeypatch.setattr(sys, "argv", arguments)
    run(save=repository / "rows.jsonl")
    text = (repository / "rows.jsonl").read_text()
    assert KEY not in text
    assert "hunter22" not in text
    found = Evaluation.from_jsonl(repository / "rows.jsonl").provenance
    assert found.argv == (
        "app.py",
        "--api-key",
        "<hidden>",
        "--token=<hidden>",
        "--lm",
        "openai/x",
        "<ANTHROPIC_KEY_1>",
    )
    assert "+key = '<ANTHROPIC_KEY_1>'" in found.diff


def test_a_secret_at_the_cut_does_not_reach_the_file_in_part(repository, monkeypatch):
    Path("app.py").write_text(f"key = '{KEY}'\n")
    monkeypatch.setattr(provenance, "_MOST_DIFF", now().diff.index("<ANTHROPIC") + 20)
    assert "+key = '<ANTHROPIC_KEY_1>" in now().diff
    assert KEY[:12] not in now().diff


def test_without_repository_and_without_git(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (now().commit, now().code) == ("", "no git repository")
    (tmp_path / ".git").mkdir()  # none that git would accept
    assert now().code == "git failed"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert now().code == "git is not installed"
    assert run().provenance.code == "git is not installed"


def test_a_repository_without_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    git("init")
    found = now()
    assert (found.commit, found.branch, found.code, found.diff_hash) == ("", "trunk", "no commit yet", "")


def test_a_working_directory_that_is_gone(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert run().n == 3
    monkeypatch.chdir("/")


@pytest.mark.parametrize("script", ["sleep 60", "sleep 60 & wait", "trap '' TERM INT; sleep 60"])
def test_git_that_hangs_ends_no_run_and_is_killed(repository, monkeypatch, script):
    folder = repository / "bin"
    folder.mkdir()
    (folder / "git").write_text(f"#!/bin/sh\necho $$ >> {repository}/pids\n{script}\n")
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(provenance, "_PATIENCE", 0.4)
    started = time.monotonic()
    result = run()
    assert time.monotonic() - started < 30
    assert result.n == 3
    assert result.provenance.git_error == "git did not answer within 0.4 s"
    for pid in (repository / "pids").read_text().split():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


def test_each_session_of_a_resumed_file_is_kept_and_shown(repository, tmp_path):
    path = tmp_path / "rows.jsonl"
    run(save=path)
    Path("app.py").write_text("prompt = 'two'\n")
    result = run(save=path, resume=True)
    assert [session.dirty for session in result.sessions] == [False, True]
    again = Evaluation.from_jsonl(path)
    assert again.sessions == result.sessions
    again.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "Resumed (1)" in page
    assert result.sessions[1].code in page
    again.to_jsonl(tmp_path / "copy.jsonl")
    assert Evaluation.from_jsonl(tmp_path / "copy.jsonl").sessions == result.sessions
    (part,) = again.slices(lambda row: 1).values()
    assert part.sessions == result.sessions


def test_what_a_later_version_adds_is_ignored_and_what_is_missing_is_empty():
    found = Provenance.from_json({"started": "2026-01-01T00:00:00+00:00", "moon": "full", "argv": ["a"]})
    assert (found.started, found.argv, found.host) == ("2026-01-01T00:00:00+00:00", ("a",), "")
    assert Provenance.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_models_are_counted_by_what_they_call_themselves():
    class Drifting(LM):
        name = "drifting"
        blocking_safe = True
        calls = 0

        async def complete(self, request):
            self.calls += 1
            return Response(text="<<n>>\n1\n<<end>>", model="v1" if self.calls <= 2 else "v2")

    data = [Example({"message": f"m{i}"}, {}) for i in range(5)]
    result = evaluate(Predict("message -> n: int"), data, lambda e, o: True, lm=Drifting(), progress=False)
    assert result.model_counts == {"v1": 2, "v2": 3}
    assert result.about.lm == "drifting"


def test_a_run_does_not_wait_for_it():
    run()
    taken: list[float] = []
    for _ in range(5):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    assert min(taken) < 0.5


def test_ctrl_c_while_git_hangs_gives_the_result(repository, monkeypatch):
    (repository / "git").write_text("#!/bin/sh\nsleep 60\n")
    (repository / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{repository}:{os.environ['PATH']}")
    monkeypatch.setattr(provenance, "_PATIENCE", 50.0)
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    started = time.monotonic()
    result = run()
    timer.join()
    assert (result.n, result.stopped) == (3, "")
    assert time.monotonic() - started < 30  # git would have had fifty seconds
