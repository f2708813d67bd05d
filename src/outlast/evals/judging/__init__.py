"""Judges: rubrics, the labels of people, models that judge by them, and how far they agree."""

from outlast.evals.judging.judge import Judge
from outlast.evals.judging.judges import Judges
from outlast.evals.judging.label import Item, Label
from outlast.evals.judging.labels import Labels
from outlast.evals.judging.rubric import Rubric

__all__ = ["Item", "Judge", "Judges", "Label", "Labels", "Rubric"]
