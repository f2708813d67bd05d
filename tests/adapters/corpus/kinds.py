"""The corpus of replies: its rows, and the fields that they were asked for. Imports nothing of outlast."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

REPLIES = Path(__file__).with_name("replies.jsonl")


class Item(pydantic.BaseModel):
    name: str
    qty: int
    price: float


class Person(pydantic.BaseModel):
    name: str
    age: int | None
    emails: list[str]


Fields = dict[str, Any]
KINDS: dict[str, tuple[str, Fields, Fields]] = {
    "triage": (
        "Route the message to the team that can resolve it.",
        {"message": str},
        {
            "reasoning": str,
            "team": Literal["billing", "cards", "lost_card"],
            "urgency": Annotated[int, pydantic.Field(ge=1, le=5)],
        },
    ),
    "note": ("Write a note.", {"topic": str}, {"title": str, "text": str}),
    "invoice": (
        "Read the invoice.",
        {"document": str},
        {"vendor": str, "total": float, "due": date, "paid": bool, "items": list[Item]},
    ),
    "answer": ("Answer the question.", {"question": str}, {"answer": str}),
    "label": ("Is the text about money?", {"text": str}, {"label": Literal["yes", "no"]}),
    "tags": ("Tag the text.", {"text": str}, {"tags": list[str]}),
    "code": ("Write code.", {"task": str}, {"code": str, "explanation": str}),
    "person": ("Find the person.", {"text": str}, {"person": Person}),
}


def rows() -> Iterator[dict[str, Any]]:
    """All replies with what is wanted of them."""
    with REPLIES.open(encoding="ascii") as lines:
        for line in lines:
            yield json.loads(line)


def inputs_of(row: dict[str, Any]) -> dict[str, str]:
    """The inputs of the call that a reply answers."""
    _, inputs, _ = KINDS[row["signature"]]
    return row.get("inputs") or dict.fromkeys(inputs, "I lost it")


def text_of(raw: Any) -> str:
    """A text, or one that is given in pieces, each with how often it stands there."""
    return raw if isinstance(raw, str) else "".join(piece * times for piece, times in raw["pieces"])


def wanted_of(row: dict[str, Any]) -> dict[str, Any] | None:
    """The values that a reply says, JSON-ready; None when the only right thing is an error."""
    if row["want"] == "error":
        return None
    found = dict(row["want"])
    for name, (piece, times) in found.pop("pieces", {}).items():
        found[name] = piece * times
    return found


def outcome(row: dict[str, Any], found: dict[str, Any] | None) -> str:
    """ "right", "refused" or "wrong" for what a parser gave (None for an error)."""
    wanted = wanted_of(row)
    if found is None:
        return "right" if wanted is None else "refused"
    kinds = KINDS[row["signature"]][2]
    plain = {
        name: pydantic.TypeAdapter(kinds[name]).dump_python(found[name], mode="json", warnings=False)
        for name in kinds
        if name in found
    }
    return "right" if plain == wanted else "wrong"
