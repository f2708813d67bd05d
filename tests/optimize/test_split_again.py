"""A compile on one part of a split divides it as evenly as it divides anything else."""

from __future__ import annotations

import pytest

import outlast as ol
from outlast.optimize.setting import SHARES, split_data


@pytest.mark.parametrize("seed", [0, 1])
def test_data_that_was_split_with_the_same_seed_is_not_split_lopsidedly(seed: int) -> None:
    data = ol.Dataset.from_list([{"question": str(n), "answer": str(n)} for n in range(2000)], targets=["answer"])
    for part in data.split(0.75, 0.25, seed=seed):
        sizes = {name: len(rows) / len(part) for name, rows in split_data(part, seed).items()}
        assert sizes == pytest.approx(SHARES, abs=0.07)
