"""`outlast sandbox`: what can run here, and how the rest is installed."""

from __future__ import annotations


def test_it_lists_what_runs_and_says_what_the_rest_needs(outlast, desk, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(desk / "empty"))
    result = outlast("sandbox", "--json")
    found = {row["sandbox"]: row for row in result.json}
    assert found["Pyodide"]["runs"] is False
    assert "outlast sandbox install pyodide" in found["Pyodide"]["why"]
    assert "outlast sandbox install pyodide" in " ".join(outlast("sandbox").out.split())


def test_another_file_than_the_known_one_is_not_installed(outlast, desk, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(desk / "cache"))
    (desk / "pyodide.tgz").write_bytes(b"something else")
    result = outlast("sandbox", "install", "pyodide", "--from", "pyodide.tgz")
    assert result.code == 3
    assert "Nothing was installed" in result.err
    assert not (desk / "cache").exists()
    assert "cannot be read" in outlast("sandbox", "install", "pyodide", "--from", "no.tgz").err


def test_wrong_use_is_explained(outlast):
    assert "install what?" in outlast("sandbox", "install").err
    assert outlast("sandbox", "install", "docker").code == 2
    assert outlast("sandbox", "--from", "x.tgz").code == 2
