"""Replies and streams on the wire, whole or as broken as a fault says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from outlast.testing.server.answers import Answer, Event, Tokens, number
from outlast.testing.server.dialects import Dialect, shaped, written
from outlast.testing.server.faults import Fault

if TYPE_CHECKING:
    from aiohttp import web

NONE = Fault("form")
_ENDS = {"crlf": "\r\n", "cr": "\r"}


class Sender:
    """Sends the answer to one request.

    `sent` is called with the tokens of a reply once all of it went out; `pace` is the seconds between the events of a
    stream. `hung_up` says that the server, and not the client, closed the connection.
    """

    def __init__(
        self,
        request: web.Request,
        dialect: Dialect,
        body: Mapping[str, Any],
        sent: Callable[[Tokens], None],
        pace: float,
    ) -> None:
        self.request = request
        self.dialect = dialect
        self.body = body
        self.sent = sent
        self.pace = pace
        self.hung_up = False

    async def send(self, answer: str | Answer | Mapping[str, Any] | Fault) -> web.StreamResponse:
        """Send what a handler gave."""
        if not isinstance(answer, Fault):
            return await self._say(answer, NONE)
        if answer.kind in ("status", "redirect", "body"):
            return self._bare(answer)
        if answer.kind in ("drop", "not_http"):
            return self._hang_up(b"\x00\x01 this is not HTTP\r\n\r\n" if answer.kind == "not_http" else b"")
        if answer.kind in ("huge", "flood"):
            return await self._pour(answer)
        return await self._say(answer.answer, answer)

    def _bare(self, fault: Fault) -> web.StreamResponse:
        from aiohttp import web

        body, headers = fault.body, dict(fault.headers)
        if fault.kind == "status":
            error = json.loads(body)["error"]
            body = json.dumps(self.dialect.error_body(fault.status, error)).encode()
        return web.Response(body=body, status=fault.status, headers={"Content-Type": "application/json", **headers})

    def _hang_up(self, last_words: bytes = b"") -> web.StreamResponse:
        from aiohttp import web

        self.hung_up = True
        transport = self.request.transport
        if transport is not None:
            if last_words:
                cast("asyncio.WriteTransport", transport).write(last_words)
            transport.close()
        return web.Response()

    async def _say(self, answer: str | Answer | Mapping[str, Any], fault: Fault) -> web.StreamResponse:
        reply = written(self.dialect, answer, self.body)
        if "no_usage" in fault.forms:
            reply.pop("usage", None)
        headers = {"x-request-id": f"req-{number()}"}
        if isinstance(answer, Answer):
            headers |= answer.headers
        if self.body.get("stream") and self.dialect.events is not None and "whole" not in fault.forms:
            return await self._stream(reply, headers, fault)
        return await self._in_one_piece(reply, headers, fault)

    def _note(self, reply: Mapping[str, Any], fault: Fault) -> None:
        """Count a reply, before its last bytes go out: then whoever has read it finds it counted."""
        if fault.kind in ("form", "slow", "stall") and "no_finish" not in fault.forms:
            self.sent(self.dialect.tokens(reply))

    async def _in_one_piece(
        self, reply: Mapping[str, Any], headers: Mapping[str, str], fault: Fault
    ) -> web.StreamResponse:
        from aiohttp import web

        body = json.dumps(reply).encode()
        if fault.kind == "error_event":
            body = json.dumps(self.dialect.error_body(500, json.loads(fault.body)["error"])).encode()
        elif fault.kind == "malformed":
            body = body[: len(body) // 2]
        if fault.kind not in ("cut", "slow", "stall"):
            self._note(reply, fault)
            return web.Response(body=body, content_type="application/json", headers=headers)
        response = web.StreamResponse(headers={"Content-Type": "application/json", **headers})
        response.content_length = len(body)
        await response.prepare(self.request)
        if await self._trickle(response, body[:-1], fault):
            self._note(reply, fault)
            await response.write(body[-1:])
        return response

    async def _trickle(self, response: web.StreamResponse, body: bytes, fault: Fault) -> bool:
        """Send a body slowly; False when the connection was broken on the way."""
        half = len(body) // 2
        if fault.kind == "slow":
            step = max(1, len(body) // 20)
            for start in range(0, len(body), step):
                await response.write(body[start : start + step])
                await asyncio.sleep(fault.amount / 20)
            return True
        await response.write(body[:half])
        if fault.kind == "cut":
            self._hang_up()
            return False
        await asyncio.sleep(fault.amount)
        await response.write(body[half:])
        return True

    async def _stream(self, reply: Mapping[str, Any], headers: Mapping[str, str], fault: Fault) -> web.StreamResponse:
        assert self.dialect.events is not None
        response = await self._open(headers, "application/json" if "json_type" in fault.forms else "text/event-stream")
        if "bom" in fault.forms:
            await response.write(b"\xef\xbb\xbf")
        events = list(shaped(self.dialect, self.dialect.events(reply, self.body), fault.forms))
        pause = fault.amount / len(events) if fault.kind == "slow" else self.pace
        for place, event in enumerate(events):
            if place == min(fault.after, len(events) - 1) and await self._break(response, fault):
                return response
            if place == len(events) - 1:
                self._note(reply, fault)
            await self._write(response, encoded(event, fault.forms), fault)
            if pause:
                await asyncio.sleep(pause)
        await response.write_eof()
        return response

    async def _open(self, headers: Mapping[str, str], content_type: str) -> web.StreamResponse:
        from aiohttp import web

        response = web.StreamResponse(headers={"Content-Type": content_type, "Cache-Control": "no-cache", **headers})
        await response.prepare(self.request)
        return response

    async def _break(self, response: web.StreamResponse, fault: Fault) -> bool:
        """What goes wrong before the next event; True when nothing comes after it."""
        if fault.kind == "cut":
            self._hang_up()
            return True
        if fault.kind == "stall":
            await asyncio.sleep(fault.amount)
        elif fault.kind == "malformed":
            await response.write(b'data: {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"conte\n\n')
        elif fault.kind == "error_event":
            assert self.dialect.error_event is not None
            await response.write(encoded(self.dialect.error_event(json.loads(fault.body)["error"]), fault.forms))
            await response.write_eof()
            return True
        return False

    async def _write(self, response: web.StreamResponse, data: bytes, fault: Fault) -> None:
        if "split" not in fault.forms:
            await response.write(data)
            return
        for piece in within_characters(data):
            await response.write(piece)
            await asyncio.sleep(0.001)  # or the pieces would travel together

    async def _pour(self, fault: Fault) -> web.StreamResponse:
        """More than anybody should take."""
        size = int(fault.amount)
        streams = self.body.get("stream") and self.dialect.events is not None
        if not streams:
            return await self._pour_body(size, "announced" in fault.headers)
        response = await self._open({}, "text/event-stream")
        if fault.kind == "huge":
            await self._fill(response, (b"data: " if start == 0 else b"x" * (1 << 16) for start in _steps(size)))
        else:
            assert self.dialect.events is not None
            reply = written(self.dialect, "word " * 200, self.body)
            events = [encoded(event) for event in self.dialect.events(reply, self.body)]
            middle = events[len(events) // 2] * 64
            await self._fill(response, events[: len(events) // 2])
            await self._fill(response, (middle for _ in range(size // len(middle))))
        await response.write_eof()
        return response

    async def _pour_body(self, size: int, announced: bool) -> web.StreamResponse:
        from aiohttp import web

        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        if announced:
            response.content_length = size
        await response.prepare(self.request)
        await self._fill(response, (b" " * min(1 << 16, size - start) for start in _steps(size)))
        return response

    async def _fill(self, response: web.StreamResponse, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            await response.write(piece)


def _steps(size: int) -> range:
    return range(0, size, 1 << 16)


def encoded(event: Event, forms: frozenset[str] = frozenset()) -> bytes:
    """One event as bytes, in the forms asked for."""
    end = _ENDS["crlf"] if "crlf" in forms else _ENDS["cr"] if "cr" in forms else "\n"
    space = "" if "tight" in forms else " "
    data = event.data
    if "lines" in forms and data.startswith("{"):
        data = json.dumps(json.loads(data), ensure_ascii=False, indent=1)
    lines = [f"data:{space}{line}" for line in data.split("\n")]
    if event.name:
        lines.insert(0, f"event:{space}{event.name}")
    if "fields" in forms:
        lines = [f"id: {number()}", "retry: 100", *lines, "unknown: field"]
    if "comments" in forms:
        lines = [": keep-alive", "", ":", "", *lines]
    return (end.join(lines) + end * 2).encode()


def within_characters(data: bytes) -> list[bytes]:
    """The bytes cut in the middle, and within every character that takes more than one byte (the first 20)."""
    cuts = [place for place in range(1, len(data)) if data[place] & 0xC0 == 0x80][:20]
    edges = sorted({0, len(data) // 2, *cuts, len(data)})
    return [data[start:end] for start, end in pairwise(edges)]
