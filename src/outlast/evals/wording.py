"""How numbers are said: in lines, tables and pages alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from outlast.evals.row import State
    from outlast.evals.statistics import Estimate, Interval

_METHODS = {"wilson": "Wilson"}


def is_share(scores: Sequence[float]) -> bool:
    """Whether all scores lie within 0..1, so that their mean is said in per cent."""
    return not scores or (min(scores) >= 0 and max(scores) <= 1)


def number(value: float, share: bool) -> str:
    """A mean: "72.5%" for a share, else four significant digits."""
    if math.isnan(value):
        return "n/a"
    return f"{100 * value:.1f}%" if share else f"{value:.4g}"


def span(interval: Interval, share: bool) -> str:
    """An interval without its level: "65.9..78.2"."""
    if share:
        return f"{100 * interval.low:.1f}..{100 * interval.high:.1f}"
    return f"{interval.low:.4g}..{interval.high:.4g}"


def level(value: float) -> str:
    """A confidence level: "95%"."""
    return f"{100 * value:g}%"


def estimate_text(estimate: Estimate, share: bool) -> str:
    """ "72.5% (95% CI 65.9..78.2, Wilson)"."""
    if not estimate.n:
        return "no score"
    interval = estimate.interval
    if not interval.known:
        return f"{number(estimate.value, share)} (no interval from {estimate.n})"
    method = _METHODS.get(estimate.method, estimate.method)
    return f"{number(estimate.value, share)} ({level(interval.level)} CI {span(interval, share)}, {method})"


def states_text(states: Mapping[State, int], note: str = "") -> str:
    """ "145 pass, 53 fail, 2 errors"; what did not occur is left out. `note` says how errors count."""
    texts = {state: f"{count} {state}" for state, count in states.items() if count}
    if errors := states.get("error", 0):
        texts["error"] = f"{errors} error{'s' * (errors != 1)}{note}"
    return ", ".join(texts.values()) or "nothing done"


def errors_note(errors: int, unanswered: int, on_error: str) -> str:
    """What so many errors count as: " (left out)", " (2 gave no usable answer: 0; 1 left out)"."""
    if not errors:
        return ""
    if on_error == "fail":
        return " (counted as 0)"
    if on_error == "exclude_all" or not unanswered:
        gave = f", {unanswered} gave no usable answer" if unanswered else ""
        return f" (left out{gave})"
    rest = f"; {errors - unanswered} left out" if errors > unanswered else ""
    return f" ({unanswered} gave no usable answer: counted as 0{rest})"


def models_text(counts: Mapping[str, int], asked: str) -> str:
    """ "gpt-5-mini-2025-08-07"; of several how many rows each answered; the model that was asked when none said."""
    if len(counts) < 2:
        return next(iter(counts), asked)
    return ", ".join(f"{name} ({count})" for name, count in counts.items())


def redrawn_text(redrawn: int) -> str:
    """What rows that were drawn again mean for a score."""
    runs = f"{redrawn} run{'s' * (redrawn != 1)}"
    return f"{runs} drawn again after an unusable answer, which favours the program"


def difference(value: float, share: bool) -> str:
    """A signed difference, in points for shares: "+17.5"."""
    return f"{100 * value:+.1f}" if share else f"{value:+.4g}"


def p_text(p: float, level: float = 0.95) -> str:
    """ "p<0.001" or "p=0.042"; never rounded onto the threshold that it is held against, 1 - `level`."""
    if math.isnan(p):
        return "no test"
    return "p<0.001" if p < 0.001 else f"p={p_figure(p, level, 3, 'f')}"


def p_figure(p: float, level: float, digits: int, kind: Literal["f", "g"]) -> str:
    """p with so many decimals ("f") or significant digits ("g"), and more where these would be 1 - `level` itself."""
    edge, text = 1 - level, f"{p:.{digits}{kind}}"
    while digits < 12 and abs(float(text) - edge) < 1e-12 < abs(p - edge):
        digits += 1
        text = f"{p:.{digits}{kind}}"
    return text


def duration(seconds: float) -> str:
    """ "2.5 ms", "0.4 s", "12 s", "3 min 20 s", "2 h 5 min"."""
    if math.isnan(seconds):
        return "n/a"
    if seconds < 0.1:
        return f"{1000 * seconds:.2g} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
