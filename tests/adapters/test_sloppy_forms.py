"""Any mix of the habits that models have leaves the values as they were."""

from __future__ import annotations

import json
import random
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.adapters import JSON, Chat, Prepared, Task
from outlast.lms.protocol import Capabilities
from outlast.messages import Response
from outlast.signatures import Signature, input, output


class Triage(Signature):
    """Route it."""

    message: str = input()
    summary: str = output()
    team: Literal["billing", "lost card", "identity"] = output()
    urgency: int = output(ge=1, le=5)
    urgent: bool = output()
    tags: list[str] = output()


WORDS = ["The", "card", "is", "lost.", "It", "was", "charged", "twice!", "(see", "{x}", "3", "<", "4)", "a:", "b", "-"]
SENTENCES = st.lists(st.sampled_from(WORDS), min_size=1)
VALUES = st.fixed_dictionaries(
    {
        "summary": SENTENCES.map(" ".join) | st.lists(SENTENCES.map(" ".join), min_size=2, max_size=3).map("\n\n".join),
        "team": st.sampled_from(["billing", "lost card", "identity"]),
        "urgency": st.integers(1, 5),
        "urgent": st.booleans(),
        "tags": st.lists(st.sampled_from(["a", "it's", "x y", "<b>"]), max_size=3),
    }
)
SPOKEN = {
    "team": [
        str,
        str.upper,
        lambda v: f"**{v}**",
        lambda v: f"`{v}`.",
        lambda v: v.replace(" ", "_"),
        lambda v: f'"{v}"',
    ],
    "urgency": [str, lambda v: f"**{v}**", lambda v: f"{v}.", lambda v: f'"{v}"', lambda v: f"{v}.0"],
    "urgent": [lambda v: str(v).lower(), str, lambda v: "Yes" if v else "No", lambda v: f"**{v}**"],
    "tags": [repr, lambda v: "```json\n" + repr(v) + "\n```", lambda v: repr(v).replace("]", ",]") if v else "[]"],
    "summary": [str],
}
MARKERS = ["<<{}>>", "**<<{}>>**", "<< {} >>", "### <<{}>>", "`<<{}>>`", "**<<{}>>:**", "<<<{}>>>", "- <<{}>>"]


def call(adapter: Chat | JSON) -> Prepared:
    return adapter.compile(Task(Triage, "x"), Capabilities()).prepare({"message": "m"})


@settings(deadline=None, max_examples=150)
@given(VALUES, st.randoms(use_true_random=False))
def test_chat(values: dict[str, Any], chance: random.Random) -> None:
    names = list(values)
    if chance.random() < 0.3:
        chance.shuffle(names)
    marker = chance.choice(MARKERS)
    case = chance.choice([str, str, str.upper, str.capitalize])
    gap = chance.choice(["\n", "\n", " "])
    parts = [f"{marker.format(case(name))}{gap}{chance.choice(SPOKEN[name])(values[name])}" for name in names]
    reply = chance.choice(["\n\n", "\n", "\r\n\r\n"]).join(parts)
    reply += chance.choice(["", f"\n\n{marker.format(case('end'))}", f"\n{marker.format('end')}\n\nHope that helps!"])
    if chance.random() < 0.2:
        reply = f"```\n{reply}\n```"
    reply = chance.choice(["", "Sure, here is my reply.\n\n", "<think>team: identity? no.</think>\n"]) + reply
    assert call(Chat()).read(Response(reply)) == values


@settings(deadline=None, max_examples=150)
@given(VALUES, st.randoms(use_true_random=False))
def test_json(values: dict[str, Any], chance: random.Random) -> None:
    names = list(values)
    if chance.random() < 0.3:
        chance.shuffle(names)
    python = chance.random() < 0.5
    case = chance.choice([str, str, str.upper])
    shown = {"team": chance.choice([str, str.upper]), "urgency": chance.choice([int, str])}
    data = {case(name): shown.get(name, lambda v: v)(values[name]) for name in names}
    reply = repr(data) if python else json.dumps(data, indent=chance.choice([None, 2]))
    if chance.random() < 0.3:
        reply = reply[:-1] + ",}" if python else reply[:-1].rstrip() + ",\n}"
    form = chance.choice(
        ["{}", "```json\n{}\n```", "Here it is:\n```\n{}\n```\nDone.", "I say {} to that.", "<think>{{</think>{}"]
    )
    assert call(JSON()).read(Response(form.format(reply) if form != "{}" else reply)) == values
