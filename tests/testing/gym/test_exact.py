"""The exact expected score of the gym is what real rollouts score."""

import math

import pytest

import outlast as ol
from outlast.testing import gym

ADAPTERS = {"chat": ol.Chat(), "json": ol.JSON(), "xml": ol.XML(), "tools": ol.Tools()}


def observed(world, program, adapter, draws=1):
    """The mean score of real rollouts and its standard error."""
    scores = []
    for draw in range(draws):
        with ol.context(lm=world.lm(common=0.0), adapter=adapter, sample=draw):
            result = ol.evaluate(program, world.parts()["test"], world.metric)
        scores += [row.score or 0.0 for row in result.rows]
    mean = sum(scores) / len(scores)
    return mean, math.sqrt(mean * (1 - mean) / len(scores)) + 1e-9


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("name", gym.names())
def test_the_exact_score_is_what_rollouts_score(name, adapter):
    world = gym.world(name, seed=5)
    for program in (world.program(), world.best_program()):
        mean, error = observed(world, program, ADAPTERS[adapter])
        assert abs(mean - world.expected(program, adapter=ADAPTERS[adapter])) < 3 * error
