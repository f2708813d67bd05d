"""`Debate`: several answers, each reconsidered in view of the others, and a vote or a panel of judges at the end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, cast

from outlast.errors import SignatureError, UsageError, brief
from outlast.modules.attempts import (
    Allowance,
    Attempt,
    Outcome,
    allowance,
    attempt,
    check_budget,
    check_count,
    failed,
    told,
)
from outlast.modules.deriving import Step, as_text, for_step, free_name, outputs_from, with_inputs
from outlast.modules.module import Module
from outlast.modules.predict import Predict
from outlast.modules.strategy import P, R, Strategy, as_module, refuse_same_draws, signature_of
from outlast.runtime import Budget, gather
from outlast.signatures.codec import codecs
from outlast.signatures.field import output
from outlast.signatures.signature import without_field

By = Literal["vote", "judges"]

_AGENTS = 3  # when neither their number nor their modules are given

_RECONSIDER = (
    "Your own earlier answer to this and those of others are given. Some of them may be wrong, yours too. Weigh them, "
    "then answer again."
)
_JUDGE = (
    "Several answers to the same task are given, numbered from 1. Say which one is the best, by its number. Judge only "
    "whether the task is done rightly and wholly, not the length or the place in the list."
)


class Debate(Strategy[P, R]):
    """`agents` answer, then each reconsiders `rounds` times in view of what the others said (Du et al. 2023, arXiv
    2305.14325); at the end the most frequent answer is given, or the one that a panel of judges prefers.

    `inner` is a signature or a module that answers one, which every agent draws from; a list of modules for one
    signature gives each agent its own (models that err differently help most). `agents` is 3, or as many as there are
    modules.
    `by="vote"`: answers are compared as JSON data, ties go to the first. `by="judges"`: each of `judges` judges sees
    the answers in another order and names one (a panel, Verga et al. 2024, arXiv 2404.18796); most votes win. An agent
    whose call fails keeps its last answer. When the `budget` ends, the answers so far are voted on.
    Cost: `agents` * (1 + `rounds`) calls, of which `agents` of `inner`, and `judges` more with `by="judges"`.
    """

    inner: Any
    agents: int | None
    rounds: int
    by: By
    judges: int
    budget: Budget | None
    reconsider: Predict[..., Any]
    judge: Predict[..., Any]

    def __init__(
        self,
        inner: Callable[P, R] | Sequence[Callable[P, R]] | str | None = None,
        *,
        agents: int | None = None,
        rounds: int = 1,
        by: By = "vote",
        judges: int = 3,
        budget: Budget | None = None,
    ) -> None:
        self.inner = _modules(inner)
        several = isinstance(self.inner, tuple)
        self.agents = agents if agents is None else check_count("Debate", "agents", agents)
        if several and agents is not None and agents != len(self.inner):
            raise UsageError(f"Debate got {len(self.inner)} modules and agents={agents}; leave agents= away")
        self.rounds = check_count("Debate", "rounds", rounds, least=0)
        if by not in ("vote", "judges"):
            raise UsageError(f"Debate(by=...) is 'vote' or 'judges'; got {brief(by)}")
        self.by = by
        self.judges = check_count("Debate", "judges", judges)
        self.budget = check_budget(budget, "Debate")
        self.signature = _one_signature(self._speakers())
        fields = {
            free_name(self.signature, "own_answer"): (str, "your earlier answer"),
            free_name(self.signature, "other_answers"): (list[str], "what the others answered"),
        }
        self.reconsider = Predict(with_inputs(self.signature, _RECONSIDER, fields))
        self.judge = Predict(_judging(self.signature))
        if not several:
            refuse_same_draws(self.inner, agents or _AGENTS, "Debate")

    def _speakers(self) -> tuple[Module, ...]:
        inner: Any = self.inner
        return cast("tuple[Module, ...]", inner if type(inner) is tuple else (inner,) * (self.agents or _AGENTS))

    async def forward(self, /, **inputs: Any) -> Any:
        with allowance(self.budget) as allowed:
            speakers = self._speakers()
            one_voice = not isinstance(self.inner, tuple)
            count = len(speakers)
            numbered = [(number, count) if one_voice else (0, 1) for number in range(count)]
            said = await gather(
                *(
                    attempt(speaker, inputs, number, of, allowed, part=f"agent {at}")
                    for at, (speaker, (number, of)) in enumerate(zip(speakers, numbered, strict=True))
                )
            )
            history = list(said)
            for turn in range(1, self.rounds + 1):
                if allowed.stopped or not any(one.ok for one in said):
                    break
                said = await self._round(inputs, said, allowed, turn)
                history += said
            standing = [one for one in said if one.ok]
            if not standing:
                raise failed("Debate", history)
            chosen, votes = await self._decided(inputs, standing, allowed)
            stopped = allowed.stopped
        outcome = Outcome("Debate", tuple(history), history.index(chosen), stopped, {"votes": votes})
        return told(chosen.result, outcome)

    async def _round(
        self, inputs: Mapping[str, Any], said: Sequence[Attempt], allowed: Allowance, turn: int
    ) -> tuple[Attempt, ...]:
        """What everyone says after hearing the others; who fails keeps the earlier answer.

        Every draw has a number of its own: who hears the same again is not to say the same by rote.
        """
        texts = [as_text(self.signature, one.result) if one.ok else "" for one in said]
        own, others = list(self.reconsider.signature.inputs)[-2:]

        async def again(at: int) -> Attempt:
            heard = [text for index, text in enumerate(texts) if index != at and text]
            shown = {own: texts[at] or "(none)", others: heard}
            step = Step(self.reconsider, self.signature, inputs, shown)
            number = turn * len(said) + at
            new = await attempt(step, inputs, number, len(said) * (self.rounds + 1), allowed, part=f"agent {at}")
            return new if new.ok or not said[at].ok else said[at]

        return await gather(*(again(at) for at in range(len(said))))

    async def _decided(
        self, inputs: Mapping[str, Any], standing: Sequence[Attempt], allowed: Allowance
    ) -> tuple[Attempt, dict[str, int]]:
        """The answer, and the votes for each different one."""
        keys = [_key(self.signature, one.result) for one in standing]
        first = dict(reversed(list(zip(keys, standing, strict=True))))
        counts = Counter(keys)
        if self.by == "judges" and len(first) > 1 and not allowed.stopped:
            names = await self._panel(inputs, list(dict.fromkeys(keys)), first, allowed)
            counts = Counter(names) or counts
        most = max(counts.values())
        key = next(key for key in dict.fromkeys(keys) if counts[key] == most)
        return first[key], {as_text(self.signature, first[key].result): count for key, count in counts.items()}

    async def _panel(
        self, inputs: Mapping[str, Any], keys: Sequence[str], first: Mapping[str, Attempt], allowed: Allowance
    ) -> list[str]:
        """The votes of the judges, each of whom sees the answers beginning with another one."""
        answers, best = list(self.judge.signature.inputs)[-1], next(iter(self.judge.signature.outputs))

        async def vote(judge: int) -> str | None:
            order = [*keys[judge % len(keys) :], *keys[: judge % len(keys)]]
            shown = [f"{number}. {as_text(self.signature, first[key].result)}" for number, key in enumerate(order, 1)]
            one = await attempt(
                self.judge,
                {**for_step(self.signature, inputs), answers: shown},
                judge,
                self.judges,
                allowed,
                part="judge",
            )
            number = getattr(one.result, best) if one.ok else 0
            return order[number - 1] if 1 <= number <= len(order) else None

        votes = await gather(*(vote(judge) for judge in range(self.judges)))
        return [key for key in votes if key is not None]


def _modules(inner: Any) -> Any:
    if isinstance(inner, list | tuple):
        found = tuple(as_module(one, "Debate") for one in cast("list[Any]", inner))
        if len(found) < 2:
            raise UsageError("Debate takes one module, or at least two; got a list of fewer")
        return found
    return as_module(inner, "Debate")


def _one_signature(modules: Iterable[Module]) -> Any:
    signatures = [signature_of(module) for module in modules]
    if any(one is None for one in signatures):
        raise SignatureError("Debate compares answers to one signature; a module in it answers none of its own")
    if any(one.key != signatures[0].key for one in signatures):
        names = ", ".join(dict.fromkeys(one.__name__ for one in signatures))
        raise SignatureError(f"Debate takes modules for one signature; got {names}")
    return signatures[0]


def _judging(signature: Any) -> Any:
    """The signature of a judge: the inputs, the answers, and the number of the best."""
    answers = free_name(signature, "answers")
    found = with_inputs(signature, _JUDGE, {answers: (list[str], "the answers, each with its number")})
    found = found.append(free_name(signature, "best"), int, output(desc="the number of the best answer", ge=1))
    for name in signature.outputs:
        found = without_field(found, name)
    return found


def _key(signature: Any, result: Any) -> str:
    """An answer in the form in which equal ones are equal."""
    table = codecs(signature)
    data = {name: table[name].dump(value) for name, value in outputs_from(signature, result).items()}
    return json.dumps(data, sort_keys=True, default=str)
