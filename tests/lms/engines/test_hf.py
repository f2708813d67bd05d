"""Local models in this process, held to transformers' own decoding of the same weights."""

from __future__ import annotations

import asyncio
import json
import math
import os
import pickle
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

import outlast as ol
from outlast.errors import ConfigError, LMContextError, LMRequestError, LMTimeout, LMUnsupported, UsageError
from outlast.lms.decide import decide
from outlast.lms.hf.batch import Batch, Row, Sampling
from outlast.lms.hf.model import HF
from outlast.lms.hf.text import Spoken
from outlast.lms.hf.weights import fingerprint
from outlast.lms.protocol import LM
from outlast.messages import (
    Finished,
    Message,
    OutputSchema,
    Question,
    Request,
    TextDelta,
    Thought,
    ToolCall,
    assistant,
    system,
    user,
)
from outlast.testing.lm_contract import check_lm
from outlast.types import Tool

CARD = OutputSchema(
    "card",
    {
        "type": "object",
        "properties": {
            "team": {"type": "string", "enum": ["billing", "cards"]},
            "urgency": {"type": "integer", "minimum": 1, "maximum": 5},
        },
        "required": ["team", "urgency"],
        "additionalProperties": False,
    },
)
PROMPTS = ["hi", "hello world", "the quick brown fox " * 4, "x" * 40, "?", "fox " * 9]


@pytest.fixture(scope="session")
def folder(tmp_path_factory, make_tiny_model):
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def lm(folder):
    return HF(folder, name="hf/tiny", device="cpu")


@pytest.fixture(scope="session")
def reference(folder):
    """Transformers' own greedy decoding, one prompt at a time."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()

    def answer(prompt: str, count: int) -> str:
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        made = model.generate(**ids, max_new_tokens=count, do_sample=False)
        return tokenizer.decode(made[0][ids["input_ids"].shape[1] :], skip_special_tokens=True)

    return answer


# Decoding


@pytest.mark.parametrize("prompt", PROMPTS)
def test_greedy_decoding_is_that_of_transformers(lm, reference, prompt):
    assert lm(prompt, temperature=0, max_tokens=24).text == reference(prompt, 24)


async def test_rows_of_a_batch_do_not_disturb_each_other(lm, reference):
    lengths = [24, 3, 17, 30, 8, 24]

    async def later(index: int) -> str:
        await asyncio.sleep(0.004 * index)  # so that they join a batch that is under way
        return (await lm.acall(PROMPTS[index], temperature=0, max_tokens=lengths[index])).text

    answers = await asyncio.gather(*(later(index) for index in range(len(PROMPTS))))
    assert answers == [reference(prompt, length) for prompt, length in zip(PROMPTS, lengths, strict=True)]


async def test_more_requests_than_places_all_get_their_own_answer(folder, reference):
    narrow = HF(folder, name="hf/tiny", device="cpu", batch=3)
    prompts = [f"{word} {n}" for n in range(6) for word in ("hello", "fox")]
    answers = await asyncio.gather(*(narrow.acall(p, temperature=0, max_tokens=5 + n) for n, p in enumerate(prompts)))
    assert [a.text for a in answers] == [reference(p, 5 + n) for n, p in enumerate(prompts)]


def test_models_with_sliding_windows_answer_in_batches_too(tmp_path, make_tiny_model):
    from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

    where = make_tiny_model(tmp_path)
    size = len(AutoTokenizer.from_pretrained(where))
    config = MistralConfig(
        vocab_size=size, hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, sliding_window=16, initializer_range=0.3, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    MistralForCausalLM(config).save_pretrained(where)
    sliding = HF(where, name="hf/sliding", device="cpu")
    alone = [sliding(prompt, temperature=0, max_tokens=20).text for prompt in PROMPTS]

    async def together() -> list[str]:
        answers = await asyncio.gather(*(sliding.acall(p, temperature=0, max_tokens=20) for p in PROMPTS))
        return [answer.text for answer in answers]

    assert asyncio.run(together()) == alone


def test_seeds_samples_and_temperatures(lm):
    def draw(**options) -> str:
        return lm("hello", max_tokens=30, temperature=1.5, **options).text

    assert draw(seed=1) == draw(seed=1)
    assert len({draw(seed=1), draw(seed=2), draw(seed=1, sample=1)}) == 3
    assert len({draw() for _ in range(3)}) == 3
    assert draw(seed=1, top_p=0.0) == lm("hello", max_tokens=30, temperature=0).text


@pytest.mark.parametrize(
    ("sampling", "kept"),
    [
        (Sampling(temperature=0.5), 4),
        (Sampling(temperature=2.0), 4),
        (Sampling(temperature=1.0, top_p=0.7), 2),
        (Sampling(temperature=1.0, top_k=3), 3),
        (Sampling(temperature=1.0, top_p=0.0), 1),
    ],
)
def test_draws_follow_the_distribution(sampling, kept):
    import torch

    logits = torch.tensor([1.0, 2.0, 0.5, -0.5])
    shares = (logits / sampling.temperature).softmax(0)
    allowed = shares.argsort(descending=True)[:kept].tolist()
    expected = {token: float(shares[token] / shares[allowed].sum()) for token in allowed}
    row = Row([1], 1, Spoken(str), sampling, generator=torch.Generator().manual_seed(3))
    batch = SimpleNamespace(_torch=torch)
    drawn = Counter(Batch._pick(batch, row, logits) for _ in range(4000))
    assert set(drawn) == set(allowed)
    for token, share in expected.items():
        assert drawn[token] / 4000 == pytest.approx(share, abs=0.03)


def test_usage_and_finish(lm):
    reply = lm("hello", max_tokens=7, temperature=0)
    assert (reply.finish, reply.usage.output_tokens, reply.usage.cost) == ("length", 7, None)
    assert reply.usage.input_tokens == len(["<s>", "<|user|>", "hello", "</s>", "<|assistant|>"])
    assert (reply.model, reply.attempts, reply.adaptations) == ("hf/tiny", 1, ())


def test_stop_texts_end_the_reply_and_are_no_part_of_it(lm):
    whole = lm("hello", max_tokens=30, temperature=0).text
    stop = whole[9:12]
    reply = lm("hello", max_tokens=30, temperature=0, stop=["never said", stop])
    assert reply.text == whole[: whole.index(stop)]
    assert (reply.finish, reply.usage.output_tokens < 30) == ("stop", True)


def test_an_end_token_ends_the_reply(tmp_path, make_tiny_model):
    import torch
    from transformers import AutoModelForCausalLM

    where = make_tiny_model(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(where)
    with torch.no_grad():
        model.lm_head.weight[:] = 0  # all tokens are equal, so that the end comes soon
    model.save_pretrained(where)
    reply = HF(where, name="hf/tiny", device="cpu")("hi", temperature=1.0, seed=1)
    assert reply.finish == "stop"
    assert 0 < reply.usage.output_tokens < 256
    assert "</s>" not in reply.text


def test_logprobs_are_the_models_own(lm):
    reply = lm("hello", max_tokens=5, temperature=0, logprobs=20)
    assert reply.logprobs is not None
    assert len(reply.logprobs) == 5
    for token in reply.logprobs:
        assert token.top[0] == (token.token, pytest.approx(token.logprob))
        assert [value for _, value in token.top] == sorted((value for _, value in token.top), reverse=True)
        assert sum(math.exp(value) for _, value in token.top) <= 1.0001
    assert "".join(token.token for token in reply.logprobs) == reply.text
    assert lm("hello", max_tokens=2, temperature=0).logprobs is None
    assert all(token.top == () for token in lm("hello", max_tokens=2, logprobs=0).logprobs)


def test_a_prefill_is_gone_on_from(lm):
    whole = lm("hello", max_tokens=20, temperature=0)
    start = whole.text[:6]
    went_on = lm([user("hello"), assistant(start)], max_tokens=10, temperature=0)
    assert not went_on.text.startswith(start)
    assert lm([user("hello"), assistant("")], max_tokens=20, temperature=0).text == whole.text


def test_roles_reach_the_template(lm):
    asked = [system("be brief"), user("a"), assistant("b"), user("c")]
    assert lm(asked, max_tokens=1).usage.input_tokens > lm("c", max_tokens=1).usage.input_tokens + 10


# Schemas


@pytest.mark.parametrize("seed", range(8))
def test_replies_follow_a_json_schema(lm, seed):
    reply = lm("hello", output=CARD, temperature=1.5, seed=seed)
    card = json.loads(reply.text)
    assert card["team"] in ("billing", "cards")
    assert card["urgency"] in range(1, 6)
    assert (reply.finish, reply.adaptations) == ("stop", ())


def test_any_json_object_is_one(lm):
    for seed in range(4):
        reply = lm("hello", output="json", temperature=1.0, seed=seed)
        if reply.finish == "stop":
            assert isinstance(json.loads(reply.text), dict)


def test_a_grammar_that_gives_out_is_no_whole_answer(lm):
    lm("hello", max_tokens=1)
    batch = Batch(lm._worker._weights)
    broken = SimpleNamespace(consume_token=lambda token: False, is_error=lambda: True, is_stopped=lambda: True)
    row = Row([1], 9, Spoken(batch._weights.decode), matcher=broken)
    batch._take(row, batch._weights.tokenizer.convert_tokens_to_ids("h"))
    assert (row.ended, row.spoken.text) == ("other", "h")


async def test_constrained_and_free_rows_share_a_batch(lm, reference):
    free, held, other = await asyncio.gather(
        lm.acall("hi", temperature=0, max_tokens=20),
        lm.acall("hi", output=CARD, temperature=0),
        lm.acall("fox", temperature=0, max_tokens=12),
    )
    assert (free.text, other.text) == (reference("hi", 20), reference("fox", 12))
    assert json.loads(held.text)["urgency"] in range(1, 6)


def test_a_schema_that_cannot_be_enforced_is_told(lm):
    odd = OutputSchema("odd", {"type": "string", "format": "no such format"})
    reply = lm("hello", output=odd, max_tokens=3)
    assert len(reply.adaptations) == 1
    assert "the JSON schema 'odd' not enforced: " in reply.adaptations[0]


def test_a_program_runs_on_it(lm):
    import typing

    triage = ol.Predict("message -> team: Literal['billing', 'cards']", types=vars(typing), adapter=ol.JSON(), lm=lm)
    assert triage(message="my card is gone").team in ("billing", "cards")


def test_a_reply_says_which_weights_gave_it(lm, folder):
    assert lm("hello", max_tokens=4).fingerprint == fingerprint(folder)


def test_typed_questions_are_answered_by_the_first_token(tmp_path, make_tiny_model):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = make_tiny_model(tmp_path)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(where), AutoTokenizer.from_pretrained(where)
    with torch.no_grad():  # a model that says A or B and little else, by the sign of one figure
        model.lm_head.weight[:] = 0
        model.model.norm.weight[:] = 0
        model.model.norm.weight[0] = 30
        model.lm_head.weight[tokenizer.convert_tokens_to_ids("A"), 0] = 1
        model.lm_head.weight[tokenizer.convert_tokens_to_ids("B"), 0] = -1
    model.save_pretrained(where)
    own = HF(where, name="hf/tiny", device="cpu")
    question = Question("choice", "Which?", ("cards", "billing"))
    reply = asyncio.run(decide(own, Request((user("my card is gone"),), questions=(("team", question),))))
    (name, decision), *_ = reply.decisions
    assert (name, decision.evidence) == ("team", "logprobs")
    assert decision.value in ("cards", "billing")
    assert sum(decision.probabilities.values()) == pytest.approx(1)
    with pytest.raises(LMUnsupported, match="typed questions"):
        asyncio.run(own.complete(Request((user("a"),), questions=(("team", question),))))


# Streaming, cancelling, time


async def test_a_stream_is_the_whole_in_pieces(lm):
    events = [event async for event in lm.events("hello", max_tokens=30, temperature=0)]
    *deltas, last = events
    assert isinstance(last, Finished)
    assert all(isinstance(event, TextDelta) for event in deltas)
    assert (
        "".join(event.text for event in deltas) == last.response.text == lm("hello", max_tokens=30, temperature=0).text
    )
    assert len(deltas) > 5
    assert 0 < last.response.first_token_seconds <= last.response.seconds


def test_a_stream_is_read_in_blocking_code(lm):
    *deltas, last = lm.events("hello", max_tokens=12, temperature=0)
    assert "".join(event.text for event in deltas) == last.response.text


async def test_a_stream_never_tells_a_part_of_a_stop_text(lm):
    whole = lm("hello", max_tokens=30, temperature=0).text
    stop = whole[9:13]
    events = [event async for event in lm.events("hello", max_tokens=30, temperature=0, stop=[stop])]
    told = "".join(event.text for event in events[:-1])
    assert told == whole[: whole.index(stop)] == events[-1].response.text


class Steps:
    """A local model that takes a step only when it may, and counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may = threading.Event()
        self.taken = 0
        step = Batch.step

        def held(batch: Batch) -> None:
            assert self.may.wait(60)
            self.taken += any(row.ended is None and not row.gone for row in batch.rows)
            step(batch)

        monkeypatch.setattr(Batch, "step", held)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[Steps]:
    made = Steps(monkeypatch)
    yield made
    made.may.set()


async def comes_about(condition: Callable[[], bool]) -> None:
    for _ in range(12_000):
        if condition():
            return
        await asyncio.sleep(0.005)
    pytest.fail("it did not come about within a minute")


async def test_closing_a_stream_ends_the_decoding(folder, steps):
    own = HF(folder, name="hf/tiny", device="cpu", batch=1)
    first = own.stream(Request((user("hello"),), ol.Settings(temperature=0)))
    assert isinstance(await anext(first), TextDelta)
    second = asyncio.create_task(own.acall("hi", max_tokens=2))
    await comes_about(lambda: own.facts()["waiting"] == 1)  # there is one place, and the first has it
    await first.aclose()
    steps.may.set()
    assert (await asyncio.wait_for(second, 60)).usage.output_tokens == 2
    assert steps.taken <= 3  # the first would have taken fifty


async def test_cancelling_a_call_ends_the_decoding(folder, steps):
    own = HF(folder, name="hf/tiny", device="cpu", batch=1)
    calls = [asyncio.create_task(own.acall("hello", temperature=0)) for _ in range(5)]
    await comes_about(lambda: own.facts()["waiting"] == 4)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    steps.may.set()
    assert (await asyncio.wait_for(own.acall("hi", max_tokens=2), 60)).usage.output_tokens == 2
    assert own.facts()["waiting"] == 0
    assert steps.taken <= 3


def test_a_reply_that_takes_too_long_is_a_timeout(folder, steps):
    hasty = HF(folder, name="hf/tiny", device="cpu", timeout=0.02)
    with pytest.raises(LMTimeout, match="timeout=0.02 s"):
        hasty("hello", temperature=0)


def test_blocking_callers_in_threads_share_the_batch(lm, reference):
    answers: dict[str, str] = {}

    def ask(prompt: str) -> None:
        answers[prompt] = lm(prompt, temperature=0, max_tokens=15).text

    threads = [threading.Thread(target=ask, args=(prompt,)) for prompt in PROMPTS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {prompt: reference(prompt, 15) for prompt in PROMPTS}


def test_the_interpreter_ends_in_peace_while_replies_are_under_way(folder):
    code = (
        "import threading, time, outlast as ol\n"
        f"lm = ol.LM('hf/{folder}', cache=False, device='cpu')\n"
        "lm('hi', max_tokens=1)\n"
        "ask = lambda: lm('hello', temperature=1.5)\n"
        "for _ in range(4): threading.Thread(target=ask, daemon=True).start()\n"
        "time.sleep(0.05)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, "terminate" in done.stderr, "Traceback" in done.stderr) == (0, False, False), done.stderr


async def test_many_that_come_and_go_never_mix_their_words(lm, reference):
    """Requests of all lengths join and leave at random, some given up; the others are as if they were alone."""
    dice = random.Random(5)

    async def one(index: int) -> tuple[str, int, str] | None:
        prompt, count = f"{dice.choice(['hello', 'fox', '?'])} {index % 7}", dice.randrange(1, 30)
        await asyncio.sleep(dice.random() * 0.2)
        call = asyncio.create_task(lm.acall(prompt, temperature=0, max_tokens=count))
        if index % 4 == 0:
            await asyncio.sleep(dice.random() * 0.02)
            call.cancel()
        try:
            return prompt, count, (await call).text
        except asyncio.CancelledError:
            return None

    done = [found for found in await asyncio.gather(*(one(index) for index in range(60))) if found]
    assert len(done) >= 45
    for prompt, count, text in done:
        assert text == reference(prompt, count)


def test_it_keeps_the_contract_of_models(folder):
    check_lm(HF(folder, name="hf/tiny", device="cpu", settings=ol.Settings(max_tokens=20)))


# What it refuses


def test_a_prompt_longer_than_the_window_is_refused(lm):
    with pytest.raises(LMContextError, match=r"prompt has \d+ tokens and the window of the model 256"):
        lm("? " * 200)


def test_a_reply_that_fills_the_window_is_cut_and_told(lm):
    reply = lm("hello", max_tokens=1000, temperature=0)
    assert reply.usage.input_tokens + reply.usage.output_tokens <= 256
    assert reply.adaptations == (f"max_tokens=1000 cut to {256 - reply.usage.input_tokens}: the window holds no more",)


def test_what_it_cannot_do_is_refused_or_told(lm):
    tool = Tool(name="look", description="Looks.", parameters={"type": "object", "properties": {}})
    with pytest.raises(LMUnsupported, match="no native tools"):
        lm("hello", tools=[tool])
    with pytest.raises(LMUnsupported, match="text only; got a ToolCall in a message of the role 'assistant'"):
        lm([user("a"), Message("assistant", (ToolCall("1", "look", "{}"),)), user("b")])
    with pytest.raises(UsageError, match="at least one message"):
        lm([])
    reply = lm("hello", max_tokens=1, tier="flex", reasoning="none")
    assert [note.split("=")[0] for note in reply.adaptations] == ["reasoning", "tier"]
    thinking = Message("assistant", (Thought("hm"), *assistant("b").parts))
    assert lm([user("a"), thinking, user("c")], max_tokens=1).usage.output_tokens == 1


def test_reasoning_and_extra_are_variables_of_the_template(lm):
    plain = lm("hello", max_tokens=1).usage.input_tokens
    assert lm("hello", max_tokens=1, reasoning="low").usage.input_tokens > plain
    assert lm("hello", max_tokens=1, extra={"enable_thinking": False}).usage.input_tokens > plain


def test_a_template_that_refuses_the_messages_says_so(tmp_path, make_tiny_model):
    strict = "{% if messages[0]['role'] != 'user' %}{{ raise_exception('no system role') }}{% endif %}x"
    own = HF(make_tiny_model(tmp_path, template=strict), name="hf/strict", device="cpu")
    with pytest.raises(LMRequestError, match="the chat template refuses the messages: no system role"):
        own([system("s"), user("u")])


def test_base_models_and_empty_folders_are_told_apart(tmp_path, make_tiny_model):
    with pytest.raises(ConfigError, match="no chat template"):
        HF(make_tiny_model(tmp_path / "base", template=None), name="hf/base", device="cpu")("hi")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text("{}")
    broken = HF(tmp_path / "empty", name="hf/empty", device="cpu")
    for _ in range(2):
        with pytest.raises(ConfigError, match="cannot be loaded on 'cpu'"):
            broken("hi")


# By name


def test_it_is_opened_by_name_like_any_other(folder, tmp_path):
    opened = LM(f"hf/{folder}", cache=str(tmp_path / "cache.db"), temperature=0, device="cpu", batch=4, price=(1, 2))
    first = opened("hello", output=CARD)
    assert first.model == f"hf/{folder}"
    assert first.usage.cost == (first.usage.input_tokens + 2 * first.usage.output_tokens) / 1e6
    assert opened("hello", output=CARD).cache == "hit"
    assert opened.capabilities.json_schema
    assert opened.capabilities.logprobs
    assert [layer.kind for layer in opened.info()][-1] == "HF"
    assert pickle.loads(pickle.dumps(opened)) == opened
    strict = LM(f"hf/{folder}", cache=False, adapt="refuse", device="cpu")
    assert strict("hello", reasoning="low", max_tokens=1).usage.output_tokens == 1
    for odd in ({"tier": "flex"}, {"output": OutputSchema("odd", {"type": "string", "format": "no such format"})}):
        with pytest.raises(LMUnsupported, match="adapt='refuse'"):
            strict("hello", **odd)


def test_what_it_costs_is_unknown_unless_told(lm, folder):
    assert lm("hello", max_tokens=1).usage.cost is None
    priced = HF(folder, name="hf/tiny", device="cpu", price=(1, 2))
    bound = priced.bound(Request((user("hello"),), ol.Settings(max_tokens=10)))
    assert bound.dollars is not None
    assert bound.dollars > priced("hello", max_tokens=10).usage.cost


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dtype": "float8"}, "dtype"),
        ({"batch": 0}, "batch"),
        ({"device": 7}, "device"),
        ({"download": "yes"}, "download"),
        ({"base_url": "http://localhost/v1"}, "base_url"),
        ({"api_key": "k"}, "api_key"),
    ],
)
def test_wrong_options_are_refused_at_once(folder, options, words):
    with pytest.raises((ConfigError, UsageError), match=words):
        LM(f"hf/{folder}", **options)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hf/", "names no model"),
        ("hf//no/such/folder", "there is no such folder"),
        ("hf/./none", "there is no such folder"),
        ("hf/someone/some-model", r"not fetched unasked: .* LM\('hf/someone/some-model', download=True\)"),
    ],
)
def test_models_that_are_not_there_are_explained(name, words, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=words):
        LM(name)


def test_a_model_in_the_cache_of_the_hub_is_found_by_its_id(folder, tmp_path, monkeypatch):
    import shutil

    import huggingface_hub.constants as hub

    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    home = tmp_path / "models--someone--tiny"
    shutil.copytree(folder, home / "snapshots" / "abc123")
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("abc123")
    opened = LM("hf/someone/tiny", cache=False, device="cpu")
    assert opened("hello", max_tokens=2).usage.output_tokens == 2
    assert opened.identity == LM(f"hf/{folder}").identity


def test_identity_is_the_content_and_not_the_place(folder, tmp_path):
    import shutil

    copied = tmp_path / "elsewhere"
    shutil.copytree(folder, copied)
    assert fingerprint(copied) == fingerprint(folder)
    assert HF(copied, name="a").identity == HF(folder, name="b").identity
    assert HF(folder, name="a", dtype="bfloat16").identity != HF(folder, name="a").identity
    assert HF(folder, name="a", adapt="refuse").identity != HF(folder, name="a").identity
    template = copied / "chat_template.jinja"
    template.write_text(template.read_text() + " ")
    assert fingerprint(copied) != fingerprint(folder)


def test_large_weights_are_told_apart_by_size_and_time(tmp_path):
    big = tmp_path / "model.safetensors"
    big.write_bytes(b"0" * (2 << 20))
    os.utime(big, ns=(0, 1))
    before = fingerprint(tmp_path)
    os.utime(big, ns=(0, 2))
    assert fingerprint(tmp_path) != before


# Text


def test_characters_of_several_tokens_are_told_whole():
    data = "añ🙂b".encode()

    def decode(tokens) -> str:
        return bytes(tokens).decode("utf-8", "replace")

    spoken = Spoken(decode)
    pieces = []
    for byte in data:
        spoken.add(byte)
        pieces.append(spoken.delta())
    assert pieces == ["a", "", "ñ", "", "", "", "🙂", "b"]
    half = Spoken(decode)
    half.add(data[1])
    assert half.delta() == ""
    half.end()
    assert half.delta(last=True) == "\ufffd"


def test_the_start_of_a_stop_text_is_held_back():
    spoken = Spoken(lambda tokens: "".join(map(chr, tokens)), ["STOP", "TO"])
    told = []
    for letter in "a ST b STAR ST":
        spoken.add(ord(letter))
        told.append(spoken.delta())
    assert "".join(told) == "a ST b STAR "
    spoken.end()
    assert spoken.delta(last=True) == "ST"
    assert not spoken.stopped
    spoken = Spoken(lambda tokens: "".join(map(chr, tokens)), ["STOP", "TO"])
    for letter in "ab STOP cd":
        if not spoken.stopped:
            spoken.add(ord(letter))
    assert (spoken.text, spoken.stopped, spoken.delta()) == ("ab S", True, "ab S")


async def test_a_batch_takes_as_many_steps_as_its_longest_reply(folder, monkeypatch):
    steps: list[int] = []
    forward = Batch._forward

    def counted(self, ids, *rest):
        steps.append(len(ids))
        return forward(self, ids, *rest)

    monkeypatch.setattr(Batch, "_forward", counted)
    own = HF(folder, name="hf/tiny", device="cpu", batch=8)
    await own.acall("hi", max_tokens=1)
    steps.clear()
    asked = [own.acall(f"hello {n}", max_tokens=40, temperature=1.0, seed=n) for n in range(16)]
    replies = await asyncio.gather(*asked)
    made = sum(reply.usage.output_tokens for reply in replies)
    assert made > 400
    assert len(steps) < made / 4  # one at a time, a token is a step
    assert max(steps) == 8
