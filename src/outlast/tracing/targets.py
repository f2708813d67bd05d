"""What people say is the right value of an output, read as a value of its type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from outlast.errors import UsageError, did_you_mean
from outlast.modules.module import Module
from outlast.modules.paths import modules_of
from outlast.signatures.codec import Codec, codecs


class OutputTypes:
    """The types of the outputs of a program, or of the module at `path` in it; of none without a program.

    A program of several modules has the outputs of these; one that it gives as another type is not checked.
    """

    def __init__(self, program: Module | None, path: str | None) -> None:
        self._codecs: dict[str, list[Codec]] = {}
        found = {} if program is None else modules_of(program)
        for place, part in found.items():
            signature: Any = getattr(part, "signature", None)
            if signature is None or (path and place != path):
                continue
            known = codecs(signature)
            for name in cast("Mapping[str, Any]", signature.outputs):
                self._codecs.setdefault(name, []).append(known[name])

    def read(self, name: str, value: Any, given: Any) -> Any:
        """The value as JSON data of the type of that output, which gave `given`. A list or an object that somebody put
        right is JSON in a text. Raises `ValueError`."""
        if isinstance(value, str) and isinstance(given, list | dict):
            value = _data(value)
        fitting = [codec for codec in self._codecs.get(name, ()) if _fits(codec, given)]
        failure: ValueError | None = None
        for codec in fitting:
            try:
                return codec.dump(codec.read_data(value))
            except ValueError as error:
                failure = error
        if failure is not None:
            raise failure
        return value


def check_name(name: str, outputs: Mapping[str, Any]) -> None:
    """Raise `UsageError` for the name of a right value that is nearly that of an output."""
    near = did_you_mean(name, outputs) if name not in outputs else ""
    if near:
        raise UsageError(f"a label has the name {name!r}, which is no output: {', '.join(outputs)}.{near}")


def _data(text: str) -> Any:
    """The list or object that a text says in JSON, else the text."""
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return cast("Any", found) if isinstance(found, list | dict) or found is None else text


def _fits(codec: Codec, value: Any) -> bool:
    try:
        codec.read_data(value)
    except ValueError:
        return False
    return True
