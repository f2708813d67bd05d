"""Which model and adapter a call uses: its own, the block's, the process's; from any thread at any time."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import outlast as ol
from outlast.errors import ConfigError, UsageError
from outlast.runtime import current
from outlast.testing import ScriptedLM

PROGRAM = ol.Predict("question -> answer")


def named(name: str) -> ScriptedLM:
    return ScriptedLM(lambda _: {"answer": name}, name=name)


def who() -> str:
    return PROGRAM(question="x").answer


def in_thread(work: Any) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def test_own_wins_over_block_wins_over_process() -> None:
    ol.configure(lm=named("process"))
    assert who() == "process"
    with ol.context(lm=named("block")):
        assert who() == "block"
        with ol.context(lm=named("inner")):
            assert who() == "inner"
            assert ol.Predict("question -> answer", lm=named("own"))(question="x").answer == "own"
        with ol.context(sample=1):
            assert who() == "block"
        assert who() == "block"
    assert who() == "process"


def test_the_adapter_is_chosen_the_same_way() -> None:
    def system(program: Any = PROGRAM) -> str:
        return program.render(question="x")[0].text

    chat, as_json = system(), ol.Predict("question -> answer", adapter=ol.JSON()).render(question="x")[0].text
    assert chat != as_json
    ol.configure(adapter=ol.JSON())
    assert system() == as_json
    with ol.context(adapter=ol.Chat()):
        assert system() == chat
        assert system(ol.Predict("question -> answer", adapter=ol.JSON())) == as_json


def test_configure_works_from_any_thread_and_is_seen_in_all() -> None:
    """Defect 10: settings refused outside the thread that came first."""
    for i in range(4):
        in_thread(lambda i=i: ol.configure(lm=named(f"model {i}")))
        assert who() == f"model {i}"
        assert in_thread(who) == f"model {i}"


def test_a_block_hides_only_what_it_sets() -> None:
    """Defect 10: inside a block, later configuration was not seen."""
    ol.configure(lm=named("first"))
    with ol.context(adapter=ol.JSON()):
        ol.configure(lm=named("second"))
        assert who() == "second"
        in_thread(lambda: ol.configure(lm=named("third")))
        assert who() == "third"
    with ol.context(lm=named("block")):
        ol.configure(lm=named("fourth"))
        assert who() == "block"
    assert who() == "fourth"


async def test_tasks_inherit_the_block_and_keep_their_own() -> None:
    async def ask(name: str | None) -> str:
        if name is None:
            return (await PROGRAM.acall(question="x")).answer
        with ol.context(lm=named(name)):
            await asyncio.sleep(0)
            return (await PROGRAM.acall(question="x")).answer

    with ol.context(lm=named("block")):
        found = await asyncio.gather(ask("a"), ask(None), ask("b"), asyncio.to_thread(who))
    assert found == ["a", "block", "b", "block"]


def test_a_configuration_during_calls_in_other_threads_is_whole() -> None:
    ol.configure(lm=named("a"), adapter=ol.Chat())
    stop = threading.Event()
    failures: list[BaseException] = []

    def call() -> None:
        while not stop.is_set():
            try:
                assert who() in "ab"
            except BaseException as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    lms, adapters = (named("a"), named("b")), (ol.Chat(), ol.JSON())
    changers = [
        threading.Thread(target=lambda: [ol.configure(lm=lms[i % 2]) for i in range(200)]),
        threading.Thread(target=lambda: [ol.configure(adapter=adapters[i % 2]) for i in range(201)]),
    ]
    for thread in changers:
        thread.start()
    for thread in changers:
        thread.join()
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert who() == "b"  # neither thread undid what the other had set
    assert PROGRAM.render(question="x") == ol.Predict("question -> answer", adapter=ol.Chat()).render(question="x")


def test_none_leaves_a_thing_as_it_is() -> None:
    ol.configure(lm=named("process"))
    ol.configure(adapter=ol.JSON())
    ol.configure(lm=None)
    with ol.context(lm=None, adapter=None, sample=None):
        assert who() == "process"


def test_nothing_is_left_behind_by_a_block_that_fails() -> None:
    before = current()

    def fails() -> None:
        with ol.context(lm=named("block"), sample=3), ol.trace():
            raise ValueError("x")

    with pytest.raises(ValueError):
        fails()
    assert current() is before


def test_a_falsy_model_is_a_model() -> None:
    class Empty(ScriptedLM):
        def __len__(self) -> int:
            return 0

    ol.configure(lm=named("process"))
    with ol.context(lm=Empty(lambda _: {"answer": "empty"})):
        assert who() == "empty"


@pytest.mark.parametrize("use", [ol.configure, lambda **options: ol.context(**options).__enter__()])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lm": 3}, "lm is an LM or a model name such as 'openai/gpt-5-mini'; got 3"),
        ({"lm": ScriptedLM}, "lm is an LM"),
        ({"adapter": "chat"}, r"adapter is an Adapter such as ol.Chat\(\)"),
        ({"adapter": ol.JSON}, "adapter is an Adapter"),
    ],
)
def test_wrong_values_are_refused_at_once(use: Any, options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        use(**options)
    assert current().lm is None


@pytest.mark.parametrize("sample", [-1, 1.5, "1", True])
def test_a_sample_is_a_whole_number(sample: Any) -> None:
    with pytest.raises(UsageError, match="whole number from 0"):
        with ol.context(sample=sample):
            pass


def test_unknown_names_and_models_are_refused() -> None:
    configure: Any = ol.configure
    with pytest.raises(TypeError, match="model"):
        configure(model="x")
    with pytest.raises(ConfigError):
        ol.configure(lm="no-such-provider/x")


# Collecting what happens


def test_a_trace_block_collects_every_call_and_passes_it_on() -> None:
    ol.configure(lm=named("x"))
    with ol.trace() as outer:
        who()
        with ol.trace() as inner:
            who()
            assert len(inner) == 1
        assert len(outer) == 2
        in_thread(who)  # a plain thread starts afresh
        who()
    assert len(outer) == 3
    assert outer.spending.calls == 3
    who()
    assert len(outer) == 3


def test_a_trace_block_inside_a_program_takes_nothing_from_the_program() -> None:
    class Program(ol.Module):
        part = ol.Predict("question -> answer")

        def forward(self, question: str) -> Any:
            with ol.trace() as spans:
                self.part(question=question)
            assert [span.path for span in spans] == ["part"]
            return self.part(question=question)

    ol.configure(lm=named("x"))
    assert len(Program()(question="x").trace) == 2


def test_a_trace_block_keeps_what_failed() -> None:
    ol.configure(lm=ScriptedLM(["?", "?", "?"]))
    program = ol.Predict("question -> answer, number: int")

    def fails() -> None:
        with ol.trace() as inner:
            blocks.append(inner)
            program(question="x")

    blocks: list[ol.Trace] = []
    with ol.trace() as outer, pytest.raises(Exception, match="3 tries"):
        fails()
    assert len(outer) == len(blocks[0]) == 3
    assert all(span.error is not None for span in outer)
