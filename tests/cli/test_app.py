"""Finding commands, exit codes, help."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from outlast.cli import app
from outlast.errors import (
    ArtifactError,
    ConfigError,
    DataError,
    InputError,
    LMConnectionError,
    LMTimeout,
    OutlastError,
    UsageError,
)

HEAVY = ("pydantic", "aiohttp", "numpy", "rich", "jinja2", "sqlite3", "asyncio")


@pytest.mark.parametrize(("words"), [["--help"], *([name, "--help"] for name in app.COMMANDS)])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys; from outlast.cli import main; code = main(sys.argv[1:]); "
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]; "
        "sys.exit(f'loaded: {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "exit codes:" in done.stdout
    assert "usage: outlast" in done.stdout


def test_help_takes_less_than_a_third_of_a_second_of_cpu() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for module in ("outlast", "outlast.cli"):
        subprocess.run([sys.executable, "-m", module, "--help"], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.3


def test_help_lists_every_command_with_its_line(outlast) -> None:
    result = outlast("--help")
    assert result.code == 0
    for name, words in app.COMMANDS.items():
        assert f"  {name}" in result.out
        assert words in result.out


def test_exit_codes_are_told_in_the_help_and_in_the_module(outlast) -> None:
    for code in (0, 1, 2, 3, 4, 70, 130, 141):
        assert f"    {code} " in (app.__doc__ or "")
        assert f" {code} " in outlast("--help").out.replace("\n", " ")


def test_no_command_prints_the_help_and_is_a_usage_error(outlast) -> None:
    result = outlast()
    assert result.code == 2
    assert result.out == ""
    assert "commands:" in result.err


def test_an_unknown_command_names_the_near_one(outlast) -> None:
    result = outlast("compil")
    assert result.code == 2
    assert "no command 'compil'. Did you mean 'compile'?" in result.err


def test_an_unknown_option_names_the_near_one(outlast) -> None:
    result = outlast("eval", "app.py:route", "data.jsonl", "--metrics", "app.py:correct")
    assert result.code == 2
    assert "--metric" in result.err


def test_options_are_not_abbreviated(outlast) -> None:
    assert outlast("demo", "--cand", "3").code == 2


def test_version(outlast) -> None:
    from outlast import __version__

    assert outlast("--version").out == f"outlast {__version__}\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (InputError("x"), 3),
        (DataError("x"), 3),
        (ArtifactError("x"), 3),
        (ConfigError("x"), 3),
        (OutlastError("x"), 3),
        (LMTimeout("x"), 4),
    ],
)
def test_errors_have_their_exit_code(error: OutlastError, code: int) -> None:
    assert app.exit_code(error) == code


def test_an_error_that_a_model_is_behind_has_the_code_of_the_model() -> None:
    error = OutlastError("ten rollouts failed")
    error.__cause__ = LMConnectionError("no server")
    assert app.exit_code(error) == 4


def test_an_error_of_ours_is_one_line_and_a_traceback_only_with_debug(outlast) -> None:
    quiet = outlast("explain", "nothing.outlast.json")
    loud = outlast("--debug", "explain", "nothing.outlast.json")
    assert (quiet.code, loud.code) == (3, 3)
    assert quiet.err.count("\n") == 1
    assert "Traceback" not in quiet.err
    assert "Traceback" in loud.err


def test_an_exception_of_the_user_keeps_its_traceback(outlast, desk) -> None:
    (desk / "bad.py").write_text("import outlast\n\nundefined_name\n")
    result = outlast("inspect", "bad.py:x")
    assert result.code == 70
    assert "Traceback" in result.err
    assert "NameError: name 'undefined_name' is not defined" in result.err
    assert "bad" not in sys.modules, "a file that failed to import is not left behind half made"


def test_interrupted(outlast, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(words: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "dispatch", interrupt)
    result = outlast("demo")
    assert result.code == 130
    assert result.err == "outlast: interrupted\n"
