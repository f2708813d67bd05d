"""A check of the language of a text, by its letters and its most common words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from outlast.checks.check import Check, CheckResult
from outlast.checks.factory import factory
from outlast.checks.language_words import ENDINGS, LETTERS, WORDS
from outlast.checks.policy import Policy
from outlast.checks.reading import FINE, listed, of_text, whole
from outlast.errors import UsageError, did_you_mean

LOOKED_AT = 20_000
"""Characters of a text that are looked at, from its start."""

SCRIPTS = {
    "latin": "en de fr es it pt nl sv da no fi pl cs tr ro hu id vi",
    "cyrillic": "ru uk bg sr",
    "greek": "el",
    "arabic": "ar fa ur",
    "hebrew": "he",
    "devanagari": "hi mr ne",
    "bengali": "bn",
    "tamil": "ta",
    "telugu": "te",
    "thai": "th",
    "georgian": "ka",
    "armenian": "hy",
    "hangul": "ko",
    "han": "zh ja",
    "kana": "ja",
}
NAMES = {
    "en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese",
    "nl": "Dutch", "sv": "Swedish", "da": "Danish", "no": "Norwegian", "fi": "Finnish", "pl": "Polish",
    "cs": "Czech", "tr": "Turkish", "ro": "Romanian", "hu": "Hungarian", "id": "Indonesian", "vi": "Vietnamese",
    "ru": "Russian", "uk": "Ukrainian", "bg": "Bulgarian", "sr": "Serbian", "el": "Greek", "ar": "Arabic",
    "fa": "Persian", "ur": "Urdu", "he": "Hebrew", "hi": "Hindi", "mr": "Marathi", "ne": "Nepali",
    "bn": "Bengali", "ta": "Tamil", "te": "Telugu", "th": "Thai", "ka": "Georgian", "hy": "Armenian",
    "ko": "Korean", "zh": "Chinese", "ja": "Japanese",
}  # fmt: skip
_BLOCKS = {
    "CJK": "han", "HIRAGANA": "kana", "KATAKANA": "kana", "HANGUL": "hangul", "LATIN": "latin", "CYRILLIC": "cyrillic",
    "GREEK": "greek", "ARABIC": "arabic", "HEBREW": "hebrew", "DEVANAGARI": "devanagari", "BENGALI": "bengali",
    "TAMIL": "tamil", "TELUGU": "telugu", "THAI": "thai", "GEORGIAN": "georgian", "ARMENIAN": "armenian",
}  # fmt: skip
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")  # noqa: RUF001
_ASIDE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|\S+@\S+", re.DOTALL)
_DENSE = ("han", "kana", "hangul", "devanagari", "bengali", "tamil", "telugu", "thai")  # a letter is about a syllable
_MARGIN = 1.5  # how much better another language has to fit; measured in benchmarks/checks_text.py


@factory
def language(
    field: str,
    expected: str | Iterable[str] = "en",
    *,
    least: int = 20,
    share: float = 0.7,
    each: bool = False,
    on_fail: Policy | str = "raise",
) -> Check:
    """The text is in this language, or in one of these, by two-letter code.

    First by letters: `share` of them are of a script of the language (Japanese: with kana). Where several languages
    share a script, by their most common words, letters and endings: the text fails when another language fits clearly
    better, and passes in doubt. Program text in backticks and addresses are left out. It does not apply below `least`
    letters (a third of that where a letter is a syllable). For Latin script: en, de, fr, es, it, pt, nl, sv, da, no,
    fi, pl, cs, tr, ro, hu, id, vi; Cyrillic: ru, uk, bg, sr; Arabic: ar, fa, ur. Only the first 20,000 characters are
    looked at.
    """
    codes = tuple(dict.fromkeys(listed("language", "expected", [expected] if isinstance(expected, str) else expected)))
    for code in codes:
        if code not in NAMES:
            raise UsageError(
                f"ol.checks.language: no language {code!r}.{did_you_mean(code, NAMES)} Languages: {', '.join(NAMES)}."
            )
    whole("language", "least", least, 1)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise UsageError(f"ol.checks.language: share is above 0, at most 1; got {share!r}")
    wanted = " or ".join(NAMES[code] for code in codes)

    def judge(text: str) -> CheckResult | None:
        plain = _ASIDE.sub(" ", text[:LOOKED_AT])
        counts = Counter(map(_script, filter(str.isalpha, plain)))
        letters = sum(counts.values())
        dense = sum(counts[script] for script in _DENSE)
        if letters < (least if dense * 2 < letters else max(1, least // 3)):
            return None
        seen = detected(plain, counts, codes, share)
        if seen is None:
            return FINE
        return CheckResult(False, f"{field!r} looks like {seen}; write it in {wanted}")

    options = {"expected": codes, "least": least, "share": share}
    return of_text("language", field, judge, on_fail=on_fail, each=each, **options)


def detected(plain: str, counts: Counter[str], codes: tuple[str, ...], share: float) -> str | None:
    """The other language or script that a text is in; None when it is in one of these, or in doubt."""
    letters = sum(counts.values())
    scripts = {script for script, held in SCRIPTS.items() if set(held.split()) & set(codes)}
    fitting = sum(counts[script] for script in scripts)
    if fitting < share * letters:
        script = max((one for one in counts if one not in scripts), key=lambda one: counts[one])
        held = SCRIPTS.get(script, "").split()
        if script == "han" and counts["kana"]:
            return "Japanese"
        return NAMES[held[0]] if len(held) == 1 or script in ("han", "cyrillic", "arabic") else f"{script} script"
    if "han" in scripts and counts["han"] + counts["kana"] > letters / 2:
        kana = counts["kana"] / (counts["han"] + counts["kana"])
        if "ja" not in codes and kana > 0.1:
            return "Japanese"
        return "Chinese" if "zh" not in codes and kana < 0.02 and counts["han"] > 12 else None
    script = counts.most_common(1)[0][0]
    rivals = [code for code in SCRIPTS.get(script, "").split() if code in WORDS]
    if len(rivals) < 2:
        return None
    scores = fits(plain, rivals)
    best = max(rivals, key=lambda code: scores[code])
    own = max((scores[code] for code in codes if code in scores), default=0.0)
    near = {"no": "da", "da": "no"}
    if best in codes or near.get(best) in codes or scores[best] < 2 or scores[best] < own * _MARGIN + 0.5:
        return None
    return NAMES[best]


def fits(plain: str, codes: list[str]) -> dict[str, float]:
    """How well a text fits languages: its words that are common in each (the less, the more have them), its letters and
    the endings of its longer words."""
    scores = dict.fromkeys(codes, 0.0)
    lists = _owners(tuple(codes))
    found = _WORD.findall(plain)
    words = [word.lower() for word in found]
    small = " ".join(word for word in found if word[0].islower())  # names keep the letters of their own language
    for word in words:
        for part in {word, word.partition("'")[0]} if "'" in word else (word,):
            owners = lists.get(part, ())
            for code in owners:
                scores[code] += 1 / len(owners) ** 0.5
    for code in codes:
        marks = sum(small.count(letter) for letter in LETTERS.get(code, ""))
        scores[code] += 0.5 * min(marks, len(words))
        endings = ENDINGS.get(code)
        if endings:
            scores[code] += 0.25 * sum(len(word) > 5 and word.endswith(endings) for word in words)
    return scores


@lru_cache(maxsize=8)
def _owners(codes: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    held: dict[str, list[str]] = {}
    for code in codes:
        for word in WORDS[code].split():
            held.setdefault(word, []).append(code)
    return {word: tuple(owners) for word, owners in held.items()}


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    name = unicodedata.name(letter, "").replace("FULLWIDTH ", "").replace("HALFWIDTH ", "")
    return _BLOCKS.get(name.partition(" ")[0].partition("-")[0], "other")
