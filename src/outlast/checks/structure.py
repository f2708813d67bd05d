"""Checks of the form of a text: its length, a pattern, one of some values."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Literal, cast, get_args

from outlast.checks.check import Check, CheckResult, Found, built
from outlast.checks.factory import factory
from outlast.checks.policy import Policy
from outlast.checks.reading import FINE, Span, count, flag, listed, named, of_text, sentences, text_of, whole, words
from outlast.errors import UsageError, brief, did_you_mean

Unit = Literal["characters", "words", "sentences", "lines", "tokens~"]
SLOW_LIMIT = 20_000
"""Characters of a text that a pattern for Python's own engine is tried on."""

_LINE = re.compile(r"[^\r\n]*\S[^\r\n]*")
_FLAGS = {re.IGNORECASE: "i", re.MULTILINE: "m", re.DOTALL: "s", re.VERBOSE: "x"}
_LONE = re.compile(r"[\ud800-\udfff]")
_ANCHOR = re.compile(r"[\^$]|\\[bBAzZ]")


@factory
def length(
    field: str,
    *,
    min: int | None = None,
    max: int | None = None,
    unit: Unit = "characters",
    cut: bool = False,
    each: bool = False,
    on_fail: Policy | str = "raise",
) -> Check:
    """The text is `min` to `max` long, both included, in characters, words, sentences, lines that are not blank, or
    tokens~ (about: a quarter of its UTF-8 bytes).

    With `cut` the fix of a text that is too long is its start: whole sentences where one fits, else whole words.
    Raises `UsageError` without a bound, or with min above max.
    """
    if unit not in get_args(Unit):
        near = did_you_mean(unit, get_args(Unit)) if isinstance(unit, str) else ""
        raise UsageError(f"ol.checks.length: unit is one of {', '.join(get_args(Unit))}; got {brief(unit)}.{near}")
    low = 0 if min is None else whole("length", "min", min)
    high = None if max is None else whole("length", "max", max)
    flag("length", cut=cut)
    if min is None and max is None:
        raise UsageError("ol.checks.length: say min=, max= or both")
    if high is not None and high < low:
        raise UsageError(f"ol.checks.length: min is at most max; got min={low}, max={high}")
    noun = {"tokens~": "token (about)"}.get(unit, unit[:-1])

    def judge(text: str) -> CheckResult:
        size = measured(text, unit)
        if size < low:
            return CheckResult(False, f"{field!r} is too short: {count(size, noun)}; it needs at least {low:,}")
        if high is None or size <= high:
            return FINE
        start = _shortened(text, high, unit) if cut else ""
        fix = {field: start} if start and measured(start, unit) >= low else None
        message = f"{field!r} is too long: {count(size, noun)}; shorten it to at most {high:,}"
        return CheckResult(False, message, fix=fix)

    options = {"min": min, "max": max, "unit": unit, "cut": cut}
    return of_text("length", field, judge, on_fail=on_fail, each=each, **options)


def measured(text: str, unit: Unit) -> int:
    """How long a text is."""
    if unit == "characters":
        return len(text)
    if unit == "tokens~":
        return math.ceil(len(text.encode("utf-8", "surrogatepass")) / 4)
    return len(_pieces(text, unit))


def _pieces(text: str, unit: Unit) -> list[Span]:
    if unit == "words":
        return words(text)
    if unit == "sentences":
        return sentences(text)
    return [match.span() for match in _LINE.finditer(text)]


def _shortened(text: str, high: int, unit: Unit) -> str:
    """The longest start that is at most `high` long and ends with a sentence, or else with a word (or line)."""
    if unit in ("sentences", "lines"):
        return text[: _pieces(text, unit)[high - 1][1]] if high else ""
    most = _most(text, high, unit)
    ends = [end for _, end in sentences(text[: most + 200]) if end <= most]
    if not ends:
        ends = [end for _, end in words(text[: most + 200]) if end <= most]
    return text[: ends[-1]] if ends else ""


def _most(text: str, high: int, unit: Unit) -> int:
    """How many characters of the start are allowed."""
    if unit == "characters":
        return high
    if unit == "words":
        return words(text)[high][0]
    return len(text.encode("utf-8", "surrogatepass")[: high * 4].decode("utf-8", "ignore"))


@factory
def matches(
    field: str,
    pattern: str | re.Pattern[str],
    *,
    full: bool = False,
    absent: bool = False,
    message: str = "",
    each: bool = False,
    on_fail: Policy | str = "raise",
) -> Check:
    """The text holds a place that matches the regular expression; `full`: all of it does; `absent`: no place may.

    The pattern runs in linear time, whatever the text (pydantic's engine; `\\z` is the end of the text). With
    look-around or back-references only Python's own `re` can run it, whose time has no bound for some patterns, so that
    a text above 20,000 characters fails there. `message` says what is wanted, for people and models who read no
    patterns. Raises `UsageError` for what is no pattern.
    """
    flag("matches", full=full, absent=absent)
    if not isinstance(message, str):
        raise UsageError(f"ol.checks.matches: message is text; got {brief(message)}")
    source, search = _searcher(pattern, full)
    wanted = "all of" if full else "a part of"
    rule = f"no part of {field!r} may match" if absent else f"{wanted} {field!r} must match"
    if absent and full:
        rule = f"{field!r} as a whole must not match"

    def judge(text: str) -> CheckResult:
        found = search(text)
        if found is None:
            told = f"{field!r} has {len(text):,} characters; at most {SLOW_LIMIT:,} are compared with {source!r}"
            return CheckResult(False, told)
        if bool(found) is not absent:
            return FINE
        places = (Found(field, *found, "match", text[slice(*found)]),) if absent and isinstance(found, tuple) else ()
        seen = f"; found {brief(places[0].text, 60)}" if places else ""
        return CheckResult(False, message or f"{rule} {brief(source)}{seen}", found=places)

    options = {"pattern": source, "full": full, "absent": absent, "message": message}
    return of_text("matches", field, judge, on_fail=on_fail, each=each, **options)


def _searcher(pattern: Any, full: bool) -> tuple[str, Callable[[str], Span | bool | None]]:
    """The pattern with its flags in it, and a search that gives a place, True without a place, False, or None for a
    text that is too long for it."""
    if isinstance(pattern, re.Pattern) and isinstance(inner := cast("re.Pattern[Any]", pattern).pattern, str):
        flags = "".join(letter for value, letter in _FLAGS.items() if pattern.flags & value)
        source = f"(?{flags}){inner}" if flags else inner
    elif isinstance(pattern, str):
        source = pattern
    else:
        raise UsageError(f"ol.checks.matches: the pattern is a regular expression; got {brief(pattern)}")
    try:
        slow = re.compile(source)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"ol.checks.matches: {brief(source)} is no regular expression: {error}") from error
    fast = _linear(source, full)
    if fast is None:

        def search(text: str) -> Span | bool | None:
            if len(text) > SLOW_LIMIT:
                return None
            found = slow.fullmatch(text) if full else slow.search(text)
            return found.span() if found else False

        return source, search
    placed = not full and not _ANCHOR.search(source)
    return source, lambda text: _where(text, fast) if placed and fast(text) else fast(text)


def _linear(source: str, full: bool) -> Callable[[str], bool] | None:
    """A search in linear time; None where the pattern needs what no such search can do."""
    from pydantic_core import SchemaError, SchemaValidator, core_schema

    whole_text = rf"\A(?:{source})\z" if full else source
    if full and source.startswith("(?") and (flags := re.match(r"\(\?[a-zA-Z]+\)", source)):
        whole_text = rf"{flags[0]}\A(?:{source[flags.end() :]})\z"
    try:
        validator = SchemaValidator(core_schema.str_schema(pattern=whole_text, regex_engine="rust-regex"))
    except SchemaError:
        return None
    return lambda text: validator.isinstance_python(_LONE.sub("\ufffd", text))


def _where(text: str, holds: Callable[[str], bool]) -> Span:
    """The first place that matches, by halving: only for patterns that look at nothing around the place."""
    low, high = 0, len(text)
    while low < high:  # the shortest start that holds a match
        middle = (low + high) // 2
        low, high = (low, middle) if holds(text[:middle]) else (middle + 1, high)
    end, first, last = low, 0, low
    while first < last:  # the latest beginning of it
        middle = (first + last + 1) // 2
        first, last = (middle, last) if holds(text[middle:end]) else (first, middle - 1)
    return first, end


@factory
def one_of(
    field: str,
    values: Iterable[Hashable],
    *,
    each: bool = False,
    on_fail: Policy | str = "raise",
) -> Check:
    """The value is one of these, to the letter. The fix is the one that is the same but for case, space, hyphens,
    quotes and a full stop at the end, where there is just one."""
    named("one_of", field)
    allowed = listed("one_of", "values", values, object)
    near: dict[str, list[str]] = {}
    for value in allowed:
        if isinstance(value, str):
            near.setdefault(_folded(value), []).append(value)

    def look(value: Any) -> CheckResult | None:
        if value is None and None not in allowed:
            return None
        plain = value if not hasattr(value, "kind") else text_of(value, "one_of", field)
        if any(type(plain) is type(one) and plain == one for one in allowed):
            return FINE
        same = near.get(_folded(plain), []) if isinstance(plain, str) and len(plain) < 1000 else []
        texts = [one for one in allowed if isinstance(one, str)]
        hint = f" Did you mean {same[0]!r}?" if len(same) == 1 else did_you_mean(str(plain)[:200], texts)
        told = f"{field!r} is one of {', '.join(map(repr, allowed[:20]))}{', ...' if len(allowed) > 20 else ''}"
        return CheckResult(
            False, f"{told}; got {brief(value)}.{hint}", fix={field: same[0]} if len(same) == 1 else None
        )

    return built("one_of", (field,), look, on_fail=on_fail, each=each, values=allowed)


def _folded(value: str) -> str:
    return re.sub(r"[\s_\-]+", " ", value.strip(" \t\r\n\"'`*.")).strip().casefold()
