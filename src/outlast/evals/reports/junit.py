"""An evaluation as JUnit XML, which CI systems show: each example a test case, each gate one more.

Written to satisfy both schemas in use (that of Ant, and the wider one of Jenkins). What a model wrote is text: escaped,
without the characters that XML 1.0 does not allow, and cut to a bounded length.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

from outlast.data.jsonform import json_form
from outlast.types.media import short_media

if TYPE_CHECKING:
    from outlast.evals.comparing.compare import Comparison
    from outlast.evals.comparing.gate import Gate
    from outlast.evals.comparing.pairing import Flip
    from outlast.evals.evaluation import Evaluation
    from outlast.evals.item import Item
    from outlast.evals.row import Row
    from outlast.tracing.provenance import Provenance

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LONGEST = 4_000  # characters of one value
_LONGEST_FACT = 300
_COUNTED = {"failure": "failures", "error": "errors", "skipped": "skipped"}


class _Suite:
    """One `testsuite`: its cases as lines, and their counts."""

    def __init__(self, number: int, name: str, properties: Mapping[str, Any], session: Provenance | None) -> None:
        self.number = number
        self.name = name
        self.properties = properties
        self.lines: list[str] = []
        self.counts: dict[str, int] = dict.fromkeys(("tests", *_COUNTED.values()), 0)
        self.seconds = 0.0
        self.host = (session.host if session is not None else "") or "localhost"
        self.time = _moment(session.started if session is not None else "")

    def add(
        self, name: str, seconds: float, kind: str = "", message: str = "", text: str = "", type_: str = ""
    ) -> None:
        """A case that passed, or one of kind "failure", "error" or "skipped"."""
        self.counts["tests"] += 1
        self.seconds += seconds
        start = f"<testcase name={_attribute(name)} classname={_attribute(self.name)} time={_time(seconds)}"
        if not kind:
            self.lines.append(f"{start}/>")
            return
        self.counts[_COUNTED[kind]] += 1
        if kind == "skipped":
            self.lines.append(f"{start}><skipped message={_attribute(message)}/></testcase>")
            return
        inner = f"<{kind} message={_attribute(message)} type={_attribute(type_ or kind)}>{_text(text)}</{kind}>"
        self.lines.append(f"{start}>{inner}</testcase>")

    def xml(self) -> Iterator[str]:
        """The suite."""
        counts = " ".join(f'{name}="{count}"' for name, count in self.counts.items())
        yield (
            f'<testsuite id="{self.number}" package="outlast" name={_attribute(self.name)} {counts} '
            f"time={_time(self.seconds)} timestamp={_attribute(self.time)} hostname={_attribute(self.host)}>"
        )
        yield "<properties>"
        for name, value in self.properties.items():
            yield f"<property name={_attribute(name)} value={_attribute(str(value))}/>"
        yield "</properties>"
        yield from self.lines
        yield "<system-out/><system-err/>"
        yield "</testsuite>"


def evaluation_xml(evaluation: Evaluation, gates: Sequence[Gate] = ()) -> Iterator[str]:
    """The lines of a file with a suite of the examples and, with `gates`, one of these.

    An example that failed is a failure with its feedback, one that ended in an error an error, an unscored one is
    skipped; properties hold the score, its interval and where all of it came from.
    """
    suite = _Suite(0, f"{evaluation.program}.{evaluation.metric}", _properties(evaluation), evaluation.provenance)
    for item in evaluation.items:
        _add_item(suite, item, evaluation.about.threshold)
    return _document([suite, *_gate_suites(gates, evaluation.provenance)])


def comparison_xml(comparison: Comparison, gates: Sequence[Gate] = ()) -> Iterator[str]:
    """The lines of a file with a suite of the examples compared, in which those that got worse are failures."""
    b = comparison.b
    paired = comparison.paired
    properties = {
        "change": paired.difference,
        "interval.low": paired.interval.low,
        "interval.high": paired.interval.high,
        "interval.level": comparison.level,
        "p": comparison.p,
        "method": comparison.method,
        "verdict": comparison.verdict,
        "before.program_hash": comparison.a.about.program_hash,
        **_properties(b),
    }
    suite = _Suite(0, f"{b.program}.{b.metric}.compared", properties, b.provenance)
    for pair in comparison.pairs.pairs:
        _add_pair(suite, pair)
    return _document([suite, *_gate_suites(gates, b.provenance)])


def _add_item(suite: _Suite, item: Item, threshold: float) -> None:
    row, name = item.worst, _name(item.row)
    seconds = math.fsum(one.seconds for one in item.rows)
    if item.state == "pass":
        suite.add(name, seconds)
    elif item.state == "unscored":
        suite.add(name, seconds, "skipped", row.feedback or "unscored")
    elif item.state == "error" and row.error is not None:
        text = f"{row.error.where}\n{_shown(row)}" if row.error.where else _shown(row)
        suite.add(name, seconds, "error", row.error.message or row.error.type, text, row.error.type)
    else:
        message = f"score {item.score:g}, below {threshold:g}" if item.score is not None else "no score"
        if len(item.rows) > 1:
            message += f", over {len(item.rows)} epochs"
        message += f": {row.feedback}" if row.feedback else ""
        suite.add(name, seconds, "failure", message, _shown(row), suite.name.rpartition(".")[2])


def _add_pair(suite: _Suite, pair: Flip) -> None:
    if pair.change >= 0:
        suite.add(_name(pair.b), pair.b.seconds)
        return
    message = f"score {pair.a_score:g} -> {pair.b_score:g}" + (f": {pair.b.feedback}" if pair.b.feedback else "")
    text = f"{_shown(pair.b)}\noutputs before: {_value(pair.a.outputs)}"
    suite.add(_name(pair.b), pair.b.seconds, "failure", message, text, "worse")


def _gate_suites(gates: Sequence[Gate], session: Provenance | None) -> list[_Suite]:
    if not gates:
        return []
    suite = _Suite(1, "gate", {}, session)
    for gate in gates:
        kind = {"PASS": "", "FAIL": "failure", "INCONCLUSIVE": "skipped"}[gate.decision]
        suite.add(gate.rule, 0.0, kind, f"{gate.decision}: {gate.reason}", gate.reason, "gate")
    return [suite]


def _document(suites: Iterable[_Suite]) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="utf-8"?>'
    yield "<testsuites>"
    for suite in suites:
        yield from suite.xml()
    yield "</testsuites>"


def _properties(evaluation: Evaluation) -> dict[str, Any]:
    score = evaluation.score
    properties = {
        "score": score.value,
        "interval.low": score.interval.low,
        "interval.high": score.interval.high,
        "interval.method": score.method,
        "scored": score.n,
        "headline": evaluation.headline,
        "models": ", ".join(evaluation.models),
        "spent": evaluation.spending,
        **_short(asdict(evaluation.about)),
    }
    return properties | (_short(asdict(evaluation.provenance)) if evaluation.provenance is not None else {})


def _short(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that say something and have room in a report: no diff, no list of packages."""
    return {
        name: value
        for name, value in facts.items()
        if name != "diff"
        and value not in (None, "")
        and isinstance(value, str | int | float)
        and len(str(value)) <= _LONGEST_FACT
    }


def _name(row: Row) -> str:
    """Stable between runs of the same data, so that CI systems follow an example over time."""
    return f"{row.index} {row.id[:12]}"


def _shown(row: Row) -> str:
    fields = {"inputs": row.inputs, "targets": row.targets, "outputs": row.outputs}
    return "\n".join(f"{name}: {_value(value)}" for name, value in fields.items() if value not in ({}, None))


def _value(value: Any) -> str:
    return json.dumps(short_media(json_form(value, lenient=True)), ensure_ascii=False)[:_LONGEST]


def _text(text: str) -> str:
    return escape(_NO_XML.sub("", text)[: 4 * _LONGEST])


def _attribute(text: str) -> str:
    return quoteattr(_NO_XML.sub("", text)[:_LONGEST])


def _time(seconds: float) -> str:
    return f'"{max(0.0, seconds):.3f}"'


def _moment(started: str) -> str:
    """When a session began, in the form of the schemas, which have no time zone: UTC."""
    try:
        moment = datetime.fromisoformat(started)
    except ValueError:
        moment = datetime.now(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S")
