"""Classifiers as evaluators: trained on a few hundred labels, or on a judge, served in milliseconds."""

from outlast.evals.classifiers.classifier import Classified, Classifier
from outlast.evals.classifiers.deciding import Abstain
from outlast.evals.classifiers.distilling import Distilled, adistill, distill
from outlast.evals.classifiers.report import TrainingReport
from outlast.evals.classifiers.train import train_classifier

__all__ = [
    "Abstain",
    "Classified",
    "Classifier",
    "Distilled",
    "TrainingReport",
    "adistill",
    "distill",
    "train_classifier",
]
