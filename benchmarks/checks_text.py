"""How often the checks of text are right, and what they take.

    python benchmarks/checks_text.py

Cases are those of tests/checks/corpus/texts.py and forms.py: data sets of ../shared/data (OUTLAST_DATA names another
folder), the standard library, and seeded changes of them. "Wrong" is what a check has to find. No peer: the bars are
floors of precision and recall, and that a text of 10,000 characters takes less than 50 ms of CPU in the median.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "checks" / "corpus"))

import forms  # noqa: E402
import texts  # noqa: E402

import outlast as ol  # noqa: E402

FLOORS = {  # precision, recall
    "length": (1.0, 1.0),
    "length words": (0.94, 0.94),  # what is a word differs
    "length sentences": (0.95, 0.95),  # and what is a sentence
    "matches full": (1.0, 1.0),
    "matches absent": (0.99, 0.99),
    "one_of": (1.0, 1.0),
    "json_schema": (0.999, 0.999),
    "parses_python": (1.0, 1.0),
    "parses_python imports": (0.99, 0.99),
    "sql": (1.0, 1.0),
    "urls": (0.99, 0.999),
    "numbers_supported": (0.98, 0.98),
    "dates_supported": (0.98, 0.98),
    "entities_supported": (0.97, 0.97),
    "quotes_supported": (0.98, 0.98),
    "cites": (0.97, 0.97),
    "language en": (0.97, 0.93),
    "language de": (0.99, 0.9),
    "not_copied": (0.95, 0.99),
}
ALARMS = 0.35  # share of supported claims that people wrote which may fail: they use other names for the same
MOST_MS = 50.0


def main() -> int:
    """Print the tables; gives 1 when a bar is not met."""
    if not texts.DATA.is_dir():
        print(f"no data at {texts.DATA}; set OUTLAST_DATA")
        return 0
    fine = [accuracy(), latency()]
    return 0 if all(fine) else 1


def bar(met: bool, text: str) -> bool:
    print(f"BAR {'PASS' if met else 'FAIL'} {text}")
    return met


def accuracy() -> bool:
    print(f"{'check':22} {'fine':>6} {'alarms':>7} {'wrong':>6} {'caught':>7} {'precision':>10} {'recall':>7}  data")
    met: list[bool] = []
    for name, (data, cases) in {**forms.SETS, **texts.SETS}.items():
        found = texts.measured(cases())
        fine, wrong = found.passed + found.alarms, found.caught + found.missed
        figures = f"{found.precision:10.3f} {found.recall:7.3f}" if wrong else f"{'':10} {'':7}"
        print(f"{name:22} {fine:6,} {found.alarms:7,} {wrong:6,} {found.caught:7,} {figures}  {data}")
        if name in FLOORS:
            low = FLOORS[name]
            told = f"{name}: precision {found.precision:.3f} >= {low[0]}, recall {found.recall:.3f} >= {low[1]}"
            met.append(bar(found.precision >= low[0] and found.recall >= low[1], told))
        else:
            share = found.alarms / fine
            met.append(bar(share <= ALARMS, f"{name}: {share:.0%} of supported claims fail, at most {ALARMS:.0%}"))
    right, given = forms.mended()
    met.append(bar(right == given, f"one_of mends {right} of {given} labels in other case, space or quotes"))
    return all(met)


def checks() -> dict[str, tuple[ol.Check, str]]:
    """Each check with the field that it looks at."""
    c = ol.checks
    passages = [" ".join(row["sentences"]) for row in texts.corpus("scifact")]
    return {
        "length": (c.length("answer", max=100, unit="sentences", cut=True), ""),
        "matches": (c.matches("answer", r"\bsorry\b", absent=True), ""),
        "one_of": (c.one_of("answer", [row["label"] for row in texts.rows("banking77", "dev")]), ""),
        "json_schema": (
            c.json_schema("answer", {"type": "object", "additionalProperties": {"type": "string"}}),
            "json",
        ),
        "parses_python": (c.parses_python("answer", imports=["math"]), "python"),
        "sql": (c.sql("answer", dialect="postgres", tables=["orders"]), "sql"),
        "urls": (c.urls("answer", allow=["example.com"]), ""),
        "numbers_supported": (c.numbers_supported("answer", source="context"), ""),
        "dates_supported": (c.dates_supported("answer", source="context"), ""),
        "quotes_supported": (c.quotes_supported("answer", source="context"), ""),
        "entities_supported": (c.entities_supported("answer", source="context"), ""),
        "supported": (c.supported("answer", source="context"), ""),
        "cites": (c.cites("answer", sources="sources"), ""),
        "language": (c.language("answer", "en"), ""),
        "not_copied": (c.not_copied("answer", passages[:4000]), ""),
    }


def written(kind: str, text: str) -> str:
    """A text of about the same length in the form that a check reads."""
    if kind == "json":
        words = text.split()
        return (
            "{"
            + ", ".join(f'"k{number}": "{word}"' for number, word in enumerate(w for w in words if w.isalnum()))
            + "}"
        )
    lines = max(1, len(text) // 40)
    if kind == "python":
        return "import math\n" + "value = math.sqrt(2) + total(3, 'abc')\n" * lines
    if kind == "sql":
        return "SELECT id, sum(total) FROM orders WHERE id IN (1, 2)" + " OR upper(name) = 'X' AND price > 12.5" * lines
    return text


def latency() -> bool:
    passages = [" ".join(row["sentences"]) for row in texts.corpus("hotpot_mini")]
    typical = [text for text in passages if 300 < len(text) < 900][:200]
    long = [" ".join(passages[at : at + 60])[:10_000] for at in range(0, 40 * 60, 60)]
    print(f"\nCPU milliseconds a call (typical: passages, median {median(map(len, typical)):.0f} characters)")
    print(f"{'check':20} {'typical p50':>12} {'p99':>8} {'10 KB p50':>12} {'p99':>8}")
    slow: dict[str, float] = {}
    for name, (check, kind) in checks().items():
        short = timed(check, [written(kind, text) for text in typical])
        much = timed(check, [written(kind, text) for text in long])
        print(f"{name:20} {short[0]:12.3f} {short[1]:8.3f} {much[0]:12.3f} {much[1]:8.3f}")
        if much[0] > MOST_MS:
            slow[name] = much[0]
    return bar(not slow, f"10 KB in under {MOST_MS:.0f} ms of CPU in the median: {slow or 'all'}")


def timed(check: ol.Check, given: list[str]) -> tuple[float, float]:
    took: list[float] = []
    check(**values(check, given[0]))
    for text in given:
        asked: dict[str, Any] = values(check, text)
        started = time.process_time()
        check(**asked)
        took.append(1000 * (time.process_time() - started))
    return median(took), quantiles(took, n=100)[98]


def values(check: ol.Check, text: str) -> dict[str, Any]:
    held = {"answer": text, "context": text, "sources": [text]}
    return {name: held[name] for name in check.needs}


if __name__ == "__main__":
    sys.exit(main())
