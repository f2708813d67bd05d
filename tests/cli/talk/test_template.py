"""Templates: slots, and files that cannot be read."""

from __future__ import annotations

import pytest

from outlast.cli.talk.template import Template, load_template, read_template, save_template, template_file
from outlast.errors import ConfigError, UsageError


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def test_slots_are_filled_once() -> None:
    template = Template(prompt="$input in ${lang}, $$5", system="as $who", params={"who": "a $input"})
    assert template.slots == ["lang", "who"]
    assert template.filled("pay $lang", {"lang": "de $who"}) == ("pay $lang in de $who, $5", "as a $input")


def test_what_was_typed_comes_after_a_prompt_without_its_slot() -> None:
    assert Template(prompt="Tidy:").filled("a text", {}) == ("Tidy:\n\na text", "")
    assert Template(system="Tidy.").filled("a text", {}) == ("a text", "Tidy.")
    assert Template(prompt="Tidy:").filled("", {}) == ("Tidy:", "")


def test_missing_and_unknown_values() -> None:
    with pytest.raises(UsageError, match="needs lang: give -p lang VALUE"):
        Template(prompt="$lang").filled("", {})
    with pytest.raises(UsageError, match="no slot 'lng'. Did you mean 'lang'"):
        Template(prompt="$lang").filled("", {"lng": "x"})


def test_it_is_kept_as_it_is() -> None:
    template = Template("a\n$b", "s", "m", None, "x int", False, {"temperature": 0.5, "stop": ["a"]}, {"b": "1"}, "d")
    save_template("one.two", template)
    assert load_template("one.two") == template
    assert load_template(str(template_file("one.two"))) == template
    with pytest.raises(UsageError, match="Did you mean 'one.two'"):
        load_template("one.tw")


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a" * 65, "a b", "a\n"])
def test_no_name_leads_out_of_the_folder(name) -> None:
    with pytest.raises(UsageError, match="a template is named by"):
        save_template(name, Template("x"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a =", "not TOML"),
        ("promt = 'x'", "Did you mean 'prompt'"),
        ("prompt = 5", "prompt is text"),
        ("extract = 1", "extract is true or false"),
        ("options = 'x'", "options is a table"),
        ("[params]\na = 1", "params is a table of texts"),
        ("prompt = 'costs $5'", "a dollar sign is written"),
        ("system = '$'", "a dollar sign is written"),
    ],
)
def test_what_is_no_template(text, told) -> None:
    with pytest.raises(ConfigError, match=told):
        read_template(text, "x.toml")
