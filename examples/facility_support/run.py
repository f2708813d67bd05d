"""Facility support: e-mails to a facility manager, three typed answers, compiled and proved on real data.

    python examples/facility_support/run.py                                    the built-in baseline, no key
    python examples/facility_support/run.py --lm openai/gpt-5-mini --max-demos 16

The data are `train.jsonl`, `dev.jsonl` and `test.jsonl` with {"message", "urgency", "sentiment", "categories"} a line,
in the folder --data. Demonstrations come from train, candidates are ranked on dev, the gain is proved on test.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any, Literal

import outlast as ol

DATA = os.environ.get("OUTLAST_DATA", str(Path(__file__).resolve().parents[3] / "shared" / "data"))
PARTS = {"train": "train", "select": "dev", "confirm": "test"}  # of a compile: file

Category = Literal[
    "cleaning_services_scheduling",
    "customer_feedback_and_complaints",
    "emergency_repair_services",
    "facility_management_issues",
    "general_inquiries",
    "quality_and_safety_concerns",
    "routine_maintenance_requests",
    "specialized_cleaning_services",
    "sustainability_and_environmental_practices",
    "training_and_support_requests",
]


class Sort(ol.Signature):
    """Sort an e-mail to a company that manages facilities."""

    message: str = ol.input()
    urgency: Literal["low", "medium", "high"] = ol.output()
    sentiment: Literal["positive", "neutral", "negative"] = ol.output()
    categories: list[Category] = ol.output(desc="all that apply")


def sorted_right(example: Any, out: Any) -> ol.Score:
    """The mean of three parts, each from 0 to 1; categories by their overlap (Jaccard)."""
    wanted, given = set(example.categories), set(out.categories)
    parts = {
        "urgency": float(out.urgency == example.urgency),
        "sentiment": float(out.sentiment == example.sentiment),
        "categories": len(wanted & given) / len(wanted | given) if wanted | given else 1.0,
    }
    said = [f"{name} is {getattr(example, name)!r}" for name, score in parts.items() if score < 1]
    return ol.Score(sum(parts.values()) / len(parts), feedback="; ".join(said), parts=parts)


def main(argv: list[str] | None = None) -> int:
    """Compile, prove on the test part, save the program and the page of the run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path(DATA) / "facility_support", help="folder of the data set")
    parser.add_argument("--lm", default="outlast/baseline", help="the model to ask")
    parser.add_argument("--optimizer", choices=sorted(OPTIMIZERS), default="random", help="which search")
    parser.add_argument("--max-demos", type=int, default=24, help="examples in a prompt, at most")
    parser.add_argument("--candidates", type=int, default=16, help="sets of examples to race")
    parser.add_argument("--limit", type=int, help="examples of each part (all)")
    parser.add_argument("--most", type=int, default=900, help="rollouts of Auto, at most")
    parser.add_argument("--seed", type=int, default=0, help="seed of the search")
    parser.add_argument("--against", type=Path, help="a program saved before, to compare with on the test part")
    parser.add_argument("--out", type=Path, default=Path("facility_support.outlast.json"), help="where to save it")
    args = parser.parse_args(argv)
    if not (args.data / "train.jsonl").is_file():
        print(f"no facility support data in {args.data}: give its folder with --data or OUTLAST_DATA", file=sys.stderr)
        return 3
    data = {
        part: ol.Dataset.from_jsonl(args.data / f"{file}.jsonl", inputs="message")[: args.limit]
        for part, file in PARTS.items()
    }
    search = OPTIMIZERS[args.optimizer](args)
    program = ol.Predict(Sort)
    compiled = ol.compile(program, data, sorted_right, lm=args.lm, optimizer=search, seed=args.seed, study=False)
    print(compiled.report)
    compiled.save(args.out)
    page = compiled.to_html(args.out.with_name(args.out.name.removesuffix(".outlast.json") + ".html"))
    if args.against:
        saved = [ol.load(path, program) for path in (args.against, args.out)]
        before, after = (ol.evaluate(one, data["confirm"], sorted_right, lm=args.lm) for one in saved)
        print(f"against {args.against.name}: {ol.compare(before, after)}")
    print(f"saved {args.out} and {page}")
    return 0


OPTIMIZERS: dict[str, Any] = {
    "auto": lambda args: ol.Auto(most=args.most),
    "knn": lambda args: ol.KNNFewShot(k=args.max_demos),
    "labeled": lambda args: ol.LabeledFewShot(k=args.max_demos),
    "bootstrap": lambda args: ol.BootstrapFewShot(max_demos=args.max_demos),
    "random": lambda args: ol.RandomSearch(candidates=args.candidates, max_demos=args.max_demos, bootstrap=False),
}


if __name__ == "__main__":
    sys.exit(main())
