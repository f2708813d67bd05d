"""Local: no sandbox, and it says so."""

import pytest

import outlast as ol
from outlast.errors import UsageError

BOX = ol.Local(trust_me=True)


@pytest.mark.parametrize("options", [{}, {"trust_me": False}, {"trust_me": 1}])
def test_it_has_to_be_asked_for_and_says_that_it_is_no_sandbox(options):
    with pytest.raises(UsageError, match="no sandbox.*Monty.*trust_me=True"):
        ol.Local(**options)


def test_it_says_of_itself_that_it_keeps_nothing_in():
    assert (BOX.isolation, BOX.full_python) == ("none", True)


def test_nothing_of_the_environment_and_of_the_installed_packages_is_there(monkeypatch):
    monkeypatch.setenv("CANARY", "secret-of-the-parent")
    result = BOX.execute("import os\n[k for k in os.environ if k != 'LC_CTYPE']")
    assert result.value == []
    assert BOX.execute("import pytest").error.kind == "ModuleNotFoundError"
    assert BOX.execute("import outlast").error.kind == "ModuleNotFoundError"


def test_the_whole_language_is_there():
    code = (
        "import asyncio, dataclasses, enum, statistics\nclass C(enum.Enum):\n    A = 1\n"
        "@dataclasses.dataclass\nclass P:\n    x: int\n"
        "async def f():\n    return 3\n[P(1), asyncio.run(f()), statistics.mean([1, 2, 3]), C.A]"
    )
    assert BOX.execute(code).value == [{"x": 1}, 3, 2, "<C.A: 1>"]


def test_stderr_and_the_buffer_of_stdout_are_output_too_and_the_descriptors_are_not():
    code = "import os, sys\nprint('a', file=sys.stderr)\nsys.stdout.buffer.write(b'b\\n')\nos.write(1, b'c')\nNone"
    assert BOX.execute(code).stdout == "a\nb\n"


def test_memory_is_limited_and_the_variables_stay():
    with BOX.session() as session:
        session.execute("x = 1")
        result = session.execute("y = bytearray(10**10)")
        assert (result.stopped, result.state_lost) == ("memory", False)
        assert session.execute("x").value == 1


def test_an_error_names_the_lines_it_came_through():
    error = BOX.execute("def f(x):\n    return 1 / x\n\nf(0)").error
    assert error.lines == "line 4, in <module>: f(0)\nline 2, in f: return 1 / x"
    assert BOX.execute("x = = 1").error.lines == "line 1: x = = 1"


def test_functions_defined_in_one_step_work_in_the_next_with_everything_that_looks_for_main():
    with BOX.session() as session:
        session.execute("import dataclasses\n@dataclasses.dataclass\nclass P:\n    x: 'int'")
        assert session.execute("import typing\nstr(typing.get_type_hints(P))").value == "{'x': <class 'int'>}"
