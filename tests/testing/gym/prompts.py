"""Prompts as other libraries write them, and outlast's own proposers, for the tests of the gym."""

from dataclasses import dataclass
from typing import Literal

import outlast as ol


@dataclass
class Change:
    op: Literal["add", "delete", "replace"] = "add"
    line: str = ""
    text: str = ""


class Edits(ol.Signature):
    """Improve the instruction."""

    instruction: str = ol.input()
    episodes: str = ol.input()
    diagnosis: str = ol.output()
    edits: list[Change] = ol.output()


class Anew(ol.Signature):
    """Write the instruction anew."""

    instruction: str = ol.input()
    episodes: str = ol.input()
    improved: str = ol.output()


class Rules(ol.Signature):
    """Find rules."""

    examples: str = ol.input()
    rules: list[str] = ol.output()


def dspy_chat(instruction, message, demos=()):
    """A question as DSPy's chat adapter asks it."""
    head = (
        "Your input fields are:\n1. `message` (str):\nYour output fields are:\n1. `team` (str):\n"
        "All interactions will be structured in the following way, with the appropriate values filled in.\n\n"
        "[[ ## message ## ]]\n{message}\n\n[[ ## team ## ]]\n{team}\n\n[[ ## completed ## ]]\n"
        "In adhering to this structure, your objective is: \n        " + instruction.replace("\n", "\n        ")
    )
    turns = [("system", head)]
    for text, team in demos:
        turns.append(("user", f"[[ ## message ## ]]\n{text}"))
        turns.append(("assistant", f"[[ ## team ## ]]\n{team}\n\n[[ ## completed ## ]]\n"))
    tail = (
        "Respond with the corresponding output fields, starting with the field `[[ ## team ## ]]`, and then ending "
        "with the marker for `[[ ## completed ## ]]`."
    )
    return [*turns, ("user", f"[[ ## message ## ]]\n{message}\n\n{tail}")]


def gepa(instruction, episodes):
    """A question as the gepa package asks it."""
    return [
        (
            "user",
            f"I gave an assistant these instructions:\n```\n{instruction}\n```\n\nThese are examples with feedback:\n"
            f"```\n{episodes}\n```\n\nProvide the new instructions within ``` blocks.",
        )
    ]


def failure(message, expected, got):
    """A failure as an episode tells it."""
    return (
        f"Inputs: message = {message}\nIt answered: team = {got}\nExpected: team = {expected}\n"
        f"Feedback: Wrong: expected team {expected!r}, got {got!r}.\nScore: 0"
    )


def failures(world, number, part="train"):
    """Failures of a world of one step, with rules that can be found in them."""
    rows = list(world.parts()[part])[:number]
    return [
        failure(row["message"], row["team"], next(t for t in ("amber", "teal") if t != row["team"])) for row in rows
    ]
