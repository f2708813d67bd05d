"""`module.py:name` or `package.module:name`: importing what a command names, with errors that say what there is."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from hashlib import blake2b
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from outlast.errors import UsageError, brief, did_you_mean
from outlast.modules.module import Module

FORM = "module.py:name or package.module:name"


def looks_like_target(text: str) -> bool:
    """Whether a word names something in Python code, rather than a file of data."""
    place, colon, _ = text.rpartition(":")
    return bool(colon) and not Path(text).exists() and (place.endswith(".py") or "/" not in place)


def load_program(target: str) -> Module:
    """The program that a target names: a module, a module class that needs no arguments, or a `@predict` function.

    Imports the file, which runs its top level. Raises `UsageError` for what is not there or is no program.
    """
    module, name, value = _load(target, programs)
    if isinstance(value, Module):
        return value
    if isinstance(value, type) and issubclass(value, Module):
        return _built(value, target)
    raise UsageError(
        f"{target!r} is {_kind(value)}; a program is an ol.Module, a class of one or a @ol.predict function. "
        f"{_found(programs(module), 'Programs', name)}"
    )


def load_metric(target: str) -> Callable[..., Any]:
    """The metric that a target names: a function (example, prediction) -> score, a judge, a classifier or a check.

    A name without a colon is a plugin's. Raises `UsageError`, `ConfigError` for a broken plugin.
    """
    from outlast.evals.score import check_metric

    added = _added_metric(target)
    if added is not None:
        return added

    module, name, value = _load(target, metrics)
    if _scores(value) or (callable(value) and not isinstance(value, type | Module)):
        check_metric(value)
        return value
    raise UsageError(
        f"{target!r} is {_kind(value)}; a metric is a function (example, prediction) -> score, a judge or a check. "
        f"{_found(metrics(module), 'Metrics', name)}"
    )


def _added_metric(target: str) -> Callable[..., Any] | None:
    """The metric or the check that a plugin has under this name."""
    from outlast import plugins
    from outlast.evals.score import check_metric

    if ":" in target or target.endswith(".py"):
        return None
    found: Any = plugins.load("metrics", target)
    if found is None:
        found = plugins.load("checks", target)
        if callable(found) and not _scores(found):  # a function that makes one
            found = cast("Any", found)()
    if found is not None:
        check_metric(found)
    return found


def _scores(value: Any) -> bool:
    """Whether something that is no function stands where a metric is expected."""
    from outlast.checks.check import Check
    from outlast.evals.forms import Judging

    return isinstance(value, Check | Judging) and not isinstance(value, type)


def programs(module: ModuleType) -> list[str]:
    """Names of the programs that a file defines."""
    names: list[str] = []
    for name, value in vars(module).items():
        own = isinstance(value, type) and issubclass(value, Module) and value.__module__ == module.__name__
        if not name.startswith("_") and (own or isinstance(value, Module)):
            names.append(name)
    return names


def programs_in(file: str) -> dict[str, str]:
    """The programs that a file defines, each with the name of its class. Imports the file."""
    module = _import(file)
    found: dict[str, str] = {}
    for name in programs(module):
        value = getattr(module, name)
        found[name] = value.__name__ if isinstance(value, type) else type(value).__name__
    return found


def metrics(module: ModuleType) -> list[str]:
    """Names of the functions, judges and checks that a file defines."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and ((inspect.isfunction(value) and value.__module__ == module.__name__) or _scores(value))
    ]


def input_names(program: Module) -> list[str] | None:
    """Names of the inputs of a program; None when its `forward` takes any."""
    from outlast.modules.predict import Predict

    if isinstance(program, Predict):
        return list(cast("Any", program).signature.inputs)
    parameters = list(inspect.signature(program.forward).parameters.values())
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL]


def _load(target: str, candidates: Callable[[ModuleType], list[str]]) -> tuple[ModuleType, str, Any]:
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name:
        hint = ""
        if target.endswith(".py") and Path(target).is_file():
            hint = f" {_found(candidates(_import(target)), 'In it', '')}"
        raise UsageError(f"a target is {FORM}; got {target!r}.{hint}")
    module = _import(place)
    try:
        return module, name, getattr(module, name)
    except AttributeError:
        found = candidates(module)
        near = did_you_mean(name, found or vars(module))
        raise UsageError(f"{place!r} has no {name!r}.{near} {_found(found, 'There is', '')}") from None


def _import(place: str) -> ModuleType:
    if place.endswith(".py") or os.sep in place:
        return _import_file(Path(place))
    _put_on_path(Path.cwd())
    try:
        return import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not (place == error.name or place.startswith(f"{error.name}.")):
            raise  # the module is there; something that it imports is not
        beside = Path(*place.split(".")).with_suffix(".py")
        hint = f" There is a file: {beside}:..." if beside.is_file() else ""
        raise UsageError(f"no module {place!r} to import from here.{hint}") from None


def _import_file(path: Path) -> ModuleType:
    """A file as a module: by its dotted name when it lies in a package, else by its own."""
    if not path.is_file():
        near = did_you_mean(path.name, _python_files(path.parent))
        raise UsageError(f"no file {str(path)!r}.{near}")
    path = path.resolve()
    root, name = path.parent, path.stem
    while (root / "__init__.py").is_file():
        root, name = root.parent, f"{root.name}.{name}"
    _put_on_path(root)
    known = sys.modules.get(name)
    if known is not None and _file_of(known) == path:
        return known
    if "." in name:
        return import_module(name)
    if known is not None or name in sys.stdlib_module_names:
        name = f"{name}_{blake2b(str(path).encode(), digest_size=4).hexdigest()}"
        if name in sys.modules:
            return sys.modules[name]
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{str(path)!r} cannot be imported as Python")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _put_on_path(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _file_of(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if file else None


def _python_files(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("*.py")] if folder.is_dir() else []


def _built(kind: type[Module], target: str) -> Module:
    try:
        inspect.signature(kind.__init__).bind(None)
    except TypeError:
        raise UsageError(
            f"{target!r} is a class whose programs take arguments, {inspect.signature(kind.__init__)}. Build one in "
            f"the file and name it here."
        ) from None
    return kind()


def _kind(value: Any) -> str:
    from outlast.signatures.signature import Signature

    if isinstance(value, type) and issubclass(value, Signature):
        return f"a signature, which says what to ask but does not ask: use ol.Predict({value.__name__})"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if inspect.isfunction(value):
        return "a plain function"
    return brief(value, 60)


def _found(names: list[str], lead: str, but: str) -> str:
    others = [name for name in names if name != but]
    return f"{lead}: {', '.join(others)}." if others else ""
