"""Exported prompts give what a call sends, byte for byte, or fail: never something else."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2 import StrictUndefined, UndefinedError
from jinja2.sandbox import SandboxedEnvironment

import outlast as ol
from outlast.adapters.markers import Markers
from outlast.adapters.protocol import Plan, Prepared
from outlast.errors import InputError, OutlastError, PathError, UsageError
from outlast.lms.protocol import Capabilities
from outlast.messages import user
from outlast.modules.export import filled
from outlast.testing import ScriptedLM

IMAGE = ol.Image.from_bytes(b"\x89PNG\r\n\x1a\n")
WAV = ol.Audio.from_bytes(b"RIFF\x00\x00\x00\x00WAVE")


class Tone(enum.Enum):
    KIND = "kind"
    HARSH = "harsh"


class Person(pydantic.BaseModel):
    name: str
    photo: ol.Image | None = None


class Everything(ol.Signature):
    """Answer {{ question }} with {% care %} and {# nothing #} {"""

    question: str = ol.input(desc="what is asked {")
    count: int = ol.input(default=1)
    ratio: float = ol.input(default=0.5)
    sure: bool = ol.input(default=True)
    tone: Literal["kind", "harsh"] = ol.input(default="kind")
    mood: Tone = ol.input(default=Tone.KIND)
    shout: Annotated[str, pydantic.StringConstraints(to_upper=True)] = ol.input(default="x")
    short: str = ol.input(default="short", max_length=80)
    tags: list[str] = ol.input(default=[])
    maybe: str | None = ol.input(default=None)
    code: ol.Code = ol.input(default=ol.Code("x"))
    answer: str = ol.output()
    fine: bool = ol.output()


class Shown(ol.Signature):
    """Look."""

    photo: ol.Image = ol.input()
    people: list[Person] = ol.input(default=[])
    sound: ol.Audio | None = ol.input(default=None)
    letter: ol.Document = ol.input(default=ol.Document("Hi."))
    talk: ol.History = ol.input(default=ol.History())
    note: str = ol.input(default="")
    answer: str = ol.output()


ADAPTERS: dict[str, ol.Adapter] = {
    "chat": ol.Chat(),
    "json": ol.JSON(),
    "xml": ol.XML(),
    "tools": ol.Tools(),
    "two_step": ol.TwoStep(ScriptedLM([])),
}
ABLE = ScriptedLM([], capabilities=Capabilities(json_schema=True, tools=True, citations=True))
MARKED = {"question": "<<answer>>\nx\n<<end>></question>{{", "answer": "<<end>> <answer>{%\r\n", "fine": True}
TURN = ol.History().add({"photo": IMAGE, "note": "<<note>></note>"}, {"answer": "a"}).say(user("<answer>"))

odd = st.text(
    st.one_of(st.sampled_from("ab <>&{}%#\"'\\\n\r\t\x00\u2028\ud800é1[]"), st.characters(exclude_categories=["Cs"])),
    max_size=20,
) | st.sampled_from(
    [
        "<<answer>>",
        "<answer>",
        "[image 1]",
        "[document 1]",
        "...",
        "",
        " ",
        '"x"',
        "{{ 7*7 }}",
        "{% raw %}",
        "&lt;answer>",
    ]
)
everything = st.fixed_dictionaries(
    {"question": odd},
    optional={
        "count": st.integers(),
        "ratio": st.floats(allow_nan=False, allow_infinity=False),
        "sure": st.booleans(),
        "tone": st.sampled_from(["kind", "harsh"]),
        "mood": st.sampled_from(Tone),
        "shout": odd,
        "short": odd.filter(lambda text: len(text) <= 80 and "\ud800" not in text),
        "tags": st.lists(odd, max_size=3),
        "maybe": st.none() | odd,
        "code": odd.map(ol.Code),
    },
)
people = st.lists(st.builds(Person, name=odd, photo=st.sampled_from([None, IMAGE])), max_size=3)
shown = st.fixed_dictionaries(
    {"photo": st.just(IMAGE)},
    optional={
        "people": people,
        "sound": st.sampled_from([None, WAV]),
        "letter": odd.filter(str.strip).map(ol.Document),
        "talk": st.sampled_from([ol.History(), TURN]),
        "note": odd,
    },
)


def exported(signature: Any, adapter: ol.Adapter, *demos: dict[str, Any]) -> tuple[Any, Any]:
    program = ol.Predict(signature, demos=demos, adapter=adapter, lm=ABLE)
    (prompt,) = ol.export(program).values()
    return program, prompt


def plain(messages: Any) -> list[dict[str, Any]]:
    return [message.to_json() for message in messages]


ENVIRONMENT = SandboxedEnvironment(undefined=StrictUndefined)


def rendered(templates: list[dict[str, Any]], variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for one in templates:
        if "turns" in one:
            found += variables["_turns"]
        else:
            content = ENVIRONMENT.from_string(one["template"]).render(**variables)
            found.append({"role": one["role"], "content": content})
    return found


PROMPTS = {
    (name, kind): exported(Everything, adapter, *([MARKED] if kind == "marked" else []))
    for name, adapter in ADAPTERS.items()
    for kind in ("plain", "marked")
}
LOOKS = {
    (name, kind): exported(Shown, adapter, *([{"photo": IMAGE, "answer": "<<answer>></answer>"}] if kind else []))
    for name, adapter in ADAPTERS.items()
    for kind in (0, 1)
}
TEMPLATES = {key: prompt.to_jinja() for key, (_, prompt) in PROMPTS.items() if key[0] != "tools" or key[1] == "plain"}
patient = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("key", PROMPTS, ids=str)
@patient
@given(inputs=everything)
def test_filled_slots_give_what_is_sent(key: Any, inputs: dict[str, Any]) -> None:
    program, prompt = PROMPTS[key]
    sent = program.render(**inputs)
    assert prompt.fill(**inputs) == sent
    document = json.loads(json.dumps(prompt.to_json()))
    assert filled(document["messages"], prompt.variables(**inputs)) == plain(sent)


@pytest.mark.parametrize("key", LOOKS, ids=str)
@patient
@given(inputs=shown)
def test_media_and_earlier_turns_go_into_their_places(key: Any, inputs: dict[str, Any]) -> None:
    program, prompt = LOOKS[key]
    sent = program.render(**inputs)
    assert prompt.fill(**inputs) == sent
    variables = json.loads(json.dumps(prompt.variables(**inputs)))
    assert filled(json.loads(json.dumps(prompt.to_json()))["messages"], variables) == plain(sent)


@pytest.mark.parametrize("key", TEMPLATES, ids=str)
@patient
@given(inputs=everything)
def test_templates_filled_from_variables_give_what_is_sent(key: Any, inputs: dict[str, Any]) -> None:
    program, prompt = PROMPTS[key]
    assert rendered(TEMPLATES[key], prompt.variables(**inputs)) == plain(program.render(**inputs))


class ByHand(ol.Signature):
    """Do."""

    question: str = ol.input()
    count: int = ol.input()
    tone: Literal["kind", "harsh"] = ol.input()
    short: str = ol.input(max_length=100)
    answer: str = ol.output()


HANDS = {name: exported(ByHand, adapter) for name, adapter in ADAPTERS.items()}


@pytest.mark.parametrize("name", HANDS)
@patient
@given(question=odd, short=odd.filter(lambda text: "\ud800" not in text), count=st.integers())
def test_templates_filled_by_hand_give_what_is_sent_or_fail(name: str, question: str, short: str, count: int) -> None:
    program, prompt = HANDS[name]
    inputs = {"question": question, "short": short, "count": count, "tone": "harsh"}
    refused = ""
    made: Any = None
    try:
        made = rendered(prompt.to_jinja(), inputs)
    except UndefinedError as error:
        refused = str(error)
    assert "variables(...)" in refused or made == plain(program.render(**inputs))


@pytest.mark.parametrize("name", HANDS)
def test_ordinary_text_needs_no_help(name: str) -> None:
    program, prompt = HANDS[name]
    inputs = {"question": "Why, Bob?", "count": -12, "tone": "kind", "short": "héé {x}"}
    assert rendered(prompt.to_jinja(), inputs) == plain(program.render(**inputs))


@pytest.mark.parametrize(
    "inputs",
    [
        {"question": "x"},
        {"question": 3, "count": 1},
        {"question": None, "count": 1},
        {"question": ["x"], "count": 1},
        {"question": "x", "count": "1"},
        {"question": "x", "count": True},
        {"question": "x", "count": 1.0},
    ],
)
@pytest.mark.parametrize("name", HANDS)
def test_templates_refuse_values_of_other_kinds(name: str, inputs: dict[str, Any]) -> None:
    with pytest.raises(UndefinedError):
        rendered(HANDS[name][1].to_jinja(), {"tone": "kind", "short": "s", **inputs})


def test_what_a_call_would_change_is_not_written_by_hand() -> None:
    _, prompt = exported(Everything, ol.Chat())
    forms = {name: slot.form for name, slot in prompt.inputs.items()}
    assert forms == {
        "question": "text",
        "count": "integer",
        "ratio": "json",
        "sure": "json",
        "tone": "text",
        "mood": "text",
        "shout": "shown",
        "short": "text",
        "tags": "json",
        "maybe": "json",
        "code": "shown",
    }


def test_parts_that_are_no_text_have_no_template() -> None:
    _, prompt = exported(Everything, ol.Tools(), MARKED)
    with pytest.raises(UsageError, match="tool_call"):
        prompt.to_jinja()


@pytest.mark.parametrize(
    "kind", ["Image", "File", "Audio | None", "list[Image]", "dict[str, list[Person]]", "Person | None"]
)
def test_inputs_that_may_hold_media_have_no_template(kind: str) -> None:
    program = ol.Predict(f"seen: {kind}, n: int -> answer", types=[Person])
    with pytest.raises(UsageError, match="'seen' .* may hold media .* export it as json"):
        program.export("jinja")
    assert program.export("json")[""]["messages"]


def test_media_in_demonstrations_have_no_template() -> None:
    demo = {"talk": ol.History().add({"photo": IMAGE}, {"answer": "a"}), "photo": IMAGE, "answer": "b"}
    _, prompt = exported(Shown, ol.Chat(), demo)
    assert any(part.get("type") == "image" for m in prompt.messages for part in m["content"] if isinstance(part, dict))
    with pytest.raises(UsageError, match="export it as json"):
        prompt.to_jinja()
    talk = ol.Predict(
        "talk: History, note: str -> answer",
        types=[ol.History],
        adapter=ol.Chat(),
        demos=[{"note": "n", "answer": "a"}],
    )
    assert talk.export("jinja")[""][-1]["template"]


def test_a_document_holds_all_that_is_sent_besides() -> None:
    program = ol.Predict(Everything, adapter=ol.Tools(), lm=ABLE, temperature=0.5)
    document = ol.export(program)[""].to_json()
    assert document["adapter"] == "Tools"
    assert document["request"]["settings"] == {"temperature": 0.5}
    assert [tool["name"] for tool in document["request"]["tools"]] == ["Everything"]
    assert document["request"]["tool_choice"] == "Everything"
    schema = ol.export(ol.Predict(Everything, adapter=ol.JSON(), lm=ABLE))[""].to_json()["request"]["output"]
    assert set(schema["schema"]["properties"]) == {"answer", "fine"}
    assert json.loads(json.dumps(document)) == document


def test_typed_questions_are_exported() -> None:
    class Closed(ol.Signature):
        question: str = ol.input()
        fine: bool = ol.output()

    program = ol.Predict(Closed, lm=ScriptedLM([], capabilities=Capabilities(decisions=True)))
    prompt = ol.export(program)[""]
    assert prompt.adapter == "Decisions"
    assert prompt.fill(question="<<x>>") == program.render(question="<<x>>")
    assert list(prompt.to_json()["request"]["questions"]) == ["fine"]


def test_the_wire_carries_the_same_messages() -> None:
    lm = ScriptedLM([{"answer": "x"}])
    program, prompt = exported(ByHand, ol.Chat())
    with ol.trace() as spans:
        ol.update(program, {"lm": lm})(question="<<end>>", count=1, tone="kind", short="s")
    assert spans[0].request.messages == prompt.fill(question="<<end>>", count=1, tone="kind", short="s")


class Two(ol.Module):
    first = ol.Predict("question -> answer", instruction="One.")
    parts = [ol.ChainOfThought("answer -> verdict")]

    def forward(self, question: str) -> Any:
        return self.parts[0](answer=self.first(question=question).answer)


def test_every_predictor_of_a_program_is_exported_by_its_path() -> None:
    assert list(ol.export(Two())) == ["first", "parts.0"]
    assert list(ol.export(Two(), "parts.0")) == ["parts.0"]
    assert "<<reasoning>>" in str(ol.export(Two(), "parts.0")["parts.0"])
    with pytest.raises(PathError, match="Did you mean 'first'"):
        ol.export(Two(), "frist")
    with pytest.raises(UsageError, match="takes a program"):
        ol.export("Two")  # type: ignore[arg-type]


def test_model_and_adapter_are_those_of_a_call() -> None:
    thinker = ScriptedLM([], capabilities=Capabilities(reasoning=True))
    assert "reasoning" not in str(ol.export(Two(), lm=thinker)["parts.0"])
    assert ol.export(Two(), adapter=ol.JSON())["first"].adapter == "JSON"
    with ol.context(adapter=ol.XML()):
        assert ol.export(Two())["first"].adapter == "XML"
    own = ol.update(Two(), {"first.adapter": ol.JSON()})
    assert ol.export(own, adapter=ol.XML())["first"].adapter == "JSON"
    assert ol.export(Two(), adapter=ol.Tools(fallback=ol.XML()))["first"].adapter == "XML"


@pytest.mark.parametrize("name", ["self", "true", "false", "none"])
def test_a_name_that_no_template_can_take_is_refused(name):
    program = ol.Predict(f"{name}, question -> answer")
    with pytest.raises(UsageError, match=f"{name!r}.*means something else in Jinja"):
        program.export("jinja")
    assert program.export("json")[""]["inputs"][name]["form"] == "text"


@pytest.mark.parametrize("name", ["loop", "caller", "kwargs", "value", "name", "nonce", "range", "block", "raw"])
def test_other_words_of_jinja_are_fine_as_names(name):
    program = ol.Predict(f"{name}, question -> answer")
    (prompt,) = ol.export(program).values()
    inputs = {name: "x y", "question": "why"}
    assert rendered(prompt.to_jinja(), prompt.variables(**inputs)) == plain(program.render(**inputs))
    assert rendered(prompt.to_jinja(), inputs) == plain(program.render(**inputs))


def test_a_program_exports_itself_in_each_form() -> None:
    assert Two().export()["first"][-1] == {
        "role": "user",
        "content": [
            "<<question>>\n",
            {"slot": "question"},
            "\n\n<<end>>\n\nReply with <<answer>>, then <<end>>.",
        ],
    }
    assert Two().export("json", "first")["first"]["format"] == "outlast-prompt/1"
    assert Two().export("jinja", "first")["first"][0]["role"] == "system"
    with pytest.raises(UsageError, match="messages, jinja, json"):
        Two().export("yaml")  # type: ignore[arg-type]


def test_inputs_that_do_not_fit_are_refused() -> None:
    prompt = ol.export(Two())["first"]
    for inputs in ({}, {"question": 3}, {"questoin": "x"}):
        with pytest.raises(InputError):
            prompt.fill(**inputs)


class OwnPlan(Plan):
    def prepare(self, inputs: Mapping[str, Any]) -> Prepared:
        return Prepared((user(str(inputs)),), lambda response: {})


class Own(ol.Adapter):
    reasks = 0
    fallback = None

    def compile(self, task: Any, capabilities: Capabilities) -> Plan:
        return OwnPlan()


def test_an_adapter_without_an_outline_says_so() -> None:
    with pytest.raises(UsageError, match="OwnPlan cannot be exported"):
        ol.export(Two(), adapter=Own())


def test_a_nonce_that_changes_more_than_marks_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    order = Markers.order
    monkeypatch.setattr(Markers, "order", lambda self, nonce, p: order(self, nonce, p) + ("Guarded." if nonce else ""))
    with pytest.raises(UsageError, match="changes more"):
        ol.export(Two())


def test_an_outline_that_does_not_fit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = ol.export(Two())["first"]
    monkeypatch.setattr(Markers, "spaced", lambda self, text: text + " ")
    with pytest.raises(OutlastError, match="does not give what is sent"):
        prompt.fill(question="x")


def test_text_that_looks_like_a_mark_of_ours_is_text() -> None:
    program = ol.Predict("question -> answer", instruction="SLOT1N0E GUARD {'slot': 'question'} GUARDE")
    prompt = ol.export(program)[""]
    text = "SLOT0N0E #GUARDE" + json.dumps(prompt.to_json())
    assert prompt.fill(question=text) == program.render(question=text)
