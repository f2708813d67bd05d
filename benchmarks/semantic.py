"""How often a semantic cache is wrong on real questions, and whether its calibration keeps its promise.

    python benchmarks/semantic.py [--data ../shared/data/banking77] [--json]

banking77: questions to a bank, 77 intents. A hit is wrong when the nearest question has another intent. 4,000
questions of the training part are compared by spelling alone, each with all others, at several thresholds. Then
thresholds are calibrated on them for some error rates, and measured on the 3,080 questions of the test part.

Bar: on the test part the error rate that was promised is not refuted (it is above the lower end of the 95% interval).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from outlast.errors import ConfigError
from outlast.lms.caching.lexical import lexical
from outlast.lms.caching.semantic import SemanticCache

HERE = Path(__file__).resolve().parent
THRESHOLDS = (0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5)
PROMISES = (0.01, 0.05, 0.1, 0.15)


def rows(folder: Path, name: str, count: int) -> list[tuple[str, str]]:
    lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()[:count]
    return [(row["text"], row["label"]) for row in map(json.loads, lines)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data" / "banking77")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if not options.data.exists():
        print(f"no {options.data} here, nothing was measured")
        return 1
    train, test = rows(options.data, "train", 4000), rows(options.data, "test", 4000)
    began = time.process_time()
    lexical([text for text, _ in train[:500]])
    figures: dict[str, Any] = {"embed_us": (time.process_time() - began) / 500 * 1e6, "promises": {}}
    figures["thresholds"] = {t: str(SemanticCache.measure(train, t)) for t in THRESHOLDS}
    kept: list[bool] = []
    for promise in PROMISES:
        try:
            calibration = SemanticCache.calibrate(train, promise)
        except ConfigError as error:
            figures["promises"][promise] = str(error)
            continue
        found = SemanticCache.measure(test, calibration.threshold)
        kept.append(found.low <= promise)
        figures["promises"][promise] = f"{calibration}; on the test part {found}"
    if options.json:
        print(json.dumps(figures))
        return 0
    print(f"a text as a vector: {figures['embed_us']:.0f} us of CPU")
    print("\n".join(figures["thresholds"].values()))
    for promise, text in figures["promises"].items():
        print(f"promised {promise:.0%}: {text}")
    met = bool(kept) and all(kept)
    print(
        f"BAR {'PASS' if met else 'FAIL'} {sum(kept)} of {len(kept)} promised error rates hold on questions never seen"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
