"""Keys, tokens and passwords: found by their forms and by the words before them, and what is none left alone."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.checks.secrets import find_secrets
from outlast.errors import UsageError

sys.path.insert(0, str(Path(__file__).parent / "corpus"))

import safety  # noqa: E402

AWS = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzSAMPLEKEY"
AZURE = "abcDEF123+/9zyxW" * 5 + "kLm8Qw=="
UNSEEN = "ghp_" + "\u200b".join("a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8")
HOSTILE = (
    ["sk-", "eyJ", "eyJa.", "a://b:", "password=", "Bearer ", "ghp_a1", "-----BEGIN PRIVATE KEY-----", "xoxb-1-", "a"]
    + ["1", "key: ", "secret_", "\ud800", "api key is ", "-----BEGIN "]
)  # fmt: skip


def values(text: str) -> list[tuple[str, str]]:
    return [(item.kind, text[item.start : item.end]) for item in find_secrets(text)]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (f"aws_secret_access_key = {AWS}", "key", AWS),
        ('{"apiKey": "9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c"}', "key", "9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c"),
        ("my password is hunter2!", "password", "hunter2"),
        ("PASSWORD='Tr0ub4dor&3'", "password", "Tr0ub4dor&3"),
        ("redis://:s3cr3tpw@cache:6379/0", "password", "s3cr3tpw"),
        (f"AccountKey={AZURE};Endpoint", "azure_key", AZURE),
        ("Authorization: Basic dXNlcjpwYXNzd29yZDEyMw==", "credential", "dXNlcjpwYXNzd29yZDEyMw=="),
        (f"key {UNSEEN}!", "github_token", UNSEEN),
        ("-----BEGIN PRIVATE KEY-----\nMIIB cut off", "private_key", "-----BEGIN PRIVATE KEY-----\nMIIB cut off"),
    ],
)  # fmt: skip
def test_secrets_are_found(text: str, kind: str, value: str) -> None:
    assert values(text) == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "eyJub3QiOiJhIGhlYWRlciJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",  # no "alg"
        "password: str, token: int = 3, secret: Optional[bytes], key = keys[0]",
        "password = config.password\nsecret = settings.SECRET_KEY_2\ntoken = get_token()",
        "The password is wrong. Which password? A password: at least 8 characters, 1 digit.",
        "sk-learn-compatible-estimator, sk-SK, task-1234-description-of-the-work",
        "api key: see https://example.com/docs/keys/v1/abc123def456",
        "postgres://user:${PASSWORD}@host/db and https://user:pass@example.com",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "bearer of bad news 12345678901234567890",
    ],
)
def test_what_only_looks_like_a_secret_is_left_alone(text: str) -> None:
    assert values(text) == []


def test_made_up_secrets_are_found_and_harmless_texts_are_not() -> None:
    made = safety.secrets(420, seed=20261129)
    counts = safety.secret_counts(find_secrets, made)
    together = safety.ranked(counts.values())
    assert together.precision == 1.0
    assert together.recall >= 0.98
    assert {kind for kind, one in counts.items() if one.recall < 0.9} == set()
    assert [text for text in safety.harmless(700, seed=20261129) if find_secrets(text)] == []


def test_the_code_of_this_project_holds_no_secret_but_one_that_is_made_up() -> None:
    files = sorted((safety.ROOT / "src").rglob("*.py"))
    assert len(files) > 300
    assert [path.name for path in files if find_secrets(path.read_text(encoding="utf-8"))] == ["sandbox_probes.py"]


def test_the_check_names_no_secret_and_puts_placeholders() -> None:
    key = "sk-proj-abcDEF123456ghiJKL789"
    check = ol.checks.no_secrets("answer", on_fail="fix")
    result = check.run({"answer": f"use {key}, again {key}"})
    assert result is not None
    assert result.message == "secrets in 'answer' (2 openai key); leave them out"
    assert result.fix == {"answer": "use <OPENAI_KEY_1>, again <OPENAI_KEY_1>"}
    assert key not in repr(result)
    assert check.run({"answer": "use your own key"}) == ol.CheckResult(True)
    allowing = ol.checks.no_secrets("answer", allow=[key])
    assert allowing.run({"answer": f"use {key}"}) == ol.CheckResult(True)
    assert json.dumps([item.text for item in result.found]) == '["", ""]'


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_text_takes_time_in_proportion_to_its_length(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    began = time.process_time()
    find_secrets(text)
    assert time.process_time() - began < 6


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: ol.checks.no_secrets(), "takes names of fields"),
        (lambda: ol.checks.no_secrets("a", allow=[""]), "allow holds texts"),
        (lambda: find_secrets(3), "takes a text"),  # pyright: ignore[reportArgumentType]
        (lambda: ol.checks.no_secrets("a").run({"a": b"x"}), "looks at text"),
    ],
)
def test_bad_input_is_refused(call: Any, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        call()
