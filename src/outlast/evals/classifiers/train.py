"""`train_classifier`: a trained evaluator from a few hundred labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from outlast.errors import DataError, UsageError, brief
from outlast.evals.classifiers.classifier import Classifier
from outlast.evals.classifiers.deciding import Abstain, as_abstain, costs_of
from outlast.evals.classifiers.embedding import PROBE, Embed, embedded
from outlast.evals.classifiers.reading import Class, Labelled, passing, read_labelled
from outlast.evals.classifiers.report import shown
from outlast.evals.classifiers.training import Plan, need_scikit, train
from outlast.evals.judging.labels import Labels
from outlast.evals.judging.rubric import Rubric
from outlast.evals.score import check_metric

CalibrationKind = Literal["auto", "platt", "isotonic", "temperature"]


def train_classifier(
    labels: Labels | tuple[Iterable[Any], Iterable[Any]],
    *,
    field: str = "answer",
    source: str | None = None,
    rubric: Rubric | None = None,
    positive: Class | None = None,
    embed: Embed | None = None,
    text: bool | None = None,
    weights: Literal["balanced"] | Mapping[Any, float] | None = "balanced",
    calibration: CalibrationKind = "auto",
    abstain: Abstain | float | None = None,
    escalate_to: Any = None,
    groups: str | Sequence[Any] | None = None,
    folds: int = 5,
    max_features: int = 20_000,
    seed: int = 0,
    name: str | None = None,
) -> Classifier:
    """Train a classifier on a few hundred labels, and say by cross-validation how good it is.

        clean = ol.train_classifier(labels, field="reply", abstain=0.95, escalate_to=judge)
        clean.report
        ol.evaluate(program, data, clean)

    `labels` are `ol.Labels` (of `rubric`, where there are several), or a pair of texts and classes (texts, whole
    numbers or bools). `field` is the text that is judged; with `source`, a second field, the features also say what of
    the one stands in the other, and items are mappings. Features are n-grams of words and characters; with `embed`, a
    function from texts to vectors, those vectors instead, or both with `text=True`. `positive` is the class that
    passes: True, 1, "pass", "yes", "good" by themselves. With a `rubric` the classifier judges by it, so that
    `ol.align(classifier, labels)` says how well, and levels of a scale score from 0 to 1.

    `weights` say what a mistake about a text of each class costs: "balanced" counts all classes alike, None all texts.
    `abstain` is the share that must be right among the verdicts that are given; what is less sure goes to
    `escalate_to`, a judge or any metric, or is unscored. `groups` names a field (or gives a value for each text) that
    belongs together, such as the document: folds never cut through it. Equal texts, and labels of equal inputs, belong
    together by themselves. `max_features` bounds the n-grams of words, and those of characters.

    Vocabulary, regularisation, calibration and threshold are made anew from each training part, so no figure of the
    report rests on a text that it was made from. Raises `DataError` when a class has fewer than 10 labels, and when
    the cross-validated verdicts are not clearly better than a baseline that looks at no text: it would be a coin
    with a file format. Needs scikit-learn (extra `train`). Cost: no LM call; seconds for some hundred texts.
    """
    need_scikit()
    if calibration not in ("auto", "platt", "isotonic", "temperature"):
        raise UsageError(f"calibration is 'auto', 'platt', 'isotonic' or 'temperature'; got {brief(calibration)}")
    if isinstance(max_features, bool) or not isinstance(max_features, int) or not 1 <= max_features <= 200_000:
        raise UsageError(f"max_features is a whole number from 1 to 200,000; got {brief(max_features)}")
    if escalate_to is not None:
        check_metric(escalate_to)
    wanted = as_abstain(abstain)
    data = read_labelled(labels, field, source, rubric, groups)
    if calibration not in ("auto", *(("temperature",) if len(data.classes) > 2 else ("platt", "isotonic"))):
        raise UsageError(f"{calibration!r} is no calibration for {len(data.classes)} classes; leave it at 'auto'")
    passes = None if rubric is not None and not rubric.binary else passing(data.classes, positive)
    costs = costs_of(weights, data.classes, data.values)
    probe = None
    if embed is not None:
        vectors = embedded(embed, [PROBE, *data.seen.texts])
        probe, data = vectors[0], _with_vectors(data, vectors[1:])
    use_text = (embed is None) if text is None else text
    if not use_text and embed is None and source is None:
        raise UsageError("text=False leaves nothing to see: give embed=... or source=...")
    plan = Plan(data.classes, costs, use_text, max_features, calibration, wanted, folds, seed)
    trained, report = train(data, plan)
    if not report.better:
        raise DataError(
            f"the classifier is not clearly better than a baseline that looks at no text: balanced accuracy "
            f"{shown(report.balanced)}, and {1 / len(data.classes):.1%} without looking. Label more, look at "
            f"other fields (field=, source=, embed=), or ask a judge.\n{report}"
        )
    called = name or (rubric.name if rubric is not None else "classifier")
    return Classifier(
        called,
        data.classes,
        passes,
        field,
        source,
        trained.model,
        trained.calibration,
        costs,
        trained.least,
        report,
        embed,
        probe,
        escalate_to,
        rubric,
    )


def _with_vectors(data: Labelled, vectors: Any) -> Labelled:
    return replace(data, seen=data.seen._replace(vectors=vectors))
