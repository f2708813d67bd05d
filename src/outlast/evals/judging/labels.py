"""What people said of outputs: by whom, when, under which version of which rubric."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast, overload

from outlast.data.jsonform import content_hash, json_form
from outlast.data.splits import Splits, assign, fractions_of
from outlast.errors import DataError, UsageError, brief, did_you_mean
from outlast.evals.judging.label import Item as Item
from outlast.evals.judging.label import Label as Label
from outlast.evals.judging.label import replace_value
from outlast.evals.judging.rubric import Rubric, Verdict, as_rubric

if TYPE_CHECKING:
    from outlast.data.dataset import Dataset
    from outlast.data.readers import Names, Source
    from outlast.evals.judging.judge import Judge
    from outlast.evals.row import Row


class Labels(Sequence[Label]):
    """Labels in a fixed order, of any number of items, authors and rubrics. A value.

        labels = ol.Labels.from_csv("labels.csv", rubric=tone, author="ann")
        labels.of(tone)        # what counts today: the present version of the rubric, each author's last word
        labels.stale(tone)     # given under an earlier version: kept, not wrong, not counted

    `part` is the name of the part of a split that these are, "" for a whole.
    """

    __slots__ = ("__dict__", "_lineage", "_rows", "part")

    part: str

    def __init__(self, labels: Iterable[Label] = ()) -> None:
        rows = tuple(labels)
        for index, label in enumerate(rows):
            if not isinstance(label, Label):
                raise UsageError(f"Labels takes labels; item {index} is {brief(label)}")
        self._rows, self.part, self._lineage = rows, "", ""

    def _with(self, rows: Iterable[Label], part: str | None = None, lineage: str | None = None) -> Labels:
        new = Labels(rows)
        new.part = self.part if part is None else part
        new._lineage = self._lineage if lineage is None else lineage
        return new

    # What there is

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """The items, each once, in order of first appearance."""
        found: dict[str, Item] = {}
        for label in self._rows:
            found.setdefault(label.item.id, label.item)
        return tuple(found.values())

    @property
    def authors(self) -> tuple[str, ...]:
        """Who labelled, in order of first appearance."""
        return tuple(dict.fromkeys(label.author for label in self._rows))

    @property
    def rubrics(self) -> tuple[str, ...]:
        """The names of the rubrics, in order of first appearance."""
        return tuple(dict.fromkeys(label.rubric for label in self._rows))

    @property
    def hash(self) -> str:
        """32 hexadecimal digits over items and values in order."""
        return content_hash([[row.item.id, row.value, row.rubric, row.rubric_version, row.author] for row in self])

    def open(self, rubric: Rubric | None = None) -> Labels:
        """The labels that wait for a value."""
        return self._with(
            row for row in self._rows if row.value is None and (rubric is None or row.rubric == rubric.name)
        )

    def of(self, rubric: Rubric) -> Labels:
        """The labels that count for a rubric: of its present version, with a value, the last of each author on each
        item. Raises `DataError` when a value is no verdict of the rubric."""
        rubric = as_rubric(rubric, "labels.of")
        last: dict[tuple[str, str], Label] = {}
        for row in self._rows:
            if row.rubric != rubric.name or row.rubric_version != rubric.version or row.value is None:
                continue
            try:
                row = replace_value(row, rubric.read(row.value))
            except UsageError as error:
                raise DataError(f"label of {row.author or 'nobody'} on item {row.item.id}: {error}") from None
            key = (row.item.id, row.author)
            if key not in last or row.time >= last[key].time:
                last[key] = row
        return self._with(last.values())

    def stale(self, rubric: Rubric) -> Labels:
        """The labels that were given under another version of a rubric."""
        rubric = as_rubric(rubric, "labels.stale")
        return self._with(
            row
            for row in self._rows
            if row.rubric == rubric.name and row.rubric_version != rubric.version and row.value is not None
        )

    def by_item(self, rubric: Rubric) -> dict[str, dict[str, Verdict]]:
        """What each author says of each item, by the id of the item, of the labels that count."""
        found: dict[str, dict[str, Verdict]] = {}
        for row in self.of(rubric):
            found.setdefault(row.item.id, {})[row.author] = cast("Verdict", row.value)
        return found

    def filter(self, keep: Callable[[Label], bool]) -> Labels:
        """The labels for which `keep(label)` is true, in order."""
        return self._with(row for row in self._rows if keep(row))

    def sample(self, n: int, seed: int = 0) -> Labels:
        """The labels of `n` different items drawn at random, in the order of these. Same seed, same items."""
        if isinstance(n, bool) or not isinstance(n, int) or not 0 <= n <= len(self.items):
            raise DataError(f"cannot sample {brief(n)} of {len(self.items)} items")
        chosen = {item.id for item in random.Random(seed).sample(self.items, n)}
        return self._with(row for row in self._rows if row.item.id in chosen)

    def confirmed(self, rubric: Rubric, author: str, *, ids: Iterable[str] | None = None) -> Labels:
        """With a new label of `author` under the present version for each stale one of theirs that still holds: for
        all of them, or for the items with these ids. The stale ones stay."""
        wanted = None if ids is None else set(ids)
        still = [
            Label(row.item, row.value, rubric=rubric, author=author, note=row.note)
            for row in self.stale(rubric)
            if row.author == author and (wanted is None or row.item.id in wanted)
        ]
        return self._with([*self._rows, *still])

    # Parts

    def split(
        self, *fractions: float, by: str | Callable[[Item], Any] | None = None, seed: int = 0, **named: float
    ) -> Splits[Labels]:
        """Parts of about these shares: `labels.split(train=0.2, dev=0.4, test=0.4).train`.

        All labels of an item go to one part, and so do all items with the same inputs, where these are known, or with
        the same value of `by` (a field, or a function of the item). Where they go is decided by a hash, as in
        `Dataset.split`: labels that are added later move none. Raises `DataError` when a part would be empty.
        """
        shares = fractions_of(fractions, named)
        keys = {item.id: item.origin if by is None else content_hash(_key(by, item)) for item in self.items}
        parts = assign(self._rows, [keys[row.item.id] for row in self._rows], shares, f"{self._lineage}{seed}")
        for name, rows in parts.items():
            if not rows:
                raise DataError(
                    f"split: part {name!r} got none of {len(self)} labels of {len(self.items)} items; where each goes "
                    f"is decided by its hash. Use larger shares or another seed."
                )
        return Splits({name: self._with(rows, name, f"{self._lineage}{seed}>") for name, rows in parts.items()})

    def examples(self, judge: Judge) -> Dataset:
        """The items as examples to compile a judge on, with the verdict of people as target; see `ol.agrees`.

        Raises `UsageError` for the test part of a split, `DataError` when no label counts.
        """
        from outlast.evals.judging.agreeing import examples_of

        return examples_of(self, judge)

    # Constructors and files

    @classmethod
    def from_rows(
        cls,
        rows: Any,
        rubric: Rubric,
        *,
        value: str | Callable[[Row], Any] | Mapping[str, Any] | None = None,
        author: str = "",
        note: str = "",
        targets: Names = (),
    ) -> Labels:
        """Labels of the outputs of an evaluation (or of rows of one); rows without outputs are left out.

        The item is made of inputs and outputs, and of those `targets` that are needed to judge it, as `target.name`.
        `value` says what each is worth: the name of a field, a function of the row, or values by the id of the row;
        None, and rows for which it gives None, wait for a value. So `Labels.from_rows(evaluation, tone).to_csv(path)`
        writes a sheet to fill in.
        """
        from outlast.evals.judging.labelfile import of_rows

        return cls(of_rows(rows, as_rubric(rubric, "Labels.from_rows"), value, author, note, targets))

    @classmethod
    def from_csv(
        cls,
        source: Source,
        *,
        rubric: Rubric | None = None,
        author: str = "",
        value: str = "label",
        note: str = "note",
        inputs: Names | None = None,
        outputs: Names | None = None,
    ) -> Labels:
        """Labels of a CSV file in UTF-8: one that `to_csv` wrote, or any other, by names of columns.

        `value` is the column with the verdict (empty: not yet labelled), `note` the one that says why, `inputs` and
        `outputs` are the columns of the item. Columns `author`, `time`, `note`, `rubric` and `rubric_version` are used
        when they are there and not columns of the item; else `author=` and `rubric=` hold for all, and labels without
        a version count as given under the present one. Raises `DataError` with file and line.
        """
        from outlast.evals.judging.labelfile import Columns, read_csv

        return cls(read_csv(source, Columns(rubric, author, value, note, inputs, outputs)))

    @classmethod
    def from_jsonl(
        cls,
        source: Source,
        *,
        rubric: Rubric | None = None,
        author: str = "",
        value: str = "label",
        note: str = "note",
        inputs: Names | None = None,
        outputs: Names | None = None,
    ) -> Labels:
        """Labels of a file of JSON lines: one that `to_jsonl` wrote, or any other; keywords as in `from_csv`."""
        from outlast.evals.judging.labelfile import Columns, read_jsonl

        return cls(read_jsonl(source, Columns(rubric, author, value, note, inputs, outputs)))

    def to_csv(self, path: str | Path | IO[str]) -> None:
        """Write a table that a person can fill in and `from_csv` reads back. Values that are no text are written as
        JSON, in columns that say so; cells that a spreadsheet would take for a formula get a ' in front."""
        from outlast.evals.judging.labelfile import write_csv

        write_csv(self, path)

    def to_jsonl(self, path: str | Path | IO[str]) -> None:
        """Write a line for each label, which `from_jsonl` reads back to equal labels."""
        from outlast.evals.judging.labelfile import write_jsonl

        write_jsonl(self, path)

    # A sequence

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Label]:
        return iter(self._rows)

    @overload
    def __getitem__(self, index: int) -> Label: ...
    @overload
    def __getitem__(self, index: slice) -> Labels: ...
    def __getitem__(self, index: int | slice) -> Label | Labels:
        return self._with(self._rows[index]) if isinstance(index, slice) else self._rows[index]

    def __add__(self, other: Labels) -> Labels:
        return Labels([*self._rows, *other])

    def __eq__(self, other: object) -> bool:
        return self._rows == other._rows if isinstance(other, Labels) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._rows)

    def __repr__(self) -> str:
        counts = Counter(row.rubric for row in self._rows)
        told = ", ".join(f"{name}: {count}" for name, count in counts.items())
        people = sum(1 for name in self.authors if name)
        waiting = len(self.open())
        more = (f", part {self.part!r}" if self.part else "") + (f", {waiting} to be labelled" if waiting else "")
        return (
            f"<Labels of {len(self.items)} item{'s' * (len(self.items) != 1)} by {people} "
            f"author{'s' * (people != 1)} ({told or 'none'}){more}>"
        )


def _key(by: str | Callable[[Item], Any], item: Item) -> Any:
    if callable(by):
        return json_form(by(item))
    if by not in item.fields:
        raise DataError(
            f"split: item {item.id} has no field {by!r}.{did_you_mean(by, item.fields)} "
            f"Fields: {', '.join(item.fields)}."
        )
    return json_form(item.fields[by])
