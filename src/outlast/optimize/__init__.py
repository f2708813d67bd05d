"""The compiler: studies, optimizers, and the proof of what they found.

The package can be called, as `ol.optimize(function, data, metric, params={...})`; see `outlast.optimize.anything`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Package(ModuleType):
    def __call__(self, *args: Any, **options: Any) -> Any:
        from outlast.optimize.anything import optimize

        return optimize(*args, **options)


sys.modules[__name__].__class__ = _Package
