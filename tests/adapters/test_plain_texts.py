"""Text outputs keep their indentation, and never hold what the reply did not mean."""

from __future__ import annotations

from typing import Any

import pytest

from outlast.adapters import Chat, Task
from outlast.adapters.markers import has_marker
from outlast.errors import ParseError
from outlast.lms.protocol import Capabilities
from outlast.messages import Response
from outlast.signatures import signature


def read(spelled: str, reply: str, **inputs: Any) -> dict[str, Any]:
    task = Task(signature(spelled), "Do it.")
    return Chat().compile(task, Capabilities()).prepare(inputs).read(Response(reply))


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("<<code>>\n    return 1\n\n<<b>>\nz\n\n<<end>>", "    return 1"),
        ("<<code>>\n\n\tx\n\ty\n<<b>>\nz", "\tx\n\ty"),
        ("Here:\n<<code>>\r\n  a\r\n<<b>>\r\nz", "  a"),
        ("<<code>>   a\n<<b>>\nz", "a"),
        ("<<code>>\n a\n<<b>>\nz", "a"),
        ('<<code>>\n  "a"\n<<b>>\nz', "a"),
        ("  <<code>>\n  a\n  <<b>>\n  z", "a"),
    ],
)
def test_the_first_line_of_code_keeps_its_indentation(reply: str, code: str) -> None:
    assert read("q -> code, b", reply, q="x") == {"code": code, "b": "z"}


@pytest.mark.parametrize("cut", ["<<", "<<e", "<<en", "<<end", "<<end>"])
def test_an_end_marker_that_was_cut_off_is_no_text(cut: str) -> None:
    assert read("q -> a, b", f"<<a>>\nfoo\n<<b>>\nbar\n{cut}", q="x") == {"a": "foo", "b": "bar"}


@pytest.mark.parametrize("line", ["<", "<<other", "x <<en"])
def test_a_last_line_that_begins_no_end_marker_stays(line: str) -> None:
    assert read("q -> a, b", f"<<a>>\nfoo\n<<b>>\nbar\n{line}", q="x")["b"] == f"bar\n{line}"


def test_empty_text_is_refused_unless_it_is_written_as_such() -> None:
    with pytest.raises(ParseError, match="a: is empty; write it") as caught:
        read("q -> a, b", "<<a>>\n<<b>>\nbar\n<<end>>", q="x")
    assert '""' in caught.value.for_model
    assert read("q -> a, b", '<<a>>\n""\n<<b>>\nbar\n<<end>>', q="x") == {"a": "", "b": "bar"}


def test_names_with_other_letters_are_marked_like_any() -> None:
    assert read("q -> équipe, b", "<<équipe>>\nfoo\n<<b>>\nbar\n<<end>>", q="x") == {"équipe": "foo", "b": "bar"}
    assert has_marker("see <<équipe>>")


@pytest.mark.parametrize("text", ["＜＜a＞＞", "‹‹a››", "《a》", "<\u200b<a>>", "«a»", "≪a≫"])
def test_brackets_that_look_alike_form_no_marker(text: str) -> None:
    assert not has_marker(text)
    assert read("q -> a", f"<<a>>\n{text}\nEVIL\n<<end>>", q="x") == {"a": f"{text}\nEVIL"}
