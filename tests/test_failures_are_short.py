"""A log of CI shows the line that failed and the reason, not the page that it was in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FAILING = """
import pytest

PAGE = "\\n".join(f"<p>{number} {'x' * 1000}</p>" for number in range(2000))

@pytest.fixture
def page():
    return PAGE

def test_a_page(page):
    print(page)
    assert "needle" in page

def test_two_pages():
    assert PAGE.splitlines() == PAGE.splitlines()[1:]

def test_an_error(page):
    raise ValueError(f"it went wrong: {page}")
"""


def test_what_is_printed_of_a_failure_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "test_page.py").write_text(FAILING)
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "pytest", "-q", "-c", str(tmp_path / "none.ini"), "--rootdir", str(tmp_path)]
    (tmp_path / "none.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [*command, "-p", "tests.conftest", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=root,
        timeout=120,
        env={**os.environ, "CI": "1"},
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "3 failed" in done.stdout
    assert '>       assert "needle" in page' in done.stdout
    assert "E       assert 'needle' in" in done.stdout or "E       AssertionError: assert 'needle' in" in done.stdout
    assert "E       ValueError: it went wrong: <p>0 x" in done.stdout
    assert "test_page.py:12" in done.stdout
    assert "more lines: -v shows them" in done.stdout
    assert len(done.stdout) < 40_000  # each of the pages has two million characters
