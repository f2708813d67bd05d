"""What is written as TOML is read back by the standard library."""

from __future__ import annotations

import math
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.cli.talk.toml_text import to_toml
from outlast.errors import UsageError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
atoms = texts | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.floats(allow_nan=False)
data = st.dictionaries(
    texts,
    st.recursive(
        atoms | st.lists(atoms, max_size=4), lambda inner: st.dictionaries(texts, inner, max_size=3), max_leaves=6
    ),
    max_size=5,
)


@given(data)
def test_it_is_read_back_as_it_was(value) -> None:
    assert tomllib.loads(to_toml(value)) == value


def test_it_is_written_as_people_write_it() -> None:
    assert to_toml({"prompt": 'one\n"two"\n', "none": None, "options": {"temperature": 0.5, "stop": ["a"]}}) == (
        'prompt = """\none\n\\"two\\"\n"""\n\n[options]\ntemperature = 0.5\nstop = ["a"]\n'
    )


def test_what_toml_lacks_is_refused() -> None:
    assert math.isnan(tomllib.loads(to_toml({"a": math.nan}))["a"])
    for value in (b"x", {1, 2}, object(), "\ud800"):
        with pytest.raises(UsageError):
            to_toml({"a": value})
