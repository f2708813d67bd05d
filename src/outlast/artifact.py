"""The compiled file, `*.outlast.json`: what was tuned, where it came from and what it gained. Text for git.

Loading runs no code, imports nothing, and takes neither a model nor a URL nor a key from the file.
"""

from __future__ import annotations

import json
import os
import platform
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from outlast.data.files import write_whole
from outlast.errors import ArtifactError, OutlastError, UsageError, brief
from outlast.modules.module import Module
from outlast.modules.paths import is_strategy, parameters, predictors_of, update
from outlast.modules.state import describe_signature, dump_changes, restore_changes, tuned

M = TypeVar("M", bound=Module)

FORMAT = "outlast artifact 1"
MAX_BYTES = 32 << 20
MAX_DEPTH = 100  # levels of nesting; deeper files are an attack on whoever walks them


def save(
    program: Module,
    path: str | os.PathLike[str],
    *,
    record: Mapping[str, Any] | None = None,
    models: Iterable[str] = (),
) -> Path:
    """Write what is tuned on a program to `path`, atomically; gives the path.

    `record` is what is known of how it came about (scores, data, models, cost); `Compiled.save` fills it in. `models`
    are paths of models that a search chose: the file names them, and `load` takes them from `known`.
    The file has sorted keys and one line per entry and line of text, so that a change reads well in a diff; only the
    fields of a demonstration stand in the order of its signature, and what is inside them as the prompt shows it.
    Raises `ArtifactError` when the file cannot be written or a parameter has no form in it.
    """
    target = Path(path)
    data = to_data(program, record=record, models=models)
    try:
        raw = render(data).encode("utf-8", "backslashreplace")  # lone surrogates as \udXXX
    except (ValueError, TypeError, RecursionError) as error:
        raise ArtifactError(f"the record of {str(target)!r} cannot be written as JSON: {error}") from error
    if len(raw) > MAX_BYTES:
        raise ArtifactError(
            f"{str(target)!r} would have {len(raw)} bytes; a compiled file has at most {MAX_BYTES}. Media in "
            f"demonstrations are kept in it: use smaller ones, fewer, or addresses (Image.from_url)"
        )
    try:
        write_whole(target, raw)
    except OSError as error:
        raise ArtifactError(f"cannot write {str(target)!r}: {error.strerror or error}") from error
    return target


def to_data(program: Module, *, record: Mapping[str, Any] | None = None, models: Iterable[str] = ()) -> dict[str, Any]:
    """The content of the file for a program, as JSON-ready data. Raises `ArtifactError` for what has no form in it."""
    from outlast import __version__

    if not isinstance(program, Module):
        raise UsageError(f"a compiled file is made of a program (an ol.Module); got {brief(program)}")
    return {
        "format": FORMAT,
        "program": {"class": type(program).__name__, "modules": _shape(program)},
        "parameters": dump_changes(program, {**tuned(program), **_values(program, models)}, models=True),
        "record": dict(record or {}),
        "versions": {"outlast": __version__, "python": platform.python_version()},
    }


def _values(program: Module, paths: Iterable[str]) -> dict[str, Any]:
    named = tuple(paths)
    values = parameters(program) if named else {}
    return {path: values[path] for path in named}


def _shape(program: Module) -> dict[str, Any]:
    """Path, strategy and signature of every predictor."""
    return {
        path: {"module": type(part).__name__, "signature": describe_signature(part.signature)}
        for path, part in predictors_of(program).items()
    }


def render(data: Mapping[str, Any]) -> str:
    """Data as the text of a file: sorted, two spaces deep, long texts as lists of lines."""
    ordered = {key: _sorted(value) for key, value in sorted(data.items())}
    parameters = cast("Mapping[str, Any]", data.get("parameters", {}))
    ordered["parameters"] = {path: parameters[path] for path in sorted(parameters)}
    return json.dumps(_split_lines(ordered), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of a compiled file; raises `ArtifactError` when it is none."""
    name = repr(str(path))
    text = _text(Path(path))
    try:
        data = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{name} is not valid JSON: {error}") from error
    if _deeper_than(data, MAX_DEPTH):
        raise ArtifactError(f"{name} is nested more than {MAX_DEPTH} levels deep, which no compiled file is")
    found = cast("dict[str, Any]", data).get("format") if isinstance(data, dict) else data
    if not isinstance(data, dict) or found != FORMAT:
        raise ArtifactError(
            f"{name} is not a compiled file of this version: expected the format {FORMAT!r}, got {brief(found)}"
        )
    joined = cast("dict[str, Any]", _join_lines(data))
    for key in ("program", "parameters", "record"):
        if not isinstance(joined.get(key), dict):
            raise ArtifactError(f"{name}: {key!r} is missing or no object")
    return joined


def _text(path: Path) -> str:
    """The text of a regular file of a bearable size."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):  # to open a pipe waits for its other end
            raise ArtifactError(f"{str(path)!r} is not a regular file")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1) if about.st_size <= MAX_BYTES else b""
    except ArtifactError:
        raise
    except FileNotFoundError as error:
        raise ArtifactError(
            f"there is no compiled file {str(path)!r}; outlast compile --out or Compiled.save writes one"
        ) from error
    except OSError as error:
        raise ArtifactError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    except ValueError as error:  # a path with a null byte
        raise ArtifactError(f"cannot read {str(path)!r}: {error}") from error
    if (not raw and about.st_size) or len(raw) > MAX_BYTES:
        raise ArtifactError(f"{str(path)!r} has {about.st_size} bytes; a compiled file has at most {MAX_BYTES}")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{str(path)!r} is not a text file in UTF-8: {error}") from error


def load(
    path: str | os.PathLike[str],
    program: M,
    *,
    allow_changed: bool = False,
    known: Mapping[str, Any] | None = None,
) -> M:
    """The program with the parameters of a compiled file.

    `program` is the program as your code builds it; it is not changed. Raises `ArtifactError` when the file was made
    for other modules or signatures and names what differs; `allow_changed=True` accepts changed descriptions, types
    and added fields as long as every parameter still has its place and is valid. The order of fields does not matter.
    When a model was chosen by compiling, `known` has it by its name; when a strategy was, the functions, models and
    tools that it uses, as far as the program's own strategy does not hold them. Cost: no LM call.
    """
    if not isinstance(program, Module):
        raise UsageError(f"load(path, program) takes the program as your code builds it; got {brief(program)}")
    data = read(path)
    try:
        changes = restore_changes(program, {k: v for k, v in data["parameters"].items() if is_strategy(k)}, known)
        program = update(program, changes)
    except ArtifactError as error:
        raise ArtifactError(f"{str(path)!r}: {error}") from error
    problems = mismatches(data, program)
    if problems and not allow_changed:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise ArtifactError(
            f"{str(path)!r} was compiled for a different {type(program).__name__}:\n{listed}\n"
            f"Compile again, or load with allow_changed=True if the tuned prompt still makes sense."
        )
    try:
        rest = {name: value for name, value in data["parameters"].items() if not is_strategy(name)}
        return update(program, restore_changes(program, rest, known))
    except ArtifactError as error:
        raise ArtifactError(f"{str(path)!r}: {error}") from error
    except (OutlastError, ValueError, TypeError, ArithmeticError) as error:
        raise ArtifactError(f"{str(path)!r} holds a parameter that the program refuses: {error}") from error


def mismatches(data: Mapping[str, Any], program: Module) -> list[str]:
    """What differs between the program that a file was made for and this one, a line each."""
    found: list[str] = []
    saved = data["program"].get("modules")
    if not isinstance(saved, dict):
        return ["the file does not say which modules it is for"]
    modules = cast("dict[str, Any]", saved)
    current = _shape(program)
    if set(current) == {""} and "" not in modules:
        return [f"the program is one module; the file has the modules {', '.join(map(repr, sorted(modules)))}"]
    if set(modules) == {""} and "" not in current:
        return [f"the file is for one module; the program has the modules {', '.join(map(repr, sorted(current)))}"]
    for path in sorted(set(modules) | set(current)):
        where = repr(path) if path else "the program"
        if path not in current:
            found.append(f"the file has a module {where}, which the program does not")
        elif path not in modules:
            found.append(f"the program has a module {where}, which the file does not")
        else:
            found.extend(_module_changes(where, modules[path], current[path]))
    return found


def _module_changes(where: str, old: Any, new: dict[str, Any]) -> list[str]:
    try:
        kind, signature = old["module"], old["signature"]
        fields: dict[str, Any] = dict(signature["fields"])
        description = signature["description"]
    except (TypeError, KeyError, ValueError):
        return [f"the entry of module {where} is damaged"]
    found: list[str] = []
    if kind != new["module"]:
        found.append(f"module {where} is a {new['module']}; in the file it is a {brief(kind)}")
    now: dict[str, str] = new["signature"]["fields"]
    for name in sorted(set(fields) | set(now)):
        if name not in now:
            found.append(f"field {name!r} of {where} is gone (was {_field_words(fields[name])})")
        elif name not in fields:
            found.append(f"field {name!r} of {where} is new")
        elif fields[name] != now[name]:
            found.append(f"field {name!r} of {where} changed: {_field_change(fields[name], now[name])}")
    if description != new["signature"]["description"]:
        found.append(
            f"the description of {where} changed: {brief(description)} -> {brief(new['signature']['description'])}"
        )
    return found


def _field_words(text: Any) -> str:
    """A field as the file writes it, for people: cut, and without the mark of a description that is not there."""
    return brief(text, 300) if not isinstance(text, str) else brief(text.removesuffix(" | "), 300)


def _field_change(old: Any, new: str) -> str:
    """What differs of a field: its role, its type or its description, before -> after."""
    if not isinstance(old, str):
        return f"{_field_words(old)} -> {_field_words(new)}"
    (was, _, said), (now, _, says) = old.partition(" | "), new.partition(" | ")
    (role, _, kind), (role_now, _, kind_now) = was.partition(": "), now.partition(": ")
    parts: list[str] = []
    for name, before, after in (
        ("", role, role_now),
        ("type ", kind, kind_now),
        ("description ", repr(said), repr(says)),
    ):
        if before != after:
            parts.append(f"{name}{_cut(before)} -> {_cut(after)}")
    return "; ".join(parts)


def _cut(text: str) -> str:
    return text if len(text) <= 300 else f"{text[:299]}…"


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value)
        return {key: _sorted(items[key]) for key in sorted(items)}
    if isinstance(value, list | tuple):
        return [_sorted(item) for item in cast("list[Any]", value)]
    return value


def _split_lines(value: Any) -> Any:
    """Texts of several lines as `{"lines": [...]}`; data that looks like that is wrapped as `{"data": ...}`."""
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


def _deeper_than(data: Any, most: int) -> bool:
    """Whether nesting goes deeper, found level by level and not by recursion."""
    level = [data]
    for _ in range(most):
        inside: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inside.extend(cast("dict[str, Any]", value).values())
            elif isinstance(value, list):
                inside.extend(cast("list[Any]", value))
        if not inside:
            return False
        level = inside
    return True


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key, value in pairs:
        if key in data:
            raise ValueError(f"the key {key!r} is given twice")
        data[key] = value
    return data


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
