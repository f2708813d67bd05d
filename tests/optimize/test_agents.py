"""Agents of other libraries, tuned as they are: pydantic-ai and the SDK of OpenAI."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import ExitStack
from typing import Any

import openai
import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

import outlast as ol
from outlast.errors import SearchStopped
from outlast.messages import Message
from outlast.testing import ScriptedLM
from outlast.testing.server import FakeServer, Fault

TEAMS = {"refund": "billing", "crash": "technical", "password": "account"}
WORDS = list(TEAMS)
ALL = [ol.Example({"message": f"{n}: about a {WORDS[n % 3]}"}, {"team": TEAMS[WORDS[n % 3]]}) for n in range(94)]
DATA = {"train": ALL[:30], "select": ALL[30:70], "confirm": ALL[70:]}
PROMPT = "You route messages to a team."
PARAMS: dict[str, Any] = {
    "system_prompt": ol.Text(PROMPT, description="the system prompt of the agent"),
    "temperature": ol.Float(0, 1, start=0.9),
}


def says(system: str, message: str, temperature: float) -> str:
    """A model that knows the rules which its system prompt names, and errs the more the hotter it is."""
    word = next(word for word in WORDS if word in message)
    luck = int(hashlib.sha256(f"{message} {temperature}".encode()).hexdigest()[:8], 16) / 2**32
    return TEAMS[word] if f"{word} goes to" in system and luck > 0.5 * temperature else "sales"


def right_team(example: Any, team: str) -> ol.Score:
    right = team == example.team
    word = next(word for word in WORDS if word in example.message)
    return ol.Score(float(right), feedback="" if right else f"wrong: {word} goes to {example.team}.")


def writer() -> ScriptedLM:
    """A proposer that writes down what the feedback says."""

    def write(messages: tuple[Message, ...]) -> dict[str, Any]:
        rules = [f"{word} goes to {team}." for word, team in TEAMS.items()]
        seen = [rule for rule in rules if rule in messages[-1].text]
        edits = [{"op": "add", "text": rule} for rule in seen]
        return {"diagnosis": "", "edits": edits, "rules": seen, "proposed": " ".join([PROMPT, *seen])}

    return ScriptedLM(write)


OPTIONS: dict[str, Any] = {"params": PARAMS, "budget": ol.Budget(rollouts=250), "study": False, "progress": False}


def tuned(agent: Any, **options: Any) -> Any:
    found = ol.optimize(agent, DATA, right_team, proposer=writer(), **OPTIONS, **options)
    check(found)
    return found


def check(found: Any) -> None:
    assert found.improved, found
    assert sum(f"{word} goes to" in found.params["system_prompt"] for word in WORDS) >= 2


def model_of(seen: list[AgentInfo]) -> FunctionModel:
    """A model of pydantic-ai's own kind for tests."""

    def reply(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        seen.append(info)
        request = messages[-1]
        assert isinstance(request, ModelRequest)
        asked = next(part.content for part in request.parts if isinstance(part, UserPromptPart))
        assert isinstance(asked, str)
        settings: dict[str, Any] = {**(info.model_settings or {})}
        return ModelResponse([TextPart(says(request.instructions or "", asked, settings.get("temperature", 1.0)))])

    return FunctionModel(reply)


def test_a_pydantic_ai_agent_is_tuned_as_it_is():
    seen: list[AgentInfo] = []
    agent = Agent(model_of(seen))

    async def route(message: str, *, system_prompt: str, temperature: float) -> str:
        with agent.override(instructions=system_prompt):
            result = await agent.run(message, model_settings={"temperature": temperature})
        ol.report_cost(result.usage)
        return result.output

    found = tuned(route)
    assert len(seen) == found.report.rollouts
    assert found.report.record["cost"]["input_tokens"] > 50 * found.report.rollouts


@pytest.mark.slow
def test_a_pydantic_ai_agent_may_be_built_for_each_setting_and_called_from_threads():
    seen: list[AgentInfo] = []

    def build(params: dict[str, Any]) -> Any:
        agent = Agent(
            model_of(seen),
            instructions=params["system_prompt"],
            model_settings={"temperature": params["temperature"]},
        )

        def route(message: str) -> str:
            try:
                return agent.run_sync(message).output
            finally:  # it makes a loop for each thread, and leaves it to the garbage collector to complain of
                asyncio.get_event_loop().close()
                asyncio.set_event_loop(None)

        return route

    tuned(build, concurrency=4)


def served(body: dict[str, Any]) -> str:
    system, message = (item["content"] for item in body["messages"])
    return says(system, message, body["temperature"])


async def test_a_function_over_the_openai_sdk_is_tuned_and_its_usage_is_counted():
    with FakeServer(served) as server:
        async with openai.AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0) as client:

            async def route(message: str, *, system_prompt: str, temperature: float) -> str:
                done = await client.chat.completions.create(
                    model="fake",
                    temperature=temperature,
                    messages=[{"role": "system", "content": system_prompt}, {"role": "user", "content": message}],
                )
                ol.report_cost(done.usage)
                return done.choices[0].message.content or ""

            found = await ol.aoptimize(route, DATA, right_team, proposer=writer(), **OPTIONS)
        check(found)
        assert server.count == found.report.rollouts
        cost = found.report.record["cost"]
        assert cost["calls"] > server.count  # the proposals too
        assert sum(server.told) <= cost["input_tokens"] + cost["output_tokens"]


def test_a_full_rate_limit_of_the_sdk_is_nobodys_fault():
    turns = iter(range(10**9))

    def flaky(body: dict[str, Any]) -> Any:
        return Fault.error(429) if next(turns) % 40 == 39 else served(body)

    with FakeServer(flaky) as server, ExitStack() as stack:
        client = stack.enter_context(openai.OpenAI(base_url=server.url, api_key="none", max_retries=0))

        def route(message: str, *, system_prompt: str, temperature: float) -> str:
            done = client.chat.completions.create(
                model="fake",
                temperature=temperature,
                messages=[{"role": "system", "content": system_prompt}, {"role": "user", "content": message}],
            )
            return done.choices[0].message.content or ""

        found = tuned(route)
        assert found.report.failures >= 3


def test_a_server_that_is_gone_ends_the_search_with_its_cause():
    with openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="none", max_retries=0) as client:

        def route(message: str, *, system_prompt: str, temperature: float) -> str:
            return str(client.models.list())

        with pytest.raises(SearchStopped, match="APIConnectionError"):
            tuned(route)
