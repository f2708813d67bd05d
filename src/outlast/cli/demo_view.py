"""What the quickstart shows: plain words, live progress, figures, the prompt that was found."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlast.cli.output import stdout
from outlast.cli.wording import counted, one_line, percent

if TYPE_CHECKING:
    from rich.console import RenderableType

    from outlast.optimize.compile import Compiled
    from outlast.optimize.random_search import RandomSearch
    from outlast.optimize.study import Progress

WIDEST = 88
SHOWN_DEMOS = 1
_PHASES = {"start": "measuring", "search": "searching", "confirm": "proving"}


class View:
    """Writes the quickstart to stdout; nothing when `quiet`. `live` shows progress."""

    def __init__(self, *, quiet: bool, live: bool) -> None:
        from rich.console import Console

        self.quiet = quiet
        self.live = live
        self.ledger: Path | None = None
        self._said_before = False
        self.out = Console(file=stdout(), highlight=False, markup=False, emoji=False)
        self.out.width = min(WIDEST, self.out.width)

    def introduce(self, model: str, parts: Mapping[str, int], optimizer: RandomSearch) -> None:
        """What is going to happen, in plain words."""
        if self.quiet:
            return
        from rich.text import Text

        total = sum(parts.values())
        about = ""
        if model == "outlast/baseline":
            about = ", built in: no key, no network. A classical baseline, not a language model: it answers like the "
            about += "examples in its prompt that look most alike"
        rows = [
            (
                "task",
                "Read a message to a bank's support desk: which of 8 teams should get it, how urgent is it?",
            ),
            ("program", "Triage: two typed questions to a model, `route` and then `rate`"),
            ("model", f"{model}{about}"),
            (
                "data",
                f"{total} labelled messages: {parts['train']} to take examples from, {parts['select']} to rank prompts "
                f"on, {parts['confirm']} held out for the proof",
            ),
            ("metric", "0 to 100%: 70 for the right team, 30 for the urgency, less the further off it is"),
            ("search", f"race {optimizer.candidates} sets of up to {optimizer.max_demos} examples; prove the winner"),
        ]
        if model != "outlast/baseline":
            most = 2 * (optimizer.rollouts(parts["train"], parts["select"]) + 2 * parts["confirm"])
            rows.append(
                ("cost", f"at most {most:,} short calls; --dollars X sets a limit, Ctrl-C stops, a rerun goes on")
            )
        self._print()
        self._print(Text.assemble(("outlast demo", "bold"), "  a program written once, its prompts found by search"))
        self._print()
        self._rows(rows)
        self._print()

    @contextmanager
    def progress(self) -> Generator[Callable[[Progress], None] | bool]:
        """A listener for `compile`: a live line on a terminal, a line for each phase elsewhere."""
        if self.quiet or not self.live:
            yield False
        elif self.out.is_terminal:
            with self._live_line() as listener:
                yield listener
        else:
            phases: set[str] = set()

            def listen(state: Progress) -> None:
                if state.phase == "search":
                    self._before()
                if state.phase not in phases:
                    phases.add(state.phase)
                    self._print(f"{_PHASES[state.phase]} ...")

            yield listen

    @contextmanager
    def _live_line(self) -> Generator[Callable[[Progress], None]]:
        from rich.live import Live

        began = time.monotonic()
        with Live(console=self.out, auto_refresh=False, transient=True) as live:

            def listen(state: Progress) -> None:
                if state.phase == "search":
                    self._before()
                live.update(self._status(state, time.monotonic() - began), refresh=True)

            yield listen

    def _status(self, state: Progress, seconds: float) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=max(1, state.expected), completed=min(state.rollouts, state.expected), width=30)
        done = f"{state.rollouts:,} runs, {state.meter.spent.calls:,} calls, {seconds:.0f} s"
        grid.add_row(Text(_PHASES[state.phase], style="bold"), bar, Text(done, style="dim"))
        words = "the program as it is, on the held-out messages"
        if state.phase == "search":
            words = (
                f"{state.alive} of {state.candidates} still in the race" if state.alive > 1 else "collecting examples"
            )
            if state.score is not None:
                words += f"; the leader has {state.score:.1%} so far, which flatters it"
        elif state.phase == "confirm":
            words = "the winner, on the held-out messages"
        return Group(grid, Text(words, style="dim"))

    def _before(self) -> None:
        """Say the score of the start as soon as it is known."""
        if self._said_before or self.ledger is None:
            return
        from outlast.errors import OutlastError
        from outlast.evals.statistics import estimate_mean
        from outlast.optimize.summary import scores

        self._said_before = True
        try:
            known = scores(self.ledger, "start", "confirm")
        except OutlastError:
            return
        if known:
            self._score("before", estimate_mean(known), "bold yellow")

    def result(self, compiled: Compiled[Any]) -> None:
        """Before, after, gain, verdict."""
        verdict = compiled.report.verdict
        if verdict.start is not None and verdict.winner is not None and verdict.paired is not None:
            if not self._said_before:
                self._score("before", verdict.start, "bold yellow")
            self._score("after", verdict.winner, "bold green" if verdict.better else "bold")
            paired = verdict.paired
            low, high = 100 * paired.interval.low, 100 * paired.interval.high
            p = "p < 0.001" if paired.p < 0.001 else f"p = {paired.p:.3f}"
            words = f"points (95% CI {low:+.1f} to {high:+.1f}, {p})"
            self._line("gain", f"{100 * paired.difference:+.1f}", "bold green" if verdict.better else "bold", words)
        told = {"better": "better, proven on data that the search never saw"}.get(verdict.word, verdict.reason)
        self._rows([("verdict", told), ("cost", _cost(compiled))])
        self._print()

    def prompt(self, program: Any, start: Any) -> None:
        """The prompt of each module: what came to that of `start`, its instruction, the first of its examples."""
        from rich.panel import Panel
        from rich.text import Text

        from outlast.modules.paths import predictors_of

        parts = predictors_of(program)
        self._print(Text.assemble(("The prompts it found", "bold"), f": {_found(parts, predictors_of(start))}"))
        for path, part in parts.items():
            body = Text(part.instruction)
            width = self.out.width - 6
            for demo in part.demos[:SHOWN_DEMOS]:
                body.append("\n")
                for name, value in demo.values.items():
                    is_output = name in part.signature.outputs
                    body.append(f"\n{name:<9}", style="dim")
                    body.append(one_line(value, width - 9), style="green" if is_output else "")
            if len(part.demos) > SHOWN_DEMOS:
                body.append(f"\n\n… {counted(len(part.demos) - SHOWN_DEMOS, 'more example')}", style="dim")
            if not part.demos:
                body.append("\n\nno examples", style="dim")
            title = Text.assemble((path, "bold"), f" {part.signature.__name__}")
            self._print(Panel(body, title=title, title_align="left", border_style="dim", padding=(0, 1)))
        self._print()

    def next_steps(self, program: Path, page: Path, ledger: Path | None, model: str, base_url: str | None) -> None:
        """Where the files are, how to load the program, how to use a real model."""
        from rich.text import Text

        self._print(Text("Files", style="bold"))
        rows = [
            (str(program), "what you ship: text, for review in git"),
            (str(page), "the report: open it in a browser"),
        ]
        if ledger is not None:
            rows.append((str(ledger), "every run and reply: a rerun asks nothing"))
        room = max(len(name) for name, _ in rows)
        for name, words in rows:
            self._print(Text.assemble(f"  {name:<{room}}", (f"  {words}", "dim")), soft_wrap=True)
        self._print()
        self._print(Text("Load it", style="bold"))
        opened = f'"{model}"' if base_url is None else f'ol.LM("{model}", base_url="{base_url}")'
        for line in (
            "import outlast as ol",
            "from outlast.samples.triage import Triage",
            f"ol.configure(lm={opened})",
            f'triage = ol.load("{program.as_posix()}", Triage())',
            'triage(message="my card is gone!").team',
        ):
            self._print(Text(f"  {line}", style="cyan"), soft_wrap=True)
        self._print()
        self._print(Text("Next", style="bold"))
        own = own_command()
        steps = [(f"{own} explain {shlex.quote(str(program))}", "where each example came from")]
        if model == "outlast/baseline":
            steps.append((f"{own} demo --lm openai/gpt-5-mini", "the same with a real model"))
        room = max(len(command) for command, _ in steps)
        for command, words in steps:
            fits = room + 4 + len(words) <= self.out.width
            told = Text(f"  {command:<{room}}" if fits else f"  {command}", style="cyan")
            self._print(told.append(f"  {words}", style="dim") if fits else told, soft_wrap=True)
        self._print()

    def last(self, compiled: Compiled[Any], page: Path) -> None:
        """The result once more, where it stands above the next prompt of the shell, and where to read on."""
        from rich.text import Text

        verdict = compiled.report.verdict
        opened = f"open {page}"
        if verdict.start is None or verdict.winner is None or verdict.paired is None:
            self._print(opened, soft_wrap=True)
            return
        word = "proven" if verdict.better else "not proven"
        told = f"{percent(verdict.start.value)} -> {percent(verdict.winner.value)} "
        told += f"({100 * verdict.paired.difference:+.1f}), {word} on {verdict.start.n} held-out messages"
        style = "bold green" if verdict.better else "bold"
        if len(told) + 2 + len(opened) <= self.out.width:
            self._print(Text.assemble((told, style), f"; {opened}"))
        else:
            self._print(Text(told, style=style))
            self._print(opened, soft_wrap=True)

    def _score(self, name: str, estimate: Any, style: str) -> None:
        interval = estimate.interval
        words = (
            f"       (95% CI {100 * interval.low:.1f} to {100 * interval.high:.1f}) on {estimate.n} held-out messages"
        )
        self._line(name, percent(estimate.value), style, words)

    def _line(self, name: str, figure: str, style: str, words: str) -> None:
        from rich.text import Text

        self._print(Text.assemble((f"  {name:<9}", "dim"), (f"{figure:>5}", style), f" {words}"))

    def _rows(self, rows: list[tuple[str, str]]) -> None:
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=10, style="dim")
        grid.add_column()
        for name, words in rows:
            grid.add_row(Text(f"  {name}"), Text(words))
        self._print(grid)

    def _print(self, item: Any = "", *, soft_wrap: bool = False) -> None:
        if not self.quiet:
            self.out.print(item, soft_wrap=soft_wrap)


def own_command() -> str:
    """How this command is called from here: its name when it is on the PATH, else a path that works."""
    if shutil.which("outlast"):
        return "outlast"
    script = Path(sys.executable).with_name("outlast")
    known = script if script.is_file() else Path(sys.executable)
    here = Path.cwd()
    word = shlex.quote(str(known.relative_to(here) if known.is_relative_to(here) else known))
    return word if known == script else f"{word} -m outlast.cli"


def _found(parts: Mapping[str, Any], start: Mapping[str, Any]) -> str:
    """What came to the prompts, in words."""
    changed = [path for path, part in parts.items() if part.instruction != start[path].instruction]
    told = f"new instructions for {', '.join(changed)}" if changed else "the instructions as written"
    added = {path: len(part.demos) - len(start[path].demos) for path, part in parts.items()}
    if not any(added.values()):
        return f"{told}, no examples added"
    if len(set(added.values())) == 1:
        return f"{told}, {counted(next(iter(added.values())), 'example')} added to each"
    each = ", ".join(f"{counted(count, 'example')} added to {path}" for path, count in added.items())
    return f"{told}, {each}"


def _cost(compiled: Compiled[Any]) -> str:
    report = compiled.report
    spent = report.spending
    if not spent.calls:
        return f"nothing: all {report.known:,} replies were in the ledger of an earlier run"
    money = f"${spent.dollars:.2f}" if spent.dollars or not spent.unpriced else "price unknown"
    again = f"; {report.known:,} replies were known" if report.known else ""
    return f"{counted(spent.calls, 'call')}, {spent.tokens:,} tokens, {money}, {report.seconds:.1f} s{again}"
