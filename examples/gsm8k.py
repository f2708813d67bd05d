"""GSM8K (Cobbe et al. 2021): word problems of grade-school mathematics, solved with written reasoning.

    python examples/gsm8k.py                                  the built-in baseline, no key: it cannot calculate
    python examples/gsm8k.py --lm openai/gpt-5-mini --limit 150

The data are `train.jsonl` and `test.jsonl` with {"question", "answer", "solution"} a line, in the folder --data.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import outlast as ol

HERE = Path(__file__).resolve().parent
DATA = os.environ.get("OUTLAST_DATA", str(HERE.parent.parent / "shared" / "data"))


class Solve(ol.Signature):
    """Solve the problem. The answer is one number."""

    question: str = ol.input()
    answer: float = ol.output(desc="the number alone, without unit")


solve = ol.ChainOfThought(Solve)
correct = ol.numeric("answer", tol=1e-6)


def main(argv: list[str] | None = None) -> int:
    """Measure, compile, measure again on the official test set, save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path(DATA) / "gsm8k", help="folder of the data set")
    parser.add_argument("--lm", default="outlast/baseline", help="the model to ask")
    parser.add_argument("--limit", type=int, default=300, help="training examples to compile with")
    parser.add_argument("--test", type=int, default=200, help="test examples to measure on")
    parser.add_argument("--max-demos", type=int, default=8, help="examples in a prompt, at most")
    parser.add_argument("--candidates", type=int, default=6, help="sets of examples to race")
    parser.add_argument("--out", type=Path, default=Path("gsm8k.outlast.json"), help="where to save the program")
    args = parser.parse_args(argv)
    if not (args.data / "train.jsonl").is_file():
        print(f"no GSM8K data in {args.data}: give its folder with --data or OUTLAST_DATA", file=sys.stderr)
        return 3

    train = examples(args.data / "train.jsonl", args.limit)
    test = examples(args.data / "test.jsonl", args.test)
    if args.lm == "outlast/baseline":
        print(
            "outlast/baseline is a classical method that looks for similar text. It cannot calculate: expect about 0%\n"
            "and no gain. This run shows the machinery; give --lm for a model that can."
        )
    search = ol.RandomSearch(candidates=args.candidates, max_demos=args.max_demos)
    compiled = ol.compile(solve, train, correct, lm=args.lm, optimizer=search, study=False)
    print(compiled.report)
    compiled.save(args.out)

    before = ol.evaluate(solve, test, correct, lm=args.lm)
    after = ol.evaluate(ol.load(args.out, solve), test, correct, lm=args.lm)
    print(f"test set, before   {before}")
    print(f"test set, after    {after}")
    print(f"test set, paired   {ol.compare(before, after)}")
    print(f"saved              {args.out}")
    return 0


def examples(path: Path, limit: int) -> ol.Dataset:
    """A sample of a file: the question in, the answer and the written solution as what is known."""
    data = ol.Dataset.from_jsonl(path, inputs="question")
    return data.sample(min(limit, len(data))).with_targets(
        lambda one: {"answer": float(one.answer), "reasoning": one.solution}
    )


if __name__ == "__main__":
    sys.exit(main())
