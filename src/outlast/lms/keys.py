"""Keys of providers that a person keeps: in the system's keyring, else in a file that only its owner can read.

`keys.json` in the config folder holds `{"keys": {VARIABLE: key}, "keyring": [VARIABLE, ...]}`: the keys that are in the
file, and the names alone of those that the keyring has, which cannot list them itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, cast

from outlast.errors import ConfigError, UsageError, did_you_mean
from outlast.lms.places import config_folder, one_at_a_time, read_settings, write_settings
from outlast.lms.wire.providers import PROVIDERS
from outlast.lms.wire.transport import Secret

Place = Literal["keyring", "file"]
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{2,99}")
_seen: list[tuple[object, Kept]] = []  # what the file held when it was last looked at


@dataclass(frozen=True, slots=True)
class Kept:
    """What the file holds."""

    keys: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    keyring: tuple[str, ...] = ()


def keys_file() -> Path:
    """Where the file of keys is. It need not be there."""
    return config_folder() / "keys.json"


def variable_of(name: str) -> str:
    """The environment variable that a provider's key has: of "openai", or that name itself. Raises `UsageError`."""
    provider = PROVIDERS.get(name.lower())
    if provider is not None:
        if provider.key_env is None:
            raise UsageError(f"{name!r} needs no key")
        return provider.key_env
    if _VARIABLE.fullmatch(name):
        return name
    raise UsageError(
        f"a key is named by its provider or its environment variable, such as OPENAI_API_KEY; got {name!r}."
        f"{did_you_mean(name, PROVIDERS)} Providers: {', '.join(n for n, p in PROVIDERS.items() if p.key_env)}."
    )


def key_in_file(variable: str) -> Secret | None:
    """The key of this name that the file holds. A few microseconds. Raises `ConfigError` when others can read it."""
    found = read_keys().keys.get(variable)
    return Secret(found) if found else None


def read_keys() -> Kept:
    """What the file holds; read anew when it has changed. Raises `ConfigError`."""
    path = keys_file()
    try:
        stat = path.stat()
    except OSError:  # that is not there, or in a folder that we may not look into
        return Kept()
    stamp = (str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_mode, stat.st_uid)
    for known, kept in _seen:
        if known == stamp:
            return kept
    kept = _parsed(read_settings(path, private=True), path)
    _seen[:] = [(stamp, kept)]
    return kept


def _parsed(text: str | None, path: Path) -> Kept:
    wrong = ConfigError(f"{str(path)!r} is no file of keys: mend it, or remove it and set the keys again")
    if text is None:
        return Kept()
    try:
        data: Any = json.loads(text)
        keys, keyring = data["keys"], data["keyring"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise wrong from None  # the text of the error could show a key
    if not isinstance(keys, dict) or not isinstance(keyring, list):
        raise wrong
    held = cast("dict[Any, Any]", keys)
    texts = (*held.keys(), *held.values(), *cast("list[Any]", keyring))
    if not all(isinstance(one, str) for one in texts):
        raise wrong
    return Kept(cast("dict[str, str]", keys), tuple(cast("list[str]", keyring)))


def store_key(variable: str, value: str, *, place: Place | None = None) -> Place:
    """Keep a key: in the keyring where there is a usable one, else in the file; gives where.

    Raises `ConfigError` for what no key is, and for a place that cannot be used.
    """
    Secret(value).checked(f"the key for {variable}")
    with one_at_a_time(keys_file()):
        return _store(variable, value, place)


def _store(variable: str, value: str, place: Place | None) -> Place:
    kept = read_keys()
    keys = {name: key for name, key in kept.keys.items() if name != variable}
    keyring = [name for name in kept.keyring if name != variable]
    ring = None if place == "file" else _keyring()
    if ring is None and place == "keyring":
        raise ConfigError("there is no usable keyring: install outlast[keyring], or keep the key in the file")
    if ring is not None:
        try:
            ring.set_password("outlast", variable, value.strip())
        except Exception as error:  # every backend has errors of its own
            raise ConfigError(f"the keyring does not take the key: {type(error).__name__}. Try --file") from error
        keyring.append(variable)
    else:
        keys[variable] = value.strip()
    _write(keys, keyring)
    return "file" if ring is None else "keyring"


def remove_key(variable: str) -> Place | None:
    """Forget a key; gives where it was, None when it was nowhere. Raises `ConfigError`."""
    with one_at_a_time(keys_file()):
        return _remove(variable)


def _remove(variable: str) -> Place | None:
    kept = read_keys()
    if variable in kept.keys:
        _write({name: key for name, key in kept.keys.items() if name != variable}, kept.keyring)
        return "file"
    ring = _keyring()
    try:
        if ring is None or ring.get_password("outlast", variable) is None:
            return None
        ring.delete_password("outlast", variable)
    except Exception as error:
        raise ConfigError(f"the keyring does not give the key up: {type(error).__name__}") from error
    if variable in kept.keyring:
        _write(kept.keys, [name for name in kept.keyring if name != variable])
    return "keyring"


def _write(keys: Mapping[str, str], keyring: Iterable[str]) -> None:
    data = {"keys": dict(sorted(keys.items())), "keyring": sorted(keyring)}
    write_settings(keys_file(), json.dumps(data, indent=2) + "\n", private=True)


def _keyring() -> Any:
    """The keyring, when the package is there and has a backend that keeps something."""
    try:
        keyring: Any = import_module("keyring")
        backend = keyring.get_keyring()
        usable = getattr(backend, "priority", 1) > 0
    except Exception:  # not installed, or no backend on this machine
        return None
    return keyring if usable else None
