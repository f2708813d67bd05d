"""Attachments: what kind of part a file becomes."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest

from outlast.cli.talk.attach import attachment, turn
from outlast.errors import DataError, UsageError
from outlast.messages import TextPart
from outlast.types import Audio, File, Image

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


def test_kinds_of_files(tmp_path) -> None:
    for name, data, kind in [
        ("a.png", PNG, Image),
        ("photo", PNG, Image),
        ("b.wav", b"RIFF\0\0\0\0WAVEfmt ", Audio),
        ("c.pdf", b"%PDF-1.7\n\0", File),
        ("d.md", b"# Title\n", TextPart),
        ("Makefile", "größe: x\n".encode(), TextPart),
        ("e.json", b"{}", TextPart),
    ]:
        (tmp_path / name).write_bytes(data)
        assert type(attachment(str(tmp_path / name))) is kind, name
    assert attachment(str(tmp_path / "d.md")) == TextPart("d.md:\n# Title\n\n")
    assert attachment(str(tmp_path / "a.png"), "image/webp").mime == "image/webp"


def test_addresses_are_not_opened() -> None:
    picture = attachment("https://example.com/a.jpg?x=1")
    assert (type(picture), picture.url) == (Image, "https://example.com/a.jpg?x=1")
    assert type(attachment("https://example.com/x", "audio/mpeg")) is Audio
    assert type(attachment("data:image/png;base64,aGk=")) is Image
    with pytest.raises(UsageError):
        attachment("ftp://example.com/a.jpg")


def test_standard_input(monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(PNG)))
    assert type(attachment("-")) is Image


@pytest.mark.parametrize(
    ("name", "data", "error", "told"),
    [
        ("none", None, DataError, "cannot read"),
        ("empty", b"", DataError, "is empty"),
        ("unknown", b"\0\1\2", UsageError, "its media type is not known; say it: --at"),
    ],
)
def test_what_cannot_be_shown(tmp_path, name, data, error, told) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(error, match=told):
        attachment(str(tmp_path / name))


def test_turns() -> None:
    assert turn("hi", []).content == "hi"
    assert turn("hi", [TextPart("a:\nb\n\n")]).content == "a:\nb\n\nhi"
    picture = Image("image/png", PNG)
    assert turn("hi", [picture]).content == (picture, TextPart("hi"))
    assert turn("", [picture]).content == (picture,)
