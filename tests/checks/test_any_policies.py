"""Whatever policies checks have: a call ends, costs no more than they allow, and gives nothing that they refuse."""

from __future__ import annotations

import random
from typing import Any

import pytest

import outlast as ol
from outlast.checks.policy import Policy
from outlast.errors import CheckFailed
from outlast.testing import ScriptedLM

LETTERS = "abcdef"


def policy(draw: random.Random, depth: int = 0) -> Policy:
    """Any policy, with any that come after it."""
    then = "raise" if depth > 2 else policy(draw, depth + 1)
    made: list[Any] = [
        ol.checks.retry(draw.randint(1, 3), then=then),
        ol.checks.fix(then=then),
        ol.checks.fallback("z"),
        *(ol.check(on_fail=word)(lambda answer: True).on_fail for word in ("abstain", "raise", "log")),
    ]
    return draw.choice(made)


def check(draw: random.Random, number: int) -> ol.Check:
    """A check that allows some letters, and proposes one of those or none."""
    allowed = "".join(letter for letter in LETTERS if draw.random() < 0.5)
    proposed = draw.choice([None, *LETTERS])

    def look(answer: str) -> ol.CheckResult:
        fix = None if proposed is None else {"answer": proposed}
        return ol.CheckResult(answer in allowed, f"only {allowed}", fix=fix)

    cost: Any = draw.choice(["cheap", "cheap", "slow", "model"])
    return ol.check(on_fail=policy(draw), name=f"c{number}", cost=cost)(look)


def answered(program: Any) -> tuple[Any, str]:
    """What a program gives, or the name of the check that says no."""
    try:
        return program(question="q"), ""
    except CheckFailed as error:
        return None, error.check


def steps(one: Policy | None) -> list[Policy]:
    return [] if one is None else [one, *steps(one.then)]


@pytest.mark.parametrize("seed", range(200))
def test_a_call_ends_within_what_its_checks_allow(seed: int) -> None:
    draw = random.Random(seed)
    checks = [check(draw, number) for number in range(draw.randint(1, 4))]
    lm = ScriptedLM(lambda messages: {"answer": draw.choice(LETTERS)})
    program = ol.Predict("question -> answer: str | None", checks=checks, lm=lm)
    retries = sum(one.times for made in checks for one in steps(made.on_fail) if one.action == "retry")
    out, refused_by = answered(program)
    assert lm.calls <= 1 + retries
    if out is None:
        assert refused_by in [made.name for made in checks]
        return
    assert len(out.trace) == lm.calls
    excused = {"log", "abstain", "fallback"}
    replaced = any("fallback" in one.actions for one in out.checks.values())
    for made in checks:
        report = out.checks[made.name]
        assert report.attempts <= 1 + sum(one.times for one in steps(made.on_fail) if one.action == "retry")
        if out.answer is None or replaced or excused & set(report.actions):
            continue
        assert report.final
        assert made.run({"answer": out.answer}).ok  # pyright: ignore[reportOptionalMemberAccess]
