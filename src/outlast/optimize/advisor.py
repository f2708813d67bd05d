"""Who an optimizer asks for proposals: a model with a purse of its own, remembered like everything else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from outlast.adapters.protocol import Adapter
from outlast.errors import AnswerError, BudgetExceeded, LMContextError, SearchStopped
from outlast.lms.protocol import LM
from outlast.modules.module import Module
from outlast.modules.settings import DEFAULT_ADAPTER
from outlast.optimize.budget import Purse
from outlast.optimize.deadline import Deadline
from outlast.optimize.ledger import Ledger
from outlast.optimize.memory import Memory
from outlast.optimize.rollout import HOPELESS
from outlast.runtime import current, running

_LONGEST = 500  # characters of an error that are kept
_IN_A_ROW = 20  # proposals that the model's server failed before the search gives up


class Advisor:
    """Asks the LM modules that write proposals.

    `lm` None is the model of the run. `purse` pays; `spent` is True once a purse of its own has run out, after which
    every answer is None. `asked` and `failed` count proposals of this run, known ones included.
    """

    def __init__(self, ledger: Ledger, purse: Purse, *, lm: LM | None, own: bool, adapter: Adapter | None) -> None:
        self.lm = lm
        self.purse = purse
        self.memory = Memory(ledger, purse)
        self.spent = False
        self.asked = 0
        self.failed = 0
        self._own = own  # the purse is not the one that the rollouts are paid from
        self._deadline = Deadline(purse)
        self._adapter = adapter or DEFAULT_ADAPTER
        self._ledger = ledger
        self._broken = 0
        self._flying = 0
        self._last = ""
        self._unpaid = 0  # asked for when the purse held too little

    async def ask(self, module: Module, sample: int, inputs: dict[str, Any]) -> Any:
        """The answer of a proposer, or None when it gave nothing that can be used; see `Study.ask`. A dict, as programs
        may give one, is read like any other answer."""
        if self.spent:
            return None
        self.asked += 1
        self._flying += 1
        lm = self.lm if self.lm is not None else current().lm
        about = {"lm": lm, "adapter": self._adapter, "memo": self.memory.recording(), "sample": sample}
        try:
            with running(**about, root=None, trace=None, meter=None):
                async with self._deadline.within():
                    answer = await module.acall(**inputs)
        except BudgetExceeded as error:
            if self._own and self.purse.refused is not None:
                # What others have set aside they may not need; time does not come back.
                self.spent = self._flying == 1 or error.limit == "seconds"
            elif error.limit not in ("tokens", "dollars"):
                raise  # while the most that one dear proposal may take can be too much for what others have room in
            self._unpaid += 1
            self._keep(module, error)
            return None
        except HOPELESS:
            raise
        except (AnswerError, LMContextError) as error:
            self._note(module, error)
            return None
        except Exception as error:  # a server that fails, or a proposer with a fault of its own
            self._broken += 1
            self._note(module, error)
            if self._broken >= _IN_A_ROW:
                raise SearchStopped(
                    f"{self._broken} proposals in a row failed; the last: {str(error).rstrip('.')}. "
                    f"{self._ledger.after_failure}"
                ) from error
            return None
        finally:
            self._flying -= 1
        self._broken = 0
        return SimpleNamespace(**cast("dict[str, Any]", answer)) if isinstance(answer, dict) else answer

    @property
    def failures(self) -> str:
        """How many proposals failed and why the last one did, in words; "" unless more than half of those did that the
        purse could pay for."""
        tried = self.asked - self._unpaid
        if 2 * self.failed <= tried:
            return ""
        return f"{self.failed} of {tried} proposals failed; the last: {self._last.rstrip('.')}"

    def _note(self, module: Module, error: Exception) -> None:
        self.failed += 1
        self._last = " ".join(self._keep(module, error).split())

    def _keep(self, module: Module, error: Exception) -> str:
        said = f"{type(error).__name__}: {error}"[:_LONGEST]
        self._ledger.add_event("no proposal", {"module": type(module).__name__, "error": said})
        return said
