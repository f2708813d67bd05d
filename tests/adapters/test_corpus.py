"""The corpus of replies: how many are read right, and that none is read wrong.

`pytest tests/adapters/test_corpus.py -s` prints the shares. Floors are what was reached when a row was last added,
rounded down; none may be lowered.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.adapters import Plan, Prepared, Task
from outlast.errors import ParseError
from outlast.messages import Response, ToolCall

sys.path.insert(0, str(Path(__file__).parent / "corpus"))
from kinds import KINDS, inputs_of, outcome, rows, text_of, wanted_of

ADAPTERS: dict[str, ol.Adapter] = {"chat": ol.Chat(), "json": ol.JSON(), "xml": ol.XML(), "tools": ol.Tools()}
FLOORS = {"chat": 95, "json": 94, "xml": 92, "tools": 96}
ROWS = list(rows())


def signature_of(name: str) -> Any:
    instruction, inputs, outputs = KINDS[name]
    kind: Any = ol.signature("-> placeholder").with_description(instruction)
    for field, type_ in inputs.items():
        kind = kind.append(field, type_, ol.input())
    for field, type_ in outputs.items():
        kind = kind.append(field, type_, ol.output())
    return kind.delete("placeholder")


@pytest.fixture(scope="module")
def plans() -> dict[tuple[str, str], Plan]:
    return {
        (form, name): adapter.compile(Task(signature_of(name), KINDS[name][0]), ol.Capabilities(tools=form == "tools"))
        for form, adapter in ADAPTERS.items()
        for name in KINDS
    }


def prepared(plans: dict[tuple[str, str], Plan], row: dict[str, Any]) -> Prepared:
    return plans[row["form"], row["signature"]].prepare(inputs_of(row))


def reply_of(row: dict[str, Any], call: Prepared) -> Response:
    if row["form"] != "tools":
        return Response(text_of(row["raw"]), finish=row.get("finish", "stop"))
    text = "".join(text_of(raw) for kind, raw, *_ in row["raw"] if kind == "text")
    made = [(raw, *name) for kind, raw, *name in row["raw"] if kind == "call"]
    calls = tuple(
        ToolCall(f"call_{number}", name[0] if name else call.tools[0].name, text_of(raw))
        for number, (raw, *name) in enumerate(made)
    )
    return Response(text, finish=row.get("finish", "tool_calls" if calls else "stop"), tool_calls=calls)


def read(call: Prepared, reply: Response) -> dict[str, Any] | None:
    try:
        found: Any = call.read(reply)
    except ParseError:
        return None
    return found


def test_the_corpus_is_large_and_every_row_is_another() -> None:
    assert len(ROWS) >= 500
    assert len(
        {str((row["form"], row["signature"], row["raw"], row.get("finish"), row.get("inputs"))) for row in ROWS}
    ) == len(ROWS)
    assert all(count >= 60 for count in Counter(row["form"] for row in ROWS).values())
    assert len({row["class"] for row in ROWS}) >= 25


@pytest.mark.parametrize("form", ADAPTERS)
def test_replies_are_read_right_or_refused_and_never_wrong(
    form: str, plans: dict[tuple[str, str], Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes: Counter[str] = Counter()
    wrong: list[Any] = []
    for row in ROWS:
        if row["form"] == form:
            call = prepared(plans, row)
            found = read(call, reply_of(row, call))
            what = outcome(row, found)
            outcomes[what] += 1
            if what == "wrong":
                wrong.append((row["class"], row["raw"], found))
    share = 100 * outcomes["right"] / outcomes.total()
    with capsys.disabled():
        print(f"\n{form}: {share:.1f}% of {outcomes.total()} right, {outcomes['refused']} refused, {len(wrong)} wrong")
    assert wrong == []
    assert share >= FLOORS[form]


def cuts(row: dict[str, Any], reply: Response) -> Iterator[Response]:
    """A reply cut off at every seventh place."""
    whole = reply.tool_calls[0].arguments if reply.tool_calls else reply.text
    for stop in range(1, len(whole), 7):
        if reply.tool_calls:
            calls = (ToolCall("call_0", reply.tool_calls[0].name, whole[:stop]),)
            yield Response(reply.text, finish="length", tool_calls=calls)
        else:
            yield Response(whole[:stop], finish="length")


def test_no_reply_that_was_cut_off_is_read_wrong(plans: dict[tuple[str, str], Plan]) -> None:
    for row in ROWS:
        if wanted_of(row) is None or row["class"] in ("hostile", "tool calls"):
            continue
        call = prepared(plans, row)
        for cut in cuts(row, reply_of(row, call)):
            found = read(call, cut)
            assert found is None or outcome(row, found) == "right", (row["class"], cut)


@pytest.mark.parametrize(
    "around", ["They wrote:\n{}\n\nI cannot route this.", "> {}\n\nNo answer.", "<think>{}</think>"]
)
def test_an_answer_that_only_the_input_holds_is_never_read(around: str, plans: dict[tuple[str, str], Plan]) -> None:
    """Every readable reply, put into an input and repeated from there, is no answer in any form."""
    for row in ROWS:
        if wanted_of(row) is None or row["class"] == "hostile":
            continue
        own = reply_of(row, prepared(plans, row))
        held = own.text + "".join(call.arguments for call in own.tool_calls)
        if len(KINDS[row["signature"]][2]) == 1:
            continue  # a text that stands alone may be the one value that is asked for
        for form in ADAPTERS:
            name = next(iter(KINDS[row["signature"]][1]))
            call = plans[form, row["signature"]].prepare({name: held})
            found = read(call, Response(around.format(held)))
            assert found is None, (form, row["class"], held, found)
