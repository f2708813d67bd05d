"""Compares evaluations of the same examples by the same metric: what changed, and whether it is more than chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast, overload

from outlast.errors import DataError, UsageError, brief
from outlast.evals.comparing.comparison import Comparison as Comparison
from outlast.evals.comparing.comparison import Comparisons as Comparisons
from outlast.evals.comparing.comparison import checked_delta
from outlast.evals.comparing.pairing import Flip as Flip
from outlast.evals.comparing.pairing import difference_of, pairs_of
from outlast.evals.comparing.slices import By, Correction, changes_by, check_correction, corrected, corrected_p
from outlast.evals.comparing.slices import SliceChange as SliceChange
from outlast.evals.evaluation import Evaluation
from outlast.evals.policy import OnError, check_on_error
from outlast.evals.rowfile import About


@overload
def compare(
    a: Evaluation,
    b: Evaluation,
    *,
    level: float = ...,
    min_delta: float = ...,
    on_error: OnError | None = ...,
    by: By | None = ...,
    min_n: int = ...,
    correction: Correction = ...,
    part: str | None = ...,
    seed: int = ...,
) -> Comparison: ...
@overload
def compare(
    a: Evaluation,
    b: Mapping[str, Evaluation],
    *,
    level: float = ...,
    min_delta: float = ...,
    on_error: OnError | None = ...,
    by: By | None = ...,
    min_n: int = ...,
    correction: Correction = ...,
    part: str | None = ...,
    seed: int = ...,
) -> Comparisons: ...
def compare(
    a: Evaluation,
    b: Evaluation | Mapping[str, Evaluation],
    *,
    level: float = 0.95,
    min_delta: float = 0.0,
    on_error: OnError | None = None,
    by: By | None = None,
    min_n: int = 10,
    correction: Correction = "holm",
    part: str | None = None,
    seed: int = 0,
) -> Comparison | Comparisons:
    """Compare `b` with `a`, example by example, aligned by example id; `b` may be several candidates by name.

    `level` is that of the interval and the test. `min_delta` is what `Comparison.gate` demands of the change, in score:
    below 0 the loss that is tolerated, and then counts as "no worse". `on_error` says what errors count as, as in
    `evaluate`; when None as both runs say, and it has to be said where they differ. Examples without a score in either
    are left out and counted. The unit is the example, all epochs together, and where the runs have clusters (one of
    them is enough) whole clusters. `part` compares a named part of the scores, its mean over the epochs; an error
    counts in it as in the score.

    `by` adds a change for each value of an input or target, or of a function of the row, or of several of these. Those
    with fewer than `min_n` examples are shown without a verdict. `correction` is that of their p values, and of those
    of several candidates, for how many there are: "holm" bounds the chance of one false finding, "bh"
    (Benjamini-Hochberg) their share, "none" nothing. `seed` is that of resampling, where the test uses it.

    Raises `DataError` when the metrics or the data differ, an id comes twice, or no example is scored in both. Cost: no
    LM call.
    """
    _check_options(level, min_delta, on_error, correction, min_n)
    named = _candidates(b)
    for one in (a, *named.values()):
        if not isinstance(one, Evaluation):
            raise UsageError(
                f"compare takes Evaluations, or a mapping of them by name; got {brief(one)}. A saved one is "
                f"Evaluation.from_jsonl(path)."
            )
    found: dict[str, Comparison] = {}
    for name, one in named.items():
        policy = check_comparable(a.about, one.about, name, on_error=on_error)
        pairs = pairs_of(a, one, policy, part)
        paired = difference_of(pairs.pairs, level, seed)
        slices = () if by is None else changes_by(by, pairs.pairs, level=level, min_n=min_n, seed=seed)
        found[name] = Comparison(
            a, one, paired, pairs, paired.p, level, min_delta, policy, correction, seed, part, slices, len(named)
        )
    p_values = corrected_p([one.p for one in found.values()], correction)
    groups = corrected([one.slices for one in found.values()], correction)
    for name, p, slices in zip(found, p_values, groups, strict=True):
        found[name] = replace(found[name], p=p, slices=slices)
    return Comparisons(a, found) if isinstance(b, Mapping) else found[""]


def _candidates(b: Any) -> Mapping[str, Evaluation]:
    if not isinstance(b, Mapping):
        return {"": b}
    named = cast("Mapping[Any, Any]", b)
    if not named or not all(isinstance(name, str) and name for name in named):
        raise UsageError(f"several candidates are given by name, {{'short prompt': evaluation, ...}}; got {brief(b)}")
    return named


def _check_options(level: Any, min_delta: Any, on_error: Any, correction: Any, min_n: Any) -> None:
    if not isinstance(level, int | float) or not 0 < level < 1:
        raise UsageError(f"level is a share between 0 and 1 such as 0.95; got {level!r}")
    checked_delta(min_delta)
    if on_error is not None:
        check_on_error(on_error)
    check_correction(correction, min_n)


def check_comparable(a: About, b: About, name: str = "", *, on_error: OnError | None = None) -> OnError:
    """The policy for errors of two evaluations; raises `DataError` when they cannot be compared.

    Tells it from what they are about alone, so also before the second one is run.
    """
    of = f" (candidate {name!r})" if name else ""
    if a.metric == b.metric and a.judged_by != b.judged_by:
        raise DataError(
            f"the evaluations were judged by different models{of}: {a.metric!r} asked {brief(a.judged_by)} and "
            f"{brief(b.judged_by)}, so a difference may be the judge's. Judge both with one model, "
            f"ol.Judge(..., lm=...)."
        )
    if a.metric_hash != b.metric_hash:
        hashes = f"{a.metric!r} ({a.metric_hash[:8]}) and {b.metric!r} ({b.metric_hash[:8]})"
        same = " They have one name, but the code, or what it names (a judge's prompt or model, data), is another."
        raise DataError(
            f"the evaluations have different metrics{of}: {hashes}.{same * (a.metric == b.metric)} "
            f"Score both with one metric."
        )
    if a.data_hash and b.data_hash and a.data_hash != b.data_hash:
        raise DataError(
            f"the evaluations ran on different data{of} ({a.data_hash[:8]}, {a.total} examples; {b.data_hash[:8]}, "
            f"{b.total} examples). Run both on the same data set."
        )
    if a.reducer != b.reducer or not _same_epochs(a, b):
        raise DataError(
            f"the scores of examples were made in different ways{of}: {a.reducer} of {a.epochs} epochs and {b.reducer} "
            f"of {b.epochs}. Make them alike with evaluation.reduced(...), or run both with the same epochs."
        )
    if a.threshold != b.threshold and a.rule.epochs.counts_passes:
        raise DataError(
            f"the scores of examples were made in different ways{of}: {a.reducer} counts runs that pass, with a score "
            f"of {a.threshold:g} or more in one and {b.threshold:g} in the other. Run both with the same threshold, or "
            f"make them alike with evaluation.reduced('mean')."
        )
    if on_error is not None or a.on_error == b.on_error:
        return on_error or a.on_error
    raise DataError(
        f"errors count differently in the two evaluations{of}: {a.on_error!r} and {b.on_error!r}. Say which holds for "
        f"both: on_error={a.on_error!r}."
    )


def _same_epochs(a: About, b: About) -> bool:
    """Whether epochs are as many, or the reducer expects the same of any number of them."""
    return a.epochs == b.epochs or a.reducer.startswith(("mean", "pass"))
