"""`MapReduce`: a long input is read in parts, and the answer made from notes on them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from outlast.errors import BudgetExceeded, SignatureError, UsageError, brief, did_you_mean
from outlast.modules.attempts import Allowance, Attempt, Outcome, allowance, attempt, check_budget, check_count, told
from outlast.modules.deriving import as_answer, for_step, free_name, with_inputs
from outlast.modules.predict import Predict, checked_inputs
from outlast.modules.strategy import P, R, Strategy
from outlast.runtime import Budget, gather
from outlast.signatures.codec import codecs
from outlast.signatures.field import output
from outlast.signatures.signature import without_field
from outlast.signatures.spelling import signature as read_signature

_MAP = (
    "The input {over!r} is too long to be read at once. Here is one part of it. Note everything in this part that "
    "matters for the task: facts, figures and names as they stand, with the words around them. Say NOTHING when "
    "nothing here matters. Do not do the task yet."
)
_MERGE = (
    "Notes on successive parts of a long text are given. Merge them into fewer words and lose nothing that matters for "
    "the task."
)
_ANSWER = "The input {over!r} was read part by part. Do the task from the notes on its parts."
_CUTS = tuple(re.compile(pattern) for pattern in (r"\n\s*\n", r"\n", r"(?<=[.!?\u3002\uff01\uff1f])\s*", r"\s+"))
_NOTHING = re.compile(r"\W*nothing\W*", re.IGNORECASE)


class Part(NamedTuple):
    """One part of a long input: what stands in it, and what it is in words."""

    value: Any
    size: int


class MapReduce(Strategy[P, R]):
    """Answer over an input that is too long for one prompt: notes on every part, merged until they fit, then the answer
    from the notes (Wu et al. 2021, arXiv 2109.10862; for questions Zhou et al. 2024, arXiv 2410.09342).

    `over` names the long input, a text or a list; it may be left out when there is one such input only. A part has at
    most `size` characters (a list is counted by its items as text), is cut at paragraphs, lines, sentences or words,
    and repeats the last `overlap` characters of the one before it (when not given a tenth of `size`, at most 400). An
    input of one part is given to `answer` as it is.
    Notes go into the answer in order; where they are longer than `size` together, `merge` shortens neighbours first.
    A part that cannot be read fails the whole: nothing is left out in silence. When the `budget` ends, the answer is
    made from the notes so far, for which one call is kept back, and `out.outcome` says which parts were not read.
    Cost: one call for a short input; else one for each part, about a third more for merging, and one for the answer.
    """

    signature: Any
    over: str | None
    long: str
    size: int
    overlap: int | None
    at_once: int
    budget: Budget | None
    answer: Predict[..., Any]
    note: Predict[..., Any]
    merge: Predict[..., Any]
    conclude: Predict[..., Any]

    def __init__(
        self,
        signature: Callable[P, R] | str | None = None,
        *,
        over: str | None = None,
        size: int = 12_000,
        overlap: int | None = None,
        at_once: int = 16,
        budget: Budget | None = None,
    ) -> None:
        self.signature = read_signature(signature)
        self.over = over
        self.long = _over(self.signature, over)
        self.size = check_count("MapReduce", "size", size, least=200)
        self.overlap = overlap if overlap is None else check_count("MapReduce", "overlap", overlap, least=0)
        if overlap is not None and overlap * 2 > size:
            raise UsageError(f"MapReduce(overlap=...) is at most half of size={size}; got {overlap}")
        self.at_once = check_count("MapReduce", "at_once", at_once)
        self.budget = check_budget(budget, "MapReduce")
        self.answer = Predict(self.signature)
        self.note = Predict(_noting(self.signature, self.long))
        self.merge = Predict(_merging(self.signature, self.long))
        self.conclude = Predict(_concluding(self.signature, self.long))

    async def forward(self, /, **inputs: Any) -> Any:
        given = checked_inputs(self.signature, inputs)
        parts = self.parts(given[self.long])
        with allowance(self.budget) as allowed:
            if len(parts) == 1:
                return await self.answer.acall(**given)
            if allowed.meter is not None and allowed.meter.limits["calls"] is not None:
                allowed.meter.keep_back({"calls": 1})
            notes, unread = await self._noted(given, parts, allowed)
            found = [note for note in notes if note and not _NOTHING.fullmatch(note)]
            merged = await self._merged(given, found, allowed)
            if allowed.meter is not None:
                allowed.meter.keep_back({})
            rest = {name: value for name, value in given.items() if name != self.long}
            field = list(self.conclude.signature.inputs)[-1]
            result = await self.conclude.acall(**rest, **{field: merged or ["(no part holds anything that matters)"]})
            stopped = allowed.stopped if unread else None
        facts = {"parts": len(parts), "notes": len(found), "unread": tuple(unread)}
        return told(as_answer(self.signature, given, result), Outcome("MapReduce", (), None, stopped, facts))

    def parts(self, value: Any) -> list[Any]:
        """The parts that a value of the long input is read in; one when it is short enough."""
        if isinstance(value, str):
            overlap = min(400, self.size // 10) if self.overlap is None else self.overlap
            return cut(value, self.size, overlap)
        codec = codecs(self.signature)[self.long]
        items = list(cast("Iterable[Any]", value))
        return _grouped([Part(item, len(codec.write([item]))) for item in items], self.size) or [value]

    async def _noted(
        self, given: Mapping[str, Any], parts: Sequence[Any], allowed: Allowance
    ) -> tuple[list[str], list[int]]:
        """The note on each part that was read, and the numbers (from 1) of those that were not."""
        field = next(iter(self.note.signature.outputs))
        where = list(self.note.signature.inputs)[-1]

        async def noted(number: int, part: Any) -> Attempt:
            shown = {**for_step(self.signature, given), self.long: part, where: f"part {number} of {len(parts)}"}
            return await attempt(self.note, shown, 0, 1, allowed)

        made = await gather(*(noted(number, part) for number, part in enumerate(parts, 1)), limit=self.at_once)
        for one in made:
            if one.error is not None and not isinstance(one.error, BudgetExceeded):
                raise one.error
        unread = [number for number, one in enumerate(made, 1) if not one.ok]
        if len(unread) == len(made):
            raise cast("Exception", made[0].error)
        texts = [getattr(one.result, field).strip() for one in made if one.ok]
        return texts, unread

    async def _merged(self, given: Mapping[str, Any], notes: list[str], allowed: Allowance) -> list[str]:
        """Notes that fit into one prompt: neighbours are merged until they do, as long as that makes them shorter."""
        rest = {name: value for name, value in for_step(self.signature, given).items() if name != self.long}
        field, merged = list(self.merge.signature.inputs)[-1], next(iter(self.merge.signature.outputs))
        while (before := sum(map(len, notes))) > self.size and len(notes) > 1 and not allowed.stopped:
            groups = _grouped([Part(note, len(note)) for note in notes], self.size)
            if len(groups) == len(notes):
                groups = [notes[at : at + 2] for at in range(0, len(notes), 2)]

            async def shorter(group: list[str]) -> list[str]:
                if len(group) == 1:
                    return group
                one = await attempt(self.merge, {**rest, field: group}, 0, 1, allowed)
                if one.error is not None and not isinstance(one.error, BudgetExceeded):
                    raise one.error
                return [getattr(one.result, merged)] if one.ok else group

            notes = [note for group in await gather(*map(shorter, groups), limit=self.at_once) for note in group]
            if sum(map(len, notes)) >= before:
                break
        return notes


def cut(text: str, size: int, overlap: int) -> list[str]:
    """A text in parts of at most `size` characters, each beginning with the last `overlap` of the one before.

    It is cut behind the last paragraph that fits, else the last line, sentence or word; a longer run is cut anywhere.
    """
    found: list[str] = []
    start = 0
    while len(text) - start > size:
        end = _end(text, start, size, overlap)
        found.append(text[start:end])
        start = max(end - overlap, start + 1)
        if overlap and (space := text.find(" ", start, end)) != -1:
            start = space + 1  # an overlap begins with a whole word
    return [*found, text[start:]]


def _end(text: str, start: int, size: int, overlap: int) -> int:
    least = start + max(size // 2, overlap + 1)
    for pattern in _CUTS:
        ends = [match.end() for match in pattern.finditer(text, least, start + size)]
        if ends:
            return ends[-1]
    return start + size


def _grouped(parts: Sequence[Part], size: int) -> list[list[Any]]:
    """Neighbours together, as many as fit; one that is too big alone stands alone."""
    groups: list[list[Any]] = []
    room = 0
    for part in parts:
        if not groups or part.size > room:
            groups.append([])
            room = size
        groups[-1].append(part.value)
        room -= part.size
    return groups


def _over(signature: Any, over: str | None) -> str:
    """The long input: the one that is named, else the only text or list there is."""
    inputs = signature.inputs
    fit = [name for name, field in inputs.items() if _is_long(field.type)]
    if over is None:
        if len(fit) == 1:
            return fit[0]
        raise SignatureError(
            f"MapReduce reads one long input of {signature.__name__} in parts: say which with over=...; texts and "
            f"lists are: {', '.join(fit) or 'none'}"
        )
    if over not in inputs:
        raise SignatureError(f"{signature.__name__} has no input {over!r}.{did_you_mean(str(over), inputs)}")
    if over not in fit:
        raise SignatureError(f"MapReduce reads a text or a list in parts; {over!r} is a {brief(inputs[over].type)}")
    return over


def _is_long(kind: Any) -> bool:
    return kind is str or getattr(kind, "__origin__", kind) is list


def _noting(signature: Any, over: str) -> Any:
    where = free_name(signature, "where")
    found = with_inputs(signature, _MAP.format(over=over), {where: (str, f"which part of {over} this is")})
    return _only(found, signature, "notes", "what matters in this part")


def _merging(signature: Any, over: str) -> Any:
    notes = free_name(signature, "notes")
    found = with_inputs(signature, _MERGE, {notes: (list[str], "the notes, in order")})
    return without_field(_only(found, signature, "merged", "the merged notes"), over)


def _concluding(signature: Any, over: str) -> Any:
    notes = free_name(signature, "notes")
    found = with_inputs(signature, _ANSWER.format(over=over), {notes: (list[str], f"the notes on {over}, in order")})
    return without_field(found, over)


def _only(derived: Any, signature: Any, name: str, desc: str) -> Any:
    """The derived signature with one text as its output."""
    found = derived.append(free_name(derived, name), str, output(desc=desc))
    for declared in signature.outputs:
        found = without_field(found, declared)
    return found
