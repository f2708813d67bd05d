"""The simulated model answers every form, by what its prompt says, and the same each time."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.testing.gym.prompts import dspy_chat

import outlast as ol
from outlast.errors import ConfigError
from outlast.testing import gym


@pytest.fixture(scope="module")
def world():
    return gym.world("RuleBook", seed=1)


def share_right(world, lm, program, number=200):
    """The share of right answers on some test examples."""
    with ol.context(lm=lm):
        return ol.evaluate(program, world.parts()["test"][:number], world.metric).score.value


def test_an_instruction_with_the_rules_is_followed(world):
    rules = ol.update(world.program(), {"instruction": "\n".join(world.rule(cue) for cue in range(14))})
    assert share_right(world, world.lm(), rules) > 0.75 > 0.3 > share_right(world, world.lm(), world.program())


def test_a_rule_counts_by_its_content_not_by_its_wording(world):
    step = world.steps[0]
    word, label = step.cues[0][0], step.answers[0]
    wording = [f"{word} means {label}!", f"Send whatever has {word.upper()} in it to the {label} team.", world.rule(0)]
    scores = {world.expected(ol.update(world.program(), {"instruction": text})) for text in wording}
    assert len(scores) == 1
    denied = ol.update(world.program(), {"instruction": f"Never send {word} to {label}."})
    assert world.expected(denied) < world.expected(world.program()) < scores.pop()


def test_the_same_request_has_the_same_answer_and_another_sample_another_draw(world):
    row = world.parts()["test"][0]
    asked = dspy_chat("Route.", row["message"])
    answers = [world.lm().answer(asked, sample=sample) for sample in range(30)]
    assert answers == [world.lm().answer(asked, sample=sample) for sample in range(30)]
    assert len(set(answers)) > 1
    assert len({world.lm().answer(asked, sample=sample, temperature=0) for sample in range(30)}) == 1


def test_with_common_random_numbers_a_line_that_says_nothing_changes_no_answer(world):
    def answers(lm, more):
        return [lm.answer(dspy_chat("Route." + more, row["message"])) for row in world.parts()["test"][:80]]

    more = "\nThe sky is blue."
    assert answers(world.lm(common=1.0), "") == answers(world.lm(common=1.0), more)
    assert answers(world.lm(common=0.0), "") != answers(world.lm(common=0.0), more)


def test_it_counts_tokens_and_dollars_and_knows_the_most(world):
    request = ol.Request((ol.Message("user", "Who are you?" * 100),))
    cheap, dear = world.lm(), world.reflector()
    small, large = (lm.reply(request).usage for lm in (cheap, dear))
    assert small.input_tokens == 304
    assert small.output_tokens > 0
    assert large.cost > 5 * small.cost > 0
    assert dear.bound(request).dollars > large.cost


def test_latency_does_not_hold_up_other_calls(world):
    lm = world.lm(latency=0.2)

    async def many():
        return await asyncio.gather(*(lm.acall(f"Who is number {number}?") for number in range(20)))

    started = time.perf_counter()
    asyncio.run(many())
    assert time.perf_counter() - started < 3.5  # 4 s one after another
    assert lm.calls == 20


def test_threads_may_share_it(world):
    lm = world.lm()
    asked = [dspy_chat("Route.", row["message"]) for row in world.parts()["test"][:100]]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lm.answer, asked)) == [world.lm().answer(one) for one in asked]
    assert lm.calls == 100


def test_a_reply_in_no_form_comes_back_however_often_it_is_asked_for():
    world = gym.world("SeedTrap", seed=2)
    lm = world.lm()
    failed = []
    for row in world.parts()["test"][:60]:
        try:
            with ol.context(lm=lm):
                world.program()(message=row["message"])
        except ol.errors.AnswerError as error:
            failed.append(error.attempts)
    assert 12 < len(failed) < 36
    assert set(failed) == {3}


def test_a_reply_costs_less_than_a_tenth_of_a_millisecond(world):
    lm = world.lm()
    program = world.best_program()
    from outlast.testing.gym.exact import Oracle

    oracle = Oracle(world)
    with ol.context(lm=oracle):
        for row in world.parts()["test"][:200]:
            program(message=row["message"])
    times = []
    for _ in range(3):
        started = time.process_time()
        for request in oracle.requests:
            lm.reply(request)
        times.append((time.process_time() - started) / len(oracle.requests))
    assert min(times) < 300e-6  # measured: 50 us; room for slow machines


def test_a_prompt_in_plain_text_is_read_with_its_demonstrations():
    world = gym.world("DemoShelf", seed=1)
    pool = world.pool[:6]
    shown = "\n\n".join(f"Message: {one.item.text}\nTeam: {one.label}" for one in pool)
    task = "Route the message to the team that should answer it."
    asked = [("user", f"{task}\n\n{shown}\n\nMessage: case 7: something.\nTeam:")]
    assert world.expected_from([asked]) == pytest.approx(world.expected(world.showing(pool)), abs=0.01)
    assert world.lm().answer(asked) in world.steps[0].labels


def test_an_extractor_reads_the_answer_of_the_first_step(world):
    adapter = ol.TwoStep(world.lm(name="extractor"))
    with ol.context(lm=world.lm(), adapter=adapter):
        result = ol.evaluate(world.best_program(), world.parts()["test"][:200], world.metric)
    assert result.score.value == pytest.approx(world.expected(world.best_program(), adapter=adapter), abs=0.08)


def test_a_vote_is_estimated(world):
    class Vote(ol.Module):
        ask = world.best_program()

        def forward(self, message: str):
            teams = []
            for _ in range(3):
                teams.append(self.ask(message=message).team)
            return ol.Prediction(team=max(teams, key=teams.count))

    assert world.estimated(Vote()) == pytest.approx(world.best(), abs=0.04)


@pytest.mark.parametrize(
    "options", [{"common": 2}, {"latency": -1}, {"strength": 3}, {"forget": -1}, {"capacity": 0}, {"most": 0}]
)
def test_options_are_checked(world, options):
    with pytest.raises(ConfigError):
        world.lm(**options)
