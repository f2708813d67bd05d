"""Scores, metrics, evaluations and comparisons, each number with its interval and errors kept apart."""

from outlast.evals.comparing.compare import Comparison, Comparisons, Flip, SliceChange, compare
from outlast.evals.comparing.gate import Gate
from outlast.evals.evaluate import aevaluate, evaluate
from outlast.evals.evaluation import Evaluation
from outlast.evals.metrics import answer_in, exact_match, json_equal, numeric, token_f1
from outlast.evals.progress import Snapshot
from outlast.evals.row import Row, RowError
from outlast.evals.rowfile import About
from outlast.evals.runner import RowRunner
from outlast.evals.score import Score, Unscored, as_score, metric, unscored
from outlast.evals.statistics import Estimate, Interval, Paired, estimate_mean, paired_difference
from outlast.evals.tally import ErrorGroup
from outlast.tracing.identity import metric_hash, program_hash

__all__ = [
    "About",
    "Comparison",
    "Comparisons",
    "ErrorGroup",
    "Estimate",
    "Evaluation",
    "Flip",
    "Gate",
    "Interval",
    "Paired",
    "Row",
    "RowError",
    "RowRunner",
    "Score",
    "SliceChange",
    "Snapshot",
    "Unscored",
    "aevaluate",
    "answer_in",
    "as_score",
    "compare",
    "estimate_mean",
    "evaluate",
    "exact_match",
    "json_equal",
    "metric",
    "metric_hash",
    "numeric",
    "paired_difference",
    "program_hash",
    "token_f1",
    "unscored",
]
