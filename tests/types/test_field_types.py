"""Values beyond Python's own types: how they are validated, shown and read, and what they never do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.errors import InputError, SignatureError
from outlast.messages import History, Message, TextPart, ToolCall
from outlast.signatures.codec import Codec
from outlast.signatures.field import Field
from outlast.signatures.spelling import signature
from outlast.types import Audio, Code, Document, File, Image, Media, Shown, Tool
from outlast.types.media import short_media
from outlast.types.shown import Shelf

PNG = b"\x89PNG\r\n\x1a\n" + bytes(4)
IMAGE = Image.from_bytes(PNG)
REMOTE = Image.from_url("https://example.org/cat.png")
WAV = Audio.from_bytes(b"RIFF\x00\x00\x00\x00WAVE")
PDF = File.from_bytes(b"%PDF-1.7", name="bill.pdf")


class Claim(pydantic.BaseModel):
    photo: Image
    more: list[Image] = []


@dataclass(frozen=True)
class Note:
    sound: Audio
    text: str = ""


class Card:
    """A user's class with a picture in it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __prompt__(self) -> tuple[Any, ...]:
        return (f"{self.name}: ", IMAGE, TextPart("!"))


@dataclass(frozen=True)
class Move:
    """A user's class that is read back; a dataclass, so that it has an equality."""

    start: str
    end: str

    def __prompt__(self) -> str:
        return f"{self.start}-{self.end}"

    @classmethod
    def __read__(cls, text: str) -> Move:
        start, dash, end = text.partition("-")
        if not dash or len(start) != 2 or len(end) != 2:
            raise ValueError("must be a move such as e2-e4")
        return cls(start, end)

    @classmethod
    def __describe__(cls) -> str:
        return "chess move such as e2-e4"


class Step(pydantic.BaseModel):
    """A user's model with its own look."""

    number: int

    def __prompt__(self) -> str:
        return f"step {self.number}"


def codec(annotation: Any, kind: Any = "input") -> Codec:
    return Codec(Field("value", kind, annotation))


VALUES: list[tuple[Any, Any, str, list[Media]]] = [
    (Image, IMAGE, "[image 1]", [IMAGE]),
    (Image, REMOTE, "[image 1]", [REMOTE]),
    (Audio, WAV, "[audio 1]", [WAV]),
    (File, PDF, "[file 1]", [PDF]),
    (Image | None, IMAGE, "[image 1]", [IMAGE]),
    (Image | None, None, "null", []),
    (Image | File, PDF, '"[file 1]"', [PDF]),
    (list[Image], [IMAGE, REMOTE], '["[image 1]","[image 2]"]', [IMAGE, REMOTE]),
    (dict[str, Image], {"a": IMAGE}, '{"a":"[image 1]"}', [IMAGE]),
    (tuple[Image, str], (IMAGE, "x"), '["[image 1]","x"]', [IMAGE]),
    (Claim, Claim(photo=IMAGE, more=[REMOTE]), '{"photo":"[image 1]","more":["[image 2]"]}', [IMAGE, REMOTE]),
    (list[Note], [Note(WAV, "hm")], '[{"sound":"[audio 1]","text":"hm"}]', [WAV]),
    (Code, Code("x = 1", "python"), "```python\nx = 1\n```", []),
    (list[Code], [Code("x")], '["```\\nx\\n```"]', []),
    (Document, Document("Hi.", "A"), '===== document title="A"\nHi.\n===== end of document', []),
    (Move, Move("e2", "e4"), "e2-e4", []),
    (Move | None, Move("e2", "e4"), "e2-e4", []),
    (list[Move], [Move("e2", "e4")], '["e2-e4"]', []),
    (Step, Step(number=2), "step 2", []),
    (list[Step], [Step(number=2)], '["step 2"]', []),
]


@pytest.mark.parametrize(("annotation", "value", "text", "media"), VALUES)
def test_a_value_is_shown_as_text_with_references_and_kept_whole_in_files(
    annotation: Any, value: Any, text: str, media: list[Media]
) -> None:
    one = codec(annotation)
    shelf = Shelf()
    assert one.check(value) == value
    assert one.write(value, shelf) == text
    assert list(shelf.media.values()) == media
    assert one.read_data(one.dump(value)) == value


@pytest.mark.parametrize(
    ("annotation", "value"),
    [case[:2] for case in VALUES if REMOTE not in case[3] and case[0] not in (Step, list[Step])],
)
def test_what_is_written_without_a_shelf_reads_back(annotation: Any, value: Any) -> None:
    one = codec(annotation, "output")
    assert one.read(one.write(value)) == value


def test_media_in_places_without_a_type_are_shown_too() -> None:
    shelf = Shelf()
    assert codec(Any).write({"deep": [IMAGE]}, shelf) == '{"deep":["[image 1]"]}'
    assert codec(list).write([IMAGE], Shelf()) == '["[image 1]"]'
    assert list(shelf.media.values()) == [IMAGE]


def test_a_class_of_a_user_may_show_texts_and_media() -> None:
    shelf = Shelf()
    assert codec(list[Card]).write([Card("Ann"), Card("Bob")], shelf) == '["Ann: [image 1]!","Bob: [image 2]!"]'
    assert len(shelf.media) == 2


@pytest.mark.parametrize("annotation", [Tool, list[Tool], History, History | None, dict[str, Tool]])
def test_tools_and_histories_are_no_outputs(annotation: Any) -> None:
    with pytest.raises(SignatureError, match="output 'value'"):
        codec(annotation, "output")


@pytest.mark.parametrize("annotation", [Card, list[Card], Card | None])
def test_a_class_that_cannot_be_read_is_no_output(annotation: Any) -> None:
    with pytest.raises(SignatureError, match="__read__"):
        codec(annotation, "output")


@pytest.mark.parametrize("shown", [3, ["a"], (3,), (ToolCall("1", "f", "{}"),), None])
def test_a_prompt_of_another_kind_is_an_error(shown: Any) -> None:
    class Odd:
        def __prompt__(self) -> Any:
            return shown

    with pytest.raises(InputError, match="Odd.__prompt__"):
        codec(Odd).write(Odd(), Shelf())


def test_a_class_that_reads_something_else_is_an_error() -> None:
    class Odd(Card):
        @classmethod
        def __read__(cls, text: str) -> Any:
            return text

    with pytest.raises(pydantic.ValidationError, match="Odd.__read__ gives a Odd"):
        codec(Odd, "output").read("x")


def test_a_model_inside_a_model_is_marked_or_refused() -> None:
    class Plain(pydantic.BaseModel):
        step: Step

    class Marked(pydantic.BaseModel):
        step: Annotated[Step, Shown]
        move: Annotated[Move, Shown]

    with pytest.raises(SignatureError, match=r"Annotated\[Step, Shown\]"):
        codec(Plain)
    value = Marked(step=Step(number=1), move=Move("a1", "a2"))
    assert codec(Marked).write(value, Shelf()) == '{"step":"step 1","move":"a1-a2"}'
    assert codec(Marked).read_data(codec(Marked).dump(value)) == value


@pytest.mark.parametrize(
    ("annotation", "kind", "words"),
    [
        (Image, "input", "image"),
        (Image, "output", "image as a data: URL in base64"),
        (Image | None, "input", "image, or null"),
        (list[Image], "input", "JSON array, each item: image"),
        (Claim, "input", "JSON of type {photo: string /* image */, more?: (string /* image */)[]}"),
        (Move, "output", "chess move such as e2-e4"),
        (list[Move], "output", "JSON array, each item: chess move such as e2-e4"),
        (Step, "output", "JSON of type {number: integer} /* A user's model with its own look. */"),
    ],
)
def test_a_type_is_told_in_words(annotation: Any, kind: Any, words: str) -> None:
    assert codec(annotation, kind).describe() == words


HOSTILE = [
    "http://example.org/cat.png",
    "https://example.org/cat.png",
    "file:///etc/passwd",
    "/etc/passwd",
    "cat.png",
    "data:text/html,<b>",
    "data:image/png;base64,@@@@",
    "data:",
    '{"type": "image", "mime": "image/png", "url": "https://example.org/cat.png"}',
    '{"type": "image", "mime": "image/png"}',
    '{"type": "audio", "mime": "image/png", "data": "iVBORw0KGgo="}',
    '{"type": "image", "mime": "image/png", "data": 3}',
    "{",
    "[" * 5000,
    "",
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("annotation", [Image, list[Image], Image | None, Claim, dict[str, Image], Image | Audio])
def test_a_reply_never_names_a_file_or_an_address(annotation: Any, text: str) -> None:
    one = codec(annotation, "output")
    if not (type(None) in getattr(annotation, "__args__", ()) and not text):
        with pytest.raises((ValueError, RecursionError)):
            one.read(text)
    with pytest.raises((ValueError, RecursionError)):
        one.read_data([text] if annotation == list[Image] else {"photo": text} if annotation is Claim else text)


def test_a_reply_may_hold_an_image_itself() -> None:
    assert codec(Image, "output").read(f" {IMAGE.address}\n") == IMAGE
    assert codec(Image, "output").read_data(IMAGE.to_json()) == IMAGE
    assert codec(Claim, "output").read(f'{{"photo": "{IMAGE.address}"}}') == Claim(photo=IMAGE)


def test_only_an_input_in_its_json_form_may_be_an_address() -> None:
    assert codec(Image).check(REMOTE.to_json()) == REMOTE
    for value in (REMOTE.url, "/etc/passwd", Path("/etc/passwd"), b"bytes", 3):
        with pytest.raises(pydantic.ValidationError):
            codec(Image).check(value)
    with pytest.raises(pydantic.ValidationError, match="only a person"):
        codec(Image, "output").check(REMOTE.to_json())


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 256, 3, "\x00"])
def test_the_name_of_a_medium_is_plain(name: Any) -> None:
    with pytest.raises(InputError, match="name"):
        File("text/plain", b"x", name=name)
    with pytest.raises(InputError, match="name"):
        File.from_json({"mime": "text/plain", "data": "eA==", "name": name})


@pytest.mark.parametrize("mime", ["image", "image/", "image/png\r\nX: y", "image/png; x=y", "audio/wav", "", 3, None])
def test_the_media_type_of_a_medium_is_one(mime: Any) -> None:
    with pytest.raises(InputError, match="mime"):
        Image(mime, PNG)


def test_a_message_holds_so_many_bytes_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlast.types.shown.MOST_TOGETHER", 3 * len(PNG))
    assert codec(list[Image]).write([IMAGE] * 3, Shelf())
    with pytest.raises(InputError, match="one message"):
        codec(list[Image]).write([IMAGE] * 4, Shelf())


def test_people_see_the_size_of_media_and_not_their_bytes() -> None:
    big = File.from_bytes(b"%PDF-" + bytes(3001), name="x.pdf").to_json()
    short = short_media({"a": [big], "b": {"type": "image", "data": "eA=="}, "c": 3})
    assert short["a"][0]["data"].startswith("3,006 bytes, ")
    assert short["b"] == {"type": "image", "data": "eA=="}
    assert short_media({"a": [big]}) != short_media({"a": [{**big, "data": "B" + big["data"][1:]}]})


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://u:secret@example.com:8/a/b.png?token=secret", "https://example.com:8/a/b.png?…"),
        ("https://secret@example.com/a@b.png#secret", "https://example.com/a@b.png#…"),
        ("https://example.com/b.png", "https://example.com/b.png"),
    ],
)
def test_people_see_an_address_without_what_is_secret_in_it(address: str, shown: str) -> None:
    image = Image.from_url(address, "image/png")
    assert image.url == image.address == image.to_json()["url"] == address
    assert repr(image) == f"Image(mime='image/png', url={shown!r}, name=None)"
    assert Message("user", (image,)).shown == f"⟨image/png {shown}⟩"
    assert short_media([image.to_json()])[0]["url"] == shown
    with pytest.raises(InputError, match="address or a data: URL; got .ftp:") as caught:
        Image.from_url(address.replace("https:", "ftp:"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("kind", [Image, Audio, File])
def test_people_see_of_bytes_what_they_are(kind: Any) -> None:
    mime = {"image": "image/png", "audio": "audio/wav", "file": "text/plain"}[kind.kind]
    assert repr(kind(mime, b"x" * 1000, name="n")) == f"{kind.__name__}(mime={mime!r}, url=None, name='n')"


watched: list[str] = []
watching = False


def watch(event: str, arguments: Any) -> None:
    if watching and event.split(".")[0] in (
        "open",
        "socket",
        "subprocess",
        "urllib",
        "exec",
        "compile",
        "import",
        "os",
    ):
        watched.append(event)


sys.addaudithook(watch)


@contextmanager
def nothing_opened() -> Iterator[None]:
    global watching
    watched.clear()
    watching = True
    try:
        yield
    finally:
        watching = False
    assert watched == []


def quietly(read: Any, data: Any) -> None:
    with suppress(ValueError, RecursionError):
        read(data)


@pytest.mark.parametrize("kind", [Image, Audio, File, Document, Code, Tool, Move, History])
def test_validation_opens_no_file_and_no_socket(kind: Any) -> None:
    """Defect 13: custom types that open what a model names."""
    one = codec(kind)  # a History is no output
    many = codec(list[kind]) if kind is not History else one
    texts = [*HOSTILE, __file__, f"file://{__file__}", f'{{"path": "{__file__}"}}', f'{{"url": "file://{__file__}"}}']
    data = [
        {"type": one.shown.__dict__.get("kind", ""), key: __file__} for key in ("data", "url", "path", "text", "name")
    ]
    for value in (*texts, *data):  # what is loaded at the first use
        quietly(one.check, value)
        quietly(one.read_data, value)
        quietly(many.read_data, [value])
    with nothing_opened():
        for value in (*texts, *data):
            quietly(one.check, value)
            quietly(one.read_data, value)
            quietly(many.read_data, [value])
            if isinstance(value, str):
                quietly(one.read, value)
                quietly(many.read, value)


def test_the_watch_can_fail() -> None:
    with pytest.raises(AssertionError):
        with nothing_opened():
            Path(__file__).read_text()


texts = st.text(alphabet=st.sampled_from('ab`\n\r\t =\\"#~é 1'), max_size=40)


@given(texts, st.sampled_from(["", "python", "c++", "objective-c"]))
def test_code_reads_back_exactly(text: str, language: str) -> None:
    one = codec(Code, "output")
    value = Code(text, language)
    assert one.read(one.write(value)) == value
    assert Code.__read__(value.__prompt__()) == value
    assert Code.from_json(value.to_json()) == value


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("```python\nx = 1\n```", Code("x = 1", "python")),
        ("```\nx = 1\n```\n", Code("x = 1")),
        ("x = 1\n", Code("x = 1")),
        ("    x = 1\n    y = 2", Code("    x = 1\n    y = 2")),
        ("````md\n```\nx\n```\n````", Code("```\nx\n```", "md")),
        ("```python\r\nx = 1\r\n```", Code("x = 1\r", "python")),
        ("Here you go:\n```py\nx = 1\n```\nHope it helps!", Code("x = 1", "py")),
        ("~~~ruby\nputs 1\n```\n~~~~", Code("puts 1\n```", "ruby")),
        ("1. Write\n   ```py\n   if x:\n       y\n   ```", Code("if x:\n    y", "py")),
        ("So:\n\t```\n\tx\n\t```", Code("x")),
        ("``` js title='a b'\nx\n```", Code("x", "js")),
        ("```{r}\nx\n```", Code("x")),
        ("```\n```", Code("")),
        ('```py\n"""\n    ```\n    x\n    ```\n"""\n```', Code('"""\n    ```\n    x\n    ```\n"""', "py")),
        ("use `x` and ``` here", Code("use `x` and ``` here")),
    ],
)
def test_code_is_read_out_of_one_fence(reply: str, code: Code) -> None:
    assert codec(Code, "output").read(reply) == code


@pytest.mark.parametrize(
    ("reply", "wrong"),
    [
        ("```\na\n```\nor\n```\nb\n```", "holds 2 fences"),
        ("```py\nx = (", "nothing closes"),
        ("Here:\n```py\nx = 1```", "nothing closes"),
        ("```py\nx = 1\n``` Hope it helps!", "nothing closes"),
        ("Here: ```py\nx = 1\n```", "nothing closes"),
        ("```x = 1```", "nothing closes"),
        ("````\nx\n```", "nothing closes"),
        ("~~~\nx\n```", "nothing closes"),
        ('"""Use it:\n```\nx\n```\n"""\nx = 1', "within the program"),
    ],
)
def test_a_reply_whose_program_is_in_doubt_is_refused(reply: str, wrong: str) -> None:
    for read in (codec(Code, "output").read, codec(Code, "output").read_data):
        with pytest.raises(ValueError, match=wrong):
            read(reply)


def test_a_program_that_a_person_gives_may_hold_fences() -> None:
    text = "# Title\n\n```\nx\n```\n"
    assert codec(Code).check(text) == Code(text)
    assert codec(Code).check("```py\nx\n```\n") == Code("x", "py")


@given(texts.filter(str.strip), texts, texts)
def test_a_document_reads_back_exactly(text: str, title: str, source: str) -> None:
    document = Document(text, title, source)
    assert Document.__read__(document.__prompt__()) == document
    assert Document.from_json(document.to_json()) == document
    first, *lines, last = document.__prompt__().split("\n")
    assert not any(line.startswith(first.split(" ")[0]) for line in lines)
    assert last == f"{first.split(' ')[0]} end of document"


@pytest.mark.parametrize("options", [{"text": ""}, {"text": " "}, {"text": 3}, {"text": "x", "title": None}])
def test_a_document_needs_text(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="Document"):
        Document(**options)


def returns_code(task: str) -> Code: ...


def returns_image(task: str) -> Image: ...


def returns_move(task: str) -> Move: ...


@pytest.mark.parametrize("function", [returns_code, returns_image, returns_move])
def test_a_function_may_return_one(function: Any) -> None:
    kind = signature(function)
    assert list(kind.outputs) == ["answer"]
    assert kind.outputs["answer"].type is function.__globals__[function.__annotations__["return"]]


def test_words_that_describe_nothing_are_an_error() -> None:
    class Odd(Card):
        @classmethod
        def __describe__(cls) -> str:
            return " "

    with pytest.raises(TypeError, match="Odd.__describe__"):
        codec(Odd).describe()


def test_a_message_is_no_piece_of_a_prompt() -> None:
    class Odd:
        def __prompt__(self) -> Any:
            return (Message("user", "x"),)

    with pytest.raises(InputError, match="Odd.__prompt__"):
        codec(Odd).write(Odd(), Shelf())
