"""A classifier as one file of JSON: no pickle, nothing that runs, every size bounded before it is used."""

from __future__ import annotations

import base64
import json
import math
import os
import platform
import stat
from collections.abc import Mapping
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from outlast.data.files import write_whole
from outlast.data.jsonform import content_hash
from outlast.errors import ArtifactError, UsageError, brief
from outlast.evals.classifiers.calibration import KINDS, Calibration, Isotonic, Platt
from outlast.evals.classifiers.classifier import Classifier
from outlast.evals.classifiers.embedding import Embed, check_probe
from outlast.evals.classifiers.features import Vocabulary
from outlast.evals.classifiers.figures import PAIR, SHAPE
from outlast.evals.classifiers.linear import Features, Linear, numpy
from outlast.evals.classifiers.report import TrainingReport
from outlast.evals.judging.rubric import Rubric

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

FORMAT = "outlast classifier 1"
MAX_BYTES = 64 << 20
MAX_CLASSES = 1_000
MAX_FEATURES = 1_000_000
_MOST_POINTS = 1_000_000


def save(classifier: Classifier, path: str | os.PathLike[str]) -> Path:
    """Write a classifier to `path`, atomically. Raises `ArtifactError` when it cannot be written, or is too big."""
    from outlast import __version__

    body = body_of(classifier)
    body["versions"] = {"outlast": __version__, "python": platform.python_version()}
    raw = json.dumps({**body, "hash": content_hash(body)}, ensure_ascii=True, allow_nan=False, indent=0).encode()
    target = Path(path)
    if len(raw) > MAX_BYTES:
        raise ArtifactError(
            f"{str(target)!r} would have {len(raw)} bytes; a classifier has at most {MAX_BYTES}. Train with fewer "
            f"features (max_features=...)"
        )
    try:
        write_whole(target, raw + b"\n")
    except OSError as error:
        raise ArtifactError(f"cannot write {str(target)!r}: {error.strerror or error}") from error
    return target


def body_of(classifier: Classifier) -> dict[str, Any]:
    """The content of the file, but for its hash and versions."""
    model, vocabulary = classifier.model, classifier.model.features.vocabulary
    return {
        "format": FORMAT,
        "name": classifier.name,
        "classes": list(classifier.classes),
        "positive": classifier.positive,
        "field": classifier.field,
        "source": classifier.source,
        "rubric": None if classifier.rubric is None else classifier.rubric.to_json(),
        "costs": list(classifier.costs),
        "least": classifier.least,
        "words": list(vocabulary.words) if vocabulary else None,
        "characters": list(vocabulary.characters) if vocabulary else None,
        "idf": list(vocabulary.weights) if vocabulary else None,
        "scaling": [list(part) for part in model.features.scaling] if model.features.scaling else None,
        "dimensions": model.features.dimensions,
        "probe": None if classifier.probe is None else _packed(classifier.probe),
        "weights": _packed(model.weights),
        "bias": model.bias.tolist(),
        "calibration": {"kind": _kind(classifier.calibration), **asdict(classifier.calibration)},
        "report": json.loads(json.dumps(classifier.report.to_json())),
    }


def load(path: str | os.PathLike[str], embed: Embed | None) -> Classifier:
    """The classifier in a file; see `Classifier.load`."""
    name = repr(str(path))
    data = _read(Path(path), name)
    try:
        found = _classifier(data, embed)
    except ArtifactError as error:
        raise ArtifactError(f"{name}: {error}") from None
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ArtifactError(f"{name} is no classifier that outlast wrote: {type(error).__name__}: {error}") from error
    if (found.probe is None) != (embed is None):
        if embed is not None:
            raise UsageError(f"{name} was trained on texts alone; leave embed= out")
        raise UsageError(f"{name} was trained on an embedding; give the same one, embed=...")
    if embed is not None and found.probe is not None:
        check_probe(embed, found.probe)
    return found


def _read(path: Path, name: str) -> dict[str, Any]:
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise ArtifactError(f"{name} is not a file")
        if about.st_size > MAX_BYTES:
            raise ArtifactError(f"{name} has {about.st_size} bytes; a classifier has at most {MAX_BYTES}")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ArtifactError(f"cannot read {name}: {error.strerror or error}") from error
    if len(raw) > MAX_BYTES:
        raise ArtifactError(f"{name} has more than {MAX_BYTES} bytes, which no classifier has")
    try:
        data = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{name} is not valid JSON: {brief(str(error))}") from error
    found = cast("dict[str, Any]", data).get("format") if isinstance(data, dict) else data
    if found != FORMAT:
        raise ArtifactError(f"{name} is no classifier of this version: expected {FORMAT!r}, got {brief(found)}")
    body = cast("dict[str, Any]", data)
    said = body.pop("hash", None)
    try:
        whole = content_hash(body)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{name} cannot be read: {brief(str(error))}") from error
    if said != whole:
        raise ArtifactError(
            f"{name} is damaged or was edited: its content has the hash {whole}, and it says {brief(said)}. Train again"
        )
    return body


def _classifier(data: Mapping[str, Any], embed: Embed | None) -> Classifier:
    classes: tuple[Any, ...] = tuple(data["classes"])
    if not 2 <= len(classes) <= MAX_CLASSES or any(type(one) is not type(classes[0]) for one in classes):
        raise ArtifactError(f"a classifier has 2 to {MAX_CLASSES} classes of one kind; got {brief(classes)}")
    if not all(isinstance(one, str | int) for one in classes) or len(set(classes)) != len(classes):
        raise ArtifactError(f"classes are different texts, numbers or bools; got {brief(classes)}")
    positive = data["positive"]
    if positive is not None and positive not in classes:
        raise ArtifactError(f"positive is one of the classes; got {brief(positive)}")
    features = _features(data)
    columns = 1 if len(classes) == 2 else len(classes)
    weights = _unpacked(data["weights"], (len(features), columns))
    bias = numpy().array(_numbers(data["bias"], columns, "bias"))
    least, costs = _numbers([data["least"]], 1, "least")[0], _numbers(data["costs"], len(classes), "costs")
    if not 0 <= least <= 1 or min(costs) <= 0:
        raise ArtifactError(f"least is a share and costs are above 0; got {least} and {brief(costs)}")
    dimensions = features.dimensions
    return Classifier(
        _text(data["name"]),
        classes,
        positive,
        _text(data["field"]),
        None if data["source"] is None else _text(data["source"]),
        Linear(features, weights, bias),
        _calibration(data["calibration"], len(classes)),
        costs,
        least,
        TrainingReport.from_json(data["report"]),
        embed,
        _unpacked(data["probe"], (dimensions,)) if dimensions else None,
        rubric=None if data["rubric"] is None else _rubric(data["rubric"], classes),
    )


def _rubric(data: Any, classes: tuple[Any, ...]) -> Rubric:
    rubric = Rubric.from_json(data)
    if not all(one in rubric.levels for one in classes):
        raise ArtifactError(f"the classes are levels of the rubric; got {brief(classes)}")
    return rubric


def _features(data: Mapping[str, Any]) -> Features:
    vocabulary, dimensions = None, data["dimensions"]
    if isinstance(dimensions, bool) or not isinstance(dimensions, int) or not 0 <= dimensions <= MAX_FEATURES:
        raise ArtifactError(f"dimensions is a whole number from 0 to {MAX_FEATURES}; got {brief(dimensions)}")
    if data["words"] is not None:
        words, characters = (tuple(map(_text, data[name])) for name in ("words", "characters"))
        if len(words) + len(characters) > MAX_FEATURES:
            raise ArtifactError(f"there are more than {MAX_FEATURES} features")
        idf = _numbers(data["idf"], len(words) + len(characters), "idf")
        vocabulary = Vocabulary(words, characters, idf)
    scaling = None
    if data["scaling"] is not None:
        count = len(SHAPE) + (0 if data["source"] is None else len(PAIR))
        means, deviations = (_numbers(part, count, "scaling") for part in data["scaling"])
        if min(deviations) <= 0:
            raise ArtifactError("deviations are above 0")
        scaling = means, deviations
    elif data["source"] is not None:
        raise ArtifactError("a source needs its scaling")
    return Features(vocabulary, scaling, dimensions)


def _calibration(data: Mapping[str, Any], classes: int) -> Calibration:
    kind = data["kind"]
    if kind not in KINDS or (kind == "temperature") != (classes > 2):
        raise ArtifactError(f"no calibration of {classes} classes is called {brief(kind)}")
    if kind == "platt":
        return Platt(*_numbers([data["slope"], data["offset"]], 2, "calibration"))
    if kind == "isotonic":
        count = len(data["margins"])
        if not 0 < count <= _MOST_POINTS:
            raise ArtifactError(f"a curve has 1 to {_MOST_POINTS} points; got {count}")
        margins, values = (_numbers(data[name], count, name) for name in ("margins", "values"))
        if any(a >= b for a, b in pairwise(margins)) or min(values) < 0 or max(values) > 1:
            raise ArtifactError("a curve rises from 0 to 1")
        return Isotonic(margins, values)
    (temperature,) = _numbers([data["temperature"]], 1, "temperature")
    if temperature <= 0:
        raise ArtifactError("a temperature is above 0")
    return KINDS[kind](temperature)  # pyright: ignore[reportCallIssue]


def _kind(calibration: Calibration) -> str:
    return next(name for name, kind in KINDS.items() if type(calibration) is kind)


def _packed(values: Array) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode("ascii")


def _unpacked(text: Any, shape: tuple[int, ...]) -> Array:
    np = numpy()
    raw = base64.b64decode(_text(text), validate=True)
    if len(raw) != 4 * math.prod(shape):
        raise ArtifactError(f"weights have {len(raw)} bytes where the rest of the file means {4 * math.prod(shape)}")
    values = np.frombuffer(raw, dtype="<f4").astype(np.float32).reshape(shape)
    if not np.isfinite(values).all():
        raise ArtifactError("weights are finite numbers")
    return values


def _numbers(values: Any, count: int, name: str) -> tuple[float, ...]:
    if not isinstance(values, list) or len(cast("list[Any]", values)) != count:
        raise ArtifactError(f"{name} has {count} numbers; got {brief(values)}")
    found = cast("list[Any]", values)
    if not all(isinstance(one, int | float) and not isinstance(one, bool) and abs(one) < 1e30 for one in found):
        raise ArtifactError(f"{name} has finite numbers; got {brief(found)}")
    return tuple(map(float, found))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ArtifactError(f"expected text; got {brief(value)}")
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
