"""One signature, spelled as class, string and function, is one value."""

from __future__ import annotations

import dataclasses
import enum
import sys
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

import pydantic
import pytest
import typing_extensions

from outlast.errors import SignatureError
from outlast.signatures import Signature, input, output, signature


class Team(enum.Enum):
    BILLING = "billing"
    CARDS = "cards"


class Verdict(pydantic.BaseModel):
    team: Team = pydantic.Field(description="who resolves it")
    urgency: Annotated[int, pydantic.Field(ge=1, le=5)]
    notes: list[str] = pydantic.Field(default_factory=list)


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0
    tags: list[str] = dataclasses.field(default_factory=list)


class Pair(NamedTuple):
    left: str
    right: int = 3


class Options(typing_extensions.TypedDict):
    name: str
    size: typing_extensions.NotRequired[int]


class Page(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(populate_by_name=False)
    link: str = pydantic.Field(alias="href")


class Numbers(pydantic.RootModel[list[int]]):
    pass


class Question(Signature):
    """Answer it."""

    question: str = input()
    context: list[str] = input()
    answer: float = output()
    sources: list[str] = output()


def answer(question: str, context: list[str]) -> float:
    """Answer it."""
    raise NotImplementedError


class OneAnswer(Signature):
    """Answer it."""

    question: str = input()
    context: list[str] = input()
    answer: float = output()


def test_class_string_and_function_are_equal() -> None:
    spelled = signature("question, context: list[str] -> answer: float, sources: list[str]", "Answer it.")
    assert spelled == Question
    assert hash(spelled) == hash(Question)
    assert spelled.key == Question.key
    function = signature(answer)
    assert function == OneAnswer == signature("question, context: list[str] -> answer: float", "Answer it.")
    assert function.key == OneAnswer.key


def test_signatures_that_differ_are_not_equal() -> None:
    base = signature("a -> b: int")
    for other in ("a -> b", "a -> b: float", "b -> a: int", "a, c -> b: int", "a -> b: int, c"):
        assert signature(other) != base
        assert signature(other).key != base.key
    assert signature("a -> b: int", "Other words.") != base
    assert base.with_updated_field("b", desc="how many") != base


def test_order_of_choices_is_part_of_the_value() -> None:
    one = signature("q -> a: Literal['x', 'y']")
    other = signature("q -> a: Literal['y', 'x']")
    assert one != other
    assert one.key != other.key


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        ("str", str),
        ("int", int),
        ("list[str]", list[str]),
        ("dict[str, list[int]]", dict[str, list[int]]),
        ("tuple[int, ...]", tuple[int, ...]),
        ("tuple[int, str]", tuple[int, str]),
        ("Optional[str]", str | None),
        ("str | None", str | None),
        ("int | str | None", int | str | None),
        ("Literal['a', 'b']", Literal["a", "b"]),
        ("Literal['a -> b', \"it's\", 'x,y', '\\'']", Literal["a -> b", "it's", "x,y", "'"]),
        ("Literal[1, -2, True, None]", Literal[1, -2, True, None]),
        ("list[Literal['a']]", list[Literal["a"]]),
        ("Optional[list[dict[str, int | None]]]", list[dict[str, int | None]] | None),
        ("date", date),
        ("Decimal", Decimal),
        ("Any", Any),
        ("List[int]", list[int]),
        ("None", type(None)),
    ],
)
def test_types_in_strings(spelled: str, expected: Any) -> None:
    found = signature(f"x: {spelled} -> y: {spelled}")
    assert found.inputs["x"] == Question.with_field("x", expected, input()).fields["x"]
    assert found.outputs["y"].kind == "output"


def test_a_field_without_a_type_is_text() -> None:
    assert signature("a, b -> c").fields["a"].type is str


def test_a_signature_may_have_no_inputs() -> None:
    found = signature("-> joke")
    assert list(found.inputs) == []
    assert found.description == "Give joke."


def test_own_types_are_given_explicitly_as_list_or_mapping() -> None:
    one = signature("q -> team: Team", types=[Team])
    other = signature("q -> team: T", types={"T": Team})
    assert one.fields["team"].type is Team
    assert one == other
    assert (
        signature("q -> kinds: list[Kind]", types={"Kind": Literal["a", "b"]}).fields["kinds"].type
        == list[Literal["a", "b"]]
    )


def test_a_nameless_type_needs_a_mapping() -> None:
    with pytest.raises(SignatureError, match="mapping"):
        signature("q -> k: Kind", types=[3])  # type: ignore[list-item]


def test_defect_4_a_name_of_the_callers_frame_is_refused() -> None:
    Local = Team
    with pytest.raises(SignatureError, match=r"'Local', which is unknown.*types=\[Local\]"):
        signature("q -> team: Local")
    assert Local is Team


@pytest.mark.parametrize(
    "spelled",
    [
        "q -> a: antigravity",
        "q -> a: antigravity.fly",
        "q -> a: list[antigravity]",
        "q -> a: 'antigravity'",
        "q -> a: list['antigravity']",
        "q -> a: list[\"__import__('antigravity')\"]",
        "q -> a: __import__('antigravity')",
        "q -> a: Literal[antigravity]",
        "q -> a: (lambda: 1)()",
        "q: antigravity -> a",
    ],
)
def test_defect_4_nothing_is_imported_or_run_for_a_type(spelled: str) -> None:
    before = set(sys.modules)
    with pytest.raises(SignatureError):
        signature(spelled)
    assert set(sys.modules) - before == set()
    assert "antigravity" not in sys.modules


def test_a_near_name_is_suggested() -> None:
    with pytest.raises(SignatureError, match="Did you mean 'int'"):
        signature("q -> a: intt")


@pytest.mark.parametrize(
    ("spelled", "part"),
    [
        ("question", "reads 'inputs -> outputs'"),
        ("", "reads 'inputs -> outputs'"),
        ("a -> b -> c", "one '->'"),
        ("a -> ", "no output"),
        ("a, a -> b", "two fields named 'a'"),
        ("a -> a", "two fields named 'a'"),
        ("1a -> b", "cannot read '1a'"),
        ("a b -> c", "cannot read 'a b'"),
        ("class -> b", "keywords"),
        ("_a -> b", "'_a'"),
        ("*a -> b", "cannot read"),
        ("a=1 -> b", "cannot read"),
        ("a, /, b -> c", "cannot read"),
        ("a): pass #( -> b", "cannot read"),
        ("a): ...\nimport os\ndef f(b -> c", "cannot read"),
        ("a -> b: int[str]", "is no type"),
        ("a -> b: 5", "not a type expression"),
        ("a -> b: list[5]", "not a type expression"),
        ("a -> b: [int]", "not a type expression"),
        ("a -> b: Optional[int, str]", "is no type"),
        ("a -> b: Literal[int]", "no literal"),
        ("a -> b: list[int", "cannot read"),
        ("a: list[int -> b", "reads"),
        ("a: x\x00y -> b", "cannot read"),
    ],
)
def test_misspelt_strings_say_what_is_wrong(spelled: str, part: str) -> None:
    with pytest.raises(SignatureError) as caught:
        signature(spelled)
    assert part in str(caught.value)


def test_a_long_string_signature_is_read() -> None:
    names = [f"field_number_{index}" for index in range(600)]
    found = signature(", ".join(names) + " -> result")
    assert list(found.inputs) == names


@pytest.mark.parametrize(
    "spelled",
    [
        "a -> b: " + "list[" * 5_000,
        "a -> b: " + "list[" * 2_000 + "int" + "]" * 2_000,
        "a -> b: " + "|".join(["int"] * 2_000),
        "a -> b: " + "-" * 10_000 + "1",
        "a -> b: " + "(" * 9_000,
        "a -> b: " + "not " * 4_000 + "a",
        "a -> b: Literal[" + "'" * 10_000,
        "-" * 10_000,
        "->" * 5_000,
        "a" * 30_000 + " -> b",
    ],
    ids=lambda text: text[:20],
)
def test_huge_and_deep_strings_never_crash(spelled: str) -> None:
    try:
        shown = repr(signature(spelled))
    except SignatureError as error:
        shown = str(error)
    assert len(shown) < 20_000


def test_a_signature_class_is_given_back() -> None:
    assert signature(Question) is Question
    with pytest.raises(SignatureError, match="own types"):
        signature(Question, "other words")


@pytest.mark.parametrize("wrong", [3, None, ["a -> b"], int, b"a -> b"])
def test_other_things_are_no_signature(wrong: Any) -> None:
    with pytest.raises(SignatureError, match="class, a string or a typed function"):
        signature(wrong)


# functions


def judged(message: str, limit: int = 3) -> Verdict:
    """Judge it."""
    raise NotImplementedError


def located(place: str) -> Point:
    """Locate it."""
    raise NotImplementedError


def paired(text: str) -> Pair:
    """Pair it."""
    raise NotImplementedError


def optioned(text: str) -> Options:
    """Find options."""
    raise NotImplementedError


def linked(text: str) -> Page:
    """Find the link."""
    raise NotImplementedError


def counted(text: str) -> Numbers:
    """Count."""
    raise NotImplementedError


def labelled(text: str) -> Team:
    """Label."""
    raise NotImplementedError


def test_a_model_returned_becomes_a_field_for_each_of_its_own() -> None:
    found = signature(judged)
    assert list(found.inputs) == ["message", "limit"]
    assert found.inputs["limit"].default == 3
    assert list(found.outputs) == ["team", "urgency", "notes"]
    assert found.outputs["team"].desc == "who resolves it"
    assert found.outputs["notes"].default == []
    value = found.__result__({"team": Team.CARDS, "urgency": 2, "notes": []})
    assert value == Verdict(team=Team.CARDS, urgency=2)


def test_dataclass_named_tuple_and_typed_dict_are_built_with_their_defaults() -> None:
    assert signature(located).__result__({"x": 1.0, "y": 2.0, "tags": ["a"]}) == Point(1.0, 2.0, ["a"])
    assert signature(located).outputs["tags"].default == []
    assert signature(paired).__result__({"left": "a", "right": 1}) == Pair("a", 1)
    assert signature(paired).outputs["right"].default == 3
    assert signature(optioned).__result__({"name": "a", "size": None}) == {"name": "a"}
    assert signature(optioned).__result__({"name": "a", "size": 2}) == {"name": "a", "size": 2}


def test_a_model_with_an_alias_is_built_by_it() -> None:
    assert signature(linked).__result__({"link": "x"}).link == "x"


def test_scalars_enums_and_root_models_are_one_answer() -> None:
    assert list(signature(counted).outputs) == ["answer"]
    assert signature(labelled).__result__({"answer": Team.CARDS}) is Team.CARDS


def test_edits_of_a_function_signature_keep_its_result_while_they_can() -> None:
    found = signature(located)
    longer = found.prepend("reasoning", str, output())
    assert longer.__result__({"reasoning": "hm", "x": 1.0, "y": 0.0, "tags": []}) == Point(1.0)
    assert found.delete("tags").__result__ is None


def no_return(text: str):  # type: ignore[no-untyped-def]  # noqa: ANN201
    """Nothing."""


def returns_none(text: str) -> None:
    """Nothing."""


def takes_any(*texts: str) -> str:
    raise NotImplementedError


def takes_keywords(**texts: str) -> str:
    raise NotImplementedError


async def waits(text: str) -> str:
    raise NotImplementedError


def clashes(answer: str) -> int:
    raise NotImplementedError


def unknown_type(text: Missing) -> str:  # type: ignore[name-defined]  # noqa: F821
    raise NotImplementedError


def returns_signature(text: str) -> Question:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("function", "part"),
    [
        (no_return, "needs a return type"),
        (returns_none, "needs a return type"),
        (takes_any, "named inputs only"),
        (takes_keywords, "named inputs only"),
        (waits, "plain `def`"),
        (clashes, "'answer' as an input and as an output"),
        (unknown_type, "Missing"),
        (returns_signature, "returns a value, not a signature"),
    ],
)
def test_functions_that_are_no_signature_say_why(function: Callable[..., Any], part: str) -> None:
    with pytest.raises(SignatureError) as caught:
        signature(function)
    assert part in str(caught.value)


def test_untyped_parameters_of_a_function_are_text() -> None:
    def reply(message, tone: str = "kind") -> str:  # type: ignore[no-untyped-def]  # noqa: ANN001
        """Reply."""
        raise NotImplementedError

    assert signature(reply).fields["message"].type is str
