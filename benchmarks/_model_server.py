"""A model server that costs next to nothing: one asyncio protocol, answers made beforehand.

    python benchmarks/_model_server.py LATENCY_SECONDS

Prints its base URL, ends when its input does. Answers every POST after the latency: with a stream of 50 deltas over
the latency when one is asked for, with a reply in the form of the client's prompt otherwise. It has to cost less than
its clients, or it would be what is measured.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from collections.abc import Callable
from typing import cast

TEXT = "The billing team, since a charge appears twice on the statement. " * 11
FORMS = {
    b"[[ ##": f"[[ ## answer ## ]]\n{TEXT.strip()}\n\n[[ ## completed ## ]]",  # the peer's
    b"<<end>>": f"<<answer>>\n{TEXT.strip()}\n\n<<end>>",  # ours
}
DELTAS = 50


def main() -> None:
    """Serve until the input ends."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(serve(float(sys.argv[1])))


async def serve(latency: float) -> None:
    loop = asyncio.get_running_loop()
    replies = {mark: whole(text) for mark, text in FORMS.items()}
    plain, pieces = whole(TEXT), streamed(TEXT)
    server = await loop.create_server(
        lambda: Connection(loop, latency, replies, plain, pieces), "127.0.0.1", 0, backlog=8192
    )
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    ended = loop.run_in_executor(None, sys.stdin.read)
    await ended
    server.close()


class Connection(asyncio.Protocol):
    """One connection; requests come one after the other."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        latency: float,
        replies: dict[bytes, bytes],
        plain: bytes,
        pieces: list[bytes],
    ) -> None:
        self.loop, self.latency = loop, latency
        self.replies, self.plain, self.pieces = replies, plain, pieces
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            start = head.find(b"content-length:")
            size = int(head[start + 15 : head.find(b"\r\n", start) if b"\r\n" in head[start:] else end])
            if len(self.buffer) < end + 4 + size:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + size], self.buffer[end + 4 + size :]
            self.answer(body)

    def answer(self, body: bytes) -> None:
        if b'"stream":true' in body or b'"stream": true' in body:
            pause = self.latency / len(self.pieces)
            self.send_next(0, pause)
            return
        reply = next((reply for mark, reply in self.replies.items() if mark in body), self.plain)
        self.later(self.latency, lambda: self.transport.write(reply))

    def send_next(self, place: int, pause: float) -> None:
        self.transport.write(self.pieces[place])
        if place + 1 < len(self.pieces):
            self.later(pause, lambda: self.send_next(place + 1, pause))

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        self.loop.call_later(seconds, lambda: None if self.transport.is_closing() else act())


def whole(text: str) -> bytes:
    body = json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text, "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 70, "completion_tokens": 121, "total_tokens": 191},
        }
    ).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def streamed(text: str) -> list[bytes]:
    """The chunks of a stream of about `DELTAS` events, the first with the head, the last with the end."""
    step = -(-len(text) // DELTAS)
    frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    events = [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]
    events += [{"delta": {"content": text[at : at + step]}, "finish_reason": None} for at in range(0, len(text), step)]
    events += [{"delta": {}, "finish_reason": "stop"}]
    lines = [json.dumps({**frame, "choices": [{"index": 0, "logprobs": None, **event}]}) for event in events]
    usage = {"prompt_tokens": 70, "completion_tokens": 121, "total_tokens": 191}
    lines += [json.dumps({**frame, "choices": [], "usage": usage}), "[DONE]"]
    chunks = [b"%x\r\n%s\r\n" % (len(line) + 8, b"data: " + line.encode() + b"\n\n") for line in lines]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return [head + chunks[0], *chunks[1:-1], chunks[-1] + b"0\r\n\r\n"]


if __name__ == "__main__":
    main()
