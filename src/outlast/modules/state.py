"""What was tuned on a program, as JSON-ready data and back. Artefacts and ledgers are written in it.

Nothing in the data is code, a path of an import, a URL or a key: adapters come from a fixed list, models stand by
their names, and only where a search chose them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Literal, NamedTuple, cast

from outlast.adapters.chat import Chat
from outlast.adapters.json import JSON
from outlast.adapters.native import Tools
from outlast.adapters.protocol import Adapter, Demo, Nearest
from outlast.adapters.xml import XML
from outlast.errors import ArtifactError, OutlastError, brief, did_you_mean
from outlast.lms.options import settings_from
from outlast.lms.protocol import LM
from outlast.messages import Settings
from outlast.modules.module import Module
from outlast.modules.paths import STRATEGY, TOOLS, is_strategy, parameters, predictors_of, tools_of, update
from outlast.modules.predict import TUNED, Predict
from outlast.modules.recipes import dump_recipe, named_parts, restore_recipe
from outlast.modules.strategy import signature_of
from outlast.modules.values import FrozenDict, declared, hidden_of, walk
from outlast.signatures.codec import Codec, codecs
from outlast.signatures.contract import field_key
from outlast.types import TRUSTED, Label

Kind = Literal[
    "instruction", "demos", "shown", "fields", "order", "lm", "adapter", "settings", "declared", "strategy", "tools"
]

_ADAPTERS: dict[str, type[Adapter]] = {"Chat": Chat, "JSON": JSON, "XML": XML, "Tools": Tools}
_MOST_REASKS = 20  # that a file may ask for: each is a paid call
_MOST_FALLBACKS = 3
_PLAIN = (bool, int, float, str, list, tuple, dict, FrozenDict)
_RESERVED = frozenset({"model", "messages", "stream", "n", "tools", "functions"})
_ROUTES = re.compile(
    r"api[-_]?key|secret|password|passwd|authori[sz]ation|bearer|cookie|credential|access[-_]?token|auth[-_]?token"
    r"|base[-_]?url|api[-_]?base|api[-_]?url|endpoint|^url$|^host$|header|prox(y|ies)|webhook|callback",
    re.IGNORECASE,
)


class Place(NamedTuple):
    """What a parameter path stands for: the predictor, else None, and the kind of value."""

    owner: Predict[..., Any] | None
    kind: Kind


def places(program: Module) -> dict[str, Place]:
    """The kind of every parameter of a program by path, in the order of the program."""
    hidden = hidden_of(program)
    if hidden.places is None:
        hidden.places = _places(program)
    return dict(hidden.places)


def _places(program: Module) -> dict[str, Place]:
    found: dict[str, Place] = {}
    predictors = predictors_of(program)
    for path, part in walk(program):
        dot = f"{path}." if path else ""
        if signature_of(part) is not None:
            found[f"{dot}{STRATEGY}"] = Place(None, "strategy")
        for name in declared(part):
            found[f"{dot}{name}"] = Place(None, "declared")
        for name, tool in tools_of(part).items():
            found[f"{dot}{TOOLS}.{name}.description"] = Place(None, "tools")
            found |= {f"{dot}{TOOLS}.{name}.arguments.{one}": Place(None, "tools") for one in tool.arguments}
        owner = predictors.get(path)
        if owner is not None:
            for kind in TUNED:
                if kind == "fields":
                    found |= {f"{dot}fields.{name}": Place(owner, kind) for name in owner.asked().fields}
                else:
                    found[f"{dot}{kind}"] = Place(owner, kind)
    return found


def dump_changes(program: Module, changes: Mapping[str, Any], *, models: bool = False) -> dict[str, Any]:
    """Values at parameter paths of `program` as JSON-ready data, in the order of the paths.

    `restore_changes` reads them back. Raises `ArtifactError` for what has no form in a file, models among it; with
    `models` they stand by their names, which are looked up in code.
    """
    known = places(with_strategies(program, changes))
    return {
        path: {"known": value.name} if models and isinstance(value, LM) else _dump(path, value, known[path])
        for path, value in sorted(changes.items())
    }


def with_strategies(program: Module, changes: Mapping[str, Any]) -> Module:
    """The program with the strategies among the changes, and nothing else, in place."""
    return update(program, {path: value for path, value in changes.items() if is_strategy(path)})


def restore_changes(program: Module, data: Mapping[str, Any], known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The values that `dump_changes` wrote, validated against the program; raises `ArtifactError`.

    `known` are models, and the functions and tools of strategies, by name: they come from code, never from data.
    """
    strategies: dict[str, Any] = {}
    for path in sorted((path for path in data if is_strategy(path)), key=lambda path: path.count(".")):
        strategies[path] = _restored_strategy(program, path, data[path], known or {})
        program = update(program, {path: strategies[path]})
    rest = {path: value for path, value in data.items() if path not in strategies}
    return strategies | _restored(program, rest, known or {})


def _restored_strategy(program: Module, path: str, value: Any, known: Mapping[str, Any]) -> Any:
    if places(program).get(path) is None:
        valid = [one for one in places(program) if is_strategy(one)]
        raise ArtifactError(
            f"the file sets {path!r}, which {type(program).__name__} does not have.{did_you_mean(path, valid)}"
        )
    own = {**known, **named_parts(parameters(program)[path])}
    try:
        return restore_recipe(path, value, own)
    except ArtifactError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OutlastError) as error:
        raise ArtifactError(f"the value of {path!r} cannot be used: {error}") from error


def _restored(program: Module, data: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    known = places(program)
    present = parameters(program)
    changes: dict[str, Any] = {}
    for path, value in data.items():
        if path not in known:
            raise ArtifactError(
                f"the file sets {path!r}, which {type(program).__name__} does not have.{did_you_mean(path, known)} "
                f"Paths: {', '.join(known)}."
            )
        try:
            kind = known[path].kind
            if kind == "lm":
                changes[path] = _restore_model(path, value, present[path], given)
            else:
                changes[path] = _restore(path, value, known[path], present[path])
        except ArtifactError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OutlastError) as error:
            raise ArtifactError(f"the value of {path!r} cannot be used: {error}") from error
    return changes


def difference(start: Module, program: Module, *, models: bool = False) -> dict[str, Any]:
    """The parameters of `program` that differ from those of `start`, by path; models only with `models`."""
    before, after = parameters(start), parameters(program)
    kinds = places(program)
    found = {
        path: value
        for path, value in after.items()
        if kinds[path].kind != "lm" and (path not in before or not _equal(before[path], value))
    }
    if models and any(kinds[path].kind == "lm" and value is not None for path, value in after.items()):
        carried = parameters(with_strategies(start, found))  # a new strategy asks the model that the old one had
        own = {path: value for path, value in after.items() if isinstance(value, LM) and kinds[path].kind == "lm"}
        found |= {path: value for path, value in own.items() if carried.get(path) is not value}
    return found


def tuned(program: Module) -> dict[str, Any]:
    """The parameters that a file holds: all that is set on the program itself.

    Left to the code are models, adapters of your own, and what is only inherited or as the signature says.
    """
    found: dict[str, Any] = {}
    values = parameters(program)
    modules = dict(walk(program))
    for path, (owner, kind) in places(program).items():
        value = values[path]
        if kind == "fields":
            assert owner is not None
            keep = path.rpartition(".")[2] in owner.fields
        elif kind == "adapter":
            keep = value is not None and has_form(value)
        elif kind == "shown":
            keep = value is not None
        elif kind == "settings":
            keep = bool(value.to_json())
        elif kind == "order":
            keep = bool(value)
        elif kind == "strategy":
            keep = hidden_of(modules[path.rpartition(".")[0]]).swapped
        else:
            keep = kind != "lm"
        if keep:
            found[path] = value
    return found


def describe_signature(signature: Any) -> dict[str, Any]:
    """A signature as data that a reader of a diff understands: the description, and each field in one line."""
    return {
        "name": signature.__name__,
        "description": signature.description,
        "fields": {name: field_key(field) for name, field in signature.fields.items()},
    }


def _equal(a: Any, b: Any) -> bool:
    try:
        return bool(type(a) is type(b) and a == b)
    except Exception:  # a user's value may not know how to compare
        return a is b


def _dump(path: str, value: Any, place: Place) -> Any:
    owner, kind = place
    if kind == "lm":
        raise ArtifactError(f"{path!r} is a model, which has no form in a file: set it in code")
    if kind == "demos":
        assert owner is not None
        return [_dump_demo(owner, demo) for demo in cast("tuple[Demo, ...]", value)]
    if kind == "shown":
        return None if value is None else {"nearest": {"k": cast("Nearest", value).k}}
    if kind == "settings":
        data = cast("Settings", value).to_json()
        _refuse_routes(path, data.get("extra", {}))
        return _plain(path, data)
    if kind == "order":
        return list(value)
    if kind == "adapter":
        return _dump_adapter(value)
    if kind == "strategy":
        return dump_recipe(path, value, _plain)
    if kind == "declared":
        return _dump_declared(path, value)
    return value


def _dump_demo(owner: Predict[..., Any], demo: Demo) -> dict[str, Any]:
    table = codecs(owner.asked())
    values = {name: _finite(codec.dump(demo.values[name])) for name, codec in table.items() if name in demo.values}
    data: dict[str, Any] = {"values": values, "source": demo.source}
    if demo.label != TRUSTED:
        data["label"] = demo.label.to_json()
    return data


def _finite(data: Any) -> Any:
    """JSON has no NaN and no infinity; their names are read back as what they are."""
    if isinstance(data, float) and not math.isfinite(data):
        return "NaN" if math.isnan(data) else "Infinity" if data > 0 else "-Infinity"
    if isinstance(data, list):
        return [_finite(item) for item in cast("list[Any]", data)]
    if isinstance(data, dict):
        return {key: _finite(item) for key, item in cast("dict[str, Any]", data).items()}
    return data


_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _read(codec: Codec, data: Any) -> Any:
    """The value that was dumped; names of numbers that JSON lacks are numbers where no text can stand."""
    try:
        return codec.read_data(data)
    except ValueError:
        numbers = _infinite(data)
        if numbers == data:
            raise
        return codec.read_data(numbers)


def _infinite(data: Any) -> Any:
    """Undo `_finite`."""
    if isinstance(data, str):
        return _NOT_FINITE.get(data, data)
    if isinstance(data, list):
        return [_infinite(item) for item in cast("list[Any]", data)]
    if isinstance(data, dict):
        return {key: _infinite(item) for key, item in cast("dict[str, Any]", data).items()}
    return data


def has_form(adapter: Adapter | None) -> bool:
    if adapter is None:
        return True
    return _ADAPTERS.get(type(adapter).__name__) is type(adapter) and has_form(adapter.fallback)


def _dump_adapter(adapter: Any) -> Any:
    if adapter is None:
        return None
    if not has_form(adapter):
        raise ArtifactError(
            f"the adapter {brief(adapter)} has no form in a file; only {', '.join(_ADAPTERS)} have. Set it in code."
        )
    options = {f.name: getattr(adapter, f.name) for f in fields(adapter)}
    options["fallback"] = _dump_adapter(adapter.fallback)
    return {"adapter": type(adapter).__name__, **options}


def _dump_declared(path: str, value: Any) -> Any:
    """Plain data as it is, other kinds in pydantic's JSON form when that reads back as the same value."""
    if value is None or type(value) in _PLAIN:
        return _plain(path, value)
    try:
        from pydantic import TypeAdapter

        adapter = TypeAdapter[Any](cast("type[Any]", type(value)))
        data = adapter.dump_python(value, mode="json")
        if _equal(adapter.validate_python(data), value):
            return _plain(path, data)
        reason = "it does not read back as the same value"
    except Exception as error:  # pydantic raises several kinds for types that it cannot serve
        reason = str(error).split("\n", 1)[0]
    raise ArtifactError(
        f"the parameter {path!r} is a {type(value).__name__}, which has no form in a file ({reason}). Use text, "
        f"numbers, lists, dicts, enums, dataclasses or pydantic models, or keep it out of param(...)."
    )


def _plain(path: str, value: Any) -> Any:
    """JSON data with lists for tuples; raises for anything else inside."""
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, list | tuple):
        return [_plain(path, item) for item in cast("list[Any]", value)]
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value)
        if all(type(key) is str for key in items):
            return {key: _plain(path, item) for key, item in items.items()}
    raise ArtifactError(
        f"{path!r} holds {brief(value)}, which has no form in a file: inside lists and dicts use text, finite "
        f"numbers, true, false and None"
    )


def _restore_model(path: str, value: Any, present: Any, given: Mapping[str, Any]) -> LM:
    """The model of the name that a file gives, from code; a file names one where a search chose among several."""
    name = cast("dict[str, Any]", value).get("known") if isinstance(value, dict) else None
    if not isinstance(name, str):
        raise ArtifactError(f"{path!r}: a model is never taken from a file; set it in code")
    found = present if isinstance(present, LM) and present.name == name else given.get(name)
    if not isinstance(found, LM):
        raise ArtifactError(
            f"{path!r}: a search chose the model {brief(name)}; a model is never taken from a file, so give it: "
            f"load(path, program, known={{{brief(name)}: ol.LM(...)}})"
        )
    return found


def _restore(path: str, value: Any, place: Place, present: Any) -> Any:
    owner, kind = place
    if kind in ("instruction", "fields", "tools"):
        if not isinstance(value, str):
            raise ArtifactError(f"{path!r} is text; got {brief(value)}")
        return value
    if kind == "demos":
        assert owner is not None
        if not isinstance(value, list):
            raise ArtifactError(f"{path!r} is a list of demos; got {brief(value)}")
        return tuple(_restore_demo(owner, item, path) for item in cast("list[Any]", value))
    if kind == "shown":
        return _restore_shown(path, value)
    if kind == "order":
        assert owner is not None
        if not _is_texts(value):
            raise ArtifactError(f"{path!r} is a list of names of outputs; got {brief(value)}")
        return owner.read("order", value)
    if kind == "settings":
        return _restore_settings(path, value)
    if kind == "adapter":
        return _restore_adapter(path, value, _MOST_FALLBACKS)
    return _restore_declared(path, value, present)


def _restore_demo(owner: Predict[..., Any], item: Any, path: str) -> Demo:
    table = codecs(owner.asked())
    data = _record(f"a demo in {path!r}", item, ("values", "source", "label"))
    raw = _record(f"the values of a demo in {path!r}", data.get("values"), tuple(table))
    values: dict[str, Any] = {}
    for name, one in raw.items():
        try:
            values[name] = _read(table[name], one)
        except (ValueError, TypeError) as error:
            raise ArtifactError(f"{path!r} has a demo whose {name!r} is not valid: {error}") from error
    source = data.get("source", "")
    if not isinstance(source, str):
        raise ArtifactError(f"{path!r} has a demo whose source is no text; got {brief(source)}")
    return Demo(values, source, TRUSTED if "label" not in data else _restore_label(path, data["label"]))


def _restore_shown(path: str, value: Any) -> Nearest | None:
    if value is None:
        return None
    options = _record(f"the choice in {path!r}", _record(repr(path), value, ("nearest",)).get("nearest"), ("k",))
    return Nearest(**options)


def _restore_label(path: str, value: Any) -> Label:
    data = _record(f"the label of a demo in {path!r}", value, ("sources", "readers"))
    sources, readers = data.get("sources"), data.get("readers")
    if not _is_texts(sources) or not (readers is None or _is_texts(readers)):
        raise ArtifactError(f"{path!r} has a demo whose label is no label; got {brief(value)}")
    return Label.from_json(data)


def _restore_settings(path: str, value: Any) -> Settings:
    data = _record(repr(path), value, tuple(f.name for f in fields(Settings)))
    if isinstance(data.get("stop"), str):
        raise ArtifactError(f"{path!r}: stop is a list of texts; got {brief(data['stop'])}")
    _refuse_routes(path, data.get("extra"))
    return settings_from(data)


def _refuse_routes(path: str, extra: Any, depth: int = 0) -> None:
    """A file must neither hold a secret nor say where requests go or what they are made of."""
    if isinstance(extra, Mapping):
        for key, value in cast("Mapping[Any, Any]", extra).items():
            name = str(key)
            if _ROUTES.search(name) or (depth == 0 and name.lower() in _RESERVED):
                raise ArtifactError(
                    f"{path!r}: the extra setting {name!r} has no place in a file, which holds neither secrets nor "
                    f"where or what to ask. Set it on the LM in code."
                )
            _refuse_routes(path, value, depth + 1)
    elif isinstance(extra, list | tuple):
        for item in cast("list[Any]", extra):
            _refuse_routes(path, item, depth + 1)


def _restore_adapter(path: str, value: Any, fallbacks: int) -> Adapter | None:
    if value is None:
        return None
    data = _record(repr(path), value, ("adapter", "reasks", "fallback"))
    name = data.get("adapter")
    if not isinstance(name, str) or name not in _ADAPTERS:
        raise ArtifactError(f"{path!r}: unknown adapter {brief(name)}; known: {', '.join(_ADAPTERS)}")
    reasks = data.get("reasks", 2)
    if type(reasks) is not int or not 0 <= reasks <= _MOST_REASKS:
        raise ArtifactError(f"{path!r}: reasks is a whole number from 0 to {_MOST_REASKS}; got {brief(reasks)}")
    if data.get("fallback") is not None and not fallbacks:
        raise ArtifactError(f"{path!r}: an adapter has at most {_MOST_FALLBACKS} fallbacks in a row")
    make = cast("Callable[..., Adapter]", _ADAPTERS[name])
    return make(reasks=reasks, fallback=_restore_adapter(path, data.get("fallback"), fallbacks - 1))


def _restore_declared(path: str, value: Any, present: Any) -> Any:
    """Plain data in place of plain data; other kinds by the kind of the value that the program has now."""
    kind = cast("type[Any]", type(present))
    if value is None or present is None or kind in _PLAIN:
        if kind is tuple and not isinstance(value, list | None):
            raise ArtifactError(f"{path!r} is a list; got {brief(value)}")
        if kind is FrozenDict and not isinstance(value, dict | None):
            raise ArtifactError(f"{path!r} is an object; got {brief(value)}")
        return cast("object", value)
    from pydantic import TypeAdapter

    return TypeAdapter[Any](kind).validate_python(value)


def _record(subject: str, value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """The value as an object with no other keys than these."""
    if not isinstance(value, dict):
        raise ArtifactError(f"{subject} is an object; got {brief(value)}")
    data = cast("dict[str, Any]", value)
    for key in data:
        if key not in names:
            raise ArtifactError(f"{subject} has {key!r}, which is none of {', '.join(names)}")
    return data


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in cast("list[Any]", value))
