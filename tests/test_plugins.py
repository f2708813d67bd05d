"""Plugins: found without being imported, loaded when named, and never in the way when they are broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from outlast import LM, plugins
from outlast.errors import ConfigError, UsageError

MODULE = '''
"""A command of another package."""

import outlast as ol
from outlast.testing import ScriptedLM

EPILOG = "examples: outlast greet"


def configure(parser):
    parser.add_argument("name")


def run(args):
    from outlast.cli.output import stdout

    print(f"hello {args.name}", file=stdout())
    return 0


def open_model(name, options):
    return ScriptedLM(lambda messages: f"{name} at {options.temperature}", name=f"acme/{name}")


def adapter():
    return ol.JSON(reasks=0)


def lenient(example, out):
    return 1.0


@ol.check
def short(answer):
    return len(answer) < 10


def quick():
    return ol.LabeledFewShot(k=1)
'''

POINTS = """
[outlast.commands]
greet = acme_outlast
run = acme_outlast

[outlast.lms]
acme = acme_outlast:open_model

[outlast.adapters]
plainjson = acme_outlast:adapter

[outlast.metrics]
lenient = acme_outlast:lenient

[outlast.checks]
short = acme_outlast:short

[outlast.optimizers]
quick = acme_outlast:quick

[outlast.retrievers]
broken = acme_outlast:missing
gone = acme_not_there:thing
raises = acme_raises
leaves = acme_leaves
"""


def install(folder: Path, name: str, points: str, modules: dict[str, str], version: str = "1.2") -> None:
    """A package as pip leaves it."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(points)
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with one package in it."""
    folder = tmp_path / "site"
    modules = {"acme_outlast": MODULE, "acme_raises": "1 / 0", "acme_leaves": "raise SystemExit(7)"}
    install(folder, "Acme-Outlast", POINTS, modules)
    monkeypatch.syspath_prepend(str(folder))
    for name in modules:
        monkeypatch.delitem(sys.modules, name, raising=False)
    return folder


def test_they_are_found_and_nothing_is_imported(acme: Path) -> None:
    found = plugins.plugins()
    assert [(one.kind, one.name) for one in found if one.kind in ("lms", "commands")] == [
        ("commands", "greet"),
        ("commands", "run"),
        ("lms", "acme"),
    ]
    assert {(one.package, one.version) for one in found} == {("Acme-Outlast", "1.2")}
    assert plugins.names("retrievers") == ["broken", "gone", "leaves", "raises"]
    assert "acme_outlast" not in sys.modules


def test_models_by_prefix_with_the_usual_stack_around_them(acme: Path, monkeypatch) -> None:
    lm = LM("acme/one", temperature=0.5, cache=False)
    assert lm("hi").text == "one at 0.5"
    assert [layer.kind for layer in lm.info()][:3] == ["OpenedModel", "Retrying", "Limited"]
    with pytest.raises(ConfigError, match="Did you mean 'acme'"):
        LM("acmee/one")
    monkeypatch.setenv("OUTLAST_PLUGINS", "off")
    with pytest.raises(ConfigError, match="no provider 'acme'"):
        LM("acme/one")


def test_a_plugin_that_gives_no_model_is_named(acme: Path) -> None:
    install(acme, "other", "[outlast.lms]\nother = other_lm:open_model\n", {"other_lm": "open_model = lambda *a: 5"})
    plugins._installed.cache_clear()
    with pytest.raises(ConfigError, match="the plugin 'other' opens 'other/m' as 5; it has to give an LM"):
        LM("other/m")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("broken", "AttributeError"),
        ("gone", "ModuleNotFoundError: No module named 'acme_not_there'"),
        ("raises", "ZeroDivisionError"),
        ("leaves", "SystemExit: 7"),
    ],
)
def test_a_broken_one_is_one_line_where_it_is_named(acme: Path, name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        plugins.load("retrievers", name)
    assert str(caught.value).startswith(f"the plugin '{name}' of Acme-Outlast 1.2 (outlast.retrievers) cannot be")
    assert "\n" not in str(caught.value)


def test_a_name_that_there_is_not_is_none_and_a_kind_that_there_is_not_raises(acme: Path) -> None:
    assert plugins.load("lms", "nothing") is None
    with pytest.raises(UsageError, match="Did you mean 'lms'"):
        plugins.load("lm", "acme")


@pytest.mark.parametrize(
    ("limit", "count"),
    [("off", 0), ("OFF", 0), ("acme_outlast", 11), ("other, Acme.Outlast", 11), ("other", 0), ("", 11), (" , ", 11)],
)
def test_a_limit_names_packages(acme: Path, monkeypatch, limit: str, count: int) -> None:
    monkeypatch.setenv("OUTLAST_PLUGINS", limit)
    assert len(plugins.plugins()) == count


def test_two_packages_with_one_name_are_told_apart_by_the_limit(acme: Path, monkeypatch) -> None:
    install(acme, "zeta", "[outlast.lms]\nacme = acme_outlast:adapter\n", {})
    plugins._installed.cache_clear()
    with pytest.raises(ConfigError, match="Acme-Outlast and zeta both have one of this name"):
        LM("acme/one")
    monkeypatch.setenv("OUTLAST_PLUGINS", "acme-outlast")
    assert LM("acme/one", cache=False)("hi").text == "one at None"


def test_what_is_installed_first_on_the_path_counts(acme: Path, tmp_path: Path, monkeypatch) -> None:
    install(tmp_path / "newer", "acme-outlast", "[outlast.lms]\nfresh = acme_outlast:open_model\n", {}, version="2.0")
    monkeypatch.syspath_prepend(str(tmp_path / "newer"))
    assert [(one.name, one.version) for one in plugins.plugins()] == [("fresh", "2.0")]


@pytest.mark.parametrize("points", ["[outlast.lms]\nno equals sign\n", "[outlast.lms]\nx = \xff"])
def test_a_package_with_damaged_files_is_told_and_no_other_one_suffers(acme: Path, points: str) -> None:
    install(acme, "damaged", points, {})
    (acme / "damaged-1.2.dist-info" / "entry_points.txt").write_bytes(points.encode("latin-1"))
    plugins._installed.cache_clear()
    unreadable = [one for one in plugins.plugins() if one.kind == "unreadable"]
    assert [one.package for one in unreadable] == ["damaged-1.2.dist-info"]
    assert "cannot be read" in unreadable[0].problem
    assert plugins.names("lms") == ["acme"]


# On the command line


@pytest.fixture
def shell(acme: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command in a process that has the package on its path."""
    (tmp_path / "app.py").write_text("import outlast as ol\nask = ol.Predict('question -> answer')\n")
    rows = [f'{{"question": "q{n}", "answer": "a{n}"}}\n' for n in range(60)]
    (tmp_path / "rows.jsonl").write_text("".join(rows))

    def call(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(filter(None, (str(acme), os.environ.get("PYTHONPATH", ""))))
        return subprocess.run(
            [sys.executable, "-m", "outlast.cli", *words],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path, "OUTLAST_CACHE": "off", "OUTLAST_STUDIES": "off", **env},
        )

    return call


def test_commands(shell) -> None:
    done = shell("greet", "you")
    assert (done.returncode, done.stdout) == (0, "hello you\n")
    help_ = shell("--help")
    assert "greet            of the plugin Acme-Outlast" in help_.stdout
    assert shell("gret").stderr.count("Did you mean 'greet'") == 1
    assert shell("greet", "you", OUTLAST_PLUGINS="off").returncode == 2
    assert "outlast.cli" not in shell("greet").stderr  # its own usage line


def test_models_lists_them(shell) -> None:
    assert "acme              plugin Acme-Outlast" in shell("models").stdout
    assert json.loads(shell("models", "--json").stdout)[-1] == {"provider": "acme", "plugin": "Acme-Outlast"}
    assert "acme" not in shell("models", OUTLAST_PLUGINS="off").stdout


@pytest.mark.slow
def test_everything_that_a_name_can_stand_for(shell) -> None:
    ran = shell("run", "app.py:ask", "-m", "acme/x", "-i", "question=hi", "--adapter", "plainjson")
    assert ran.returncode == 1  # its replies are no JSON, and it asks once
    assert "AnswerError" in ran.stdout or "ParseError" in ran.stdout
    words = ("app.py:ask", "rows.jsonl", "-m", "outlast/baseline", "--no-progress")
    assert shell("eval", *words, "--metric", "lenient").stdout.startswith("100.0%")
    assert shell("eval", *words, "--metric", "short").returncode == 0
    compiled = shell("compile", *words, "--metric", "lenient", "--optimizer", "quick", "--calls", "200")
    assert compiled.returncode == 0, compiled.stderr
    for option in ("--metric", "--optimizer", "--adapter"):
        wrong = shell("compile", *words, "--metric", "lenient", option, "nothing")
        assert wrong.returncode in (2, 3), option
        assert "Traceback" not in wrong.stderr


def test_the_list_tells_what_is_broken_and_other_commands_do_not_care(shell) -> None:
    listed = shell("plugins")
    assert listed.returncode == 1
    assert "ok" in listed.stdout
    assert "ZeroDivisionError" in listed.stdout
    assert "which is the one that runs" in " ".join(listed.stdout.split())
    assert shell("run", "app.py:ask", "-m", "outlast/baseline", "-i", "question=hi").returncode == 0
    assert "no plugins; OUTLAST_PLUGINS is 'off'" in shell("plugins", OUTLAST_PLUGINS="off").stderr


def test_a_broken_command_is_a_clear_line(acme: Path, shell) -> None:
    install(acme, "bad", "[outlast.commands]\nbad = acme_raises\nempty = acme_empty\n", {"acme_empty": ""})
    done = shell("bad")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "ZeroDivisionError" in done.stderr
    assert "lacks configure, run, EPILOG" in shell("empty").stderr
    assert shell("--help").returncode == 0


@pytest.mark.slow
def test_a_package_that_pip_installed_into_a_folder(tmp_path: Path) -> None:
    wheel = tmp_path / "tiny_outlast-0.1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("tiny_outlast.py", MODULE)
        info = "tiny_outlast-0.1.dist-info"
        file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-outlast\nVersion: 0.1\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/entry_points.txt", "[outlast.commands]\ntiny = tiny_outlast\n")
        file.writestr(f"{info}/RECORD", "")
    target = tmp_path / "target"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*pip, str(wheel)], check=True, timeout=120)
    path = os.pathsep.join(filter(None, (str(target), os.environ.get("PYTHONPATH", ""))))
    done = subprocess.run(
        [sys.executable, "-m", "outlast.cli", "tiny", "you"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (done.returncode, done.stdout) == (0, "hello you\n")
