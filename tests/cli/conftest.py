"""A folder with a program, a metric and data, as a user of the command line has it."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from outlast.cli import main
from outlast.samples.triage import messages
from outlast.tracing.switch import flush

APP = '''
import dataclasses
from typing import Literal

import outlast as ol

Team = Literal["billing", "cards", "transfers", "identity", "fraud", "app", "lending", "complaints"]


class Route(ol.Signature):
    """Route a customer message to the team that can resolve it."""

    message: str = ol.input()
    team: Team = ol.output()


class Triage(ol.Module):
    route = ol.Predict(Route)

    def forward(self, message):
        return self.route(message=message)


class Needs(ol.Module):
    def __init__(self, size):
        self.route = ol.Predict(Route)


class Broken(ol.Module):
    route = ol.Predict(Route)

    def forward(self, message):
        if "boom" in message:
            raise RuntimeError("a bug of mine")
        return self.route(message=message)


route = ol.Predict(Route)


@ol.predict
def team_of(message: str) -> Team:
    "Route a customer message to the team that can resolve it."


@ol.metric
def correct(example, out):
    return out.team == example.team


def wrong_shape(example):
    return 1


def crashes(example, out):
    raise ValueError("the metric broke")
'''


@dataclass(frozen=True)
class Result:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def lines(self) -> list:
        return [json.loads(line) for line in self.out.splitlines()]


@functools.cache
def data_rows() -> list[dict[str, str]]:
    return [{"message": example.message, "team": example.team} for example in messages()[:120]]


@contextlib.contextmanager
def furnished(folder: Path) -> Iterator[Path]:
    """A folder with the files of the desk, as the working directory; what is imported from it is forgotten."""
    (folder / "app.py").write_text(APP)
    rows = data_rows()
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "inputs.jsonl").write_text("".join(json.dumps({"message": row["message"]}) + "\n" for row in rows[:5]))
    path = list(sys.path)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("OUTLAST_STUDIES", str(folder / "studies"))
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        patch.setenv("XDG_DATA_HOME", str(folder / "data"))
        yield folder
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]
    sys.path[:] = path


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Path]:
    """The folder, as the working directory."""
    with furnished(tmp_path) as folder:
        yield folder


@pytest.fixture(scope="session")
def furnish() -> Callable[[Path], contextlib.AbstractContextManager[Path]]:
    """Makes such a folder for longer than a test."""
    return furnished


@pytest.fixture
def outlast(desk: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Runs a command in this process."""

    def call(*words: str) -> Result:
        capsys.readouterr()
        code = main(list(words))
        flush()  # what the end of a process does
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture
def shell(desk: Path) -> Callable[..., Result]:
    """Runs a command in a process of its own."""

    def call(*words: str, stdin: str | None = None) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "outlast.cli", *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return call
