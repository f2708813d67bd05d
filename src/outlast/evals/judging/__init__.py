"""Judges: rubrics, the labels of people, models that judge by them, and how far they agree."""

from outlast.evals.judging.agreeing import agrees
from outlast.evals.judging.align import aalign, align
from outlast.evals.judging.alignment import Alignment, Disagreement, LeftOut
from outlast.evals.judging.correcting import CorrectedRate
from outlast.evals.judging.judge import Judge
from outlast.evals.judging.judges import Judges
from outlast.evals.judging.label import Item, Label
from outlast.evals.judging.labels import Labels
from outlast.evals.judging.length import LengthBias
from outlast.evals.judging.pair import PairJudge
from outlast.evals.judging.pairs import Pair, Pairwise
from outlast.evals.judging.pairwise import apairwise, pairwise
from outlast.evals.judging.rate import aestimate_rate, estimate_rate
from outlast.evals.judging.rubric import Rubric
from outlast.evals.judging.truth import Humans

__all__ = [
    "Alignment",
    "CorrectedRate",
    "Disagreement",
    "Humans",
    "Item",
    "Judge",
    "Judges",
    "Label",
    "Labels",
    "LeftOut",
    "LengthBias",
    "Pair",
    "PairJudge",
    "Pairwise",
    "Rubric",
    "aalign",
    "aestimate_rate",
    "agrees",
    "align",
    "apairwise",
    "estimate_rate",
    "pairwise",
]
