"""What a type checker knows of programs. Never run: pyright checks every line (see test_typing.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, assert_type

import outlast as ol
from outlast.testing import ScriptedLM

Team = Literal["billing", "cards"]


class Triage(ol.Signature):
    """Route a message."""

    message: str = ol.input()
    note: str = ol.input(default="", desc="what the agent wrote")
    team: Team = ol.output()
    urgency: int = ol.output(ge=1, le=5)


@dataclass
class Verdict:
    team: Team
    urgency: int


@ol.predict
def triage(message: str, note: str = "") -> Team:
    """Route a message."""
    ...  # noqa: PIE790 - pyright takes a body of a docstring alone for one that forgot to return


@ol.predict(lm="openai/gpt-5-mini", temperature=0.2)
def judge(message: str) -> Verdict:
    """Judge a message."""
    ...  # noqa: PIE790 - pyright takes a body of a docstring alone for one that forgot to return


def plain(message: str) -> list[str]:
    """List the topics of a message."""
    ...  # noqa: PIE790 - pyright takes a body of a docstring alone for one that forgot to return


# A class signature


async def class_signatures() -> None:
    for program in (ol.Predict(Triage), ol.ChainOfThought(Triage)):
        out = program(message="x")
        assert_type(out, Triage)
        assert_type(out.team, Team)
        assert_type(out.urgency, int)
        assert_type(out.message, str)
        assert_type(out.reasoning, str | None)
        assert_type(out.trace, ol.Trace)
        assert_type(await program.acall(message="x", note="y"), Triage)
        assert_type(program.render(message="x"), tuple[ol.Message, ...])
    assert_type(Triage.with_description("Other."), type[Triage])
    assert_type(ol.Predict(Triage.with_description("Other."))(message="x").team, Team)
    assert_type(ol.fields_of(ol.Predict(Triage)(message="x")), dict[str, Any])


async def streams() -> None:
    stream = ol.Predict(Triage).stream(message="x")
    assert_type(stream, ol.Stream[Triage])
    assert_type(stream.result.team, Team)
    assert_type(triage.stream("x").result, Team)
    assert_type(Plain().stream(question="x").result, str)
    assert_type(Waits().stream(question="x").result, int)
    assert_type(ol.Predict("question -> answer").stream(question="x").result, ol.Prediction)
    assert_type(stream.abort_if(lambda event: isinstance(event, ol.Partial) and event.complete), ol.Stream[Triage])
    for event in stream:
        if isinstance(event, ol.FieldDelta):
            assert_type(event.text, str)
            assert_type(event.path, str | None)
        elif isinstance(event, ol.Partial):
            assert_type(event.complete, bool)
    async with ol.ChainOfThought(Triage).stream(message="x") as opened:
        async for event in opened:
            assert_type(event.to_json(), dict[str, Any])
        assert_type(opened.result, Triage)


class Plain(ol.Module):
    def forward(self, question: str) -> str:
        return question


class Waits(ol.Module):
    async def forward(self, question: str) -> int:
        return len(question)


# A function signature


async def function_signatures() -> None:
    assert_type(triage("x"), Team)
    assert_type(triage(message="x", note="y"), Team)
    assert_type(await triage.acall("x"), Team)
    assert_type(judge(message="x"), Verdict)
    assert_type(ol.Predict(plain)("x"), list[str])
    assert_type(ol.ChainOfThought(plain)("x"), list[str])


# A string signature


async def string_signatures() -> None:
    program = ol.Predict("question, context: list[str] -> answer: float")
    out = program(question="x", context=["y"])
    assert_type(out, ol.Prediction)
    assert_type(out.answer, Any)
    assert_type((await program.acall(question="x", context=[])).answer, Any)
    thought = ol.ChainOfThought("question -> answer")
    assert_type(thought(question="x"), ol.Prediction)
    assert_type(thought(question="x").reasoning, str | None)
    spelled = ol.signature("question -> answer: Verdict", types=[Verdict])
    assert_type(ol.Predict(spelled)(question="x").answer, Any)


# Any spelling, given back as a signature


def spellings() -> None:
    assert_type(ol.signature(Triage), type[Triage])
    assert_type(ol.Predict(ol.signature(Triage))(message="x").team, Team)


# Programs of one's own


class Blocking(ol.Module):
    find = ol.Predict("question -> query")
    decide = ol.ChainOfThought(Triage)
    hops = [ol.Predict(Triage), ol.Predict(Triage)]
    threshold = ol.param(0.5, desc="when to give up")

    def forward(self, question: str, limit: int = 3):
        assert_type(self.threshold, float)
        assert_type(self.hops[0](message="x").team, Team)
        found = self.find(question=question)
        return self.decide(message=found.query)


class Waiting(ol.Module):
    def __init__(self, n: int) -> None:
        self.parts = {name: ol.Predict(Triage) for name in ("a", "b")}
        self.n = n

    async def forward(self, message: str) -> Verdict:
        first, second = await ol.gather(self.parts["a"].acall(message=message), triage.acall(message))
        assert_type(first, Triage)
        assert_type(second, Team)
        many = await ol.gather(*(part.acall(message=message) for part in self.parts.values()), limit=2)
        assert_type(many, tuple[Triage, ...])
        return Verdict(second, first.urgency)


async def own_programs() -> None:
    assert_type(Blocking()(question="x"), Triage)
    assert_type(Blocking()("x", limit=2).team, Team)
    assert_type(await Blocking().acall(question="x"), Triage)
    assert_type(Waiting(2)(message="x"), Verdict)
    assert_type(await Waiting(2).acall("x"), Verdict)
    assert_type(Blocking().render(question="x"), tuple[ol.Message, ...])


def any_program(program: ol.Module) -> None:
    assert_type(program(whatever="x"), Any)


# Tuning


def tuning() -> None:
    program = Blocking()
    changed = ol.update(program, {"decide.instruction": "Decide.", "threshold": 0.7})
    assert_type(changed, Blocking)
    assert_type(changed(question="x").urgency, int)
    single = ol.update(ol.Predict(Triage), {"demos": [ol.Demo({"message": "x", "team": "cards"})]})
    assert_type(single(message="x").team, Team)
    assert_type(ol.parameters(program), dict[str, Any])
    assert_type(ol.modules_of(program), dict[str, ol.Module])


# Models, settings and what happened


class Echo(ol.LM):
    name = "echo"

    async def complete(self, request: ol.Request) -> ol.Response:
        return ol.Response(request.messages[-1].text)


async def models() -> None:
    assert_type(ol.LM("openai/gpt-5-mini", temperature=0.1, cache=False), ol.LM)
    assert_type(Echo()("hello"), ol.Response)
    assert_type(await Echo().acall("hello", max_tokens=3), ol.Response)
    ol.configure(lm=Echo(), adapter=ol.JSON())
    with ol.context(lm="outlast/baseline", sample=3):
        pass
    with ol.trace() as spans:
        assert_type(spans, ol.Trace)
        assert_type(spans[0], ol.Span)
        assert_type(spans[0].path, str | None)
    scripted = ScriptedLM([{"team": "cards"}, "text", ValueError("down")], latency=0.1)
    assert_type(scripted.calls, int)
    assert_type(await ol.io(Echo().acall("x")), ol.Response)


def takes_messages(messages: Sequence[ol.Message]) -> ol.Response:
    return Echo()(messages)


# Types of fields, and export


class Look(ol.Signature):
    """Look at a picture."""

    photo: ol.Image = ol.input()
    more: list[ol.Image] = ol.input(default=[])
    history: ol.History = ol.input(default=ol.History())
    sketch: ol.Code = ol.output()


def types_and_export(picture: bytes) -> None:
    photo = ol.Image.from_bytes(picture)
    assert_type(photo, ol.Image)
    out = ol.Predict(Look)(photo=photo)
    assert_type(out.sketch, ol.Code)
    assert_type(out.photo, ol.Image)
    assert_type(ol.History(last=3).add({"photo": photo}, out), ol.History)
    assert_type(ol.Tool.of(plain), ol.Tool)
    prompt = ol.export(ol.Predict(Look))[""]
    assert_type(prompt.fill(photo=photo), tuple[ol.Message, ...])
    assert_type(prompt.variables(photo=photo), dict[str, Any])
    assert_type(ol.Predict(Look).export("jinja", lm="outlast/baseline"), dict[str, Any])


# Strategies


def strategies(message: str) -> None:
    def reward(out: Triage) -> float:
        return out.urgency

    def to_a(inputs: ol.Prediction) -> str:
        return "a"

    tools = [plain]
    assert_type(ol.BestOfN(Triage, n=3, reward=reward)(message=message), Triage)
    assert_type(ol.BestOfN(ol.ChainOfThought(Triage), n=3, reward=reward)(message=message).team, Team)
    assert_type(ol.Majority(Triage, n=3)(message=message), Triage)
    assert_type(ol.Refine(Triage, n=3, reward=reward)(message=message), Triage)
    assert_type(ol.Retry(Triage, n=3)(message=message), Triage)
    assert_type(ol.MultiChainComparison(Triage)(message=message), Triage)
    assert_type(ol.TreeSearch(Triage, n=3, reward=reward)(message=message), Triage)
    assert_type(ol.Debate(Triage)(message=message), Triage)
    assert_type(ol.Debate([ol.Predict(Triage), ol.ChainOfThought(Triage)])(message=message), Triage)
    assert_type(ol.MapReduce(Triage, over="message")(message=message), Triage)
    assert_type(ol.ReAct(Triage, tools=tools)(message=message), Triage)
    assert_type(ol.PlanAndExecute(Triage, tools=tools)(message=message), Triage)
    assert_type(ol.ProgramOfThought(Triage)(message=message), Triage)
    assert_type(ol.CodeAct(Triage, tools=tools)(message=message), Triage)
    assert_type(ol.RLM(Triage)(message=message), Triage)
    assert_type(ol.Cascade([ol.Predict(Triage), ol.ChainOfThought(Triage)])(message=message), Triage)
    assert_type(ol.Ensemble([ol.Predict(Triage), ol.ChainOfThought(Triage)])(message=message), Triage)
    assert_type(ol.Fallback([ol.Predict(Triage), ol.ChainOfThought(Triage)])(message=message), Triage)
    assert_type(ol.Route({"a": ol.Predict(Triage)}, by=to_a)(message=message), Triage)
    assert_type(ol.TreeSearch("message -> team", n=3, reward=reward)(message=message), ol.Prediction)


class Checked(ol.Signature):
    question: str = ol.input()
    answer: str = ol.output()

    @ol.check(on_fail="retry", message="Be brief.")
    @staticmethod
    def brief(answer: str) -> bool:
        return len(answer) < 80

    @ol.check
    @staticmethod
    def full(answer: str) -> bool:
        return bool(answer)

    plain = ol.checks.matches("answer", "[a-z]+")


def checks(message: str) -> None:
    out = ol.Predict(Checked, checks=[Checked.brief])(question=message)
    assert_type(out.answer, str)
    assert_type(out.checks["brief"], ol.Checked)
    assert_type(ol.checks_of(out)["brief"].first, bool | None)
    assert_type(Checked.plain, ol.Check)
    assert_type(Checked.with_checks(Checked.full.with_policy("log")), type[Checked])
    assert_type(Checked.brief.run({"answer": message}), ol.CheckResult | None)
    safe = ol.guard(ol.Predict(Triage), output=[Checked.full])
    assert_type(safe(message=message), Triage)
    assert_type(ol.guard(Triage, output=[Checked.full])(message=message).team, Team)
    assert_type(ol.Retry(Triage, until=Checked.full)(message=message), Triage)


async def strategies_in_async_code(message: str) -> None:
    assert_type(await ol.Debate(Triage).acall(message=message), Triage)
    assert_type(await ol.CodeAct(Triage).acall(message=message), Triage)


async def evaluations(data: ol.Dataset) -> None:
    metric = ol.exact_match("team")
    result = ol.evaluate(triage, data, metric, epochs=ol.Epochs(3, "pass@2"), cluster="note", on_error="fail")
    assert_type(result.score.value, float)
    assert_type(result.items[0].score, float | None)
    assert_type(result.flaky[0].rows[0].epoch, int)
    again = await ol.aevaluate(triage, data, metric, cluster=lambda example: example.note, max_error_rate=0.05)
    assert_type(again.states["pass"], int)
    compiled = await ol.acompile(triage, data, metric, optimizer=ol.GEPA(), budget=ol.Budget(calls=9), lock=["demos"])
    assert_type(compiled.improved, bool)
    assert_type(ol.headroom(triage, data, metric, draws=2, strong="openai/gpt-5").mean, float)
    assert_type(ol.optimize(str.upper, data, metric, params={"n": 1}, seed=3, study=False)("x"), str)
    change = ol.compare(result, again, by=["team", lambda row: row.index % 2], min_delta=-0.02, part="tone")
    assert_type(change.gate().decision, Literal["PASS", "FAIL", "INCONCLUSIVE"])
    assert_type(change.slices[0].p, float)
    choice = ol.compare(result, {"short": again, "long": again}, correction="bh")
    assert_type(choice["short"].mde(), float)
    assert_type(choice.best, str | None)
    assert_type(result.gate(0.8).passed, bool)
    assert_type(ol.rescore("rows.jsonl", metric, program=triage, save="new.jsonl", resume=True).n, int)
