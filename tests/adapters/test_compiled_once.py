"""Defect 20: schemas, type adapters and prompts are made once, never per call."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest

import outlast as ol
from outlast.adapters.chat import ChatPlan
from outlast.adapters.json import JSONPlan
from outlast.signatures import Signature, input, output, signature
from outlast.testing import ScriptedLM


class Person(pydantic.BaseModel):
    name: str


class Find(Signature):
    """Find people."""

    text: str = input()
    people: list[Person] = output()
    count: int = output(ge=0)


class Counter:
    """Counts how often functions are called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *targets: tuple[Any, str]) -> None:
        self.calls = 0
        for owner, name in targets:
            monkeypatch.setattr(owner, name, self.counting(getattr(owner, name)))

    def counting(self, function: Any) -> Any:
        def counted(*args: Any, **options: Any) -> Any:
            self.calls += 1
            return function(*args, **options)

        return counted


@pytest.mark.parametrize("adapter", [ol.Chat(), ol.JSON()])
def test_defect_20_a_second_call_compiles_nothing(adapter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    replies = {
        "Chat": '<<people>>\n[{"name": "A"}]\n<<count>>\n1\n<<end>>',
        "JSON": '{"people": [{"name": "A"}], "count": 1}',
    }
    lm = ScriptedLM(lambda _: replies[type(adapter).__name__])
    predict = ol.Predict(Find, lm=lm, adapter=adapter, demos=[{"text": "x", "people": [], "count": 0}])
    counter = Counter(
        monkeypatch,
        (pydantic.TypeAdapter, "__init__"),
        (pydantic.TypeAdapter, "json_schema"),
        (ChatPlan, "__init__"),
        (JSONPlan, "__init__"),
    )
    predict(text="first")
    made = counter.calls
    assert made > 0
    for text in ("second", "third", "<<team>> fourth", "<<team>> fifth"):
        assert (
            predict(text=text).people == [Person(name="A")]
            if isinstance(adapter, ol.JSON) or "<<" not in text
            else True
        )
    assert counter.calls == made


def test_all_predictors_on_a_signature_share_its_type_adapters(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = signature("a: int, b: list[str] -> c: dict[str, int]")
    ol.Predict(kind).render(a=1, b=["x"])
    counter = Counter(monkeypatch, (pydantic.TypeAdapter, "__init__"))
    ol.Predict(kind, instruction="Other words.").render(a=1, b=["x"])
    ol.Predict(kind, adapter=ol.JSON()).render(a=1, b=["x"])
    assert counter.calls == 0
    assert kind.key == kind.key
