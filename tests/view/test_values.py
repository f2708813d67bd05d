"""Values for people: tables, pictures, folded JSON, texts; a huge or hostile one ends."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest

from outlast.view.code import LONGEST, coloured
from outlast.view.texts import LONG, clean, plain
from outlast.view.values import literal, medium, raw, shown
from tests.view.samples import PIXEL


def test_rows_with_equal_fields_are_a_table() -> None:
    made = shown([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])
    assert made.count("<tr>") == 3
    assert '<th scope="col">a</th>' in made
    assert "<table" not in shown([{"a": 1, "b": "x"}, {"a": 2}])


def test_json_in_a_text_is_read_and_markdown_is_rendered() -> None:
    assert '<dl class="json">' in shown('{"a": [1, 2]}')
    assert "<strong>b</strong>" in shown("a **b**")
    assert "as text" in shown("a **b**")  # the source is a click away
    assert shown("{not json}") == plain("{not json}")


def test_a_prompt_is_read_as_it_is() -> None:
    assert literal("a **b**") == plain("a **b**")


def test_what_is_deep_or_long_is_folded_and_ends() -> None:
    deep: Any = "x"
    for _ in range(200):
        deep = {"a": deep, "b": list(range(20))}
    assert "more in the raw JSON" in shown(deep)
    wide = shown(list(range(10_000)))
    assert "9,800 more" in wide
    assert wide.count("<li>") == 200
    start = time.process_time()
    assert len(shown([[{"a": "b" * 50}] * 300] * 300)) < 2_000_000
    assert time.process_time() - start < 5


def test_a_long_text_is_folded() -> None:
    assert "<details" in plain("word " * LONG)
    assert "<details" not in plain("word")
    assert "more characters" in plain("x" * 300_000)


def test_what_cannot_be_seen_is_made_visible() -> None:
    made = clean("pay\u202eevil\u202c \u200bx\x00y\U000e0041 \ud800 <b>")
    for code in ("202E", "202C", "200B", "0000", "E0041", "D800"):
        assert f">U+{code}</span>" in made
    assert "&lt;b&gt;" in made
    made.encode()  # nothing is left that has no bytes
    assert clean("tab\tnew\nline é 漢字 👩‍👩‍👧") == "tab\tnew\nline é 漢字 👩‍👩‍👧"


def test_a_stored_picture_is_shown_and_no_other() -> None:
    assert f'src="data:image/png;base64,{PIXEL}"' in medium({"type": "image", "mime": "image/png", "data": PIXEL})
    script = base64.b64encode(b"<svg onload=alert(1)>").decode()
    for other in (
        {"mime": "image/svg+xml", "data": script},
        {"mime": "image/png", "data": script},  # it is not what it says
        {"mime": "image/png", "data": "not base64!"},
        {"mime": "text/html", "data": PIXEL},
        {"mime": "image/png", "url": "http://evil.example/x.png"},
        {"mime": "image/png"},
    ):
        assert "<img" not in medium({"type": "image", **other})


def test_the_address_of_a_picture_is_text() -> None:
    made = medium({"type": "image", "mime": "image/png", "url": "http://evil.example/x.png?<b>"})
    assert "evil.example" in made
    assert "<b>" not in made


def test_long_fields_that_were_shown_are_named() -> None:
    long = "word " * 60
    made = shown({"answer": long, "short": "x"}, {"answer": long, "short": "x"}, "Agent")
    assert "as of Agent" in made
    assert "word word" not in made
    assert ">x<" in made


def test_the_raw_json_tells_media_by_their_size() -> None:
    made = raw({"type": "image", "mime": "image/png", "data": PIXEL * 20})
    assert PIXEL not in made
    assert "bytes" in made


@pytest.mark.parametrize("language", ["python", "js", "sql", "json", "bash"])
def test_no_code_takes_long(language: str) -> None:
    start = time.process_time()
    for piece in ('"', "'", "/*", "*/", "#", "--", "\\", "a ", "1", "1.", "\n", " ", '"\\', "a", "/* *"):
        assert len(coloured((piece * LONGEST)[:LONGEST], language)) >= LONGEST
    assert time.process_time() - start < 5


def test_code_has_a_few_colours() -> None:
    made = coloured('def f(x):  # "why"\n    return "a" + 1.5\n', "python")
    for part in ('c-word">def<', 'c-note"># &#34;why&#34;<', 'c-text">&#34;a&#34;<', 'c-number">1.5<'):
        assert part in made
    assert 'c-name">&#34;k&#34;<' in coloured('{"k": "v"}', "json")
    assert 'c-word">SELECT<' in coloured("SELECT 1", "sql")


@pytest.mark.parametrize("language", ["python", "json", "html", "no-such-language", "<script>", "../x", ""])
def test_code_is_escaped_in_every_language(language: str) -> None:
    made = coloured("<script>alert('x')</script> # note\n", language)
    assert "<script" not in made
    assert "style=" not in made
    import re

    text = re.sub(r"<[^>]+>", "", made)
    assert "&lt;script&gt;" in text or "&lt;" in text
