from __future__ import annotations

import hashlib
from typing import Any

import pytest

import outlast as ol
from outlast.errors import UsageError
from outlast.testing import ScriptedLM

DATA = [ol.Example({"n": n}, {"answer": str(n)}) for n in range(120)]


class Guess(ol.Module):
    """Right the more often the nearer `share` is to 0.3, and only with the engine b."""

    share = ol.param(ol.Float(0, 1, start=0.9))
    engine = ol.param(ol.Choice(["a", "b", "c"]))

    async def forward(self, n: int) -> ol.Prediction:
        luck = int(hashlib.sha256(f"{n} {self.share} {self.engine}".encode()).hexdigest()[:8], 16) / 2**32
        right = luck < (1 - 1.5 * abs(self.share - 0.3)) * (1.0 if self.engine == "b" else 0.4)
        return ol.Prediction(answer=str(n) if right else "no")


def test_a_number_and_a_choice_are_found_together():
    found, again = (
        ol.compile(
            Guess(),
            DATA,
            ol.exact_match("answer"),
            optimizer=ol.ParamSearch(candidates=24),
            study=False,
            progress=False,
        )
        for _ in range(2)
    )
    assert found.improved, found
    assert found.winner == again.winner
    assert found.program.engine == "b"
    assert abs(found.program.share - 0.3) < 0.25


def test_the_first_half_sees_every_value_all_along_its_range():
    study = ol.Study(Guess(), ol.exact_match("answer"), train=DATA[:40], select=DATA[40:80], ledger=_ledger())
    spread = ol.ParamSearch(candidates=18)._spread(study, 9)
    shares = sorted(one.changes.get("share", 0.9) for one in spread)
    assert all(number / 9 <= share <= (number + 1) / 9 for number, share in enumerate(shares))
    assert sorted(one.changes.get("engine", "a") for one in spread) == ["a"] * 3 + ["b"] * 3 + ["c"] * 3


def _ledger() -> Any:
    from outlast.optimize.ledger import Ledger

    return Ledger(None, {})


def test_a_program_without_declared_spaces_is_told():
    with pytest.raises(UsageError, match="needs a number or a choice to search"):
        ol.compile(
            ol.Predict("n: int -> answer"),
            DATA,
            ol.exact_match("answer"),
            optimizer=ol.ParamSearch(),
            lm=ScriptedLM(lambda messages: {"answer": "1"}),
            study=False,
            progress=False,
        )


def test_a_count_that_means_nothing_is_refused():
    with pytest.raises(UsageError, match="whole number from 1"):
        ol.ParamSearch(candidates=0)
