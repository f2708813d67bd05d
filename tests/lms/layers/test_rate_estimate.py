"""Tokens before a call: from its length, its bound, and what replies were like."""

from __future__ import annotations

import pytest

from outlast.lms.layers.rate_estimate import Estimate
from outlast.messages import Message, Question, Request, Response, Settings, TextPart, Usage, user
from outlast.types import Image


def asked(text: str = "x" * 984, **fields) -> Request:
    return Request((user(text),), **fields)


def test_at_first_a_quarter_of_the_characters_and_the_bound_of_the_reply():
    estimate = Estimate()
    assert estimate.of(asked(settings=Settings(max_tokens=100)))[1] == pytest.approx(250 + 100)
    assert estimate.of(asked())[1] == pytest.approx(250 + 256)


def test_then_what_replies_were_like_and_never_more_than_the_bound():
    estimate = Estimate()
    for _ in range(60):
        used = estimate.learn(1000, Response("x", usage=Usage(500, 30)))
    assert used == 530
    assert estimate.of(asked())[1] == pytest.approx(500 + 30, rel=0.1)
    assert estimate.of(asked(settings=Settings(max_tokens=10)))[1] == pytest.approx(500 + 10, rel=0.1)
    assert estimate.typical == 30


def test_untold_usage_teaches_nothing():
    estimate = Estimate()
    assert estimate.learn(1000, Response("x", usage=Usage(None, 30))) is None
    assert estimate.typical is None


def test_images_and_typed_questions_count():
    estimate = Estimate()
    picture = Message("user", (TextPart("see"), Image("image/png", b"\x89PNG\r\n\x1a\n")))
    assert estimate.of(Request((picture,)))[1] > 1000
    asks = asked("state", questions=(("sure", Question("yes_no", "Sure?")),))
    assert estimate.of(asks)[1] < 20
