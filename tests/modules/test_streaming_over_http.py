"""A stream as server-sent events of a web server: what arrives, and what ends when the client goes away."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import pytest

import outlast as ol
from outlast.testing import FakeServer
from outlast.testing.server import Fault

pytestmark = pytest.mark.server


@contextmanager
def serving(program: ol.Module) -> Iterator[str]:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    async def ask(request: Request) -> StreamingResponse:
        stream: ol.Stream[Any] = program.stream(question=request.query_params["question"])

        async def events() -> AsyncGenerator[str]:
            async with stream:
                async for event in stream:
                    yield f"data: {json.dumps(event.to_json())}\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    server = uvicorn.Server(uvicorn.Config(Starlette(routes=[Route("/", ask)]), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/?question=x"
    finally:
        server.should_exit = True
        thread.join()


async def test_events_arrive_and_a_client_that_goes_away_ends_the_program() -> None:
    words = "one two three"
    answers = iter(["<<answer>>\none two three\n\n<<end>>", Fault.slow(30, "<<answer>>\n" + "word " * 1000)])
    with FakeServer(lambda _: next(answers)) as model:
        lm = ol.LM("openai/m", base_url=model.url, api_key="k", cache=False)
        with serving(ol.Predict("question -> answer", lm=lm, adapter=ol.Chat())) as url:
            async with aiohttp.ClientSession() as session:
                async with session.get(url) as reply:
                    lines = (await reply.text()).split("\n\n")
                events = [json.loads(line.removeprefix("data: ")) for line in lines if line]
                assert "".join(event["text"] for event in events if event["event"] == "FieldDelta") == words
                assert events[-1] == {"event": "Final", "prediction": {"answer": words}}
                async with session.get(url) as reply:
                    await reply.content.readline()
                    reply.close()
                for _ in range(500):
                    if model.disconnects:
                        break
                    await asyncio.sleep(0.01)
        assert model.disconnects == 1
