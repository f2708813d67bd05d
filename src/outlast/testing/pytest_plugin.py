"""The pytest plugin: the mark `outlast`, the fixtures `outlast_evaluate`, `outlast_replay` and `outlast_live`, and a
summary of scores.

    @pytest.mark.outlast(lm="openai/gpt-5-mini", cassette="route.jsonl")
    def test_route(outlast_evaluate):
        result = outlast_evaluate(route, dev, right_team)
        ol.testing.assert_score(result, at_least=0.8)

Tests are offline unless --outlast-live is given: a model with a cassette is replayed, one without is skipped. A
cassette without a model is for all models that the test asks. It is
installed with outlast and loads nothing else of it until a test uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

_DEFAULTS = pytest.StashKey[dict[str, Any]]()
_CASSETTES = pytest.StashKey[list[Any]]()
_REPLAYED = pytest.StashKey[Any]()
_EVALUATION, _EXAMPLE = "outlast_evaluation", "outlast_example"  # names of properties, which xdist carries too
_ARGUMENTS = ("lm", "adapter", "cassette", "live")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option --outlast-live."""
    group = parser.getgroup("outlast", "programs of language models (outlast)")
    group.addoption(
        "--outlast-live",
        action="store_true",
        default=False,
        help="ask real models in tests marked `outlast`; what their cassettes lack is recorded",
    )


def pytest_configure(config: pytest.Config) -> None:
    """The mark `outlast`."""
    config.addinivalue_line(
        "markers",
        "outlast(lm=None, adapter=None, cassette=None, live=False): tests a program; `lm` is asked through the "
        "recording `cassette` beside the test (all models, without lm); without one, and with live=True, only with "
        "--outlast-live",
    )
    config.stash[_CASSETTES] = []


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give the test its model, or skip it where that may not be asked."""
    parameters: Mapping[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    if type(parameters.get("example")).__module__ == "outlast.data.example":
        item.user_properties.append((_EXAMPLE, item.nodeid.partition("[")[0]))
    mark = item.get_closest_marker("outlast")
    if mark is None:
        return
    options = _options(mark, item)
    live = bool(item.config.getoption("--outlast-live"))
    if options.get("live") and not live:
        pytest.skip("asks a real model; give --outlast-live")
    chosen = {name: options[name] for name in ("lm", "adapter") if options.get(name) is not None}
    cassette = options.get("cassette")
    if chosen:
        _use(item, chosen, cassette if "lm" in chosen else None, live)
    if cassette is not None and "lm" not in chosen:
        from outlast.testing.replaying import replay

        item.stash[_REPLAYED] = block = replay(_beside(item, cassette), mode="auto" if live else None)
        block.__enter__()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Put the defaults back; a request that was not in the recording fails the test, whatever became of it."""
    before = item.stash.get(_DEFAULTS, None)
    if before is not None:
        from outlast.runtime import set_defaults

        set_defaults(**before)
    block = item.stash.get(_REPLAYED, None)
    if block is not None:
        del item.stash[_REPLAYED]
        block.__exit__(None, None, None)


@pytest.fixture
def outlast_live(request: pytest.FixtureRequest) -> bool:
    """Whether real models may be asked."""
    return bool(request.config.getoption("--outlast-live"))


@pytest.fixture
def outlast_evaluate(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`ol.evaluate` without progress, whose result is in the summary at the end of the tests."""

    def run(program: Any, data: Any, metric: Any, **options: Any) -> Any:
        from outlast.evals.evaluate import evaluate

        options.setdefault("progress", False)
        result = cast("Any", evaluate)(program, data, metric, **options)
        told = {"headline": result.headline, "spent": str(result.spending), "dollars": result.spending.dollars}
        request.node.user_properties.append((_EVALUATION, told))
        return result

    return run


@pytest.fixture
def outlast_replay(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`ol.testing.replay` with paths beside the test: `with outlast_replay("triage.jsonl"): ...`. With --outlast-live
    what is missing in a cassette is asked and recorded."""

    def block(source: Any, id: str | None = None, **options: Any) -> Any:
        from outlast.testing.replaying import replay

        path = _beside(request.node, source) if isinstance(source, (str, Path)) else source
        if request.config.getoption("--outlast-live") and str(path).endswith(".jsonl"):
            options.setdefault("mode", "auto")
        return replay(path, id, **options)

    return block


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The scores of evaluations, and the share of examples that passed."""
    lines, dollars = _evaluations(terminalreporter), _dollars(terminalreporter)
    lines += _examples(terminalreporter)
    if lines:
        terminalreporter.section("outlast")
        for line in lines:
            terminalreporter.line(line)
        if dollars:
            terminalreporter.line(f"spent ${dollars:.4f} in all")


def _options(mark: pytest.Mark, item: pytest.Item) -> dict[str, Any]:
    unknown = [name for name in mark.kwargs if name not in _ARGUMENTS]
    if unknown or (mark.args and not callable(mark.args[0])):
        got = ", ".join([*unknown, *map(repr, mark.args)])
        raise pytest.UsageError(f"{item.nodeid}: the mark outlast takes {', '.join(_ARGUMENTS)}; got {got}")
    return dict(mark.kwargs)


def _use(item: pytest.Item, chosen: dict[str, Any], cassette: Any, live: bool) -> None:
    """Make model and adapter those of the process while the test runs, also in its threads and tasks."""
    from outlast.lms.models import BUILT_IN
    from outlast.modules.settings import as_adapter, as_lm
    from outlast.runtime import default, set_defaults

    lm = chosen.get("lm")
    if "adapter" in chosen:
        chosen["adapter"] = as_adapter(chosen["adapter"])
    if lm is not None:
        if cassette is not None:
            chosen["lm"] = _replayed(item, lm, cassette, live)
        elif isinstance(lm, str) and lm not in BUILT_IN and not live:
            pytest.skip(f"asks {lm}; give --outlast-live, or a cassette")
        else:
            chosen["lm"] = as_lm(lm)
    item.stash[_DEFAULTS] = {name: default(name) for name in chosen}
    set_defaults(**chosen)


def _replayed(item: pytest.Item, lm: Any, cassette: Any, live: bool) -> Any:
    """The model with its recording; kept until the end, so that all tests of a process record into one file."""
    from outlast.lms.caching.cassette import Cassette

    recording = Cassette(lm, _beside(item, cassette), "auto" if live else None)
    item.config.stash[_CASSETTES].append(recording)
    return recording


def _beside(item: pytest.Item, place: Any) -> Path:
    """A path as it is meant in the file of the test."""
    path = Path(place)
    return path if path.is_absolute() else item.path.parent / path


def _properties(reporter: Any, name: str) -> Generator[tuple[Any, Any]]:
    """Pairs of a report of a test and a property of this name, of all tests that ran."""
    for outcome in ("passed", "failed", "skipped"):
        for report in reporter.stats.get(outcome, ()):
            if getattr(report, "when", "") != "call":
                continue
            for key, value in report.user_properties:
                if key == name:
                    yield report, value


def _evaluations(reporter: Any) -> list[str]:
    return [
        f"{report.nodeid}: {told['headline']}; {told['spent']}" for report, told in _properties(reporter, _EVALUATION)
    ]


def _dollars(reporter: Any) -> float:
    return sum(cast("float", told["dollars"] or 0) for _, told in _properties(reporter, _EVALUATION))


def _examples(reporter: Any) -> list[str]:
    """A line for each test that ran once for every example."""
    outcomes: dict[str, list[float]] = {}
    for report, test in _properties(reporter, _EXAMPLE):
        if report.outcome != "skipped":
            outcomes.setdefault(test, []).append(float(report.outcome == "passed"))
    if not outcomes:
        return []
    from outlast.evals.statistics import estimate_mean
    from outlast.evals.wording import estimate_text

    lines: list[str] = []
    for test, scores in outcomes.items():
        share = estimate_text(estimate_mean(scores), share=True)
        lines.append(f"{test}: {share}: {sum(scores):.0f} of {len(scores)} examples passed")
    return lines
