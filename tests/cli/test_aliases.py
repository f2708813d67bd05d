"""`outlast aliases`, and where an alias may stand."""

from __future__ import annotations

import pytest

from outlast import LM
from outlast.errors import ConfigError
from outlast.testing.server import FakeServer


def test_an_alias_stands_wherever_a_model_is_named(outlast) -> None:
    assert outlast("aliases", "set", "floor", "outlast/baseline").code == 0
    for option in ("-m", "--lm"):
        assert outlast("run", "app.py:route", option, "floor", "-i", "message=my card is gone").lines == [
            {"team": "cards"}
        ]
    assert outlast("models", "floor").out.startswith("outlast/baseline\n")
    assert outlast("aliases").out.split() == ["alias", "model", "floor", "outlast/baseline"]
    assert outlast("aliases", "--json").json == {"floor": {"model": "outlast/baseline"}}
    assert outlast("aliases", "remove", "floor").code == 0
    assert outlast("run", "app.py:route", "-m", "floor", "-i", "message=x").code == 3


def test_an_alias_of_an_alias_is_that_model(outlast) -> None:
    outlast("aliases", "set", "a", "outlast/baseline")
    outlast("aliases", "set", "b", "a")
    outlast("aliases", "remove", "a")
    assert outlast("aliases", "--json").json == {"b": {"model": "outlast/baseline"}}


def test_an_alias_knows_its_server_and_the_command_line_knows_better(outlast) -> None:
    with FakeServer('{"team": "cards"}') as here, FakeServer('{"team": "billing"}') as there:
        outlast("aliases", "set", "mine", "some-model", "--base-url", here.url)
        words = ("run", "app.py:route", "-m", "mine", "-i", "message=x", "--adapter", "json")
        assert outlast(*words).lines == [{"team": "cards"}]
        assert outlast(*words, "--base-url", there.url).lines == [{"team": "billing"}]


def test_python_knows_no_aliases(outlast) -> None:
    outlast("aliases", "set", "floor", "outlast/baseline")
    with pytest.raises(ConfigError, match="a model is named 'provider/model'"):
        LM("floor")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("set", "a/b", "outlast/baseline"), 2, "an alias is letters"),
        (("set", "llm:x", "outlast/baseline"), 2, "an alias is letters"),
        (("set", "x"), 2, "outlast aliases set ALIAS MODEL"),
        (("set", "x", "openia/gpt"), 3, "Did you mean 'openai'"),
        (("remove", "x", "y"), 2, "outlast aliases remove ALIAS"),
        (("remove", "x"), 1, "no alias 'x'. There are none."),
        (("list", "x"), 2, "outlast aliases list"),
    ],
)
def test_what_is_no_alias(outlast, words, code, told) -> None:
    result = outlast("aliases", *words)
    assert (result.code, told in result.err) == (code, True), result.err


@pytest.mark.parametrize("text", ["{", "[]", '{"a": "b"}', '{"a": {"model": 1}}', '{"a": {}}'])
def test_a_damaged_file_is_named(outlast, desk, text) -> None:
    (desk / "config" / "outlast").mkdir(parents=True)
    (desk / "config" / "outlast" / "aliases.json").write_text(text)
    result = outlast("aliases")
    assert result.code == 3
    assert "aliases.json" in result.err
    assert outlast("run", "app.py:route", "-m", "outlast/baseline", "-i", "message=x").code == 0


def test_a_name_that_is_no_model_may_be_an_alias(outlast) -> None:
    outlast("aliases", "set", "floor", "outlast/baseline")
    assert "Aliases: floor." in outlast("aliases", "remove", "nope").err
    asked = outlast("run", "app.py:Triage", "inputs.jsonl", "--lm", "mini")
    assert asked.code == 3
    assert "Or it is an alias (outlast aliases list)" in asked.err
