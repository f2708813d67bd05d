"""Whether a check can be run on a signature, told when the two are put together; and how a check is pickled."""

from __future__ import annotations

import sys
import types
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Union, cast, get_args, get_origin

from outlast.checks.policy import Policy
from outlast.errors import SignatureError, UsageError, brief, did_you_mean
from outlast.signatures.codec import Codec
from outlast.signatures.field import Field

if TYPE_CHECKING:
    from outlast.checks.check import Check

CALL = "__outlast_call__"  # what the function of a check of a factory notes: the call that makes it again
_CHANGED = ("name", "on_fail", "message", "cost", "each", "early")  # what may differ from the check in its module


def fit(check: Check, signature: str, fields: Mapping[str, Field]) -> None:
    """Raise `SignatureError` unless the fields are there that the check needs, and its policy can be carried out."""
    subject = f"the check {check.name!r} of {signature}"
    for name in check.needs:
        if name not in fields:
            raise SignatureError(
                f"{subject} needs the field {name!r}, which is not there.{did_you_mean(name, fields)} "
                f"Fields: {', '.join(fields)}."
            )
    if check.each and not _is_list(fields[check.needs[0]].type):
        raise SignatureError(f"{subject} (each=True) looks at the items of a list; {check.needs[0]!r} is none")
    for policy in steps(check.on_fail):
        if policy.action == "retry" and not outputs_in(check, fields):
            raise SignatureError(
                f"{subject} looks at inputs only, which asking again does not change; on_fail is one of 'raise', "
                f"'fix', 'abstain', 'filter', 'log' or ol.checks.fallback(...)"
            )
        if policy.action == "abstain":
            _fit_abstain(subject, given_up(check, fields))
        if policy.action == "fallback":
            fallback_values(check, policy, fields, signature)


def refuse_retry(check: Check, subject: str) -> None:
    """Raise `UsageError` for a check that would ask again where there is no conversation."""
    if any(policy.action == "retry" for policy in steps(check.on_fail)):
        raise UsageError(
            f"the check {check.name!r} of {subject} says 'retry', and a whole program has no conversation in which it "
            f"could be asked again. Put the check on the signature of the step that answers, or run the program again: "
            f"ol.Retry(program, until=check), ol.Refine(program, n=3, reward=check)"
        )


def steps(policy: Policy | None) -> Iterator[Policy]:
    """A policy and those that come after it."""
    while policy is not None:
        yield policy
        policy = policy.then


def outputs_in(check: Check, fields: Mapping[str, Field]) -> tuple[str, ...]:
    """The outputs that a check looks at; none for one that runs before the model is asked."""
    return tuple(name for name in check.needs if fields[name].kind == "output")


def given_up(check: Check, fields: Mapping[str, Field]) -> dict[str, Field]:
    """The outputs that are None when the check abstains: those that it looks at, all when it looks at inputs only."""
    names = outputs_in(check, fields) or tuple(name for name, one in fields.items() if one.kind == "output")
    return {name: fields[name] for name in names}


def fallback_values(check: Check, policy: Policy, fields: Mapping[str, Field], signature: str) -> dict[str, Any] | None:
    """The values of a fallback by output; None when it is a module, which is asked. Raises `SignatureError`."""
    value = policy.value
    if hasattr(value, "acall"):
        return None
    subject = f"the fallback of the check {check.name!r} of {signature}"
    outputs = {name: one for name, one in fields.items() if one.kind == "output"}
    looked = outputs_in(check, fields)
    only: tuple[str, ...] = looked if len(looked) == 1 else tuple(outputs) if len(outputs) == 1 else ()
    by_name = isinstance(value, Mapping) and all(name in outputs for name in cast("Mapping[Any, Any]", value))
    if not by_name and not only:
        raise SignatureError(
            f"{subject} is values by output name ({', '.join(outputs)}), or a module; got {brief(value)}"
        )
    given: Mapping[str, Any] = cast("Mapping[str, Any]", value) if by_name else dict.fromkeys(only, policy.value)
    if not looked and len(given) < len(outputs):
        lacking = next(name for name in outputs if name not in given)
        raise SignatureError(f"{subject} stands in for a whole answer, so it needs {lacking!r} too")
    found: dict[str, Any] = {}
    for name, one in given.items():
        try:
            found[name] = Codec(outputs[name]).check(one)
        except ValueError as error:
            raise SignatureError(f"{subject} has a {name!r} that does not fit: {error}") from error
    return found


def _fit_abstain(subject: str, outputs: Mapping[str, Field]) -> None:
    for name, one in outputs.items():
        if not Codec(one).takes_none:
            raise SignatureError(
                f"{subject} abstains, which makes {name!r} None, and its type does not allow that; declare it as "
                f"`{name}: ... | None`, or use ol.checks.fallback(...)"
            )


def _is_list(annotation: Any) -> bool:
    origin: Any = get_origin(annotation) or annotation
    if origin is Annotated:
        return _is_list(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return any(_is_list(part) for part in get_args(annotation))
    if origin is Any or isinstance(origin, type):
        return origin is Any or (issubclass(cast("type[Any]", origin), Collection) and origin not in (str, bytes, dict))
    return False


def reduced(check: Check) -> Any:
    """What pickle writes: a check of a factory by its call, one of a module by its name, others by their parts."""
    changes = {name: getattr(check, name) for name in _CHANGED}
    for how in (_by_call(check), _by_name(check)):
        if how is not None and _same(how[0](*how[1], changes), check):
            return how[0], (*how[1], changes)
    return _made, (check.function, check.needs, dict(check.options), changes)


def _same(found: Any, check: Check) -> bool:
    return found == check


def _by_call(check: Check) -> Any:
    call = getattr(check.function, CALL, None)
    return None if call is None else (_called, call)


def _called(make: Any, args: tuple[Any, ...], options: dict[str, Any], changes: dict[str, Any]) -> Any:
    return replace(make(*args, **options), **changes)


def _by_name(check: Check) -> Any:
    module, path = getattr(check.function, "__module__", None), getattr(check.function, "__qualname__", "")
    return (_named, (module, path)) if module in sys.modules and "<" not in path else None


def _named(module: str, path: str, changes: dict[str, Any]) -> Any:
    found: Any = import_module(module)
    for step in path.split("."):
        found = getattr(found, step, None)
    return replace(found, **changes) if hasattr(found, "on_fail") else None


def _made(function: Any, needs: tuple[str, ...], options: dict[str, Any], changes: dict[str, Any]) -> Any:
    from outlast.checks.check import Check

    return Check(function=function, needs=needs, options=options, **changes)
