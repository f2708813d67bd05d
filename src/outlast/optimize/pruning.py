"""`prune`: a shorter prompt that loses nothing, with the proof, and what each part of it is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, Unpack, cast

from outlast.errors import UsageError
from outlast.evals.forms import Metric
from outlast.modules.module import Module
from outlast.optimize.candidate import Candidate
from outlast.optimize.compile import acompile
from outlast.optimize.lineage import Effect
from outlast.optimize.operators.prune import Prune
from outlast.optimize.options import Options, PruneOptions
from outlast.optimize.prefer import Prefer
from outlast.optimize.protocol import Optimizer
from outlast.optimize.report import Compiled
from outlast.optimize.setting import Data
from outlast.optimize.study import Study
from outlast.runtime import run_blocking

if TYPE_CHECKING:
    pass

M = TypeVar("M", bound=Module)
_TOGETHER = 6  # sets of parts that are tried together, about


@dataclass(frozen=True, slots=True)
class PartEffect:
    """One line or demonstration: what leaving it out changed (`effect`, on selection examples) and saves (`tokens` a
    rollout), and whether it was `dropped`. Of `together` parts that were left out as one, all have the same figures.
    """

    path: str
    text: str
    effect: Effect | None
    tokens: float
    dropped: bool
    together: int = 1

    def __str__(self) -> str:
        verb = "dropped" if self.dropped else "kept"
        also = f" (with {self.together - 1} others)" if self.together > 1 else ""
        effect = "not measured" if self.effect is None else str(self.effect)
        return f"{verb:<8}{self.path}: {self.text}\n        without it{also}: {effect}, {self.tokens:+.0f} tokens saved"


@dataclass(frozen=True)
class Pruned(Generic[M]):
    """The result of `prune`: `effects` of all parts, least useful first, and `compiled` with the proof.

    `program` is the shorter program when it is proven to lose no more than allowed (or to be better), else the one that
    you gave; `compiled.winner` is the shorter one in any case.
    """

    compiled: Compiled[M]
    effects: tuple[PartEffect, ...]

    @property
    def program(self) -> M:
        """The program to use."""
        return self.compiled.program

    @property
    def improved(self) -> bool:
        """True when `program` is the shorter one."""
        return self.compiled.improved

    def __str__(self) -> str:
        return "\n".join([str(self.compiled.report), *map(str, self.effects)])

    __repr__ = __str__


@dataclass(frozen=True, slots=True)
class PruneSearch(Optimizer):
    """Prunes the start program, once."""

    weighs_cost: ClassVar[bool] = True

    operator: Prune

    def rollouts(self, train: int, select: int) -> int:
        """Each part left out alone, and some sets of them."""
        return (self.operator.most_parts + 2) * select + _TOGETHER * train

    def check(self, study: Study) -> None:
        """Raise `UsageError` when there is nothing to leave out."""
        if not self.operator.groups(study, study.start):
            name, free = type(study.program).__name__, " that may change" if study.locks.paths else ""
            raise UsageError(
                f"prune leaves out lines and demonstrations, and {name} has no demonstration and no text of several "
                f"lines{free}: there is nothing to leave out"
            )

    async def search(self, study: Study) -> Candidate:
        """The start without what does not help."""
        found = await self.operator.propose(study, study.start, 0)
        return found[0] if found else study.start


def prune(
    program: M | Compiled[M],
    data: Data,
    metric: Metric,
    *,
    within: float = 2.0,
    most_tokens: int | None = None,
    **options: Unpack[PruneOptions],
) -> Pruned[M]:
    """Leave out of the instructions and demonstrations of a program what does not help, and prove that nothing is lost.

    Each line and each demonstration is left out alone and measured on shared selection examples; those that do not help
    go together (see `Prune`). `within` is the loss of score that this may cost, in points; `most_tokens` a length, in
    mean tokens of a rollout, that the result has to fit in even if more is lost. `lock` names parameters to leave
    alone. The rest is as in `compile`, whose proof decides what `program` of the result is, with
    `prefer=Prefer("tokens", within)`.

    Data that were read for the proof of the compile prove less a second time; the report counts reads. Raises what
    `compile` raises. Cost in LM calls: at most ((parts + 2) x select + 6 x train + 2 x confirm examples) x calls of a
    rollout; with the ledger (`study`) of an earlier prune only what is not in it is paid.
    """
    return run_blocking(lambda: aprune(program, data, metric, within=within, most_tokens=most_tokens, **options))


async def aprune(
    program: M | Compiled[M],
    data: Data,
    metric: Metric,
    *,
    within: float = 2.0,
    most_tokens: int | None = None,
    **options: Unpack[PruneOptions],
) -> Pruned[M]:
    """`prune` from async code; takes and gives the same."""
    Options.of(options, "prune", ("within", "most_tokens", *PruneOptions.__annotations__))
    given = cast("M", program.program if isinstance(program, Compiled) else program)
    search = PruneSearch(Prune(within=within, most_tokens=most_tokens))
    wish = Prefer("tokens", within=within)
    compiled = await acompile(given, data, metric, optimizer=search, prefer=wish, **options)
    rows: list[Any] = compiled.report.record.get("notes", {}).get("pruned", [])
    effects = [_effect(row) for row in rows]
    effects.sort(key=lambda one: -(one.effect.difference if one.effect is not None else 0.0))
    return Pruned(compiled, tuple(effects))


def _effect(row: Mapping[str, Any]) -> PartEffect:
    told = row["effect"]
    effect = None
    if told is not None:
        low, high = told["interval"]
        effect = Effect(told["score"], low, high, told["n"], told["part"])
    return PartEffect(row["path"], row["text"], effect, row["tokens"], row["now"] is None, row["together"])
