"""`make bench`: every script runs, and the end says which bars were met."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MAIN = Path(__file__).parents[2] / "benchmarks" / "__main__.py"
GOOD = "print('a table'); print('BAR PASS twice as fast')"
PEER = "import sys; known = '--peer'; print('BAR PASS peer', *sys.argv[1:])"


def bench(folder: Path, *words: str, **scripts: str) -> tuple[int, str]:
    shutil.copy(MAIN, folder)
    for name, code in scripts.items():
        (folder / f"{name}.py").write_text(code)
    done = subprocess.run([sys.executable, str(folder), *words], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_all_scripts_run_and_the_bars_are_listed_at_the_end(tmp_path: Path) -> None:
    code, out = bench(tmp_path, first=GOOD, second=GOOD)
    assert code == 0
    assert "== first\na table" in out
    assert out.endswith("bars\n  PASS  first: twice as fast\n  PASS  second: twice as fast\n2 met, 0 not met\n")


@pytest.mark.parametrize("bad", ["print('BAR FAIL too slow'); raise SystemExit(1)", "1 / 0"], ids=["bar", "crash"])
def test_a_missed_bar_or_a_script_that_fails_fails_the_run(tmp_path: Path, bad: str) -> None:
    code, out = bench(tmp_path, bad=bad, good=GOOD)
    assert code == 1
    assert "\n1 met, 1 not met\n" in out
    assert "FAIL  bad" in out.split("\nbars\n")[1]


def test_the_peer_goes_to_the_scripts_that_know_it(tmp_path: Path) -> None:
    code, out = bench(tmp_path, "--peer", sys.executable, good=GOOD, peer=PEER)
    assert code == 0
    assert f"PASS  peer: peer --peer {sys.executable}" in out


def test_only_some_are_run_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    assert "second" not in bench(tmp_path, "first", first=GOOD, second=GOOD)[1]
    code, out = bench(tmp_path, "thrid")
    assert code == 2
    assert "no benchmark 'thrid'; there are first, second" in out


def test_a_script_beside_http_py_still_finds_the_http_of_the_standard_library(tmp_path: Path) -> None:
    shutil.copy(MAIN.with_name("http.py"), tmp_path)
    script = tmp_path / "script.py"
    script.write_text("import http, http.client; print(http.HTTPStatus.OK.value, http.client.HTTPConnection.__name__)")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("200 HTTPConnection\n", "")


@pytest.mark.slow
@pytest.mark.server
def test_the_http_benchmark_measures_and_judges() -> None:
    command = [sys.executable, str(MAIN.with_name("http.py")), "--concurrency", "8", "--rounds", "1", "--calls", "40"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr[-2000:]
    assert "BAR" in done.stdout, done.stderr[-2000:]
    assert "8 in flight: <= 1.5 x its CPU per call" in done.stdout
    assert "PASS 256 streams at once" in done.stdout
