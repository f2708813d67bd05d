"""Monty: what is special about it; what it shares with the others is in test_contract.py."""

import asyncio
import importlib.util
import os
from pathlib import Path

import pytest

import outlast as ol
from outlast.errors import SandboxUnavailable
from outlast.sandbox.monty import MontyGuest
from outlast.sandbox.subset import explained


def run(code, **options):
    return ol.Monty().execute(code, **options)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("class E(Exception): pass", "without class inheritance and metaclasses. Use plain classes"),
        ("def f():\n    yield 1", "without yield expressions. Build a list"),
        ("x = [1]\ndel x[0]", "without the 'del' statement. Use .pop()"),
        ("import heapq", "no module 'heapq'. Do it in plain Python, or with one of: asyncio,"),
        ("import numpy", "no module 'numpy'"),
        ("from collections import UserDict", "no collections.UserDict"),
        ("issubclass(int, int)", "no builtin 'issubclass'"),
        ("callable", "no builtin 'callable'"),
        ("import math\nmath.foo", "no math.foo"),
        ("(1).as_integer_ratio()", "no int.as_integer_ratio"),
        ("import re\nre.sub('a', lambda m: 'b', 'a')", "callable replacement is not yet supported"),
        ("object()", "makes no object objects"),
    ],
)
def test_what_the_subset_lacks_is_told_so_that_a_model_can_act(code, said):
    result = run(code)
    assert result.unsupported
    assert said in result.error.message
    assert said in result.told()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("'a'.foo", "AttributeError"),
        ("nothing", "NameError"),
        ("nothing()", "NameError"),
        ("(", "SyntaxError"),
        ("raise NotImplementedError('later')", "NotImplementedError"),
        ("open('/etc/passwd')", "PermissionError"),
        ("x = {}\nx['a']", "KeyError"),
    ],
)
def test_errors_of_the_code_itself_are_not_taken_for_gaps(code, kind):
    result = run(code)
    assert (result.error.kind, result.unsupported) == (kind, False)


def test_an_error_names_the_lines_it_came_through():
    error = run("def f(x):\n    return 1 / x\n\nf(0)").error
    assert error.lines == "line 4, in <module>: f(0)\nline 2, in f: return 1 / x"


def test_nothing_forged_is_taken_for_a_gap_of_a_module_that_does_not_exist():
    assert explained("AttributeError", "module 'mine' has no attribute 'x'") is None
    assert explained("ValueError", "The monty syntax parser does not yet support this") is None


def test_values_that_are_no_json_come_out_as_something_readable():
    code = (
        "from dataclasses import dataclass\nimport datetime\n@dataclass\nclass P:\n    x: int\n"
        "class Q:\n    pass\n"
        "[(1,), {2}, P(3), Q(), float('inf'), float('nan'), datetime.date(2026, 1, 2), {4: 5, None: 6}, print, b'x']"
    )
    assert run(code).value == [
        [1], [2], {"x": 3}, "<Q object>", "inf", "nan", "2026-01-02", {"4": 5, "null": 6}, "<built-in function print>",
        "b'x'",
    ]  # fmt: skip


def test_a_value_that_is_small_inside_and_huge_as_text_does_not_come_out():
    result = run("a = [1]\nfor _ in range(30):\n    a = [a] * 10\na")
    assert (result.value, result.stopped) == (None, "value")
    assert result.used.seconds < 2


def test_the_same_long_integer_many_times_does_not_come_out():
    assert run("[10**4000] * 100000").stopped == "value"
    assert run("10**5000").error.kind == "ValueError"


def test_sleeping_counts_as_time_of_the_code():
    slept = run("import time\ntime.sleep(0.2)\n1")
    assert (slept.value, slept.used.seconds >= 0.2) == (1, True)
    assert run("import time\ntime.sleep(10**9)", limits=ol.Limits(seconds=0.2)).stopped == "time"


def test_a_tool_is_a_value_that_can_be_passed_around():
    def double(x: int) -> int:
        """Twice as much."""
        return 2 * x

    assert run("[f(x=3) for f in [double]]", tools=[double]).value == [6]
    result = run("list(map(double, [1, 2]))", tools=[double])
    assert result.unsupported
    assert "double is a tool" in result.error.message
    assert "in a loop" in result.error.message


@pytest.mark.skipif(not os.path.exists("/proc/self/environ"), reason="this system shows no environments")
def test_the_worker_has_an_empty_environment(monkeypatch):
    monkeypatch.setenv("CANARY", "secret-of-the-parent")

    guest = MontyGuest(ol.Limits(), ())
    asyncio.run(guest.start())
    try:
        assert Path(f"/proc/{guest._worker._pid}/environ").read_text() == ""
    finally:
        guest.close()


def test_without_its_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SandboxUnavailable, match=r"pip install 'outlast\[code\]'"):
        ol.Monty().session()


def test_a_worker_that_cannot_be_started_is_told():
    guest = MontyGuest(ol.Limits(), (), binary="/no/such/program")
    with pytest.raises(SandboxUnavailable, match="could not be started"):
        asyncio.run(guest.start())


def test_it_is_a_value():
    assert ol.Monty() == ol.Monty()
    assert hash(ol.Monty()) == hash(ol.Monty())
