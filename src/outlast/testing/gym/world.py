"""A world: a task with words of its own, data, a program to start from, and models that can do it more or less well."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from outlast.data.dataset import Dataset
from outlast.data.example import Example
from outlast.errors import UsageError, brief
from outlast.evals.score import Score
from outlast.modules.module import Module
from outlast.modules.paths import update
from outlast.modules.predict import Predict
from outlast.testing.gym.attending import look
from outlast.testing.gym.chance import sigmoid, unit
from outlast.testing.gym.dials import Dials
from outlast.testing.gym.language import PHRASES, Language
from outlast.testing.gym.programs import TEAMS, Route
from outlast.testing.gym.reading import CASE, Prompt
from outlast.testing.gym.seen import Item, Seen, Step
from outlast.testing.gym.words import pseudo_words

if TYPE_CHECKING:
    from outlast.testing.gym.evidence import Labelled
    from outlast.testing.gym.model import GymLM

_WORD = re.compile(r"[a-z]+")
_NOISE = 60
PARTS = {"train": 150, "val": 100, "test": 2000}


class World:
    """A task of the gym. `seed` makes its words, rules and data; `dials` how its models take a prompt.

    Everything is a function of the seed: worlds of the same name and seed are the same. `calls` is the number of LM
    calls of a rollout.
    """

    name: ClassVar[str] = ""
    calls: ClassVar[int] = 1
    dials: ClassVar[Dials] = Dials()
    cues: ClassVar[int] = 14
    zipf: ClassVar[float] = 0.8
    train: ClassVar[int] = PARTS["train"]
    mislabelled: ClassVar[float] = 0.0  # of the training examples
    niches: ClassVar[tuple[str, ...]] = ()
    hints: ClassVar[tuple[str, ...]] = ()

    def __init__(self, seed: int = 0) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise UsageError(f"the seed of a world is a whole number; got {brief(seed)}")
        self.seed = seed
        self.rng = Random(f"{self.name}/{seed}")
        words = pseudo_words(self.rng, 400)
        self.noise = tuple(words[:_NOISE])
        self._fresh = iter(words[_NOISE:])
        self.steps = self.make_steps()
        self.helpful = frozenset(self.rng.sample(range(len(PHRASES)), 3))
        self.harmful = frozenset(self.rng.sample(sorted(set(range(len(PHRASES))) - self.helpful), 3))
        cues = {
            word: (number, cue)
            for number, step in enumerate(self.steps)
            for cue, some in enumerate(step.cues)
            for word in some
        }
        labels = {label: number for number, step in enumerate(self.steps) for label in step.labels}
        self.language = Language(cues, labels, self.noise, self.niches, self.hints)
        self.outputs = {step.output: number for number, step in enumerate(self.steps)}
        self._items: dict[str, Item] = {}
        self._seen: dict[Any, Seen] = {}
        self.known: dict[Any, float] = {}

    # what a world is made of; worlds override these

    def make_steps(self) -> tuple[Step, ...]:
        """The questions of the world's program."""
        return (self.step("", "team", TEAMS, self.cues),)

    def program(self) -> Module:
        """The program to start from."""
        return Predict(Route)

    def best_program(self) -> Module:
        """The best program that is known."""
        return self.taught(self.program())

    def gain(self, seen: Seen, item: Item) -> float:
        """What a prompt adds to the logit of being right about an item: the formula of the world."""
        dials, cue = self.dials, item.cues[seen.step]
        taught = dials.rule * seen.rules.get(cue, 0.0)
        good, bad = self.demo_gain(seen, item)
        total = max(taught, good) - bad - dials.wrong * seen.wrong.get(cue, 0.0)
        total -= dials.distract * sum(self.is_hurt(item, word) for word in seen.noise)
        return total + self.coverage(seen) - self.crowding(seen)

    def unreadable(self, seen: Seen) -> float:
        """The chance of a reply that no adapter can read."""
        return self.dials.unreadable

    def feedback(self, example: Any, prediction: Any, right: bool) -> str:
        """What the metric says of an answer."""
        said = getattr(prediction, "team", None)
        return "Right." if right else f"Wrong: expected team {example.team!r}, got {said!r}."

    def cue_label(self, item: Item, step: int) -> str:
        """The right answer of a step for an item."""
        return self.steps[step].answers[item.cues[step]] if item.cues[step] >= 0 else self.steps[step].labels[0]

    # parts of formulas

    def demo_gain(self, seen: Seen, item: Item) -> tuple[float, float]:
        """The gain of the best demonstration for an item, and the loss by the worst."""
        dials, step, good, bad = self.dials, seen.step, 0.0, 0.0
        cue, end = item.cues[step], len(seen.demos) - 1
        for at, shown in enumerate(seen.demos):
            if shown.item.cues[step] == cue:
                weight = self.alike(item, shown.item, step) * (dials.last if at == end else 1.0)
                if shown.right:
                    good = max(good, dials.demo * weight)
                else:
                    bad = max(bad, dials.poison * weight)
        return good, bad

    def coverage(self, seen: Seen) -> float:
        """The gain of the cues that demonstrations show rightly, for every item."""
        if not self.dials.cover or not seen.demos:
            return 0.0
        shown = {one.item.cues[seen.step] for one in seen.demos if one.right}
        return self.dials.cover * len(shown) / len(self.steps[seen.step].cues)

    def alike(self, item: Item, other: Item, step: int) -> float:
        """How much a demonstration of the same cue is like an item: 1 for the same cue words."""
        share = self.dials.alike
        if not share:
            return 1.0
        one, two = self.cue_words(item, step), self.cue_words(other, step)
        return 1.0 - share + share * len(one & two) / max(len(one), 1)

    def cue_words(self, item: Item, step: int) -> frozenset[str]:
        """The words of an item that show the cue of a step."""
        known = item.shown.get(step)
        if known is None:
            cue = item.cues[step]
            words = self.steps[step].cues[cue] if cue >= 0 else ()
            known = item.shown[step] = item.words & frozenset(words)
        return known

    def is_hurt(self, item: Item, word: str) -> bool:
        """Whether a distractor about this word misleads the model on an item."""
        known = item.sets.get(word)
        if known is None:
            known = item.sets[word] = unit("hurt", self.seed, word, item.text) < self.dials.hurt
        return known

    def crowding(self, seen: Seen) -> float:
        """The loss by too many sentences and demonstrations."""
        dials = self.dials
        return dials.dilute * max(0, seen.units - dials.room) + dials.crowd * max(0, len(seen.demos) - dials.shelf)

    def chance(self, seen: Seen, item: Item, temperature: float = 1.0, skill: float = 0.0) -> float:
        """The chance of a right answer in a reply that can be read."""
        dials = self.dials
        logit = dials.base + skill + dials.spread * item.hard[seen.step] + self.gain(seen, item)
        logit -= dials.heat * (temperature - 1.0)
        if seen.thinks == "before":
            logit += dials.think
        return sigmoid(logit)

    def mistake(self, seen: Seen, item: Item, draw: float) -> str:
        """A wrong answer: what a wrong rule calls for, else any other label; `draw` is a number in [0, 1)."""
        step = self.steps[seen.step]
        right = self.cue_label(item, seen.step)
        told = seen.misled.get(item.cues[seen.step])
        if told is not None and told in step.labels and told != right:
            return told
        others = [label for label in step.labels if label != right]
        return others[int(draw * len(others))]

    def special_idea(self, shown: Sequence[Labelled], lines: Sequence[str], strength: float, rng: Random) -> str:
        """A line of another kind that a proposer may think of when these items are in view; "" for none."""
        del shown, lines, strength, rng
        return ""

    # reading

    def item(self, text: str) -> Item:
        """What a message is about; any text is a message."""
        known = self._items.get(text)
        if known is None:
            if len(self._items) > 20_000:
                self._items.clear()
            known = self._items[text] = self._read_item(text)
        return known

    def _read_item(self, text: str) -> Item:
        words = _WORD.findall(text.lower())
        cues = [-1] * len(self.steps)
        for word in words:
            step, cue = self.language.cues.get(word, (-1, -1))
            if step >= 0 and cues[step] < 0:
                cues[step] = cue
        niche = next((self.niches.index(word) for word in words if word in self.language.niches), -1)
        return Item(text, frozenset(words), tuple(cues), niche)

    def step_of(self, prompt: Prompt) -> int | None:
        """Which step of the world a prompt asks for; None when it asks for something else."""
        for name in prompt.form.outputs:
            if name in self.outputs:
                return self.outputs[name]
        if prompt.form.outputs or prompt.form.kind != "text" or "message" not in prompt.given:
            return None
        asked = [word for word in _WORD.findall(f"{prompt.instruction}\n{prompt.whole}") if word in self.outputs]
        return self.outputs[asked[-1]] if asked else 0 if len(self.steps) == 1 else None

    def extracted(self, prompt: Prompt, step: int) -> str | None:
        """The label in a text that a model is asked to read it from; None for a question about a message."""
        if "message" in prompt.given or CASE.search(prompt.whole):
            return None
        words = (word for word in _WORD.findall(prompt.whole.lower()) if self.language.labels.get(word) == step)
        return next(words, None)

    def see(self, prompt: Prompt, step: int) -> Seen:
        """What a prompt says of a step; remembered by its text."""
        key = (step, prompt.key)
        known = self._seen.get(key)
        if known is None:
            if len(self._seen) > 4_000:
                self._seen.clear()
            known = self._seen[key] = look(self, prompt, step)
        return known

    # making

    def step(self, path: str, name: str, labels: Sequence[str], cues: int, words: int = 1, **more: Any) -> Step:
        """A step with cues of that many fresh words each, whose labels are about equally frequent."""
        answers = [labels[number % len(labels)] for number in range(cues)]
        self.rng.shuffle(answers)
        groups = tuple(tuple(next(self._fresh) for _ in range(words)) for _ in range(cues))
        return Step(path, name, tuple(labels), groups, tuple(answers), **more)

    def message(self, rng: Random, case: int) -> str:
        """A message with cues drawn by their frequency."""
        words: list[str] = []
        for step in self.steps:
            weights = [1 / (rank + 1) ** self.zipf for rank in range(len(step.cues))]
            cue = rng.choices(range(len(step.cues)), weights)[0]
            words += rng.sample(step.cues[cue], min(3, len(step.cues[cue])))
        words += rng.sample(self.noise, 5)
        rng.shuffle(words)
        return f"case {case}: {' '.join(words)}."

    def label(self, rng: Random, text: str, part: str) -> dict[str, str]:
        """The targets of a message in a part of the data."""
        del rng, part
        return {"team": self.cue_label(self.item(text), len(self.steps) - 1)}

    @cached_property
    def _parts(self) -> dict[str, Dataset]:
        found: dict[str, Dataset] = {}
        first = 1000
        for part, number in {**PARTS, "train": self.train}.items():
            rng = Random(f"{self.name}/{self.seed}/{part}")
            rows: list[Example] = []
            for case in range(first, first + number):
                text = self.message(rng, case)
                rows.append(Example({"message": text}, self.label(rng, text, part)))
            found[part] = Dataset(rows)
            first += number
        return found

    @cached_property
    def tested(self) -> tuple[Item, ...]:
        """The items of the test examples."""
        return tuple(self._read_item(example["message"]) for example in self._parts["test"])

    def parts(self) -> dict[str, Dataset]:
        """The data: "train", "val" and "test"."""
        return dict(self._parts)

    def rule(self, cue: int, step: int = 0, label: str | None = None) -> str:
        """A sentence that teaches a cue."""
        one = self.steps[step]
        return f"Messages that mention {one.cues[cue][0]} go to {label or one.answers[cue]}."

    def taught(self, program: Module, extra: Iterable[str] = ()) -> Module:
        """A program whose instruction has all rules, the most frequent at the ends, and `extra` sentences."""
        from outlast.modules.paths import parameters

        for number, step in enumerate(self.steps):
            path = f"{step.path}.instruction" if step.path else "instruction"
            cues = range(len(step.cues))
            lines = [self.rule(cue, number) for cue in (*cues[1::2], *reversed(cues[::2]))]
            task = str(parameters(program)[path])
            program = update(program, {path: "\n".join([task, *extra, *lines])})
        return program

    # use

    def metric(self, example: Any, prediction: Any, trace: Any = None) -> Score:
        """1 for the right team, else 0, with what was expected as feedback."""
        del trace
        right = getattr(prediction, "team", None) == example.team
        return Score(float(right), self.feedback(example, prediction, right))

    def lm(self, **options: Any) -> GymLM:
        """The simulated model that the program runs on; takes what `GymLM` takes."""
        from outlast.testing.gym.model import GymLM

        return GymLM(self, **options)

    def reflector(self, strength: float = 0.6, **options: Any) -> GymLM:
        """A simulated model that proposes, about 15 times as dear and a little better at the task itself."""
        from outlast.testing.gym.model import DEAR, GymLM

        made: dict[str, Any] = {"name": "reflector", "price": DEAR, "skill": 1.0, **options}
        return GymLM(self, strength=strength, **made)

    def expected(self, program: Module, *, adapter: Any = None, skill: float = 0.0) -> float:
        """The exact expected score of a program over the test examples; see `outlast.testing.gym.exact`."""
        from outlast.testing.gym.exact import expected

        return expected(self, program, adapter=adapter, skill=skill)

    def estimated(self, program: Module, *, draws: int = 1, adapter: Any = None) -> float:
        """The mean score of fresh rollouts on all test examples: for programs whose exact score is not known.

        Its standard error is about 0.011 for one draw. Cost: 2,000 rollouts for each draw, about a second.
        """
        from outlast.testing.gym.exact import estimated

        return estimated(self, program, draws=draws, adapter=adapter)

    def expected_from(self, requests: Iterable[Any], *, skill: float = 0.0) -> float:
        """The exact expected score over the test examples of a program that asks so: its requests for one example.

        Each is a `Request`, or the messages as (role, text) pairs or mappings; for one prompt a list of one.
        """
        from outlast.testing.gym.exact import expected_from

        return expected_from(self, list(requests), skill=skill)

    @cached_property
    def _best(self) -> float:
        return self.expected(self.best_program())

    def best(self) -> float:
        """The expected score of the best program that is known."""
        return self._best

    def __repr__(self) -> str:
        return f"gym.world({self.name!r}, seed={self.seed})"
