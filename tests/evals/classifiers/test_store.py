"""Files of classifiers: the same to the last bit after loading, and hostile ones refused."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.data.jsonform import content_hash
from outlast.errors import ArtifactError, UsageError
from outlast.evals.classifiers import store

TEXTS = [f"{'good' if n % 2 else 'bad'} news {n} about {n * 7919 % 13}" for n in range(60)]
VALUES = [bool(n % 2) for n in range(60)]


def letters(texts: list[str]) -> list[list[float]]:
    return [[float(text.count(chr(97 + place))) + 0.01 for place in range(26)] for text in texts]


@pytest.fixture(scope="module")
def small() -> ol.Classifier:
    return ol.train_classifier((TEXTS, VALUES), name="news", abstain=ol.Abstain(coverage=0.9))


def kinds() -> list[tuple[str, Any, Any]]:
    several = [["red", "green", "blue"][n % 3] for n in range(60)]
    colours = [f"{value} thing {n}" for n, value in enumerate(several)]
    items = [{"source": f"page {n}", "answer": f"{'page' if n % 2 else 'leaf'} {n}"} for n in range(60)]
    return [
        ("platt", (TEXTS, VALUES), {}),
        ("isotonic", (TEXTS, VALUES), {"calibration": "isotonic"}),
        ("temperature", (colours, several), {}),
        ("pairs", (items, VALUES), {"source": "source"}),
        ("embedding", (TEXTS, VALUES), {"embed": letters}),
        ("both", (TEXTS, VALUES), {"embed": letters, "text": True}),
    ]


@pytest.mark.parametrize(
    ("kind", "labels", "options"), kinds(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_saved_classifier_is_the_same_to_the_last_bit(kind: str, labels: Any, options: Any, tmp_path: Path) -> None:
    made = ol.train_classifier(labels, **options)
    path = made.save(tmp_path / "folder" / "news.classifier.json")
    found = ol.Classifier.load(path, embed=options.get("embed"))
    assert found == made
    assert found.report == made.report
    sources = ["page 3", "leaf"] if "source" in options else None
    fresh = ["good leaf 3 \u00e9", "page of bad news, red"]
    assert found.classify_all(fresh, sources=sources) == made.classify_all(fresh, sources=sources)
    assert found.save(tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_loading_needs_no_scikit_learn_and_no_scipy(small: ol.Classifier, tmp_path: Path) -> None:
    import subprocess
    import sys

    path = small.save(tmp_path / "c.json")
    code = (
        f"import sys; import outlast as ol; c = ol.Classifier.load({str(path)!r}); assert c('good news') > 0.5; "
        "print([name for name in ('sklearn', 'scipy', 'pickle5', 'joblib') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"


def rewritten(path: Path, change: Any) -> None:
    """The file with a change of its content, and a hash that fits it."""
    data = json.loads(path.read_text())
    data.pop("hash")
    change(data)
    path.write_text(json.dumps({**data, "hash": content_hash(data)}))


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("expected 'outlast classifier 1'", lambda d: d.update(format="outlast classifier 2")),
        ("2 to 1000 classes", lambda d: d.update(classes=[True])),
        ("2 to 1000 classes", lambda d: d.update(classes=[str(n) for n in range(2000)])),
        ("different texts", lambda d: d.update(classes=[[1], [2]])),
        ("different texts", lambda d: d.update(classes=["a", "a"], positive="a")),
        ("positive is one of", lambda d: d.update(positive="yes")),
        ("weights have", lambda d: d.update(words=d["words"][:-1], idf=d["idf"][:-1])),
        ("idf has", lambda d: d.update(idf=d["idf"][:-1])),
        ("idf has finite numbers", lambda d: d["idf"].__setitem__(0, 1e300)),
        ("expected text", lambda d: d["words"].__setitem__(0, 7)),
        ("bias has 1 numbers", lambda d: d.update(bias=[])),
        ("weights have", lambda d: d.update(weights="AAAA")),
        ("no classifier that outlast wrote", lambda d: d.update(weights="!!!")),
        ("finite numbers", lambda d: d.update(weights=nan_like(d["weights"]))),
        ("least is a share", lambda d: d.update(least=7)),
        ("costs are above 0", lambda d: d.update(costs=[0, 1])),
        ("no calibration of 2 classes", lambda d: d.update(calibration={"kind": "temperature", "temperature": 1.0})),
        ("no calibration of 2 classes", lambda d: d.update(calibration={"kind": "os.system"})),
        ("no classifier that outlast wrote", lambda d: d.update(calibration={"kind": "platt"})),
        ("a curve rises", lambda d: d.update(calibration={"kind": "isotonic", "margins": [1, 0], "values": [0, 1]})),
        ("dimensions is a whole number", lambda d: d.update(dimensions=10**12)),
        ("weights have", lambda d: d.update(dimensions=10**6)),
        ("scaling has", lambda d: d.update(source="page")),
        ("a source needs", lambda d: d.update(source="page", scaling=None)),
        ("weights have", lambda d: d.update(scaling=None)),
        ("no classifier that outlast wrote", lambda d: d.pop("report")),
        ("no classifier that outlast wrote", lambda d: d.update(report={"classes": 3})),
        ("expected text", lambda d: d.update(field=None)),
    ],
)
def test_a_file_that_does_not_fit_is_refused(words: str, change: Any, small: ol.Classifier, tmp_path: Path) -> None:
    path = small.save(tmp_path / "c.json")
    rewritten(path, change)
    with pytest.raises(ArtifactError, match=words):
        ol.Classifier.load(path)


def nan_like(text: str) -> str:
    import base64

    raw = base64.b64decode(text)
    return base64.b64encode(b"\x00\x00\xc0\x7f" * (len(raw) // 4)).decode()


@pytest.mark.parametrize(
    ("words", "content"),
    [
        ("not valid JSON", b""),
        ("not valid JSON", b"\x80\x04K\x01."),
        ("not valid JSON", b'{"format": NaN}'),
        ("not valid JSON", b"[" * 200_000),
        ("expected 'outlast classifier 1'", b"[1, 2]"),
        ("expected 'outlast classifier 1'", b'"text"'),
        ("damaged or was edited", b'{"format": "outlast classifier 1"}'),
    ],
)
def test_what_is_no_classifier_is_refused(words: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=words):
        ol.Classifier.load(path)


def test_any_changed_byte_is_noticed(small: ol.Classifier, tmp_path: Path) -> None:
    path = small.save(tmp_path / "c.json")
    raw = path.read_bytes()
    draw = random.Random(0)
    for _ in range(40):
        place = draw.randrange(len(raw))
        changed = bytes([(raw[place] + 1 + draw.randrange(200)) % 256])
        path.write_bytes(raw[:place] + changed + raw[place + 1 :])
        try:
            found = ol.Classifier.load(path)
        except ArtifactError:
            continue
        assert found == small  # white space


def test_other_places_and_sizes_are_refused(
    small: ol.Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small.save(tmp_path / "c.json")
    with pytest.raises(ArtifactError, match="is not a file"):
        ol.Classifier.load(tmp_path)
    with pytest.raises(ArtifactError, match="cannot read"):
        ol.Classifier.load(tmp_path / "none.json")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ArtifactError, match="is not a file"):
        ol.Classifier.load(pipe)
    monkeypatch.setattr(store, "MAX_BYTES", 1000)
    with pytest.raises(ArtifactError, match="at most 1000"):
        ol.Classifier.load(path)
    with pytest.raises(ArtifactError, match="at most 1000"):
        small.save(path)


def test_another_embedding_is_noticed(tmp_path: Path) -> None:
    path = ol.train_classifier((TEXTS, VALUES), embed=letters).save(tmp_path / "c.json")
    with pytest.raises(UsageError, match="trained on an embedding"):
        ol.Classifier.load(path)
    with pytest.raises(ArtifactError, match="is not the embedding that the classifier was trained with"):
        ol.Classifier.load(path, embed=lambda texts: [row[::-1] for row in letters(texts)])
    with pytest.raises(ArtifactError, match="is not the embedding"):
        ol.Classifier.load(path, embed=lambda texts: [row[:5] for row in letters(texts)])


def test_a_classifier_of_texts_takes_no_embedding(small: ol.Classifier, tmp_path: Path) -> None:
    path = small.save(tmp_path / "c.json")
    with pytest.raises(UsageError, match="leave embed= out"):
        ol.Classifier.load(path, embed=letters)
