"""Media, documents and histories in all that keeps values: files, datasets, evaluations, ledgers, caches, traces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.data.example import id_of
from outlast.data.jsonform import json_form
from outlast.errors import ArtifactError, InputError, LMUnsupported
from outlast.testing import FakeServer, ScriptedLM

IMAGE = ol.Image.from_bytes(b"\x89PNG\r\n\x1a\n" + bytes(3))
REMOTE = ol.Image.from_url("https://example.org/cat.png")
LETTER = ol.Document("My car is broken.", "Letter")


class Claim(ol.Signature):
    """Decide a claim."""

    photos: list[ol.Image] = ol.input()
    letter: ol.Document = ol.input(default=LETTER)
    talk: ol.History | None = ol.input(default=None)
    pay: bool = ol.output()
    script: ol.Code = ol.output()


TALK = ol.History().add({"photos": [IMAGE]}, {"pay": False, "script": ol.Code("y")})
GIVEN: dict[str, Any] = {"photos": [IMAGE, REMOTE], "letter": LETTER, "talk": TALK}
ANSWER = {"pay": True, "script": ol.Code("x = 1", "python")}
REPLY = "<<pay>>\ntrue\n\n<<script>>\n```python\nx = 1\n```\n\n<<end>>"


def program(*demos: dict[str, Any]) -> Any:
    return ol.Predict(Claim, demos=[ol.Demo(demo, "hand") for demo in demos])


def test_demonstrations_are_kept_in_compiled_files(tmp_path: Path) -> None:
    compiled = program({**GIVEN, **ANSWER}, {"photos": [], "pay": False})
    path = ol.save(compiled, tmp_path / "claim.outlast.json")
    loaded = ol.load(path, program())
    assert loaded == compiled
    assert loaded.render(**GIVEN) == compiled.render(**GIVEN)


def test_media_that_no_file_holds_are_an_error_that_says_so(tmp_path: Path) -> None:
    huge = ol.File.from_bytes(b"%PDF-" + bytes(25 << 20))

    class Read(ol.Signature):
        file: ol.File = ol.input()
        total: int = ol.output()

    path = tmp_path / "big.outlast.json"
    with pytest.raises(ArtifactError, match="Media in demonstrations"):
        ol.save(ol.Predict(Read, demos=[{"file": huge, "total": 3}]), path)
    assert not path.exists()


def test_a_file_that_names_an_address_as_an_output_is_refused(tmp_path: Path) -> None:
    class Draw(ol.Signature):
        what: str = ol.input()
        picture: ol.Image = ol.output()

    path = ol.save(ol.Predict(Draw, demos=[{"what": "x", "picture": IMAGE}]), tmp_path / "draw.outlast.json")
    text = path.read_text()
    data = json.loads(text)
    data["parameters"]["demos"][0]["values"]["picture"] = REMOTE.to_json()
    path.write_text(json.dumps(data))
    with pytest.raises(ArtifactError, match="picture"):
        ol.load(path, ol.Predict(Draw))


def test_rows_of_datasets_hold_media(tmp_path: Path) -> None:
    example = ol.Example({"photos": [IMAGE, REMOTE], "letter": LETTER}, {"pay": True})
    dataset = ol.Dataset([example])
    path = tmp_path / "claims.jsonl"
    lines = [json.dumps({"inputs": json_form(one.inputs), "targets": json_form(one.targets)}) for one in dataset]
    path.write_text("\n".join(lines))
    (again,) = ol.Dataset.from_jsonl(path)
    assert id_of(again) == id_of(example)
    assert program().render(**again.inputs) == program().render(**example.inputs)


def test_evaluations_keep_rows_with_media(tmp_path: Path) -> None:
    data = ol.Dataset([ol.Example({"photos": [IMAGE]}, {"pay": True})])
    path = tmp_path / "rows.jsonl"
    with ol.context(lm=ScriptedLM([REPLY])):
        result = ol.evaluate(program(), data, metric=ol.exact_match("pay"), save=path)
    assert result.score.value == 1.0
    row = json.loads(path.read_text().splitlines()[1])
    assert row["inputs"]["photos"] == [IMAGE.to_json()]
    with ol.context(lm=ScriptedLM([])):
        again = ol.evaluate(program(), data, metric=ol.exact_match("pay"), save=path, resume=True)
    assert again.score.value == 1.0, "resumed without a call"


def test_a_search_keeps_media_and_histories_in_its_ledger(tmp_path: Path) -> None:
    rows = [
        ol.Example({**GIVEN, "letter": ol.Document(f"Letter {number}")}, {"pay": number % 2 == 0})
        for number in range(60)
    ]
    data = ol.Dataset(rows)

    def search(lm: ScriptedLM) -> Any:
        return ol.compile(
            program(),
            data,
            metric=ol.exact_match("pay"),
            optimizer=ol.BootstrapFewShot(max_bootstrapped=2, max_demos=3),
            lm=lm,
            budget=ol.Budget(calls=300),
            study=tmp_path / "study.db",
            progress=False,
        )

    lm = ScriptedLM(lambda messages: REPLY)
    compiled = search(lm)
    demos = compiled.report.candidate.changes["demos"]
    assert lm.calls > 0
    assert [demo.values["photos"] for demo in demos] == [[IMAGE, REMOTE]] * 3
    assert demos[0].values["talk"] == TALK
    assert demos[0].values["script"] == ANSWER["script"]
    calls = lm.calls
    again = search(lm)
    assert lm.calls == calls, "all is known"
    assert again.report.candidate == compiled.report.candidate


def test_traces_show_media_in_words() -> None:
    with ol.context(lm=ScriptedLM([REPLY])), ol.trace():
        program()(**GIVEN)
        text = repr(ol.history())
    assert "[image 1]⟨image/png 11 bytes⟩" in text
    assert "⟨image/png https://example.org/cat.png⟩" in text


def test_requests_are_cached_by_the_bytes_of_media(tmp_path: Path) -> None:
    from outlast.lms.caching.cache import Cached

    other = ol.Image.from_bytes(b"\x89PNG\r\n\x1a\n" + b"abc")
    inner = ScriptedLM([REPLY, REPLY.replace("true", "false")])
    lm = Cached(inner, tmp_path / "cache.db")
    with ol.context(lm=lm):
        assert program()(photos=[IMAGE]).pay is True
        assert program()(photos=[IMAGE]).pay is True
        assert program()(photos=[other]).pay is False
    assert inner.calls == 2


def test_the_baseline_refuses_what_it_cannot_look_at() -> None:
    with pytest.raises(LMUnsupported, match="baseline reads text only.*kind 'image'"):
        ol.Predict("photo: Image, n: int -> answer", lm="outlast/baseline")(photo=IMAGE, n=1)


def test_an_estimate_sees_the_steps_after_one_with_media() -> None:
    class Two(ol.Module):
        look = ol.Predict("photo: Image, n: int -> answer")
        judge = ol.Predict("answer -> fine: bool")

        def forward(self, photo: ol.Image, n: int) -> Any:
            return self.judge(answer=self.look(photo=photo, n=n).answer)

    data = [ol.Example({"photo": IMAGE, "n": 1})]
    found = ol.estimate(Two(), data, lm=ScriptedLM([]))
    assert found.calls == 2
    assert found.output_tokens.likely > 0


def test_a_model_that_takes_no_images_refuses_them_before_anything_is_sent() -> None:
    blind = ol.LM(
        "openai/x",
        base_url="http://127.0.0.1:9/v1",
        cache=False,
        capabilities=ol.Capabilities(without=frozenset({"images"})),
    )
    for adapter in (ol.Chat(), ol.JSON(), ol.XML()):
        with pytest.raises(LMUnsupported, match="takes no images"):
            ol.Predict(Claim, adapter=adapter, lm=blind)(photos=[IMAGE])


@pytest.mark.server
def test_images_are_on_the_wire_behind_their_references() -> None:
    seen: list[Any] = []

    def handler(request: Any) -> str:
        seen.append(request)
        return REPLY

    with FakeServer(handler) as server:
        lm = ol.LM("openai/x", base_url=server.url, api_key="k", cache=False)
        assert ol.Predict(Claim, lm=lm)(photos=[IMAGE, REMOTE]).pay is True
    content = seen[0]["messages"][-1]["content"]
    assert [part["type"] for part in content] == ["text", "image_url", "text", "image_url", "text"]
    assert content[0]["text"].endswith("[image 1]")
    assert content[1]["image_url"]["url"] == IMAGE.address
    assert content[3]["image_url"]["url"] == REMOTE.url


def test_a_text_in_place_of_an_image_is_refused_before_any_call() -> None:
    with ol.context(lm=ScriptedLM([])):
        for value in ("cat.png", "https://example.org/cat.png", Path("cat.png")):
            with pytest.raises(InputError, match="photos"):
                program()(photos=[value])
