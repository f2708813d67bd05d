"""The result of running a program on data: a value that estimates, slices, and writes itself."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from outlast.data.dataset import slice_key
from outlast.data.files import write_lines
from outlast.errors import ConfigError, DataError, UsageError
from outlast.evals import wording
from outlast.evals.checking import CheckRates, rates
from outlast.evals.epochs import Epochs
from outlast.evals.fields import field_reader, flat
from outlast.evals.headline import headline
from outlast.evals.item import Item, items_of, part_estimates
from outlast.evals.policy import check_on_error
from outlast.evals.row import Row, State
from outlast.evals.rowfile import (
    About,
    End,
    Stopped,
    about_line,
    dumps,
    end_line,
    provenance_line,
    read_evaluation,
)
from outlast.evals.spread import Variance
from outlast.evals.statistics import Estimate, estimate_mean
from outlast.evals.statistics.clusters import clustered_mean
from outlast.evals.tally import ErrorGroup, Tally
from outlast.messages import Spending
from outlast.tracing.provenance import Provenance

if TYPE_CHECKING:
    from rich.console import RenderableType

    from outlast.evals.comparing.gate import Gate
    from outlast.evals.reads import Reads


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """A program's results on a data set: rows, examples made of them, and totals over those.

    The unit of every number is the example (`items`): `n`, `states`, `score`, `slices` and `parts` count examples, also
    when each was run several times (`epochs`). `runs` and `run_states` count rows.

    `stopped` is "" when every example was run; else why not: "interrupted" (Ctrl-C), "budget", "errors"
    (`max_errors`), "failed" (nothing could go on) or "unfinished" (a file of a process that died). `seconds`
    is the wall time. `rows` is empty when `kept` is false: then they went to `saved` only. `save_error` says
    why rows could not be saved, "" when they were. `reads` tells how often a held-out part was read (see `reads`).
    `sessions` say where the rows come from: code, machine, command; a resumed evaluation has several.
    """

    about: About
    rows: tuple[Row, ...]
    tally: Tally
    stopped: Stopped = ""
    seconds: float = 0.0
    kept: bool = True
    saved: str = ""
    save_error: str = ""
    reads: Reads | None = None
    sessions: tuple[Provenance, ...] = ()

    @classmethod
    def of(cls, about: About, rows: Sequence[Row], **more: Any) -> Evaluation:
        """An evaluation of finished rows."""
        return cls(about, tuple(rows), Tally.of(rows, about.rule, clustered=bool(about.cluster)), **more)

    # What it was

    @property
    def program(self) -> str:
        """A short name of the program."""
        return self.about.program

    @property
    def metric(self) -> str:
        """The name of the metric."""
        return self.about.metric

    @property
    def data_hash(self) -> str:
        """The hash of the data set; "" for a stream that was not read to its end."""
        return self.about.data_hash

    @property
    def models(self) -> tuple[str, ...]:
        """The models that answered, as they call themselves."""
        return tuple(self.tally.models)

    @property
    def model_counts(self) -> dict[str, int]:
        """How many rows each model answered, as it calls itself."""
        return dict(self.tally.models)

    @property
    def fingerprints(self) -> dict[str, dict[str, int]]:
        """How many rows each fingerprint answered, by model: what providers say of the weights and the software behind
        that name. Models that tell none are not in it; two fingerprints of one model may answer differently."""
        found: dict[str, dict[str, int]] = {}
        for (model, fingerprint), rows in self.tally.fingerprints.items():
            found.setdefault(model, {})[fingerprint] = rows
        return found

    @property
    def provenance(self) -> Provenance | None:
        """The last session that made rows; None for rows that were put together by hand."""
        return self.sessions[-1] if self.sessions else None

    # What came out

    @property
    def n(self) -> int:
        """How many examples were run."""
        return self.tally.examples

    @property
    def states(self) -> dict[State, int]:
        """How many examples ended in each state; with epochs after their scores were reduced to one."""
        return dict(self.tally.items)

    @property
    def runs(self) -> int:
        """How many rows there are: with epochs several of each example."""
        return self.tally.done

    @property
    def run_states(self) -> dict[State, int]:
        """How many rows ended in each state."""
        return dict(self.tally.states)

    @property
    def unanswered(self) -> int:
        """How many rows are the program's failure on what the model said; see `Row.answered`."""
        return self.tally.unanswered

    @property
    def retried(self) -> int:
        """How many rows were run again after an error, by `resume`; `Row.retried` says after which."""
        return self.tally.retried

    @property
    def redrawn(self) -> int:
        """How many of those had given no usable answer before: another draw in their place favours the program."""
        return self.tally.redrawn

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """The examples by index, each with its score and its rows."""
        return items_of(self.kept_rows("items"), self.about.rule)

    @property
    def flaky(self) -> tuple[Item, ...]:
        """The examples whose epochs disagree: some pass, others do not."""
        return tuple(item for item in self.items if item.flaky)

    @property
    def variance(self) -> Variance:
        """How much scores vary between examples and, from epoch to epoch, within one; NaN without epochs."""
        return self.tally.spread.variance()

    def counting(self, on_error: str) -> Evaluation:
        """The same rows with another policy for errors; see `policy`. Needs the rows."""
        about = replace(self.about, on_error=check_on_error(on_error))
        if not self.tally.states["error"]:  # then all policies give the same, also where the rows were not kept
            return replace(self, about=about)
        return self if about == self.about else self._with(about, "counting")

    def reduced(self, reducer: str) -> Evaluation:
        """The same rows with the epochs of each example made one score by another reducer. Needs the rows."""
        epochs = Epochs(self.about.epochs, reducer)
        return self._with(replace(self.about, reducer=epochs.reducer), "reduced")

    def _with(self, about: About, what: str) -> Evaluation:
        tally = Tally.of(self.kept_rows(what), about.rule, clustered=bool(about.cluster))
        return replace(self, about=about, tally=tally)

    @property
    def unseen(self) -> bool:
        """Whether the program has modules that ask models, and rows came out without a call of any of them."""
        ran = self.runs > self.tally.states["error"]
        spent = self.spending
        return bool(self.about.predictors and ran and not (spent.calls or spent.cached or self.models))

    @property
    def errors(self) -> tuple[ErrorGroup, ...]:
        """Errors grouped by what they say, the most frequent first."""
        return tuple(sorted(self.tally.groups.values(), key=lambda group: -group.count))

    @property
    def spending(self) -> Spending:
        """What the program's calls cost."""
        return self.tally.spending

    @property
    def metric_spending(self) -> Spending:
        """What the metric's calls cost, when it asks models."""
        return self.tally.metric_spending

    @property
    def values(self) -> Sequence[float]:
        """The scores that the estimate is made of, one for each example that counts, in no particular order."""
        return self.tally.scores

    @cached_property
    def score(self) -> Estimate:
        """The mean score with its interval, robust to clusters where there are some. NaN with n = 0 when no example
        has a score."""
        return self.estimate()

    def estimate(self, method: str = "auto", *, level: float | None = None) -> Estimate:
        """The mean score by another interval or level; methods are those of `statistics.estimate_mean`.

        "auto" is robust to clusters where there are some; every other method takes the examples for independent.
        """
        chosen = self.about.level if level is None else level
        if self.about.cluster and method in ("auto", "clustered") and len(self.values):
            return clustered_mean(self.values, self.tally.clusters, chosen)
        return estimate_mean(self.values, level=chosen, method=method)

    def latency(self, share: float = 0.5) -> float:
        """The time in seconds within which this share of the programs' runs ended; NaN without rows."""
        if not 0 <= share <= 1:
            raise UsageError(f"latency takes a share of 0..1; got {share!r}")
        ordered = sorted(self.tally.durations)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.nan

    # Parts

    def failures(self) -> tuple[Row, ...]:
        """Rows that failed, worst score first."""
        failed = [row for row in self.kept_rows("failures") if row.state == "fail"]
        return tuple(sorted(failed, key=lambda row: row.score or 0.0))

    def slices(self, by: str | Callable[[Row], Any]) -> dict[Any, Evaluation]:
        """An evaluation for each value of an input, a target or an output, or of a function of the row.

        A name is looked for in that order. Raises `DataError` when a row has no such field. By an output, the epochs
        of one example may go into different slices.
        """
        read = by if callable(by) else field_reader(by)
        groups: dict[Any, list[Row]] = {}
        for row in self.kept_rows("slices"):
            groups.setdefault(slice_key(read(row)), []).append(row)
        about = replace(self.about, data_hash="", total=None)
        more: dict[str, Any] = {"stopped": self.stopped, "sessions": self.sessions}
        return {
            key: Evaluation.of(replace(about, total=len({row.index for row in rows})), rows, **more)
            for key, rows in groups.items()
        }

    @property
    def checks(self) -> dict[str, CheckRates]:
        """How each check fared, those of the program and those beside the metric, by name: see `CheckRates`."""
        if not self.kept or not any(row.checks for row in self.rows):
            return {}
        return rates(self.items, self.about.level, clustered=bool(self.about.cluster))

    @property
    def parts(self) -> dict[str, Estimate]:
        """The mean of each named part of the scores, with its interval, over the examples that have it: the part of
        an example is the mean over its epochs."""
        if not self.kept:
            return {}
        about = self.about
        return part_estimates(self.items, about.level, clustered=bool(about.cluster))

    def kept_rows(self, what: str) -> tuple[Row, ...]:
        if not self.kept:
            where = f"; read them with Evaluation.from_jsonl({self.saved!r})" if self.saved else ""
            raise DataError(f"{what} needs the rows, which were not kept (keep='rows' keeps them){where}")
        return self.rows

    # Files and views

    def to_json(self) -> dict[str, Any]:
        """The totals as JSON-ready data, as `outlast eval --json` prints them; what does not exist is null."""
        from outlast.evals.totals import evaluation_json

        return evaluation_json(self)

    def to_dataframe(self) -> Any:
        """A pandas frame with a line for each row; columns of fields begin with `input.`, `target.`,
        `output.`."""
        try:
            import pandas
        except ImportError as error:
            raise ConfigError("to_dataframe needs pandas: pip install 'outlast[dataframe]'") from error
        return pandas.DataFrame([flat(row) for row in self.kept_rows("to_dataframe")])

    def to_jsonl(self, path: str | Path | IO[str]) -> None:
        """Write everything to a file that `from_jsonl` reads, in the form that `save=` writes; see
        `rowfile`."""
        rows = self.kept_rows("to_jsonl")
        end = End(self.stopped, self.seconds, self.data_hash, self.about.total)
        lines = [about_line(self.about), *map(provenance_line, self.sessions)]
        lines += [*(dumps(row.to_json()) for row in rows), end_line(end)]
        write_lines(path, (line.decode().rstrip("\n") for line in lines))

    @classmethod
    def from_jsonl(cls, path: str | Path) -> Evaluation:
        """The evaluation in a file that `to_jsonl` or `save=` wrote. Exceptions come back as text only.

        Without its last line, as after a crash, `stopped` is "unfinished". Raises `DataError` with file and
        line.
        """
        about, rows, end, sessions = read_evaluation(path)
        more: dict[str, Any] = {"saved": str(path), "sessions": sessions}
        if end is None:
            return cls.of(about, rows, stopped="unfinished", **more)
        about = replace(about, data_hash=end.data_hash, total=end.total)
        return cls.of(about, rows, stopped=end.stopped, seconds=end.seconds, **more)

    def to_html(
        self,
        path: str | Path,
        *,
        by: str | Callable[[Row], Any] | Sequence[str | Callable[[Row], Any]] | None = None,
        limit: int = 1000,
    ) -> None:
        """Write one page that needs nothing else: no script, no request. At most `limit` rows, worst first.

        It shows the score, a plot of the slices by each of `by`, parts, checks, flaky examples, errors, and how honest
        a confidence is, where the score has a part or the program an output of this name.
        """
        from outlast.evals.reports.page import page

        write_lines(path, page(self, self.kept_rows("to_html"), limit, by).split("\n"))

    def to_markdown(
        self,
        gates: Sequence[Gate] = (),
        by: str | Callable[[Row], Any] | Sequence[str | Callable[[Row], Any]] | None = None,
        *,
        limit: int = 10,
    ) -> str:
        """The results, with these gates, for the summary of a CI run; what models wrote cannot be markup in it."""
        from outlast.evals.reports.markdown import evaluation_markdown

        return evaluation_markdown(self, gates, by, limit=limit)

    def to_junit(self, path: str | Path | IO[str], gates: Sequence[Gate] = ()) -> None:
        """Write JUnit XML: each example a test case, each gate one more; see `evals.reports.junit`."""
        from outlast.evals.reports.junit import evaluation_xml

        write_lines(path, evaluation_xml(self, gates))

    def gate(self, at_least: float) -> Gate:
        """Whether the mean score is at least this: PASS, FAIL or INCONCLUSIVE; see `evals.comparing.gate`."""
        from outlast.evals.comparing.gate import score_gate

        return score_gate(self, at_least)

    def print_table(
        self,
        by: str | Callable[[Row], Any] | Sequence[str | Callable[[Row], Any]] | None = None,
        *,
        file: IO[str] | None = None,
    ) -> None:
        """Print the totals, the errors, and with `by` (or several) a line for each slice."""
        from rich.console import Console

        from outlast.evals.reports.tables import summary

        Console(file=file).print(summary(self, by))

    @property
    def headline(self) -> str:
        """One line: the score with its interval, the states, and why it stopped if it did."""
        return headline(self)

    @property
    def is_share(self) -> bool:
        """Whether all scores lie within 0..1."""
        return wording.is_share(self.values)

    def __repr__(self) -> str:
        return self.headline

    def __rich__(self) -> RenderableType:
        from rich.text import Text

        colour = "yellow" if self.stopped or self.unseen or self.tally.states["error"] else "green"
        score, _, rest = self.headline.partition(" on ")
        return Text.assemble((score, f"bold {colour}"), " on ", rest)

    def _repr_html_(self) -> str:
        lines = [f"<b>{html.escape(self.headline)}</b>", html.escape(str(self.spending))]
        lines += [html.escape(str(group)[:300]) for group in self.errors[:5]]
        return f"<div>{'<br>'.join(lines)}</div>"
