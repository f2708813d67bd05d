"""Markdown of models: what people miss when they see it raw, and nothing that a page must not hold."""

from __future__ import annotations

import time

import pytest

from outlast.view.markdown import LONGEST, looks_like_markdown, markdown
from tests.view.payloads import PAYLOADS


@pytest.mark.parametrize(
    "text",
    [
        "# Title",
        "some **bold** word",
        "- one\n- two",
        "1. one\n2. two",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "```python\nprint()\n```",
        "use `code` here",
        "see [this](https://a.example/)",
        "> quoted",
    ],
)
def test_signs_of_markdown_are_seen(text: str) -> None:
    assert looks_like_markdown(text)


@pytest.mark.parametrize(
    "text", ["plain words", "2 * 3 * 4", "a - b", "snake_case_name", "[1] a note", "x" * (LONGEST + 1)]
)
def test_plain_text_stays_plain(text: str) -> None:
    assert not looks_like_markdown(text)


def test_the_usual_elements_are_made() -> None:
    made = markdown("# T\n\n**b** and `c`\n\n- x\n- y\n\n| a | n |\n|---|--:|\n| 1 | 2 |\n\n```python\nx = 1\n```")
    for part in (
        '<p class="h h1">T</p>',
        "<strong>b</strong>",
        "<code>c</code>",
        "<li>x</li>",
        '<td class="right">2</td>',
    ):
        assert part in made
    assert 'data-language="python"' in made
    assert '<span class="c-number">1</span>' in made


def test_html_is_text() -> None:
    assert "&lt;b&gt;" in markdown("a <b>bold</b> move")
    assert "<b>" not in markdown("a <b>bold</b> move")


def test_a_link_says_where_it_leads_and_tells_it_nothing() -> None:
    made = markdown("[our bank](https://evil.example/login)")
    rel = 'rel="noopener noreferrer nofollow" target="_blank"'
    assert f'<a class="out" href="https://evil.example/login" {rel}>our bank</a>' in made
    assert '<span class="host">evil.example</span>' in made


@pytest.mark.parametrize(
    "address",
    [
        "javascript:x",
        "JaVaScRiPt:x",
        "data:text/html,x",
        "file:///etc/passwd",
        "//x.example",
        "/runs",
        "http://",
        "vbscript:x",
        "mailto:a@b.example",
    ],
)
def test_only_addresses_of_the_web_are_links(address: str) -> None:
    assert "<a" not in markdown(f"[x]({address})")
    assert "href" not in markdown(f"<{address}>")


def test_a_picture_is_named_and_not_loaded() -> None:
    made = markdown("![a cat](https://evil.example/cat.png?secret)")
    assert "<img" not in made
    assert "image: a cat https://evil.example/cat.png?secret" in made


@pytest.mark.parametrize("bad", PAYLOADS)
def test_no_attack_makes_an_element_that_is_not_ours(bad: str) -> None:
    from html.parser import HTMLParser

    text, blocks = (
        {"strong", "em", "s", "code", "span", "a", "br"},
        {"div", "p", "pre", "ul", "ol", "li", "blockquote", "hr"},
    )
    allowed = text | blocks | {"table", "thead", "tbody", "tr", "th", "td"}
    attributes = {"class", "href", "rel", "target", "data-language", "title", "start", "tabindex", "role", "aria-label"}

    class Strict(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag in allowed, (tag, attrs)
            assert {name for name, _ in attrs} <= attributes, (tag, attrs)
            assert all((value or "").startswith(("http://", "https://")) for name, value in attrs if name == "href")

    Strict().feed(str(markdown(bad)))
    Strict().feed(
        str(markdown(f"# {bad}\n\n- {bad}\n\n| {bad} | b |\n|---|---|\n| {bad} | {bad} |\n\n> {bad}\n\n**{bad}**"))
    )


PIECES = [
    "[",
    "*",
    "> ",
    "![",
    "`a",
    "``` ",
    "<",
    "[a](",
    "|a|\n",
    "|",
    "_a ",
    "- ",
    "&amp",
    "\\",
    "[a]",
    "**a*_",
    "\n",
]


@pytest.mark.parametrize("piece", PIECES)
def test_no_text_takes_long(piece: str) -> None:
    text = ("|a|" + piece * LONGEST)[:LONGEST]
    start = time.process_time()
    looks_like_markdown(text)
    markdown(text)
    assert time.process_time() - start < 3  # under 0.4 s on an idle machine


def test_what_is_nested_too_deep_ends() -> None:
    assert len(markdown("> " * 2_000 + "x")) < 100_000
    assert len(markdown("[" * 5_000)) < 200_000
