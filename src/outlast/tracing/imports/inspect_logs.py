"""Logs of Inspect, as .eval (a zip with an entry for each sample) and as .json."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from outlast.errors import DataError
from outlast.tracing.imports import gathered
from outlast.tracing.imports.files import Archive, json_file, readable
from outlast.tracing.imports.gathered import Reading, listed, mapping, moment, number, objects, text, whole
from outlast.tracing.imports.inspect_samples import sample_of
from outlast.tracing.record import RunRecord
from outlast.tracing.saving import WholeTrace

VERSIONS: Final = (1, 2)
_STATUS: Final = {"success": "done", "cancelled": "interrupted", "started": "open"}
_SAMPLES: Final = "samples/"


def read_inspect(path: str | Path) -> Reading:
    """An evaluation that Inspect logged: a run with a trace and a result for each sample. Raises `DataError`.

    A sample is read when its trace is asked for, and nothing is unpacked onto the disk.
    """
    place = readable(path, "a log of Inspect")
    if place.suffix == ".eval" or zipfile.is_zipfile(place):
        archive = Archive(place)
        try:
            head = _head(archive, place)
            run = _run_of(head, place)
        except BaseException:
            archive.close()
            raise
        reading = Reading([run], iter(()))
        reading.traces = _of_archive(archive, head, run, reading)
        return reading
    head = _checked(json_file(place, "logs of Inspect"), place)
    run = _run_of(head, place)
    reading = Reading([run], iter(()))
    reading.traces = _of_list(listed(head.get("samples")), head, run, reading)
    return reading


def _head(archive: Archive, place: Path) -> dict[str, Any]:
    """What the log says of the evaluation; one that was cut short has only its beginning."""
    for name in ("header.json", "_journal/start.json"):
        if name in archive.names:
            return _checked(archive.json(name), place)
    raise DataError(f"{str(place)!r} is no log of Inspect: it has no header.json")


def _checked(head: Any, place: Path) -> dict[str, Any]:
    told = mapping(head)
    if not isinstance(told.get("eval"), dict) or not isinstance(told.get("version"), int):
        raise DataError(f"{str(place)!r} is no log of Inspect: it does not say of what evaluation")
    if told["version"] not in VERSIONS:
        known = " and ".join(map(str, VERSIONS))
        raise DataError(f"{str(place)!r} is a log of version {told['version']}; those of {known} are read")
    return told


def _run_of(head: Mapping[str, Any], place: Path) -> RunRecord:
    about, stats = mapping(head["eval"]), mapping(head.get("stats"))
    identity = text(about.get("eval_id")) or f"{text(about.get('run_id'))}/{text(about.get('task_id'))}"
    started = moment(stats.get("started_at")) or moment(about.get("created")) or 0.0
    results = mapping(head.get("results"))
    scores = {
        f"{text(score.get('name'))}/{name}": number(mapping(metric).get("value"))
        for score in objects(results.get("scores"))
        for name, metric in mapping(score.get("metrics")).items()
    }
    revision = mapping(about.get("revision"))
    return RunRecord(
        id=gathered.id_of("inspect", identity),
        kind="import",
        name=text(about.get("task")),
        status=_STATUS.get(text(head.get("status")) or "started", "error"),
        started=started,
        ended=moment(stats.get("completed_at")) or started,
        dataset=text(mapping(about.get("dataset")).get("name")),
        metric=", ".join(text(one.get("name")) for one in objects(about.get("scorers"))),
        lm=text(about.get("model")),
        provenance={"git": gathered.finite(revision)} if revision else {},
        summary=gathered.finite({"scores": scores, "samples": whole(results.get("total_samples"))}),
        attributes={"source": "inspect", "path": str(place.resolve()), "eval_id": identity},
    )


def _of_archive(archive: Archive, head: Mapping[str, Any], run: RunRecord, reading: Reading) -> Iterator[WholeTrace]:
    try:
        order = Order(head)
        for name in archive.names:
            if name.startswith(_SAMPLES) and name.endswith(".json"):
                yield from _one(archive.json(name), head, run, order, reading)
    finally:
        archive.close()


def _of_list(samples: list[Any], head: Mapping[str, Any], run: RunRecord, reading: Reading) -> Iterator[WholeTrace]:
    order = Order(head)
    for place in range(len(samples)):
        sample, samples[place] = samples[place], None  # it may be freed when it is read
        yield from _one(sample, head, run, order, reading)


def _one(sample: Any, head: Mapping[str, Any], run: RunRecord, order: Order, reading: Reading) -> Iterator[WholeTrace]:
    try:
        found = sample_of(mapping(sample), mapping(head["eval"]), run, order.of(mapping(sample)), _leading(head))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        reading.skipped += 1  # one sample that is none costs itself
        return
    reading.last = found.trace.example
    yield found


def _leading(head: Mapping[str, Any]) -> str:
    """The score that stands for a sample: the one that the log puts first."""
    results = mapping(head.get("results"))
    told = text(mapping(results.get("headline")).get("score"))
    named = objects(results.get("scores")) or objects(mapping(head["eval"]).get("scorers"))
    return told or (text(named[0].get("name")) if named else "")


class Order:
    """Which place a sample has in its data set."""

    def __init__(self, head: Mapping[str, Any]) -> None:
        known = listed(mapping(mapping(head["eval"]).get("dataset")).get("sample_ids"))
        self._places = {text(one): place for place, one in enumerate(known)}

    def of(self, sample: Mapping[str, Any]) -> int:
        """Its place; those that the data set does not tell of come after the others."""
        return self._places.setdefault(text(sample.get("id")), len(self._places))
