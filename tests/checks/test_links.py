"""Links: addresses as a browser reads them, and the tricks that hide where one leads."""

from __future__ import annotations

import time
from typing import Any

import pytest

import outlast as ol
from outlast.errors import UsageError

ALLOW = ["good.com", "*.ours.org", "gh.com/outlast/", "x.dev:8443", "münchen.de"]
CHECK = ol.checks.urls("answer", allow=ALLOW)


def judged(text: str, check: ol.Check = CHECK) -> ol.CheckResult:
    """The result for a text."""
    given = check.run({"answer": text})
    assert given is not None
    return given


@pytest.mark.parametrize(
    "text",
    [
        "no links",
        "see https://good.com.",
        "[a](https://good.com/x_(y))",
        "http://good.com:80/",
        "HTTPS://GOOD.COM",
        "https://a.ours.org/x",
        "https://gh.com/outlast/x",
        "https://x.dev:8443/",
        "https://m\xfcnchen.de",
        "https://xn--mnchen-3ya.de/",
        "(https://good.com)",
        "**https://good.com**",
        "[t](/rel)",
        "[t](#a)",
        "https://good.com./x",
        "<https://good.com>",
        '<a href="https://good.com">x</a>',
        "3:4 and note: this",
        "javascript: the good parts",
        "data: 5 rows",
        "https:\\\\good.com",
        "https://good.com/?u=https://evil.com",
        "https://good.com\\@x",
        "visit https://good.com, or https://good.com; ok?",
        "`https://good.com`",
        "data=5",
        '![i](https://good.com/i.png "t")',
        "C:\\path",
    ],
)
def test_allowed_addresses_pass(text: str) -> None:
    given = judged(text)
    assert given.ok, given.message


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.com",
        "https://good.com@evil.com",
        "https://good.com:pw@evil.com/",
        "https://good.com,x@evil.com",
        "https://good.com.evil.com",
        "https://notgood.com",
        "[x](//evil.com)",
        "[x](javascript:alert(1))",
        "[x](java\tscript:alert(1))",
        "<a href='&#106;avascript:alert(1)'>",
        "<img src=https://evil.com/x.png>",
        "![x](https://evil.com/?d=1)",
        "[x]: https://evil.com",
        "[x][1]\n\n[1]: <https://evil.com>",
        "https://g\u043e\u043ed.com",
        "https://ours.org",
        "https://gh.com/other",
        "https://gh.com/outlast/../other",
        "https://gh.com/outlast/%2e%2e/other",
        "https://good.com:8080",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://[::1]/",
        "data:text/html;base64,AAAA",
        "file:///etc/passwd",
        "www.evil.com",
        "https:/evil.com",
        "[x](https:evil.com)",
        "[x](https:\\\\evil.com)",
        "https://evil.com\\.good.com",
        "https://good.com)https://evil.com",
        "ftp://good.com",
        '<form action="//evil.com">',
        "url(https://evil.com/a.png)",
        "[x](/\\evil.com)",
        "https://evil\u3002com",
        "https://good.com%2eevil.com",
        "https://evil%2ecom",
        '<meta http-equiv=refresh content="0;url=https://evil.com">',
        '<img srcset="https://good.com/a 1x, https://evil.com/b 2x">',
        "vbscript:msgbox(1)",
        "https://x.dev/",
        "<https://evil.com>",
        "[x]( <javascript:alert(1)> )",
        "hxxp://good.com",
    ],
)
def test_other_addresses_are_found_and_taken_out(text: str) -> None:
    given = judged(text)
    assert not given.ok
    assert given.found
    assert all(text[place.start : place.end] == place.text for place in given.found)
    assert given.fix is not None
    assert judged(given.fix["answer"]).ok


def test_the_message_names_the_address_and_the_reason() -> None:
    given = judged("Go [here](https://good.com@evil.com/x) or https://evil.com.")
    assert "a name before @ hides" in given.message
    assert "host evil.com" in given.message
    assert "allowed hosts: good.com, *.ours.org" in given.message
    assert given.fix == {"answer": "Go [here](link-removed) or link-removed."}


def test_options() -> None:
    assert judged("mail mailto:a@b.c or [m](mailto:a@b.c)", ol.checks.urls("answer", schemes=["https", "mailto"])).ok
    assert not judged("[m](mailto:a@b.c)").ok
    assert not judged("http://good.com", ol.checks.urls("answer", allow=["good.com"], schemes=["https"])).ok
    assert not judged("[x](/a)", ol.checks.urls("answer", relative=False)).ok
    bare = ol.checks.urls("answer", allow=["good.com"], bare=True)
    assert [place.text for place in judged("see evil.com/x, good.com or node.js", bare).found] == ["evil.com/x"]
    assert judged("see evil.com/x").ok
    assert not judged("https://good.com", ol.checks.urls("answer")).ok
    assert judged("http://[::1]/ no", ol.checks.urls("answer", allow=["127.0.0.1"])).ok is False
    assert judged("http://127.0.0.1/", ol.checks.urls("answer", allow=["127.0.0.1"])).ok


@pytest.mark.parametrize("entry", ["https://good.com", "good.com?x", "a@b.com", "", "*", 3, "a..b", "x/*"])
def test_an_entry_that_is_no_host_is_refused(entry: Any) -> None:
    with pytest.raises(UsageError, match="allow lists hosts"):
        ol.checks.urls("answer", allow=[entry])


@pytest.mark.parametrize(
    "text",
    [
        "https://" * 125000,
        "[" * 10**6,
        "](" * 500000,
        "<a href='" * 100000,
        'href="' * 200000,
        "a." * 500000,
        "https://good.com/ " * 50000,
        "https://evil.com/ " * 50000,
        "\udc80" * 10**6,
        "]((" * 300000,
        "x:" * 500000,
        "[a]:" * 250000,
        "url(" * 250000,
        "href= " * 160000,
        "w" * 10**6,
        "https:" + "/" * 10**6,
        "<a:" + "a" * 10**6,
        "-a" * 500000,
    ],
)
def test_hostile_text_takes_little_time(text: str) -> None:
    started = time.process_time()
    judged(text)
    judged(text, ol.checks.urls("answer", bare=True))
    assert time.process_time() - started < 12
