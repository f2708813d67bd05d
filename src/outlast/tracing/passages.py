"""Where in the text of a trace the words of a search stand: the passage that a list shows."""

from __future__ import annotations

FRAME = "\x1e"  # stands between what was said and the frames of prompts, which are shown when nothing else holds a word
BEGIN, END = "\x02", "\x03"  # around the words that were found
_WORDS = 24  # of a passage
_BEFORE = 4  # of them before the first word that was found
_LONGEST = 60  # characters of one word that is shown


def passage(marked: str) -> str:
    """The passage of a text with marked words that holds most different ones of them, the first of several; one of what
    was said rather than of a prompt. In it `[` and `]` stand around the words."""
    for section in marked.split(FRAME):
        words = section.split()
        found = [at for at, word in enumerate(words) if BEGIN in word]
        if found:
            return _shown(words, max(0, _best(words, found) - _BEFORE))
    return _shown(marked.replace(FRAME, " ").split(), 0)


def _best(words: list[str], found: list[int]) -> int:
    """The place from which a passage holds most different words, most of them in all."""

    def held(first: int) -> tuple[int, int]:
        inside = [at for at in found if first <= at < first + _WORDS - _BEFORE]
        return len({words[at].strip(BEGIN + END).lower() for at in inside}), len(inside)

    return max(found[:200], key=lambda at: (held(at), -at))


def _shown(words: list[str], start: int) -> str:
    some = words[start : start + _WORDS]
    cut = [word if len(word) <= _LONGEST else _short(word) for word in some]
    text = " ".join(cut).replace(BEGIN, "[").replace(END, "]")
    return ("… " if start else "") + text + (" …" if start + _WORDS < len(words) else "")


def _short(word: str) -> str:
    """A word that is too long, around what was found in it."""
    at = max(0, word.find(BEGIN) - _LONGEST // 3)
    end = word.find(END, at)
    cut = word[at : max(at + _LONGEST, end + 1)]
    open_end = END if cut.count(BEGIN) > cut.count(END) else ""  # of another that goes on behind the cut
    return ("…" if at else "") + cut + open_end + ("…" if at + len(cut) < len(word) else "")
