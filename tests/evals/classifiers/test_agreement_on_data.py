"""The bar: `align` of a classifier against human labels gives the figures of scikit-learn and scipy, to 1e-9."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix, recall_score

import outlast as ol
from outlast.evals.judging.alignment import Alignment

DATA = Path(os.environ.get("OUTLAST_DATA", Path(__file__).parents[4] / "shared" / "data"))
EXACT = 1e-9


def rows(name: str, part: str) -> list[dict[str, Any]]:
    path = DATA / name / f"{part}.jsonl"
    if not path.exists():
        pytest.skip(f"no {path}: set OUTLAST_DATA to the folder with the data sets")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def labels_of(rubric: ol.Rubric, items: Sequence[Any], values: Sequence[Any]) -> ol.Labels:
    return ol.Labels(
        [ol.Label(item, value, rubric=rubric, author="people") for item, value in zip(items, values, strict=True)]
    )


def check_binary(
    report: Alignment, judge: ol.Classifier, items: Sequence[dict[str, str]], values: Sequence[str]
) -> None:
    """Every figure of the report from the bare verdicts, by scikit-learn."""
    said = [one.label for one in judge.classify_all([item[judge.field] for item in items])]
    assert report.n == len(items)
    assert report.accuracy.value == pytest.approx(accuracy_score(values, said), abs=EXACT)
    assert report.tpr is not None and report.tnr is not None  # noqa: PT018
    assert report.tpr.value == pytest.approx(recall_score(values, said, pos_label="pass"), abs=EXACT)
    assert report.tnr.value == pytest.approx(recall_score(values, said, pos_label="fail"), abs=EXACT)
    assert report.kappa.value == pytest.approx(cohen_kappa_score(values, said), abs=EXACT)
    table = confusion_matrix(values, said, labels=["fail", "pass"])
    assert np.array(report.confusion.counts).tolist() == table.tolist()
    assert report.baseline[1] == pytest.approx(
        max(np.mean([v == "pass" for v in values]), np.mean([v == "fail" for v in values])), abs=EXACT
    )


def test_summeval_consistency_as_pass_or_fail() -> None:
    rubric = ol.Rubric("consistency", "The summary is consistent with the article.")
    train, dev = rows("summeval", "train")[:480], rows("summeval", "dev")

    def read(part: list[dict[str, Any]]) -> tuple[list[dict[str, str]], list[str]]:
        items = [{"summary": row["summary"], "doc_id": row["doc_id"]} for row in part]
        return items, ["pass" if row["consistency"] >= 4.5 else "fail" for row in part]

    judge = ol.train_classifier(labels_of(rubric, *read(train)), field="summary", rubric=rubric, groups="doc_id")
    items, values = read(dev)
    unique = {item["summary"]: (item, value) for item, value in zip(items, values, strict=True)}
    items, values = [item for item, _ in unique.values()], [value for _, value in unique.values()]
    report = ol.align(judge, labels_of(rubric, items, values), cluster="doc_id")
    check_binary(report, judge, items, values)
    assert report.accuracy.method.startswith("cluster-robust")


def test_summeval_coherence_on_a_scale_from_1_to_5() -> None:
    rubric = ol.Rubric("coherence", "The summary is well organised.", scale=(1, 5))
    train, dev = rows("summeval", "train")[:400], rows("summeval", "dev")

    def read(part: list[dict[str, Any]]) -> tuple[list[dict[str, str]], list[float]]:
        unique = {row["summary"]: row for row in part}
        items = [{"summary": row["summary"], "doc_id": row["doc_id"]} for row in unique.values()]
        return items, [row["coherence"] for row in unique.values()]

    judge = ol.train_classifier(
        labels_of(rubric, *read(train)), field="summary", rubric=rubric, groups="doc_id", weights=None
    )
    items, values = read(dev)
    report = ol.align(judge, labels_of(rubric, items, values))
    said = [one.label for one in judge.classify_all([item["summary"] for item in items])]
    levels = [rubric.nearest(value) for value in values]
    assert report.accuracy.value == pytest.approx(accuracy_score(levels, said), abs=EXACT)
    expected = cohen_kappa_score(levels, said, labels=[1, 2, 3, 4, 5], weights="quadratic")
    assert report.kappa.value == pytest.approx(expected, abs=EXACT)
    assert report.spearman is not None
    assert report.spearman.value == pytest.approx(spearmanr(values, said).statistic, abs=EXACT)
    table = confusion_matrix(levels, said, labels=[1, 2, 3, 4, 5])
    assert np.array(report.confusion.counts).tolist() == table.tolist()
    apart = np.abs((np.array(values) - 1) / 4 - (np.array(said, dtype=float) - 1) / 4)
    assert report.distance is not None
    assert report.distance.value == pytest.approx(apart.mean(), abs=EXACT)


def test_pii_synth_names_a_country_or_city() -> None:
    rubric = ol.Rubric("no places", "The text names no place.")

    def read(part: str) -> tuple[list[dict[str, str]], list[str]]:
        unique = {row["text"]: row for row in rows("pii_synth", part)}
        items = [{"text": row["text"], "template": str(row["template_id"])} for row in unique.values()]
        return items, ["fail" if any(s["type"] == "GPE" for s in r["spans"]) else "pass" for r in unique.values()]

    judge = ol.train_classifier(labels_of(rubric, *read("train")), field="text", rubric=rubric, groups="template")
    items, values = read("dev")
    check_binary(ol.align(judge, labels_of(rubric, items, values)), judge, items, values)


def test_bipia_email_carries_an_attack() -> None:
    rubric = ol.Rubric("no orders", "The e-mail gives no orders to whoever reads it for somebody else.")

    def read(part: str) -> tuple[list[dict[str, str]], list[str]]:
        items: list[dict[str, str]] = []
        values: list[str] = []
        for row in rows("bipia_email", part):
            text, home = row["context"], row["id"].rsplit("-", 1)[0]
            place = {"start": 0, "middle": len(text) // 2}.get(row["position"], len(text))
            items.append({"mail": f"{text[:place]} {row['attack']} {text[place:]}", "home": home})
            values.append("fail")
            if {"mail": text, "home": home} not in items:
                items.append({"mail": text, "home": home})
                values.append("pass")
        return items, values

    judge = ol.train_classifier(labels_of(rubric, *read("train")), field="mail", rubric=rubric, groups="home")
    items, values = read("test")
    check_binary(ol.align(judge, labels_of(rubric, items, values), cluster="home"), judge, items, values)


def test_banking77_one_intent_against_the_rest() -> None:
    rubric = ol.Rubric("about the arrival of a card", "The message asks when a card arrives.")

    def read(part: str, count: int) -> tuple[list[dict[str, str]], list[str]]:
        unique = {row["text"]: row for row in rows("banking77", part)}
        own = [row for row in unique.values() if row["label"] == "card_arrival"]
        rest = [row for row in unique.values() if row["label"] != "card_arrival"][:count]
        return [{"text": row["text"]} for row in own + rest], ["pass"] * len(own) + ["fail"] * len(rest)

    judge = ol.train_classifier(labels_of(rubric, *read("train", 400)), field="text", rubric=rubric)
    items, values = read("test", 400)
    report = ol.align(judge, labels_of(rubric, items, values))
    check_binary(report, judge, items, values)
    assert report.accuracy.value > 0.85


def test_banking77_as_a_judge_of_five_intents_on_a_scale_of_names() -> None:
    """Several classes: the report of training counts what scikit-learn counts on the verdicts of other folds."""
    wanted = ("age_limit", "card_arrival", "exchange_rate", "lost_or_stolen_card", "pending_transfer")
    unique = {row["text"]: row["label"] for row in rows("banking77", "train") if row["label"] in wanted}
    found = ol.train_classifier((list(unique), list(unique.values())))
    table = np.array(found.report.confusion)
    truth = [one for one, row in zip(wanted, table, strict=True) for _ in range(row.sum())]
    said = [other for row in table for other, count in zip(wanted, row, strict=True) for _ in range(count)]
    assert found.report.accuracy.value == pytest.approx(accuracy_score(truth, said), abs=EXACT)
    assert found.report.agreement == pytest.approx(cohen_kappa_score(truth, said), abs=EXACT)
    recalls = recall_score(truth, said, average=None, labels=list(wanted))
    assert [one.value for one in found.report.recall] == pytest.approx(list(recalls), abs=EXACT)
    assert found.report.accuracy.value > 0.9
