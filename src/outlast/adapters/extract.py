"""Finding the one JSON object in what a model wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from outlast.signatures.jsontext import MOST_VALUES, DuplicateKey, Scan, mend, scan, strict, tolerant

_THINK = re.compile(r"\A\s*+<(think|thinking|reasoning)>")
_FENCE = re.compile(r"\A```[\w+-]*+[ \t]*+\n(.*)\n[ \t]*+```\Z", re.DOTALL)
_ARGUMENTS = ("arguments", "parameters", "input", "args")
_WRAPPERS = {
    *("answer", "answers", "arguments", "args", "data", "extraction", "final_answer", "function_call", "input", "json"),
    *("output", "outputs", "parameters", "reply", "response", "result", "results", "tool_call"),
}
_MOST_GIVEN = 100_000  # objects in the inputs of a call
_ENOUGH = 20  # different objects; more than one is a failure anyway


class Unfit(ValueError):
    """A text without the one object that is wanted; says why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The keys of the object that is looked for: all that count, and those that it must have."""

    keys: frozenset[str]
    required: frozenset[str]

    @classmethod
    def outputs_of(cls, signature: Any) -> Wanted:
        """The outputs of a signature; those with a default need not be there."""
        outputs: Mapping[str, Any] = signature.outputs
        required = frozenset(name for name, field in outputs.items() if field.required)
        return cls(frozenset(outputs), required)

    def fits(self, data: Mapping[str, Any]) -> bool:
        """True when all that is required is there."""
        return self.required <= data.keys() and not self.keys.isdisjoint(data)

    def spelled(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The data with keys in the wanted spelling where they differ in case only. Raises `DuplicateKey`."""
        names = {key.casefold(): key for key in self.keys}
        if len(names) < len(self.keys):
            return dict(data)
        found: dict[str, Any] = {}
        for key, value in data.items():
            name = names.get(str(key).casefold(), key)
            if name in found:
                raise DuplicateKey(f"the key {name!r} is given more than once")
            found[name] = value
        return found


def unwrapped(data: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    """The object inside a tool call that was written as text, or inside a key such as "result"; else the data itself.

    Only one that has all that is wanted counts, in data that has nothing of it.
    """
    inner: Any = data
    for _ in range(3):
        if not isinstance(inner, dict) or not inner:
            break
        held = cast("dict[str, Any]", inner)
        if not wanted.keys.isdisjoint(held):
            break
        called = [held[key] for key in _ARGUMENTS if key in held] if isinstance(held.get("name"), str) else []
        only = next(iter(held))
        if len(called) == 1:
            inner = called[0]
        elif isinstance(held.get("function"), dict) and held.keys() <= {"id", "type", "function", "index"}:
            inner = held["function"]
        elif len(held) == 1 and only.casefold() in _WRAPPERS:
            inner = held[only]
        else:
            break
        if isinstance(inner, str):
            try:
                inner = strict(inner)
            except DuplicateKey:
                raise
            except ValueError:
                break
    if inner is data or not isinstance(inner, dict):
        return data
    found = wanted.spelled(cast("dict[str, Any]", inner))
    return found if wanted.fits(found) else data


def without_thinking(text: str) -> str:
    """A reply without the thinking that a local model writes before it; "" when it never stops thinking."""
    match = _THINK.match(text)
    if match is None:
        return text
    stop = text.find(f"</{match[1]}>", match.end())
    return "" if stop < 0 else text[stop + len(match[1]) + 3 :]


def whole_object(text: str, wanted: Wanted) -> dict[str, Any] | None:
    """The object that a text is, alone or in a code fence; None when it is none or has none of the wanted keys."""
    return _whole(text, wanted, lenient=True)


def complete_object(text: str, wanted: Wanted) -> dict[str, Any] | None:
    """Like `whole_object`, for valid JSON only: what a reply that was cut off never is."""
    return _whole(text, wanted, lenient=False)


def _whole(text: str, wanted: Wanted, *, lenient: bool) -> dict[str, Any] | None:
    stripped = text.strip().removeprefix("\ufeff")
    fenced = _FENCE.match(stripped)
    try:
        data = (tolerant if lenient else strict)(fenced[1] if fenced else stripped)
        if isinstance(data, str):  # an object inside a JSON string
            data = strict(data)
    except DuplicateKey:
        raise
    except ValueError:
        return None
    if not isinstance(data, dict):
        return None
    found = unwrapped(wanted.spelled(cast("dict[str, Any]", data)), wanted)
    return None if wanted.keys.isdisjoint(found) else found


def find_object(text: str, wanted: Wanted, inputs: Iterable[Any] = ()) -> dict[str, Any]:
    """The one JSON object with the wanted keys in a text.

    It is the whole text, or stands once in prose. One that lacks a required key does not count unless there is no
    other; one that stands in `inputs` counts only when it is the whole text, so that an echo is no answer. Broken
    JSON is mended last, within bounds, and never when it was cut off.
    Raises `Unfit` when there is none or several different ones, `DuplicateKey` for a key given twice.
    """
    whole = whole_object(text, wanted)
    if whole is not None:
        return whole
    seen = _scanned(text, MOST_VALUES)
    objects = (unwrapped(wanted.spelled(cast("dict[str, Any]", data)), wanted) for data in seen.values)
    candidates = _different(data for data in objects if not wanted.keys.isdisjoint(data))
    if candidates:
        echoes = [_part(data, wanted) for data in _objects(inputs)]
        candidates = [data for data in candidates if _part(data, wanted) not in echoes]
    broken = [piece for piece in seen.broken if any(_count(piece, key) for key in wanted.keys)]
    complete = [data for data in candidates if wanted.fits(data)]
    if len(complete) + len(broken) > 1:
        raise Unfit("there are several different JSON objects; give one")
    if complete:
        return complete[0]
    if broken:
        return _mended(text[text.index(broken[0]) :], wanted)
    if len(candidates) != 1:
        raise Unfit("there is no JSON object with the keys in it")
    return candidates[0]


def _scanned(text: str, most: int) -> Scan:
    try:
        return scan(text, most=most)
    except DuplicateKey:
        raise
    except ValueError as error:
        raise Unfit(f"the text {error}") from None


def _mended(text: str, wanted: Wanted) -> dict[str, Any]:
    """Broken JSON mended up to the last brace of the text."""
    text = text[: text.rfind("}") + 1]
    for key in wanted.keys:
        if _count(text, key) > 1:
            raise DuplicateKey(f"the key {key!r} is given more than once")
    data = mend(text)
    if not isinstance(data, dict):
        raise Unfit("the JSON object is broken or not closed")
    found = wanted.spelled(cast("dict[str, Any]", data))
    if not found.keys() <= wanted.keys or not wanted.fits(found):  # what mending made up is no answer
        raise Unfit("the JSON object is broken")
    return found


def _count(text: str, key: str) -> int:
    """How often a text has something like the key of an object."""
    return len(re.findall(rf"""\b{re.escape(key)}["'”]?\s*+:""", text))


def _different(objects: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for item in objects:
        if item not in found:
            found.append(item)
            if len(found) == _ENOUGH:
                break
    return found


def _part(data: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
    """What counts of an object."""
    try:
        data = wanted.spelled(data)
    except DuplicateKey:
        return dict(data)
    return {key: value for key, value in data.items() if key in wanted.keys}


def _objects(values: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Every object inside JSON-ready data, those that stand in its strings too."""
    for value in values:
        if isinstance(value, str):
            if "{" in value:
                try:
                    yield from _objects(_scanned(value, _MOST_GIVEN).values)
                except DuplicateKey:
                    continue
        elif isinstance(value, dict):
            found = cast("dict[str, Any]", value)
            yield found
            yield from _objects(found.values())
        elif isinstance(value, (list, tuple)):
            yield from _objects(cast("list[Any]", value))
