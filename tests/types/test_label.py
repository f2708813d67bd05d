"""Labels join, compare and travel as JSON."""

from __future__ import annotations

import json
import pickle

import pytest

from outlast.types import TRUSTED, Label

MAIL = Label(frozenset({"mail"}), frozenset({"ann", "bob"}))
WEB = Label(frozenset({"web"}))
HR = Label(frozenset({"hr"}), frozenset({"bob", "eve"}))


def test_joining_unites_sources_and_intersects_readers() -> None:
    assert MAIL.join(HR) == Label(frozenset({"mail", "hr"}), frozenset({"bob"}))
    assert MAIL.join(WEB) == Label(frozenset({"mail", "web"}), frozenset({"ann", "bob"}))
    assert WEB.join(MAIL) == MAIL.join(WEB)


def test_the_trusted_label_changes_nothing() -> None:
    for label in (MAIL, WEB, TRUSTED, Label()):
        assert label.join(TRUSTED) == TRUSTED.join(label) == label.join(Label()) == label
    assert Label() == TRUSTED


def test_nobody_may_read_what_no_reader_shares() -> None:
    assert MAIL.join(Label(readers=frozenset({"eve"}))).readers == frozenset()
    assert TRUSTED.join(Label(readers=frozenset())).readers == frozenset()


@pytest.mark.parametrize("label", [TRUSTED, MAIL, WEB, HR, Label(readers=frozenset())])
def test_a_label_travels_as_json(label: Label) -> None:
    data = json.loads(json.dumps(label.to_json()))
    assert Label.from_json(data) == label
    assert pickle.loads(pickle.dumps(label)) == label
    assert len({label, Label.from_json(data)}) == 1


def test_the_json_is_sorted() -> None:
    assert MAIL.to_json() == {"sources": ["mail"], "readers": ["ann", "bob"]}
