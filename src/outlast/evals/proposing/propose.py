"""`propose_checks`: from outputs that people called good or bad, checks that catch the bad ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from outlast.errors import (
    BudgetExceeded,
    ConfigError,
    DataError,
    LMError,
    MetricError,
    SandboxUnavailable,
    UsageError,
    brief,
    refuse_unknown,
)
from outlast.evals.classifiers.folds import fold_of
from outlast.evals.classifiers.reading import check_classes, items_of, passing
from outlast.evals.judging.labels import Labels
from outlast.evals.judging.rubric import Rubric
from outlast.evals.proposing.candidates import Candidate, templates
from outlast.evals.proposing.choosing import Tried, choose, figures
from outlast.evals.proposing.proposals import Proposals, Proposed
from outlast.evals.proposing.written import CheckWriter, written
from outlast.modules.module import Module
from outlast.runtime import gather, run_blocking
from outlast.sandbox.protocol import Sandbox

_PARTS = 10


@dataclass(frozen=True)
class _Data:
    rows: list[Mapping[str, Any]]
    good: list[bool]

    def part(self, places: Sequence[int]) -> _Data:
        return _Data([self.rows[place] for place in places], [self.good[place] for place in places])


class ProposeOptions(TypedDict, total=False):
    """The keywords of `propose_checks`, for editors and type checkers; `apropose_checks` has the defaults."""

    fields: str | Iterable[str] | None
    rubric: Rubric | None
    positive: Any
    lm: Any
    written: int
    max_false_failures: float
    max_checks: int
    held_out: float
    level: float
    sandbox: Sandbox | None
    extra: Iterable[Candidate]
    seed: int


def propose_checks(
    labels: Labels | tuple[Iterable[Any], Iterable[Any]], **options: Unpack[ProposeOptions]
) -> Proposals:
    """Propose checks from outputs that people called good or bad (after EvalGen, Shankar et al. 2024,
    arXiv 2404.12272).

        proposals = ol.propose_checks(labels, fields="reply", lm="openai/gpt-5-mini")
        print(proposals.table())
        Path("reply_checks.py").write_text(proposals.to_python())

    `labels` are `ol.Labels` (of `rubric`), or a pair of items (mappings of fields, or texts, which are then `answer`)
    and verdicts; `positive` is the good one, as for `train_classifier`. `fields` are the outputs to check (default: all
    that hold text and are no inputs). Candidates are templates of `ol.checks` (lengths, phrases wanted and unwanted,
    shapes, sections, JSON and its keys, fixed values, personal data, secrets, numbers and names that no input has), and
    with `lm` (or a module of your own with the signature of `CheckWriter`) up to `written` (8) functions that a model
    writes; their code runs in `sandbox` (default: `ol.Monty()`) and nowhere else. What cannot run on every output is
    dropped and counted.

    On one part of the labels a set of at most `max_checks` (8) is chosen greedily: most bad outputs caught, at most
    the share `max_false_failures` (0.1) of good ones failed by any; what a check adds must be beyond chance at
    `level` (0.95), corrected for all that were tried. The rest, the share `held_out` (0.4), has no say, and says
    what the checks are worth. Outputs of equal inputs stay together. Raises `DataError` when there are fewer than
    10 good or bad outputs. Cost: one LM call with `lm`, none without.
    """
    refuse_unknown(options, ProposeOptions.__annotations__, "propose_checks")
    return run_blocking(lambda: apropose_checks(labels, **options))


async def apropose_checks(
    labels: Labels | tuple[Iterable[Any], Iterable[Any]],
    *,
    fields: str | Iterable[str] | None = None,
    rubric: Rubric | None = None,
    positive: Any = None,
    lm: Any = None,
    written: int = 8,
    max_false_failures: float = 0.1,
    max_checks: int = 8,
    held_out: float = 0.4,
    level: float = 0.95,
    sandbox: Sandbox | None = None,
    extra: Iterable[Candidate] = (),
    seed: int = 0,
) -> Proposals:
    """What `propose_checks` does, from async code."""
    for name, share in (("max_false_failures", max_false_failures), ("held_out", held_out), ("level", level)):
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
            raise UsageError(f"propose_checks({name}=...) is a share between 0 and 1; got {brief(share)}")
    for name, count in (("written", written), ("max_checks", max_checks)):
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 100:
            raise UsageError(f"propose_checks({name}=...) is a whole number from 1 to 100; got {brief(count)}")
    items, values, origins, inputs, dropped = items_of(labels, rubric, "propose_checks")
    check_classes(values, "propose_checks")
    extra = _extra(extra)
    classes = tuple(sorted(set(values)))
    good_one = passing(classes, positive)
    if good_one is None:
        raise UsageError(f"propose_checks: which of {', '.join(map(repr, classes))} is good? Say positive=...")
    data = _Data(
        [item if isinstance(item, Mapping) else {"answer": item} for item in items], [v == good_one for v in values]
    )
    named = _fields(fields, data.rows, inputs)
    folds = fold_of(origins, data.good, _PARTS, seed)
    cut = max(1, min(_PARTS - 1, round(held_out * _PARTS)))
    chosen_on = data.part([place for place, fold in enumerate(folds) if fold >= cut])
    apart = data.part([place for place, fold in enumerate(folds) if fold < cut])
    _enough(chosen_on, apart)
    sources = sorted(name for name in inputs - set(named) if all(isinstance(row.get(name), str) for row in data.rows))
    candidates = [*templates(chosen_on.rows, chosen_on.good, named, sources), *extra]
    broken = 0
    if lm is not None:
        writer = lm if isinstance(lm, Module) else CheckWriter(lm)
        more, broken = await _write(writer, rubric, chosen_on, named, written, sandbox)
        candidates += more
    return await _proposed(candidates, chosen_on, apart, max_false_failures, max_checks, 1 - level, (broken, dropped))


async def _write(
    writer: Module, rubric: Rubric | None, data: _Data, fields: tuple[str, ...], count: int, sandbox: Sandbox | None
) -> tuple[list[Candidate], int]:
    return await written(writer, rubric, data.rows, data.good, fields, count, sandbox)


async def _proposed(
    candidates: Sequence[Candidate],
    chosen_on: _Data,
    apart: _Data,
    most_false: float,
    most: int,
    error: float,
    counts: tuple[int, int],
) -> Proposals:
    broken, dropped = counts
    ran = await gather(*(_fails(one, chosen_on.rows) for one in candidates), limit=8)
    able = [Tried(one, fails) for one, fails in zip(candidates, ran, strict=True) if fails is not None]
    picked = choose(able, chosen_on.good, most_false=most_false, most=most, error=error)
    again = await gather(*(_fails(one.candidate, apart.rows) for one in picked), limit=8)
    kept = [(one, fails) for one, fails in zip(picked, again, strict=True) if fails is not None]
    broken += len(candidates) - len(able) + len(picked) - len(kept)
    return Proposals(
        tuple(
            Proposed(
                one.candidate,
                figures(one.fails, chosen_on.good),
                figures(fails, apart.good),
                tuple(other.candidate for other in able if other.fails == one.fails and other is not one),
            )
            for one, fails in kept
        ),
        figures(_any([one.fails for one, _ in kept], len(chosen_on.good)), chosen_on.good),
        figures(_any([fails for _, fails in kept], len(apart.good)), apart.good),
        len({one.fails for one in able}),
        broken,
        most_false,
        dropped,
    )


async def _fails(candidate: Candidate, rows: Sequence[Mapping[str, Any]]) -> tuple[bool, ...] | None:
    """Which rows fail a candidate; None when it cannot run on one of them. Where it does not apply, nothing fails."""
    found: list[bool] = []
    for row in rows:
        try:
            result = await candidate.check.arun(row)
        except (BudgetExceeded, ConfigError, LMError, SandboxUnavailable):
            raise
        except (MetricError, UsageError):
            return None
        except Exception:  # whatever a check of the user's raises, it is no check to propose
            return None
        found.append(result is not None and not result.ok)
    return tuple(found)


def _extra(given: Iterable[Any]) -> tuple[Candidate, ...]:
    found = tuple(given)
    for one in found:
        if not isinstance(one, Candidate):
            raise UsageError(
                f"propose_checks(extra=...) holds Candidate(check, source), with the Python that makes the check; got "
                f"{brief(one)}"
            )
    return found


def _any(fails: Sequence[Sequence[bool]], count: int) -> list[bool]:
    return [any(one[place] for one in fails) for place in range(count)]


def _fields(fields: Any, rows: Sequence[Mapping[str, Any]], inputs: frozenset[str]) -> tuple[str, ...]:
    if fields is None:
        every = dict.fromkeys(name for row in rows for name in row if name not in inputs)
        found = tuple(name for name in every if all(isinstance(row.get(name), str) for row in rows))
        if not found:
            raise DataError("propose_checks: no field holds text in every item; say fields=...")
        return found
    named = (fields,) if isinstance(fields, str) else tuple(fields)
    for name in named:
        missing = next((place for place, row in enumerate(rows) if name not in row), None)
        if missing is not None:
            raise DataError(
                f"propose_checks: item {missing} has no field {name!r}. Fields: {', '.join(rows[missing])}."
            )
    if not named:
        raise UsageError("propose_checks(fields=...) names at least one field")
    return named


def _enough(chosen_on: _Data, apart: _Data) -> None:
    for part, data in (("to choose on", chosen_on), ("held out", apart)):
        for kind, count in (("good", sum(data.good)), ("bad", len(data.good) - sum(data.good))):
            if not count:
                raise DataError(
                    f"propose_checks: no {kind} output {part}: their inputs all belong together. Label more"
                )
