"""What the tests of sandboxes share."""

from __future__ import annotations

import os

import pytest

import outlast as ol
from outlast.errors import SandboxUnavailable

BACKENDS = {
    "monty": ol.Monty,
    "bubblewrap": ol.Bubblewrap,
    "locked": lambda: ol.Bubblewrap(ol.Monty()),
    "pyodide": ol.Pyodide,
    "local": lambda: ol.Local(trust_me=True),
    "escalating": lambda: ol.Escalating(ol.Monty(), ol.Bubblewrap()),
}


def there(name: str) -> ol.Sandbox:
    """A backend by name. Where it is not installed its tests are skipped; in CI they fail."""
    sandbox = BACKENDS[name]()
    try:
        sandbox.check()
    except SandboxUnavailable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    return sandbox


@pytest.fixture(scope="module", params=BACKENDS)
def sandbox(request: pytest.FixtureRequest) -> ol.Sandbox:
    """Every backend."""
    return there(request.param)


@pytest.fixture(scope="module", params=["monty", "bubblewrap", "locked", "pyodide"])
def confining(request: pytest.FixtureRequest) -> ol.Sandbox:
    """Every backend that keeps code in."""
    return there(request.param)


@pytest.fixture(scope="session")
def pyodide() -> None:
    """Pyodide is installed. Without it (no network at `make test`) its tests are skipped; in CI they fail."""
    try:
        ol.Pyodide().check()
    except SandboxUnavailable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
