"""The texts of a program that a search may write anew: instructions, and declared parameters that hold prose."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Container, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from outlast.data.example import Example
from outlast.errors import UsageError, brief
from outlast.modules.module import Module, forward_of
from outlast.modules.paths import parameters, predictors_of, spaces_of
from outlast.modules.spaces import Space, Text
from outlast.modules.state import places
from outlast.modules.strategy import signature_of
from outlast.optimize.episodes import about_module, about_program
from outlast.signatures.signature import Signature

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate, Outcome
    from outlast.optimize.study import Study

T = TypeVar("T")

MOST_CHARACTERS = 8000  # of a text that a proposer writes


def texts(study: Study) -> list[str]:
    """The parameters that a search may write anew, in the order of the program; locked ones are not among them."""
    known = study.derived.get("texts")
    if known is None:
        known = study.derived["texts"] = [path for path in texts_in(study.program) if not study.locked(path)]
    return list(known)


def texts_in(program: Module) -> list[str]:
    """The parameters of a program that hold text to write, in its order; empty for a program without.

    These are the instructions of all modules, and what was declared with `param` as an `ol.Text` or, without a space,
    holds more than one word.
    """
    values, kinds, spaces = parameters(program), places(program), spaces_of(program)
    return [path for path, value in values.items() if _is_text(kinds[path].kind, value, spaces.get(path))]


def _is_text(kind: str, value: Any, space: Space[Any] | None) -> bool:
    if space is not None:
        return isinstance(space, Text)
    return kind == "instruction" or (kind == "declared" and isinstance(value, str) and len(value.split()) > 1)


def text_of(study: Study, candidate: Candidate, path: str) -> str:
    """The text at a parameter path in a candidate's program; "" where it has none."""
    value = parameters(study.build(candidate)).get(path)
    return value if isinstance(value, str) else ""


def module_of(study: Study, path: str) -> str | None:
    """The path of the predictor whose instruction a parameter is; None for another parameter."""
    owner, _, name = path.rpartition(".")
    return owner if name == "instruction" and owner in predictors_of(study.program) else None


def about_text(study: Study, path: str) -> str:
    """What a text is for, in words for a proposer."""
    owner = module_of(study, path)
    if owner is not None:
        return about_module(study.program, owner)
    space = spaces_of(study.program).get(path)
    what = space.description if space is not None else ""
    return f"{path}: {what or 'a text that this program uses'}\n{about_program(study.program)}"


def instruction_at(path: str) -> str:
    """The parameter path of a predictor's instruction."""
    return f"{path}.instruction".lstrip(".")


def owner_of(path: str) -> str:
    """What a text belongs to, as feedback may call it: the module of an instruction, else the parameter itself."""
    owner, _, name = path.rpartition(".")
    return owner.rpartition(".")[2] if name == "instruction" else name


def text_in(answer: Any, name: str) -> str:
    """The text that a proposer gave under a name; "" when it gave none that can be used."""
    value = getattr(answer, name, None)
    if not isinstance(value, str) or len(value) > MOST_CHARACTERS:
        return ""
    return value.strip()


async def together(jobs: Iterable[Awaitable[T]]) -> list[T]:
    """Run jobs at once and give their results in order.

    All are waited for even when one fails, so that nothing that was paid for is lost; then the first exception is
    raised.
    """
    results = await asyncio.gather(*jobs, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


def total(outcomes: Iterable[Outcome]) -> float:
    """The sum of the values that are known."""
    return math.fsum(outcome.value for outcome in outcomes if outcome.value is not None)


def failed(study: Study, outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Those that are not wholly right."""
    return [outcome for outcome in outcomes if outcome.value is not None and outcome.value < study.full]


def minibatch(study: Study, number: int, size: int) -> list[Example]:
    """The `number`-th batch of training examples when they are gone through again and again, newly shuffled each time.

    A batch is never cut short: it goes on into the next pass.
    """
    count = len(study.train)
    found: list[Example] = []
    orders: dict[int, list[Example]] = {}
    for place in range(number * size, (number + 1) * size if count else 0):
        turn, at = divmod(place, count)
        if turn not in orders:
            orders[turn] = list(study.train)
            study.rng(f"pass {turn}").shuffle(orders[turn])
        if orders[turn][at] not in found:
            found.append(orders[turn][at])
    return found


def whole_numbers(optimizer: Any, **least: int) -> None:
    """Check the options of an optimizer or operator: whole numbers that are at least so much each."""
    for name, bound in least.items():
        value = getattr(optimizer, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < bound:
            raise UsageError(f"{type(optimizer).__name__}({name}=...) is a whole number from {bound}; got {value!r}")


def proposer_modules(optimizer: Any, **signatures: type[Signature]) -> None:
    """Check that the proposers among the options are modules that can stand for these signatures.

    Each takes all inputs of its signature and needs no others, and, where it has a signature of its own, gives what is
    used of the answer, which is the last output.
    """
    for name, signature in signatures.items():
        value = getattr(optimizer, name)
        option = f"{type(optimizer).__name__}({name}=...)"
        if not isinstance(value, Module):
            raise UsageError(f"{option} is a program such as ol.Predict(...); got {brief(value)}")
        given, used = list(signature.inputs), list(signature.outputs)[-1]
        taken, needed, made = _interface(value)
        wrong = _listed("does not take the input", [one for one in given if taken is not None and one not in taken])
        wrong += _listed("needs the input", [one for one in needed if one not in given])
        wrong += _listed("does not give the output", [used] if made is not None and used not in made else [])
        if wrong:
            raise UsageError(
                f"{option} stands for {signature.__name__}: it is given {', '.join(given)}, and has to give {used}. "
                f"{brief(value)} {'; '.join(wrong)}."
            )


def _interface(module: Module) -> tuple[Container[str] | None, Iterable[str], Container[str] | None]:
    """The inputs that a module takes, those that it needs, and its outputs; None for any."""
    signature = signature_of(module)
    if signature is not None:
        return signature.inputs, [name for name, one in signature.inputs.items() if one.required], signature.outputs
    forward = forward_of(module)
    return None if forward.takes_any else forward.names, forward.required, None


def _listed(what: str, names: Sequence[str]) -> list[str]:
    return [f"{what}{'s' if len(names) > 1 else ''} {', '.join(map(repr, names))}"] if names else []
