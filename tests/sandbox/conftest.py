"""What the tests of sandboxes share."""

from __future__ import annotations

import os

import pytest

import outlast as ol
from outlast.errors import SandboxUnavailable


@pytest.fixture(scope="session")
def pyodide() -> None:
    """Pyodide is installed. Without it (no network at `make test`) its tests are skipped; in CI they fail."""
    try:
        ol.Pyodide().check()
    except SandboxUnavailable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
