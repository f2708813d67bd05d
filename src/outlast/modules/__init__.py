"""Programs: modules as values, and the strategies that answer a signature."""

from outlast.modules.chain_of_thought import ChainOfThought
from outlast.modules.module import Module
from outlast.modules.paths import modules_of, parameters, predictors_of, update
from outlast.modules.predict import Predict, predict
from outlast.modules.settings import context
from outlast.modules.values import param

__all__ = [
    "ChainOfThought",
    "Module",
    "Predict",
    "context",
    "modules_of",
    "param",
    "parameters",
    "predict",
    "predictors_of",
    "update",
]
