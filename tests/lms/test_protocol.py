"""What every LM is: asked blocking and async, under budget and trace, with checked options."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from typing import Any

import pytest

import outlast as ol
from outlast.errors import ConfigError, LMServerError, StreamAborted, UsageError
from outlast.lms.protocol import Capabilities, Wrapper, ask
from outlast.messages import Message, OutputSchema, Request, Response
from outlast.runtime import Meter, current, running
from outlast.testing import ScriptedLM


class Plain(ol.LM):
    """What a user writes first: any asyncio code, nothing else."""

    name = "plain"

    async def complete(self, request: Request) -> Response:
        await asyncio.sleep(0.001)
        return Response(f"{request.messages[-1].text} in {threading.current_thread().name}")


def test_a_users_model_works_everywhere() -> None:
    lm = Plain()
    assert lm("x").text == "x in outlast-io"
    assert asyncio.run(lm.acall("x")).text == "x in MainThread"

    async def cell() -> str:
        return lm("x").text  # blocking, under a running loop

    assert asyncio.run(cell()) == "x in outlast-io"
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(lm("x").text))
    thread.start()
    thread.join()
    assert found == ["x in outlast-io"]


def test_a_model_around_a_model() -> None:
    class Shouting(Wrapper):
        async def complete(self, request: Request) -> Response:
            response = await ask(self.inner, request)
            return Response(response.text.upper(), response.model)

    capabilities = ol.Capabilities(json_schema=True)
    inner = ScriptedLM(lambda _: "quiet", name="inner", capabilities=capabilities)
    lm = Shouting(inner)
    assert (lm.name, lm.identity, lm.capabilities) == ("inner", "inner", capabilities)
    assert repr(lm) == "Shouting(LM('inner'))"
    assert lm("x").text == asyncio.run(lm.acall("x")).text == "QUIET"
    assert Shouting(Plain())("x").text == "X IN OUTLAST-IO"


def test_a_model_made_of_a_program() -> None:
    class Judged(ol.LM):
        """Answers with what a program says, driven in place in blocking calls."""

        name = "judged"
        blocking_safe = True
        program = ol.Predict("question -> answer", lm=ScriptedLM(lambda _: {"answer": "fine"}))

        async def complete(self, request: Request) -> Response:
            out = await self.program.acall(question=request.messages[-1].text)
            return Response(out.answer)

    lm = Judged()
    assert lm("x").text == "fine"
    assert asyncio.run(lm.acall("x")).text == "fine"

    async def cell() -> str:
        return lm("x").text

    assert asyncio.run(cell()) == "fine"


def test_options_become_the_request() -> None:
    lm = ScriptedLM(lambda _: "x", keep=True)
    schema = OutputSchema("Out", {"type": "object"})
    lm("q", temperature=0.5, stop="END", sample=2, output=schema)
    asyncio.run(lm.acall([Message("system", "s"), Message("user", "q")], max_tokens=3, stop=["a", "b"], output="json"))
    first, second = lm.requests
    assert first == Request((Message("user", "q"),), ol.Settings(temperature=0.5, stop=("END",)), schema, 2)
    assert second.messages[0].role == "system"
    assert second.settings == ol.Settings(max_tokens=3, stop=("a", "b"))
    assert (second.output, second.sample) == ("json", 0)


def test_the_sample_of_the_block_is_used() -> None:
    lm = ScriptedLM(lambda _: "x", keep=True)
    with ol.context(sample=3):
        lm("q")
        lm("q", sample=0)
    assert [request.sample for request in lm.requests] == [3, 0]


@pytest.mark.parametrize(
    ("prompt", "options", "message"),
    [
        ("q", {"temprature": 1}, "LM call has no option 'temprature'. Did you mean 'temperature'?"),
        ("q", {"temperature": -0.1}, "temperature is a number from 0 to 2; got -0.1"),
        ("q", {"top_p": "x"}, "top_p is a number from 0 to 1"),
        ("q", {"max_tokens": True}, "max_tokens is a whole number from 1"),
        ("q", {"seed": 1.5}, "seed is a whole number"),
        ("q", {"stop": 3}, "stop is a list of texts"),
        ("q", {"reasoning": 3}, "reasoning is an effort word"),
        ("q", {"extra": "x"}, "extra is a mapping by name"),
        ("q", {"sample": -1}, "sample is a whole number from 0"),
        ("q", {"sample": "1"}, "sample is a whole number from 0"),
        ("q", {"output": "xml"}, "output is None, 'json' or an OutputSchema"),
        (["q"], {}, "an LM takes text or messages; got 'q' in the list"),
        ([{"role": "user"}], {}, "an LM takes text or messages"),
    ],
)
def test_wrong_options_are_refused_before_the_call(prompt: Any, options: dict[str, Any], message: str) -> None:
    lm = ScriptedLM(lambda _: "x")
    for call in (lm, lambda *a, **k: asyncio.run(lm.acall(*a, **k))):
        with pytest.raises(UsageError, match=message):
            call(prompt, **options)
    assert lm.calls == 0


def test_a_plain_complete_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(UsageError, match="write `async def complete`"):

        class Wrong(ol.LM):  # pyright: ignore[reportUnusedClass]
            def complete(self, request: Request) -> Response:  # type: ignore[override]
                return Response("x")


def test_a_decorated_complete_is_fine() -> None:
    def logged(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return function(*args)

        return wrapper

    class Decorated(ol.LM):
        name = "decorated"

        @logged
        async def complete(self, request: Request) -> Response:
            return Response("x")

    assert Decorated()("q").text == "x"


def test_a_model_without_complete_cannot_be_made() -> None:
    class Nothing(ol.LM):
        pass

    with pytest.raises(TypeError, match="complete"):
        Nothing()


def test_an_answer_that_is_no_response_is_a_clear_error() -> None:
    class Says(ol.LM):
        name = "says"

        async def complete(self, request: Request) -> Any:
            return "just text"

    for call in (Says(), lambda q: asyncio.run(Says().acall(q))):
        with pytest.raises(UsageError, match=r"LM\('says'\) must answer with a Response; got 'just text'"):
            call("q")


def test_direct_calls_are_traced_with_their_errors() -> None:
    lm = ScriptedLM(["fine", LMServerError("down")], name="script")
    with ol.trace() as spans:
        assert lm("q").text == "fine"
        with pytest.raises(LMServerError):
            asyncio.run(lm.acall("q"))
    assert [(span.path, span.module, span.signature) for span in spans] == [(None, "LM", "script")] * 2
    assert spans[0].response is not None
    assert isinstance(spans[1].error, LMServerError)


def test_a_cancelled_direct_call_gives_what_is_left_of_the_budget_back() -> None:
    lm = ScriptedLM(lambda _: "x", latency=5)
    meter = Meter(calls=2)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lm.acall("q"), 0.01)
        lm.latency = 0
        assert (await lm.acall("q")).text == "x"

    with running(meter=meter):
        asyncio.run(main())
    assert (meter.spent.calls, meter.spent.failed, meter.spent.uncertain) == (2, 1, 1)


def test_the_run_is_as_before_after_a_call() -> None:
    before = current()
    ScriptedLM(["x"])("q")
    with pytest.raises(ValueError):
        ScriptedLM([ValueError()])("q")
    assert current() is before


def test_capabilities_are_checked() -> None:
    assert Capabilities(without=["seed"]).without == frozenset(("seed",))  # type: ignore[arg-type]
    for wrong, words in (({"without": {"sed"}}, "Did you mean 'seed'"), ({"tools": "yes"}, "True or False")):
        with pytest.raises(ConfigError, match=words):
            Capabilities(**wrong)  # type: ignore[arg-type]


def test_a_reply_that_is_given_up_is_an_error_in_the_trace_with_what_was_said() -> None:
    lm = ScriptedLM(lambda messages: "one two three", piece=4)
    with ol.trace() as spans:
        with lm.events("count") as events:
            for event in events:
                if getattr(event, "text", "") == "two ":
                    break
        with lm.events("count") as events:
            for event in events:
                if isinstance(event, ol.Finished):
                    break
    assert [span.response is None for span in spans] == [True, False]
    error = spans[0].error
    assert isinstance(error, StreamAborted)
    assert str(error) == "the reply was given up after 8 characters: 'one two '"
    assert error.partial == {"": {"": "one two "}}
    assert spans[1].error is None
