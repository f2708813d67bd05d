"""What was tuned on a program, as JSON-ready data and back. Artefacts and ledgers are written in it.

Nothing in the data is code, a path of an import, a URL or a key: adapters come from a fixed list, models are not
part of it at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

from outlast.adapters.chat import Chat
from outlast.adapters.json import JSON
from outlast.adapters.protocol import Adapter, Demo
from outlast.errors import ArtifactError, brief
from outlast.messages import Settings, canonical
from outlast.modules.module import Module, declared, walk
from outlast.modules.paths import parameters, predictors_of
from outlast.modules.predict import Predict
from outlast.signatures.codec import Codec, codecs
from outlast.signatures.signature import Contract, field_key
from outlast.types import TRUSTED, Label

_ADAPTERS: dict[str, type[Adapter]] = {"Chat": Chat, "JSON": JSON}
_KINDS = ("instruction", "demos", "fields", "adapter", "settings")


def dump_changes(program: Module, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Values at parameter paths of `program` as JSON-ready data; `restore_changes` reads them back.

    Models (`*.lm`) have no JSON form and are refused.
    """
    predictors = predictors_of(program)
    return {path: _dump(path, value, predictors) for path, value in sorted(changes.items())}


def restore_changes(program: Module, data: Mapping[str, Any]) -> dict[str, Any]:
    """The values that `dump_changes` wrote, validated against the program; raises `ArtifactError`."""
    predictors = predictors_of(program)
    known = parameters(program)
    changes: dict[str, Any] = {}
    for path, value in data.items():
        if path not in known:
            raise ArtifactError(
                f"the file sets {path!r}, which {type(program).__name__} does not have. Paths: {', '.join(known)}."
            )
        try:
            changes[path] = _restore(path, value, predictors)
        except ArtifactError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ArtifactError(f"the value of {path!r} cannot be used: {error}") from error
    return changes


def difference(start: Module, program: Module) -> dict[str, Any]:
    """The parameters of `program` that differ from those of `start`, by path; models are left out."""
    before = parameters(start)
    after = parameters(program)
    return {
        path: value
        for path, value in after.items()
        if not path.endswith(".lm") and path != "lm" and (path not in before or before[path] != value)
    }


def program_key(program: Module) -> str:
    """A hash of everything that decides what a program asks: structure, signatures and parameters, not models."""
    shape = [
        (path, type(part).__qualname__, part.signature.key if isinstance(part, Predict) else "")
        for path, part in walk(program)
    ]
    values = {path: value for path, value in parameters(program).items() if path.split(".")[-1] != "lm"}
    data = [shape, dump_changes(program, values)]
    return hashlib.blake2b(canonical(data), digest_size=8).hexdigest()


def describe_signature(signature: Any) -> dict[str, Any]:
    """A signature as data that a reader of a diff understands, with a hash for each field."""
    contract: Contract = signature.__contract__
    return {
        "name": signature.__name__,
        "key": signature.key,
        "description": contract.description,
        "fields": {f.name: field_key(f) for f in contract.fields},
    }


def _dump(path: str, value: Any, predictors: Mapping[str, Predict[..., Any]]) -> Any:
    owner, kind = _owner(path, predictors)
    if kind == "demos":
        assert owner is not None
        return [_dump_demo(owner, demo) for demo in cast("tuple[Demo, ...]", value)]
    if kind == "settings":
        return cast("Settings", value).to_json()
    if kind == "adapter":
        return _dump_adapter(value)
    if kind == "lm":
        raise ArtifactError(f"{path!r} is a model, which has no form in a file")
    return value


def _dump_demo(owner: Predict[..., Any], demo: Demo) -> dict[str, Any]:
    table = codecs(owner.asked())
    values = {name: table[name].dump(value) for name, value in demo.values.items()}
    data: dict[str, Any] = {"values": values, "source": demo.source}
    if demo.label != TRUSTED:
        data["label"] = demo.label.to_json()
    return data


def _dump_adapter(adapter: Any) -> Any:
    if adapter is None:
        return None
    name = type(adapter).__name__
    if _ADAPTERS.get(name) is not type(adapter):
        raise ArtifactError(
            f"the adapter {brief(adapter)} has no form in a file; only {', '.join(_ADAPTERS)} have. Set it in code."
        )
    options = {f.name: getattr(adapter, f.name) for f in fields(adapter)}
    return {"adapter": name, **{k: _dump_adapter(v) if k == "fallback" else v for k, v in options.items()}}


def _restore(path: str, value: Any, predictors: Mapping[str, Predict[..., Any]]) -> Any:
    owner, kind = _owner(path, predictors)
    if kind == "demos":
        assert owner is not None
        if not isinstance(value, list):
            raise ArtifactError(f"{path!r} is a list of demos; got {brief(value)}")
        return tuple(_restore_demo(owner, item, path) for item in cast("list[Any]", value))
    if kind == "settings":
        data = dict(value)
        if data.get("stop") is not None:
            data["stop"] = tuple(data["stop"])
        return Settings(**data)
    if kind == "adapter":
        return _restore_adapter(value)
    if kind == "lm":
        raise ArtifactError(f"{path!r}: a model is never taken from a file; set it in code")
    if kind in ("instruction", "fields") and not isinstance(value, str):
        raise ArtifactError(f"{path!r} is text; got {brief(value)}")
    return value


def _restore_demo(owner: Predict[..., Any], item: Any, path: str) -> Demo:
    table: dict[str, Codec] = codecs(owner.asked())
    values: dict[str, Any] = {}
    for name, raw in item["values"].items():
        if name not in table:
            raise ArtifactError(f"{path!r} has a demo with the field {name!r}, which {owner!r} does not have")
        try:
            values[name] = table[name].read_data(raw)
        except ValueError as error:
            raise ArtifactError(f"{path!r} has a demo whose {name!r} is not valid: {error}") from error
    label = item.get("label")
    return Demo(values, str(item.get("source", "")), TRUSTED if label is None else Label.from_json(label))


def _restore_adapter(value: Any) -> Adapter | None:
    if value is None:
        return None
    options = dict(value)
    name = options.pop("adapter", None)
    if name not in _ADAPTERS:
        raise ArtifactError(f"unknown adapter {name!r}; known: {', '.join(_ADAPTERS)}")
    if "fallback" in options:
        options["fallback"] = _restore_adapter(options["fallback"])
    return _ADAPTERS[name](**options)


def _owner(path: str, predictors: Mapping[str, Predict[..., Any]]) -> tuple[Predict[..., Any] | None, str]:
    """The predictor that a path belongs to and the kind of parameter; (None, "declared") for a `param`."""
    head, _, last = path.rpartition(".")
    if head in predictors and last in (*_KINDS, "lm") and not _is_declared(predictors[head], last):
        return predictors[head], last
    inner, _, step = head.rpartition(".")
    if step == "fields" and inner in predictors:
        return predictors[inner], "fields"
    if not inner and head == "fields" and "" in predictors:
        return predictors[""], "fields"
    return None, "declared"


def _is_declared(module: Module, name: str) -> bool:
    return name in declared(module)
