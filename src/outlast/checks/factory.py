"""What makes checks notes the call, so that pickle can repeat it: a check holds functions that it cannot write."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec

from outlast.checks.check import Check
from outlast.checks.fitting import CALL

P = ParamSpec("P")


def factory(make: Callable[P, Check]) -> Callable[P, Check]:
    """A function, or method, whose checks can be pickled when what it is called with can be."""

    @functools.wraps(make)
    def made(*args: P.args, **options: P.kwargs) -> Check:
        check = make(*args, **options)
        setattr(check.function, CALL, (made, args, options))
        return check

    return made
