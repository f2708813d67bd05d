"""The samples in a real store, where labels and queues can be kept; and what people and judges say of them."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from outlast.tracing.record import ResultRecord, TraceRecord
from outlast.tracing.saving import WholeTrace
from outlast.tracing.store import Store, open_store
from tests.view.samples import Records, sample_records

NOTES = [
    ("fail", "blames the customer for the delay", ("tone",)),
    ("fail", "sent to the wrong team", ("routing",)),
    ("pass", "", ()),
    ("fail", "asks for the card number although it is there", ("asks twice",)),
    ("pass", "short and kind", ()),
    ("fail", "wrong team again: cards instead of transfers", ("wrong team",)),
    ("defer", "no idea what the policy is here", ()),
]


def sample_store(path: Path, records: Records | None = None) -> Store:
    """A store that holds them, open for writing; each row of an evaluation is a trace of its own, as when it ran."""
    records = records or sample_records()
    by_id = {trace.id: trace for trace in records.traces}
    wholes = [_whole(records, trace) for trace in records.traces]
    for number, row in enumerate(records.results):
        wholes.append(_as_row(_whole(records, by_id[row.trace_id]), row, number))
    store = open_store(path, create=True)
    store.save_records(records.runs, wholes)
    return store


def _whole(records: Records, trace: TraceRecord) -> WholeTrace:
    spans = tuple(span for span in records.spans if span.trace_id == trace.id)
    return WholeTrace(trace, spans, {span.id: records.contents[span.id] for span in spans})


def _as_row(whole: WholeTrace, row: ResultRecord, number: int) -> WholeTrace:
    """A copy under other ids that belongs to the evaluation and answered what the row says."""
    id = f"{number + 4096:012x}{'c' * 20}"
    ids = {span.id: f"{number:08x}{place:08x}" for place, span in enumerate(whole.spans)}
    spans = [replace(span, id=ids[span.id], trace_id=id, parent_id=ids.get(span.parent_id, "")) for span in whole.spans]
    contents = {ids[old]: content for old, content in whole.contents.items()}
    if spans:
        contents[spans[0].id] = replace(contents[spans[0].id], inputs=row.inputs, outputs=row.outputs)
    trace = replace(whole.trace, id=id, run_id=row.run_id, example=row.example, started=whole.trace.started + number)
    return WholeTrace(trace, tuple(spans), contents, replace(row, trace_id=id))


def label_some(store: Store, authors: tuple[str, ...] = ("ann", "bob"), seed: int = 3) -> None:
    """Verdicts of people, and of two versions of a judge of which the second is nearer to people."""
    dice = random.Random(seed)
    for number, trace in enumerate(store.traces(limit=60)):
        value, note, tags = NOTES[number % len(NOTES)]
        for author in authors:
            said = value if dice.random() < 0.88 else ("pass" if value == "fail" else "fail")
            if number % 3 == 0 or author == authors[0]:
                more = {"note": note if said == value else "", "tags": tags if said == value else ()}
                store.add_label(trace.id, said, author=author, seconds_spent=round(dice.uniform(4, 40), 1), **more)
        for version, right in (("v1", 0.7), ("v2", 0.9)):
            if value != "defer":
                judged = value if dice.random() < right else ("pass" if value == "fail" else "fail")
                critique = "The reply is friendly." if judged == "pass" else "It does not answer the question."
                store.add_label(
                    trace.id,
                    judged,
                    author=f"gpt-5-mini {version}",
                    source="judge",
                    rubric_version=version,
                    note=critique,
                )
