"""Languages: told by letters, then by words; in doubt a text passes."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import UsageError

_SPEC = importlib.util.spec_from_file_location(
    "language_samples", Path(__file__).with_name("corpus") / "language_samples.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)
SAMPLES: dict[str, list[str]] = _MODULE.SAMPLES


@pytest.mark.parametrize("code", SAMPLES)
def test_each_language_passes_as_itself(code: str) -> None:
    for text in SAMPLES[code]:
        own = ol.checks.language("answer", code).run({"answer": text})
        assert own is not None
        assert own.ok, own.message
        either = ol.checks.language("answer", ["en", code]).run({"answer": text})
        assert either is not None
        assert either.ok


def test_other_languages_fail_as_english() -> None:
    given = [ol.checks.language("answer", "en").run({"answer": text}) for texts in SAMPLES.values() for text in texts]
    caught = [one for one in given if one is not None and not one.ok]
    assert len(caught) >= 0.95 * len(given)


@pytest.mark.parametrize(
    ("expected", "text", "seen"),
    [
        ("en", "Die Karte ist nicht angekommen und ich weiß nicht, warum.", "German"),
        ("en", "为什么我的转账还没有到账？我昨天就已经转了。", "Chinese"),
        ("zh", "なぜ私の送金はまだ届いていないのですか。", "Japanese"),
        ("ja", "为什么我的转账还没有到账？我昨天就已经转了。", "Chinese"),
        ("de", "Why has my transfer not arrived yet? I made it yesterday.", "English"),
        ("ru", "Чому мій переказ досі не надійшов на рахунок?", "Ukrainian"),
    ],
)
def test_the_message_names_what_it_looks_like(expected: str, text: str, seen: str) -> None:
    given = ol.checks.language("answer", expected).run({"answer": text})
    assert given is not None
    assert f"looks like {seen}; write it in" in given.message


@pytest.mark.parametrize("text", ["", "ok", "1234567890 " * 10, "Sure, 42!", "!" * 100, "`der die das und nicht ein`"])
def test_too_few_letters_are_not_judged(text: str) -> None:
    assert ol.checks.language("answer", "en").run({"answer": text}) is None


def test_code_addresses_and_names_do_not_count() -> None:
    check = ol.checks.language("answer", "en")
    for text in (
        "Use this:\n```\nимпорт ввод\nпечать ввод вывод\n```\nand then it should work for you.",
        "It is at https://example.test/der-die-das-und-nicht-ein and that is all there is.",
        "Gerhard Schröder, Jürgen Müller, Björn Åkesson",
    ):
        given = check.run({"answer": text})
        assert given is not None
        assert given.ok


@pytest.mark.parametrize(
    "options", [{"expected": "xx"}, {"expected": []}, {"expected": "english"}, {"least": 0}, {"share": 2}]
)
def test_wrong_options_are_refused(options: Any) -> None:
    with pytest.raises(UsageError, match=r"ol\.checks\.language"):
        ol.checks.language("answer", **options)


@pytest.mark.parametrize(
    "text", ["a " * 500_000, "`" * 1_000_000, "\udc80" * 1_000_000, "漢" * 1_000_000, "http://" * 150_000]
)
def test_hostile_text_takes_little_time(text: str) -> None:
    started = time.process_time()
    ol.checks.language("answer", "en").run({"answer": text})
    assert time.process_time() - started < 2
