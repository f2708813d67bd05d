"""Checks at work: what they say of one call, and what is done where they fail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from time import perf_counter
from typing import Any

from outlast.adapters.ask import Looked, as_decided
from outlast.checks.check import Check, CheckResult
from outlast.checks.fitting import steps
from outlast.checks.policy import RAISE, Policy
from outlast.checks.redaction import apart
from outlast.checks.reported import Checked, Failure, Standing, State, Tiers, refusal
from outlast.checks.standing import outputs_of_fallback, restored
from outlast.errors import BudgetExceeded, CheckFailed
from outlast.messages import Response
from outlast.runtime import gather
from outlast.signatures.codec import Codec

_NO_TABLE: Mapping[str, Codec] = {}


class Watching:
    """The checks of one call: of a question to a model, or of a module or guard (which cannot ask again).

    `before` are run on the inputs, `after` on each answer. `given` are the inputs as they are after `begin`; `instead`,
    when not None, is what stands in for an answer, so that none need be asked for. `holds` says that nothing of an
    answer may be shown before `look` has passed it.
    """

    def __init__(
        self,
        subject: str,
        before: Tiers,
        after: Tiers,
        inputs: Mapping[str, Any],
        *,
        outputs: Sequence[str] | None = None,
        table: Mapping[str, Codec] = _NO_TABLE,
        asks: bool = False,
    ) -> None:
        self.given: dict[str, Any] = dict(inputs)
        self.instead: Any = None
        self.pending = False
        self._subject = subject
        self._before = before
        self._after = after
        self._outputs = outputs
        self._table = table
        self._asks = asks
        self._undo: dict[str, str] = {}
        self._states: dict[str, State] = {}
        self._answers = 0
        self._held: dict[str, Any] = {}
        self._refused: CheckFailed | None = None  # why what the model said is not what is given
        self._response: Response | None = None
        self._began = 0.0
        self._tokens = 0

    @property
    def holds(self) -> bool:
        """Whether an answer must be whole and passed before any of it is shown."""
        strict = (one for tier in self._after for one in tier if not one.early and one.on_fail.action != "log")
        return bool(self._undo) or next(strict, None) is not None

    @property
    def report(self) -> dict[str, Checked]:
        """What became of each check, by name."""
        states = {
            one.name: self._states.get(one.name, State()) for tier in (*self._before, *self._after) for one in tier
        }
        return {
            name: Checked(one.first, one.final, 1 + one.retries, tuple(one.actions), one.message)
            for name, one in states.items()
        }

    def skip(self, names: Iterable[str]) -> None:
        """Leave out checks of the answer that were run elsewhere."""
        done = set(names)
        self._after = tuple(tuple(one for one in tier if one.name not in done) for tier in self._after)

    async def begin(self) -> None:
        """Run the checks of the inputs. Raises `CheckFailed`. Cost: that of the checks."""
        if self._before:
            values, _ = await self._mend(self._before, self.given, inputs=True)
            if self.instead is None:
                self.given = values

    async def look(self, values: dict[str, Any], response: Response | None) -> Looked:
        """What is given for an answer, or the error that the model is told when it is asked again.

        Raises `CheckFailed`. Values that are no whole answer, such as calls of tools, pass as they are.
        """
        if self._outputs is not None and any(name not in values for name in self._outputs):
            return Looked(values, values)
        self._answers += 1
        self._response = response
        found, again = await self._mend(self._after, values)
        self.pending = bool(again)
        if not again:
            return Looked(self._given(found), found, self._refused)
        self._held = values
        if not self._began:
            self._began = perf_counter()
        for check, _, policy in again:
            self._did(check, policy)
        return Looked(values, values, self._failed(again[0], values), refusal(again, response))

    def paid(self, response: Response) -> None:
        """Count what the asking-again takes."""
        if self.pending:
            self._tokens += (response.usage.input_tokens or 0) + (response.usage.output_tokens or 0)

    async def settle(self) -> tuple[dict[str, Any], Response]:
        """What is given for the last answer when no other could be had. Raises `CheckFailed`."""
        self._asks = self.pending = False
        found, _ = await self._mend(self._after, self._held)
        response = Response("") if self._response is None else self._response
        return self._given(found), as_decided(response, self._held, found)

    def _given(self, values: dict[str, Any]) -> dict[str, Any]:
        """Values with what was hidden from the model put back."""
        return restored(values, self._undo, self._table, self._subject) if self._undo else values

    async def _mend(
        self, tiers: Tiers, values: dict[str, Any], *, inputs: bool = False
    ) -> tuple[dict[str, Any], list[Failure]]:
        """The values after all that can be done without asking, and the failures that asking again may mend."""
        answer = Standing()
        self._refused = None
        while True:
            failing = [
                Failure(check, result, self._policy(check, result, values, answer))
                for check, result in await self._failing(tiers, values, answer)
            ]
            for one in failing:
                if one.policy.action == "raise":
                    self._did(one.check, RAISE)
                    raise self._failed(one, values, inputs=inputs)
            for one in failing:
                if one.policy.action == "fallback":
                    self._did(one.check, one.policy)
                    self._refused = self._failed(one, values)
                    return await self._replaced(one, values, inputs=inputs), []
            here = [one for one in failing if one.policy.action != "retry"]
            if not here:
                return values, failing
            values = self._done_here(here, values, answer, inputs=inputs)
            if inputs and self.instead is not None:
                return values, []

    def _done_here(
        self, failing: list[Failure], values: dict[str, Any], answer: Standing, *, inputs: bool
    ) -> dict[str, Any]:
        """The values after one round: whatever is let be or given up, or else one fix, since the others saw the value
        before it."""
        fixes = [one for one in failing if one.policy.action in ("fix", "filter")]
        for check, _, policy in failing if len(fixes) < len(failing) else fixes[:1]:
            if policy.action in ("fix", "filter") and len(fixes) < len(failing):
                continue
            self._did(check, policy)
            if policy.action == "log":
                answer.let.add(check.name)
            elif policy.action == "abstain":
                answer.let.add(check.name)
                values = self._abstained(check, values, answer, inputs=inputs)
            else:
                result = answer.said[check.name]
                assert result is not None
                fixed = self._proposed(result, values) or {}
                if inputs and result.undo:
                    others = {name: value for name, value in values.items() if name not in fixed}
                    fixed, undo = apart(fixed, result.undo, others, self._undo)
                    self._undo.update(undo)
                values = {**values, **fixed}
                answer.mended.add(check.name)
                answer.said.clear()
        return values

    def _abstained(self, check: Check, values: dict[str, Any], answer: Standing, *, inputs: bool) -> dict[str, Any]:
        if inputs:
            self.instead = dict.fromkeys(self._outputs) if self._outputs else {"answer": None}
            return values
        names = [name for name in check.needs if name in values]
        answer.given_up.update(names)
        result = answer.said[check.name]
        assert result is not None
        self._refused = self._failed(Failure(check, result, check.on_fail), values)
        return {**values, **dict.fromkeys(names)}

    async def _replaced(self, one: Failure, values: dict[str, Any], *, inputs: bool) -> dict[str, Any]:
        """What a fallback gives."""
        known = self._outputs or tuple(() if inputs else values)
        looked = [name for name in one.check.needs if name in known]
        found = await outputs_of_fallback(one.policy.value, self.given, known, looked, self._table)
        if inputs:
            self.instead = found
            return values
        return {**values, **found} if isinstance(found, dict) else {**values, "answer": found}

    async def _failing(
        self, tiers: Tiers, values: Mapping[str, Any], answer: Standing
    ) -> list[tuple[Check, CheckResult]]:
        """The checks of the first tier that has any which fail."""
        fields = {**self.given, **values}
        for tier in tiers:
            due = [one for one in tier if one.name not in answer.let and answer.given_up.isdisjoint(one.needs)]
            new = [one for one in due if one.name not in answer.said]
            if len(new) > 1 and new[0].cost != "cheap":
                results = await gather(*[self._ask(one, fields, answer) for one in new])
            else:
                results = [await self._ask(one, fields, answer) for one in new]
            answer.said |= {one.name: result for one, result in zip(new, results, strict=True)}
            bad = [(one, result) for one in due if (result := answer.said[one.name]) is not None and not result.ok]
            if bad:
                return bad
        return []

    async def _ask(self, check: Check, fields: Mapping[str, Any], answer: Standing) -> CheckResult | None:
        """What a check says, noted. One that only logs breaks nothing, also when it breaks itself."""
        state = self._states.setdefault(check.name, State())
        try:
            result = await check.arun(fields)
        except BudgetExceeded:
            raise
        except Exception as error:
            if check.on_fail.action != "log":
                raise
            result = None
            answer.let.add(check.name)
            state.message = f"{type(error).__name__}: {error}"
        ok = None if result is None else result.ok
        if not state.seen and self._answers <= 1:
            state.first = ok
        state.seen = True
        state.final = ok
        if result is not None and not ok:
            state.message = check.told(result)
        return result

    def _policy(self, check: Check, result: CheckResult, values: Mapping[str, Any], answer: Standing) -> Policy:
        """The first policy of a check that can be carried out now."""
        for policy in steps(check.on_fail):
            if policy.action == "retry":
                possible = self._may_ask(check, policy)
            elif policy.action in ("fix", "filter"):
                possible = check.name not in answer.mended and self._proposed(result, values) is not None
            else:
                possible = True
            if possible:
                return policy
        return RAISE

    def _may_ask(self, check: Check, policy: Policy) -> bool:
        if not self._asks or self._states[check.name].retries >= policy.times:
            return False
        if policy.tokens is not None and self._tokens >= policy.tokens:
            return False
        return policy.seconds is None or not self._began or perf_counter() - self._began < policy.seconds

    def _proposed(self, result: CheckResult, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """The values that a check proposes, each as its field's type; None when there are none that fit."""
        found = {name: value for name, value in (result.fix or {}).items() if name in values}
        try:
            found = {name: self._table[name].check(one) if name in self._table else one for name, one in found.items()}
        except ValueError:
            return None
        return found or None

    def _did(self, check: Check, policy: Policy) -> None:
        state = self._states[check.name]
        state.actions.append(policy.action)
        state.retries += policy.action == "retry"

    def _failed(self, one: Failure, values: Mapping[str, Any], *, inputs: bool = False) -> CheckFailed:
        check, result, _ = one
        retries = self._states[check.name].retries
        asked = f" (after {retries} more {'try' if retries == 1 else 'tries'})" if retries else ""
        fields = {**self.given, **values}
        what = f"the inputs of {self._subject} do" if inputs else f"the answer of {self._subject} does"
        return CheckFailed(
            f"{what} not pass the check {check.name!r}{asked}: {check.told(result)}",
            check=check.name,
            result=result,
            values={name: fields[name] for name in check.needs},
            response=self._response,
            attempts=max(self._answers, 1),
        )
