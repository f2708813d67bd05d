"""Every exception that outlast raises on purpose.

    OutlastError
    ├── UsageError (TypeError)             a call that cannot mean anything: unknown keyword, wrong input
    │   ├── InputError                     inputs do not fit the signature
    │   └── SignatureError                 a signature that cannot be built
    ├── PathError (KeyError)               no such parameter path
    ├── FrozenError (AttributeError)       a program is a value; it cannot be assigned to
    ├── ConfigError (ValueError)           no LM configured, unknown model name, missing key
    │   └── SandboxUnavailable             code cannot run here: a package or a program is missing; says which
    ├── DataError (ValueError)             a data set or a row of it that cannot be used
    ├── MetricError (ValueError)           a metric gave something that is not a score
    ├── AnswerError (ValueError)           the model answered, but not with what the signature asks
    │   ├── ParseError                     one reply could not be parsed or validated; has a text for the model
    │   └── CheckFailed (AssertionError)   a check on an input or an output says no, and nothing mended it
    ├── ArtifactError (ValueError)         a compiled file that cannot be loaded or does not fit the program
    ├── StudyError (ValueError)            a ledger that cannot be opened or belongs to another search
    ├── ToolServerError (RuntimeError)     a server of tools (MCP) that did not do its part, or refused
    ├── BudgetExceeded (RuntimeError)      a limit that the caller set was reached
    ├── ApprovalPending (RuntimeError)     calls of tools wait for somebody's decision; carries them
    ├── Suspend (RuntimeError)             what an approver raises to say "not yet"
    ├── StreamAborted (RuntimeError)       a check ended a stream early; has what was shown
    ├── SearchStopped (RuntimeError)       a compile that could not go on; its ledger is kept
    ├── EvaluationStopped (RuntimeError)   an evaluation that could not go on; carries what was done
    └── LMError (RuntimeError)             a model could not be asked
        ├── LMConnectionError (ConnectionError)   no connection, or it broke; retryable
        ├── LMTimeout (TimeoutError)       no answer in time; retryable
        ├── LMRateLimited                  429; retryable
        ├── LMServerError                  5xx; retryable
        ├── LMCircuitOpen                  the server failed too often lately and is left alone for a while
        ├── LMAuthError (PermissionError)  401, 403
        ├── LMQuotaError                   the account has no money left; never retried
        ├── LMRequestError (ValueError)    the server refused the request
        │   ├── LMContextError             the prompt is longer than the model's window
        │   └── LMUnsupported              the model cannot do what was asked, and going on without is not allowed
        ├── LMModelChanged (ValueError)    another version of the model answered than is pinned
        ├── LMReplayError (LookupError)    a recording lacks the request, or cannot be read
        └── LMResponseError (ValueError)   the server answered something that is no response

Messages say: subject, rule, what came, what to do. Exceptions carry the objects they speak of.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from outlast.evals.evaluation import Evaluation
    from outlast.messages import RateStates, Request, Response, Spending, ToolCall, ToolResult


class OutlastError(Exception):
    """Root of every error that outlast raises on purpose."""

    def __reduce__(self) -> Any:  # Python's own way calls __init__ without the objects that it needs
        return _unpickled, (type(self), self.args, dict(self.__dict__))


def _unpickled(kind: type[OutlastError], args: tuple[Any, ...], state: dict[str, Any]) -> OutlastError:
    new: Any = OSError.__new__ if issubclass(kind, OSError) else Exception.__new__
    error: OutlastError = new(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class UsageError(OutlastError, TypeError):
    """A call that cannot mean anything: an unknown keyword, a value of the wrong kind."""


class InputError(UsageError):
    """The inputs of a call do not fit the signature: misspelt, missing, extra or of the wrong type."""


class SignatureError(UsageError):
    """A signature that cannot be built from what was given."""


class PathError(OutlastError, KeyError):
    """No parameter has this path."""

    def __str__(self) -> str:  # KeyError would show the repr of the message
        return str(self.args[0]) if self.args else ""


class FrozenError(OutlastError, AttributeError):
    """An attempt to assign to a program; programs are values."""


class ConfigError(OutlastError, ValueError):
    """Something that must be configured is not, or names what does not exist."""


class SandboxUnavailable(ConfigError):
    """A sandbox that cannot run here: a package, a program or a feature of the system is missing."""


class DataError(OutlastError, ValueError):
    """A data set, or a row of it, that cannot be used."""


class MetricError(OutlastError, ValueError):
    """A metric returned something that is not a score."""


class AnswerError(OutlastError, ValueError):
    """The model answered, but never with what the signature asks for.

    `response` is the last reply, `attempts` how many replies were tried.
    """

    def __init__(self, message: str, *, response: Response | None = None, attempts: int = 1) -> None:
        super().__init__(message)
        self.response = response
        self.attempts = attempts


class ParseError(AnswerError):
    """One reply could not be parsed or validated.

    `for_model` says the same to the model, in the words of the adapter, so that it can mend its reply. `final` says
    that asking again is no use.
    """

    def __init__(
        self, message: str, *, for_model: str = "", response: Response | None = None, final: bool = False
    ) -> None:
        super().__init__(message, response=response)
        self.for_model = for_model
        self.final = final


class CheckFailed(AnswerError, AssertionError):
    """A check says no, and its policy could not mend it.

    `check` is its name, `result` what it said (`CheckResult`), `values` the fields that it saw, by name.
    """

    def __init__(
        self,
        message: str,
        *,
        check: str = "",
        result: Any = None,
        values: Mapping[str, Any] | None = None,
        response: Response | None = None,
        attempts: int = 1,
    ) -> None:
        super().__init__(message, response=response, attempts=attempts)
        self.check = check
        self.result = result
        self.values = values


class ArtifactError(OutlastError, ValueError):
    """A compiled file that cannot be read or does not fit the program."""


class StudyError(OutlastError, ValueError):
    """A ledger that cannot be opened, or that belongs to another search."""


class ToolServerError(OutlastError, RuntimeError):
    """A server of tools (MCP) did not start, broke, answered nonsense, refused, or is not the one that was pinned.

    `server` is its name, `stderr` the end of what it wrote to its standard error, without secrets that are known.
    """

    def __init__(self, message: str, *, server: str = "", stderr: str = "") -> None:
        super().__init__(message)
        self.server = server
        self.stderr = stderr


class BudgetExceeded(OutlastError, RuntimeError):
    """A limit that the caller set was reached; `limit` names it, `spent` is what was spent by then, if known."""

    def __init__(self, message: str, *, limit: str = "", spent: Spending | None = None) -> None:
        super().__init__(message)
        self.limit = limit
        self.spent = spent


class Suspend(OutlastError, RuntimeError):
    """Raised by an approver of tool calls that cannot decide yet: whoever asked may be asked again later."""


class ApprovalPending(OutlastError, RuntimeError):
    """Calls of tools wait for somebody's decision.

    `calls` are those that wait; `results` what became of all calls of the turn, in order, None for those. `state` is
    that of the agent that asked for them, to go on from with `agent.finish(state, decisions)`; None without an agent.
    """

    def __init__(
        self, message: str, *, calls: tuple[ToolCall, ...], results: tuple[ToolResult | None, ...] = ()
    ) -> None:
        super().__init__(message)
        self.calls = calls
        self.results = results
        self.state: Any = None


class StreamAborted(OutlastError, RuntimeError):
    """A check of `Stream.abort_if` ended the stream. `reason` says why; `partial` holds the values so far, by field, of
    every module that was answering, by path. In a trace it also stands for a reply that whoever read it gave up."""

    def __init__(self, message: str, *, reason: str, partial: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(message)
        self.reason = reason
        self.partial = partial


class SearchStopped(OutlastError, RuntimeError):
    """A compile that could not go on, because of the error that is its cause, or one that was interrupted or had no
    budget for a search and whose result would be saved without a gain. Its ledger holds what was done."""


class EvaluationStopped(OutlastError, RuntimeError):
    """An evaluation that could not go on, because of the error that is its cause.

    `evaluation` holds everything that was done before.
    """

    def __init__(self, message: str, *, evaluation: Evaluation) -> None:
        super().__init__(message)
        self.evaluation = evaluation


class LMError(OutlastError, RuntimeError):
    """A model could not be asked. `retryable` says whether the same request may succeed later.

    `status` is the HTTP status or None; `retry_after` seconds that the server asked to wait, or None; `rate` what it
    told of its rate limits, or None. `sent` is False when the request never reached the server, so that nobody can
    have billed it; `begun` is True when it stood inside a reply that had begun, which may be billed whatever it says.
    """

    retryable = False
    sent = True
    begun = False
    code = ""  # the server's own word for the error
    rate: RateStates | None = None

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        request: Request | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.request = request


class LMConnectionError(LMError, ConnectionError):
    """No connection to the server, or it broke before the answer was whole."""

    retryable = True


class LMTimeout(LMError, TimeoutError):
    """No whole answer within the time allowed."""

    retryable = True


class LMRateLimited(LMError):
    """The server asks us to slow down (HTTP 429)."""

    retryable = True


class LMServerError(LMError):
    """The server failed (HTTP 5xx)."""

    retryable = True


class LMCircuitOpen(LMError):
    """The server failed too often lately, so it was not asked. `retry_after` says when it will be; until then asking
    again is no use, so it is not retryable."""


class LMAuthError(LMError, PermissionError):
    """The server does not accept the key (HTTP 401 or 403)."""


class LMQuotaError(LMError):
    """The account has no credit left. Waiting does not help, so it is never retried."""


class LMRequestError(LMError, ValueError):
    """The server refused the request (HTTP 4xx): a wrong model name, a parameter it does not know."""


class LMContextError(LMRequestError):
    """The prompt does not fit the model's context window."""


class LMUnsupported(LMRequestError):
    """The model cannot do what was asked, and leaving it out would change the question or is not allowed."""


class LMReplayError(LMError, LookupError):
    """A recording does not hold the request, or cannot be read.

    `difference` is how it differs from the nearest recorded one, as a whole unified diff, where that was worked out;
    the message shows a few lines of it. `others` are the messages of further requests that were missing.
    """

    difference = ""
    others: tuple[str, ...] = ()


class LMModelChanged(LMError, ValueError):
    """Another version of the model answered than is pinned. `response` is its answer, which was paid for."""

    def __init__(self, message: str, *, pinned: str, response: Response, request: Request | None = None) -> None:
        super().__init__(message, request=request)
        self.pinned = pinned
        self.response = response


class LMResponseError(LMError, ValueError):
    """The server answered with something that is not a response, or one larger than allowed."""


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """ " Did you mean 'x'?" when a valid name is near, else "". Starts with a space when not empty."""
    near = difflib.get_close_matches(str(name)[:200], list(valid), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""


def refuse_unknown(given: Iterable[str], valid: Iterable[str], subject: str) -> None:
    """Raise `UsageError` when `given` holds a name that is not in `valid`."""
    names = list(valid)
    for name in given:
        if name not in names:
            raise UsageError(
                f"{subject} has no option {name!r}.{did_you_mean(name, names)} Options: {', '.join(names)}."
            )


def brief(value: Any, limit: int = 120) -> str:
    """`repr(value)`, cut to `limit` characters, for use inside messages."""
    try:
        text = repr(value)
    except Exception as error:  # a user's broken __repr__ must not hide the real error
        text = f"<{type(value).__name__} whose repr failed: {type(error).__name__}>"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
