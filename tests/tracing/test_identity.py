from __future__ import annotations

import functools
import importlib
import linecache
import os
import subprocess
import sys
import textwrap

import pytest

from outlast.evals import exact_match, metric, metric_hash, numeric, program_hash
from outlast.modules import Module, Predict, update
from outlast.runtime import running
from outlast.testing import ScriptedLM


def load(tmp_path, name, source):
    """The function `m` of a module of its own, so that its source is at hand."""
    import importlib.util

    path = tmp_path / f"{name}.py"
    path.write_text(textwrap.dedent(source))
    spec = importlib.util.spec_from_file_location("some_metric", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.m


def test_layout_and_comments_do_not_count_but_code_does(tmp_path):
    plain = load(tmp_path, "a", "def m(e, p):\n    return e.x == p.x\n")
    dressed = load(
        tmp_path,
        "b",
        """
        from outlast.evals import metric
        @metric
        def m(e,   p):
            # a comment
            return (e.x
                    == p.x)
        """,
    )
    other = load(tmp_path, "c", "def m(e, p):\n    return e.x != p.x\n")
    assert metric_hash(plain) == metric_hash(dressed)
    assert metric_hash(plain) != metric_hash(other)
    assert len(metric_hash(plain)) == 32


def test_helpers_and_constants_of_the_same_module_count(tmp_path):
    source = "LIMIT = {limit}\ndef near(a, b):\n    return abs(a - b) {op} LIMIT\ndef m(e, p):\n    return near(e, p)\n"
    base = metric_hash(load(tmp_path, "a", source.format(limit=1, op="<")))
    assert base == metric_hash(load(tmp_path, "b", source.format(limit=1, op="<")))
    assert base != metric_hash(load(tmp_path, "c", source.format(limit=2, op="<")))
    assert base != metric_hash(load(tmp_path, "d", source.format(limit=1, op="<=")))


def test_what_a_metric_closes_over_counts():
    def make(field, default=1):
        def inner(example, prediction, tolerance=default):
            return example[field] == prediction[field]

        return inner

    assert metric_hash(make("a")) == metric_hash(make("a"))
    assert metric_hash(make("a")) != metric_hash(make("b"))
    assert metric_hash(make("a")) != metric_hash(make("a", 2))


def test_lambdas_partials_methods_and_objects():
    first, second = (lambda e, p: e == p), (lambda e, p: e != p)  # two on one line: told apart by their code
    assert metric_hash(first) != metric_hash(second)

    def three(a, e, p):
        return a

    assert metric_hash(functools.partial(three, 1)) != metric_hash(functools.partial(three, 2))
    assert metric_hash(functools.partial(three, 1)) == metric_hash(functools.partial(three, 1))

    class Judge:
        def __init__(self, strict):
            self.strict = strict

        def __call__(self, example, prediction):
            return self.strict

        def score(self, example, prediction):
            return self.strict

    assert metric_hash(Judge(True)) == metric_hash(Judge(True))
    assert metric_hash(Judge(True)) != metric_hash(Judge(False))
    assert metric_hash(Judge(True).score) != metric_hash(Judge(False).score)


def test_code_without_source_is_hashed_by_its_byte_code():
    spaces = [{}, {}, {}]
    for space, op in zip(spaces, ("==", "==", "!="), strict=True):
        exec(f"def m(e, p):\n    return e {op} p", space)
    hashes = [metric_hash(space["m"]) for space in spaces]
    assert hashes[0] == hashes[1] != hashes[2]


def test_recursion_does_not_hang():
    def flat(example, prediction):
        return example == prediction or flat(example[0], prediction)

    assert len(metric_hash(flat)) == 32


def test_made_metrics_are_known_by_their_options():
    assert metric_hash(exact_match("a")) == metric_hash(exact_match("a"))
    assert metric_hash(exact_match("a")) != metric_hash(exact_match("a", strict=True))
    assert metric_hash(numeric("a", tol=1)) != metric_hash(numeric("a", tol=2))
    assert metric_hash(exact_match("a")) != metric_hash(metric(lambda e, p: True))


class Answer(Module):
    step = Predict("question -> answer")

    def forward(self, question):
        return self.step(question=question)


def test_programs_are_told_apart_by_their_parameters():
    program = Answer()
    assert program_hash(program) == program_hash(Answer())
    changed = update(program, {"step.instruction": "Answer in French."})
    assert program_hash(changed) != program_hash(program)
    assert program_hash(Predict("a -> b")) != program_hash(Predict("a -> c"))


METRICS = {
    "list": "ALLOWED = [{x!r}]\ndef m(e, o): return o.a in ALLOWED\n",
    "set": "ALLOWED = {{{x!r}, 'b'}}\ndef m(e, o): return o.a in ALLOWED\n",
    "dict": "W = {{'k': [{x!r}]}}\ndef m(e, o): return W[o.a]\n",
    "regex": "import re\nP = re.compile({x!r})\ndef m(e, o): return P.match(o.a)\n",
    "dataclass": "import dataclasses as d\n@d.dataclass\nclass C:\n  w: str\nV = C({x!r})\ndef m(e, o): return V.w\n",
    "pydantic": "import pydantic\nclass C(pydantic.BaseModel):\n  w: str\nV = C(w={x!r})\ndef m(e, o): return V.w\n",
    "enum": "import enum\nclass C(enum.Enum):\n  A = {x!r}\ndef m(e, o): return o.a == C.A.value\n",
    "other method": "class C:\n  def __call__(self, e, o): return self.s()\n  def s(self): return {x!r}\nm = C()\n",
    "bound": "class C:\n  def m(self, e, o): return self.s()\n  def s(self): return {x!r}\nm = C().m\n",
    "static": "class C:\n  @staticmethod\n  def s(o): return {x!r}\ndef m(e, o): return C.s(o)\n",
    "inherited": "class B:\n  K = {x!r}\nclass C(B):\n  def __call__(self, e, o): return self.K\nm = C()\n",
    "property": "class C:\n  @property\n  def k(self): return {x!r}\n"
    "  def __call__(self, e, o): return self.k\nm = C()\n",
    "wrapper": "import functools\ndef d(f):\n  @functools.wraps(f)\n  def w(e, o): return {x!r}, f(e, o)\n  return w\n"
    "@d\ndef m(e, o): return True\n",
    "wrapped": "import functools\ndef d(f):\n  @functools.wraps(f)\n  def w(e, o): return f(e, o)\n  return w\n"
    "@d\ndef m(e, o): return {x!r}\n",
    "wrapper of a made one": "import functools, outlast as ol\ndef d(f):\n  @functools.wraps(f)\n"
    "  def w(e, o): return {x!r}, f(e, o)\n  return w\nm = d(ol.exact_match('a'))\n",
    "cached": "import functools\n@functools.lru_cache\ndef h(a): return {x!r}\ndef m(e, o): return h(o.a)\n",
    "far": "def m(e, o): return h(o)\ndef h(o): return g(o)\ndef g(o): return h(o) and K\nK = [{x!r}]\n",
    "judge": "import outlast as ol\nJ = ol.Predict('a -> b', instruction={x!r})\ndef m(e, o): return J(a=o.a).b\n",
    "predict": "import outlast as ol\n@ol.predict\ndef j(a: str) -> str:\n  {x!r}\ndef m(e, o): return j(o.a)\n",
    "class of a program": "import outlast as ol\nclass P(ol.Module):\n  a = ol.Predict('q -> a')\n  K = {x!r}\n"
    "  def forward(self, q): return self.K\nm = P()\n",
    "helper of a program": "import outlast as ol\nclass H:\n  def go(self): return {x!r}\nclass P(ol.Module):\n"
    "  a = ol.Predict('q -> a')\n  def forward(self, q): return H().go()\nm = P()\n",
    "predictor beside a program": "import outlast as ol\nh = ol.Predict('q -> a', instruction={x!r})\n"
    "class P(ol.Module):\n  def forward(self, q): return h(q=q)\nm = P()\n",
}


@pytest.mark.parametrize("source", METRICS.values(), ids=METRICS)
def test_what_code_names_counts(tmp_path, source):
    hashes = [
        program_hash(load(tmp_path, name, source.format(x=x))) for name, x in (("a", "u"), ("b", "u"), ("c", "v"))
    ]
    assert hashes[0] == hashes[1]
    assert hashes[0] != hashes[2]


def test_a_module_of_the_users_own_counts_as_far_as_it_is_named(tmp_path, monkeypatch):
    def hashed(number, body):
        (tmp_path / "beside_it.py").write_text(body)
        sys.modules.pop("beside_it", None)
        linecache.clearcache()
        importlib.invalidate_caches()
        return metric_hash(load(tmp_path, f"m{number}", "import beside_it\ndef m(e, o): return beside_it.h(o)\n"))

    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    first = hashed(1, "def h(o): return 1\ndef other(): return 1\n")
    assert first == hashed(2, "def h(o): return 1\ndef other(): return 22\n")
    assert first != hashed(3, "def h(o): return 333\n")
    sys.modules.pop("beside_it")


def test_state_and_objects_without_content_leave_the_hash_stable(tmp_path):
    source = """
    import threading
    SEEN, CACHE, N, LOCK, THING = [], {}, 0, threading.Lock(), object()
    class Judge:
        def __init__(self): self.calls = 0; self.told = {}
        def __call__(self, e, o):
            self.calls += 1
            self.told[o] = e
            return True
    judge = Judge()
    def m(e, o):
        global N
        N += 1
        SEEN.append(o)
        CACHE[o] = e
        return LOCK, THING, judge(e, o)
    """
    metric = load(tmp_path, "a", source)
    before = metric_hash(metric)
    metric(1, 2)
    assert metric_hash(metric) == before == metric_hash(load(tmp_path, "b", source))


def test_an_iterator_that_a_metric_uses_is_not_used_up(tmp_path):
    source = "COUNT = iter(range(10**12))\nLINES = (n for n in range(3))\ndef m(e, o): return next(COUNT), LINES\n"
    metric = load(tmp_path, "a", source)
    before = metric_hash(metric)
    assert metric(1, 2)[0] == 0
    assert metric_hash(metric) == before
    assert list(metric(1, 2)[1]) == [0, 1, 2]


def test_the_hash_is_the_same_in_every_process(tmp_path):
    (tmp_path / "it.py").write_text(
        "import outlast as ol\nS = {'a', 'b', 'c', 'd'}\nF = frozenset(S)\nO = object()\n"
        "class P(ol.Module):\n  a = ol.Predict('q -> a')\n  K = {'x', 'y', 'z'}\n"
        "  def forward(self, q): return q in {'u', 'v', 'w'}, S, F, O, self.K\n"
        "space = {}\nexec(\"def m(e, o): return o in {'u', 'v', 'w'}\", space)\n"
        "from outlast.evals import metric_hash, program_hash\n"
        "print(program_hash(P()), metric_hash(space['m']))\n"
    )
    said = {
        subprocess.run(
            [sys.executable, str(tmp_path / "it.py")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(said) == 1


def test_running_a_program_does_not_change_its_hash():
    program = Answer()
    before = program_hash(program)
    with running(lm=ScriptedLM(lambda messages: "x")):
        program(question="?")
    assert program_hash(program) == before


def test_a_parser_that_another_thread_disturbed_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    import ast

    from outlast.tracing import source

    def metric(example, out):
        return out == 1

    real, failures = ast.parse, iter([SystemError("AST constructor recursion depth mismatch")])

    def disturbed(text: str) -> ast.Module:
        for failure in failures:
            raise failure
        return real(text)

    monkeypatch.setattr(source.ast, "parse", disturbed)
    assert source.source_of(metric) == "def metric(example, out):\n    return out == 1"
