"""`RLM`: a long input lives as a variable in a sandbox, and the model explores it by code and by questions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from outlast.errors import UsageError, did_you_mean
from outlast.modules.attempts import Outcome, allowance, check_budget, check_count, told
from outlast.modules.code_act import check_tools
from outlast.modules.coding import (
    Submission,
    Work,
    check_limits,
    check_sandbox,
    coding_signature,
    finished,
    stub,
    usual_sandbox,
    variable_names,
    variables_of,
)
from outlast.modules.deriving import answer_of, for_step, free_name
from outlast.modules.predict import Predict, checked_inputs
from outlast.modules.strategy import P, R, Strategy
from outlast.runtime import Budget, gather
from outlast.sandbox.protocol import Sandbox
from outlast.sandbox.values import Limits
from outlast.signatures.signature import without_field
from outlast.signatures.spelling import signature as read_signature
from outlast.types import Tool

_LIMITS = Limits(seconds=30.0, memory=1 << 30, value=64 << 20, tool_calls=2_000)
_EXPLORE = (
    "The input is too long to be read at once: it is there only as variables of Python code that is run for you. "
    "Variables are kept from step to step, and after each step you are shown the beginning of what the code printed "
    "and of the value of its last line. Look at the variables first (their length, their beginning), find the parts "
    "that matter by code, and put questions on parts to a model with llm_query and llm_query_batched: code alone "
    "understands nothing. When you know the outputs, call submit({outputs})."
)
_QUERY = "Answer the question from the text that is given with it, and from nothing else. Say so when it is not there."


class RLM(Strategy[P, R]):
    """A recursive language model (Zhang, Kraska and Khattab 2025, arXiv 2512.24601): the model never sees a long input
    whole; it writes code that looks at it, and asks models about the parts that it picks.

    `over` names the inputs that live in the sandbox only (all of them when not given); the others are shown too. The
    code calls `llm_query(question, text="")`, `llm_query_batched(questions, texts)` (at the same time), the `tools`,
    and at the end `submit`. `query` answers such questions, by the model of the program unless it is given another
    (`update(program, {"answer.query.lm": small})`); with `depth` above 1 a question whose text is longer than
    `size` characters is answered by an RLM over that text, of one level less. Of each result the model sees `show`
    characters; after `max_turns` steps, at the end of the `budget`, or when it runs in circles, `answer` gives the
    outputs from the work so far.
    Cost: one LM call for each step, at most `max_turns` + 1, and at most `max_queries` for questions (at depth 1).
    """

    signature: Any
    over: tuple[str, ...] | None
    tools: Mapping[str, Tool]
    sandbox: Sandbox | None
    max_turns: int
    max_queries: int
    depth: int
    size: int
    show: int
    limits: Limits | None
    budget: Budget | None

    def __init__(
        self,
        signature: Callable[P, R] | str | None = None,
        *,
        over: Iterable[str] | None = None,
        tools: Iterable[Any] | Mapping[str, Tool] = (),
        sandbox: Sandbox | None = None,
        max_turns: int = 20,
        max_queries: int = 200,
        depth: int = 1,
        size: int = 20_000,
        show: int = 2_000,
        limits: Limits | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.signature = read_signature(signature)
        self.over = _named(self.signature, over)
        self.tools = check_tools(tools, "RLM")
        self.sandbox = check_sandbox(sandbox, "RLM")
        self.max_turns = check_count("RLM", "max_turns", max_turns)
        self.max_queries = check_count("RLM", "max_queries", max_queries)
        self.depth = check_count("RLM", "depth", depth)
        self.size = check_count("RLM", "size", size)
        self.show = check_count("RLM", "show", show, least=100)
        self.limits = check_limits(limits, "RLM")
        self.budget = check_budget(budget, "RLM")
        note = _EXPLORE.format(outputs=", ".join(f"{name}=..." for name in self.signature.outputs))
        extra = {
            free_name(self.signature, "variables"): (list[str], "the variables: name, kind, length, beginning"),
            free_name(self.signature, "functions"): (list[str], "what the code can call besides Python itself"),
        }
        self.act = Predict(coding_signature(self.signature, note, extra, self._shown_inputs()))
        self.query = Predict(read_signature("question, text -> answer").with_description(_QUERY))
        self.deeper: RLM[..., Any] | None = None
        if depth > 1:
            self.deeper = RLM(
                read_signature("question, text -> answer").with_description(_QUERY),
                over=("text",),
                sandbox=sandbox,
                max_turns=max_turns,
                max_queries=max_queries,
                depth=depth - 1,
                size=size,
                show=show,
                limits=limits,
            )
        self.answer = Predict(_short(self.signature, self._shown_inputs()))

    def _shown_inputs(self) -> tuple[str, ...]:
        hidden = variable_names(self.signature) if self.over is None else self.over
        return tuple(name for name in self.signature.inputs if name not in hidden)

    async def forward(self, /, **inputs: Any) -> Any:
        given = checked_inputs(self.signature, inputs)
        variables = variables_of(self.signature, given)
        submission = Submission(self.signature)
        questions = Questions(self)
        tools = [*questions.tools, *self.tools.values(), submission.tool]
        names = list(self.act.signature.inputs)[-2:]
        kept = {name: given[name] for name in self._shown_inputs()}
        lists = ([_described(name, value) for name, value in variables.items()], [stub(tool) for tool in tools])
        with allowance(self.budget, keep_calls=1) as allowed:
            shown = {**for_step(self.signature, kept), **dict(zip(names, lists, strict=True))}
            work = Work(self.act, shown, variables, self.max_turns, self.show, allowed)
            async with usual_sandbox(self.sandbox).session(tools, self.limits or _LIMITS) as session:
                worked = await work.run(session, submission)
            if worked.outputs is None:
                allowed.free()
                result = await finished(self.answer, kept, worked.steps, self.show)
            else:
                result = worked.outputs
        facts = {"steps": worked.steps, "queries": questions.asked}
        return told(answer_of(self.signature, given, result), Outcome("RLM", (), None, worked.stopped, facts))


class Questions:
    """The functions by which code puts questions to a model; `asked` counts them."""

    def __init__(self, owner: RLM[..., Any]) -> None:
        self.owner = owner
        self.asked = 0
        one = Tool.of(self.one, name="llm_query", description="Ask a model about a text. Gives its answer as text.")
        many = Tool.of(
            self.many,
            name="llm_query_batched",
            description="Ask many questions at the same time, each about its text. Gives the answers in order.",
        )
        self.tools = [replace(tool, timeout=600.0, limit=1 << 20, _inner=True) for tool in (one, many)]

    async def one(self, question: str, text: str = "") -> str:
        """Ask one question."""
        self.asked += 1
        owner = self.owner
        if self.asked > owner.max_queries:
            raise ValueError(f"no more questions: all {owner.max_queries} are used up. Go on by code, then submit")
        deeper = owner.deeper
        asker: Any = deeper if deeper is not None and len(text) > owner.size else owner.query
        return (await asker.acall(question=question, text=text)).answer

    async def many(self, questions: list[str], texts: list[str]) -> list[str]:
        """Ask many questions."""
        if len(questions) != len(texts):
            raise ValueError(f"there are {len(questions)} questions and {len(texts)} texts; give one text for each")
        return list(await gather(*(self.one(*pair) for pair in zip(questions, texts, strict=True)), limit=16))


def _described(name: str, value: Any) -> str:
    """A variable in one line: what the model knows of it before it looks."""
    size = f", length {len(value)}" if hasattr(value, "__len__") else ""
    start = repr(value)[:200]
    return f"{name}: {type(value).__name__}{size}; begins {start}"


def _named(signature: Any, over: Iterable[str] | None) -> tuple[str, ...] | None:
    if over is None:
        return None
    names = (over,) if isinstance(over, str) else tuple(over)
    for name in names:
        if name not in signature.inputs:
            raise UsageError(
                f"RLM(over=...): {signature.__name__} has no input {name!r}.{did_you_mean(str(name), signature.inputs)}"
            )
        if name not in variable_names(signature):
            raise UsageError(f"RLM(over=...): {name!r} holds media or a history, which code in a sandbox cannot read")
    return names


def _short(signature: Any, keep: tuple[str, ...]) -> Any:
    """The declared signature with the inputs that the model sees, which may be none."""
    found = signature
    for name in signature.inputs:
        if name not in keep:
            found = without_field(found, name)
    return found
