"""One program, called every way there is: the same results, the same trace, the same errors."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import pytest

import outlast as ol
from outlast.errors import InputError, UsageError
from outlast.messages import Message, Request, Response
from outlast.runtime import current
from outlast.testing import ScriptedLM

Team = Literal["billing", "cards"]


class Triage(ol.Signature):
    """Route a message."""

    message: str = ol.input()
    team: Team = ol.output()


def answer(messages: tuple[Message, ...]) -> dict[str, Any]:
    """Says back what it was asked, so that results can be told apart."""
    text = messages[-1].text
    said = text.split(">>")[1].split("<<")[0].strip()
    return {"query": f"q({said})", "answer": f"a({said})"}


class LoopLM(ol.LM):
    """A user's model that needs an event loop."""

    name = "loop"

    async def complete(self, request: Request) -> Response:
        await asyncio.sleep(0.001)
        said = answer(request.messages)
        return Response(str(ol.testing.scripted._as_json(said)), "loop")


class Def(ol.Module):
    find = ol.Predict("question -> query")
    answer = ol.Predict("query -> answer")

    def forward(self, question: str) -> Any:
        return self.answer(query=self.find(question=question).query)


class Async(ol.Module):
    find = ol.Predict("question -> query")
    answer = ol.Predict("query -> answer")

    async def forward(self, question: str) -> Any:
        found = await self.find.acall(question=question)
        await asyncio.sleep(0)
        return await self.answer.acall(query=found.query)


class Strategy(ol.Module):
    """Written as the built-in strategies are: async, and without a need for a loop."""

    find = ol.Predict("question -> query")
    answer = ol.Predict("query -> answer")
    blocking_safe = True

    async def forward(self, question: str) -> Any:
        found = await self.find.acall(question=question)
        await ol.sleep(0)
        return await self.answer.acall(query=found.query)


class DefOverAsync(ol.Module):
    inner = Async()

    def forward(self, question: str) -> Any:
        return self.inner(question=question)


class AsyncOverDef(ol.Module):
    inner = Def()

    async def forward(self, question: str) -> Any:
        return await self.inner.acall(question=question)


class DefOverAsyncOverDef(ol.Module):
    inner = AsyncOverDef()

    def forward(self, question: str) -> Any:
        return self.inner(question=question)


class AsyncOverDefOverAsync(ol.Module):
    inner = DefOverAsync()

    async def forward(self, question: str) -> Any:
        return await self.inner.acall(question=question)


PROGRAMS: list[Any] = [
    Def(),
    Async(),
    Strategy(),
    DefOverAsync(),
    AsyncOverDef(),
    DefOverAsyncOverDef(),
    AsyncOverDefOverAsync(),
]


def in_script(program: Any) -> Any:
    return program(question="x")


def in_plain_thread(program: Any) -> Any:
    with ThreadPoolExecutor(1) as pool:
        run = current()
        return pool.submit(lambda: ol.context(lm=run.lm)(program)(question="x")).result()


def in_asyncio_run(program: Any) -> Any:
    return asyncio.run(program.acall(question="x"))


def in_notebook_cell(program: Any) -> Any:
    async def cell() -> Any:
        return program(question="x")  # blocking, in the thread of a running loop

    return asyncio.run(cell())


def in_notebook_await(program: Any) -> Any:
    async def cell() -> Any:
        first = program(question="x")
        second = await program.acall(question="x")
        assert first == second
        return second

    return asyncio.run(cell())


def in_sync_endpoint(program: Any) -> Any:
    """As ASGI frameworks run a plain handler: in a pool thread, in a copy of the request's context."""

    async def serve() -> Any:
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, context.run, lambda: program(question="x"))

    return asyncio.run(serve())


def in_async_endpoints(program: Any) -> Any:
    async def serve() -> Any:
        tasks = [asyncio.create_task(program.acall(question="x")) for _ in range(3)]
        results = await asyncio.gather(*tasks)
        assert results[0] == results[1] == results[2]
        return results[0]

    return asyncio.run(serve())


WAYS = [
    in_script,
    in_plain_thread,
    in_asyncio_run,
    in_notebook_cell,
    in_notebook_await,
    in_sync_endpoint,
    in_async_endpoints,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: type(program).__name__)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("model", [lambda: ScriptedLM(answer), LoopLM], ids=["in place", "needs a loop"])
def test_every_program_gives_the_same_every_way(program: Any, way: Callable[[Any], Any], model: Any) -> None:
    with ol.context(lm=model()):
        out = way(program)
    assert out.answer == "a(q(x))"
    paths = {path for path, part in ol.modules_of(program).items() if isinstance(part, ol.Predict)}
    assert [span.path for span in out.trace] == sorted(paths, reverse=True)  # find, then answer
    assert [span.inputs for span in out.trace] == [{"question": "x"}, {"query": "q(x)"}]
    assert all(span.error is None and span.attempt == 0 for span in out.trace)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: type(program).__name__)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_program_fails_the_same_every_way(program: Any, way: Callable[[Any], Any]) -> None:
    before = current()
    with ol.context(lm=ScriptedLM(lambda _: ValueError("broken"))):
        with pytest.raises(ValueError, match="broken"):
            way(program)
    assert current() is before


class WithGather(ol.Module):
    parts = [ol.Predict("question -> query", instruction=str(i)) for i in range(4)]

    async def forward(self, question: str) -> Any:
        found = await ol.gather(*(part.acall(question=f"{question}{i}") for i, part in enumerate(self.parts)))
        return [out.query for out in found]


class Together:
    """Answers when so many calls are under way at once; never when they come one after the other."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.here = 0

    async def __call__(self, messages: Any) -> Any:
        self.here += 1
        until = time.monotonic() + 30
        while self.here < self.count:
            assert time.monotonic() < until, f"only {self.here} of {self.count} calls are under way"
            await ol.sleep(0.005)
        return answer(messages)


class WithGatherInPlace(WithGather):
    blocking_safe = True


@pytest.mark.parametrize("program", [WithGather(), WithGatherInPlace()], ids=["own loop", "in place"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_gather_runs_parts_together_every_way(program: Any, way: Callable[[Any], Any]) -> None:
    seen: set[tuple[str | None, int]] = set()
    with ol.trace() as spans, ol.context(lm=ScriptedLM(Together(4)), sample=3):
        assert way(program) == [f"q(x{i})" for i in range(4)]
    if way is not in_plain_thread:  # a plain thread starts afresh: no block of its parent reaches it
        seen = {(span.path, span.request.sample) for span in spans}
        assert seen == {(f"parts.{i}", 3) for i in range(4)}


def test_gather_threads_see_the_model_of_the_block_and_the_users_variables() -> None:
    colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")
    seen: list[str] = []

    def handler(messages: tuple[Message, ...]) -> dict[str, Any]:
        seen.append(f"{colour.get()} {threading.current_thread() is threading.main_thread()}")
        return answer(messages)

    def ask(program: Any) -> None:
        colour.set("red")
        with ol.context(lm=ScriptedLM(handler)):
            program(question="x")

    for program in (WithGather(), WithGatherInPlace(), Def(), AsyncOverDef()):
        contextvars.copy_context().run(ask, program)
        assert {text.split()[0] for text in seen} == {"red"}
        seen.clear()


# async and blocking code that meet


def test_a_missing_await_inside_async_code_is_a_clear_error() -> None:
    class Forgot(ol.Module):
        find = ol.Predict("question -> query")

        async def forward(self, question: str) -> Any:
            return self.find(question=question).query

    lm = ScriptedLM(answer)
    with ol.context(lm=lm):
        for way in WAYS:
            with pytest.raises(UsageError, match=r"without await inside async code; use `await program.acall"):
                way(Forgot())
    assert lm.calls == 0


def test_a_model_called_without_await_inside_async_code_is_a_clear_error() -> None:
    lm = ScriptedLM(["x"])

    class Forgot(ol.Module):
        async def forward(self, question: str) -> Any:
            return lm(question).text

    with pytest.raises(UsageError, match=r"await lm\.acall"):
        Forgot()(question="x")


def test_blocking_calls_in_a_thread_of_async_code_are_fine() -> None:
    class Hands(ol.Module):
        find = ol.Predict("question -> query")

        async def forward(self, question: str) -> Any:
            return (await asyncio.to_thread(lambda: self.find(question=question))).query

    with ol.context(lm=ScriptedLM(answer)):
        for way in WAYS:
            assert way(Hands()) == "q(x)"


def test_a_loop_started_inside_blocking_code_is_a_real_one() -> None:
    """`asyncio.run` in a `def forward` runs parts together, as anywhere else."""

    class Own(ol.Module):
        find = ol.Predict("question -> query")

        def forward(self, question: str) -> Any:
            async def main() -> Any:
                await asyncio.sleep(0)
                return await asyncio.gather(*(self.find.acall(question=f"{question}{i}") for i in range(4)))

            return [out.query for out in asyncio.run(main())]

    for way in (in_script, in_plain_thread, in_asyncio_run, in_sync_endpoint):
        with ol.context(lm=ScriptedLM(Together(4))):
            assert way(Own()) == [f"q(x{i})" for i in range(4)]


def test_a_program_may_ask_another_program_in_any_way() -> None:
    """One that is no part of it, from a helper function."""
    other = Def()

    class Uses(ol.Module):
        def forward(self, question: str) -> Any:
            return other(question=question)

    with ol.context(lm=ScriptedLM(answer)):
        out: Any = Uses()(question="x")
    assert [span.path for span in out.trace] == [None, None]  # outside the program
    assert out.answer == "a(q(x))"


def test_an_async_program_in_blocking_calls_keeps_its_connections() -> None:
    """Each call has a loop of its own; what belongs to a loop must not be opened anew each time."""
    loops: set[asyncio.AbstractEventLoop] = set()

    class Connected(ol.LM):
        name = "connected"

        async def complete(self, request: Request) -> Response:
            loops.add(asyncio.get_running_loop())
            return Response('{"query": "x", "answer": "y"}', "connected")

    with ol.context(lm=Connected()):
        for _ in range(3):
            for program in (Async(), DefOverAsyncOverDef(), WithGather(), Def()):
                program(question="x")
    assert len(loops) == 1


# Kinds of forward


def doubled(text: str, times: int = 2) -> str:
    return text * times


async def doubled_later(text: str, times: int = 2) -> str:
    await asyncio.sleep(0)
    return text * times


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that hides whether a function is async."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    del wrapper.__wrapped__  # type: ignore[attr-defined]
    wrapper.__signature__ = __import__("inspect").signature(function)  # type: ignore[attr-defined]
    return wrapper


class Static(ol.Module):
    @staticmethod
    def forward(text: str, times: int = 2) -> str:
        return text * times


class OfClass(ol.Module):
    word = "x"

    @classmethod
    def forward(cls, text: str, times: int = 2) -> str:
        return text * times


class AsyncStatic(ol.Module):
    @staticmethod
    async def forward(text: str, times: int = 2) -> str:
        return text * times


class Partial(ol.Module):
    forward = functools.partial(doubled, times=2)  # type: ignore[assignment]


class AsyncPartial(ol.Module):
    forward = functools.partial(doubled_later, times=2)  # type: ignore[assignment]


class Decorated(ol.Module):
    @logged
    def forward(self, text: str, times: int = 2) -> str:
        return text * times


class AsyncDecorated(ol.Module):
    @logged
    async def forward(self, text: str, times: int = 2) -> str:
        await asyncio.sleep(0)
        return text * times


class Callable_(ol.Module):
    class Works:
        def __call__(self, text: str, times: int = 2) -> str:
            return text * times

    forward = Works()  # type: ignore[assignment]


FORWARDS = [Static, OfClass, AsyncStatic, Partial, AsyncPartial, Decorated, AsyncDecorated, Callable_]


@pytest.mark.parametrize("cls", FORWARDS, ids=lambda cls: cls.__name__)
def test_any_kind_of_forward_works_both_ways(cls: Any) -> None:
    program = cls()
    assert program(text="ab") == "abab"
    assert program("ab") == "abab"
    assert asyncio.run(program.acall(text="ab")) == "abab"
    assert asyncio.run(program.acall("ab", times=2)) == "abab"
    with pytest.raises(InputError, match="has no input 'txt'. Did you mean 'text'?"):
        program(txt="ab")
    with pytest.raises(InputError, match="needs the input 'text', which was not given"):
        asyncio.run(program.acall())


def test_a_forward_changed_on_the_class_is_seen() -> None:
    class Changing(ol.Module):
        def forward(self, a: str) -> str:
            return a

    program: Any = Changing()
    assert program(a="x") == "x"

    async def other(self: Any, b: str) -> str:
        return b + b

    Changing.forward = other  # type: ignore[assignment, method-assign]
    assert program(b="x") == "xx"


def test_generators_are_refused() -> None:
    class Yields(ol.Module):
        def forward(self, text: str) -> Any:
            yield text

    class YieldsAsync(ol.Module):
        async def forward(self, text: str) -> Any:
            yield text

    for program in (Yields(), YieldsAsync()):
        for call in (lambda p=program: p(text="x"), lambda p=program: asyncio.run(p.acall(text="x"))):
            with pytest.raises(UsageError, match="forward is a generator"):
                call()


def test_a_program_without_forward_says_so() -> None:
    class Empty(ol.Module):
        pass

    with pytest.raises(UsageError, match="Empty defines no forward"):
        Empty()()


def test_inputs_of_a_forward_have_names() -> None:
    class Positional(ol.Module):
        def forward(self, text: str, /) -> str:
            return text

    class Star(ol.Module):
        def forward(self, *texts: str) -> str:
            return "".join(texts)

    with pytest.raises(UsageError, match="inputs of a program have names"):
        Positional()("x")
    with pytest.raises(UsageError, match=r"\*texts: 'str', which cannot be given by name|\*texts"):
        Star()("x")


def test_a_forward_may_take_any_input() -> None:
    class Any_(ol.Module):
        def forward(self, first: str, **rest: Any) -> Any:
            return first, rest

    assert Any_()("x", b=1) == ("x", {"b": 1})
    assert Any_()(first="x", rest=2) == ("x", {"rest": 2})
    with pytest.raises(InputError, match="'first'"):
        Any_()(b=1)
    with pytest.raises(InputError, match="twice"):
        Any_()("x", first="y")
    with pytest.raises(InputError, match="by position"):
        Any_()("x", "y")


def test_stop_iteration_of_a_program_is_an_error_both_ways() -> None:
    class Stops(ol.Module):
        def forward(self) -> Any:
            return next(iter(()))

    for call in (Stops(), lambda: asyncio.run(asyncio.wait_for(Stops().acall(), 5))):
        with pytest.raises(RuntimeError, match="StopIteration"):
            call()


# Many at once


@pytest.mark.parametrize("program", [Def(), Async(), DefOverAsyncOverDef()], ids=lambda p: type(p).__name__)
def test_many_calls_at_once_do_not_mix(program: Any) -> None:
    async def main() -> Any:
        return await asyncio.gather(*(program.acall(question=f"x{i}") for i in range(100)))

    with ol.context(lm=ScriptedLM(answer, latency=0.001)):
        found = asyncio.run(main())
        with ThreadPoolExecutor(16) as pool:
            lm = current().lm

            def call(i: int) -> Any:
                return ol.context(lm=lm)(program)(question=f"x{i}")

            in_threads = list(pool.map(call, range(50)))
    for i, out in [*enumerate(found), *enumerate(in_threads)]:
        assert out.answer == f"a(q(x{i}))"
        assert len(out.trace) == 2
        assert out.trace[0].inputs == {"question": f"x{i}"}


def test_a_cancelled_call_stops_what_it_had_under_way() -> None:
    """A handler whose client went away."""
    lm = ScriptedLM(answer, latency=60)

    async def main() -> float:
        started = time.perf_counter()
        for calls, program in enumerate((Def(), Async(), DefOverAsync(), AsyncOverDef(), WithGather()), start=1):
            task: asyncio.Task[Any] = asyncio.ensure_future(_awaited(program.acall(question="x")))
            for _ in range(4_000):
                if lm.calls == (8 if calls == 5 else calls):
                    break
                await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return time.perf_counter() - started

    with ol.context(lm=lm):
        assert asyncio.run(main()) < 30
    time.sleep(0.05)
    assert lm.calls == 8  # no program went on to its second step


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
