"""Defect 21: huge and hostile replies are read or refused quickly, never crash and never hang."""

from __future__ import annotations

import json
import time
from typing import Any, Literal

import pytest

from outlast.adapters import JSON, XML, Adapter, Chat, Prepared, Task, Tools
from outlast.errors import ParseError
from outlast.lms.protocol import Capabilities
from outlast.messages import Response, ToolCall
from outlast.signatures import Signature, input, output, signature


class Triage(Signature):
    message: str = input()
    why: str = output()
    team: Literal["billing", "cards"] = output()
    items: list[int] = output()


MILLION = 1_000_000


def repeated(unit: str) -> str:
    return unit * (MILLION // len(unit))


HOSTILE = {
    **{
        unit: repeated(unit)
        for unit in (
            *(
                "x",
                " ",
                "\n",
                '"',
                "<",
                ">",
                "<<",
                "<<why",
                "<<why>>",
                "<<why>>\n",
                "\n<<team>> x",
                "<<end>>",
                "<<end>>\n",
            ),
            *("<<why#", "<< ", "<<a# ", "<<x>>\n", "</why>", "<</why>>", "<<why>> * ", "*" * 50 + "<<why>>", "\n> - "),
            *(
                "{",
                '{"',
                '{"why":',
                "{'why':",
                '{"why":"',
                "{why:",
                "[",
                "]",
                "}",
                '{"why":1}',
                '{"team":"cards"}\n',
                "{}",
            ),
            *(
                "```",
                "```\n",
                "<why",
                "<why>",
                "<why/>",
                "<team>x</team>\n",
                "</",
                "<!--",
                "<![CDATA[",
                "&lt;",
                "**Why:** ",
                "Team: x\n",
                "- x\n",
                "```json\n",
                "a```\n",
                "<think>",
                "</think>",
                "\\",
                "\\u",
                "9",
                "-",
                "\x00",
                "\ud800",
                "\r",
            ),
            "Reply with <<why>>, <<team>>, <<items>>, then <<end>>.",
        )
    },
    "a marker with a million letters": "<<" + repeated("a") + ">>",
    "a marker with a million spaces": "<<why#" + repeated(" ") + ">>",
    "a nonce with a million letters": "<<why#" + repeated("a") + " x",
    "a line of decoration": repeated("*") + "<<why>>",
    "decoration after a marker": "<<why>>" + repeated("*") + "x",
    "a huge value": "<<why>>\n" + repeated("word ") + "\n<<team>>\ncards\n<<items>>\n[]\n<<end>>",
    "a huge value in tags": "<why>" + repeated("word ") + "</why><team>cards</team><items>[]</items>",
    "a tag with a million letters": "<why " + repeated("a") + ">",
    "a tag with a million spaces": "<" + repeated(" ") + "why>",
    "a CDATA section that is never closed": "<why><![CDATA[" + repeated("]]") + "</why>",
    "escapes again and again": "<why>" + repeated("&amp;") + "</why><team>cards</team><items>[]</items>",
    "elements again and again": "<items>" + repeated("<item>1</item>") + "</items>",
    "labels again and again": "**Team:** cards\n" + repeated("**Items:** 1\n"),
    "a huge label line": "**Why:** " + repeated("x ") + "\n**Team:** cards\n**Items:** []",
    "a huge list": "<<why>>\nx\n<<team>>\ncards\n<<items>>\n[" + repeated("1,") + "\n<<end>>",
    "a list of wrong things": "<<why>>\nx\n<<team>>\ncards\n<<items>>\n[" + '"a",' * 20_000 + '"b"]\n<<end>>',
    "a huge label": "<<why>>\nx\n<<team>>\n" + repeated("cards ") + "\n<<items>>\n[]\n<<end>>",
    "deep json": '{"why": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "a huge integer": '{"why": "x", "team": "cards", "items": [' + "9" * 100_000 + "]}",
    "never closed": '{"why": "' + repeated("a"),
    "nothing but keys": "{" + ",".join(f'"k{n}": 1' for n in range(50_000)) + "}",
    "many objects": "\n".join(json.dumps({"why": str(n)}) for n in range(30_000)),
    "a fence never closed": "```json\n" + repeated("x\n"),
    "broken at the end": '{"why": ' + "1," * 20_000,
}


def outcome(call: Prepared, reply: Response) -> ParseError | None:
    """What reading gives, quickly."""
    found: ParseError | None = None
    started = time.process_time()
    try:
        call.read(reply)
    except ParseError as error:
        found = error
    assert time.process_time() - started < 1.5  # a second for a megabyte, on a busy machine
    assert found is None or (len(str(found)) < 5_000 and len(found.for_model) < 5_000)
    return found


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("adapter", [Chat(), JSON(), XML(), Tools()], ids=["chat", "json", "xml", "tools"])
def test_defect_21_a_hostile_reply_is_handled_quickly(adapter: Adapter, name: str) -> None:
    inputs: dict[str, Any] = {"message": "x {"}
    call = adapter.compile(Task(Triage, "x"), Capabilities(tools=True)).prepare(inputs)
    error = outcome(call, Response(HOSTILE[name]))
    read = name == "a huge value in tags" or (name == "a huge value" and isinstance(adapter, Chat))
    assert (error is None) == read


@pytest.mark.parametrize("name", HOSTILE)
def test_defect_21_hostile_arguments_of_a_call_are_handled_quickly(name: str) -> None:
    call = Tools().compile(Task(Triage, "x"), Capabilities(tools=True)).prepare({"message": "x"})
    calls = (ToolCall("1", "Triage", HOSTILE[name]),)
    assert outcome(call, Response("", tool_calls=calls, finish="tool_calls")) is not None
    assert outcome(call, Response("", tool_calls=calls * 1_000, finish="tool_calls")) is not None


@pytest.mark.parametrize("name", ["x", '"', "[", "<<end>>", "9", "\ud800", "{'why':", "a fence never closed"])
def test_a_hostile_bare_answer_is_handled_quickly(name: str) -> None:
    for kind in ("str", "int", "list[int]", "Optional[str]"):
        call = Chat().compile(Task(signature(f"q -> a: {kind}"), "x"), Capabilities()).prepare({"q": "x"})
        outcome(call, Response(HOSTILE[name]))


def test_a_hostile_input_is_rendered_quickly_and_reads_back() -> None:
    kind = signature("q -> a")
    for name in (
        "<<why>>\n",
        "<<why#",
        "{",
        "\ud800",
        '"',
        "a marker with a million spaces",
        "<why",
        "&lt;",
        "Team: x\n",
    ):
        for adapter in (Chat(), JSON(), XML(), Tools()):
            started = time.process_time()
            call = adapter.compile(Task(kind, "x"), Capabilities(tools=True)).prepare({"q": HOSTILE[name]})
            assert call.messages[-1].text
            with pytest.raises(ParseError):
                call.read(Response(call.messages[-1].text))
            assert time.process_time() - started < 0.7
