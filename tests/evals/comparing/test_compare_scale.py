"""A hundred thousand rows are compared, sliced and written within seconds and a part of a gigabyte."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

CODE = """
import json, random, re, sys, time
from outlast.evals import About, Evaluation, Row, compare

def evaluation(gain, graded, n=100_000):
    base, noise = random.Random(5), random.Random(gain)
    rows = []
    for i in range(n):
        score = base.random() + noise.gauss(gain / 100, 0.1)
        score = min(1.0, max(0.0, score)) if graded else float(score > 0.5)
        inputs = {"q": f"question {i}", "lang": f"l{i % 50}", "tier": i % 7}
        rows.append(Row(i, f"id{i:032x}", inputs, {"a": i}, {"a": i}, score, "pass" if score >= 1 else "fail"))
    about = About(program="p", program_hash="p", metric="m", metric_hash="m", data_hash="d", total=n)
    return Evaluation.of(about, rows)

a, b = evaluation(0, sys.argv[1] == "graded"), evaluation(1, sys.argv[1] == "graded")
began = time.process_time()
change = compare(a, b, by=["lang", "tier"])
gate = change.gate(-0.01)
change.to_markdown([gate])
seconds = time.process_time() - began
status = open("/proc/self/status").read()  # ru_maxrss would be that of the parent, when that is larger
peak = int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) / 1024
print(json.dumps({"seconds": seconds, "mb": peak, "slices": len(change.slices), "decision": gate.decision}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["graded", "binary"])
def test_a_hundred_thousand_rows_with_slices(kind) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, kind], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert (found["slices"], found["decision"]) == (57, "PASS")
    assert found["seconds"] < 10
    assert found["mb"] < 1000
