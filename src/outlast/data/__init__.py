"""Examples and data sets: hashed by content, split so that rows never move, read from the usual files."""

from outlast.data.dataset import Dataset
from outlast.data.example import Example, id_of, inputs_of, targets_of
from outlast.data.jsonform import content_hash, json_form
from outlast.data.readers import load_examples, read_csv, read_dataframe, read_jsonl, read_parquet
from outlast.data.splits import Splits

__all__ = [
    "Dataset",
    "Example",
    "Splits",
    "content_hash",
    "id_of",
    "inputs_of",
    "json_form",
    "load_examples",
    "read_csv",
    "read_dataframe",
    "read_jsonl",
    "read_parquet",
    "targets_of",
]
