"""Checks that a model writes from a rubric and examples: functions of Python, which only ever run in a sandbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field

from outlast.checks.coded import sandboxed
from outlast.data.jsonform import json_form
from outlast.errors import UsageError
from outlast.evals.judging.rubric import Rubric
from outlast.evals.proposing.candidates import Candidate
from outlast.messages import canonical
from outlast.modules.module import Module
from outlast.modules.predict import Predict
from outlast.sandbox.protocol import Sandbox
from outlast.signatures.field import input as input_field
from outlast.signatures.field import output as output_field
from outlast.signatures.signature import Signature

_MOST_SHOWN = 1_500  # characters of one example
_EXAMPLES = 6  # of each kind


class Written(BaseModel):
    """One function that a model wrote."""

    name: str = Field(description="two or three words for a table, such as 'names the order'")
    message: str = Field(description="one sentence that tells a writer what is wrong when the check fails")
    code: str = Field(description="Python: `def check(...)` with the fields as parameters, in their order; True passes")


class WriteChecks(Signature):
    """Write small Python functions that tell good outputs from bad ones.

    Each looks at one reason why an output may be bad, and returns True for outputs that are fine. They use plain string
    work and `re`, no files, no network, no other modules. Bad outputs must fail at least one of them; good ones pass
    all. Prefer rules that follow from what is asked to accidents of the examples.
    """

    asked: str = input_field(desc="what is asked of an output")
    fields: list[str] = input_field(desc="the parameters of every function, in this order")
    good: list[str] = input_field(desc="outputs that people called good, the fields as JSON")
    bad: list[str] = input_field(desc="outputs that people called bad")
    count: int = input_field(desc="how many functions to write")
    functions: list[Written] = output_field()


class CheckWriter(Module):
    """The module that writes checks: a program like any other, so that it can be compiled. Cost: one LM call."""

    def __init__(self, lm: Any = None) -> None:
        self.write = Predict(WriteChecks, lm=lm)

    async def forward(self, /, **fields: Any) -> Any:
        """Write checks; see `WriteChecks`."""
        return await self.write.acall(**fields)


async def written(
    writer: Module,
    rubric: Rubric | None,
    rows: Sequence[Mapping[str, Any]],
    good: Sequence[bool],
    fields: tuple[str, ...],
    count: int,
    sandbox: Sandbox | None,
) -> tuple[list[Candidate], int]:
    """The candidates that a model wrote, and how many of its functions are none. Their code is parsed, not run."""
    shown = [canonical(json_form({name: row[name] for name in fields}, lenient=True)).decode() for row in rows]
    out = await writer.acall(
        asked=rubric.text() if rubric is not None else "Find out from the examples.",
        fields=list(fields),
        good=_some([text for text, fine in zip(shown, good, strict=True) if fine]),
        bad=_some([text for text, fine in zip(shown, good, strict=True) if not fine]),
        count=count,
    )
    found: list[Candidate] = []
    broken = 0
    for one in out.functions[:count]:
        name, message = " ".join(one.name.split())[:60] or "written", " ".join(one.message.split())[:300]
        try:
            check = sandboxed(one.code, *fields, name=name, message=message, sandbox=sandbox)
        except UsageError:
            broken += 1
            continue
        found.append(Candidate(check, _source(one.code, fields, name, message), "model"))
    return found, broken


def _some(texts: Sequence[str]) -> list[str]:
    step = max(1, len(texts) // _EXAMPLES)
    return [text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…" for text in texts[::step][:_EXAMPLES]]


def _source(code: str, fields: tuple[str, ...], name: str, message: str) -> str:
    """The call, with the code as lines of literals: whatever the model wrote stays inside a string."""
    lines = "\n".join(f"        {line + chr(10)!r}" for line in code.strip().splitlines())
    names = ", ".join(map(repr, fields))
    return (
        f"ol.checks.sandboxed(\n{lines},\n        {names},\n        name={name!r},\n        message={message!r},\n    )"
    )
