"""`FieldDescriptions` and `ToolDescriptions`: what a prompt says of single fields and tools, edited by a proposer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from outlast.modules.module import Module
from outlast.modules.paths import TOOLS, modules_of, parameters, predictors_of, tools_of
from outlast.modules.predict import Predict
from outlast.optimize.edits import similarity
from outlast.optimize.episodes import about_module, about_program, episode
from outlast.optimize.operators.protocol import Operator
from outlast.optimize.operators.reflect import seen
from outlast.optimize.proposers import DescribeFields, DescribeTools, Description
from outlast.optimize.texts import proposer_modules, whole_numbers

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.study import Study

LONGEST = 400  # characters of a description
_MOST = 2  # descriptions that one proposal may change
_SAME = 0.9  # of the words of two descriptions in common: nothing new
_TRIED = 12  # rejected descriptions that a proposer is told of


@dataclass(frozen=True, slots=True)
class Descriptions(Operator):
    """Show a proposer up to `failures` rollouts that failed, and the descriptions now; make its edits of single ones.

    At most two descriptions change at a time, of at most 400 characters each; the others stay to the letter. When the
    parent has too few failures, up to `block` more training examples are run. Cost: one proposal, and up to `block`
    rollouts of the parent that later proposals share.
    """

    failures: int = 4
    block: int = 12
    proposer: Module = field(default_factory=lambda: Predict(DescribeFields))

    def __post_init__(self) -> None:
        whole_numbers(self, failures=1, block=1)
        proposer_modules(self, proposer=DescribeFields)

    @abstractmethod
    def groups(self, study: Study, parent: Candidate) -> dict[str, dict[str, str]]:
        """Parameter paths of descriptions that may change, by their names in the prompt, for each module path."""

    @abstractmethod
    def about(self, study: Study, path: str) -> str:
        """What the owner of the descriptions is, in words."""

    def applies(self, study: Study, parent: Candidate) -> bool:
        """Whether any description may be changed."""
        return bool(self.groups(study, parent))

    async def propose(self, study: Study, parent: Candidate, number: int) -> list[Candidate]:
        """One candidate, or none when nothing failed or the proposer had nothing new to say."""
        rng = study.rng(f"{self.name} {parent.id} {number}")
        groups = self.groups(study, parent)
        if not groups:
            return []
        failed, _ = await seen(study, parent, rng, self.failures, self.block, number)
        if not failed:
            return []
        at = rng.choice(list(groups))
        paths = groups[at]
        values = parameters(study.build(parent))
        now = {name: str(values[path]) for name, path in paths.items()}
        shown = rng.sample(failed, min(len(failed), self.failures))
        out = await study.ask(
            self.proposer,
            sample=number,
            module=self.about(study, at),
            descriptions="\n".join(f"{name}: {text or '(none)'}" for name, text in now.items()),
            episodes="\n\n".join(episode(study, outcome) for outcome in shown),
            tried="\n".join(self._tried(study, paths)[-_TRIED:]) or "nothing yet",
        )
        new = _edited(now, getattr(out, "changed", None))
        if not new:
            return []
        made = study.propose(
            {paths[name]: text for name, text in new.items()},
            origin=f"described {'; '.join(f'{paths[name]}: {text}' for name, text in new.items())}",
            parent=parent,
            operator=self.name,
            cause=[outcome.example for outcome in shown],
        )
        return [] if made == parent else [made]

    def _tried(self, study: Study, paths: Mapping[str, str]) -> list[str]:
        """Descriptions of these that were rejected."""
        return [
            f"{name}: {one.changes[path]}"
            for one in study.rejected
            if one.operator == self.name
            for name, path in paths.items()
            if path in one.changes
        ]


@dataclass(frozen=True, slots=True)
class FieldDescriptions(Descriptions):
    """Descriptions of the fields of one module, drawn by chance, edited by a proposer that sees what failed.

    `proposer` is any module that takes the inputs of `DescribeFields` and gives its `changed`. See `Descriptions`.
    """

    name: ClassVar[str] = "fields"

    def groups(self, study: Study, parent: Candidate) -> dict[str, dict[str, str]]:
        """The fields of each module."""
        known = parameters(study.program)
        found: dict[str, dict[str, str]] = {}
        for path, part in predictors_of(study.build(parent)).items():
            dot = f"{path}." if path else ""
            own = {name: f"{dot}fields.{name}" for name in part.asked().fields}
            free = {name: one for name, one in own.items() if one in known and not study.locked(one)}
            if free:
                found[path] = free
        return found

    def about(self, study: Study, path: str) -> str:
        """The module, its fields and its instruction."""
        return f"{about_module(study.program, path)}\n{predictors_of(study.program)[path].instruction}"


@dataclass(frozen=True, slots=True)
class ToolDescriptions(Descriptions):
    """Descriptions of the tools of one module and of their arguments, edited by a proposer that sees what failed.

    `proposer` is any module that takes the inputs of `DescribeTools` and gives its `changed`. See `Descriptions`.
    """

    name: ClassVar[str] = "tools"
    proposer: Module = field(default_factory=lambda: Predict(DescribeTools))

    def groups(self, study: Study, parent: Candidate) -> dict[str, dict[str, str]]:
        """The tools, and `tool.argument` for the arguments, of each module that has any."""
        known = parameters(study.program)
        found: dict[str, dict[str, str]] = {}
        for path, part in modules_of(study.build(parent)).items():
            dot = f"{path}." if path else ""
            own: dict[str, str] = {}
            for name, tool in tools_of(part).items():
                own[name] = f"{dot}{TOOLS}.{name}.description"
                own |= {f"{name}.{one}": f"{dot}{TOOLS}.{name}.arguments.{one}" for one in tool.arguments}
            free = {name: one for name, one in own.items() if one in known and not study.locked(one)}
            if free:
                found[path] = free
        return found

    def about(self, study: Study, path: str) -> str:
        """The module, and the program around it."""
        if path in predictors_of(study.program):
            return about_module(study.program, path)
        return f"{path or 'the program'}\n{about_program(study.program)}"


def _edited(now: Mapping[str, str], written: Any) -> dict[str, str]:
    """The descriptions that change: known names, new words, within bounds."""
    found: dict[str, str] = {}
    for one in written if isinstance(written, list) else ():  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(one, Description) or one.name not in now or len(found) == _MOST:
            continue
        text = " ".join(one.text.split())
        if text and len(text) <= LONGEST and (not now[one.name] or similarity(text, now[one.name]) < _SAME):
            found[one.name] = text
    return found
