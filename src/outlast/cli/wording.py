"""How compiled files are said on a terminal. Everything in them is data of others: read with care, shown as text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from outlast.optimize.words import source_words
from outlast.types.media import short_media

T = TypeVar("T")

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """Text that cannot move the cursor, change colours or reverse the line: such characters are shown escaped."""
    return _CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode(), text.replace("\r\n", "\n"))


def value_text(value: Any) -> str:
    """A value as text: strings as they are, others as JSON."""
    text = value if isinstance(value, str) else json.dumps(short_media(value), ensure_ascii=False, default=str)
    return clean(text)


def one_line(value: Any, limit: int) -> str:
    """A value in one line of at most `limit` characters."""
    line = " ".join(value_text(value).split())
    return line if len(line) <= limit else f"{line[: max(1, limit - 1)]}…"


def reach(data: Any, *path: str) -> Any:
    """What stands at a path of nested mappings; None when it is not there."""
    for step in path:
        if not isinstance(data, Mapping):
            return None
        data = cast("Mapping[str, Any]", data).get(step)
    return data


def pick(data: Any, *path: str, kind: type[T]) -> T | None:
    """The plain value at a path; None when it is not there or not of this kind."""
    value = reach(data, *path)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return cast("T", float(value))
    return value if isinstance(value, kind) else None


def table(data: Any, *path: str) -> Mapping[str, Any]:
    """The mapping at a path; empty when there is none."""
    value = reach(data, *path)
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def listing(data: Any, *path: str) -> list[Any]:
    """The list at a path; empty when there is none."""
    value = reach(data, *path)
    return cast("list[Any]", value) if isinstance(value, list) else []


@dataclass(frozen=True, slots=True)
class DemoText:
    """A demonstration of a compiled file: its values by field, and the words on where it came from."""

    values: tuple[tuple[str, str], ...]
    source: str

    @property
    def lines(self) -> list[str]:
        """All of it, a line for each line of text."""
        found: list[str] = []
        for name, text in self.values:
            first, *rest = text.split("\n")
            found += [f"{name}: {first}", *(f"  {line}" for line in rest)]
        return found

    def brief(self, limit: int) -> str:
        """The values in one line of at most `limit` characters; the last ones, mostly outputs, are kept whole."""
        tail = "  ".join(f"{name}: {one_line(text, 30)}" for name, text in self.values[1:])
        if not self.values:
            return "(empty)"
        name, text = self.values[0]
        room = max(20, limit - len(tail) - 2 - len(name) - 2)
        return f"{name}: {one_line(text, room)}  {tail}".rstrip()


def demos_of(value: Any) -> list[DemoText]:
    """The demonstrations at a `demos` path of a compiled file."""
    found: list[DemoText] = []
    for item in listing(value):
        source = pick(item, "source", kind=str) or ""
        texts = tuple((clean(name), value_text(inner)) for name, inner in table(item, "values").items())
        found.append(DemoText(texts, clean(source_words(source))))
    return found


def percent(value: float | None) -> str:
    """A score of 0..1 in per cent, other scores in four digits."""
    if value is None:
        return "unknown"
    return f"{100 * value:.1f}%" if 0 <= value <= 1 else f"{value:.4g}"


def counted(number: int, word: str) -> str:
    """A number and its word: "1 call", "2,000 calls"."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def estimate(result: Any, name: str) -> str:
    """ "54.6% (47.8..61.3)" from the record of a compile, "unknown" when it is not there."""
    score = pick(result, name, "score", kind=float)
    bounds = _pair(listing(result, name, "interval"))
    if score is None or bounds is None:
        return percent(score)
    low, high = (percent(end).removesuffix("%") for end in bounds)
    return f"{percent(score)} ({low}..{high})"


def gain(result: Any) -> str:
    """ "+19.4 points (+12.8..+26.1), p<0.001, on 112 held-out examples" from the record of a compile; or ""."""
    from outlast.evals import wording

    difference = pick(result, "difference", "score", kind=float)
    bounds = _pair(listing(result, "difference", "interval"))
    p = pick(result, "difference", "p", kind=float)
    n = pick(result, "difference", "n", kind=int)
    if difference is None or bounds is None or p is None:
        return ""
    level = pick(result, "level", kind=float) or 0.95
    share = all(0 <= (pick(result, side, "score", kind=float) or 0.0) <= 1 for side in ("start", "winner"))
    change, low, high = (wording.difference(value, share) for value in (difference, *bounds))
    unit = " points" if share else ""
    return f"{change}{unit} ({low}..{high}), {wording.p_text(p, level)}, on {n} held-out examples"


def _pair(value: Sequence[Any]) -> tuple[float, float] | None:
    if len(value) != 2 or not all(isinstance(end, int | float) for end in value):
        return None
    return float(value[0]), float(value[1])


def spending(cost: Any) -> str:
    """What a compile cost, in words."""
    calls = pick(cost, "calls", kind=int)
    if calls is None:
        return "unknown"
    tokens = (pick(cost, "input_tokens", kind=int) or 0) + (pick(cost, "output_tokens", kind=int) or 0)
    dollars = pick(cost, "dollars", kind=float) or 0.0
    unpriced = pick(cost, "unpriced", kind=int) or 0
    money = f"${dollars:.4f}" if dollars or not unpriced else "price unknown"
    if dollars and unpriced:
        money += f" and {counted(unpriced, 'call')} of unknown price"
    return f"{counted(calls, 'call')}, {counted(tokens, 'token')}, {money}"


def names(value: Any) -> str:
    """One name or a list of them, in words."""
    if isinstance(value, str):
        return clean(value)
    return ", ".join(clean(str(item)) for item in listing(value)) or "unknown"
