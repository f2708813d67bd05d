"""A check of JSON: a text or values that fit a JSON schema or a Python type."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from outlast.checks.check import Check, CheckResult, built
from outlast.checks.factory import factory
from outlast.checks.policy import Policy
from outlast.checks.reading import FINE, named, text_of
from outlast.errors import UsageError, brief

MOST = 1_000_000
"""Characters of JSON text that are read."""

_FENCED = re.compile(r"\s*```[\w+-]*[ \t]*\n(.*?)\n?[ \t]*```\s*", re.DOTALL)
_SHOWN = 5


@factory
def json_schema(
    field: str, schema: Mapping[str, Any] | bool | Any, *, each: bool = False, on_fail: Policy | str = "raise"
) -> Check:
    """The field fits a JSON schema (a dict), or a Python type that pydantic validates. Text is read as JSON first.

    The fix takes JSON out of a Markdown fence. Formats such as date and e-mail are checked; a `$ref` is never fetched.
    JSON above 1,000,000 characters or about 200 levels fails. A schema needs `pip install 'outlast[schema]'`
    (jsonschema), a type does not. Raises `UsageError` for a schema that is none.
    """
    named("json_schema", field)
    wrong, identity = (
        fits_schema(cast("Mapping[str, Any]", schema)) if isinstance(schema, Mapping) else _of_type(schema)
    )

    def look(value: Any) -> CheckResult | None:
        if value is None:
            return None
        text = value if isinstance(value, str) else None
        if getattr(value, "kind", None) == "code":
            text = text_of(value, "json_schema", field)
        if text is None:
            problems = wrong(_plain(value, field))
            return FINE if not problems else CheckResult(False, _told(field, problems))
        problems = _read(text, wrong)
        if not problems:
            return FINE
        inner = _FENCED.fullmatch(text[:MOST])
        fix = {field: inner[1]} if inner and not _read(inner[1], wrong) else None
        return CheckResult(False, _told(field, problems), fix=fix)

    return built("json_schema", (field,), look, on_fail=on_fail, each=each, schema=identity)


def _told(field: str, problems: list[str]) -> str:
    more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
    return f"{field!r} does not fit: {'; '.join(problems[:_SHOWN])}{more}"


def _plain(value: Any, field: str) -> Any:
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    try:
        return to_jsonable_python(value)
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise UsageError(f"check 'json_schema': {field!r} has no JSON form: {error}") from error


def _read(text: str, wrong: Callable[[Any], list[str]]) -> list[str]:
    from pydantic_core import from_json

    if len(text) > MOST:
        return [f"it has {len(text):,} characters; at most {MOST:,} are read"]
    try:
        value = from_json(text, allow_inf_nan=False)
    except (ValueError, TypeError) as error:  # TypeError: a lone surrogate
        hint = "; leave out the fence around it" if text.lstrip().startswith("```") else ""
        return [f"it is no JSON: {brief(str(error), 160)}{hint}"]
    return wrong(value)


def fits_schema(schema: Mapping[str, Any]) -> tuple[Callable[[Any], list[str]], str]:
    try:
        import jsonschema
        from jsonschema.validators import validator_for
        from referencing import Registry
        from referencing.exceptions import Unresolvable
    except ImportError as error:
        raise UsageError(
            "ol.checks.json_schema with a schema needs the package jsonschema: pip install 'outlast[schema]'"
        ) from error
    kind: Any = validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
        identity = json.dumps(schema, sort_keys=True)
    except (jsonschema.SchemaError, TypeError, ValueError, RecursionError) as error:
        said = getattr(error, "message", str(error))
        raise UsageError(f"ol.checks.json_schema: the schema is no JSON schema: {brief(said, 200)}") from error
    nowhere: Any = cast(Any, Registry)()
    # An empty registry holds no way to fetch what a $ref names.
    validator: Any = kind(json.loads(identity), registry=nowhere, format_checker=kind.FORMAT_CHECKER)

    def wrong(value: Any) -> list[str]:
        try:
            problems = sorted(validator.iter_errors(value), key=lambda problem: [str(part) for part in problem.path])
        except RecursionError:
            return ["it is nested too deeply"]
        except Unresolvable as error:
            raise UsageError(f"check 'json_schema': its schema refers to what it does not hold: {error}") from error
        return [f"{_path(problem.path)}: {_cut(problem.message)}" for problem in problems]

    return wrong, identity


def _of_type(kind: Any) -> tuple[Callable[[Any], list[str]], str]:
    from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError

    try:
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
    except (PydanticSchemaGenerationError, PydanticUserError, NameError, TypeError) as error:
        raise UsageError(
            f"ol.checks.json_schema takes a JSON schema (a dict) or a type that pydantic validates; got {brief(kind)}"
        ) from error

    def wrong(value: Any) -> list[str]:
        try:
            adapter.validate_json(json.dumps(value))
        except (RecursionError, ValidationError) as error:
            if isinstance(error, RecursionError):
                return ["it is nested too deeply"]
            told = error.errors(include_url=False, include_context=False, include_input=False)
            return [f"{_path(one['loc'])}: {_cut(one['msg'])}" for one in told]
        return []

    return wrong, _named(kind, adapter)


def _named(kind: Any, adapter: Any) -> str:
    """What tells a type from others: what it is called, and its schema."""
    from pydantic import PydanticUserError

    try:
        form = json.dumps(adapter.json_schema(), sort_keys=True)
    except (PydanticUserError, RecursionError):  # a type without a schema, such as one with a validator of its own
        form = ""
    name = getattr(kind, "__qualname__", "") if isinstance(kind, type) else ""
    return f"{getattr(kind, '__module__', '')}.{name or repr(kind)} {form}"


def _path(parts: Any) -> str:
    return ".".join(str(part)[:60] for part in parts) or "the whole"


def _cut(text: str, limit: int = 160) -> str:  # the message may quote the whole value
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
