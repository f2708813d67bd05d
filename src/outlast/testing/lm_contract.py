"""What every model, and every layer around one, must keep to, as one call to make in a test."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from outlast.errors import LMError, LMRequestError, LMServerError
from outlast.lms.protocol import LM, Capabilities
from outlast.messages import Finished, Request, Response, StreamEvent, TextDelta, Usage
from outlast.runtime import Meter, run_blocking, running, sleep

_SECRET = "sk-contract-secret"
_WHOLE = Response(text="yes and no", model="probe", usage=Usage(3, 2, cost=0.5, cost_source="probe"), request_id="r-1")


def check_layer(make: Callable[[LM], LM], *, streams: bool = True) -> None:
    """Check that a layer keeps its side of the bargain; raises `AssertionError` with what it breaks.

    `make(model)` puts a new layer around a model that answers. In blocking and in async code it must: pass requests on
    and answers back; pass errors; stream piece by piece (not with `streams=False`) and say nothing twice when a stream
    breaks; let go of everything when a call is cancelled or a stream is left; be used by threads and event loops at
    once; count each call in a budget; stand in `info()`; tell no secret; have an identity that does not change.
    """
    probe = _Probe()
    layer = make(probe)
    assert isinstance(layer, LM), f"make(model) gives an LM; got {layer!r}"
    identity = layer.identity
    _check_answers(layer, probe, "blocking", lambda prompt: layer(prompt))
    _check_answers(layer, probe, "async", lambda prompt: run_blocking(lambda: layer.acall(prompt)))
    _check_streams(layer, probe, streams)
    run_blocking(lambda: _check_cancelling(layer, probe))
    _check_leaving(layer, probe, streams)
    _check_sharing(layer, probe)
    _check_budget(make)
    assert layer.identity == identity, f"identity was {identity!r} and is {layer.identity!r} after some calls"
    _check_telling(layer)


def check_lm(lm: LM, prompt: str = "Answer with one word: is water wet?") -> None:
    """Check that a model keeps its side of the bargain; raises `AssertionError` with what it breaks.

    It must answer `prompt` with a `Response` in blocking and in async code, to eight threads and an event loop at once;
    end a stream with `Finished`, whose text is what the pieces said; be cancelled while it answers, and left while it
    streams, and answer afterwards; count tokens that are not negative; have an identity that does not change and shows
    in no other form; describe itself in `info()`. Cost: about 20 calls.
    """
    identity = lm.identity
    _check_response(lm, lm(prompt))
    _check_response(lm, run_blocking(lambda: lm.acall(prompt)))
    for events in (list(lm.events(prompt)), run_blocking(lambda: _read(lm, prompt))):
        assert events, f"{lm!r} streams nothing"
        last = events[-1]
        assert isinstance(last, Finished), f"a stream ends with Finished; {lm!r} ended with {last!r}"
        _check_response(lm, last.response)
        said = "".join(event.text for event in events if isinstance(event, TextDelta))
        assert said == last.response.text, f"the pieces said {said!r}, the response {last.response.text!r}"
    run_blocking(lambda: _cancel(lm, prompt))
    with lm.events(prompt) as left:
        for _ in left:
            break
    assert len(_at_once(lm, prompt)) == 12, "calls of eight threads and four tasks at once were not all answered"
    assert lm.identity == identity, f"identity was {identity!r} and is {lm.identity!r} after some calls"
    assert lm.info(), f"{lm!r} does not describe itself in info()"


class _Probe(LM):
    """Answers in two pieces; waits, refuses or breaks when the prompt says so; knows what is open."""

    name = "probe"
    blocking_safe = True
    capabilities = Capabilities(streaming=True)

    def __init__(self) -> None:
        self.key = _SECRET
        self.open = 0
        self.calls = 0
        self._lock = threading.Lock()

    async def complete(self, request: Request) -> Response:
        async with aclosing(self.stream(request)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    return event.response
        raise AssertionError("unreachable: a stream that is not finished raises")

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        text = request.messages[-1].text
        with self._lock:
            self.open += 1
            self.calls += 1
        try:
            if "refuse" in text:
                raise LMRequestError("the probe was told to refuse", status=400)
            if "wait" in text:
                await sleep(30)
            await sleep(0.001)
            yield TextDelta("yes ")
            if "break" in text:
                raise LMServerError("the probe was told to break", status=500)
            if "slow" in text:
                await sleep(30)
            yield TextDelta("and no")
            yield Finished(_WHOLE)
        finally:
            with self._lock:
                self.open -= 1

    def settled(self, what: str) -> None:
        """Wait for what is cleaned up in the background, and see that nothing is left open."""
        until = time.monotonic() + 2
        while self.open and time.monotonic() < until:
            time.sleep(0.005)
        assert self.open == 0, f"{what} leaves {self.open} calls of the inner model open"


def _check_answers(layer: LM, probe: _Probe, how: str, call: Callable[[str], Response]) -> None:
    before = probe.calls
    response = call(f"{how} call")
    assert probe.calls > before, f"a {how} call does not reach the inner model"
    assert response.text == _WHOLE.text, f"a {how} call answers {response.text!r} where the model said {_WHOLE.text!r}"
    assert response.usage == _WHOLE.usage, f"a {how} call tells {response.usage} where the model told {_WHOLE.usage}"
    try:
        call(f"refuse a {how} call")
    except LMRequestError:
        pass
    else:
        raise AssertionError(f"a {how} call swallows the error of the inner model")
    probe.settled(f"a {how} call")


def _check_streams(layer: LM, probe: _Probe, streams: bool) -> None:
    for how, read in (("blocking", _read_blocking), ("async", _read_async)):
        events = read(layer, f"{how} stream")
        assert events, f"a {how} stream is empty"
        assert isinstance(events[-1], Finished), f"a {how} stream ends with {events[-1]!r} and not with Finished"
        said = [event.text for event in events if isinstance(event, TextDelta)]
        assert "".join(said) == _WHOLE.text, f"a {how} stream says {''.join(said)!r} in place of {_WHOLE.text!r}"
        assert not streams or said == ["yes ", "and no"], f"a {how} stream gives {said} where the model gave two pieces"
        broken: list[StreamEvent] = []
        try:
            for event in layer.events(f"break a {how} stream"):
                broken.append(event)
        except LMError:
            pass
        else:
            raise AssertionError("a stream that breaks ends as if nothing had happened")
        assert len(broken) <= 1, (
            f"a stream that broke after one piece was given on as {broken}: something is said twice"
        )
    probe.settled("a stream")


async def _check_cancelling(layer: LM, probe: _Probe) -> None:
    call = asyncio.ensure_future(layer.acall("wait for me"))
    until = time.monotonic() + 5
    while not probe.open and not call.done() and time.monotonic() < until:  # noqa: ASYNC110 - the probe is no task
        await asyncio.sleep(0.002)
    call.cancel()
    await asyncio.wait([call], timeout=5)
    assert call.cancelled(), f"a call that was cancelled did not end by that: {call!r}"
    await asyncio.sleep(0.01)
    assert probe.open == 0, "a call that was cancelled leaves the call of the inner model open"
    response = await asyncio.wait_for(layer.acall("after cancelling"), 10)
    assert response.text == _WHOLE.text, "after a cancelled call the layer answers something else"


def _check_leaving(layer: LM, probe: _Probe, streams: bool) -> None:
    if streams:
        with layer.events("slow stream") as events:
            for _ in events:
                break
        probe.settled("a stream that was left after its first piece")
    assert layer("after leaving").text == _WHOLE.text, "after a stream that was left the layer answers something else"


def _check_sharing(layer: LM, probe: _Probe) -> None:
    answers = _at_once(layer, "at once")
    assert len(answers) == 12, f"of 12 calls by threads and tasks at once {len(answers)} were answered"
    assert {answer.text for answer in answers} == {_WHOLE.text}, "calls at once get other answers"
    probe.settled("calls at once")


def _at_once(lm: LM, prompt: str) -> list[Response]:
    answers: list[Response] = []

    async def tasks() -> None:
        answers.extend(await asyncio.gather(*(lm.acall(f"{prompt} ") for _ in range(4))))

    threads = [threading.Thread(target=lambda: answers.append(lm(prompt)), daemon=True) for _ in range(8)]
    threads.append(threading.Thread(target=lambda: asyncio.run(tasks()), daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return answers


def _check_budget(make: Callable[[LM], LM]) -> None:
    probe, meter = _Probe(), Meter(calls=100)
    layer = make(probe)

    async def spend() -> None:
        with running(meter=meter):
            await layer.acall("on a budget")
            await _read(layer, "on a budget, in pieces")

    run_blocking(spend)
    counted = meter.used("calls")
    assert counted == probe.calls, (
        f"a budget counts {counted:g} calls where the inner model was asked {probe.calls} times"
    )


def _check_telling(layer: LM) -> None:
    kinds = [told.kind for told in layer.info()]
    assert kinds[:1] == [type(layer).__name__], f"info() begins with {kinds[:1]} and not with the layer itself"
    assert "_Probe" in kinds, f"info() hides the model within: {kinds}"
    shown = f"{layer!r} {layer.info()} {layer.identity} {layer.name}"
    assert _SECRET not in shown, "repr, info, identity or name show a secret"


def _check_response(lm: LM, response: Any) -> None:
    assert isinstance(response, Response), f"{lm!r} answers with {response!r} and not with a Response"
    for name in ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost"):
        value = getattr(response.usage, name)
        assert value is None or value >= 0, f"{name} is {value}; None says unknown"
    assert response.model, f"the response of {lm!r} does not say which model answered"


async def _cancel(lm: LM, prompt: str) -> None:
    call = asyncio.ensure_future(lm.acall(f"{prompt}  "))
    await asyncio.sleep(0.005)
    call.cancel()
    await asyncio.wait([call], timeout=30)
    assert call.done(), "a call that was cancelled goes on"
    _check_response(lm, await lm.acall(prompt))


def _read_blocking(lm: LM, prompt: str) -> list[StreamEvent]:
    return list(lm.events(prompt))


def _read_async(lm: LM, prompt: str) -> list[StreamEvent]:
    return run_blocking(lambda: _read(lm, prompt))


async def _read(lm: LM, prompt: str) -> list[StreamEvent]:
    return [event async for event in lm.events(prompt)]
