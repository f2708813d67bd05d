"""`llm outlast`: naming programs, so that `llm -m outlast:NAME` asks them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from outlast.compat.llm_programs import NamedProgram, keep, programs
from outlast.errors import OutlastError, UsageError


def add_commands(cli: Any) -> None:
    """Put the commands into those of `llm`."""
    click: Any = import_module("click")
    name = click.Argument(["name"])
    group = click.Group("outlast", help="Programs of outlast as models and templates of llm")
    artifact = click.Option(["--from", "artifact"], default="", help="a compiled file, X.outlast.json")
    lm = click.Option(["--lm"], default="", help="the model that it asks (llm's usual one)")
    told = "Name a program: llm outlast add triage app.py:triage"
    params = [name, click.Argument(["target"]), artifact, lm]
    group.add_command(click.Command("add", callback=_add, help=told, params=params))
    group.add_command(click.Command("list", callback=_list, help="The programs that have a name"))
    group.add_command(click.Command("remove", callback=_remove, help="Forget a name", params=[name]))
    cli.add_command(group)


def _add(name: str, target: str, artifact: str, lm: str) -> None:
    with _errors_of_click() as click:
        if not name or set(name) & set(" :@/\\"):
            raise UsageError("a name has no spaces and none of : @ / \\")
        named = NamedProgram(name, _whole(target), str(Path(artifact).resolve()) if artifact else "", lm)
        named.load()
        keep({**programs(), name: named})
        click.echo(f"llm -m outlast:{name}")


def _list() -> None:
    with _errors_of_click() as click:
        for one in programs().values():
            click.echo(
                "  ".join([f"outlast:{one.name}", one.target, *(word for word in (one.artifact, one.lm) if word)])
            )


def _remove(name: str) -> None:
    with _errors_of_click():
        known = programs()
        if name not in known:
            raise UsageError(f"no program has the name {name!r}. Names: {', '.join(known) or 'none'}")
        keep({one: told for one, told in known.items() if one != name})


@contextmanager
def _errors_of_click() -> Generator[Any]:
    click: Any = import_module("click")
    try:
        yield click
    except OutlastError as error:
        raise click.ClickException(str(error)) from error


def _whole(target: str) -> str:
    """A target that means the same from any folder: the path of a file in full."""
    place, colon, name = target.rpartition(":")
    if colon and (place.endswith(".py") or "/" in place):
        return f"{Path(place).resolve()}:{name}"
    return target
