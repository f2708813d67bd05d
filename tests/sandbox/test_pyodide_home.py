"""Pyodide is installed once: only the very file that is known, by npm's settings, into a folder of its user alone."""

from __future__ import annotations

import base64
import hashlib
import os
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from outlast.errors import ConfigError, SandboxUnavailable
from outlast.sandbox import pyodide_home
from outlast.sandbox.pyodide_home import FILES, SNAPSHOT, VERSION, check_folder, install, npm_settings, usual_folder

DENO = "/bin/sh"  # a program that is there; these tests do not get as far as to start it


class Registry(BaseHTTPRequestHandler):
    """Remembers what it was asked; serves something else than Pyodide, or sends on to a second server."""

    asked: list[tuple[str, str | None]] = []
    elsewhere: str | None = None

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization")))
        if self.elsewhere and not self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", f"{self.elsewhere}/moved")
        else:
            self.send_response(200)
        self.end_headers()
        self.wfile.write(b"not pyodide")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def registry() -> Iterator[str]:
    Registry.asked, Registry.elsewhere = [], None
    with HTTPServer(("127.0.0.1", 0), Registry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def npmrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "npmrc"
    monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(path))
    monkeypatch.delenv("npm_config_registry", raising=False)
    return path


def test_the_registry_of_npm_is_asked_with_its_token_and_the_file_is_compared(
    registry: str, npmrc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "t-123")
    host = registry.removeprefix("http:")
    npmrc.write_text(f"# ours\nregistry={registry}/npm/\n{host}/npm/:_authToken=${{MY_TOKEN}}\n")
    Registry.elsewhere = registry
    with pytest.raises(ConfigError, match=r"its SHA-512 differs .* Nothing was installed"):
        install(folder=tmp_path / "pyodide", deno=DENO)
    assert Registry.asked == [(f"/npm/pyodide/-/pyodide-{VERSION}.tgz", "Bearer t-123"), ("/moved", None)]
    assert not (tmp_path / "pyodide").exists()


def test_without_a_network_it_says_how_to_bring_the_file(npmrc: Path, tmp_path: Path) -> None:
    npmrc.write_text("registry=http://127.0.0.1:9/\n")
    with pytest.raises(ConfigError, match=f"npm pack pyodide@{VERSION}.*install pyodide --from"):
        install(folder=tmp_path / "pyodide", deno=DENO)
    npmrc.write_text("registry=file:///etc/passwd\n")
    with pytest.raises(ConfigError, match="address of a server"):
        install(folder=tmp_path / "pyodide", deno=DENO)


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "npmrc"
    path.write_text('registry = "http://a/"\n; cafile=/no\ncafile=/c.pem\nnothing here\nx=${UNSET}\n')
    found = npm_settings({"npm_config_userconfig": str(path), "NPM_CONFIG_REGISTRY": "http://b/"})
    assert (found["registry"], found["cafile"], found["x"]) == ("http://b/", "/c.pem", "${UNSET}")
    assert npm_settings({"npm_config_userconfig": str(tmp_path / "none")})["userconfig"]


def test_a_folder_that_others_can_write_to_is_not_used(tmp_path: Path) -> None:
    for name in (*FILES, SNAPSHOT):
        with pytest.raises(SandboxUnavailable, match=f"no {name} in"):
            check_folder(tmp_path)
        (tmp_path / name).write_bytes(b"x")
    tmp_path.chmod(0o700)
    check_folder(tmp_path)
    if hasattr(os, "getuid"):
        tmp_path.chmod(0o777)
        with pytest.raises(SandboxUnavailable, match="other users can change"):
            check_folder(tmp_path)


@pytest.mark.server
@pytest.mark.usefixtures("pyodide")
def test_what_is_installed_is_not_fetched_again(npmrc: Path) -> None:
    npmrc.write_text("registry=http://127.0.0.1:9/\n")
    assert install() == (usual_folder(), False)


@pytest.mark.server
@pytest.mark.usefixtures("pyodide")
def test_half_an_installation_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The very file, as far as the sum goes, in which the interpreter does not start."""
    with tarfile.open(tmp_path / "pyodide.tgz", "w:gz") as archive:
        for name in FILES:
            (tmp_path / name).write_text("throw new Error('broken inside')")
            archive.add(tmp_path / name, f"package/{name}")
    packed = (tmp_path / "pyodide.tgz").read_bytes()
    monkeypatch.setattr(pyodide_home, "SHA512", base64.b64encode(hashlib.sha512(packed).digest()).decode())
    with pytest.raises(SandboxUnavailable, match=r"Deno could not start Pyodide \(exit code \d+\): .*broken inside"):
        install(tmp_path / "pyodide.tgz", folder=tmp_path / "there" / "pyodide")
    assert list((tmp_path / "there").iterdir()) == []
