"""What hides secrets is quick where there are none, and misses none of those that the thorough look finds."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from outlast.lms.caching.hiding import _SHAPES, HIDDEN, hide_in_text, without_secrets

TAIL = "aB3dE6gH9kL2mN5p"
KEYS = [
    *(
        f"{head}{sign}{TAIL}"
        for head in ("sk", "pk", "rk", "gsk", "xai", "hf", "glpat", "ghp", "gho", "ghs")
        for sign in "-_"
    ),
    *(f"xox{kind}{sign}{TAIL}" for kind in "abps" for sign in "-_"),
    *(f"github_pat_{TAIL}{TAIL}", f"AIza{TAIL}{TAIL}", "AKIA" + "ABCDEFGH12345678", f"Bearer {TAIL}"),
    "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
    "postgresql://me:hunter2@host/db",
]
PIECES = st.lists(
    st.sampled_from(
        [*KEYS, "sk", "-", "_", "task-", "risk_", "A", "B", "@", "://", "u:pw1@h", " ", "é", "\n", TAIL, "Bearer "]
    )
    | st.text(max_size=5),
    max_size=8,
).map("".join)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("around", [("", ""), ("the key is ", ", and so on"), ("é-", "\n"), ("x" * 50 + ".", " " * 50)])
def test_every_shape_is_hidden_wherever_it_stands(key: str, around: tuple[str, str]) -> None:
    shown = hide_in_text(f"{around[0]}{key}{around[1]}", {})
    assert HIDDEN in shown
    assert key not in shown
    assert shown.endswith(around[1])


@given(PIECES)
@example("a_sk-" + TAIL)
@example("sk-" + TAIL)
def test_the_quick_look_never_misses_what_the_pattern_finds(text: str) -> None:
    assert hide_in_text(text, {}) == _SHAPES.sub(HIDDEN, text)


def test_data_without_secrets_stays_as_it_is() -> None:
    data = {"a": [1, 2.5, None, True, "task-force", ("b", {"c": "x_y"})], 3: "kept"}
    assert without_secrets(data, {}) == {"a": [1, 2.5, None, True, "task-force", ["b", {"c": "x_y"}]], 3: "kept"}
    assert without_secrets({"api_key": "short", "password": {"type": "string"}}, {}) == {
        "api_key": HIDDEN,
        "password": {"type": "string"},
    }


def test_a_text_without_keys_takes_a_fraction_of_the_thorough_look() -> None:
    text = "A well-known task_force asked the self-employed desk-clerk, by e-mail, for a risk-free refund. " * 200

    def least(look: Callable[[], str]) -> float:
        taken: list[float] = []
        for _ in range(15):
            clock = time.thread_time()
            look()
            taken.append(time.thread_time() - clock)
        return min(taken)

    assert least(lambda: hide_in_text(text, {})) < least(lambda: _SHAPES.sub(HIDDEN, text)) / 3
