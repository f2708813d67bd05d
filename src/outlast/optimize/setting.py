"""What a compile is about: program, data in its parts, metric, model, optimizer. Decides which ledger it resumes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from outlast.adapters.layout import explain
from outlast.adapters.protocol import Adapter
from outlast.data.dataset import Dataset
from outlast.data.example import Example, id_of, input_hash, inputs_of
from outlast.errors import DataError, InputError, UsageError, brief, did_you_mean
from outlast.evals.runner import check_first
from outlast.lms.protocol import LM
from outlast.messages import canonical
from outlast.modules.module import Module, forward_of
from outlast.modules.paths import predictors_of
from outlast.modules.predict import Predict
from outlast.modules.settings import chosen_lm
from outlast.optimize.demos import labeled_demos
from outlast.optimize.prefer import BEST, Prefer
from outlast.optimize.protocol import Optimizer
from outlast.runtime import Run, default
from outlast.signatures.codec import codecs
from outlast.tracing.identity import metric_hash, name_of, program_hash

Data = Dataset | Sequence[Example] | Mapping[str, Dataset | Sequence[Example]]  # whole, or in parts by name
SHARES = {"train": 0.4, "select": 0.3, "confirm": 0.3}
SMALLEST = 10  # examples in a part; with fewer nothing can be told
FEWEST = 20  # examples that a proof is made on when a budget does not pay for all


@dataclass(frozen=True)
class Setting:
    """Everything that decides the result of a compile."""

    program: Module
    parts: Mapping[str, Dataset]
    metric: Callable[..., Any]
    optimizer: Optimizer
    seed: int
    lm: LM | None  # None: every module brings its own
    adapter: Adapter
    level: float
    margin: float
    lock: tuple[str, ...] = ()
    prefer: Prefer = BEST

    def identity(self) -> dict[str, str]:
        """What a ledger must agree on, by name. The optimizer and the seed may differ: results are shared."""
        own = {path: part.lm.identity for path, part in predictors_of(self.program).items() if part.lm is not None}
        return {
            "program": f"{type(self.program).__name__} {program_hash(self.program)}",
            "metric": f"{name_of(self.metric)} {metric_hash(self.metric)}",
            "data": ", ".join(f"{name} {part.hash}" for name, part in self.parts.items()),
            "model": (self.lm.identity if self.lm else "") + (f" {sorted(own.items())}" if own else ""),
            "adapter": repr(self.adapter),
        }

    def asked(self) -> list[str]:
        """Names of the models that the program asks."""
        parts = predictors_of(self.program).values()
        return sorted({lm.name for part in parts if (lm := part.lm or self.lm) is not None})

    def check(self) -> None:
        """Find what one look at the examples shows to be impossible, before anything is spent."""
        for name, part in self.parts.items():
            for number, example in enumerate(part):
                if not isinstance(example, Example):
                    raise UsageError(f"data is made of Examples; {name!r} has {brief(example)} at position {number}")
                try:
                    _check_inputs(self.program, inputs_of(example))
                except InputError as error:
                    raise InputError(f"example {number} of {name!r} ({id_of(example)}): {error}") from error
            check_first(self.program, self.metric, part[0])
        _check_labels(self.program, self.parts["train"])


def _check_labels(program: Module, examples: Sequence[Example]) -> None:
    """Labels named like outputs become demonstrations, so they must be values of those outputs."""
    predictors = predictors_of(program)
    for path, demos in labeled_demos(program, examples).items():
        asked = predictors[path].asked()
        table = codecs(asked)
        for demo in demos:
            for name, value in demo.values.items():
                try:
                    table[name].check(value)
                except ValidationError as error:
                    raise DataError(
                        f"{demo.source} has a {name!r} that is no value of that field of {asked.__name__}, so it "
                        f"cannot be shown as a demonstration: {explain(error)}. Mend it, leave it out, or give "
                        f"a label that is something else another name."
                    ) from error


def _check_inputs(program: Module, inputs: Mapping[str, Any]) -> None:
    if isinstance(program, Predict):
        program.checked(inputs)
    else:
        forward_of(program).check(type(program).__name__, inputs)


def default_lm(program: Module, run: Run) -> LM | None:
    """The model for modules without their own; raises `ConfigError` when one needs it and none is set."""
    if all(part.lm is not None for part in predictors_of(program).values()):
        return run.lm or default("lm")
    return chosen_lm(None, run)


def split_data(data: Any, seed: int) -> dict[str, Dataset]:
    """The three parts of the data; raises `DataError` when one is too small or they overlap."""
    if isinstance(data, Mapping):
        given = cast("Mapping[str, Any]", data)
        for name in given:
            if name not in SHARES:
                raise UsageError(f"data has no part {name!r}.{did_you_mean(name, SHARES)} Parts: {', '.join(SHARES)}.")
        for name in SHARES:
            if name not in given:
                raise UsageError(f"data by part has the keys {', '.join(SHARES)}; {name!r} is missing")
        parts = {name: dataset_of(given[name]) for name in SHARES}
    else:
        parts = dict(dataset_of(data).split(seed=seed, by=_place, **SHARES).items())
    seen: dict[str, str] = {}
    for name, part in parts.items():
        for example in part:
            key = input_hash(example)
            if key in seen:
                where = f"in {seen[key]!r} and in {name!r}" if seen[key] != name else f"twice in {name!r}"
                raise DataError(
                    f"the inputs of example {id_of(example)} are {where}; parts hold each input once and do not "
                    f"overlap, or the proof would be on what the search has seen"
                )
            seen[key] = name
    for name, part in parts.items():
        if len(part) < SMALLEST:
            raise DataError(
                f"compile needs at least {SMALLEST} examples in each part; {name!r} has {len(part)}. "
                f"Without parts of your own the data is split {', '.join(f'{n} {s:.0%}' for n, s in SHARES.items())}: "
                f"give 60 examples or more; 200 and more tell small gains from chance."
            )
    return parts


def _place(example: Example) -> Any:
    """What decides the part of an example.

    Not the bare inputs, which `Dataset.split` goes by: data that is itself a part of a split with the same seed would
    be split lopsidedly, because all its hashes lie at one end.
    """
    return ["compile", dict(inputs_of(example))]


def dataset_of(data: Any) -> Dataset:
    """Data as given; raises `UsageError` for what is no list of examples."""
    if isinstance(data, Dataset):
        return data
    if isinstance(data, str | bytes) or not isinstance(data, Sequence):
        raise UsageError(f"data is a Dataset or a list of Examples; got {brief(data)}")
    return Dataset(cast("Sequence[Example]", data))


def ledger_path(study: Any, setting: Setting, proposer: LM | None = None) -> Path | None:
    """The file of the ledger, None for one in memory.

    By default `<key>.study.db` in `outlast/studies` of the cache folder (`XDG_CACHE_HOME` or `~/.cache`), or in the
    folder that the environment variable `OUTLAST_STUDIES` names ("off" keeps all in memory). The key is a hash of
    program, data, metric, models, adapter, optimizer, proposer, seed and locks: the same compile again finds its own
    ledger.
    """
    if study is False:
        return None
    if study is None or study is True:
        folder = os.environ.get("OUTLAST_STUDIES")
        if folder == "off" and study is None:
            return None
        root = Path(folder) if folder and folder != "off" else _cache_home() / "outlast" / "studies"
        data: list[Any] = [setting.identity(), setting.optimizer.describe(), setting.seed]
        if proposer is not None:
            data.append(proposer.identity)
        if setting.lock:
            data.append(setting.lock)
        key = hashlib.blake2b(canonical(data), digest_size=8).hexdigest()
        return root / f"{key}.study.db"
    if not isinstance(study, str | os.PathLike) or not os.fspath(cast("str", study)):
        raise UsageError(f"study is a path, None (in the cache folder) or False (in memory); got {brief(study)}")
    return Path(cast("str", study))


def _cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
