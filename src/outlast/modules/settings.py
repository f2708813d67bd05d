"""Which model and adapter a call uses: its own, else those of the block, else those of the process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from outlast.adapters.chat import Chat
from outlast.adapters.protocol import Adapter
from outlast.errors import ConfigError, UsageError, brief, refuse_unknown
from outlast.lms.protocol import LM
from outlast.runtime import Run, Trace, default, running, set_defaults

DEFAULT_ADAPTER = Chat()


def configure(*, lm: LM | str | None = None, adapter: Adapter | None = None) -> None:
    """Set process-wide defaults, at any time and from any thread; None leaves a thing as it is.

    `lm` is an `LM` or a model name such as "openai/gpt-5-mini".
    """
    values: dict[str, Any] = {}
    if lm is not None:
        values["lm"] = as_lm(lm)
    if adapter is not None:
        values["adapter"] = as_adapter(adapter)
    set_defaults(**values)


@contextmanager
def context(
    *, lm: LM | str | None = None, adapter: Adapter | None = None, sample: int | None = None
) -> Iterator[None]:
    """Override the defaults for a block, and for every thread and task that outlast starts inside it.

    `sample` numbers independent draws: equal requests with another sample are asked and cached apart.
    """
    changes: dict[str, Any] = {}
    if lm is not None:
        changes["lm"] = as_lm(lm)
    if adapter is not None:
        changes["adapter"] = as_adapter(adapter)
    if sample is not None:
        changes["sample"] = sample
    with running(**changes):
        yield


@contextmanager
def trace() -> Iterator[Trace]:
    """Collect the exchanges of every program call in a block: `with ol.trace() as spans: ...`."""
    with running(trace=Trace()) as run:
        assert run.trace is not None
        yield run.trace


def as_lm(value: LM | str) -> LM:
    """An LM from one or from a model name."""
    if isinstance(value, str):
        return LM(value)
    if isinstance(value, LM):
        return value
    refuse_unknown((), (), "lm")
    raise UsageError(f"lm is an LM or a model name such as 'openai/gpt-5-mini'; got {brief(value)}")


def as_adapter(value: Adapter) -> Adapter:
    """The adapter, or `UsageError` when it is none."""
    if isinstance(value, Adapter):
        return value
    raise UsageError(f"adapter is an Adapter such as ol.Chat() or ol.JSON(); got {brief(value)}")


def chosen_lm(own: LM | None, run: Run) -> LM:
    """The model of a call, or `ConfigError` when none is set."""
    lm = own or run.lm or default("lm")
    if lm is None:
        raise ConfigError(
            "no LM is configured. Use ol.configure(lm='openai/gpt-5-mini'), or 'outlast/baseline' to try things "
            "without a key."
        )
    return lm


def chosen_adapter(own: Adapter | None, run: Run) -> Adapter:
    """The adapter of a call: `Chat()` when nothing is set."""
    return own or run.adapter or default("adapter") or DEFAULT_ADAPTER
