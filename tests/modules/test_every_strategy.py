"""One program, every strategy, models that behave like real ones: the same typed result, and a ledger that is right."""

from __future__ import annotations

import json
import re
import threading
from typing import Any

import pytest

import outlast as ol
from outlast.errors import CheckFailed
from outlast.lms.protocol import LM
from outlast.messages import Request, Response, ToolCall, Usage


class Add(ol.Signature):
    """Add up the numbers."""

    numbers: list[int] = ol.input()
    total: int = ol.output(ge=0)


class Book(ol.Module):
    add = ol.Predict(Add, instruction="Add the numbers with care.")

    def forward(self, numbers: list[int]) -> Any:
        return self.add(numbers=numbers)


def plausible(out: Any) -> bool:
    return out.total == 6


def weigh(number: int) -> int:
    """The weight of a number."""
    return number


def first(inputs: Any) -> str:
    return "a"


STRATEGIES: list[Any] = [
    ol.Predict(),
    ol.ChainOfThought(),
    ol.BestOfN(n=3, reward=plausible),
    ol.Majority(n=3),
    ol.Refine(n=2, reward=plausible, threshold=1),
    ol.Retry(n=2, until=plausible),
    ol.Fallback([ol.Predict(), ol.ChainOfThought()]),
    ol.Ensemble([ol.Predict(), ol.ChainOfThought()]),
    ol.Route({"a": ol.Predict(), "b": ol.ChainOfThought()}, by=first),
    ol.TreeSearch(n=3, reward=plausible),
    ol.TreeSearch(n=3, reward=plausible, method="beam"),
    ol.Debate(agents=2),
    ol.Debate(agents=2, by="judges"),
    ol.MultiChainComparison(n=2),
    ol.Cascade([ol.Predict(), ol.ChainOfThought()]),
    ol.Cascade([ol.Predict(), ol.ChainOfThought()], confidence=plausible, threshold=1),
    ol.MapReduce(),
    ol.ReAct(tools=[weigh]),
    ol.PlanAndExecute(),
    ol.PlanAndExecute(tools=[weigh]),
    ol.ProgramOfThought(),
    ol.CodeAct(tools=[weigh]),
    ol.RLM(),
    ol.BestOfN(ol.CodeAct(tools=[weigh]), n=2, reward=plausible),
]
VALUES: dict[str, Any] = {
    "total": 6,
    "reasoning": "one by one",
    "thought": "Python adds.",
    "code": "submit(total=sum(numbers))",
    "calls": [],
    "best": 1,
    "steps": ["add them"],
    "result": "6",
    "succeeded": True,
}


class LikeReal(LM):
    """Answers whatever outputs the prompt asks for. `messy` talks around them, `refuses` and `cuts` give a useless
    first reply to each question, `native` calls a tool first where there is one."""

    name = "like-real"
    blocking_safe = True

    def __init__(self, style: str) -> None:
        self.style = style
        self.capabilities = ol.Capabilities(tools=style == "native")
        self.calls = 0
        self.lock = threading.Lock()

    async def complete(self, request: Request) -> Response:
        texts = [message.text for message in request.messages]
        asked = re.findall(r"<<(\w+)", texts[-1].rpartition("Reply")[2])
        with self.lock:
            self.calls += 1
            again = any(message.role == "assistant" for message in request.messages)
        usage = Usage(input_tokens=10, output_tokens=5, cost=0.01)
        values = {name: VALUES[name] for name in asked if name in VALUES}
        body = "\n\n".join(f"<<{n}>>\n{v if isinstance(v, str) else json.dumps(v)}" for n, v in values.items())
        if self.style == "native" and request.tools and not again:
            return Response(text="", tool_calls=(ToolCall("1", "weigh", '{"number": 1}'),), usage=usage)
        if self.style == "messy":
            return Response(text=f"Sure! Here is what you asked for: {body} <<end>>\nHope it helps.", usage=usage)
        if self.style == "refuses" and not again:
            return Response(text="I'm sorry, but I cannot help with that.", usage=usage)
        if self.style == "cuts" and not again:
            return Response(text=body[: len(body) // 2], finish="length", usage=usage)
        return Response(text=f"{body}\n<<end>>", usage=usage)


@pytest.mark.parametrize("style", ["plain", "messy", "native", "refuses", "cuts"])
@pytest.mark.parametrize("recipe", STRATEGIES, ids=repr)
def test_the_same_typed_result_and_a_ledger_of_every_call(recipe: Any, style: str) -> None:
    lm = LikeReal(style)
    program = ol.update(Book(), {"add.strategy": recipe})
    with ol.context(lm=lm), ol.budget(calls=1_000) as spent:
        out = program(numbers=[1, 2, 3])
    assert type(out) is Add
    assert ol.fields_of(out) == {"numbers": [1, 2, 3], "total": 6}
    assert lm.calls == spent.calls == out.trace.spending.calls > 0
    assert out.trace.spending.dollars == pytest.approx(0.01 * lm.calls)
    assert all(span.path is None or span.path.startswith("add") for span in out.trace)


@pytest.mark.parametrize("recipe", STRATEGIES, ids=repr)
async def test_the_same_in_async_code(recipe: Any) -> None:
    program = ol.update(ol.Predict(Add), {"strategy": recipe})
    lm = LikeReal("plain")
    with ol.context(lm=lm):
        out = await program.acall(numbers=[1, 2, 3])
    assert (type(out), out.total) == (Add, 6)
    assert lm.calls == out.trace.spending.calls


@pytest.mark.parametrize("style", ["plain", "native"])
@pytest.mark.parametrize("recipe", STRATEGIES, ids=repr)
def test_every_one_streams(recipe: Any, style: str) -> None:
    lm = LikeReal(style)
    program = ol.update(Book(), {"add.strategy": recipe})
    with ol.context(lm=lm):
        events = list(program.stream(numbers=[1, 2, 3]))
    final = events[-1]
    assert isinstance(final, ol.Final)
    assert type(final.prediction) is Add
    assert final.prediction.total == 6
    assert lm.calls == final.prediction.trace.spending.calls


class Look(ol.Signature):
    """Add up what is on the picture."""

    history: ol.History = ol.input()
    picture: ol.Image = ol.input()
    numbers: list[int] = ol.input()
    total: int = ol.output()


@pytest.mark.parametrize("recipe", STRATEGIES, ids=repr)
def test_earlier_turns_and_media_go_through_every_one(recipe: Any) -> None:
    picture = ol.Image.from_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 50)
    history = ol.History().add({"picture": picture, "numbers": [40]}, {"total": 40417})
    lm = LikeReal("plain")
    lm.capabilities = ol.Capabilities(images=True)
    seen: list[Request] = []
    complete = lm.complete

    async def spy(request: Request) -> Response:
        seen.append(request)
        return await complete(request)

    lm.complete = spy  # type: ignore[method-assign]
    over = {"over": "numbers"} if recipe.kind is ol.MapReduce else {}
    program = ol.update(ol.Predict(Look), {"strategy": ol.MapReduce(**over) if over else recipe})
    with ol.context(lm=lm):
        out = program(history=history, picture=picture, numbers=[1, 2, 3])
    assert (type(out), out.total) == (Look, 6)
    first = seen[0].messages
    assert any("40417" in message.text for message in first if message.role == "assistant")
    assert sum(isinstance(part, ol.Image) for message in first for part in message.parts) == 2


@pytest.mark.parametrize("recipe", STRATEGIES, ids=repr)
def test_a_misspelt_option_is_an_error_with_the_right_one(recipe: Any) -> None:
    with pytest.raises(ol.errors.UsageError, match=r"budgt'\. Did you mean|no option 'budgt'"):
        recipe.kind(**recipe.options, budgt=None)


@pytest.mark.parametrize("recipe", STRATEGIES, ids=repr)
def test_a_misspelt_input_is_an_error_before_anything_is_asked(recipe: Any) -> None:
    lm = LikeReal("plain")
    program = ol.update(ol.Predict(Add), {"strategy": recipe})
    with ol.context(lm=lm), pytest.raises(ol.errors.InputError, match="Did you mean 'numbers'"):
        program(nmbers=[1])
    assert lm.calls == 0


@pytest.mark.parametrize("recipe", [one for one in STRATEGIES if one.kind is not ol.Retry], ids=repr)
def test_the_checks_of_the_signature_hold_whatever_the_strategy(recipe: Any) -> None:
    lm = LikeReal("native" if recipe.kind is ol.ReAct else "plain")
    program = recipe.of(Add.with_checks(double, positive))
    with ol.context(lm=lm):
        out = program(numbers=[1, 2, 3])
        assert (out.total, out.numbers) == (12, [1, 2, 3])
        assert out.checks["double"].final
        before = lm.calls
        with pytest.raises(CheckFailed, match="'positive'"):
            program(numbers=[-1])
        assert lm.calls == before


@ol.check(on_fail="fix")
def double(total: int) -> ol.CheckResult:
    return ol.CheckResult(total % 12 == 0, "not doubled", fix={"total": 2 * total})


@ol.check
def positive(numbers: list[int]) -> bool:
    return all(number > 0 for number in numbers)
