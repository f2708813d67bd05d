"""The compiled file, `*.outlast.json`: what was tuned, where it came from and what it gained. Text for git.

Loading runs no code, imports nothing, and takes neither a model nor a URL nor a key from the file.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from outlast.errors import ArtifactError, brief
from outlast.modules.module import Module, declared, walk
from outlast.modules.paths import parameters, predictors_of, update
from outlast.modules.state import describe_signature, dump_changes, program_key, restore_changes

M = TypeVar("M", bound=Module)

FORMAT = "outlast artifact 1"
MAX_BYTES = 64 << 20


def save(program: Module, path: str | os.PathLike[str], *, record: Mapping[str, Any] | None = None) -> Path:
    """Write what is tuned on a program to `path`, atomically; gives the path.

    `record` is what is known of how it came about (scores, data, models, cost); `Compiled.save` fills it in.
    The file has sorted keys and one line per entry and line of text, so that a change reads well in a diff.
    """
    target = Path(path)
    text = render(to_data(program, record=record))
    directory = target.parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=directory, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ArtifactError(f"cannot write {str(target)!r}: {error.strerror or error}") from error
    return target


def to_data(program: Module, *, record: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The content of the file for a program, as JSON-ready data."""
    from outlast import __version__

    return {
        "format": FORMAT,
        "program": {
            "class": type(program).__name__,
            "key": program_key(program),
            "modules": {
                path: {"module": type(part).__name__, "signature": describe_signature(part.signature)}
                for path, part in predictors_of(program).items()
            },
        },
        "parameters": dump_changes(program, _tuned(program)),
        "record": dict(record or {}),
        "versions": {"outlast": __version__, "python": platform.python_version()},
    }


def render(data: Mapping[str, Any]) -> str:
    """Data as the text of a file: sorted, two spaces deep, long texts as lists of lines."""
    return json.dumps(_split_lines(data), ensure_ascii=False, sort_keys=True, indent=2, allow_nan=False) + "\n"


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of a compiled file; raises `ArtifactError` when it is none."""
    target = Path(path)
    try:
        size = target.stat().st_size
        if size > MAX_BYTES:
            raise ArtifactError(f"{str(target)!r} has {size} bytes; a compiled file has at most {MAX_BYTES}")
        raw = target.read_text(encoding="utf-8")
    except OSError as error:
        raise ArtifactError(f"cannot read {str(target)!r}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{str(target)!r} is not a text file in UTF-8: {error}") from error
    try:
        data = json.loads(raw, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{str(target)!r} is not valid JSON: {error}") from error
    if not isinstance(data, dict) or cast("dict[str, Any]", data).get("format") != FORMAT:
        found = cast("dict[str, Any]", data).get("format") if isinstance(data, dict) else data
        raise ArtifactError(
            f"{str(target)!r} is not a compiled file of this version: expected the format {FORMAT!r}, "
            f"got {brief(found)}"
        )
    joined = cast("dict[str, Any]", _join_lines(data))
    for key in ("program", "parameters"):
        if not isinstance(joined.get(key), dict):
            raise ArtifactError(f"{str(target)!r} lacks {key!r}")
    return joined


def load(path: str | os.PathLike[str], program: M, *, allow_changed: bool = False) -> M:
    """The program with the parameters of a compiled file.

    `program` is the program as your code builds it; it is not changed. Raises `ArtifactError` when the file was made
    for other modules or signatures and names what differs; `allow_changed=True` accepts changed descriptions, types
    and added fields as long as every parameter still has its place and is valid. Cost: no LM call.
    """
    data = read(path)
    problems = mismatches(data, program)
    if problems and not allow_changed:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise ArtifactError(
            f"{str(path)!r} was compiled for a different {type(program).__name__}:\n{listed}\n"
            f"Compile again, or load with allow_changed=True if the tuned prompt still makes sense."
        )
    return update(program, restore_changes(program, data["parameters"]))


def mismatches(data: Mapping[str, Any], program: Module) -> list[str]:
    """What differs between the program that a file was made for and this one, a line each."""
    found: list[str] = []
    saved = data["program"].get("modules")
    if not isinstance(saved, dict):
        return ["the file does not say which modules it is for"]
    modules = cast("dict[str, Any]", saved)
    current = predictors_of(program)
    for path in sorted(set(modules) | set(current)):
        where = repr(path) if path else "the program"
        if path not in current:
            found.append(f"the file has a module {where}, which the program does not")
        elif path not in modules:
            found.append(f"the program has a module {where}, which the file does not")
        else:
            found.extend(_module_changes(where, modules[path], current[path]))
    return found


def _module_changes(where: str, saved: Any, part: Any) -> list[str]:
    try:
        kind, old = saved["module"], saved["signature"]
        old_fields: dict[str, str] = dict(old["fields"])
        old_description: str = old["description"]
    except (TypeError, KeyError, ValueError):
        return [f"the entry of module {where} is damaged"]
    found: list[str] = []
    if kind != type(part).__name__:
        found.append(f"module {where} is a {type(part).__name__}; in the file it is a {kind}")
    new = describe_signature(part.signature)
    for name in sorted(set(old_fields) | set(new["fields"])):
        if name not in new["fields"]:
            found.append(f"field {name!r} of {where} is gone (was {old_fields[name]!r})")
        elif name not in old_fields:
            found.append(f"field {name!r} of {where} is new")
        elif old_fields[name] != new["fields"][name]:
            found.append(f"field {name!r} of {where} changed: {old_fields[name]!r} -> {new['fields'][name]!r}")
    if not found and old_description != new["description"]:
        found.append(f"the description of {where} changed: {brief(old_description)} -> {brief(new['description'])}")
    return found


def _tuned(program: Module) -> dict[str, Any]:
    """The parameters that a file holds: everything tuned, nothing that is only inherited or is a model."""
    names = {f"{path}.{name}" if path else name for path, part in walk(program) for name in declared(part)}
    described = {
        f"{path}.fields.{name}" if path else f"fields.{name}"
        for path, part in predictors_of(program).items()
        for name in part.fields
    }
    found: dict[str, Any] = {}
    for path, value in parameters(program).items():
        last = path.rpartition(".")[2]
        if path in names or last in ("instruction", "demos"):
            found[path] = value
        elif last == "lm" or (last == "adapter" and value is None):
            continue
        elif last == "settings":
            if value.to_json():
                found[path] = value
        elif last == "adapter" or path in described:
            found[path] = value
    return found


def _split_lines(value: Any) -> Any:
    if isinstance(value, str):
        return {"lines": value.split("\n")} if "\n" in value else value
    if isinstance(value, Mapping):
        data = {str(key): _split_lines(item) for key, item in cast("Mapping[Any, Any]", value).items()}
        return {"data": data} if set(data) in ({"lines"}, {"data"}) else data
    if isinstance(value, list | tuple):
        return [_split_lines(item) for item in cast("list[Any]", value)]
    return value


def _join_lines(value: Any) -> Any:
    if isinstance(value, dict):
        mapping = cast("dict[str, Any]", value)
        if set(mapping) == {"lines"} and isinstance(mapping["lines"], list):
            lines = cast("list[Any]", mapping["lines"])
            if all(isinstance(line, str) for line in lines):
                return "\n".join(lines)
        if set(mapping) == {"data"} and isinstance(mapping["data"], dict):
            return {key: _join_lines(item) for key, item in cast("dict[str, Any]", mapping["data"]).items()}
        return {key: _join_lines(item) for key, item in mapping.items()}
    if isinstance(value, list):
        return [_join_lines(item) for item in cast("list[Any]", value)]
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key, value in pairs:
        if key in data:
            raise ValueError(f"the key {key!r} is given twice")
        data[key] = value
    return data
