"""The pytest plugin, in a pytest of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
APP = """
import outlast as ol

class Parity(ol.Module):
    def forward(self, n):
        if n == 13:
            raise ValueError("unlucky")
        return ol.Prediction(odd=n % 2 == 1 if n < 8 else True)

@ol.metric
def right(example, out):
    return ol.Score(float(out.odd == example.odd), feedback="" if out.odd == example.odd else f"{example.n} is even")
"""
DATA = "".join(json.dumps({"n": n, "odd": n % 2 == 1}) + "\n" for n in range(10))


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder with a program, a metric and ten examples, of which the program has nine right."""
    monkeypatch.delenv("OUTLAST_CASSETTE", raising=False)
    pytester.makepyfile(app=APP)
    (pytester.path / "dev.jsonl").write_text(DATA)
    pytester.makeini("[pytest]\nfilterwarnings = error\naddopts = --strict-markers -p no:cacheprovider -p no:asyncio\n")
    pytester.syspathinsert()
    return pytester


def run(project: pytest.Pytester, *words: str) -> pytest.RunResult:
    """Run the tests in a process of their own, with our plugin whether or not it is installed."""
    return project.runpytest_subprocess("-p", "no:outlast", "-p", "outlast.testing.pytest_plugin", *words)


def test_each_example_is_a_test(project) -> None:
    project.makepyfile(
        test_it="""
        import outlast as ol
        from app import Parity, right

        @ol.testing.examples("dev.jsonl", inputs=["n"])
        def test_parity(example):
            ol.testing.assert_example(Parity(), example, right)
        """
    )
    result = run(project)
    result.assert_outcomes(passed=9, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*score 0, at least 1 is needed*",
            "*feedback: '8 is even'*",
            "* outlast *",
            "test_it.py::test_parity: 90.0% (95% CI *, Wilson): 9 of 10 examples passed",
        ]
    )
    named = re.search(r"test_parity\[8-[0-9a-f]{8}\]", result.stdout.str())
    assert named
    run(project, f"test_it.py::{named[0]}").assert_outcomes(failed=1)  # the same name in another process


def test_one_test_of_all_examples_with_its_interval(project) -> None:
    project.makepyfile(
        test_it="""
        import outlast as ol
        from app import Parity, right

        def test_score(outlast_evaluate):
            data = ol.Dataset.from_jsonl("dev.jsonl", inputs=["n"])
            result = outlast_evaluate(Parity(), data, right, epochs=2)
            ol.testing.assert_score(result, at_least=0.5)
            ol.testing.assert_score(result, at_least=0.8)
        """
    )
    result = run(project)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*AssertionError: INCONCLUSIVE: the score has to be at least 80.0%. It is 90.0% (95% CI *) on 10*",
            "*the worst of 1 that failed:*",
            "*example 8 (*), score 0*",
            "*inputs: {'n': 8}*",
            "*feedback: '8 is even'*",
            "test_it.py::test_score: 90.0% (95% CI *) on 10 x 2 epochs*: 9 pass, 1 fail*",
        ]
    )
    assert "_settle" not in result.stdout.str()  # the traceback ends at the test


@pytest.mark.slow
def test_xdist_carries_the_summary(project) -> None:
    project.makepyfile(
        test_it="""
        import outlast as ol
        from app import Parity, right

        @ol.testing.examples("dev.jsonl", inputs=["n"], limit=6)
        def test_parity(example):
            assert Parity()(n=example.n).odd == example.odd

        def test_score(outlast_evaluate):
            outlast_evaluate(Parity(), ol.Dataset.from_jsonl("dev.jsonl", inputs=["n"]), right)
        """
    )
    result = project.runpytest_subprocess(
        "-p", "no:outlast", "-p", "outlast.testing.pytest_plugin", "-n", "2", "-p", "xdist"
    )
    assert result.ret in (0, 1)
    result.stdout.fnmatch_lines(["test_it.py::test_score: 90.0% *"])
    result.stdout.fnmatch_lines(["test_it.py::test_parity: * of 6 examples passed"])


def test_tests_ask_no_real_model_unless_told(project) -> None:
    project.makepyfile(
        test_it="""
        import outlast as ol
        import pytest
        from outlast.runtime import default

        @pytest.mark.outlast(lm="openai/gpt-5-mini")
        def test_real():
            raise AssertionError("not reached")

        @pytest.mark.outlast(live=True)
        def test_live(outlast_live):
            assert outlast_live

        @pytest.mark.outlast(lm="outlast/baseline", adapter=ol.JSON())
        def test_built_in(outlast_live):
            assert not outlast_live
            assert default("lm").name == "outlast/baseline"
            assert ol.Predict("question -> answer: int")(question="1").answer is not None

        def test_nothing_is_left():
            assert default("lm") is None and default("adapter") is None
        """
    )
    result = run(project, "-rs")
    result.assert_outcomes(passed=2, skipped=2)
    result.stdout.fnmatch_lines(["*asks openai/gpt-5-mini; give --outlast-live, or a cassette*"])
    run(project, "--outlast-live", "-k", "test_live").assert_outcomes(passed=1, deselected=3)


def test_a_cassette_is_recorded_live_and_replayed_else(project) -> None:
    project.makepyfile(
        test_it="""
        import asyncio
        import outlast as ol
        import pytest
        from outlast.testing import ScriptedLM

        lm = ScriptedLM(lambda messages: "<<answer>>\\n42\\n<<end>>")

        @pytest.mark.outlast(lm=lm, cassette="tapes/answers.jsonl")
        @pytest.mark.parametrize("n", [1, 2])
        def test_answer(n, outlast_live):
            assert ol.Predict("question -> answer: int")(question=f"what {n}?").answer == 42
            assert lm.calls == (n if outlast_live else 0)
        """
    )
    (project.path / "tapes").mkdir()
    refused = run(project)
    refused.assert_outcomes(failed=2)
    refused.stdout.fnmatch_lines(["*LMReplayError*"])
    run(project, "--outlast-live").assert_outcomes(passed=2)
    assert (project.path / "tapes" / "answers.jsonl").read_text().count("\n") == 2
    run(project).assert_outcomes(passed=2)


def test_a_mark_that_means_nothing_is_refused(project) -> None:
    project.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.outlast(model="openai/gpt-5-mini")
        def test_one(): pass

        @pytest.mark.outlast(cassette="x.jsonl")
        def test_two(): pass
        """
    )
    result = run(project)
    result.assert_outcomes(errors=2)
    told = ["*the mark outlast takes lm, adapter, cassette, live; got model*", "*there is no cassette at*x.jsonl*"]
    result.stdout.fnmatch_lines(told)


def test_a_cassette_without_a_model_is_for_all_that_the_test_asks(project) -> None:
    project.makepyfile(
        test_it="""
        import outlast as ol
        import pytest
        from outlast.testing import ScriptedLM

        lm = ScriptedLM(lambda messages: "<<answer>>\\n42\\n<<end>>")
        own = ol.Predict("question -> answer: int", lm=lm)

        @pytest.mark.outlast(cassette="tapes/all.jsonl")
        @pytest.mark.parametrize("n", [1, 2])
        def test_answer(n, outlast_live):
            assert own(question=f"what {n}?").answer == 42
            assert lm.calls == (n if outlast_live else 0)

        def test_block(outlast_replay, outlast_live):
            with outlast_replay("tapes/block.jsonl", lm=lm if outlast_live else None) as playing:
                assert ol.Predict("question -> answer: int")(question="in a block?").answer == 42
            assert playing.given == (0 if outlast_live else 1)
        """,
        test_loud="""
        import outlast as ol
        import pytest

        @pytest.mark.outlast(cassette="tapes/all.jsonl")
        def test_swallowed():
            try:
                ol.Predict("question -> answer: int")(question="another?")
            except ol.errors.LMReplayError:
                pass
        """,
    )
    (project.path / "tapes").mkdir()
    refused = run(project, "test_it.py")
    refused.assert_outcomes(errors=2, failed=1)
    refused.stdout.fnmatch_lines(["*there is no cassette at*tapes/*"])
    run(project, "test_it.py", "--outlast-live").assert_outcomes(passed=3)
    assert (project.path / "tapes" / "all.jsonl").read_text().count("\n") == 2
    run(project, "test_it.py").assert_outcomes(passed=3)
    loud = run(project, "test_loud.py")
    loud.assert_outcomes(passed=1, errors=1)
    loud.stdout.fnmatch_lines(["*LMReplayError: this request of*is not in the recording*"])


def test_without_a_use_nothing_is_said_and_nothing_loaded(project) -> None:
    project.makepyfile(
        test_it="""
        import sys

        def test_nothing():
            heavy = [name for name in sys.modules if name.startswith("outlast.") or name in ("pydantic", "aiohttp")]
            assert set(heavy) <= {"outlast.testing", "outlast.testing.pytest_plugin"}, heavy
        """
    )
    result = project.runpytest_subprocess("-p", "no:outlast", "-p", "outlast.testing.pytest_plugin")
    result.assert_outcomes(passed=1)
    assert "outlast ===" not in result.stdout.str()


def test_it_is_installed_with_outlast() -> None:
    told = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    (place,) = told["project"]["entry-points"]["pytest11"].values()
    assert import_module(place).pytest_addoption
    code = f"import sys, {place}; print([n for n in sys.modules if n.startswith('outlast.')])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "outlast.evals" not in loaded
    assert "outlast.errors" not in loaded
