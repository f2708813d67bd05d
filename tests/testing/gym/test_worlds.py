"""The worlds are what their docstrings say."""

import pytest
from tests.testing.gym.prompts import dspy_chat

import outlast as ol
from outlast.errors import UsageError
from outlast.testing import gym
from outlast.testing.gym.language import PHRASES, Language, sentences

START_AND_BEST = {
    "RuleBook": (0.14, 0.88),
    "NullLand": (0.59, 0.59),
    "TwoCities": (0.14, 0.87),
    "Chain": (0.17, 0.80),
    "DemoShelf": (0.21, 0.87),
    "DemoShelfKNN": (0.23, 0.95),
    "SeedTrap": (0.30, 0.86),
    "Parrot": (0.25, 0.88),
    "Mirage": (0.48, 0.60),
}


def with_lines(world, lines):
    """The start with lines added to its instruction."""
    program = world.program()
    return ol.update(program, {"instruction": "\n".join([str(ol.parameters(program)["instruction"]), *lines])})


def with_demos(world, program, number):
    """A program with the first training examples as demonstrations."""
    rows = list(world.parts()["train"])[:number]
    return ol.update(program, {"demos": [{"message": row["message"], "team": row["team"]} for row in rows]})


def test_all_worlds_are_named():
    assert set(gym.names()) == set(START_AND_BEST)
    with pytest.raises(UsageError, match="Did you mean 'RuleBook'"):
        gym.world("RuleBok")
    with pytest.raises(UsageError, match="whole number"):
        gym.world("RuleBook", seed=0.5)


@pytest.mark.parametrize("name", gym.names())
def test_start_and_best_are_where_they_are_said_to_be(name):
    world = gym.world(name, seed=2)
    start, best = START_AND_BEST[name]
    assert world.expected(world.program()) == pytest.approx(start, abs=0.03)
    assert world.best() == pytest.approx(best, abs=0.03)


@pytest.mark.parametrize("name", gym.names())
def test_a_world_is_made_of_its_name_and_seed(name):
    one, same, other = gym.world(name, seed=1), gym.world(name, seed=1), gym.world(name, seed=2)
    assert {part: rows.hash for part, rows in one.parts().items()} == {
        part: rows.hash for part, rows in same.parts().items()
    }
    assert one.parts()["test"].hash != other.parts()["test"].hash
    sizes = {part: len(rows) for part, rows in one.parts().items()}
    assert sizes == {"train": 400 if name.startswith("DemoShelf") else 150, "val": 100, "test": 2000}
    texts = [row["message"] for rows in one.parts().values() for row in rows]
    assert len(set(texts)) == len(texts)


def test_the_metric_says_what_was_expected():
    world = gym.world("RuleBook", seed=1)
    row = world.parts()["train"][0]
    assert world.metric(row, ol.Prediction(team=row["team"])).value == 1
    wrong = world.metric(row, ol.Prediction(team="nobody"))
    assert wrong.value == 0
    assert wrong.feedback == f"Wrong: expected team {row['team']!r}, got 'nobody'."


def test_in_nullland_nothing_helps_and_three_phrases_harm():
    world = gym.world("NullLand", seed=1)
    start = world.expected(world.program())
    rules = with_demos(world, with_lines(world, [world.rule(cue) for cue in range(14)]), 8)
    assert world.expected(rules) == pytest.approx(start)
    changes = [world.expected(with_lines(world, [text])) - start for _, text in PHRASES]
    assert sum(change < -0.02 for change in changes) == 3
    assert max(changes) == pytest.approx(0, abs=1e-12)


def test_in_rulebook_distractors_and_length_cost():
    world = gym.world("RuleBook", seed=1)
    rules = [world.rule(cue) for cue in range(14)]
    best = world.expected(with_lines(world, rules))
    assert (
        world.expected(with_lines(world, [*rules, f"Anything about {world.noise[0]} belongs to teal."])) < best - 0.03
    )
    assert world.expected(with_lines(world, [*rules, *["The sky is blue."] * 10])) < best - 0.03
    assert world.expected(with_lines(world, [rules[3]])) > world.expected(with_lines(world, [])) + 0.02


def test_in_twocities_the_rules_of_one_niche_hurt_the_other_unless_the_router_is_there():
    world = gym.world("TwoCities", seed=1)
    every, one = range(14), range(0, 14, 2)
    alone = world.expected(with_lines(world, [world.rule(cue) for cue in one]))
    both = world.expected(with_lines(world, [world.rule(cue) for cue in every]))
    routed = world.expected(with_lines(world, [world.router, *(world.rule(cue) for cue in every)]))
    assert both < alone < 0.55 < 0.8 < routed
    assert world.expected(with_lines(world, [world.router])) == pytest.approx(world.expected(world.program()), abs=1e-3)


def test_in_chain_one_module_alone_gains_little_and_feedback_misleads():
    world = gym.world("Chain", seed=1)
    texts = {step.path: [world.rule(cue, number) for cue in range(6)] for number, step in enumerate(world.steps)}

    def taught(*paths):
        program = world.program()
        for path in paths:
            program = ol.update(program, {f"{path}.instruction": "\n".join(texts[path])})
        return world.expected(program)

    start = world.expected(world.program())
    assert taught("place") == pytest.approx(start, abs=0.01)
    gains = taught("sort") - start, taught("close") - start
    assert taught("sort", "close") - start > sum(gains) + 0.1
    blamed = 0
    rows = world.parts()["train"]
    for row in rows:
        item = world.item(row["message"])
        said = ol.Prediction(kind="none", desk=world.cue_label(item, 1), team="none")
        blamed += "'sort'" in world.metric(row, said).feedback
    assert 0.6 < blamed / len(rows) < 0.8


def test_on_the_shelf_a_fifth_of_the_labels_is_wrong_and_only_there():
    world = gym.world("DemoShelf", seed=1)
    wrong = {
        part: sum(row["team"] != world.cue_label(world.item(row["message"]), 0) for row in rows) / len(rows)
        for part, rows in world.parts().items()
    }
    assert 0.14 < wrong["train"] < 0.26
    assert wrong["val"] == wrong["test"] == 0


def test_the_order_of_demonstrations_matters_on_the_shelf():
    world = gym.world("DemoShelf", seed=1)
    scores = {world.expected(world.showing([*world.pool[at:6], *world.pool[:at]])) for at in range(6)}
    assert max(scores) - min(scores) > 0.01


@pytest.mark.slow
def test_demonstrations_chosen_for_each_input_are_read_for_each_input():
    world = gym.world("DemoShelfKNN", seed=1)

    class Near(ol.Module):
        ask = world.program()

        def forward(self, message: str):
            return ol.update(self.ask, {"demos": world.showing(world.nearest(world.item(message))).demos})(
                message=message
            )

    assert world.expected(Near()) == pytest.approx(world.best(), abs=1e-9)
    assert world.best() > world.expected(world.best_program()) + 0.2


def test_in_seedtrap_only_structure_helps():
    world = gym.world("SeedTrap", seed=1)
    start = world.expected(world.program())
    assert world.expected(with_lines(world, [world.rule(cue) for cue in range(14)])) <= start + 1e-9
    assert world.expected(world.program(), adapter=ol.JSON()) > start + 0.1
    assert world.expected(ol.update(world.program(), {"instruction": "Route the message."})) > start + 0.1
    assert world.best() > start + 0.5


def test_in_parrot_demonstrations_harm():
    world = gym.world("Parrot", seed=1)
    assert world.expected(with_demos(world, world.best_program(), 8)) < world.best() - 0.1
    assert world.expected(with_demos(world, world.program(), 8)) < world.expected(world.program())


def test_in_mirage_rules_harm_and_phrases_help_alone():
    world = gym.world("Mirage", seed=1)
    start = world.expected(world.program())
    first, second = (PHRASES[key][1] for key in sorted(world.helpful)[:2])
    assert world.expected(with_lines(world, [world.rule(cue) for cue in range(8)])) < start - 0.05
    assert world.expected(with_lines(world, [first])) > start + 0.08
    assert world.expected(with_lines(world, [second])) > start + 0.08
    assert world.expected(with_lines(world, [first, second])) < start


def test_the_score_of_another_library_s_prompt_is_known_too():
    world = gym.world("RuleBook", seed=1)
    lines = str(ol.parameters(world.best_program())["instruction"])
    asked = dspy_chat(lines, "case 1: something.")
    assert world.expected_from([asked]) == pytest.approx(world.best(), abs=1e-9)
    as_mappings = [{"role": role, "content": text} for role, text in asked]
    assert world.expected_from([as_mappings]) == pytest.approx(world.best(), abs=1e-9)


def test_a_program_whose_exact_score_is_not_known_is_refused():
    world = gym.world("RuleBook", seed=1)

    class Twice(ol.Module):
        ask = world.program()

        def forward(self, message: str):
            self.ask(message=message)
            return self.ask(message=message)

    with pytest.raises(UsageError, match="more than once"):
        world.expected(Twice())


def test_a_fact_about_one_message_is_no_rule():
    language = Language({"velmora": (0, 0)}, {"amber": 0}, ["sip", "tarn", "quon", "brel"])
    assert language.sense("Messages that mention velmora go to amber.").rules == ((0, 0, "amber"),)
    assert language.sense("The message velmora sip tarn quon brel goes to amber.").rules == ()
    assert language.sense("Whatever says sip is amber").noise == ("sip",)
    assert sentences("- One. Two!\n\n* Three") == ["One.", "Two!", "Three"]
