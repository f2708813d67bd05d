"""How often the safety checks are right, and what they take: personal data, secrets, toxic language, injection.

    python benchmarks/checks_safety.py

Texts are those of ../shared/data (OUTLAST_DATA names another folder) and of the seeded generators in
tests/checks/corpus/safety.py; figures are of the test parts. No peer: the bars are floors of precision and recall, and
that a text of 10,000 characters takes less than 50 ms of CPU in the median.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "checks" / "corpus"))

import safety  # noqa: E402

from outlast.checks.injection import injection_score  # noqa: E402
from outlast.checks.pii import PII_KINDS, find_pii  # noqa: E402
from outlast.checks.secrets import find_secrets  # noqa: E402
from outlast.checks.toxicity import find_toxic  # noqa: E402

SEED = 20261129
_bars: list[bool] = []


def bar(fine: bool, text: str) -> None:
    """Print a bar."""
    _bars.append(fine)
    print(f"BAR {'PASS' if fine else 'FAIL'} {text}")


def line(name: str, counts: safety.Counts, note: str = "") -> None:
    print(
        f"{name:22} precision {counts.precision:6.3f}  recall {counts.recall:6.3f}   "
        f"({counts.right} right, {counts.wrong} wrong, {counts.missed} missed) {note}"
    )


def false_alarms(name: str, texts: dict[str, list[str]], flagged: Callable[[str], Any]) -> dict[str, int]:
    found = {kind: sum(bool(flagged(text)) for text in some) for kind, some in texts.items()}
    shown = ", ".join(f"{kind} {found[kind]} of {len(some):,}" for kind, some in texts.items())
    print(f"{name} flagged of texts that hold none: {shown}")
    return found


def personal(clean: dict[str, list[str]]) -> None:
    print("personal data (pii_synth, test part)")
    counts = safety.pii(lambda text: find_pii(text, PII_KINDS), "test")
    for kind, one in counts.items():
        if one.right + one.missed:
            line(f"  {kind}", one)
    line("  iban (all parts)", safety.pii(lambda text: find_pii(text), "train", "dev", "test")["iban"])
    sure = [one for kind, one in counts.items() if kind != "phone"]
    together = safety.ranked(sure)
    bar(min(together.precision, together.recall) >= 0.99, "personal data but phones: precision and recall >= 0.99")
    phone = counts["phone"]
    bar(
        phone.precision >= 0.9 and phone.recall >= 0.7,
        f"phones: {phone.precision:.2f} >= 0.9, {phone.recall:.2f} >= 0.7",
    )
    found = false_alarms("  ", {**clean, "look-alikes": safety.lookalikes(3600, SEED)}, find_pii)
    bar(sum(found.values()) <= 20, f"at most 20 texts flagged, those of scifact with real addresses too: {found}")


def secrets(clean: dict[str, list[str]]) -> None:
    print("secrets (made up)")
    counts = safety.secret_counts(find_secrets, safety.secrets(2100, SEED))
    for kind, one in counts.items():
        if one.wrong or one.missed:
            line(f"  {kind}", one)
    together = safety.ranked(counts.values())
    line(f"  all {len(counts)} kinds", together)
    code = [
        path.read_text(encoding="utf-8", errors="replace")
        for path in Path(median.__code__.co_filename).parent.glob("*.py")
    ]
    texts = {**clean, "harmless look-alikes": safety.harmless(2100, SEED), "Python's own modules": code}
    found = false_alarms("  ", texts, find_secrets)
    bar(together.precision >= 0.99 and together.recall >= 0.98, "made-up secrets: precision >= 0.99, recall >= 0.98")
    bar(
        sum(found.values()) <= 2,
        f"at most 2 of {sum(map(len, texts.values())):,} harmless texts flagged: {sum(found.values())}",
    )


def toxicity(clean: dict[str, list[str]]) -> None:
    made = safety.disguised(2000, SEED)
    hit = sum(any(one.start <= at < one.end for one in find_toxic(text)) for text, at in made)
    print(f"toxic words (listed words, plain and disguised): {hit} of {len(made)} found")
    unseen = {
        "restaurant8k": [str(row) for row in safety.rows("restaurant8k", "test")],
        "ifeval": [str(row) for row in safety.rows("ifeval", "test")],
        "bbh": [str(row) for row in safety.rows("bbh", "test")],
    }
    found = false_alarms("  ", {**clean, **unseen}, find_toxic)
    bar(hit / len(made) >= 0.97, f"disguised words of the list found: {hit / len(made):.3f} >= 0.97")
    bar(sum(found.values()) <= 20, f"at most 20 ordinary texts flagged: {sum(found.values())}")


def injection(clean: dict[str, list[str]]) -> None:
    print("injection (bipia_email, one attack inserted into a mail; threshold 0.5)")
    for parts in (("train", "dev"), ("test",)):
        mails, attacked = safety.mails(*parts)
        seen = sum(injection_score(text).score >= 0.5 for text in attacked)
        wrong = sum(injection_score(text).score >= 0.5 for text in mails)
        line("  " + "+".join(parts), safety.Counts(seen, wrong, len(attacked) - seen), f"{len(mails)} mails without")
        if parts == ("test",):
            bar(
                wrong == 0 and seen / len(attacked) >= 0.6,
                f"test attacks seen: {seen / len(attacked):.2f} >= 0.6, no mail minded",
            )
    by_type: dict[str, list[bool]] = {}
    for row in safety.rows("bipia_email", "test"):
        by_type.setdefault(row["attack_type"], []).append(injection_score(safety.with_attack(row)).score >= 0.5)
    print("   " + ", ".join(f"{kind} {sum(seen)}/{len(seen)}" for kind, seen in sorted(by_type.items())))
    found = false_alarms("  ", clean, lambda text: injection_score(text).score >= 0.5)
    bar(sum(found.values()) <= 5, f"at most 5 ordinary texts minded: {sum(found.values())}")


def latency(clean: dict[str, list[str]]) -> None:
    print("CPU milliseconds a text: median, 99th percentile")
    mails = clean["facility_support"]
    long = ["\n\n".join(mails[at:] + mails[:at])[:10_000] for at in range(0, len(mails), 2)]
    kinds: dict[str, Callable[[str], Any]] = {
        "no_pii": find_pii,
        "no_secrets": find_secrets,
        "no_toxicity": find_toxic,
        "no_injection": injection_score,
    }
    for name, look in kinds.items():
        look("warm up")
        shown: list[str] = []
        for texts in (clean["banking77"][:1000], mails, long):
            times: list[float] = []
            for text in texts:
                began = time.thread_time()
                look(text)
                times.append((time.thread_time() - began) * 1e3)
            shown.append(
                f"{median(map(len, texts)):6,.0f} characters {median(times):6.2f} {quantiles(times, n=100)[98]:6.2f}"
            )
        print(f"  {name:14} {'   '.join(shown)}")
        bar(median(times) < 50, f"{name} of 10,000 characters: {median(times):.1f} < 50 ms")


def main() -> int:
    if not (safety.DATA / "pii_synth").exists():
        print(f"no data at {safety.DATA}: set OUTLAST_DATA", file=sys.stderr)
        return 1
    clean = safety.clean_texts()
    for measure in (personal, secrets, toxicity, injection, latency):
        measure(clean)
    return 0 if all(_bars) else 1


if __name__ == "__main__":
    sys.exit(main())
