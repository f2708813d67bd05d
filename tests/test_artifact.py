from __future__ import annotations

import contextlib
import copy
import difflib
import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import outlast as ol
from outlast import artifact
from outlast.errors import ArtifactError, OutlastError
from outlast.types import Label


class Route(ol.Signature):
    """Route a message."""

    message: str = ol.input()
    team: Literal["cards", "billing"] = ol.output(desc="who answers")


class Rate(ol.Signature):
    """Rate a message."""

    message: str = ol.input()
    urgency: int = ol.output(ge=1, le=5)
    tags: dict[str, list[str]] = ol.output()


class Triage(ol.Module):
    threshold = ol.param(0.5, "from here on a person looks")
    words = ol.param(["a"])
    route = ol.Predict(Route)
    rate = ol.ChainOfThought(Rate)

    def forward(self, message: str) -> Any:
        return ol.Prediction(team=self.route(message=message).team, urgency=self.rate(message=message).urgency)


DEMOS = [
    ol.Demo(
        {"message": f"message {i}\nsecond line", "urgency": 1 + i % 5, "tags": {"b": ["x"], "a": []}}, f"example {i}"
    )
    for i in range(5)
]
TUNED: dict[str, Any] = {
    "threshold": 0.75,
    "words": ["b", "c"],
    "route.instruction": "Send it on.\nNever guess.",
    "route.demos": [ol.Demo({"message": "m", "team": "cards"}, "example 1", Label(frozenset({"mail"})))],
    "route.fields.team": "the team",
    "route.adapter": ol.JSON(reasks=1),
    "rate.settings": ol.Settings(temperature=0.2),
    "rate.demos": DEMOS,
}


def tuned() -> Triage:
    return ol.update(Triage(), TUNED)


def saved(tmp_path: Path, program: Any = None, record: Any = None) -> Path:
    return ol.save(program or tuned(), tmp_path / "t.outlast.json", record=record)


text = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
    ["", " ", "a\nb", "<<team>>", "lines", '{"lines": ["x"]}', "\ud800", "é\u2028", '"', "\\", "\r\n", "null"]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(text | st.sampled_from(["lines", "data"]), inner, max_size=3)
    ),
    max_leaves=6,
)
demos = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "message": text,
            "urgency": st.integers(1, 5),
            # pydantic writes lone surrogates in keys as question marks
            "tags": st.dictionaries(
                text.filter(lambda key: "\ud800" not in key), st.lists(text, max_size=2), max_size=2
            ),
            "reasoning": text,
        },
    ),
    max_size=3,
)
labels = st.builds(Label, st.frozensets(text, max_size=2), st.none() | st.frozensets(text, max_size=2))
changes = st.fixed_dictionaries(
    {},
    optional={
        "threshold": st.floats(allow_nan=False, allow_infinity=False),
        "words": st.lists(json_values, max_size=3),
        "route.instruction": text,
        "rate.instruction": text,
        "route.fields.message": text,
        "rate.fields.reasoning": text,
        "rate.demos": st.tuples(demos, text, labels).map(lambda t: [ol.Demo(v, t[1], t[2]) for v in t[0]]),
        "route.adapter": st.none() | st.builds(ol.Chat, st.integers(0, 5)) | st.builds(ol.JSON, st.integers(0, 5)),
        "rate.settings": st.builds(
            ol.Settings,
            temperature=st.none() | st.floats(0, 2),
            max_tokens=st.none() | st.integers(1, 10**6),
            stop=st.none() | st.lists(text.filter(bool), max_size=2).map(tuple),
            extra=st.dictionaries(
                st.sampled_from(["top_k", "user", "lines"]),
                json_values.filter(lambda v: v is None or isinstance(v, int | str)),
                max_size=2,
            ),
        ),
    },
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes)
def test_what_is_saved_is_what_is_loaded(tmp_path: Path, changed: Any):
    program = ol.update(Triage(), changed)
    path = saved(tmp_path, program)
    again = ol.load(path, Triage())
    assert again == program
    assert again.rate.demos == program.rate.demos
    assert [demo.label for demo in again.rate.demos] == [demo.label for demo in program.rate.demos]
    assert again.render(message="hello") == program.render(message="hello")
    before = path.read_bytes()
    ol.save(again, path)
    assert path.read_bytes() == before


def test_the_same_prompt_comes_back_byte_for_byte(tmp_path: Path):
    program = tuned()
    again = ol.load(saved(tmp_path, program), Triage())
    assert program.rate.render(message="hello") == again.rate.render(message="hello")
    assert '{"b":["x"],"a":[]}' in again.rate.render(message="hello")[2].text


def test_the_program_given_is_not_changed_and_shares_what_the_file_does_not_set(tmp_path: Path):
    program = Triage()
    ol.load(saved(tmp_path), program)
    assert program == Triage()


def test_a_file_is_sorted_and_has_a_line_for_every_entry(tmp_path: Path):
    data = json.loads(saved(tmp_path, record={"b": 1, "a": {"d": 1, "c": 2}}).read_text())
    assert list(data) == sorted(data)
    assert list(data["parameters"]) == sorted(data["parameters"])
    assert list(data["record"]) == ["a", "b"]
    assert list(data["record"]["a"]) == ["c", "d"]
    assert data["parameters"]["route.instruction"] == {"lines": ["Send it on.", "Never guess."]}
    assert saved(tmp_path).read_text().endswith("}\n")


def test_a_change_of_one_demo_changes_only_its_lines(tmp_path: Path):
    one = saved(tmp_path).read_text().splitlines()
    other = list(DEMOS)
    other[2] = ol.Demo({**DEMOS[2].values, "urgency": 5}, "example 2")
    two = saved(tmp_path, ol.update(tuned(), {"rate.demos": other})).read_text().splitlines()
    diff = [
        line
        for line in difflib.unified_diff(one, two, n=0, lineterm="")
        if line[0] in "+-" and line[:3] not in ("+++", "---")
    ]
    assert len(diff) == 2
    assert all('"urgency"' in line for line in diff)
    shorter = saved(tmp_path, ol.update(tuned(), {"rate.demos": DEMOS[:2] + DEMOS[3:]})).read_text().splitlines()
    gone = [
        line for line in difflib.unified_diff(one, shorter, n=0, lineterm="") if line.startswith("+") and line != "+++ "
    ]
    assert not gone  # lines went, none came


def test_reordered_fields_and_modules_load_right(tmp_path: Path):
    class Route2(ol.Signature):
        """Route a message."""

        team: Literal["cards", "billing"] = ol.output(desc="who answers")
        message: str = ol.input()

    class Rate2(ol.Signature):
        """Rate a message."""

        message: str = ol.input()
        tags: dict[str, list[str]] = ol.output()
        urgency: int = ol.output(ge=1, le=5)

    class Reordered(ol.Module):
        rate = ol.ChainOfThought(Rate2)
        route = ol.Predict(Route2)
        words = ol.param(["a"])
        threshold = ol.param(0.5)

        def forward(self, message: str) -> Any:
            return self.route(message=message)

    again = ol.load(saved(tmp_path), Reordered())
    assert again.rate.demos == tuple(DEMOS)
    assert again.route.instruction == "Send it on.\nNever guess."
    assert again.threshold == 0.75


def program_with(route: Any = None, rate: Any = None, **others: Any) -> Any:
    class Other(ol.Module):
        threshold = ol.param(0.5)
        words = ol.param(["a"])

        def __init__(self) -> None:
            self.route = route or ol.Predict(Route)
            if rate is not False:
                self.rate = rate or ol.ChainOfThought(Rate)
            for name, value in others.items():
                setattr(self, name, value)

        def forward(self, message: str) -> Any:
            return self.route(message=message)

    return Other()


@pytest.mark.parametrize(
    ("program", "says"),
    [
        (
            program_with(route=ol.Predict(Route.with_updated_field("team", desc="which team"))),
            "field 'team' of 'route' changed",
        ),
        (program_with(route=ol.Predict(Route.with_updated_field("team", type=str))), "field 'team' of 'route' changed"),
        (program_with(route=ol.Predict(Route.append("why", str, ol.output()))), "field 'why' of 'route' is new"),
        (program_with(rate=ol.ChainOfThought(Rate.delete("tags"))), "field 'tags' of 'rate' is gone"),
        (program_with(rate=ol.Predict(Rate)), "module 'rate' is a Predict; in the file it is a 'ChainOfThought'"),
        (program_with(route=ol.Predict(Route.with_description("Other."))), "description of 'route' changed"),
        (program_with(rate=False, rating=ol.ChainOfThought(Rate)), "the file has a module 'rate'"),
        (program_with(extra=ol.Predict("a -> b")), "the program has a module 'extra'"),
        (ol.Predict(Route), "the program is one module; the file has the modules "),
    ],
)
def test_a_file_for_another_program_is_refused_and_says_what_changed(tmp_path: Path, program: Any, says: str):
    path = saved(tmp_path)
    with pytest.raises(ArtifactError, match=says) as caught:
        ol.load(path, program)
    assert "allow_changed=True" in str(caught.value)


def test_all_that_changed_is_named_at_once(tmp_path: Path):
    program = program_with(
        route=ol.Predict(Route.with_updated_field("team", type=str)), rate=ol.ChainOfThought(Rate.delete("tags"))
    )
    with pytest.raises(ArtifactError, match=r"(?s)'tags' of 'rate' is gone.*'team' of 'route' changed"):
        ol.load(saved(tmp_path), program)


def test_changes_may_be_allowed_as_long_as_everything_has_its_place(tmp_path: Path):
    wider = program_with(
        route=ol.Predict(Route.with_updated_field("team", desc="which team").append("why", str, ol.output()))
    )
    again = ol.load(saved(tmp_path), wider, allow_changed=True)
    assert again.route.demos[0].values == {"message": "m", "team": "cards"}
    with pytest.raises(ArtifactError, match="'tags'"):
        ol.load(saved(tmp_path), program_with(rate=ol.ChainOfThought(Rate.delete("tags"))), allow_changed=True)
    narrow = Route.with_updated_field("team", type=Literal["identity"])
    with pytest.raises(ArtifactError, match="'team' is not valid"):
        ol.load(saved(tmp_path), program_with(route=ol.Predict(narrow)), allow_changed=True)
    with pytest.raises(ArtifactError, match=r"sets 'rate\."):
        ol.load(saved(tmp_path), program_with(rate=False), allow_changed=True)


class Keyed(ol.LM):
    name = "keyed"

    def __init__(self, key: str = "sk-topsecret") -> None:
        self.api_key = key

    async def complete(self, request: Any) -> Any:
        raise NotImplementedError


def test_a_model_is_neither_written_nor_read(tmp_path: Path):
    program = ol.update(
        tuned(), {"route.lm": Keyed(), "rate.lm": ol.LM("openai/gpt-5-mini", api_key="sk-topsecret2", cache=False)}
    )
    path = saved(tmp_path, program)
    raw = path.read_text()
    assert "topsecret" not in raw
    assert "gpt-5-mini" not in raw
    lm = Keyed()
    mine = ol.update(Triage(), {"route.lm": lm})
    assert ol.load(path, mine).route.lm is lm
    data = json.loads(raw)
    data["parameters"]["route.lm"] = "openai/evil"
    path.write_text(json.dumps(data))
    with pytest.raises(ArtifactError, match="never taken from a file"):
        ol.load(path, Triage())


@pytest.mark.parametrize("name", ["base_url", "api_key", "headers", "__class__", "__reduce__", "py/object", "lm"])
def test_routes_and_secrets_and_code_in_a_file_do_nothing_or_are_refused(tmp_path: Path, name: str):
    path = saved(tmp_path)
    clean = json.loads(path.read_text())

    def every(value: Any, data: Any) -> Any:
        """The file with the entry put into one object of it."""
        yield from ()
        if isinstance(value, dict):
            before = dict(value)
            value[name] = "os.system"
            yield copy.deepcopy(data)
            value.clear()
            value.update(before)
            for item in list(value.values()):
                yield from every(item, data)
        elif isinstance(value, list):
            for item in value:
                yield from every(item, data)

    expected = ol.load(path, Triage())
    count = 0
    for data in every(clean, clean):
        count += 1
        path.write_text(json.dumps(data))
        with contextlib.suppress(ArtifactError):
            assert ol.load(path, Triage()) == expected
    assert count > 20


def nodes(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict):
        for key, item in value.items():
            found += nodes(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += nodes(item, (*path, index))
    return found


def replaced(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    data = copy.copy(data)
    data[path[0]] = replaced(data[path[0]], path[1:], value)
    return data


POISON: list[Any] = [
    *(None, True, 0, -1, 1e308, 10**400, "", "x", "__import__('os').system('x')", "\ud800"),
    *([], {}, [[]], [None], [1, "a"], {"lines": []}, {"lines": [1]}, {"data": []}, {"data": {}}, {"": ""}),
    *({"__class__": "os"}, {"values": {}}, [{"values": {"team": {}}}]),
]


def test_any_node_replaced_by_any_value_loads_or_is_refused(tmp_path: Path):
    path = saved(tmp_path, ol.update(tuned(), {"rate.demos": DEMOS[:1]}), record={"result": {"verdict": "better"}})
    data = json.loads(path.read_text())
    tried = refused = 0
    for node in nodes(data):
        for value in POISON:
            path.write_bytes(json.dumps(replaced(data, node, value)).encode())
            tried += 1
            for options in ({"allow_changed": True}, {})[: 2 if node[:1] == ("program",) else 1]:
                try:
                    ol.load(path, Triage(), **options)
                except ArtifactError:
                    refused += 1
    assert tried > 1000
    assert refused > 1000


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_nodes_replaced_at_random_load_or_are_refused(tmp_path: Path, data: Any):
    path = saved(tmp_path, ol.update(tuned(), {"rate.demos": DEMOS[:1]}))
    content = json.loads(path.read_text())
    for _ in range(data.draw(st.integers(1, 3))):
        content = replaced(content, data.draw(st.sampled_from(nodes(content))), data.draw(json_values))
    path.write_bytes(json.dumps(content).encode())
    try:
        loaded = ol.load(path, Triage(), allow_changed=True)
        ol.parameters(loaded)
        loaded.rate.render(message="x")
    except ArtifactError:
        pass


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"\x80\x04\x95pickle", "UTF-8"),
        (b"[]", "not a compiled file"),
        (b"null", "not a compiled file"),
        (b'"outlast artifact 1"', "not a compiled file"),
        (b'{"format": "outlast artifact 99"}', "outlast artifact 99"),
        (b'{"format": ["outlast artifact 1"]}', "not a compiled file"),
        (b'{"format": "outlast artifact 1"}', "'program' is missing"),
        (b'{"format": "outlast artifact 1", "program": {}, "parameters": [], "record": {}}', "'parameters' is missing"),
        (b'{"format": "outlast artifact 1", "format": "outlast artifact 1"}', "given twice"),
        (b'{"format": "outlast artifact 1", "a": NaN}', "NaN"),
        (b'{"format": "outlast artifact 1", "a": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "not valid JSON|levels deep"),
        (b"[" * 400 + b"]" * 400, "levels deep"),
        (b'{"format": "outlast artifact 1", "a": ' + b"[" * 300 + b"]" * 300 + b"}", "levels deep"),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else None,
)
def test_files_that_are_no_compiled_files_are_refused(tmp_path: Path, content: bytes, says: str):
    path = tmp_path / "bad.outlast.json"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=says) as caught:
        ol.load(path, Triage())
    assert "bad.outlast.json" in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_duplicate_key_anywhere_is_refused(tmp_path: Path):
    path = saved(tmp_path)
    raw = path.read_text()
    path.write_text(raw.replace('"threshold": 0.75', '"threshold": 0.75, "threshold": 0.1'))
    with pytest.raises(ArtifactError, match="'threshold' is given twice"):
        ol.load(path, Triage())


def test_huge_files_are_refused_without_reading_them(tmp_path: Path):
    path = tmp_path / "huge.outlast.json"
    with path.open("wb") as file:
        file.truncate(60 << 20)
    started = time.process_time()
    with pytest.raises(ArtifactError, match="at most"):
        ol.load(path, Triage())
    assert time.process_time() - started < 1


def test_files_that_are_no_regular_files_are_refused(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for path in (
        tmp_path,
        tmp_path / "pipe",
        Path("/dev/zero"),
        Path("/dev/null"),
        tmp_path / "missing",
        Path("nul\0byte"),
    ):
        with pytest.raises(ArtifactError) as caught:
            ol.load(path, Triage())
        assert "JSON" not in str(caught.value) or path == Path("/dev/null")


def test_a_compiled_file_that_cannot_be_written_is_a_clear_error_and_leaves_the_old_one(tmp_path: Path):
    path = saved(tmp_path)
    before = path.read_bytes()
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArtifactError, match="cannot write"):
        ol.save(tuned(), tmp_path / "file" / "t.outlast.json")
    with pytest.raises(OutlastError):
        ol.save(tuned(), path, record={"bad": float("nan")})
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "t.outlast.json"]


def test_what_is_no_program_is_refused(tmp_path: Path):
    with pytest.raises(OutlastError, match="program"):
        ol.save("program", tmp_path / "x.json")  # type: ignore[arg-type]
    with pytest.raises(OutlastError, match="program"):
        ol.load(saved(tmp_path), Triage)  # type: ignore[arg-type]


def test_loading_runs_and_imports_nothing(tmp_path: Path):
    """In a process of its own, as an audit hook cannot be taken away."""
    script = tmp_path / "load.py"
    script.write_text(
        textwrap.dedent(
            """
            import json, sys
            import outlast as ol

            class Triage(ol.Module):
                threshold = ol.param(0.5)
                route = ol.Predict("message -> team: Literal['cards', 'billing'], tags: dict[str, list[str]]")
                def forward(self, message): ...

            demo = {"message": "m", "team": "cards", "tags": {"a": ["__import__('os').system('touch pwned')"]}}
            changes = {"route.demos": [demo], "route.instruction": "os.system", "route.adapter": ol.JSON()}
            program = ol.update(Triage(), changes)
            ol.save(program, "warm.outlast.json")
            ol.save(program, "real.outlast.json")
            ol.load("warm.outlast.json", Triage())
            data = json.load(open("warm.outlast.json"))
            data["parameters"]["route.adapter"] = {"adapter": "subprocess.Popen", "args": ["touch", "pwned"]}
            json.dump(data, open("hostile.outlast.json", "w"))
            seen, armed = [], False

            def hook(event, args):
                if armed and event.split(".")[0] in (
                    "import", "exec", "compile", "open", "socket", "subprocess", "os", "shutil", "pickle", "marshal",
                    "ctypes", "code",
                ):
                    seen.append((event, str(args[:1])))

            sys.addaudithook(hook)
            for name in ("real", "hostile"):
                armed = True
                try:
                    ol.load(f"{name}.outlast.json", Triage())
                except ol.OutlastError as error:
                    assert name == "hostile", error
                finally:
                    armed = False
            print(json.dumps(seen))
            """
        )
    )
    done = subprocess.run([sys.executable, "load.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert [event for event, _ in seen] == ["open", "open"], seen
    assert not (tmp_path / "pwned").exists()


def test_a_file_holds_no_pickle_and_needs_no_outlast_to_be_read(tmp_path: Path):
    data = json.loads(saved(tmp_path).read_bytes())
    assert data["format"] == artifact.FORMAT
    assert data["program"]["modules"]["rate"]["module"] == "ChainOfThought"
    assert set(data["program"]["modules"]["route"]["signature"]["fields"]) == {"message", "team"}
    assert data["versions"]["outlast"] == ol.__version__
