"""Modules are values: frozen, compared by content, shared where nothing changed."""

from __future__ import annotations

import copy
import pickle
import random
import sys
import textwrap
from abc import ABC, abstractmethod
from collections import OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from types import MappingProxyType, ModuleType
from typing import Any, Literal

import pytest

import outlast as ol
from outlast.errors import FrozenError, UsageError
from outlast.modules.values import FrozenDict
from outlast.testing import ScriptedLM

Team = Literal["billing", "cards"]


class Triage(ol.Signature):
    """Route a message."""

    message: str = ol.input()
    team: Team = ol.output()


class Blocks(ol.Module):
    find = ol.Predict("question -> query")
    decide = ol.ChainOfThought(Triage)
    threshold = ol.param(0.5, desc="when to give up")

    def forward(self, question: str) -> Any:
        return self.decide(message=self.find(question=question).query)


class Assigned(ol.Module):
    def __init__(self, size: int = 2) -> None:
        self.find = ol.Predict("question -> query")
        self.hops = [ol.Predict(Triage) for _ in range(size)]
        self.by_name = {"a": [ol.Predict(Triage)], 2: (ol.Predict("x -> y"), {"deep": ol.Predict("u -> v")})}
        self.words = ["plain", "data"]
        self.size = size

    def forward(self, question: str) -> Any:
        return question


# Frozen


def test_assignment_is_refused_and_says_how_to_change_a_program() -> None:
    program = Blocks()
    expected = (
        "Blocks is a value: 'threshold' cannot be assigned. "
        "Use update(program, {'threshold': ...}), which gives a new program."
    )
    with pytest.raises(FrozenError) as caught:
        program.threshold = 0.7
    assert str(caught.value) == expected
    with pytest.raises(AttributeError, match="Predict is a value: 'instruction' cannot be assigned"):
        program.find.instruction = "x"
    with pytest.raises(FrozenError, match="'find' cannot be deleted"):
        del program.find


def test_containers_are_frozen_too() -> None:
    program: Any = Assigned()
    assert isinstance(program.hops, tuple)
    assert program.words == ("plain", "data")
    assert isinstance(program.by_name, FrozenDict)
    for change in (
        lambda: program.by_name.update(a=1),
        lambda: program.by_name.pop("a"),
        lambda: program.by_name.setdefault("b", 1),
        lambda: program.by_name.__setitem__("b", 1),
        lambda: program.by_name.clear(),
        lambda: program.by_name.__ior__({"b": 1}),
    ):
        with pytest.raises(FrozenError, match="update"):
            change()
    assert pickle.loads(pickle.dumps(program.by_name)) == program.by_name


def test_sets_and_mappings_become_frozen_ones() -> None:
    class Holds(ol.Module):
        def __init__(self) -> None:
            self.tags = {"a", "b"}
            self.table = MappingProxyType({"x": [1]})

    program = Holds()
    assert type(program.tags) is frozenset
    assert program.table == {"x": (1,)}


def test_what_the_user_gave_can_change_without_changing_the_program() -> None:
    demo = {"message": "x", "team": "cards"}
    demos = [demo]
    program = ol.Predict(Triage, demos=demos)
    demo["team"] = "billing"
    demos.clear()
    assert program.demos[0].values == {"message": "x", "team": "cards"}
    with pytest.raises(FrozenError):
        program.demos[0].values.update(team="billing")  # type: ignore[attr-defined]


# Equality, hash, repr


def test_programs_are_equal_by_content() -> None:
    assert Blocks() == Blocks()
    assert hash(Blocks()) == hash(Blocks())
    assert Assigned() == Assigned()
    assert hash(Assigned()) == hash(Assigned())
    assert Assigned(2) != Assigned(3)
    assert ol.update(Blocks(), {"find.instruction": "x"}) != Blocks()
    assert ol.Predict(Triage) != ol.ChainOfThought(Triage)
    assert Blocks() != "Blocks"


def test_a_program_is_equal_however_it_was_spelled() -> None:
    @dataclass
    class Spelled(ol.Module):
        find: Any = ol.Predict("question -> query")
        hops: Any = field(default_factory=lambda: [ol.Predict(Triage)])

        def forward(self, question: str) -> Any:
            return question

    class InBody(ol.Module):
        find = ol.Predict("question -> query")
        hops = [ol.Predict(Triage)]

        def forward(self, question: str) -> Any:
            return question

    class InInit(ol.Module):
        def __init__(self) -> None:
            self.find = ol.Predict("question -> query")
            self.hops = [ol.Predict(Triage)]

        def forward(self, question: str) -> Any:
            return question

    parameters = [ol.parameters(cls()) for cls in (Spelled, InBody, InInit)]
    assert parameters[0] == parameters[1] == parameters[2]
    assert [list(found) for found in parameters] == [list(parameters[0])] * 3
    changed = [ol.update(cls(), {"hops.0.instruction": "x"}) for cls in (Spelled, InBody, InInit)]
    assert [program.hops[0].instruction for program in changed] == ["x"] * 3


def test_hashes_tell_programs_apart() -> None:
    """A search keeps thousands of variants of one program in dicts."""
    hashes = {hash(ol.update(Blocks(), {"find.instruction": f"variant {i}"})) for i in range(200)}
    assert len(hashes) > 195


def test_equal_predictors_are_equal_whatever_was_said_explicitly() -> None:
    plain = ol.Predict(Triage)
    assert plain == ol.Predict(Triage, instruction="Route a message.", fields={"team": ""}, demos=[], lm=None)
    assert plain == ol.Predict(Triage, temperature=None)
    assert plain != ol.Predict(Triage, temperature=0.0)
    assert plain != ol.Predict(Triage, instruction="Other.")
    assert plain != ol.Predict(Triage, fields={"team": "which one"})
    assert plain != ol.Predict(Triage, demos=[{"message": "x"}])
    assert plain != ol.Predict(Triage, adapter=ol.JSON())
    lm = ScriptedLM([])
    assert ol.Predict(Triage, lm=lm) == ol.Predict(Triage, lm=lm) != plain


def test_repr_says_what_a_program_is_made_of() -> None:
    assert repr(Blocks()) == "Blocks(find=Predict(Query), decide=ChainOfThought(Triage), threshold=0.5)"
    tuned = ol.Predict(Triage, instruction="Be kind.", demos=[{"message": "x"}], temperature=0.2, adapter=ol.JSON())
    text = repr(tuned)
    for part in ("Predict(Triage", "'Be kind.'", "1 demos", "temperature=0.2", "adapter=JSON("):
        assert part in text


# Pickling and copying


def test_programs_can_be_pickled() -> None:
    for program in (Blocks(), Assigned(3), ol.Predict("question -> answer: list[int]", temperature=0.3)):
        again = pickle.loads(pickle.dumps(program))
        assert again == program
        assert ol.parameters(again) == ol.parameters(program)
        assert hash(again) == hash(program)
        with pytest.raises(FrozenError):
            again.anything = 1
    changed = ol.update(pickle.loads(pickle.dumps(Blocks())), {"threshold": 0.9})
    assert changed.threshold == 0.9


def test_a_pickled_program_is_equal_and_callable_in_another_process(tmp_path: Any) -> None:
    """String hashes differ between processes, so nothing hashed may travel."""
    import subprocess

    program = ol.Predict("question -> answer", demos=[{"question": "x", "answer": "y"}])
    hash(program)
    path = tmp_path / "program.pickle"
    path.write_bytes(pickle.dumps(program))
    code = f"""
    import pickle, outlast as ol
    from outlast.testing import ScriptedLM
    program = pickle.load(open({str(path)!r}, "rb"))
    fresh = ol.Predict("question -> answer", demos=[{{"question": "x", "answer": "y"}}])
    assert program == fresh and hash(program) == hash(fresh)
    with ol.context(lm=ScriptedLM([{{"answer": "z"}}])):
        assert program(question="q").answer == "z"
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_a_copy_of_a_value_is_the_value() -> None:
    program = ol.update(Blocks(), {"find.lm": ScriptedLM([])})  # a model need not be copyable
    assert copy.copy(program) is program
    assert copy.deepcopy(program) is program
    assert copy.deepcopy({"x": program})["x"] is program


def test_results_and_demos_can_be_copied_with_their_program_inside() -> None:
    program = Assigned()
    assert copy.deepcopy(program.by_name) == program.by_name


# Sharing


def test_what_did_not_change_is_shared() -> None:
    program = Assigned()
    changed = ol.update(program, {"hops.1.instruction": "x"})
    assert changed.find is program.find
    assert changed.hops[0] is program.hops[0]
    assert changed.hops[1] is not program.hops[1]
    assert changed.by_name is program.by_name
    assert program.hops[1].instruction == "Route a message."


def test_a_part_used_twice_has_two_paths_and_is_tuned_apart() -> None:
    shared = ol.Predict(Triage)

    class Twice(ol.Module):
        def __init__(self) -> None:
            self.first = shared
            self.rest = [shared, {"again": shared}]

        def forward(self, message: str) -> Any:
            return self.first(message=message), self.rest[0](message=message)

    program = Twice()
    paths = ["first", "rest.0", "rest.1.again"]
    assert [path for path in ol.modules_of(program) if path] == paths
    assert len({id(part) for part in ol.modules_of(program).values()}) == 4
    changed = ol.update(program, {"rest.0.instruction": "x"})
    modules: Any = ol.modules_of(changed)
    assert [modules[path].instruction for path in paths] == ["Route a message.", "x", "Route a message."]
    with ol.context(lm=ScriptedLM(lambda _: {"team": "cards"})), ol.trace() as spans:
        changed(message="x")
    assert [span.path for span in spans] == ["first", "rest.0"]


def test_a_part_put_in_a_second_place_is_copied() -> None:
    program = Assigned()
    changed = ol.update(program, {"hops.0": program.hops[1], "find": program.hops[1]})
    assert len({id(part) for part in ol.modules_of(changed).values()}) == len(ol.modules_of(changed))
    assert changed.find == changed.hops[0] == changed.hops[1]


def test_two_instances_may_share_class_level_parts() -> None:
    first, second = Blocks(), Blocks()
    assert first.find is second.find
    changed = ol.update(first, {"find.instruction": "x"})
    assert (changed.find.instruction, second.find.instruction) == ("x", "Given question, give query.")


def test_programs_that_share_a_signature_never_share_tuned_state() -> None:
    """Defect 7: tuning one program changed every program of that signature."""
    first, second = ol.Predict(Triage), ol.ChainOfThought(Triage)
    changed = ol.update(first, {"instruction": "Changed.", "fields.team": "changed", "demos": [{"message": "x"}]})
    assert Triage.description == "Route a message."
    assert Triage.fields["team"].desc == ""
    for other in (first, second, ol.Predict(Triage)):
        assert other.instruction == "Route a message."
        assert other.demos == ()
        assert "changed" not in str(other.render(message="x")).lower()
    assert "Changed." in str(changed.render(message="x"))


# Finding parts


def test_parts_in_nested_containers_are_found() -> None:
    assert list(ol.modules_of(Assigned())) == [
        "",
        "find",
        "hops.0",
        "hops.1",
        "by_name.a.0",
        "by_name.2.0",
        "by_name.2.1.deep",
    ]


def test_subclasses_inherit_replace_and_remove_parts() -> None:
    class More(Blocks):
        find = ol.Predict("question -> query", instruction="Better.")
        extra = ol.Predict("x -> y")

    class Less(Blocks):
        decide = None  # type: ignore[assignment]

    class Init(Blocks):
        def __init__(self) -> None:
            self.decide = ol.Predict(Triage)  # type: ignore[assignment]

    assert list(ol.modules_of(More())) == ["", "find", "decide", "extra"]
    assert More().find.instruction == "Better."
    assert list(ol.modules_of(Less())) == ["", "find"]
    assert Less().decide is None
    assert type(Init().decide) is ol.Predict


def test_modules_may_be_abstract() -> None:
    class Step(ol.Module, ABC):
        @abstractmethod
        def forward(self, text: str) -> str: ...

    class Upper(Step):
        def forward(self, text: str) -> str:
            return text.upper()

    with pytest.raises(TypeError, match="abstract"):
        Step()  # type: ignore[abstract]
    assert Upper()(text="x") == "X"


def test_a_frozen_dataclass_is_a_module_too() -> None:
    @dataclass(frozen=True)
    class Frozen(ol.Module):
        find: Any = ol.Predict("question -> query")
        k: int = 3

        def forward(self, question: str) -> Any:
            return self.find(question=question)

    program = Frozen(k=4)
    assert ol.update(program, {"find.instruction": "x"}) != program
    assert ol.update(program, {"find.instruction": "x"}).find.instruction == "x"
    with pytest.raises(AttributeError):
        program.k = 5  # type: ignore[misc]


def test_a_dataclass_compares_parts_that_are_no_fields() -> None:
    """The generated `__eq__` sees fields only, and takes the hash away."""

    @dataclass
    class Derived(ol.Module):
        k: int = 3

        def __post_init__(self) -> None:
            self.find = ol.Predict("question -> query")

        def forward(self, question: str) -> Any:
            return self.find(question=question)

    assert Derived() == Derived()
    assert hash(Derived()) == hash(Derived())
    assert ol.update(Derived(), {"find.instruction": "x"}) != Derived()


def test_an_own_equality_is_kept() -> None:
    class Always(ol.Module):
        def __init__(self, n: int) -> None:
            self.n = n

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 1

    assert Always(1) == Always(2)


# Refusals


Point = namedtuple("Point", "a b")


@dataclass
class Bag:
    part: Any


@pytest.mark.parametrize(
    "hidden",
    [
        lambda part: {part},
        lambda part: deque([part]),
        lambda part: Point(part, 1),
        lambda part: Bag(part),
        lambda part: [1, [Bag([part])]],
        lambda part: {"x": frozenset([part])},
    ],
    ids=["set", "deque", "namedtuple", "dataclass", "nested", "frozenset in dict"],
)
def test_parts_where_nobody_would_find_them_are_refused(hidden: Any) -> None:
    class Hides(ol.Module):
        def __init__(self) -> None:
            self.parts = hidden(ol.Predict("x -> y"))

    with pytest.raises(UsageError, match="neither found nor tuned; use a list, a tuple or a dict"):
        Hides()


def test_kinds_of_dicts_work_when_they_hold_parts_and_stay_as_they_are_otherwise() -> None:
    class Kinds(ol.Module):
        def __init__(self) -> None:
            self.ordered = OrderedDict(a=ol.Predict("x -> y"))
            self.plain = defaultdict(int, a=1)

    program = Kinds()
    assert list(ol.modules_of(program)) == ["", "ordered.a"]
    assert type(program.plain) is defaultdict


@pytest.mark.parametrize("keys", [("a.b",), ("",), (1, "1")])
def test_keys_that_are_no_step_of_a_path_are_refused(keys: tuple[Any, ...]) -> None:
    class Keys(ol.Module):
        def __init__(self) -> None:
            self.parts = {key: ol.Predict("x -> y") for key in keys}

    with pytest.raises(UsageError, match="steps of paths"):
        Keys()


def test_plain_data_may_have_any_keys() -> None:
    class Data(ol.Module):
        def __init__(self) -> None:
            self.table = {"a.b": 1, "": 2, (1, 2): 3}

    assert Data().table["a.b"] == 1


def test_slots_are_refused() -> None:
    with pytest.raises(UsageError, match="__slots__"):

        class Slotted(ol.Module):  # pyright: ignore[reportUnusedClass]
            __slots__ = ("find",)

    with pytest.raises(UsageError, match="__slots__"):

        @dataclass(slots=True)
        class SlottedData(ol.Module):  # pyright: ignore[reportUnusedClass]
            find: Any


@pytest.mark.parametrize("name", ["acall", "render", "forward", "blocking_safe"])
def test_an_attribute_cannot_hide_a_method(name: str) -> None:
    def init(self: Any) -> None:
        setattr(self, name, ol.Predict("x -> y"))

    with pytest.raises(UsageError, match=f"{name!r}: it would hide the method"):
        type("Hides", (ol.Module,), {"__init__": init})()


def test_a_program_cannot_hold_itself() -> None:
    class Loop(ol.Module):
        def __init__(self) -> None:
            self.parts = [self]

    with pytest.raises(UsageError, match="cannot hold itself"):
        Loop()


def test_a_program_cannot_be_used_inside_its_own_init() -> None:
    class Early(ol.Module):
        def __init__(self) -> None:
            self(question="x")

        def forward(self, question: str) -> str:
            return question

    with pytest.raises(UsageError, match="before its construction is done"):
        Early()


def test_param_is_for_plain_attributes() -> None:
    class Nested(ol.Module):
        def __init__(self) -> None:
            self.values = [ol.param(1)]

    class Part(ol.Module):
        find = ol.param(ol.Predict("x -> y"))

    with pytest.raises(UsageError, match="attribute of its own"):
        Nested()
    with pytest.raises(UsageError, match="part already"):
        Part()


def test_building_a_program_touches_nothing_global() -> None:
    """Defect 5: random state drawn from, the standard library patched, attribute access that runs Python."""
    state = random.getstate()
    before = {name: dict(vars(module)) for name, module in sys.modules.items() if type(module) is ModuleType}
    program = ol.update(Blocks(), {"find.instruction": "x"})
    with ol.context(lm=ScriptedLM(lambda _: {"query": "x", "reasoning": "r", "team": "cards"})):
        program(question="x")
    assert random.getstate() == state
    for name in ("random", "inspect", "json", "asyncio", "threading", "typing", "socket", "logging"):
        assert {k: v for k, v in vars(sys.modules[name]).items() if before[name].get(k) is not v} == {}
    for cls in (ol.Module, ol.Predict, Blocks):
        assert cls.__getattribute__ is object.__getattribute__
        assert not hasattr(cls, "__getattr__")


@pytest.mark.parametrize("kind", ["namespace", "partial", "method", "object"])
def test_parts_hidden_in_ordinary_objects_are_refused_not_lost(kind: str) -> None:
    import functools
    import types

    part = ol.Predict("q -> a")

    class Plain:
        def __init__(self) -> None:
            self.part = part

    holder: Any = {
        "namespace": types.SimpleNamespace(part=part),
        "partial": functools.partial(part),
        "method": part.acall,
        "object": Plain(),
    }[kind]

    class Program(ol.Module):
        def __init__(self) -> None:
            self.holder = holder

        def forward(self, q: str) -> Any: ...

    with pytest.raises(ol.OutlastError, match="neither found nor tuned"):
        Program()
