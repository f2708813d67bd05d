"""Checks: what makes an output acceptable, said once and used to serve, evaluate, search and test.

The built-in ones take the names of fields and options. They are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from outlast.checks.check import Check, CheckResult, Found, check
from outlast.checks.policy import Policy, fallback, fix, retry

if TYPE_CHECKING:
    from outlast.checks.citations import cites
    from outlast.checks.coded import sandboxed
    from outlast.checks.copied import not_copied
    from outlast.checks.injection import injection_score, no_injection
    from outlast.checks.languages import language
    from outlast.checks.links import urls
    from outlast.checks.of_presidio import presidio
    from outlast.checks.pii import find_pii, no_pii, redact
    from outlast.checks.python_code import parses_python
    from outlast.checks.queries import sql
    from outlast.checks.redaction import Redacted, restore
    from outlast.checks.schema import json_schema
    from outlast.checks.secrets import find_secrets, no_secrets
    from outlast.checks.structure import length, matches, one_of
    from outlast.checks.support import (
        dates_supported,
        entities_supported,
        numbers_supported,
        quotes_supported,
        supported,
    )
    from outlast.checks.toxicity import find_toxic, no_toxicity

_HOMES = {
    "citations": "cites",
    "coded": "sandboxed",
    "copied": "not_copied",
    "injection": "injection_score no_injection",
    "languages": "language",
    "links": "urls",
    "of_presidio": "presidio",
    "pii": "find_pii no_pii redact",
    "python_code": "parses_python",
    "queries": "sql",
    "redaction": "Redacted restore",
    "schema": "json_schema",
    "secrets": "find_secrets no_secrets",
    "structure": "length matches one_of",
    "support": "numbers_supported dates_supported quotes_supported entities_supported supported",
    "toxicity": "find_toxic no_toxicity",
}
_WHERE = {name: home for home, names in _HOMES.items() for name in names.split()}
__all__ = [
    "Check",
    "CheckResult",
    "Found",
    "Policy",
    "Redacted",
    "check",
    "cites",
    "dates_supported",
    "entities_supported",
    "fallback",
    "find_pii",
    "find_secrets",
    "find_toxic",
    "fix",
    "injection_score",
    "json_schema",
    "language",
    "length",
    "matches",
    "no_injection",
    "no_pii",
    "no_secrets",
    "no_toxicity",
    "not_copied",
    "numbers_supported",
    "one_of",
    "parses_python",
    "presidio",
    "quotes_supported",
    "redact",
    "restore",
    "retry",
    "sandboxed",
    "sql",
    "supported",
    "urls",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    home = _WHERE.get(name)
    if home is None:
        from outlast.errors import did_you_mean

        raise AttributeError(f"outlast.checks has no {name!r}.{did_you_mean(name, __all__)}", name=name)
    value = getattr(import_module(f"outlast.checks.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
