from __future__ import annotations

import functools
import textwrap

from outlast.evals import exact_match, metric, metric_hash, numeric, program_hash
from outlast.modules import Module, Predict, update


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
