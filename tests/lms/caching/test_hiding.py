"""What hides secrets is quick where there are none, and misses none of those that the thorough look finds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from outlast.lms.caching.hiding import _SHAPES, HIDDEN, hide_in_text, known_secrets, without_secrets

TAIL = "aB3dE6gH9kL2mN5p"
KEYS = [
    *(
        f"{head}{sign}{TAIL}"
        for head in ("sk", "pk", "rk", "gsk", "xai", "hf", "glpat", "ghp", "gho", "ghs")
        for sign in "-_"
    ),
    *(f"{head}{TAIL}" for head in ("ghu_", "ghr_", "npm_", "r8_", "xapp-")),
    *(f"xox{kind}{sign}{TAIL}" for kind in "abprs" for sign in "-_"),
    *(f"ASIA{'A1B2C3D4' * 2}", f"SG.{TAIL}.{TAIL}", f"bearer {TAIL}", f"Bearer\t{TAIL}"),
    f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{TAIL}",
    f"-----BEGIN PRIVATE KEY-----\n{TAIL}",
    *("redis://:hunter2@host", "postgresql://me:p@ssw0rd@host/db"),
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
    assert shown.endswith(around[1].strip())


@given(PIECES)
@example("a_sk-" + TAIL)
@example("sk-" + TAIL)
def test_the_quick_look_never_misses_what_the_pattern_finds(text: str) -> None:
    assert hide_in_text(text, {}) == _SHAPES.sub(HIDDEN, text)


@pytest.mark.parametrize("sign", ["?X-Amz-Signature", "?client_secret", "&auth_token", "&amp;api_key", "#access_token"])
def test_keys_in_addresses_are_hidden(sign: str) -> None:
    assert hide_in_text(f"see https://host/a{sign}={TAIL}&page=2", {}) == f"see https://host/a{sign}={HIDDEN}&page=2"


@pytest.mark.parametrize(
    "name",
    [
        *("aws_secret_access_key", "secret_key", "refresh_token", "session_token", "passphrase", "pwd", "api_keys"),
        *("OPENAI_API_KEY_2", "private_key_pem", "client_secret", "X-API-KEY", "set-cookie"),
    ],
)
def test_what_stands_under_a_telling_name_is_hidden(name: str) -> None:
    assert without_secrets({name: "x"}, {}) == {name: HIDDEN}


@pytest.mark.parametrize("name", ["max_tokens", "token", "keyword", "monkey", "next_token", "passage", "secretary"])
def test_other_names_are_left_alone(name: str) -> None:
    assert without_secrets({name: "x"}, {}) == {name: "x"}


def test_names_that_are_secrets_stay_apart() -> None:
    assert without_secrets({f"ghp_{'a' * 20}": 1, f"ghp_{'b' * 20}": 2, f"ghp_{'c' * 20}": 3}, {}) == {
        HIDDEN: 1,
        f"{HIDDEN} 2": 2,
        f"{HIDDEN} 3": 3,
    }


def test_a_secret_that_begins_like_another_is_hidden_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASE_KEY", "acme-prod-")
    monkeypatch.setenv("A_LONGER_KEY", "acme-prod-7f3a9c2e41d8")
    assert hide_in_text("my key is acme-prod-7f3a9c2e41d8", known_secrets()) == "my key is [A_LONGER_KEY]"


def test_a_secret_is_hidden_as_json_writes_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", 'corr"ect-hor\\se é')
    for text in (json.dumps({"a": 'corr"ect-hor\\se é'}), json.dumps({"a": 'corr"ect-hor\\se é'}, ensure_ascii=False)):
        assert hide_in_text(text, known_secrets()) == '{"a": "[DB_PASSWORD]"}'


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
