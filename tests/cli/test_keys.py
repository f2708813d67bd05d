"""`outlast keys`: kept, listed, forgotten, and never shown."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key in the environment, and no keyring."""
    for name in [name for name in os.environ if name.endswith("_API_KEY")]:
        monkeypatch.delenv(name)
    monkeypatch.setitem(sys.modules, "keyring", None)


def test_a_key_from_a_pipe_is_kept_listed_and_forgotten_and_never_shown(outlast, desk, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("sk-very-secret\n"))
    done = outlast("keys", "set", "openai")
    assert (done.code, done.out) == (0, "")
    assert "OPENAI_API_KEY is in" in done.err
    listed = outlast("keys", "list")
    assert "OPENAI_API_KEY  file" in listed.out
    assert outlast("keys", "--json").json == [
        {"name": "OPENAI_API_KEY", "from": "file", "kept": "file", "providers": ["openai", "openai-responses"]}
    ]
    shown = "".join(one.out + one.err for one in (done, listed, outlast("models"), outlast("keys", "path")))
    assert "sk-very-secret" not in shown
    assert "OPENAI_API_KEY in the file" in outlast("models").out
    assert outlast("keys", "remove", "openai").code == 0
    assert outlast("keys", "remove", "openai").code == 1
    assert "no keys" in outlast("keys").err


def test_the_environment_wins_and_the_list_says_so(outlast, desk, monkeypatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "from-the-environment")
    monkeypatch.setattr(sys, "stdin", io.StringIO("kept"))
    assert "the environment sets GROQ_API_KEY too" in outlast("keys", "set", "groq").err
    assert "environment (one in the file is not used)" in outlast("keys").out


@pytest.mark.parametrize(
    ("words", "typed", "told"),
    [
        (("set",), "x", "needs a name"),
        (("set", "openia"), "x", "Did you mean 'openai'"),
        (("set", "ollama"), "x", "needs no key"),
        (("set", "openai", "sk-on-the-command-line"), "x", "unrecognized"),
        (("set", "openai"), "", "got 0 lines"),
        (("set", "openai"), "a\nb", "got 2 lines"),
        (("list", "openai"), "", "takes no name"),
    ],
)
def test_what_is_no_command(outlast, monkeypatch, words, typed, told) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    result = outlast("keys", *words)
    assert result.code == 2
    assert told in result.err


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_a_file_that_others_can_read_is_refused_and_the_models_are_listed_all_the_same(outlast, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("x"))
    outlast("keys", "set", "openai")
    path = outlast("keys", "path").out.strip()
    os.chmod(path, 0o644)
    result = outlast("keys")
    assert result.code == 3
    assert "chmod 600" in result.err
    models = outlast("models")
    assert models.code == 0
    assert "chmod 600" in models.err


@pytest.mark.skipif(os.name != "posix", reason="a terminal of POSIX")
def test_at_a_terminal_the_key_is_typed_unseen(desk) -> None:
    import pty

    terminal, end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "outlast.cli", "keys", "set", "openai", "--file"],
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
    ) as process:
        os.close(end)
        shown = b""
        while b"OPENAI_API_KEY: " not in shown:
            shown += os.read(terminal, 1000)
        os.write(terminal, b"sk-typed-unseen\n")
        assert process.wait(timeout=20) == 0
        shown += os.read(terminal, 1000)
    os.close(terminal)
    assert b"sk-typed-unseen" not in shown
    assert "sk-typed-unseen" in (desk / "config" / "outlast" / "keys.json").read_text()
