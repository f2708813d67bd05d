"""What the first sandbox does not support runs in the fuller one, unless that could be noticed."""

import pytest

import outlast as ol
from outlast.errors import UsageError

BOTH = ol.Escalating(ol.Monty(), ol.Local(trust_me=True))
CLASSES = "class Wrong(Exception):\n    pass\ntry:\n    raise Wrong('x')\nexcept Exception as e:\n    y = str(e)\ny"


def test_what_the_first_cannot_run_runs_in_the_fuller_one_and_the_session_stays_there():
    with BOTH.session() as session:
        assert session.execute(CLASSES).value == "x"
        assert session.execute("import statistics\nstatistics.mean([1, 3]), y").value == [2, "x"]


def test_what_the_first_can_run_stays_there():
    with BOTH.session() as session:
        assert "Monty" in session.execute("import sys\nsys.version").value


def test_a_session_with_variables_does_not_move():
    with BOTH.session() as session:
        session.execute("x = 1")
        result = session.execute(CLASSES)
        assert result.unsupported
        assert session.execute("x").value == 1


def test_code_that_has_called_a_tool_is_not_run_again():
    calls = []

    def note(x: int) -> None:
        """Remember."""
        calls.append(x)

    result = BOTH.execute("note(1)\nimport heapq", tools=[note])
    assert result.unsupported
    assert calls == [1]


def test_variables_that_were_given_go_along():
    assert BOTH.execute("import heapq\nheapq.nsmallest(1, x)", {"x": [3, 1, 2]}).value == [1]


def test_tools_work_in_the_fuller_one():
    def double(x: int) -> int:
        """Twice as much."""
        return 2 * x

    assert BOTH.execute("import heapq\ndouble(4)", tools=[double]).value == 8


def test_it_promises_no_more_than_the_weaker_one():
    assert (BOTH.full_python, BOTH.isolation, BOTH.packages) == (False, "none", frozenset())
    assert ol.Escalating(ol.Monty(), ol.Monty()).isolation == "process"


def test_only_sandboxes_are_taken():
    with pytest.raises(UsageError, match="fuller"):
        ol.Escalating(ol.Monty(), "local")  # type: ignore[arg-type]
