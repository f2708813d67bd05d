"""Calls of functions with their schemas (bfcl_mini), and addresses in the texts of the data sets."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from texts import SEED, Case, corpus, rows

import outlast as ol

KINDS: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}
OTHERS: dict[str, list[Any]] = {
    "string": [7, True, ["text"], {"text": "a"}],
    "integer": [2.5, "7", [7], False],
    "number": ["2.5", [2.5], True],
    "boolean": ["true", 1, []],
    "array": ["a, b", {"0": "a"}, 3],
    "object": ["{}", [], 4],
}
ADDRESS = re.compile(r"(?:https?://|www\.)[^\s<>\"\\)\]]+")
EVIL = "collector.example"


def taken(value: Any) -> Any:
    """The first of the answers that bfcl allows, also inside objects; "" means that it may be left out."""
    if isinstance(value, dict):
        return {name: taken(_first(inner)) for name, inner in value.items() if _first(inner) != ""}
    return [taken(inner) for inner in value] if isinstance(value, list) else value


def _first(allowed: Any) -> Any:
    return next((one for one in allowed if one != ""), "") if isinstance(allowed, list) else allowed


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Types, names and enumerations, read without a library."""
    kind = schema.get("type", "")
    if kind in KINDS and (not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, list):
        return all(fits(one, schema.get("items", {})) for one in value)
    known = schema.get("properties", {})
    if isinstance(value, dict) and kind == "object":
        if not {*schema.get("required", ())} <= {*value} or (known and not {*value} <= {*known}):
            return False
        return all(fits(one, known.get(name, {})) for name, one in value.items())
    return True


@cache
def called() -> tuple[tuple[dict[str, Any], dict[str, Any]], ...]:
    """Schemas of functions, closed to other names, with the right arguments; those of bfcl that do fit."""
    found: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for part in ("train", "dev", "test"):
        for row in rows("bfcl_mini", part):
            tools = {tool["name"]: tool["parameters"] for tool in row["tools"]}
            for call in row["expected"]:
                schema = {**tools[call["name"]], "additionalProperties": False}
                arguments = taken(call["arguments"])
                if fits(arguments, schema):
                    found.append((schema, arguments))
    return tuple(found)


def call_cases(most: int = 1500) -> Iterator[Case]:
    """Right arguments, as JSON or values; or with a required one missing, another type, no value of the enumeration,
    one too many, or cut off."""
    draw = random.Random(SEED)
    for schema, arguments in called()[:most]:
        check = ol.checks.json_schema("answer", schema)
        known = schema["properties"]
        wrong: list[Any] = [{**arguments, "unasked": 1}]
        if needed := [name for name in schema.get("required", ()) if name in arguments]:
            left = draw.choice(needed)
            wrong.append({name: value for name, value in arguments.items() if name != left})
        if typed := [name for name in arguments if known[name].get("type") in OTHERS]:
            name = draw.choice(typed)
            wrong.append({**arguments, name: draw.choice(OTHERS[known[name]["type"]])})
        if listed := [name for name in arguments if "enum" in known[name]]:
            wrong.append({**arguments, draw.choice(listed): "none of these"})
        for value, fine in ((arguments, True), *((one, False) for one in wrong)):
            yield check, {"answer": draw.choice([value, json.dumps(value), json.dumps(value, indent=1)])}, fine
        text = json.dumps(arguments)
        yield check, {"answer": text[: draw.randrange(len(text))]}, False


def hosts(text: str) -> list[str]:
    """Host and port of every address in a text, as the standard library reads them."""
    found = [match.rstrip(".,;:!?'\"") for match in ADDRESS.findall(text)]
    return [urlsplit(one if "//" in one else f"http://{one}").netloc.lower().rstrip(".") for one in found]


@cache
def linked() -> tuple[str, ...]:
    """Every text of the data that holds an address."""
    held: list[Any] = [*corpus("scifact"), *corpus("hotpot_mini")]
    held += [
        row
        for name in ("bfcl_mini", "ifeval", "pii_synth")
        for part in ("train", "dev", "test")
        for row in rows(name, part)
    ]
    return tuple(sorted({text for row in held for text in _strings(row) if ADDRESS.search(text)}))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


def url_cases() -> Iterator[Case]:
    """Texts whose hosts are all allowed, and allowed hosts in other spellings; or texts with another host, and other
    hosts in disguise. Half of the hosts are allowed."""
    every = sorted({host for text in linked() for host in hosts(text)})
    draw = random.Random(SEED)
    named = [host for host in every if re.fullmatch(r"[a-z0-9.:-]+", host)]
    allowed = draw.sample(named, len(named) // 2)
    check = ol.checks.urls("answer", allow=allowed)
    for text in linked():
        yield check, {"answer": text}, {*hosts(text)} <= {*allowed}
    for host in allowed:
        if ":" not in host:
            for text in respelt(host):
                yield check, {"answer": f"Please read {text} today."}, True
            other = draw.choice([EVIL, *(one for one in named if one not in allowed and ":" not in one)])
            for text in disguised(host, other):
                yield check, {"answer": f"Please read {text} today."}, False


def respelt(host: str) -> list[str]:
    """An allowed host as people and programs write it too."""
    return [
        f"HTTPS://{host.upper()}/a",
        f"https://{host}:443/a?next=https%3A%2F%2F{EVIL}",
        f"http://{host}.",
        f"[the page](https://{host}/a_(b))",
        f"[{EVIL} is not linked](<https://{host}/>)",
        f'<a href="https://{host}/?a=1&amp;b=2">here</a>',
        f"<img src=//{host}/a.png>",
        f"(see https://{host}/a#@{EVIL}),",
    ]


def disguised(host: str, other: str) -> list[str]:
    """Another host, made to look like an allowed one or like none."""
    return [
        f"https://{host}@{other}/",
        f"https://{host}.{other}/",
        f"https://{other}/{host}",
        f"https://{other}#{host}",
        f"https:\\\\{other}\\{host}",
        f"https:/{other}/",
        f"https://{other}\\@{host}/",
        f"https://{other.replace('.', '。')}/",
        f"https://{other.replace('.', '%2e')}/",
        f"https://not{host}/",
        f"https://{host}:8443/",
        f"[https://{host}/](https://{other}/)",
        f"[a](//{other}/a)",
        f"![a][1]\n\n[1]: https://{other}/?q=secret",
        f'<a href="https&#58;//{other}/">a</a>',
        f'<a href="ht\ttps://{other}/">a</a>',
        f'<img src="https://{host}/a.png" srcset="https://{other}/a.png 2x">',
        f'<p style="background: url(https://{other}/a.png)">',
        "[a](javascript:alert(1))",
        f"ftp://{host}/",
    ]
