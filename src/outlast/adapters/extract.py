"""Finding the one JSON object in what a model wrote."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from outlast.signatures.jsontext import MOST_VALUES, DuplicateKey, Number, Scan, mend, scan, strict, tolerant
from outlast.signatures.leads import INVISIBLE

_THINK = re.compile(r"\A\s*+<(think|thinking|reasoning)>")
_FENCE = re.compile(r"\A(```|~~~)[ \t]*+[\w+-]*+[ \t]*+\n(?P<inside>.*)\n[ \t]*+\1\Z", re.DOTALL)
_JOINT = re.compile(r"(?<=\w)[\s-]+(?=\w)")
_DECORATION = "*`\"':. \t\r\n\u00a0" + INVISIBLE
_ARGUMENTS = ("arguments", "parameters", "input", "args")
_WRAPPERS = {
    *("answer", "answers", "arguments", "args", "data", "extraction", "final_answer", "function_call", "json"),
    *("output", "outputs", "parameters", "reply", "response", "result", "results", "tool_call", "tool_calls"),
}
_MOST_GIVEN = 100_000  # objects in the inputs of a call
_LARGE = 10**300
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

    def holds(self, data: Any) -> bool:
        """True for an object with one of the keys."""
        return isinstance(data, dict) and not self.keys.isdisjoint(cast("dict[str, Any]", data))

    def spelled(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The data with keys in the wanted spelling where they differ in case and decoration only.

        Raises `DuplicateKey`.
        """
        names = {_folded(key): key for key in self.keys}
        if len(names) < len(self.keys):
            return dict(data)
        found: dict[str, Any] = {}
        for key, value in data.items():
            name = key if key in self.keys else names.get(_folded(str(key)), key)
            if name in found:
                raise DuplicateKey(f"the key {name!r} is given more than once")
            found[name] = value
        return found


def _folded(key: str) -> str:
    """The form in which sloppy spellings of a key are equal."""
    return _JOINT.sub("_", key.strip(_DECORATION)).casefold()


def _only(data: Any) -> Any:
    """What a list of one holds, anything else as it is."""
    if not isinstance(data, list):
        return data
    items = cast("list[Any]", data)
    return items[0] if len(items) == 1 else items


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
        called = [held[key] for key in _ARGUMENTS if key in held]
        only = next(iter(held))
        if len(called) == 1 and any(isinstance(held.get(key), str) for key in ("name", "function")):
            inner = called[0]
        elif isinstance(held.get("function"), dict) and held.keys() <= {"id", "type", "function", "index"}:
            inner = held["function"]
        elif len(held) == 1 and only.casefold() in _WRAPPERS:
            inner = _only(held[only])
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


def without_thinking(text: str, fields: Container[str] = ()) -> str:
    """A reply without the thinking that a local model writes before it; "" when it never stops thinking.

    A tag with the name of one of `fields` is no thinking. Characters at the ends that nobody sees are taken off.
    """
    text = text.strip(INVISIBLE)
    match = _THINK.match(text)
    if match is None or match[1] in fields:
        return text
    stop = text.find(f"</{match[1]}>", match.end())
    return "" if stop < 0 else text[stop + len(match[1]) + 3 :]


def whole_object(text: str, wanted: Wanted) -> dict[str, Any] | None:
    """The object that a text is, alone or in a code fence; None when it is none or has none of the wanted keys."""
    return _whole(text, wanted, lenient=True)


def whole_array(text: str) -> list[Any] | None:
    """The JSON array that a text is, alone or in a code fence."""
    stripped = text.strip()
    fenced = _FENCE.match(stripped)
    try:
        data = tolerant(fenced["inside"] if fenced else stripped)
    except ValueError:
        return None
    return cast("list[Any]", data) if isinstance(data, list) else None


def complete_object(text: str, wanted: Wanted) -> dict[str, Any] | None:
    """Like `whole_object`, for valid JSON only: what a reply that was cut off never is."""
    return _whole(text, wanted, lenient=False)


def _whole(text: str, wanted: Wanted, *, lenient: bool) -> dict[str, Any] | None:
    stripped = text.strip().removeprefix("\ufeff")
    fenced = _FENCE.match(stripped)
    try:
        data = (tolerant if lenient else strict)(fenced["inside"] if fenced else stripped)
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


def find_object(text: str, wanted: Wanted, held: Iterable[Any] = (), examples: Iterable[str] = ()) -> dict[str, Any]:
    """The one JSON object with the wanted keys in a text.

    It is the whole text, or stands once in prose. One that lacks a required key does not count unless there is no
    other; one that stands in `held`, the data of a call, or in `examples` counts only when it is the whole text, so
    that an echo is no answer. Where `held` has something like one that a model may mend, the whole text alone counts.
    Broken JSON is mended last, within bounds, and never when it was cut off.
    Raises `Unfit` when there is none or several different ones, `DuplicateKey` for a key given twice.
    """
    whole = whole_object(text, wanted)
    if whole is not None:
        return whole
    seen = _scanned(text, MOST_VALUES)
    objects = (unwrapped(wanted.spelled(cast("dict[str, Any]", data)), wanted) for data in seen.values)
    candidates = _different(data for data in objects if not wanted.keys.isdisjoint(data))
    if candidates or seen.broken:
        known = _Held(wanted, held)
        taught = _Held(wanted, examples)  # an author may show the form as something like an object
        echoes = known.objects + taught.objects
        candidates = [data for data in candidates if known.loose(data) not in echoes]
        if known.doubtful:  # an echo of it could be mended, here or by the model
            raise Unfit("an input holds something like it; give the JSON object alone")
    broken = [piece for piece in seen.broken if any(_count(piece, key) for key in wanted.keys)]
    complete = [data for data in candidates if wanted.fits(data)]
    if len(complete) + len(broken) > 1:
        raise Unfit("there are several different JSON objects; give one")
    if complete:
        return complete[0]
    if broken:
        return _mended(text[text.index(broken[0]) :], wanted)
    return _joined(candidates, wanted)


def repeats(data: Mapping[str, Any], wanted: Wanted, held: Iterable[Any]) -> bool:
    """True when an object, as far as it counts, stands in the data of a call."""
    known = _Held(wanted, held)
    return known.loose(data) in known.objects


def _joined(parts: list[dict[str, Any]], wanted: Wanted) -> dict[str, Any]:
    """The one object, or one of several that hold a part of what is wanted each and nothing else."""
    if len(parts) == 1:
        return parts[0]
    found: dict[str, Any] = {}
    for part in parts:
        if not part.keys() <= wanted.keys or not found.keys().isdisjoint(part):
            raise Unfit("there are several JSON objects; give one with all the keys in it")
        found.update(part)
    if not found or not wanted.fits(found):
        raise Unfit("there is no JSON object with the keys in it")
    return found


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


class _Held:
    """What the data of a call hold of the object that is looked for: echoes of it are no answer.

    `objects` are those that can be read, `doubtful` says that there is something like one that cannot.
    """

    def __init__(self, wanted: Wanted, held: Iterable[Any]) -> None:
        self.wanted = wanted
        self.objects: list[Any] = []
        self.doubtful = False
        for value in held:
            self._look(value)

    def loose(self, data: Mapping[str, Any]) -> Any:
        """What counts of an object, in a form that an echo keeps: numbers may become texts, and case may change."""
        try:
            data = unwrapped(self.wanted.spelled(data), self.wanted)
        except DuplicateKey:
            self.doubtful = True
        return _loose({key: value for key, value in data.items() if key in self.wanted.keys})

    def _look(self, value: Any) -> None:
        if isinstance(value, str):
            if "{" in value:
                self._scan(value)
        elif isinstance(value, dict):
            found = cast("dict[str, Any]", value)
            self.objects.append(self.loose(found))
            for item in found.values():
                self._look(item)
        elif isinstance(value, (list, tuple)):
            for item in cast("list[Any]", value):
                self._look(item)

    def _scan(self, text: str) -> None:
        try:
            seen = _scanned(text, _MOST_GIVEN)
        except DuplicateKey:
            self.doubtful = True
            return
        self._look(seen.values)
        if any(_count(piece, key) for piece in seen.broken for key in self.wanted.keys):
            self.doubtful = True


def _loose(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _loose(value) for key, value in cast("dict[str, Any]", data).items()}
    if isinstance(data, list):
        return [_loose(item) for item in cast("list[Any]", data)]
    if isinstance(data, int) and abs(data) > _LARGE:  # Python writes no integer of thousands of digits
        return hex(data)
    return (data.text if isinstance(data, Number) else str(data)).strip().casefold()
