"""Keys that a person keeps: where they are looked for, who may read them, and that nothing shows one."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from outlast import LM
from outlast.errors import ConfigError, UsageError
from outlast.lms.caching.hiding import hide_in_text, known_secrets
from outlast.lms.keys import keys_file, read_keys, remove_key, store_key, variable_of
from outlast.lms.wire import model as wire
from outlast.testing.server import FakeServer

posix = pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config folder of its own, and no keyring."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    monkeypatch.setitem(sys.modules, "keyring", None)
    wire._from_keyring.cache_clear()
    return tmp_path / "outlast"


class Ring(ModuleType):
    """A keyring that keeps its passwords in a dict."""

    def __init__(self, priority: float = 5) -> None:
        super().__init__("keyring")
        self.kept: dict[tuple[str, str], str] = {}
        self.priority = priority

    def get_keyring(self) -> object:
        return SimpleNamespace(priority=self.priority)

    def get_password(self, service: str, name: str) -> str | None:
        return self.kept.get((service, name))

    def set_password(self, service: str, name: str, value: str) -> None:
        self.kept[service, name] = value

    def delete_password(self, service: str, name: str) -> None:
        del self.kept[service, name]


def authorization(monkeypatch: pytest.MonkeyPatch) -> str | None:
    """What a call to a vLLM server is authorized with."""
    with FakeServer("x") as server:
        monkeypatch.setenv("VLLM_BASE_URL", server.url)
        LM("vllm/m", cache=False)("hi")
        return server.requests[0].headers.get("authorization")


@posix
def test_a_kept_key_is_sent_and_its_file_is_its_owners_alone(monkeypatch) -> None:
    old = os.umask(0)
    try:
        assert store_key("VLLM_API_KEY", "sk-kept\n") == "file"
    finally:
        os.umask(old)
    assert stat.S_IMODE(keys_file().stat().st_mode) == 0o600
    assert stat.S_IMODE(keys_file().parent.stat().st_mode) == 0o700
    assert authorization(monkeypatch) == "Bearer sk-kept"
    assert "sk-kept" not in repr(read_keys())


def test_the_environment_comes_first_then_the_keyring_then_the_file(monkeypatch) -> None:
    store_key("VLLM_API_KEY", "sk-file")
    ring = Ring()
    ring.kept["outlast", "VLLM_API_KEY"] = "sk-ring"
    monkeypatch.setitem(sys.modules, "keyring", ring)
    wire._from_keyring.cache_clear()
    monkeypatch.setenv("VLLM_API_KEY", "sk-env")
    assert authorization(monkeypatch) == "Bearer sk-env"
    monkeypatch.delenv("VLLM_API_KEY")
    assert authorization(monkeypatch) == "Bearer sk-ring"
    ring.kept.clear()
    wire._from_keyring.cache_clear()
    assert authorization(monkeypatch) == "Bearer sk-file"
    remove_key("VLLM_API_KEY")
    assert authorization(monkeypatch) is None


def test_a_changed_file_is_read_anew() -> None:
    store_key("A_KEY", "one")
    assert read_keys().keys == {"A_KEY": "one"}
    store_key("A_KEY", "two")
    store_key("B_KEY", "three")
    assert read_keys().keys == {"A_KEY": "two", "B_KEY": "three"}


@posix
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o602])
def test_a_file_that_others_can_use_is_refused(mode: int, monkeypatch) -> None:
    store_key("VLLM_API_KEY", "sk-kept")
    keys_file().chmod(mode)
    for act in (read_keys, lambda: store_key("B_KEY", "x"), lambda: remove_key("VLLM_API_KEY")):
        with pytest.raises(ConfigError, match="chmod 600") as caught:
            act()
        assert "sk-kept" not in str(caught.value)
    with pytest.raises(ConfigError, match="others can read it"):
        authorization(monkeypatch)


@pytest.mark.parametrize(
    "text", ["", "sk-secret", "[]", '{"keys": {"A": 1}, "keyring": []}', '{"keys": {}}', '{"keys": [], "keyring": []}']
)
def test_a_damaged_file_is_an_error_that_shows_nothing_of_it(text: str) -> None:
    store_key("A_KEY", "x")
    keys_file().write_text(text)
    with pytest.raises(ConfigError, match="no file of keys") as caught:
        read_keys()
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("value", ["", "   ", "two words", "ünï", "a\nb", "a\x00b"])
def test_what_no_header_can_hold_is_not_kept(value: str) -> None:
    with pytest.raises(ConfigError, match="holds what no key has"):
        store_key("A_KEY", value)
    assert not keys_file().exists()


def test_a_usable_keyring_takes_the_key_and_the_file_its_name_alone(monkeypatch) -> None:
    ring = Ring()
    monkeypatch.setitem(sys.modules, "keyring", ring)
    assert store_key("A_KEY", "sk-1") == "keyring"
    assert ring.kept == {("outlast", "A_KEY"): "sk-1"}
    assert json.loads(keys_file().read_text()) == {"keys": {}, "keyring": ["A_KEY"]}
    assert store_key("A_KEY", "sk-2", place="file") == "file"
    assert json.loads(keys_file().read_text()) == {"keys": {"A_KEY": "sk-2"}, "keyring": []}
    assert remove_key("A_KEY") == "file"
    assert remove_key("A_KEY") == "keyring"
    assert remove_key("A_KEY") is None
    assert ring.kept == {}


def test_a_keyring_that_keeps_nothing_is_passed_over(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", Ring(priority=0))
    assert store_key("A_KEY", "x") == "file"
    with pytest.raises(ConfigError, match="no usable keyring"):
        store_key("A_KEY", "x", place="keyring")


def test_a_locked_keyring_is_an_error_without_the_key(monkeypatch) -> None:
    ring = Ring()

    def locked(*words: str) -> None:
        raise RuntimeError(f"locked, was given {words}")

    monkeypatch.setattr(ring, "set_password", locked, raising=False)
    monkeypatch.setitem(sys.modules, "keyring", ring)
    with pytest.raises(ConfigError, match="RuntimeError. Try --file") as caught:
        store_key("A_KEY", "sk-secret")
    assert "sk-secret" not in str(caught.value)


def test_whoever_reads_during_a_write_gets_a_whole_file() -> None:
    store_key("A_KEY", "0")
    seen: list[str] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            seen.append(json.loads(keys_file().read_text())["keys"]["A_KEY"])

    thread = threading.Thread(target=look)
    thread.start()
    for number in range(1, 40):
        store_key("A_KEY", str(number))
    stop.set()
    thread.join()
    assert seen
    assert [path.name for path in keys_file().parent.iterdir()] == ["keys.json"]


@posix
def test_processes_that_keep_keys_at_once_all_keep_theirs(home: Path) -> None:
    code = (
        "import sys; from outlast.lms.keys import store_key; [store_key(f'K{sys.argv[1]}_{n}', 'x') for n in range(9)]"
    )
    keeping = [subprocess.Popen([sys.executable, "-c", code, str(number)]) for number in range(3)]
    assert [process.wait(timeout=60) for process in keeping] == [0, 0, 0]
    assert len(read_keys().keys) == 27


def test_a_kept_key_is_hidden_in_what_is_written_down() -> None:
    store_key("VLLM_API_KEY", "a-key-of-no-known-shape")
    assert hide_in_text("it said a-key-of-no-known-shape!", known_secrets()) == "it said [VLLM_API_KEY]!"
    keys_file().chmod(0o644)
    assert "a-key-of-no-known-shape" not in known_secrets() or os.name != "posix"


def test_a_linked_file_stays_a_link(tmp_path: Path) -> None:
    keys_file().parent.mkdir(parents=True)
    keys_file().symlink_to(tmp_path / "elsewhere.json")
    store_key("A_KEY", "x")
    assert keys_file().is_symlink()
    assert read_keys().keys == {"A_KEY": "x"}


def test_names_of_keys() -> None:
    assert variable_of("openai") == variable_of("OpenAI") == variable_of("OPENAI_API_KEY") == "OPENAI_API_KEY"
    assert variable_of("ACME_TOKEN") == "ACME_TOKEN"
    with pytest.raises(UsageError, match="needs no key"):
        variable_of("ollama")
    with pytest.raises(UsageError, match="Did you mean 'openai'"):
        variable_of("openia")
    for name in ("", "../x", "a b", "acme"):
        with pytest.raises(UsageError):
            variable_of(name)


def test_a_missing_key_says_how_to_keep_one(monkeypatch) -> None:
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="outlast keys set GROQ_API_KEY"):
        LM("groq/m", cache=False)("hi")
