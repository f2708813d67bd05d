"""The simulated model: answers the questions of its world as well as its prompt allows, and proposes when asked to."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from outlast.errors import ConfigError, brief
from outlast.lms.bounds import input_bound
from outlast.lms.protocol import LM, Capabilities
from outlast.messages import Request, Response, Usage
from outlast.runtime import Bound, sleep
from outlast.testing.gym.chance import unit
from outlast.testing.gym.reading import Prompt, as_messages, read
from outlast.testing.gym.reflecting import Manner, propose
from outlast.testing.gym.seen import Item, Seen
from outlast.testing.gym.writing import UNREADABLE, response, written

if TYPE_CHECKING:
    from outlast.testing.gym.world import World

CHEAP = (0.10, 0.40)
"""Dollars per million tokens in and out of the model that programs run on."""
DEAR = (1.50, 6.00)
"""Dollars per million tokens in and out of the model that proposes."""
_INPUTS = frozenset(("message",))
_THOUGHT = "The message has words that matter for this, and the rest of it says little."
_MOST = 1_500  # tokens of a reply, to set aside for


class GymLM(LM):
    """A model of a world, which reads the prompt that it is sent: instruction, demonstrations, form, temperature.

    Asked a question of its world's program, it answers rightly with a chance that `World.chance` gives; asked
    anything else, it reflects: see `outlast.testing.gym.reflecting`, with `strength` and what else `Manner` takes.
    A draw depends on the world's seed, the model's name, what the prompt says, the item and `sample`, so it is
    reproducible; at temperature 0 the sample does not matter. `common` is the share of draws that depend on the item
    and the sample alone: common random numbers for all prompts, as prompts that differ in a line fail on much the same
    items. A reply in no form comes back however often it is asked for again.

    `price` is in dollars per million tokens in and out (a token is four characters), `latency` seconds pass before a
    reply, `skill` is in logits. `calls` counts the requests. `reply(request)` answers without an event loop, from any
    thread.
    """

    blocking_safe = True
    capabilities = Capabilities(tools=True)

    def __init__(
        self,
        world: World,
        *,
        name: str = "student",
        latency: float = 0.0,
        price: tuple[float, float] = CHEAP,
        common: float = 0.5,
        skill: float = 0.0,
        strength: float = 0.3,
        **manner: Any,
    ) -> None:
        if not 0 <= common <= 1:
            raise ConfigError(f"common is a share from 0 to 1; got {brief(common)}")
        if not latency >= 0:
            raise ConfigError(f"latency is in seconds from 0; got {brief(latency)}")
        self.world = world
        self.name = f"gym/{world.name}-{world.seed}/{name}"
        self.latency = latency
        self.price = price
        self.common = common
        self.skill = skill
        self.manner = Manner(strength, **manner)
        self.calls = 0
        self._lock = threading.Lock()

    @property
    def identity(self) -> str:
        """The name, and what decides the answers."""
        return f"{self.name} common={self.common} skill={self.skill} {self.manner}"

    async def complete(self, request: Request) -> Response:
        """Answer."""
        if self.latency:
            await sleep(self.latency)
        return self.reply(request)

    def bound(self, request: Request) -> Bound:
        """The length of the input is known, that of a reply is at most some 1,500 tokens more."""
        incoming = input_bound(request) or 0
        outgoing = _MOST + incoming
        return Bound(incoming + outgoing, self._dollars(incoming, outgoing), self.name)

    def answer(self, prompt: Request | Sequence[Any], *, sample: int = 0, temperature: float | None = None) -> str:
        """The text of the reply to a request, or to messages: (role, text) pairs, or mappings with role and content."""
        if isinstance(prompt, Request):
            return self.reply(prompt).text
        from outlast.messages import Settings

        messages, _ = as_messages(prompt)
        return self.reply(Request(messages, Settings(temperature=temperature), sample=sample)).text

    def reply(self, request: Request) -> Response:
        """Answer at once, from any thread: no latency."""
        with self._lock:
            self.calls += 1
        prompt = read(request, _INPUTS)
        temperature = 1.0 if request.settings.temperature is None else request.settings.temperature
        sample = request.sample if temperature > 0 else 0
        step = self.world.step_of(prompt)
        if step is None:
            prompt = read(request)
            text = written(prompt.form, propose(self.world, self.manner, prompt, f"{self.name} {sample}"))
            readable = True
        else:
            text, readable = self._solve(prompt, step, temperature, sample)
        incoming = sum(len(message.text) for message in request.messages) // 4 + 4
        outgoing = len(text) // 4 + 1
        usage = Usage(incoming, outgoing, cost=self._dollars(incoming, outgoing), cost_source="gym")
        return response(prompt.form, text, model=self.name, usage=usage, seconds=self.latency, readable=readable)

    def _dollars(self, incoming: int, outgoing: int) -> float:
        return (incoming * self.price[0] + outgoing * self.price[1]) / 1e6

    def _solve(self, prompt: Prompt, step: int, temperature: float, sample: int) -> tuple[str, bool]:
        world = self.world
        if (label := world.extracted(prompt, step)) is not None:
            return self._answered(prompt, step, label), True
        item = world.item(prompt.given.get("message", prompt.whole))
        seen = world.see(prompt, step)
        if self._draw("form", seen, item, sample) < world.unreadable(seen):
            return UNREADABLE, False
        right = all(
            prompt.given.get(name) == world.cue_label(item, world.outputs[name]) for name in world.steps[step].given
        )
        if right:
            right = self._draw("answer", seen, item, sample) < world.chance(seen, item, temperature, self.skill)
        label = world.cue_label(item, step)
        if not right:
            label = world.mistake(seen, item, self._draw("mistake", seen, item, sample))
        return self._answered(prompt, step, label), True

    def _answered(self, prompt: Prompt, step: int, label: str) -> str:
        output = self.world.steps[step].output
        names = prompt.form.outputs or (output,)
        return written(prompt.form, {name: label if name == output else _THOUGHT for name in names})

    def _draw(self, what: str, seen: Seen, item: Item, sample: int) -> float:
        about = (what, self.world.seed, self.name, seen.step, sample, item.text)
        if self.common and (self.common == 1 or unit("which", *about) < self.common):
            return unit("common", *about)
        return unit(*about, seen.key)
