"""The checks that a signature keeps. What a check is, is defined above this layer; here it is only kept and fitted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeGuard, cast

from outlast.errors import SignatureError, brief, did_you_mean
from outlast.signatures.field import Field
from outlast.signatures.record import ABOUT_RESULTS


class Rule(Protocol):
    """What a signature knows of a check.

    `fit` raises `SignatureError` where the check cannot be run on a signature with these fields; `named` gives the same
    check under another name.
    """

    @property
    def name(self) -> str: ...

    @property
    def needs(self) -> tuple[str, ...]: ...

    def fit(self, signature: str, fields: Mapping[str, Field]) -> None: ...

    def named(self, name: str) -> Rule: ...


Rules = tuple[Rule, ...]


def is_rule(value: Any) -> TypeGuard[Rule]:
    """Whether a value is a check."""
    return not isinstance(value, type) and callable(getattr(value, "fit", None)) and hasattr(value, "on_fail")


def declared_rules(cls: type, inherited: Iterable[Rules], fields: Mapping[str, Field]) -> Rules:
    """The checks of a signature class: those that it inherits, and those that stand in its body, each under the name of
    its attribute. What stands in place of an inherited one replaces it; None takes it away."""
    found: dict[str, Rule] = {rule.name: rule for rules in inherited for rule in rules}
    for name, value in vars(cls).items():
        if is_rule(value):
            if name in fields:
                raise SignatureError(f"signature {cls.__name__} has a field and a check named {name!r}; rename one")
            if name in ABOUT_RESULTS:
                raise SignatureError(
                    f"signature {cls.__name__} has a check named {name!r}, which is what every result says of itself; "
                    f"give it another name"
                )
            found[name] = value if value.name == name else value.named(name)
        elif value is None and name in found:
            del found[name]
    return fitted_rules(cls.__name__, found.values(), fields)


def fitted_rules(signature: str, rules: Iterable[Rule], fields: Mapping[str, Field]) -> Rules:
    """The checks, each of which fits the fields; raises `SignatureError`."""
    found = tuple(rules)
    for rule in found:
        rule.fit(signature, fields)
    return found


def added_rules(old: Rules, checks: Any, signature: str) -> Rules:
    """The checks together; one with the name of an old one replaces it. Raises `SignatureError` for what is no check,
    and for two of one name."""
    if isinstance(checks, str) or not isinstance(checks, Iterable) or is_rule(checks):
        raise SignatureError(f"the checks of {signature} are a list of checks; got {brief(checks)}")
    new: dict[str, Rule] = {}
    for given in cast("Iterable[Any]", checks):
        one = _meant(given)
        if not is_rule(one):
            raise SignatureError(
                f"the checks of {signature} are made with @ol.check or the factories of ol.checks; got {brief(one)}"
            )
        if new.setdefault(one.name, one) != one:
            raise SignatureError(
                f"{signature} gets two checks named {one.name!r}; name one apart: check.named('another_name')"
            )
    kept = {rule.name: rule for rule in old}
    return tuple({**kept, **new}.values())


def _meant(thing: Any) -> Any:
    """The check that something stands for, such as a judge."""
    make = None if is_rule(thing) or isinstance(thing, type) else getattr(thing, "as_check", None)
    return make() if callable(make) else thing


def dropped_rules(old: Rules, names: Iterable[str], signature: str) -> Rules:
    """The checks without those of these names; raises `SignatureError` for a name that none has."""
    known = [rule.name for rule in old]
    for name in names:
        if name not in known:
            raise SignatureError(
                f"{signature} has no check {name!r}.{did_you_mean(str(name), known)} "
                f"Checks: {', '.join(known) or 'none'}."
            )
    return tuple(rule for rule in old if rule.name not in names)


def refuse_needed(old: Rules, name: str, signature: str) -> None:
    """Raise `SignatureError` when a check needs this field, which is about to go."""
    for rule in old:
        if name in rule.needs:
            raise SignatureError(
                f"the check {rule.name!r} of {signature} needs the field {name!r}; take the check away first: "
                f"{signature}.without_checks({rule.name!r})"
            )
