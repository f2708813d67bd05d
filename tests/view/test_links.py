"""Addresses: for a server, and as names of files."""

from __future__ import annotations

from outlast.view.links import FileLinks, Links, file_name


def test_an_address_says_only_what_is_set() -> None:
    links = Links()
    assert (
        links.page("/traces", {"status": "error", "name": "", "tag": None, "labelled": False}) == "/traces?status=error"
    )
    assert links.page("/traces") == "/traces"
    assert links.page("/traces", {"text": "a&b <c>"}, "x") == "/traces?text=a%26b+%3Cc%3E#x"


def test_files_have_harmless_names_that_differ() -> None:
    names = [
        file_name(target)
        for target in ("/", "/runs", "/runs/ab", "/runs/../../etc/passwd", "/runs/AB", "/runs?x=1", "/runs?x=2")
    ]
    assert names[:3] == ["index.html", "runs.html", "runs-ab.html"]
    assert len(set(names)) == len(names)
    for name in names:
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.")
        assert ".." not in name


def test_files_remember_what_is_wanted_up_to_a_bound() -> None:
    links = FileLinks(2)
    assert links.page("/") == "index.html"
    assert links.page("/runs", anchor="rows") == "runs.html#rows"
    assert links.page("/traces") == "left-out.html"
    assert links.page("/runs") == "runs.html"
    assert links.left_out == 1
    assert set(links.wanted) == {"/", "/runs", "/left-out"}
