"""The exact expected score of a program in a world: what it would score on the test examples with endless draws."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from outlast.data.example import Example
from outlast.errors import AnswerError, UsageError
from outlast.lms.protocol import LM, Capabilities
from outlast.messages import Request, Response
from outlast.modules.module import Module
from outlast.runtime import Run, current, enter, leave, running_loop
from outlast.testing.gym.reading import read
from outlast.testing.gym.writing import response, written

if TYPE_CHECKING:
    from outlast.testing.gym.seen import Item, Seen
    from outlast.testing.gym.world import World

_INPUTS = frozenset(("message",))
_PROBES = 3  # examples whose prompts tell whether prompts depend on the example
Asked = tuple[tuple["Seen", float], ...]


class Oracle(LM):
    """Answers every question of a world rightly, and keeps the requests."""

    blocking_safe = True
    name = "gym/oracle"
    capabilities = Capabilities(tools=True)

    def __init__(self, world: World) -> None:
        self.world = world
        self.requests: list[Request] = []

    async def complete(self, request: Request) -> Response:
        """The right answer."""
        from outlast.messages import Usage

        self.requests.append(request)
        prompt = read(request, _INPUTS)
        step = self.world.step_of(prompt)
        if step is None:
            raise UsageError(f"this program asks what {self.world!r} has no answer for")
        item = self.world.item(prompt.given.get("message", prompt.whole))
        output = self.world.steps[step].output
        label = self.world.extracted(prompt, step) or self.world.cue_label(item, step)
        values = {name: label if name == output else "So it is." for name in prompt.form.outputs or (output,)}
        text = written(prompt.form, values)
        return response(prompt.form, text, model=self.name, usage=Usage(0, 0, cost=0.0), seconds=0.0)


def expected(world: World, program: Module, *, adapter: Any = None, skill: float = 0.0) -> float:
    """The expected score of a program over the test examples.

    The program runs on a few examples with a model that answers rightly; what its prompts say is read, and the
    chances of the world's formula are averaged, with the product over steps. Prompts that depend on the example, such
    as those with demonstrations chosen for it, are read for each of the 2,000. Takes some 10 ms, or some 0.5 ms for
    each example. Raises `UsageError` for a program that asks a step more often than once for an example, such as a
    vote: see `estimated`.
    """
    test = world.parts()["test"]
    if adapter is None:
        adapter = current().adapter
    asked = [_asked(world, program, test[at], adapter) for at in range(_PROBES)]
    first = _keys(asked[0])
    if all(_keys(one) == first for one in asked):
        return _mean(world, asked[0], test, skill)
    rest = (_asked(world, program, test[at], adapter) for at in range(_PROBES, len(test)))
    total = 0.0
    for example, one in zip(test, [*asked, *rest], strict=True):
        total += _chance(world, one, world.item(example["message"]), skill)
    return total / len(test)


def expected_from(world: World, requests: Sequence[Any], *, skill: float = 0.0) -> float:
    """The expected score over the test examples of a program that sends these requests for one of them."""
    return _mean(world, _read(world, requests), world.parts()["test"], skill)


def estimated(world: World, program: Module, *, draws: int = 1, adapter: Any = None) -> float:
    """The mean score of `draws` fresh rollouts on each test example; see `World.estimated`."""
    lm = world.lm(name="judge of programs", common=0.0)
    test = world.parts()["test"]
    right = 0.0
    for draw in range(draws):
        for example in test:
            try:
                out = _run(program, example, Run(lm=lm, adapter=adapter or current().adapter, sample=draw))
            except AnswerError:
                continue
            right += world.metric(example, out).value
    return right / (draws * len(test))


def _asked(world: World, program: Module, example: Example, adapter: Any) -> Asked:
    oracle = Oracle(world)
    _run(program, example, Run(lm=oracle, adapter=adapter))
    return _read(world, oracle.requests)


def _run(program: Module, example: Example, run: Run) -> Any:
    """What a program gives for an example; in a thread of its own where an event loop runs, which it must not block."""

    def call() -> Any:
        token = enter(run)
        try:
            return program(**example.inputs)
        finally:
            leave(token)

    if running_loop() is None:
        return call()
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


def _read(world: World, requests: Sequence[Any]) -> Asked:
    found: dict[int, tuple[Seen, float]] = {}
    for request in requests:
        prompt = read(request, _INPUTS)
        step = world.step_of(prompt)
        if step is None:
            raise UsageError(f"a request asks for {prompt.form.outputs}, which is no step of {world!r}")
        if world.extracted(prompt, step) is not None:
            continue
        if step in found:
            raise UsageError(
                f"{world.steps[step].output!r} was asked for more than once; the exact score of a program that asks "
                "more often is not known: use world.estimated(program)"
            )
        heat = request.settings.temperature if isinstance(request, Request) else None
        found[step] = (world.see(prompt, step), 1.0 if heat is None else heat)
    return tuple(found[step] for step in sorted(found))


def _keys(asked: Asked) -> list[tuple[str, float]]:
    return [(seen.key, heat) for seen, heat in asked]


def _mean(world: World, asked: Asked, test: Sequence[Example], skill: float) -> float:
    key = (skill, *_keys(asked))
    known = world.known.get(key)
    if known is None:
        items = world.tested
        known = world.known[key] = sum(_chance(world, asked, item, skill) for item in items) / len(items)
    return known


def _chance(world: World, asked: Asked, item: Item, skill: float) -> float:
    """The chance that all steps are right; 0 when one is not asked."""
    if len(asked) < len(world.steps):
        return 0.0
    chance = 1.0
    for seen, heat in asked:
        chance *= (1.0 - world.unreadable(seen)) * world.chance(seen, item, heat, skill)
    return chance
