"""Programs: their versions, the prompt as it was sent, and what differs between two versions or two compiled files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from markupsafe import Markup
from starlette.routing import Route

from outlast.errors import UsageError
from outlast.tracing.record import Content, ProgramRecord, SpanRecord, TraceFilter
from outlast.types.media import short_media
from outlast.view.conversation import Conversation, Reader
from outlast.view.rendering import query_of, render, site_of
from outlast.view.site import Site
from outlast.view.texts import plain
from outlast.view.values import raw, shown

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from outlast.tracing.store import Store

_MOST = 200
_COUNTED = 40
FILE = "file:"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are held against each other."""

    id: str
    name: str
    note: str
    path: str
    modules: Mapping[str, Any]
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """What differs at one path: both as marked text, None where one side has nothing there."""

    path: str
    before: Markup | None
    after: Markup | None


@dataclass(frozen=True, slots=True)
class Sent:
    """A prompt as it was sent: the first exchange of a module in the newest trace of a version."""

    span: SpanRecord
    conversation: Conversation


def programs(request: Request) -> Response:
    """All versions, newest first, by the name of the program; and the compiled files that were named at the start."""
    site = site_of(request)
    found: Sequence[ProgramRecord] = site.store.programs()[:_MOST]
    named: dict[str, list[tuple[ProgramRecord, int | None]]] = {}
    for number, one in enumerate(found):
        count = site.store.count(TraceFilter(program=one.hash)) if number < _COUNTED else None
        named.setdefault(one.name, []).append((one, count))
    return render(
        request, "programs.html", title="Programs", named=named, files=[_file(site, name) for name in site.artifacts]
    )


def program(request: Request) -> Response:
    """One version: its modules and parameters, and the prompts that it sends."""
    store = site_of(request).store
    found: ProgramRecord = store.program(request.path_params["hash"])
    versions = [one for one in store.programs() if one.name == found.name]
    at = next((number for number, one in enumerate(versions) if one.hash == found.hash), 0)
    side = _stored(found)
    return render(
        request,
        "program.html",
        title=found.name or "Program",
        program=found,
        modules=[(path, _named(told), shown(told)) for path, told in side.modules.items()],
        parameters=[
            (path, shown_parameter(value)) for path, value in side.parameters.items() if value not in ([], None)
        ],
        sent=_sent(store, found.hash),
        before=versions[at + 1] if at + 1 < len(versions) else None,
        traces=store.traces(TraceFilter(program=found.hash), limit=10),
        runs=[run for run in store.runs(limit=200) if run.program == found.hash][:10],
        raw=raw(dict(found.shape)),
    )


def diff(request: Request) -> Response:
    """`a` and `b` are hashes, or `file:` and the name of a compiled file; two values of `v` do as well."""
    site = site_of(request)
    query, named = query_of(request, "a", "b"), request.query_params.getlist("v")
    if "a" in query and "b" in query:
        sides = [_side(site, query["a"]), _side(site, query["b"])]
    elif len(named) == 2:
        sides = [_side(site, one) for one in sorted(named, key=lambda id: _age(site, id))]
    else:
        raise UsageError(f"two versions are compared; {len(named)} are chosen")
    before, after = sides
    changes = changes_between(before.parameters, after.parameters)
    return render(
        request,
        "program_diff.html",
        title="What changed",
        sides=sides,
        changes=changes,
        modules=changes_between(before.modules, after.modules),
        same=len(set(before.parameters) & set(after.parameters))
        - sum(one.before is not None and one.after is not None for one in changes),
    )


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """What differs, path by path, with the words that only one side has marked."""
    from outlast.evals.reports.comparison_page import marked

    found: list[Change] = []
    for path in dict.fromkeys([*before, *after]):
        if before.get(path) == after.get(path) and (path in before) == (path in after):
            continue
        old, new = marked(parameter_text(before.get(path, "")), parameter_text(after.get(path, "")))
        found.append(Change(path, old if path in before else None, new if path in after else None))
    return found


def parameter_text(value: Any) -> str:
    """A parameter as text that two versions can be held against each other by."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in cast("list[Any]", value)):
        return "\n\n".join(_demo_text(one) for one in cast("list[Mapping[str, Any]]", value))
    return json.dumps(short_media(value), ensure_ascii=False, indent=1, default=str)


def _demo_text(demo: Mapping[str, Any]) -> str:
    values = demo.get("values", demo)
    if not isinstance(values, Mapping):
        return parameter_text(values)
    return "\n".join(f"{name}: {parameter_text(value)}" for name, value in cast("Mapping[str, Any]", values).items())


def shown_parameter(value: Any) -> Markup:
    """A parameter for people: an instruction as it is sent, demonstrations as rows."""
    if isinstance(value, str):
        return plain(value, folded=False)
    if (
        isinstance(value, list)
        and value
        and all(isinstance(one, Mapping) and "values" in one for one in cast("list[Any]", value))
    ):
        return shown([one["values"] for one in cast("list[Mapping[str, Any]]", value)])
    return shown(value)


def _sent(store: Store, version: str) -> list[Sent]:
    newest = store.traces(TraceFilter(program=version), limit=1)
    if not newest:
        return []
    spans: Sequence[SpanRecord] = store.spans(newest[0].id)
    contents: Mapping[str, Content] = store.contents(newest[0].id)
    found: dict[str, Sent] = {}
    for span in spans:
        content = contents.get(span.id)
        place = span.path or span.name
        if span.kind == "lm" and content is not None and content.request is not None and place not in found:
            found[place] = Sent(span, Reader.of(contents.values()).read(content))
    return list(found.values())


def _named(module: Any) -> tuple[str, str]:
    """The strategy of a module and the name of its signature, as far as they are told."""
    if not isinstance(module, Mapping):
        return "", ""
    told = cast("Mapping[str, Any]", module)
    signature = told.get("signature")
    name = cast("Mapping[str, Any]", signature).get("name", "") if isinstance(signature, Mapping) else signature
    return str(told.get("module", "")), str(name or "")


def _side(site: Site, id: str) -> Side:
    if id.startswith(FILE):
        return _file(site, id.removeprefix(FILE))
    return _stored(site.store.program(id))


def _age(site: Site, id: str) -> tuple[bool, float]:
    """What sorts the older first, and compiled files after what the store saw run."""
    return (True, 0.0) if id.startswith(FILE) else (False, site.store.program(id).first_seen)


def _stored(found: ProgramRecord) -> Side:
    return Side(
        found.hash,
        found.name,
        found.hash[:8],
        f"/programs/{found.hash}",
        _table(found.shape.get("modules")),
        _table(found.shape.get("parameters")),
    )


def _file(site: Site, name: str) -> Side:
    """A compiled file by its name: a place in a table that was filled at the start, never a path."""
    if name not in site.artifacts:
        raise UsageError(f"no compiled file {name!r} was named when the page was started (--artifact)")
    data = site.artifacts[name]
    program = _table(data.get("program"))
    return Side(FILE + name, name, "compiled file", "", _table(program.get("modules")), _table(data.get("parameters")))


def _table(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


ROUTES = [Route("/programs", programs), Route("/programs/diff", diff), Route("/programs/{hash}", program)]
