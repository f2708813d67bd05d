"""An ordered, hashed, immutable list of examples, and how it is split."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, overload

from outlast.data.example import Example, as_json, id_of, input_hash, inputs_of
from outlast.data.jsonform import content_hash, json_form
from outlast.data.splits import Splits, assign, fractions_of
from outlast.errors import DataError, UsageError, brief, did_you_mean
from outlast.messages import canonical

if TYPE_CHECKING:
    from outlast.data.readers import Names, Source

Duplicates = Literal["drop", "error", "keep"]
By = str | Callable[[Example], Any]


class Dataset(Sequence[Example]):
    """Examples in a fixed order. A value: every method that changes something gives a new data set.

    `duplicates` says what to do with repeats. "drop" (default) keeps the first of equal examples, counts the
    others in `repeats`, and raises `DataError` when the same inputs come with different targets, since one of
    the two labels is wrong; "error" refuses equal examples too; "keep" keeps everything.

        >>> data = Dataset.from_list([{"message": "charged twice", "team": "billing"}], inputs=["message"])
        >>> data
        <Dataset of 1 example, inputs: message, targets: team>
    """

    __slots__ = ("_hash", "_lineage", "_rows", "_whole", "part", "repeats")

    repeats: int
    part: str  # the name of the part of a split that this is, or is taken from; "" for data that were not split

    def __init__(self, examples: Iterable[Example], *, duplicates: Duplicates = "drop") -> None:
        if duplicates not in ("drop", "error", "keep"):
            raise UsageError(f"duplicates is 'drop', 'error' or 'keep'; got {duplicates!r}")
        rows = _checked(examples)
        if duplicates != "keep":
            kept = _without_repeats(rows, duplicates)
            self.repeats = len(rows) - len(kept)
            rows = kept
        else:
            self.repeats = 0
        self._rows = tuple(rows)
        self._hash: str | None = None
        self._lineage = ""  # the seeds of the splits that this is a part of
        self._whole: Dataset | None = None  # the part that this was taken from; None for the part itself
        self.part = ""

    def _part(self, rows: Iterable[Example], lineage: str | None = None) -> Dataset:
        """Examples of this data set, which were checked already."""
        data = Dataset.__new__(Dataset)
        data._rows, data._hash, data.repeats = tuple(rows), None, 0
        data._lineage = self._lineage if lineage is None else lineage
        data.part, data._whole = self.part, self.whole if self.part else None
        return data

    # Constructors: `inputs` and `targets` name columns; see `readers.Columns` for the rule.

    @classmethod
    def from_list(
        cls,
        rows: Iterable[Mapping[str, Any] | Example],
        *,
        inputs: Names | None = None,
        targets: Names | None = None,
        duplicates: Duplicates = "drop",
    ) -> Dataset:
        """From mappings. Name the columns that are inputs, or those that are targets; the rest is the other
        kind.

        With both named, other columns are left out. Rows of the form `{"inputs": {...}, "targets": {...}}`,
        as `to_jsonl` writes them, need neither. Raises `DataError` when there is no row or a row lacks a
        column.
        """
        from outlast.data import readers

        return cls(readers.read_rows(rows, inputs=inputs, targets=targets), duplicates=duplicates)

    @classmethod
    def from_jsonl(
        cls,
        source: Source,
        *,
        inputs: Names | None = None,
        targets: Names | None = None,
        duplicates: Duplicates = "drop",
    ) -> Dataset:
        """From JSON lines in UTF-8: a path, an open file, or "-" for standard input. Columns as in
        `from_list`.

        Raises `DataError` with file and line for what is not a JSON object, and when there is no row.
        """
        from outlast.data import readers

        return cls(readers.read_jsonl(source, inputs=inputs, targets=targets), duplicates=duplicates)

    @classmethod
    def from_csv(
        cls,
        source: Source,
        *,
        inputs: Names | None = None,
        targets: Names | None = None,
        types: Mapping[str, Callable[[str], Any]] | None = None,
        delimiter: str = ",",
        duplicates: Duplicates = "drop",
    ) -> Dataset:
        """From CSV in UTF-8 whose first row names the columns. Columns as in `from_list`.

        Cells are text; `types={"urgency": int}` says how to read others. Raises `DataError` with file and
        line.
        """
        from outlast.data import readers

        rows = readers.read_csv(source, inputs=inputs, targets=targets, types=types, delimiter=delimiter)
        return cls(rows, duplicates=duplicates)

    @classmethod
    def from_parquet(
        cls,
        path: str | Path,
        *,
        inputs: Names | None = None,
        targets: Names | None = None,
        duplicates: Duplicates = "drop",
    ) -> Dataset:
        """From a Parquet file; needs the `parquet` extra. Columns as in `from_list`."""
        from outlast.data import readers

        return cls(readers.read_parquet(path, inputs=inputs, targets=targets), duplicates=duplicates)

    @classmethod
    def from_dataframe(
        cls,
        frame: Any,
        *,
        inputs: Names | None = None,
        targets: Names | None = None,
        duplicates: Duplicates = "drop",
    ) -> Dataset:
        """From a pandas or polars frame; NaN, NaT and NA become None. Columns as in `from_list`."""
        from outlast.data import readers

        return cls(readers.read_dataframe(frame, inputs=inputs, targets=targets), duplicates=duplicates)

    def to_jsonl(self, path: str | Path | IO[str]) -> None:
        """Write one `{"id", "inputs", "targets"}` a line, which `from_jsonl` reads back to an equal data set.

        A file that is there is replaced only when all is written.
        """
        from outlast.data.files import write_lines

        write_lines(path, (canonical(as_json(example)).decode() for example in self._rows))

    # A sequence

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Example]:
        return iter(self._rows)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    def __getitem__(self, index: int | slice) -> Example | Dataset:
        return self._part(self._rows[index]) if isinstance(index, slice) else self._rows[index]

    def __eq__(self, other: object) -> bool:
        return self.hash == other.hash if isinstance(other, Dataset) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.hash)

    @property
    def hash(self) -> str:
        """32 hexadecimal digits over the ids in order."""
        if self._hash is None:
            digest = IdHash()
            for example in self._rows:
                digest.add(id_of(example))
            self._hash = digest.value
        return self._hash

    # Parts

    def filter(self, keep: Callable[[Example], bool]) -> Dataset:
        """The examples for which `keep(example)` is true, in order."""
        return self._part(example for example in self._rows if keep(example))

    def sample(self, n: int, seed: int = 0) -> Dataset:
        """`n` different examples drawn at random, in the order of this data set. Same seed, same examples."""
        if not 0 <= n <= len(self):
            raise DataError(f"cannot sample {n} of {len(self)} examples")
        chosen = random.Random(seed).sample(range(len(self)), n)
        return self._part(self._rows[index] for index in sorted(chosen))

    def shuffle(self, seed: int = 0) -> Dataset:
        """All examples in a random order that depends only on the seed."""
        rows = list(self._rows)
        random.Random(seed).shuffle(rows)
        return self._part(rows)

    def split(self, *fractions: float, by: By | None = None, seed: int = 0, **named: float) -> Splits[Dataset]:
        """Parts of about these shares: `train, dev = data.split(0.7, 0.3)` or `data.split(train=0.7,
        dev=0.3).dev`.

        Where an example goes is decided by the hash of its inputs alone (of `by`, a field name or a function,
        when given: rows of one group stay together), never by the other rows. So adding rows moves none, rows
        with the same inputs are never in two parts, and the shares are met only about: +-7 of 200 for halves.
        Shares are above 0 and sum to at most 1; what remains goes nowhere. Another `seed` gives another
        split. A part can be split again; one that was written to a file and read back needs another seed
        for that. Raises `DataError` when a part would be empty.
        """
        shares = fractions_of(fractions, named)
        if by is None:
            keys: Iterable[str] = map(input_hash, self._rows)
        else:
            read = reader_of(by, self._rows)
            keys = (content_hash(json_form(read(example))) for example in self._rows)
        parts = assign(self._rows, keys, shares, f"{self._lineage}{seed}")
        for name, rows in parts.items():
            if not rows:
                raise DataError(
                    f"split: part {name!r} got none of {len(self)} examples; where each goes is decided by "
                    f"its hash. Use larger shares, another seed, or fixed numbers: data.shuffle(seed)[:n]."
                )
        return Splits({name: self._part(rows, f"{self._lineage}{seed}>").named(name) for name, rows in parts.items()})

    def named(self, part: str) -> Dataset:
        """The same examples as the part of a split of this name, such as a test split that came in a file of its own.

        Readings of parts named like "test" are counted, see `outlast.evals.reads`.
        """
        if not isinstance(part, str) or not part:
            raise UsageError(f"a part of a split has a name, such as 'test'; got {brief(part)}")
        data = self._part(self._rows)
        data.part, data._whole, data._hash, data.repeats = part, None, self._hash, self.repeats
        return data

    @property
    def whole(self) -> Dataset:
        """The part of the split that these examples were filtered, drawn or shuffled from."""
        return self if self._whole is None else self._whole

    def slices(self, by: By) -> dict[Any, Dataset]:
        """The examples of each value of a field (or of a function of the example), in order of first
        appearance."""
        read = reader_of(by, self._rows)
        groups: dict[Any, list[Example]] = {}
        for example in self._rows:
            groups.setdefault(slice_key(read(example)), []).append(example)
        return {key: self._part(rows) for key, rows in groups.items()}

    def with_targets(self, make: Callable[[Example], Mapping[str, Any]]) -> Dataset:
        """The same inputs with the targets `make(example)`: new labels. The ids change, the splits do not."""
        return self._part(Example(inputs_of(example), make(example)) for example in self._rows)

    def __repr__(self) -> str:
        if not self._rows:
            return "<Dataset of 0 examples>"
        first = self._rows[0]
        inputs = list(inputs_of(first))
        targets = [name for name in first if name not in inputs]
        repeats = f", {self.repeats} repeats dropped" if self.repeats else ""
        return (
            f"<Dataset of {len(self)} example{'s' * (len(self) != 1)}, "
            f"inputs: {', '.join(inputs) or 'none'}, targets: {', '.join(targets) or 'none'}{repeats}>"
        )


class IdHash:
    """The hash of a data set, fed one id at a time, so that a stream has one too."""

    def __init__(self) -> None:
        self._digest = blake2b(digest_size=16)

    def add(self, example_id: str) -> None:
        """Count the next example in."""
        self._digest.update(example_id.encode() + b"\n")

    @property
    def value(self) -> str:
        """The hash of all ids so far."""
        return self._digest.hexdigest()


def reader_of(by: By, rows: Sequence[Example]) -> Callable[[Example], Any]:
    """How to read what `by` names; an unknown field raises `DataError` before anything is read."""
    if callable(by):
        return by
    name = by
    for index, example in enumerate(rows):
        if name not in example:
            names = list(example)
            where = "" if index == 0 else f" (example {index})"
            raise DataError(
                f"the examples have no field {name!r}{where}.{did_you_mean(name, names)} Fields: {', '.join(names)}."
            )
    return lambda example: example[name]


def slice_key(value: Any) -> Any:
    """A value as a dictionary key that reads well: itself when plain, else its JSON text."""
    form = json_form(value, lenient=True)
    return form if isinstance(form, str | int | float) or form is None else canonical(form).decode()


def _checked(examples: Iterable[Example]) -> list[Example]:
    if isinstance(examples, str | bytes | Mapping):
        raise UsageError(
            f"Dataset takes examples; got {brief(examples)}. For files and mappings there are "
            f"Dataset.from_jsonl, from_csv, from_parquet, from_dataframe and from_list."
        )
    rows = list(examples)
    for index, example in enumerate(rows):
        if not isinstance(example, Example):
            raise UsageError(
                f"Dataset takes examples; item {index} is {brief(example)}. For a list of dicts: "
                f"Dataset.from_list(rows, inputs=[...])."
            )
    return rows


def _without_repeats(rows: list[Example], duplicates: Duplicates) -> list[Example]:
    seen: dict[str, int] = {}
    by_inputs: dict[str, int] = {}
    kept: list[Example] = []
    for index, example in enumerate(rows):
        try:
            key, inputs = id_of(example), input_hash(example)
        except DataError as error:
            raise DataError(f"example {index}: {error}") from error
        if key in seen:
            if duplicates == "error":
                raise DataError(
                    f"example {index} repeats example {seen[key]}: {example!r}. "
                    f"Use duplicates='drop' to keep the first."
                )
            continue
        if inputs in by_inputs:
            first = by_inputs[inputs]
            raise DataError(
                f"examples {first} and {index} have the same inputs but different targets: {rows[first]!r} "
                f"and {example!r}. Correct the wrong one, or use duplicates='keep' when both are right."
            )
        seen[key] = by_inputs[inputs] = index
        kept.append(example)
    return kept
