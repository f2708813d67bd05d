"""What a classifier costs to serve beside scikit-learn's own pipeline, and how good it is on labelled data.

    python benchmarks/classifiers.py [--data ../shared/data] [--json]

Serving: one text at a time and 200 at once, our classifier and scikit-learn's `predict_proba` of the same kind of
model (tf-idf of words and of characters, logistic regression) on the same texts in the same run. Quality: trained on
300 labels, tested on the test part: banking77 (is a message about a card that has not come?), bipia_email (does a mail
carry an order to the reader's assistant?), with intervals. "Balanced" is the mean of the shares right of both classes,
which is 50% for whatever does not look; the attacks of the test part are of other kinds than those of training.

Bars: the median of one text of 300 to 3,000 characters is at most 10 ms and at most that of the pipeline; on both data
sets the balanced accuracy on the test part is above 50%, the whole interval of it.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import outlast as ol
from outlast.evals.classifiers.report import mean_recall, shown
from outlast.evals.statistics import wilson

HERE = Path(__file__).resolve().parent


def rows(data: Path, name: str, part: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (data / name / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()]


def intents(data: Path, part: str, count: int) -> tuple[list[str], list[bool], list[str]]:
    found = rows(data, "banking77", part)
    random.Random(0).shuffle(found)
    own = [row["text"] for row in found if row["label"] == "card_arrival"][: count // 3]
    rest = [row["text"] for row in found if row["label"] != "card_arrival"][: count - len(own)]
    texts = own + rest
    return texts, [True] * len(own) + [False] * len(rest), texts


def mails(data: Path, part: str, count: int) -> tuple[list[str], list[bool], list[str]]:
    texts: list[str] = []
    values: list[bool] = []
    groups: list[str] = []
    seen: set[str] = set()
    for row in rows(data, "bipia_email", part):
        text, home = row["context"], row["id"].rsplit("-", 1)[0]
        place = {"start": 0, "middle": len(text) // 2}.get(row["position"], len(text))
        texts.append(f"{text[:place]} {row['attack']} {text[place:]}")
        values.append(False)
        groups.append(home)
        if text not in seen:
            seen.add(text)
            texts.append(text)
            values.append(True)
            groups.append(home)
    return texts[:count], values[:count], groups[:count]


def pipeline(texts: list[str], values: list[bool]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    seen = make_union(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, max_features=20_000),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), min_df=2, sublinear_tf=True, max_features=20_000),
    )
    return make_pipeline(seen, LogisticRegression(C=10, max_iter=1000)).fit(texts, values)


def times(call: Callable[[str], Any], texts: list[str]) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds."""
    for text in texts[:20]:
        call(text)
    taken: list[float] = []
    for text in texts:
        began = time.perf_counter()
        call(text)
        taken.append((time.perf_counter() - began) * 1e3)
    return statistics.median(taken), sorted(taken)[int(0.99 * len(taken))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if not options.data.exists():
        print(f"no {options.data} here, nothing was measured")
        return 1
    figures: dict[str, Any] = {}
    met: dict[str, bool] = {}
    for name, read in (("banking77", intents), ("bipia_email", mails)):
        texts, values, groups = read(options.data, "train", 300)
        began = time.perf_counter()
        ours = ol.train_classifier((texts, values), groups=groups, abstain=0.95, name=name)
        trained = time.perf_counter() - began
        theirs = pipeline(texts, values)
        fresh, truth, homes = read(options.data, "test", 1000)
        said = ours.classify_all(fresh)
        right = [one.label == value for one, value in zip(said, truth, strict=True)]
        kept = [hit for hit, one in zip(right, said, strict=True) if one.decided]
        other = [bool(one) == value for one, value in zip(theirs.predict(fresh), truth, strict=True)]
        balanced = mean_recall(right, [int(value) for value in truth], homes)
        balanced_other = mean_recall(other, [int(value) for value in truth], homes)
        figures[name] = {
            "trained_on": len(texts),
            "train_seconds": trained,
            "test": len(fresh),
            "accuracy": share(right),
            "balanced": shown(balanced),
            "pipeline_balanced": shown(balanced_other),
            "decided": share([one.decided for one in said]),
            "accuracy_decided": share(kept),
            "pipeline": share(other),
            "report": str(ours.report),
        }
        one = [
            times(ours.classify, fresh[:400]),
            times(lambda text, theirs=theirs: theirs.predict_proba([text]), fresh[:400]),
        ]
        batch = fresh[:200]
        many: list[float] = []
        for call in (ours.classify_all, theirs.predict_proba):
            began = time.perf_counter()
            call(batch)
            many.append((time.perf_counter() - began) / len(batch) * 1e3)
        length = statistics.median(map(len, fresh))
        figures[name] |= {"characters": length, "one_ms": one[0], "pipeline_one_ms": one[1], "batch_ms": many}
        met[f"{name}: balanced accuracy above 50% on the test part"] = balanced.interval.low > 0.5
        met[f"{name}: one text in at most 10 ms, and no slower than scikit-learn"] = one[0][0] <= min(10.0, one[1][0])
    if options.json:
        print(json.dumps(figures))
        return 0
    for name, found in figures.items():
        print(f"{name}: {found['trained_on']} labels, trained and cross-validated in {found['train_seconds']:.1f} s")
        print("  " + found["report"].replace("\n", "\n  "))
        print(f"  test part: balanced {found['balanced']}; right {found['accuracy']}")
        print(f"    decides {found['decided']}, of which {found['accuracy_decided']} right")
        print(f"    pipeline of scikit-learn: balanced {found['pipeline_balanced']}; right {found['pipeline']}")
        for who, taken, many in (
            ("outlast", found["one_ms"], found["batch_ms"][0]),
            ("scikit-learn", found["pipeline_one_ms"], found["batch_ms"][1]),
        ):
            print(
                f"  {who:<13} one text (median {found['characters']:.0f} characters): median {taken[0]:.2f} ms, p99 "
                f"{taken[1]:.2f} ms; in a batch {many:.2f} ms each"
            )
    for bar, held in met.items():
        print(f"BAR {'PASS' if held else 'FAIL'} {bar}")
    return 0 if all(met.values()) else 1


def share(hits: list[bool]) -> str:
    if not hits:
        return "none"
    interval = wilson(sum(hits), len(hits))
    return f"{sum(hits) / len(hits):.1%} ({interval.low:.1%}..{interval.high:.1%})"


if __name__ == "__main__":
    sys.exit(main())
