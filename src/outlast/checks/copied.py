"""A check of copying: how long the longest run of words is that a text shares with a set of references."""

from __future__ import annotations

import hashlib
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from typing import Any, cast

from outlast.checks.check import Check, CheckResult, Found
from outlast.checks.factory import factory
from outlast.checks.policy import Policy
from outlast.checks.reading import FINE, Span, count, of_text, whole
from outlast.errors import UsageError, brief

_WORD = re.compile(r"\w+")
_SAME = 32  # places of one window that are tried; more of it are boilerplate


@factory
def not_copied(
    field: str,
    references: Iterable[Any],
    *,
    max_run: int = 12,
    max_share: float | None = None,
    each: bool = False,
    on_fail: Policy | str = "raise",
) -> Check:
    """No run of more than `max_run` words of the text is, in this order, in one of the references (texts or documents).

    `max_share` also limits the share of the text's five-word windows that are in any reference, from 0 to 1: copying in
    small pieces. Case and punctuation do not count. The score is the share of words outside of runs that are too long.
    The references are indexed once, when the check is made (windows of half a run, by rolling steps: linear time; about
    16 bytes a word with `max_share`, less without); 10,000 abstracts of 200 words took one second of CPU, four with
    `max_share`. A window that stands in more than 32 places is tried in the first 32. Raises `UsageError` for no
    references.
    """
    whole("not_copied", "max_run", max_run, 3)
    if max_share is not None and (
        isinstance(max_share, bool) or not isinstance(max_share, int | float) or not 0 <= max_share < 1
    ):
        raise UsageError(f"ol.checks.not_copied: max_share is a share from 0, below 1; got {brief(max_share)}")
    texts = _texts(references)
    index = _Index(texts, max_run + 1, max_share is not None)

    def judge(text: str) -> CheckResult:
        spans = [match.span() for match in _WORD.finditer(text)]
        ids = index.ids(text)
        runs = index.runs(ids)
        places = tuple(
            Found(field, spans[a][0], spans[b - 1][1], "copied", text[spans[a][0] : spans[b - 1][1]])
            for a, b, _ in runs
        )
        problems: list[str] = []
        if runs:
            longest = max(range(len(runs)), key=lambda number: runs[number][1] - runs[number][0])
            a, b, reference = runs[longest]
            quoted = brief(places[longest].text, 160)
            problems.append(
                f"repeats {count(b - a, 'word')} in a row of reference {reference + 1}, of at most {max_run}: {quoted}"
            )
        share = index.share(ids) if max_share is not None else 0.0
        if max_share is not None and share > max_share:
            problems.append(
                f"has {share:.0%} of its five-word windows from the references; at most {max_share:.0%} may be"
            )
        if not problems:
            return FINE
        score = 1 - sum(b - a for a, b, _ in runs) / len(ids)
        return CheckResult(False, f"{field!r} {'; it '.join(problems)}; say it in other words", score, places)

    digest = hashlib.blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    options: dict[str, Any] = {"references": digest, "max_run": max_run, "max_share": max_share}
    return of_text("not_copied", field, judge, on_fail=on_fail, each=each, **options)


def _texts(references: Any) -> list[str]:
    if isinstance(references, str | bytes) or not isinstance(references, Iterable):
        raise UsageError(f"ol.checks.not_copied: references is a list of texts or documents; got {brief(references)}")
    texts: list[str] = []
    for one in cast("Iterable[Any]", references):
        text = one if isinstance(one, str) else getattr(one, "text", None)
        if not isinstance(text, str):
            raise UsageError(
                f"ol.checks.not_copied: references is a list of texts or documents; got {brief(one)} in it"
            )
        texts.append(text)
    if not texts:
        raise UsageError("ol.checks.not_copied: references is empty, so that nothing could be copied")
    return texts


class _Index:
    """References as numbers of words, and where windows of `size` words stand, one every `stride` words.

    A run of `least` words holds a whole window at one of these places whatever its start, so that none is missed.
    """

    def __init__(self, texts: list[str], least: int, windows: bool) -> None:
        self.least, self.size = least, (least + 1) // 2
        self.stride = least - self.size + 1
        self.numbers: dict[str, int] = {}
        self.all = array("L")
        self.starts: list[int] = []
        self.places: dict[int, list[int]] = {}
        fives: set[int] = set()
        for text in texts:
            begin = len(self.all)
            self.starts.append(begin)
            self.all.extend(self.numbers.setdefault(word, len(self.numbers) + 1) for word in _split(text))
            for place in range(begin, len(self.all) - self.size + 1, self.stride):
                same = self.places.setdefault(hash(tuple(self.all[place : place + self.size])), [])
                if len(same) < _SAME:
                    same.append(place)
            if windows:
                fives.update(hash(tuple(self.all[at : at + 5])) for at in range(begin, len(self.all) - 4))
            self.all.append(0)  # between two references: the number of no word
        self.fives = array("q", sorted(fives))

    def ids(self, text: str) -> list[int]:
        """The numbers of the words of a text; -1 for words that no reference has."""
        return [self.numbers.get(word, -1) for word in _split(text)]

    def runs(self, ids: list[int]) -> list[tuple[int, int, int]]:
        """Start, end and reference of the runs of `least` words or more, from left to right, none inside another."""
        found: list[tuple[int, int, int]] = []
        at = 0
        while at + self.size <= len(ids):
            best: tuple[int, int, int] | None = None
            for place in self.places.get(hash(tuple(ids[at : at + self.size])), ()):
                span = self._grown(ids, at, place, found[-1][1] if found else 0)
                if span is not None and (best is None or span[1] > best[1]):
                    best = *span, place
            if best is None:
                at += 1
                continue
            found.append((best[0], best[1], self._reference(best[2])))
            at = best[1]
        return found

    def _grown(self, ids: list[int], at: int, place: int, floor: int) -> Span | None:
        """The run around a window that is the same in the text and at a place, when it is long enough."""
        if tuple(ids[at : at + self.size]) != tuple(self.all[place : place + self.size]):
            return None
        before = 0
        while at - before > floor and place > before and before < self.least:
            if ids[at - before - 1] != self.all[place - before - 1]:
                break
            before += 1
        end = self.size
        while at + end < len(ids) and ids[at + end] == self.all[place + end]:
            end += 1
        return (at - before, at + end) if before + end >= self.least else None

    def _reference(self, place: int) -> int:
        return bisect_left(self.starts, place + 1) - 1

    def share(self, ids: list[int]) -> float:
        """The share of the windows of five words that are in a reference."""
        total = len(ids) - 4
        if total < 1:
            return 0.0
        hits = 0
        for at in range(total):
            key = hash(tuple(ids[at : at + 5]))
            index = bisect_left(self.fives, key)
            hits += index < len(self.fives) and self.fives[index] == key
        return hits / total


def _split(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]
