"""Ledgers of tests go to their own folder, never to the user's cache."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "studies"
    monkeypatch.setenv("OUTLAST_STUDIES", str(folder))
    return folder
