"""The plugin of the `llm` command line: programs as models and as templates. Loaded by `llm`, and only by it.

`llm` imports this file at each start, so it brings nothing along; a program is imported when it is asked.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

llm: Any = import_module("llm")

PREFIX = "outlast"


@llm.hookimpl
def register_models(register: Any) -> None:
    """The programs that have a name in `llm`, and those that this command line names by their file."""
    from outlast.compat.llm_programs import named_in, programs
    from outlast.errors import OutlastError

    found = named_in(sys.argv)
    try:
        found = {**found, **programs()}
    except OutlastError as error:  # the other models of llm are not to suffer from it
        sys.stderr.write(f"outlast: {error}\n")
    if not found:
        return
    from outlast.compat.llm_models import models_of

    for program in found.values():
        register(*models_of(program))


@llm.hookimpl
def register_template_loaders(register: Any) -> None:
    """`-t outlast:NAME`."""
    register(PREFIX, load_template)


@llm.hookimpl
def register_commands(cli: Any) -> None:
    """`llm outlast`."""
    from outlast.compat.llm_commands import add_commands

    add_commands(cli)


def load_template(name: str) -> Any:
    """The prompt of a program as a template of `llm`."""
    from outlast.compat.llm_templates import template_of

    return template_of(name)
