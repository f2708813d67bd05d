"""Asking a model: within the current run, under its budgets, in place or on an event loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Coroutine
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from outlast.errors import LMError, UsageError, brief
from outlast.messages import Finished, Request, Response, StreamEvent
from outlast.runtime import Meter, current, enter, io, leave
from outlast.runtime.meter import Ticket
from outlast.runtime.run import Run

if TYPE_CHECKING:
    from outlast.lms.protocol import LM


def send(lm: LM, request: Request) -> Coroutine[Any, Any, Response]:
    """Ask `lm` within the current run: under its budget, remembered by its memo, waiting the way it waits.

    Every question to a model goes through here. Wrappers reach what they wrap by `ask`. To be awaited at once.
    """
    run = current()
    if run.transport is not None:
        lm = run.transport(lm)
    if run.memo is not None:  # which sees to the budget of what it does not remember
        return ask(run.memo(lm), request)
    return ask(lm, request) if run.meter is None else ask_within(run.meter, lm, request)


async def ask_within(meter: Meter, lm: LM, request: Request, *, noting: Meter | None = None) -> Response:
    """Ask under a budget. What a model inside spends is set aside and settled where it is asked (see `ask`).

    An answer without a call, and one of a wrapper that does not reach its model by `ask`, is counted afterwards, in
    `noting` when that is given.
    """
    run = current()
    ticket = Ticket(around=run.ticket)
    token = enter(run.paying(meter, ticket))
    try:
        response = await ask(lm, request)
    finally:
        leave(token)
    _note(response, ticket, noting or meter)
    return response


def _note(response: Response, ticket: Ticket, meter: Meter) -> None:
    if response.cache != "miss" or not ticket.paid_inside:
        meter.note(response)


def ask(lm: LM, request: Request) -> Coroutine[Any, Any, Response]:
    """Ask `lm` as it is, in place when it can be driven in place and on an event loop when it cannot.

    Under a budget the most that the call can take is set aside before it and settled after it, for an LM that `spends`.
    To be awaited at once.
    """
    meter = current().meter
    if meter is not None and lm.spends:
        return _paid(lm, request, meter)
    return lm.complete(request) if lm._checked and lm.blocking_safe else _asked(lm, request)


async def _asked(lm: LM, request: Request) -> Response:
    answer = lm.complete(request)
    response = await (answer if lm.blocking_safe else io(answer))
    if not isinstance(response, Response):
        raise UsageError(f"{lm!r} must answer with a Response; got {brief(response)}")
    return response


async def _paid(lm: LM, request: Request, meter: Meter) -> Response:
    run = current()
    ticket = await _take(lm, request, run, meter)
    token = enter(run.paying(run.meter, ticket))
    try:
        response = await _asked(lm, request)
    except BaseException as error:
        ticket.fail(error)
        raise
    finally:
        leave(token)
    ticket.settle(response)
    return response


async def _take(lm: LM, request: Request, run: Run, meter: Meter) -> Ticket:
    """Set aside what a call may take; an LM around this one that set aside too has only asked, and pays nothing."""
    if run.ticket is not None:
        run.ticket.release()
    return await meter.take(lm.bound(request))


def ask_stream(lm: LM, request: Request) -> AsyncGenerator[StreamEvent]:
    """Like `ask`, in pieces. Close it when it is not read to the end: that gives the call up."""
    meter = current().meter
    return _pieces(lm, request, None) if meter is None or not lm.spends else _paid_pieces(lm, request, meter)


async def _paid_pieces(lm: LM, request: Request, meter: Meter) -> AsyncGenerator[StreamEvent]:
    run = current()
    ticket = await _take(lm, request, run, meter)
    response: Response | None = None
    try:
        async with aclosing(_pieces(lm, request, run.paying(run.meter, ticket))) as pieces:
            async for event in pieces:
                if isinstance(event, Finished):
                    response = event.response
                yield event
    except BaseException as error:
        if response is None:
            ticket.fail(error)
        else:
            ticket.settle(response)
        raise
    assert response is not None
    ticket.settle(response)


async def _pieces(lm: LM, request: Request, run: Run | None) -> AsyncGenerator[StreamEvent]:
    """The events of `lm`, each made within `run`; between them the code that reads them is on its own."""
    events = lm.stream(request)
    event: StreamEvent | None = None
    finished = False
    async with aclosing(events):
        while True:
            step = anext(events, None)
            try:
                event = await _step(step if lm.blocking_safe else io(_awaited(step)), run)
            except LMError as error:
                error.begun = error.begun or event is not None
                raise
            if event is None:
                break
            finished = isinstance(event, Finished)
            yield event
    if not finished:
        raise UsageError(f"{lm!r} must end its stream with Finished(response)")


async def _step(step: Awaitable[StreamEvent | None], run: Run | None) -> StreamEvent | None:
    if run is None:
        return await step
    token = enter(run)
    try:
        return await step
    finally:
        leave(token)


def send_stream(lm: LM, request: Request) -> AsyncGenerator[StreamEvent]:
    """Like `send`, in pieces."""
    run = current()
    if run.transport is not None:
        lm = run.transport(lm)
    if run.memo is not None:
        return ask_stream(run.memo(lm), request)
    return ask_stream(lm, request) if run.meter is None else stream_within(run.meter, lm, request)


async def stream_within(
    meter: Meter, lm: LM, request: Request, *, noting: Meter | None = None
) -> AsyncGenerator[StreamEvent]:
    """Like `ask_within`, in pieces."""
    around = current()
    ticket = Ticket(around=around.ticket)
    run = around.paying(meter, ticket)
    token = enter(run)
    events = ask_stream(lm, request)
    leave(token)
    async with aclosing(events):
        while (event := await _step(anext(events, None), run)) is not None:
            if isinstance(event, Finished):
                _note(event.response, ticket, noting or meter)
            yield event


async def _awaited(step: Any) -> Any:
    return await step
