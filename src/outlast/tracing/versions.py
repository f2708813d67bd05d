"""The version of a program, and what stands in a store of it."""

from __future__ import annotations

from typing import Any

from outlast.modules.module import Module


def version_of(program: Module) -> tuple[str, dict[str, Any]]:
    """The hash of a program and what stands in the store of it; "" when it cannot be told."""
    from outlast.modules.paths import predictors_of
    from outlast.modules.state import describe_signature, dump_changes, tuned
    from outlast.tracing.identity import program_hash

    try:
        version = program_hash(program)
    except Exception:  # code of a user that cannot be walked
        return "", {}
    shape: dict[str, Any] = {"class": type(program).__name__, "modules": {}, "parameters": {}}
    try:
        shape["modules"] = {
            path: {"module": type(part).__name__, "signature": describe_signature(part.signature)}
            for path, part in predictors_of(program).items()
        }
        shape["parameters"] = dump_changes(program, tuned(program))
    except Exception:  # a value that has no form in a file: the rest is worth having
        return version, shape
    return version, shape
