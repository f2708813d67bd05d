"""How much of what models write is read: right, refused, or wrong without a word; and what reading costs.

    python benchmarks/parsing.py [--peer /path/to/python-with-dspy] [--json] [--show]

Both sides read the corpus of tests/adapters/corpus (its README says how it was made and what it does not say), in
processes of their own. The peer gets the replies to its own prompts: our markers become its markers
(`<<team>>` is `[[ ## team ## ]]`, `<<end>>` its end marker), everything else is the same text. It reads `chat` rows
with ChatAdapter and, when that fails, the same text with JSONAdapter, which in its real flow costs a second call, and
`json` rows with JSONAdapter. Its parsers do not get the finish reason, so a second line leaves out the rows that were
cut off or filtered. A reply that takes more than 10 seconds counts as refused.
Bars: at least 15 points above the peer on the rows of both, none wrong.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "adapters" / "corpus"))

from kinds import KINDS, inputs_of, outcome, rows, text_of  # noqa: E402

LIMIT = 10  # seconds for one reply
REPEATS = 5  # of which the fastest counts
BOTH = ("chat", "json")  # the forms that both sides have adapters for in the bar
Read = Callable[[dict[str, Any]], Callable[[], "dict[str, Any] | None"]]


class TooSlow(Exception):
    """A reply took longer than the limit."""


def measure(read: Read, forms: tuple[str, ...]) -> list[dict[str, Any]]:
    """What became of each row, and the microseconds that it took."""
    signal.signal(signal.SIGALRM, alarm)
    found: list[dict[str, Any]] = []
    for number, row in enumerate(rows()):
        if row["form"] not in forms:
            continue
        parse = read(row)
        best, values = float("inf"), None
        for _ in range(REPEATS):
            signal.alarm(LIMIT)
            begin = time.perf_counter()
            try:
                values = parse()
            except TooSlow:
                best = min(best, LIMIT)
                values = None
                break
            finally:
                signal.alarm(0)
            best = min(best, time.perf_counter() - begin)
            if best > 0.1:
                break
        what = "refused" if best >= LIMIT else outcome(row, values)
        found.append({"row": number, "class": row["class"], "form": row["form"], "what": what, "us": best * 1e6,
                      "stopped": row.get("finish", "stop") == "stop"})  # fmt: skip
    return found


def alarm(*_: object) -> None:
    raise TooSlow


def ours() -> list[dict[str, Any]]:
    import outlast as ol
    from outlast.adapters import Task
    from outlast.errors import ParseError
    from outlast.messages import Response, ToolCall

    adapters: dict[str, ol.Adapter] = {"chat": ol.Chat(), "json": ol.JSON(), "xml": ol.XML(), "tools": ol.Tools()}
    plans: dict[tuple[str, str], Any] = {}
    for name, (instruction, inputs, outputs) in KINDS.items():
        kind: Any = ol.signature("-> placeholder").with_description(instruction)
        for spec, fields in ((ol.input, inputs), (ol.output, outputs)):
            for field, type_ in fields.items():
                kind = kind.append(field, type_, spec())
        task = Task(kind.delete("placeholder"), instruction)
        for form, adapter in adapters.items():
            plans[form, name] = adapter.compile(task, ol.Capabilities(tools=form == "tools"))

    def read(row: dict[str, Any]) -> Callable[[], dict[str, Any] | None]:
        call = plans[row["form"], row["signature"]].prepare(inputs_of(row))
        if row["form"] == "tools":
            text = "".join(text_of(raw) for kind, raw, *_ in row["raw"] if kind == "text")
            made = [(text_of(raw), name) for kind, raw, *name in row["raw"] if kind == "call"]
            calls = tuple(
                ToolCall(str(number), name[0] if name else call.tools[0].name, raw)
                for number, (raw, name) in enumerate(made)
            )
            reply = Response(text, finish=row.get("finish", "tool_calls" if calls else "stop"), tool_calls=calls)
        else:
            reply = Response(text_of(row["raw"]), finish=row.get("finish", "stop"))

        def parse() -> dict[str, Any] | None:
            try:
                return call.read(reply)
            except ParseError:
                return None

        return parse

    return measure(read, tuple(adapters))


def peer() -> list[dict[str, Any]]:
    import dspy

    chat, as_json = dspy.ChatAdapter(), dspy.JSONAdapter()
    signatures: dict[str, Any] = {}
    for name, (instruction, inputs, outputs) in KINDS.items():
        fields = {field: (type_, dspy.InputField()) for field, type_ in inputs.items()}
        fields |= {field: (type_, dspy.OutputField()) for field, type_ in outputs.items()}
        signatures[name] = dspy.Signature(fields, instruction)

    def read(row: dict[str, Any]) -> Callable[[], dict[str, Any] | None]:
        text = text_of(row["raw"])
        adapters = [as_json]
        if row["form"] == "chat":
            adapters = [chat, as_json]
            text = re.sub(r"<<(\s*)end(\s*)>>", r"<<\1completed\2>>", text, flags=re.IGNORECASE)
            text = text.replace("<<", "[[ ## ").replace(">>", " ## ]]")

        def parse() -> dict[str, Any] | None:
            for adapter in adapters:
                try:
                    return dict(adapter.parse(signatures[row["signature"]], text))
                except TooSlow:
                    raise
                except Exception:  # whatever it raises is a refusal
                    continue
            return None

        return parse

    return measure(read, BOTH)


def shares(found: list[dict[str, Any]]) -> dict[str, float]:
    """Percent of rows by what became of them, and the median time."""
    counts = Counter(item["what"] for item in found)
    return {what: 100 * counts[what] / len(found) for what in ("right", "refused", "wrong")}


def line(who: str, found: list[dict[str, Any]]) -> str:
    part, times = shares(found), [item["us"] for item in found]
    return (
        f"{who:30} {len(found):4} rows  right {part['right']:5.1f}%  refused {part['refused']:5.1f}%  "
        f"wrong {part['wrong']:5.1f}%   median {median(times):7,.0f} us, slowest {max(times) / 1e3:8,.1f} ms"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="python of an environment that has dspy")
    parser.add_argument("--json", action="store_true", help="print what became of each row as JSON")
    parser.add_argument("--show", action="store_true", help="print the shares of each class of failure")
    parser.add_argument("--run-peer", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run_peer:
        print("RESULT " + json.dumps(peer()))
        return 0
    found = {"ours": ours()}
    if options.peer:
        found["peer"] = run_peer(options.peer)
    if options.json:
        print(json.dumps(found))
        return 0
    for form in ("chat", "json", "xml", "tools"):
        print(line(f"ours, {form}", [item for item in found["ours"] if item["form"] == form]))
    for who, items in found.items():
        both = [item for item in items if item["form"] in BOTH]
        if who == "peer":
            for form in BOTH:
                print(line(f"peer, {form}", [item for item in both if item["form"] == form]))
        print(line(f"{who}, chat and json", both))
        print(line(f"{who}, those that ran to the end", [item for item in both if item["stopped"]]))
    if options.show:
        classes(found)
    if "peer" not in found:
        print("(no --peer: the bars need it)")
        return 0
    mine, other = (shares([item for item in items if item["form"] in BOTH]) for items in found.values())
    gain = mine["right"] - other["right"]
    silent = sum(item["what"] == "wrong" for item in found["ours"])
    print(f"BAR {'PASS' if gain >= 15 else 'FAIL'} parsed right >= 15 points above the peer: {gain:+.1f} points")
    print(f"BAR {'PASS' if not silent else 'FAIL'} none parsed wrong silently: {silent} of {len(found['ours'])}")
    return 0 if gain >= 15 and not silent else 1


def classes(found: dict[str, list[dict[str, Any]]]) -> None:
    """Rows of chat and json by class, right and wrong of each side."""
    for name in sorted({item["class"] for item in found["ours"]}):
        cells: list[str] = []
        for who, items in found.items():
            counts = Counter(item["what"] for item in items if item["class"] == name and item["form"] in BOTH)
            cells.append(f"{who} {counts['right']:3} right {counts['wrong']:3} wrong of {counts.total():3}")
        print(f"  {name:30} {'   '.join(cells)}")


def run_peer(python: str) -> list[dict[str, Any]]:
    done = subprocess.run([python, __file__, "--run-peer"], capture_output=True, text=True, check=False, timeout=1800)
    result = next((text for text in done.stdout.splitlines() if text.startswith("RESULT ")), None)
    if result is None:
        sys.exit(f"the peer failed:\n{done.stderr[-2000:]}")
    return json.loads(result.removeprefix("RESULT "))


if __name__ == "__main__":
    sys.exit(main())
