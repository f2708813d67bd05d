"""The waits of `outlast.runtime.waiting`, which limits, caches and budgets share, under the name that layers use."""

from outlast.runtime.waiting import ForkSafeLock, Waiter, forks, holds_up_loop

__all__ = ["ForkSafeLock", "Waiter", "forks", "holds_up_loop"]
