"""The HTTP paths of files and batches."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from outlast.testing.server.batches import (
    BatchError,
    Batches,
    Run,
    anthropic_batch,
    anthropic_results,
    openai_batch,
)
from outlast.testing.server.messages import error_body

if TYPE_CHECKING:
    from aiohttp import web

Handle = Callable[["web.Request"], Awaitable["web.StreamResponse"]]
_ANTHROPIC = "/v1/messages/batches"


class BatchRoutes:
    """Serves the files and batches of a `Batches`. `run` answers one request of a batch, `admit` refuses strangers."""

    def __init__(
        self, state: Batches, run: Run, paths: Mapping[str, Any], admit: Callable[[web.Request], str | None]
    ) -> None:
        self.state = state
        self.run = run
        self.paths = paths
        self.admit = admit

    def add_to(self, app: web.Application) -> None:
        """Register the paths."""
        for method, path, handle in (
            ("POST", "/v1/files", self._upload),
            ("GET", "/v1/files/{id}", self._show_file),
            ("GET", "/v1/files/{id}/content", self._read_file),
            ("DELETE", "/v1/files/{id}", self._delete_file),
            ("POST", "/v1/batches", self._create),
            ("GET", "/v1/batches", self._list),
            ("GET", "/v1/batches/{id}", self._show),
            ("POST", "/v1/batches/{id}/cancel", self._cancel),
            ("POST", _ANTHROPIC, self._create_messages),
            ("GET", _ANTHROPIC + "/{id}", self._show_messages),
            ("POST", _ANTHROPIC + "/{id}/cancel", self._cancel_messages),
            ("GET", _ANTHROPIC + "/{id}/results", self._results),
        ):
            app.router.add_route(method, path, self._guarded(handle))

    def _guarded(self, handle: Handle) -> Handle:
        async def guarded(request: web.Request) -> web.StreamResponse:
            stranger = self.admit(request)
            try:
                if stranger is not None:
                    raise BatchError(401, stranger)
                return await handle(request)
            except BatchError as error:
                told: dict[str, Any] = {"message": str(error), "type": "invalid_request_error", "param": None}
                anthropic = request.path.startswith(_ANTHROPIC)
                return _json(error_body(error.status, told) if anthropic else {"error": told}, error.status)

        return guarded

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        sent: Any = form.get("file")
        if not hasattr(sent, "file") or form.get("purpose") != "batch":
            raise BatchError(400, "a file and purpose=batch are needed")
        return _json(self.state.store(sent.filename, "batch", sent.file.read()).to_json())

    async def _show_file(self, request: web.Request) -> web.StreamResponse:
        return _json(self.state.file(request.match_info["id"]).to_json())

    async def _read_file(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        content = self.state.file(request.match_info["id"]).content
        return web.Response(body=content, content_type="application/octet-stream")

    async def _delete_file(self, request: web.Request) -> web.StreamResponse:
        kept = self.state.file(request.match_info["id"])
        del self.state.files[kept.id]
        return _json({"id": kept.id, "object": "file", "deleted": True})

    async def _create(self, request: web.Request) -> web.StreamResponse:
        return _json(openai_batch(self.state.create_openai(await _body(request), self.paths)))

    async def _list(self, request: web.Request) -> web.StreamResponse:
        found = [batch for batch in self.state.batches.values() if batch.style == "openai"]
        return _json({"object": "list", "data": [openai_batch(batch) for batch in found], "has_more": False})

    async def _show(self, request: web.Request) -> web.StreamResponse:
        batch = self.state.batch(request.match_info["id"], "openai")
        await self.state.look(batch, self.run)
        return _json(openai_batch(batch))

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        batch = self.state.batch(request.match_info["id"], "openai")
        if batch.ended is not None:
            raise BatchError(409, "Cannot cancel a batch that has ended.")
        batch.cancelling = True
        return _json(openai_batch(batch))

    async def _create_messages(self, request: web.Request) -> web.StreamResponse:
        return _json(anthropic_batch(self.state.create_anthropic(await _body(request)), _root(request)))

    async def _show_messages(self, request: web.Request) -> web.StreamResponse:
        batch = self.state.batch(request.match_info["id"], "anthropic")
        await self.state.look(batch, self.run)
        return _json(anthropic_batch(batch, _root(request)))

    async def _cancel_messages(self, request: web.Request) -> web.StreamResponse:
        batch = self.state.batch(request.match_info["id"], "anthropic")
        batch.cancelling = True
        return _json(anthropic_batch(batch, _root(request)))

    async def _results(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        batch = self.state.batch(request.match_info["id"], "anthropic")
        if batch.ended is None:
            raise BatchError(400, "results are not available before the batch has ended")
        text = "".join(json.dumps(line) + "\n" for line in anthropic_results(batch))
        return web.Response(body=text.encode(), content_type="application/x-jsonl")


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise BatchError(400, "the body is not a JSON object")
    return cast("dict[str, Any]", body)


def _root(request: web.Request) -> str:
    return f"http://{request.host}"


def _json(data: Any, status: int = 200) -> web.StreamResponse:
    from aiohttp import web

    return web.Response(body=json.dumps(data).encode(), status=status, content_type="application/json")
