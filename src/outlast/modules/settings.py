"""Which model and adapter a call uses: its own, else those of the block, else those of the process."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from outlast.adapters.chat import Chat
from outlast.adapters.protocol import Adapter, Task
from outlast.errors import ConfigError, UsageError, brief
from outlast.lms.protocol import LM, Capabilities
from outlast.runtime import Run, default, running, set_defaults
from outlast.tools.approval import as_approver

DEFAULT_ADAPTER = Chat()


def configure(
    *, lm: LM | str | None = None, adapter: Adapter | None = None, approver: Callable[..., Any] | None = None
) -> None:
    """Set process-wide defaults, at any time and from any thread; None leaves a thing as it is.

    `lm` is an `LM` or a model name such as "openai/gpt-5-mini". `approver` decides about calls of tools that ask first.
    A call that is made after this uses it at once, wherever it is made, unless the program or a `context` block says
    otherwise.
    """
    values: dict[str, Any] = {}
    if lm is not None:
        values["lm"] = as_lm(lm)
    if adapter is not None:
        values["adapter"] = as_adapter(adapter)
    if approver is not None:
        values["approver"] = as_approver(approver)
    set_defaults(**values)


@contextmanager
def context(
    *,
    lm: LM | str | None = None,
    adapter: Adapter | None = None,
    sample: int | None = None,
    approver: Callable[..., Any] | None = None,
) -> Generator[None]:
    """Override the defaults for a block, and for every thread and task that outlast starts inside it.

    `sample` numbers independent draws from 0: equal requests with another sample are asked and cached apart.
    `approver` decides about calls of tools that ask first.
    None leaves a thing as it is.
    """
    changes: dict[str, Any] = {}
    if lm is not None:
        changes["lm"] = as_lm(lm)
    if adapter is not None:
        changes["adapter"] = as_adapter(adapter)
    if sample is not None:
        if isinstance(sample, bool) or not isinstance(sample, int) or sample < 0:
            raise UsageError(f"context(sample=...) is a whole number from 0; got {brief(sample)}")
        changes["sample"] = sample
    if approver is not None:
        changes["approver"] = as_approver(approver)
    with running(**changes):
        yield


def as_lm(value: LM | str) -> LM:
    """An LM from one or from a model name."""
    if isinstance(value, LM):
        return value
    if isinstance(value, str):
        from outlast.lms.models import open_model

        return open_model(value)
    raise UsageError(f"lm is an LM or a model name such as 'openai/gpt-5-mini'; got {brief(value)}")


def as_adapter(value: Adapter) -> Adapter:
    """The adapter, or `UsageError` when it is none."""
    if isinstance(value, Adapter):
        return value
    raise UsageError(f"adapter is an Adapter such as ol.Chat() or ol.JSON(); got {brief(value)}")


def chosen_lm(own: LM | None, run: Run) -> LM:
    """The model of a call, or `ConfigError` when none is set."""
    lm = own if own is not None else run.lm if run.lm is not None else default("lm")
    if lm is None:
        raise ConfigError(
            "no LM is configured. Use ol.configure(lm='openai/gpt-5-mini'), or 'outlast/baseline' to try things "
            "without a key."
        )
    return lm


def usual_adapter(task: Task, capabilities: Capabilities) -> Adapter:
    """The adapter where nobody chose one: typed questions for closed outputs of a model that answers such, else
    `Chat()`."""
    if capabilities.decisions:
        from outlast.adapters.decisions import Decisions, closed

        if closed(task.signature):
            return Decisions(reasks=DEFAULT_ADAPTER.reasks)
    return DEFAULT_ADAPTER


def chosen_adapter(own: Adapter | None, run: Run) -> Adapter:
    """The adapter of a call: `Chat()` when nothing is set."""
    if own is not None:
        return own
    if run.adapter is not None:
        return run.adapter
    adapter: Adapter | None = default("adapter")
    return DEFAULT_ADAPTER if adapter is None else adapter
