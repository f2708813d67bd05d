"""The totals of an evaluation and of a comparison as JSON-ready data, for other programs. No number is NaN."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from outlast.data.jsonform import json_form

if TYPE_CHECKING:
    from outlast.evals.comparing.comparison import Comparison
    from outlast.evals.evaluation import Evaluation


def evaluation_json(result: Evaluation) -> dict[str, Any]:
    """The totals of an evaluation as JSON-ready data; a score that does not exist is null."""
    score = result.score
    low, high = score.interval.low, score.interval.high
    return {
        "program": result.program,
        "metric": result.metric,
        "n": result.n,
        "scored": score.n,
        "score": score.value if math.isfinite(score.value) else None,
        "interval": [low, high] if math.isfinite(low) and math.isfinite(high) else None,
        "level": score.interval.level,
        "method": score.method,
        "states": dict(result.states),
        "unanswered": result.unanswered,
        "errors": [{"count": group.count, "error": str(group)} for group in result.errors],
        "checks": {name: one.to_json() for name, one in result.checks.items()},
        "models": list(result.models),
        "fingerprints": result.fingerprints,
        "spending": result.spending.to_json(),
        "seconds": round(result.seconds, 3),
        "stopped": result.stopped,
        "saved": result.saved,
        "reads": None if result.reads is None else result.reads.to_json(),
        "data": result.data_hash,
    }


def comparison_json(result: Comparison, limit: int) -> dict[str, Any]:
    """A comparison as JSON-ready data, with the `limit` worst of the examples that changed."""
    paired, pairs = result.paired, result.pairs
    seen = result.mde()
    data = {
        "verdict": result.verdict,
        "before": result.a_mean,
        "after": result.b_mean,
        "difference": paired.difference,
        "interval": [paired.interval.low, paired.interval.high] if paired.interval.known else None,
        "level": result.level,
        "p": result.p,
        "method": result.method,
        "mde": seen if math.isfinite(seen) else None,
        "n": paired.n,
        "wins": paired.wins,
        "losses": paired.losses,
        "ties": paired.ties,
        "left_out": {
            "errors_before": pairs.a_errors,
            "errors_after": pairs.b_errors,
            "unscored": pairs.unscored,
            "unmatched": len(pairs.unmatched),
        },
        "flips": [
            {
                "id": flip.id,
                "before": flip.a_score,
                "after": flip.b_score,
                "inputs": json_form(flip.b.inputs, lenient=True),
            }
            for flip in result.flips[:limit]
        ],
    }
    if result.slices:
        data["slices"] = [one.to_json() for one in result.slices]
        data["correction"] = result.correction
    return data
