"""The exact expected score of the gym is what real rollouts score."""

import math

import pytest

import outlast as ol
from outlast.testing import gym

ADAPTERS = {"chat": ol.Chat(), "json": ol.JSON(), "xml": ol.XML(), "tools": ol.Tools()}
# Worlds of different shape with every adapter: one module, several, and where structure matters; others with one.
EVERY = ("RuleBook", "Chain", "SeedTrap")
PAIRS = [
    (name, adapter)
    for at, name in enumerate(gym.names())
    for number, adapter in enumerate(list(ADAPTERS)[1:])
    if name in EVERY or number == at % (len(ADAPTERS) - 1)
]
ERRORS = 4  # standard errors: of some hundred comparisons one or two are off by three
SOME = 300  # test examples, which are independent of each other


def agrees(world, program, adapter, some=SOME):
    """Whether real rollouts score what is expected, within some standard errors."""
    with ol.context(lm=world.lm(common=0.0), adapter=adapter):
        result = ol.evaluate(program, world.parts()["test"][:some], world.metric)
    scores = [row.score or 0.0 for row in result.rows]
    assert len(scores) == some
    truth = world.expected(program, adapter=adapter)
    return abs(sum(scores) / some - truth) < ERRORS * math.sqrt(truth * (1 - truth) / some)


def programs(world):
    """The start, the best that is known, and one with rules, distractors and demonstrations in disorder."""
    train = world.parts()["train"]
    path = next(path for path in ol.parameters(world.program()) if path.endswith("instruction"))
    messy = [str(ol.parameters(world.program())[path]), world.rule(0), world.rule(1, label="teal")]
    messy += [f"Anything about {word} belongs to amber." for word in world.noise[:3]]
    messy += ["Be concise and precise.", "Mind the tone of the message."]
    yield world.program()
    yield world.best_program()
    owner = path.removesuffix("instruction")
    shown = [{"message": one["message"], "team": one["team"]} for one in train[:9]]
    changes = {path: "\n".join(messy)}
    if world.calls == 1:
        changes[f"{owner}demos"] = shown
    yield ol.update(world.program(), changes)


@pytest.mark.parametrize("name", gym.names())
def test_the_exact_score_is_what_rollouts_score(name):
    world = gym.world(name, seed=5)
    assert all(agrees(world, program, ol.Chat()) for program in programs(world))


@pytest.mark.parametrize(("name", "adapter"), PAIRS)
def test_it_is_with_every_adapter(name, adapter):
    world = gym.world(name, seed=5)
    assert all(agrees(world, program, ADAPTERS[adapter], SOME // 2) for program in programs(world))
