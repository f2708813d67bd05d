"""A world of the gym for DSPy: the same program, data, metric and models."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from functools import cache
from types import SimpleNamespace
from typing import Any

import dspy
from benchmarks.peers.meter import ask
from dspy.adapters import utils as adapter_utils
from pydantic import TypeAdapter

from outlast.lms.protocol import LM
from outlast.modules.paths import parameters, predictors_of
from outlast.signatures.record import Prediction
from outlast.testing.gym.reading import read

warnings.filterwarnings("ignore", category=DeprecationWarning, module="dspy")
adapter_utils.TypeAdapter = cache(TypeAdapter)  # for speed alone: DSPy makes a new one for every value that it shows


class GymLM(dspy.BaseLM):
    """A model of the gym behind DSPy's interface. A `rollout_id` asks for another draw."""

    def __init__(self, lm: LM) -> None:
        super().__init__(model=f"gym/{lm.name}", cache=False)
        self.lm = lm

    def forward(self, prompt: Any = None, messages: Any = None, **kwargs: Any) -> Any:
        """An answer in the form of an OpenAI completion."""
        options = {**self.kwargs, **kwargs}
        first = options.get("rollout_id") or 0
        said = [(one["role"], _text(one["content"])) for one in messages or [{"role": "user", "content": prompt}]]
        temperature = options.get("temperature")
        choices = [
            SimpleNamespace(
                message=SimpleNamespace(content=ask(self.lm, said, sample=first + number, temperature=temperature)),
                finish_reason="stop",
            )
            for number in range(options.get("n") or 1)
        ]
        return SimpleNamespace(choices=choices, usage={}, model=self.model)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


class Steps(dspy.Module):
    """The predictors of a program one after the other, each fed by name from the inputs and what came before."""

    def __init__(self, predictors: dict[str, Any]) -> None:
        super().__init__()
        for name, predictor in predictors.items():
            setattr(self, name, predictor)
        self.order = list(predictors)

    def forward(self, **inputs: Any) -> Any:
        """Run all steps."""
        known = dict(inputs)
        for name in self.order:
            step = getattr(self, name)
            found = step(**{field: known[field] for field in step.signature.input_fields})
            known.update({field: found[field] for field in step.signature.output_fields})
        return dspy.Prediction(**{field: value for field, value in known.items() if field not in inputs})


def program_of(world: Any) -> Any:
    """The world's start program in DSPy: the same instructions, fields and steps."""
    program = world.program()
    values = parameters(program)
    found: dict[str, Any] = {}
    for path, part in predictors_of(program).items():
        instruction = str(values[f"{path}.instruction" if path else "instruction"])
        fields: dict[str, Any] = {}
        for name, field in part.signature.inputs.items():
            fields[name] = (field.type, dspy.InputField())
        for name, field in part.signature.outputs.items():
            fields[name] = (field.type, dspy.OutputField())
        found[path.replace(".", "_") or "answer"] = dspy.Predict(dspy.Signature(fields, instruction))
    return Steps(found)


def examples_of(rows: Iterable[Any]) -> list[Any]:
    """Our examples as DSPy's; `ours` finds the way back."""
    found: list[Any] = []
    for row in rows:
        inputs, targets = dict(row.inputs), dict(row.targets)
        found.append(dspy.Example(**inputs, **targets).with_inputs(*inputs))
    return found


def scored(world: Any, example: Any, prediction: Any) -> tuple[float, str]:
    """What the world's metric says of an answer of a DSPy program: score and feedback."""
    if prediction is None:
        return 0.0, "The reply could not be read."
    score = world.metric(example, Prediction(**dict(prediction)))
    return float(score.value), score.feedback or ""


def metric_of(world: Any) -> Any:
    """The world's metric as most of DSPy's optimizers want it: a number, and while bootstrapping whether it is full."""

    def metric(example: Any, prediction: Any, trace: Any = None) -> Any:
        value, _ = scored(world, example, prediction)
        return value if trace is None else value >= 1.0

    return metric


def told_metric_of(world: Any) -> Any:
    """The world's metric with its feedback, as GEPA and SIMBA read it."""

    def metric(example: Any, prediction: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None) -> Any:
        value, feedback = scored(world, example, prediction)
        return dspy.Prediction(score=value, feedback=feedback)

    return metric


class _Right(dspy.BaseLM):
    """Answers everything rightly and keeps what it was asked; with `hoarse`, only what is asked for as JSON."""

    def __init__(self, answers: dict[str, str], hoarse: bool) -> None:
        super().__init__(model="gym/right", cache=False)
        self.answers = answers
        self.hoarse = hoarse
        self.asked: list[list[tuple[str, str]]] = []

    def forward(self, prompt: Any = None, messages: Any = None, **kwargs: Any) -> Any:
        """All answers; the adapter takes those that it asked for."""
        said = [(one["role"], _text(one["content"])) for one in messages]
        as_json = read(said).form.kind == "dspy-json"
        text = "".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in self.answers.items())
        if as_json:
            text = json.dumps(self.answers)
        if as_json == self.hoarse:
            self.asked.append(said)
        elif self.hoarse:
            text = "no form at all"
        message = SimpleNamespace(content=text)
        return SimpleNamespace(
            choices=[SimpleNamespace(message=message, finish_reason="stop")], usage={}, model=self.model
        )


def requests_of(world: Any, program: Any, *, again: bool = False) -> list[list[tuple[str, str]]]:
    """What a DSPy program asks for one example when every step answers rightly; with `again`, what it asks once more,
    as JSON, because no first reply could be read."""
    row = world.parts()["test"][0]
    answers = {
        step.output: world.cue_label(world.item(row.inputs["message"]), place) for place, step in enumerate(world.steps)
    }
    others = {name: "The message says so." for part in program.predictors() for name in part.signature.output_fields}
    lm = _Right({**others, **answers}, again)
    asked = program.deepcopy()
    asked.set_lm(lm)
    with dspy.context(lm=lm):
        asked(**dict(row.inputs))
    return lm.asked


def true_score(world: Any, program: Any) -> float:
    """The exact expected test score of a DSPy program, with the second try that its adapter makes as JSON."""
    pairs = list(zip(_seen(world, requests_of(world, program)), _seen(world, requests_of(world, program, again=True))))
    total, common = 0.0, world.lm().common
    for row in world.parts()["test"]:
        item, chance = world.item(row.inputs["message"]), 1.0
        for first, second in pairs:
            chance *= step_chance(world, first, second, item, common)
        total += chance
    return total / len(world.parts()["test"])


def _seen(world: Any, requests: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for request in requests:
        prompt = read(request, frozenset(("message",)))
        found.append(world.see(prompt, world.step_of(prompt)))
    return found


def step_chance(world: Any, first: Any, second: Any, item: Any, common: float) -> float:
    """The chance that a step is right, at once or at the second try. `common` is the share of draws that both have."""
    lost, again = world.unreadable(first), world.unreadable(second)
    both = common * min(lost, again) + (1 - common) * lost * again
    return (1 - lost) * world.chance(first, item) + (lost - both) * world.chance(second, item)
