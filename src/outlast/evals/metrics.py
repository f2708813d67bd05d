"""Ready-made metrics: each is a plain function `(example, prediction) -> Score`, made for the fields you
name."""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from outlast.data.example import Example, targets_of
from outlast.data.jsonform import json_form
from outlast.errors import DataError, MetricError, UsageError, brief, did_you_mean
from outlast.evals.score import Score
from outlast.modules.normal import plain_text
from outlast.tracing.identity import IDENTITY
from outlast.types import Code, Document

Metric = Callable[[Example, Any], Score]
TARGETS = "__outlast_targets__"  # names of targets that a ready-made metric reads, checked before the first call


def exact_match(*fields: str, strict: bool = False) -> Metric:
    """1 when every named field (all targets when none is named) equals its target, else 0; a part for each
    field.

    Text is compared in Unicode NFC without regard to case, to full or half width, and to outer and repeated white
    space; "10²" is not "102". A number or a truth value equals the text that
    spells it; lists and objects compare inside by the same rules.
    `strict=True` compares the JSON forms exactly.
    """
    same = _same_form if strict else _alike

    def exact_match(example: Example, prediction: Any) -> Score:
        parts: dict[str, float] = {}
        wrong: list[str] = []
        for name in fields or targets_of(example):
            target = _target(example, name)
            value = _field(prediction, name, alone=len(fields or targets_of(example)) == 1)
            parts[name] = float(same(target, value))
            if not parts[name]:
                wrong.append(f"{name}: expected {brief(json_form(target, lenient=True))}, got {brief(value)}")
        if not parts:
            raise DataError("exact_match: the example has no targets to compare with")
        return Score(0.0 if wrong else 1.0, "; ".join(wrong), parts if len(parts) > 1 else {})

    return _named(exact_match, fields, fields, strict=strict)


def token_f1(field: str, target: str | None = None) -> Metric:
    """The F1 of the words shared by the field and its target (the best one when the target is a list).

    Words are compared in lower case without punctuation and English articles, as in Rajpurkar et al. 2016
    (SQuAD), section 6.1; text without spaces between words (Chinese, Japanese) is compared by character.
    """
    reads = target or field

    def token_f1(example: Example, prediction: Any) -> Score:
        words = _words(_field(prediction, field, alone=True))
        accepted = _accepted(_target(example, reads))
        value = max(_f1(words, _words(answer)) for answer in accepted)
        return Score(value, "" if value == 1 else f"{field}: expected {brief(accepted[0])}, got {' '.join(words)!r}")

    return _named(token_f1, (field, reads), (reads,))


def answer_in(field: str, targets: str | None = None, *, within: bool = False) -> Metric:
    """1 when the field is one of the accepted answers in the example's `targets` (the field's own name when
    None).

    Compared as `exact_match` does. With `within=True` it is enough that an accepted answer occurs in the
    text, as whole words.
    """
    reads = targets or field

    def answer_in(example: Example, prediction: Any) -> Score:
        value = _field(prediction, field, alone=True)
        accepted = _accepted(_target(example, reads))
        if within:
            words = _words(value, articles=True)
            found = any(_occurs(_words(answer, articles=True), words) for answer in accepted)
        else:
            found = any(_alike(answer, value) for answer in accepted)
        return Score(float(found), "" if found else f"{field}: expected one of {brief(accepted)}, got {brief(value)}")

    return _named(answer_in, (field, reads), (reads,), within=within)


def numeric(field: str, target: str | None = None, *, tol: float = 0.0, relative: float = 0.0) -> Metric:
    """1 when the number in the field is within `tol`, or within `relative` times the target, of the target's
    number.

    Text counts by its last number, "$1,234.50" as 1234.5 and "12%" as 12; text without a number scores 0.
    """
    for name, value in (("tol", tol), ("relative", relative)):
        if not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise UsageError(f"numeric: {name} is a number of at least 0; got {value!r}")
    reads = target or field

    def numeric(example: Example, prediction: Any) -> Score:
        value, expected = _field(prediction, field, alone=True), _number(_target(example, reads))
        if expected is None:
            raise DataError(f"numeric: the target {reads!r} holds no number: {brief(_target(example, reads))}")
        number = _number(value)
        if number is None:
            return Score(0.0, f"{field}: no number in {brief(value)}; expected {expected:.12g}")
        right = abs(number - expected) <= max(Decimal(repr(tol)), Decimal(repr(relative)) * abs(expected))
        return Score(float(right), "" if right else f"{field}: expected {expected:.12g}, got {number:.12g}")

    return _named(numeric, (field, reads), (reads,), tol=tol, relative=relative)


def json_equal(field: str, target: str | None = None, *, ordered: bool = True) -> Metric:
    """1 when the field and its target are equal as JSON; text that is JSON is parsed first.

    The order of keys never counts; with `ordered=False` that of arrays does not either. The feedback names
    the first place that differs.
    """
    reads = target or field

    def json_equal(example: Example, prediction: Any) -> Score:
        try:
            value = _parsed(_field(prediction, field, alone=True))
        except ValueError as error:
            return Score(0.0, f"{field}: not JSON ({error})")
        difference = _difference(_parsed(_target(example, reads)), value, ordered, "$")
        return Score(0.0 if difference else 1.0, f"{field}: {difference}" if difference else "")

    return _named(json_equal, (field, reads), (reads,), ordered=ordered)


def _named(metric: Metric, fields: Sequence[str], targets: Sequence[str], **options: Any) -> Metric:
    """Give a made metric a name that tells what it was made for, and an identity to go with it."""
    for name in fields:
        if not isinstance(name, str):
            raise UsageError(f"{metric.__name__}: fields are named as text; got {brief(name)}")
    chosen = [f"{name}={value!r}" for name, value in options.items() if value]
    shown = ", ".join([*map(repr, dict.fromkeys(fields)), *chosen])
    metric.__name__ = metric.__qualname__ = f"{metric.__name__}({shown})"
    setattr(metric, IDENTITY, f"outlast.{metric.__name__} v2")
    setattr(metric, TARGETS, tuple(targets))
    return metric


def _target(example: Example, name: str) -> Any:
    targets = targets_of(example)
    if name not in targets:
        listed = ", ".join(targets) or "none"
        raise DataError(f"the example has no target {name!r}.{did_you_mean(name, targets)} Targets: {listed}.")
    return targets[name]


_PLAIN_VALUES = (str, int, float, list, tuple, type(None))


def _field(prediction: Any, name: str, *, alone: bool) -> Any:
    """A field of what the program returned: an item, an attribute, or, for the only field, a plain value
    itself."""
    if isinstance(cast("object", prediction), Mapping):
        names = cast("Mapping[str, Any]", prediction)
        if name in names:
            return names[name]
        raise MetricError(_no_field(name, names))
    if alone and isinstance(cast("object", prediction), _PLAIN_VALUES) and not hasattr(prediction, "_fields"):
        return prediction  # before getattr: text has methods called `title` and `index`
    try:
        return getattr(prediction, name)
    except AttributeError:
        raise MetricError(_no_field(name, getattr(prediction, "__dict__", {}))) from None


def _no_field(name: str, names: Mapping[str, Any]) -> str:
    return f"the prediction has no field {name!r}.{did_you_mean(name, names)} Fields: {', '.join(names) or 'none'}."


def _accepted(target: Any) -> list[Any]:
    form = json_form(target.text if isinstance(target, (Code, Document)) else target)
    accepted = cast("list[Any]", form) if isinstance(form, list) else [form]
    if not accepted:
        raise DataError("the list of accepted answers is empty")
    return accepted


def _comparable(a: Any, b: Any) -> tuple[Any, Any]:
    """Code and documents beside text are compared by their text: rows of data hold them so."""
    if isinstance(b, str) and isinstance(a, (Code, Document)):
        return a.text, b
    return (a, b.text) if isinstance(a, str) and isinstance(b, (Code, Document)) else (a, b)


def _same_form(a: Any, b: Any) -> bool:
    a, b = _comparable(a, b)
    a, b = json_form(a, lenient=True), json_form(b, lenient=True)
    return _difference(a, b, True, "$") == ""


def _alike(a: Any, b: Any) -> bool:
    a, b = _comparable(a, b)
    return _alike_forms(json_form(a, lenient=True), json_form(b, lenient=True))


def _alike_forms(a: Any, b: Any) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_alike_forms(a[key], b[key]) for key in cast("dict[str, Any]", a))
    if isinstance(a, list) and isinstance(b, list):
        xs, ys = cast("list[Any]", a), cast("list[Any]", b)
        return len(xs) == len(ys) and all(map(_alike_forms, xs, ys))
    if isinstance(a, str) and isinstance(b, str):
        return plain_text(a) == plain_text(b)
    if isinstance(a, str):
        return _spelled(a, b)
    if isinstance(b, str):
        return _spelled(b, a)
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


def _spelled(text: str, value: Any) -> bool:
    """Whether text spells a number or a truth value."""
    if isinstance(value, bool):
        return plain_text(text) == str(value).lower()
    if isinstance(value, int | float):
        try:
            return Decimal(plain_text(text).replace(",", "")) == Decimal(repr(value))
        except InvalidOperation:
            return False
    return False


_ARTICLES = frozenset({"a", "an", "the"})
_STRIPPED = str.maketrans("", "", string.punctuation)
_CJK = re.compile(r"([\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])")


def _words(value: Any, *, articles: bool = False) -> list[str]:
    if isinstance(value, (Code, Document)):
        value = value.text
    text = value if isinstance(value, str) else "" if value is None else json.dumps(json_form(value, lenient=True))
    words = _CJK.sub(r" \1 ", plain_text(text)).translate(_STRIPPED).split()
    return words if articles else [word for word in words if word not in _ARTICLES]


def _f1(words: list[str], expected: list[str]) -> float:
    shared = sum((Counter(words) & Counter(expected)).values())
    if not words or not expected:
        return float(words == expected)
    return 2 * shared / (len(words) + len(expected))


def _occurs(part: list[str], whole: list[str]) -> bool:
    size = len(part)
    return bool(part) and any(whole[at : at + size] == part for at in range(len(whole) - size + 1))


_NUMBER = re.compile(r"(?:(?<![\w)])[-+\u2212])?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,3})?")


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float | Decimal):
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        return number if number.is_finite() else None
    found = _NUMBER.findall(str(value)[-10_000:])
    return Decimal(found[-1].replace(",", "").replace("\u2212", "-")) if found else None


def _parsed(value: Any) -> Any:
    """The JSON form; text is parsed when it is JSON of a compound, else it stands for itself."""
    if isinstance(value, (Code, Document)):
        value = value.text
    if isinstance(value, str):
        text = value.strip()
        if text[:1] not in ("{", "["):
            return value
        try:
            return json.loads(text)
        except RecursionError:
            raise ValueError("nested too deeply") from None
    return json_form(value, lenient=True)


def _difference(a: Any, b: Any, ordered: bool, path: str) -> str:
    """Where two JSON values first differ, in words; "" when they are equal."""
    if isinstance(a, dict) and isinstance(b, dict):
        x, y = cast("dict[str, Any]", a), cast("dict[str, Any]", b)
        for key in (*x, *y):
            if key not in x or key not in y:
                return f"{path}.{key} is {'missing' if key in x else 'not expected'}"
        return next(filter(None, (_difference(x[key], y[key], ordered, f"{path}.{key}") for key in x)), "")
    if isinstance(a, list) and isinstance(b, list):
        xs, ys = cast("list[Any]", a), cast("list[Any]", b)
        if len(xs) != len(ys):
            return f"{path}: expected {len(xs)} items, got {len(ys)}"
        if not ordered:
            return _unordered(xs, ys, path)
        pairs = enumerate(zip(xs, ys, strict=True))
        return next(filter(None, (_difference(x, y, ordered, f"{path}[{i}]") for i, (x, y) in pairs)), "")
    same = a == b and isinstance(a, bool) == isinstance(b, bool)
    return "" if same else f"{path}: expected {brief(a)}, got {brief(b)}"


def _unordered(expected: list[Any], given: list[Any], path: str) -> str:
    left = list(given)
    for item in expected:
        match = next((at for at, other in enumerate(left) if not _difference(item, other, False, path)), None)
        if match is None:
            return f"{path}: no item {brief(item)}"
        left.pop(match)
    return ""
