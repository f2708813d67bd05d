"""Pseudo-words: texts with cues that no real language model has seen, and that no tokenizer confuses with English."""

from __future__ import annotations

from random import Random

_STARTS = "b/br/d/dr/f/g/gl/k/kr/l/m/n/p/pl/r/s/sk/sp/st/t/tr/v/z"
_MIDDLES = "aeiou"
_LINKS = "l/ld/lm/n/nd/nk/r/rb/rk/rn/s/st/v/x/z/m"
_ENDS = "a/ek/il/im/o/on/or/u/un/ax/en/ith"
_REAL = "/salon/melon/demon/lemon/prior/minor/motor/rotor/tenor/manor/donor/savor/vigor/persona/"


def pseudo_words(rng: Random, number: int) -> list[str]:
    """That many different pronounceable words of 5 to 10 letters which are no English words."""
    starts, links, ends = _STARTS.split("/"), _LINKS.split("/"), _ENDS.split("/")
    found: dict[str, None] = {}
    while len(found) < number:
        parts = [rng.choice(starts), rng.choice(_MIDDLES), rng.choice(links)]
        if rng.random() < 0.5:
            parts += [rng.choice(_MIDDLES), rng.choice("dlnrstvz")]
        word = "".join([*parts, rng.choice(ends)])
        if len(word) > 4 and f"/{word}/" not in _REAL:
            found[word] = None
    return list(found)
