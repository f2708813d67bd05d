"""Banking77 (Casanueva et al. 2020): 77 intents of bank customers, one typed question, compiled on real data.

    python examples/banking77/run.py                              the built-in baseline, no key
    python examples/banking77/run.py --lm openai/gpt-5-mini --limit 300

The data are `train.jsonl` and `test.jsonl` with {"text", "label"} a line and `labels.json`, in the folder --data.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, Literal

import outlast as ol

DATA = os.environ.get("OUTLAST_DATA", str(Path(__file__).resolve().parents[3] / "shared" / "data"))
OPTIMIZERS: dict[str, Any] = {
    "auto": lambda args: ol.Auto(most=args.most),
    "knn": lambda args: ol.KNNFewShot(k=args.max_demos),
    "labeled": lambda args: ol.LabeledFewShot(k=args.max_demos),
    "random": lambda args: ol.RandomSearch(candidates=args.candidates, max_demos=args.max_demos, bootstrap=False),
}


def classifier(labels: list[str]) -> ol.Predict[..., Any]:
    """One question whose answer is one of the labels: the type is made from the data."""
    intent: Any = Literal[tuple(labels)]
    return ol.Predict(
        "text -> label: Intent", types={"Intent": intent}, instruction="Say what a bank's customer wants."
    )


def main(argv: list[str] | None = None) -> int:
    """Compile, save the program and the page of the run, measure both programs on the official test set."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path(DATA) / "banking77", help="folder of the data set")
    parser.add_argument("--lm", default="outlast/baseline", help="the model to ask")
    parser.add_argument("--limit", type=int, help="training examples to compile with (3000; 300 with a real model)")
    parser.add_argument("--test", type=int, default=400, help="test examples to measure on")
    parser.add_argument("--optimizer", choices=sorted(OPTIMIZERS), default="random", help="which search")
    parser.add_argument("--max-demos", type=int, help="examples in a prompt, at most (385; 32 with a real model)")
    parser.add_argument("--candidates", type=int, default=8, help="sets of examples to race")
    parser.add_argument("--most", type=int, default=2000, help="rollouts of Auto, at most")
    parser.add_argument("--seed", type=int, default=0, help="seed of the search")
    parser.add_argument("--against", type=Path, help="a program saved before, to compare with on the test set")
    parser.add_argument("--out", type=Path, default=Path("banking77.outlast.json"), help="where to save the program")
    args = parser.parse_args(argv)
    if not (args.data / "train.jsonl").is_file():
        print(f"no Banking77 data in {args.data}: give its folder with --data or OUTLAST_DATA", file=sys.stderr)
        return 3

    free = args.lm == "outlast/baseline"  # long prompts cost nothing there
    limit, args.max_demos = args.limit or (3000 if free else 300), args.max_demos or (385 if free else 32)
    train = ol.Dataset.from_jsonl(args.data / "train.jsonl", inputs="text")
    test = ol.Dataset.from_jsonl(args.data / "test.jsonl", inputs="text")
    train, test = train.sample(min(limit, len(train))), test.sample(min(args.test, len(test)))
    program = classifier(json.loads((args.data / "labels.json").read_text()))
    correct = ol.exact_match("label")

    search = OPTIMIZERS[args.optimizer](args)
    compiled = ol.compile(program, train, correct, lm=args.lm, optimizer=search, seed=args.seed, study=False)
    print(compiled.report)
    compiled.save(args.out)
    page = compiled.to_html(args.out.with_name(args.out.name.removesuffix(".outlast.json") + ".html"))

    before = ol.evaluate(program, test, correct, lm=args.lm)
    after = ol.evaluate(ol.load(args.out, program), test, correct, lm=args.lm)
    print(f"test set, before   {before}")
    print(f"test set, after    {after}")
    print(f"test set, paired   {ol.compare(before, after)}")
    if args.against:
        other = ol.evaluate(ol.load(args.against, program), test, correct, lm=args.lm)
        print(f"test set, against  {ol.compare(other, after)}")
    print(f"saved              {args.out}, {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
