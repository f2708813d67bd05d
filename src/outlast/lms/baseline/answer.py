"""Finds the values that the baseline answers with, by the kind of value that is asked for.

Evidence comes first from the demonstrations and from what the prompt says (`baseline_evidence`), then from
the input (its best-matching sentence, its first number or date that fits); at last comes the smallest value.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, cast

from outlast.lms.baseline.evidence import (
    GUIDE,
    NEAR,
    Question,
    Slot,
    Vote,
    described,
    heaviest,
    key_of,
    tally,
    votes_for,
)
from outlast.lms.baseline.prompt import Asked
from outlast.lms.baseline.schema import (
    Schema,
    branches,
    choices_of,
    count,
    fit_number,
    fit_text,
    limits,
    listed,
    minimal,
    part,
    resolve,
)
from outlast.lms.baseline.text import best_sentence
from outlast.lms.baseline.types import stated_range

_ALIKE = 0.5  # demonstrations at least so similar are taken to ask the same
_DEPTH = 8  # levels of a nested value that are filled from evidence
_SEARCHED = 100_000  # characters of the input in which a number or date is looked for

_THINKING = frozenset({"reasoning", "rationale", "thinking", "thought", "thoughts", "explanation"})
_QUESTIONS = frozenset({"question", "query", "ask", "request", "instruction", "task"})
_NUMBER = re.compile(  # not inside a word, a date, a time or a version
    r"(?<![\w.:/])(?<!\d-)-?(?:\d{1,3}(?:,\d{3})+|\d{1,15})(?:\.\d{1,15})?(?!\w|[.:/-]\d)"
)
_DATED = {
    "date": re.compile(r"\b\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d)\b"),
    "date-time": re.compile(r"\b\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d)[T ][0-2]\d:[0-5]\d(?::[0-5]\d)?Z?"),
    "time": re.compile(r"\b[0-2]\d:[0-5]\d(?::[0-5]\d)?\b"),
}


def answer(question: Question, asked: Asked) -> Any:
    """The value of one output. Its type follows the schema as far as the schema can be followed."""
    slot = Slot(asked.name, asked.root, asked.desc)
    return _value(asked.schema, slot, votes_for(question, asked), question)


def _value(schema: Schema, slot: Slot, votes: Sequence[Vote], question: Question) -> Any:
    schema = resolve(schema, slot.root)
    if slot.depth > _DEPTH:
        return minimal(schema, slot.root)
    choices = choices_of(schema, slot.root)
    if choices is not None:
        return _choice(choices, schema, slot, votes, question)
    options = branches(schema, slot.root)
    if len(options) > 1:
        return _union(options, slot, votes, question)
    schema = options[0]
    match schema.get("type"):
        case "boolean":
            return heaviest(_of(bool, votes), False)
        case "integer" | "number":
            return _number(schema, slot, votes, question)
        case "string":
            return _text(schema, slot, votes, question)
        case "array":
            return _array(schema, slot, votes, question)
        case "object":
            return _object(schema, slot, votes, question)
        case _ if "properties" in schema:
            return _object(schema, slot, votes, question)
        case _:
            return heaviest(votes, None) if votes else best_sentence(slot.desc, question.text)[0]


def _of(kind: type, votes: Sequence[Vote]) -> list[Vote]:
    return [vote for vote in votes if isinstance(vote.value, kind)]


def _choice(choices: Sequence[Any], schema: Schema, slot: Slot, votes: Sequence[Vote], question: Question) -> Any:
    """The best scored choice; among the numbers of a stated range, which have an order, the weighted median."""
    total = tally(votes)
    likeness = described(choices, schema, slot, question)
    ordered = schema.get("type") == "integer" and "enum" not in schema
    if not votes and max(likeness) < NEAR and (ordered or None in choices):
        return _number(schema, slot, votes, question) if ordered else None
    # a number's name says nothing: a word in common with the only one that is described must not decide
    floor = NEAR if ordered else 0.0
    scores = [
        total.get(key_of(choice), 0.0) + GUIDE * max(like - floor, 0.0)
        for choice, like in zip(choices, likeness, strict=True)
    ]
    if ordered:
        half = sum(scores) / 2
        return choices[bisect_left(list(accumulate(scores)), half, hi=len(choices) - 1)]
    return choices[max(range(len(choices)), key=lambda number: scores[number])]


def _union(options: Sequence[Schema], slot: Slot, votes: Sequence[Vote], question: Question) -> Any:
    """The alternative that most demonstrations took; without any the first that is not null."""
    weights = [sum(vote.weight for vote in votes if _is(vote.value, option)) for option in options]
    if not any(weights):
        solid = [option for option in options if option.get("type") != "null"]
        null = len(solid) < len(options)
        if null and (not solid or not question.text.strip()):
            return None
        return _value(solid[0], slot.within(), (), question)
    chosen = options[max(range(len(options)), key=lambda number: weights[number])]
    if chosen.get("type") == "null":
        return None
    return _value(chosen, slot.within(), [vote for vote in votes if _is(vote.value, chosen)], question)


_KINDS: dict[str, type | tuple[type, ...]] = {
    "null": type(None),
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "string": str,
    "array": list,
    "object": dict,
}


def _is(value: Any, schema: Schema) -> bool:
    kind = "object" if "properties" in schema else schema.get("type")
    if "enum" in schema or "const" in schema:
        return key_of(value) in [key_of(choice) for choice in listed(schema, "enum") or [schema.get("const")]]
    if isinstance(value, bool) and kind != "boolean":
        return False
    return kind is None or isinstance(value, _KINDS.get(str(kind), object))


def _number(schema: Schema, slot: Slot, votes: Sequence[Vote], question: Question) -> Any:
    """What several votes agree on with over half of the weight, else their weighted mean; else from the input."""
    low, high = limits(schema)
    if low is None and high is None and (stated := stated_range(slot.desc)):
        low, high = stated
        schema = {**schema, "minimum": low, "maximum": high}
    numeric = [vote for vote in votes if _is_finite(vote.value)]
    if numeric and numeric[0].similarity >= NEAR:
        whole = sum(vote.weight for vote in numeric)
        top = key_of(heaviest(numeric, 0))
        same = [vote for vote in numeric if key_of(vote.value) == top]
        if len(same) > 1 and sum(vote.weight for vote in same) * 2 > whole:
            return fit_number(same[0].value, schema)
        return fit_number(sum(vote.weight * vote.value for vote in numeric) / whole, schema)
    for match in _NUMBER.finditer(question.text[:_SEARCHED]):
        value = float(match[0].replace(",", ""))
        if fit_number(value, schema) == value:
            return fit_number(value, schema)
    if numeric:
        return fit_number(sum(vote.value for vote in numeric) / len(numeric), schema)
    if low is not None and high is not None:
        return fit_number((low + high) / 2, schema)
    return fit_number(0, schema)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e300 < value < 1e300


def _text(schema: Schema, slot: Slot, votes: Sequence[Vote], question: Question) -> str:
    kind = str(schema.get("format") or "")
    texts = _of(str, votes)
    if kind in _DATED:
        match = _DATED[kind].search(question.text[:_SEARCHED])
        return match[0] if match else heaviest(texts, minimal(schema, slot.root))
    if slot.name in _THINKING and slot.depth == 0:
        return fit_text(_account(question), schema)
    if kind:
        return heaviest(texts, minimal(schema, slot.root))
    repeated = len({key_of(vote.value) for vote in texts}) < len(texts)
    if texts and (repeated or texts[0].similarity >= _ALIKE):
        return fit_text(heaviest(texts, ""), schema)
    return fit_text(_extract(slot, question), schema)


def _extract(slot: Slot, question: Question) -> str:
    """The sentence that fits best: to the question among several inputs, to the task with a single one."""
    inputs = {name: value for name, value in question.inputs.items() if value.strip()}
    if not inputs:
        return ""
    named = [name for name in inputs if name in _QUESTIONS]
    asking = named[0] if named else min(inputs, key=lambda name: len(inputs[name]))
    if len(inputs) > 1:
        passage = "\n".join(value for name, value in inputs.items() if name != asking)
        return best_sentence(inputs[asking], passage)[0]
    wanted = f"{slot.name.replace('_', ' ')} {slot.desc} {question.prefix.spec.instruction}"
    return best_sentence(wanted, inputs[asking])[0]


def _account(question: Question) -> str:
    """What the answer rests on, in one honest sentence."""
    count = len(question.nearest)
    if not count or question.nearest[0][0] < NEAR:
        return f"None of {count} demonstrations resembles the input; the words of the task decide."
    similarity, demo = question.nearest[0]
    said = " ".join(" / ".join(demo.inputs.values()).split())
    said = said if len(said) <= 80 else f"{said[:79]}…"
    return f'The nearest of {count} demonstrations is "{said}" (similarity {similarity:.2f}).'


def _array(schema: Schema, slot: Slot, votes: Sequence[Vote], question: Question) -> list[Any]:
    lists = _of(list, votes)
    fixed = [cast("Schema", kind) for kind in listed(schema, "prefixItems") if isinstance(kind, Mapping)]
    if fixed:
        return [_value(kind, slot.within(), _items(lists, at), question) for at, kind in enumerate(fixed)]
    kind = resolve(part(schema, "items"), slot.root)
    choices = choices_of(kind, slot.root)
    ranked = _ranked_choices(choices, kind, slot, lists, question) if choices else _ranked_items(lists)
    least, most = count(schema, "minItems") or 0, count(schema, "maxItems")
    kept = [value for value, share in ranked if share >= 0.5]
    kept += [value for value, share in ranked if share < 0.5][: max(least - len(kept), 0)]
    while len(kept) < min(least, 1000):
        kept.append(_value(kind, slot.within(), (), question))
    return kept[:most]


def _items(lists: Sequence[Vote], at: int) -> list[Vote]:
    return [Vote(vote.weight, vote.value[at], vote.similarity) for vote in lists if len(vote.value) > at]


def _ranked_items(lists: Sequence[Vote]) -> list[tuple[Any, float]]:
    """Every item of the lists with the share of the weight that has it, in the order of the nearest list."""
    whole = sum(vote.weight for vote in lists)
    share: dict[str, float] = {}
    first: dict[str, Any] = {}
    for vote in lists:
        for key, item in {key_of(item): item for item in vote.value}.items():
            share[key] = share.get(key, 0.0) + vote.weight / whole
            first.setdefault(key, item)
    return [(first[key], part) for key, part in share.items()]


def _ranked_choices(
    choices: Sequence[Any], kind: Schema, slot: Slot, lists: Sequence[Vote], question: Question
) -> list[tuple[Any, float]]:
    """Every allowed item with its share; what the prompt says counts as one more list."""
    likeness = described(choices, kind, slot, question)
    best = max(likeness)
    voice = GUIDE * best if best >= NEAR else 0.0
    whole = sum(vote.weight for vote in lists) + voice
    if not whole:
        return [(choice, 0.0) for choice in choices]
    held = [{key_of(item) for item in vote.value} for vote in lists]
    ranked: list[tuple[Any, float]] = []
    for choice, like in zip(choices, likeness, strict=True):
        key = key_of(choice)
        weight = sum(vote.weight for vote, keys in zip(lists, held, strict=True) if key in keys)
        ranked.append((choice, (weight + (voice * like / best if voice else 0.0)) / whole))
    return sorted(ranked, key=lambda pair: -pair[1])


def _object(schema: Schema, slot: Slot, votes: Sequence[Vote], question: Question) -> dict[str, Any]:
    """Each required property by the same rules, and each other one that most of the weight has."""
    objects = _of(dict, votes)
    properties = part(schema, "properties")
    if not properties:
        return heaviest(objects, minimal(schema, slot.root))
    required = listed(schema, "required")
    whole = sum(vote.weight for vote in objects)
    filled: dict[str, Any] = {}
    for name in properties:
        having = [Vote(v.weight, v.value[name], v.similarity) for v in objects if name in v.value]
        if name in required or (having and sum(vote.weight for vote in having) * 2 >= whole):
            inner = part(properties, name)
            filled[name] = _value(inner, slot.within(name, str(inner.get("description") or "")), having, question)
    return filled
