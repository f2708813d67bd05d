"""Results: named values that cannot change, copy and pickle cleanly, and show well."""

from __future__ import annotations

import copy
import pickle

import pytest

import outlast as ol
from outlast.errors import FrozenError
from outlast.signatures import Prediction, Record, Signature, fields_of, input, output, outputs_of
from outlast.signatures.record import make_record
from outlast.testing import ScriptedLM


class Triage(Signature):
    message: str = input()
    team: str = output()
    tags: list[str] = output()


def asked() -> Triage:
    lm = ScriptedLM(['<<team>>\ncards\n\n<<tags>>\n["a"]\n\n<<end>>'])
    with ol.context(lm=lm):
        return ol.Predict(Triage)(message="hi")


def test_values_are_attributes_and_items() -> None:
    out = asked()
    assert (out.team, out["team"], "team" in out, list(out), len(out)) == (
        "cards",
        "cards",
        True,
        ["message", "team", "tags"],
        3,
    )
    assert fields_of(out) == {"message": "hi", "team": "cards", "tags": ["a"]}
    assert outputs_of(out) == {"team": "cards", "tags": ["a"]}
    assert out == Prediction(message="hi", team="cards", tags=["a"])
    assert out != Prediction(team="cards")
    assert out != {"team": "cards"}


def test_an_unknown_name_lists_the_fields() -> None:
    out = asked()
    with pytest.raises(AttributeError, match="no field 'tema'. Did you mean 'team'"):
        out.tema  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(KeyError, match="no field 'tema'"):
        out["tema"]
    assert not hasattr(out, "_ipython_display_")


def test_a_record_cannot_change() -> None:
    out = asked()
    with pytest.raises(FrozenError, match="Prediction"):
        out.team = "billing"
    with pytest.raises(FrozenError, match="cannot be deleted"):
        del out.team
    with pytest.raises(TypeError):
        hash(out)


def test_trace_and_reasoning_are_there_unless_fields_take_the_names() -> None:
    out = asked()
    assert len(out.trace) == 1
    assert out.reasoning is None
    taken = Prediction(trace="t", reasoning="r")
    assert (taken.trace, taken.reasoning) == ("t", "r")
    assert Prediction(a=1).reasoning is None


def test_pickling_leaves_the_trace_behind_and_keeps_the_reasoning() -> None:
    out = make_record(Triage, {"message": "m", "team": "t", "tags": []}, "because")
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(out, protocol))
        assert again == out
        assert type(again) is Triage
        assert again.reasoning == "because"
        assert again.trace is None
    again = pickle.loads(pickle.dumps(asked()))
    assert again.team == "cards"
    assert pickle.loads(pickle.dumps(Prediction(trace=1, reasoning=2))).reasoning == 2


def test_copies_share_the_trace_and_deep_copies_no_values() -> None:
    out = asked()
    shallow = copy.copy(out)
    deep = copy.deepcopy(out)
    assert shallow == deep == out
    assert shallow.trace is deep.trace is out.trace
    assert shallow.tags is out.tags
    assert deep.tags is not out.tags
    assert type(deep) is type(out)


def test_a_short_record_shows_on_one_line_and_a_long_one_on_many() -> None:
    assert repr(asked()) == "Triage(team='cards', tags=['a'])"
    shown = repr(Prediction(text="x" * 1_000, other=1))
    assert shown.startswith("Prediction(\n    text='xxx")
    assert len(shown) < 600


def test_the_notebook_view_escapes_everything() -> None:
    class Evil:
        def __repr__(self) -> str:
            return "<script>alert(1)</script>"

    page = Prediction(text="<img src=x onerror=alert(1)>", evil=Evil(), quoted="\"'&")._repr_html_()
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "&quot;&#x27;&amp;" in page


def test_a_broken_repr_does_not_break_the_view() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert "RuntimeError" in Prediction(a=Broken())._repr_html_()


def test_a_record_of_a_user_class_works_without_calling_up() -> None:
    class Own(Prediction):
        def __init__(self) -> None:
            self.__dict__["a"] = 1

    own = Own()
    assert (own.a, own.reasoning, copy.copy(own).a) == (1, None, 1)
    assert isinstance(own, Record)
