"""What a compile shows on a terminal while it runs: where it stands, the score so far, spending, the best prompt."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from outlast.adapters.protocol import Demo
from outlast.modules.paths import parameters
from outlast.runtime import Budget

if TYPE_CHECKING:
    from rich.text import Text

    from outlast.modules.module import Module
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.standing import Progress

BLOCKS = "▁▂▃▄▅▆▇█"
MOST_CHANGES = 6  # lines of the best prompt
_BAR = 24
_CURVE = 40  # characters


def change_lines(start: Module, best: Module, *, most: int = MOST_CHANGES) -> list[str]:
    """What is different in a program, in a few lines: "+ " and "- " for lines of texts, words for the rest."""
    before, after = parameters(start), parameters(best)
    lines: list[str] = []
    for path, value in after.items():
        old = before.get(path)
        if path in before and _equal(old, value):
            continue
        if isinstance(value, str) and isinstance(old, str):
            changed = [line for line in difflib.ndiff(old.split("\n"), value.split("\n")) if line[:2] in ("+ ", "- ")]
            lines += [f"{line[:2]}{line[2:].strip()}" for line in changed if line[2:].strip()]
        elif _demos(value) is not None:
            lines.append(f"{path}: {_demos(old) or 0} -> {_demos(value)} demonstrations")
        else:
            lines.append(f"{path}: {_short(value)}")
    return lines if len(lines) <= most else [*lines[: most - 1], f"… {len(lines) - most + 1} more"]


def _equal(a: Any, b: Any) -> bool:
    try:
        return bool(a == b)
    except Exception:  # values of users may not compare
        return False


def _demos(value: Any) -> int | None:
    if isinstance(value, tuple) and all(isinstance(one, Demo) for one in value):  # pyright: ignore[reportUnknownVariableType]
        return len(value)  # pyright: ignore[reportUnknownArgumentType]
    return None


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 80 else f"{text[:79]}…"


def success_counts(candidates: Sequence[Candidate], accepted: Sequence[Candidate]) -> dict[str, tuple[int, int]]:
    """By the name of what made them: how many candidates a search built on, of how many."""
    kept = {one.id for one in accepted}
    counts: dict[str, tuple[int, int]] = {}
    for one in candidates:
        if one.operator:
            good, tried = counts.get(one.operator, (0, 0))
            counts[one.operator] = (good + (one.id in kept), tried + 1)
    return counts


def screen(state: Progress, budget: Budget, seconds: float, width: int = 100) -> Text:
    """The live view as lines of at most `width` characters."""
    from rich.text import Text

    text = Text(no_wrap=True, overflow="ellipsis")
    for number, (label, words) in enumerate(_rows(state, budget, seconds)):
        if number:
            text.append("\n")
        text.append(f"{label:<11}", style="dim")
        room = max(10, width - 11)
        words = words if len(words) <= room else f"{words[: room - 1]}…"
        style = {"+": "green", "-": "red"}.get(words[:1], "") if label == "" else "bold" if not number else ""
        text.append(words, style=style)
    return text


def _rows(state: Progress, budget: Budget, seconds: float) -> list[tuple[str, str]]:
    done = min(1.0, state.rollouts / state.expected) if state.expected else 0.0
    filled = round(_BAR * done)
    bar = "━" * filled + "╌" * (_BAR - filled)
    clock = f"{int(seconds) // 60}:{int(seconds) % 60:02}"
    resumed = f" · resumed, {state.known:,} replies known" if state.known else ""
    rows = [(state.phase, f"{bar} {state.rollouts:,} of at most {state.expected:,} rollouts · {clock}{resumed}")]
    if state.score is not None and state.start_score is not None:
        curve = sparkline(state.curve) if len(state.curve) > 1 else ""
        rows.append(("score", f"{curve} {_scores(state)}".strip()))
    rows.append(("spent", f"{state.meter.paid}" + (f" of {budget}" if budget != Budget() else "")))
    if state.proposing is not None:
        rows.append(("proposals", f"{state.proposing.paid}"))
    tried = [f"{state.candidates} candidate{'s' if state.candidates != 1 else ''}"]
    if state.phase == "search" and state.alive > 1:
        tried.append(f"{state.alive} alive")
    tried += [f"{name} {good}/{all_}" for name, (good, all_) in state.operators.items()]
    rows.append(("tried", " · ".join(tried)))
    if state.leader not in ("", "start"):
        rows.append(("best", f"{state.leader}: {' '.join(state.best_origin.split())}"))
        rows += [("", _plain(line)) for line in state.best_diff]
    if state.note:
        rows.append(("note", state.note))
    return rows


def _plain(line: str) -> str:
    """Text of models cannot move the cursor."""
    return "".join(character if character.isprintable() else "·" for character in line)


def _scores(state: Progress) -> str:
    assert state.score is not None
    assert state.start_score is not None
    ends = () if state.low is None or state.high is None else (state.low, state.high)
    start, best, *between = said_together(state.start_score, state.score, *ends)
    return f"start {start}, best {best}{f' ({between[0]}..{between[1]})' if between else ''} while ranking"


def said_together(start: float, best: float, *ends: float) -> list[str]:
    """Scores in per cent when the first two lie within 0 to 1, else in four digits."""
    from outlast.evals.wording import is_share, number

    share = is_share([start, best])
    return [number(value, share) for value in (start, best, *ends)]


def sparkline(values: Sequence[float]) -> str:
    """A curve in one line of at most 40 characters, the newest at the right; from the lowest value to the highest."""
    if len(values) > _CURVE:
        values = [values[round(place * (len(values) - 1) / (_CURVE - 1))] for place in range(_CURVE)]
    if not values:
        return ""
    low, high = min(values), max(values)
    span = high - low
    return "".join(BLOCKS[round((value - low) / span * (len(BLOCKS) - 1)) if span > 1e-9 else 3] for value in values)


def interval_of(values: Mapping[str, float]) -> tuple[float, float] | None:
    """A quick 95% interval of a mean while ranking; None for less than two values."""
    from outlast.evals.statistics import t_interval, wilson

    some = list(values.values())
    if len(some) < 2:
        return None
    found = wilson(round(sum(some)), len(some)) if set(some) <= {0.0, 1.0} else t_interval(some)
    return found.low, found.high
