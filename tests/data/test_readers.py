from __future__ import annotations

import datetime
import io
import json
import sys
import zipfile

import pytest

from outlast.data import Dataset, load_examples, read_jsonl
from outlast.errors import ConfigError, DataError, UsageError

ROWS = [{"message": "a", "team": "billing"}, {"message": "é\u2028b", "team": "cards"}]


@pytest.fixture
def jsonl(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS), encoding="utf-8")
    return path


def expected():
    return Dataset.from_list(ROWS, inputs=["message"])


def test_jsonl_from_path_file_and_standard_input(jsonl, monkeypatch):
    assert Dataset.from_jsonl(jsonl, inputs=["message"]) == expected()
    assert Dataset.from_jsonl(str(jsonl), targets=["team"]) == expected()
    with open(jsonl, encoding="utf-8") as file:
        assert Dataset.from_jsonl(file, inputs=["message"]) == expected()
        assert not file.closed
    with open(jsonl, "rb") as file:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(file.read())))
    assert Dataset.from_jsonl("-", inputs=["message"]) == expected()
    assert load_examples(jsonl, inputs=["message"]) == expected()


def test_a_package_resource_need_not_be_a_file_on_disk(tmp_path):
    with zipfile.ZipFile(tmp_path / "package.zip", "w") as archive:
        archive.writestr("rows.jsonl", '{"message": "a", "team": "b"}\n')
        archive.writestr("rows.csv", "message,team\na,b\n")
    inside = zipfile.Path(tmp_path / "package.zip")
    data = Dataset.from_jsonl(inside / "rows.jsonl", inputs=["message"])
    assert data[0].team == "b"
    assert load_examples(inside / "rows.csv", inputs=["message"]) == data
    with pytest.raises(DataError, match="cannot read"):
        Dataset.from_jsonl(inside / "none.jsonl", inputs=["message"])


def test_a_byte_order_mark_and_blank_lines_are_accepted(jsonl):
    jsonl.write_bytes(b"\xef\xbb\xbf" + jsonl.read_bytes().replace(b"\n", b"\r\n\r\n"))
    assert Dataset.from_jsonl(jsonl, inputs=["message"]) == expected()
    text = io.StringIO("\ufeff" + json.dumps(ROWS[0]))
    assert len(Dataset.from_jsonl(text, inputs=["message"])) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"message": "x"', r"line 3: not JSON \(.*the line is '\{\"message\": \"x\"'"),
        (b"[1, 2]", r"line 3: a line is a JSON object; got \[1, 2\]. A file that is one JSON array"),
        (b'"text"', "line 3: a line is a JSON object; got 'text'"),
        (b'{"message": "\xff"}', "line 3: not UTF-8"),
        (b"[" * 100_000, "line 3: not JSON"),
        (b'{"message": ' + b"9" * 5000 + b"}", "line 3: not JSON"),
        (b'{"mesage": "x"}', "line 3: no column 'message'. Did you mean 'mesage'"),
    ],
)
def test_a_bad_line_is_named(jsonl, line, message):
    jsonl.write_bytes(jsonl.read_bytes() + line + b"\n")
    with pytest.raises(DataError, match=message) as caught:
        Dataset.from_jsonl(jsonl, inputs=["message"])
    assert "rows.jsonl" in str(caught.value)
    assert len(str(caught.value)) < 500


def test_empty_and_unreadable_files(tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n\n")
    with pytest.raises(DataError, match="empty.jsonl holds no rows"):
        Dataset.from_jsonl(empty, inputs=["x"])
    with pytest.raises(DataError, match=r"cannot read '.*nowhere.jsonl': No such file"):
        Dataset.from_jsonl(tmp_path / "nowhere.jsonl", inputs=["x"])
    with pytest.raises(DataError, match="Is a directory"):
        Dataset.from_jsonl(tmp_path, inputs=["x"])
    with pytest.raises(DataError, match="a path or an open file is needed; got a int"):
        Dataset.from_jsonl(3, inputs=["x"])


def test_own_form_is_read_back_without_naming_columns(tmp_path, jsonl):
    data = Dataset.from_jsonl(jsonl, inputs=["message"])
    data.to_jsonl(tmp_path / "own.jsonl")
    again = Dataset.from_jsonl(tmp_path / "own.jsonl")
    assert again == data
    assert again.hash == data.hash
    lines = (tmp_path / "own.jsonl").read_text(encoding="utf-8").split("\n")
    assert json.loads(lines[0]) == {
        "id": data[0].id,
        "inputs": {"message": "a"},
        "targets": {"team": "billing"},
    }
    buffer = io.StringIO()
    data.to_jsonl(buffer)
    buffer.seek(0)
    assert Dataset.from_jsonl(buffer) == data


def test_a_failed_write_leaves_the_old_file(tmp_path, jsonl):
    target = tmp_path / "own.jsonl"
    target.write_text("old")
    data = Dataset.from_jsonl(jsonl, inputs=["message"])
    with pytest.raises(DataError, match="cannot write"):
        data.to_jsonl(tmp_path / "no-such-directory" / "x.jsonl")
    with pytest.raises(DataError, match="cannot write '/dev/full': No space"):
        data.to_jsonl("/dev/full")
    bad = Dataset([*data], duplicates="keep").with_targets(lambda example: {"x": object()})
    with pytest.raises(DataError, match="field 'x'"):
        bad.to_jsonl(target)
    assert target.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.jsonl", "rows.jsonl"]


def test_read_jsonl_reads_one_row_at_a_time(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"x": 1}\n{"x": 2}\nbroken\n')
    rows = read_jsonl(path, inputs=["x"])
    assert next(rows).x == 1
    assert next(rows).x == 2
    with pytest.raises(DataError, match="line 3"):
        next(rows)


def test_csv(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes('\ufeffmessage,team,urgency\r\n"a, ""b""\nc",billing,3\r\n\r\nd,cards,\r\n'.encode())
    data = Dataset.from_csv(path, inputs=["message"], types={"urgency": lambda cell: int(cell) if cell else None})
    assert [dict(example.inputs) for example in data] == [{"message": 'a, "b"\nc'}, {"message": "d"}]
    assert [example.urgency for example in data] == [3, None]
    assert load_examples(path, inputs="message")[0].urgency == "3"
    with open(path, "rb") as file:
        assert len(Dataset.from_csv(file, inputs=["message"])) == 2
        assert not file.closed
    assert len(Dataset.from_csv(io.StringIO("a\tb\n1\t2\n"), inputs="a", delimiter="\t")) == 1
    (tmp_path / "rows.tsv").write_text("a\tb\n1\t2\n")
    assert load_examples(tmp_path / "rows.tsv", inputs="a")[0].b == "2"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "rows.csv is empty"),
        (b"a,b\n", "holds no rows after the header"),
        (b"a,a\n1,2\n", "line 1: two columns are called 'a'"),
        (b"a,b\n1,2\n1,2,3\n", r"line 3: 3 cells for 2 columns \(a, b\)"),
        (b"a,b\n1\n", "line 2: 1 cells for 2 columns"),
        (b'a,b\n1,"x', "line 2: not CSV"),
        (b"a,b\n1,\xff\n", "not UTF-8"),
        (b"x,b\n1,2\n", "line 2: no column 'a'"),
        (b"a,b\n1," + b"x" * 140_000 + b"\n", "line 2: not CSV .field larger than field limit"),
    ],
)
def test_bad_csv(tmp_path, content, message):
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        Dataset.from_csv(path, inputs=["a"])


def test_bad_csv_types(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,n\nx,three\n")
    with pytest.raises(DataError, match=r"line 2, column 'n': cannot read 'three'"):
        Dataset.from_csv(path, inputs="a", types={"n": int})
    with pytest.raises(DataError, match="types names no column 'm'"):
        Dataset.from_csv(path, inputs="a", types={"m": int})


def test_json_array(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(ROWS))
    assert load_examples(path, inputs=["message"]) == expected()
    path.write_text("{}")
    with pytest.raises(DataError, match="one JSON array"):
        load_examples(path, inputs=["message"])
    path.write_text("{")
    with pytest.raises(DataError, match="not JSON"):
        load_examples(path, inputs=["message"])


def test_unknown_suffix():
    with pytest.raises(DataError, match=r"cannot tell the format of 'rows.xlsx'.*Known: .jsonl"):
        load_examples("rows.xlsx", inputs="a")


def test_parquet(tmp_path):
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "rows.parquet"
    day = datetime.date(2020, 1, 2)
    table = pyarrow.table({"text": ["a", "b"], "n": [1, None], "tags": [["x"], []], "day": [day, day]})
    pyarrow.parquet.write_table(table, path)
    data = Dataset.from_parquet(path, inputs=["text"])
    assert [(e.n, e.tags, e.day) for e in data] == [(1, ["x"], day), (None, [], day)]
    assert load_examples(path, inputs=["text"]) == data
    with pytest.raises(DataError, match=r"row 0: no column 'txt'"):
        Dataset.from_parquet(path, inputs=["txt"])
    path.write_bytes(b"not parquet")
    with pytest.raises(DataError, match="as Parquet"):
        Dataset.from_parquet(path, inputs=["text"])
    with pytest.raises(DataError, match="as Parquet"):
        Dataset.from_parquet(tmp_path / "nowhere.parquet", inputs=["text"])


def test_parquet_without_pyarrow_says_how_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ConfigError, match=r"pip install 'outlast\[parquet\]'"):
        Dataset.from_parquet("x.parquet", inputs=["text"])


def test_dataframe():
    import pandas

    frame = pandas.DataFrame(
        {
            "text": ["a", "b"],
            "score": [1.5, float("nan")],
            "n": pandas.array([1, None], dtype="Int64"),
            "day": [pandas.Timestamp("2020-01-02"), pandas.NaT],
        }
    )
    data = Dataset.from_dataframe(frame, inputs=["text"])
    assert [(e.score, e.n) for e in data] == [(1.5, 1), (None, None)]
    assert data[1].day is None
    assert len(data.hash) == 32
    with pytest.raises(DataError, match="the data frame holds no rows"):
        Dataset.from_dataframe(frame[:0], inputs=["text"])
    with pytest.raises(UsageError, match="pandas or polars"):
        Dataset.from_dataframe([1], inputs=["text"])


def test_a_frame_with_to_dicts_is_read():
    class Polars:
        def to_dicts(self):
            return ROWS

    assert Dataset.from_dataframe(Polars(), inputs=["message"]) == expected()


def test_importing_data_loads_no_heavy_library():
    import subprocess

    heavy = ("numpy", "pandas", "pyarrow", "aiohttp", "rich", "jinja2")
    code = f"import sys, outlast.data; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_a_key_that_stands_twice_is_refused_with_file_and_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"q": 1, "a": 1}\n{"q": 2, "a": 1, "a": 2}\n')
    with pytest.raises(DataError, match=r"rows.jsonl, line 2: the key 'a' stands twice"):
        Dataset.from_jsonl(path, inputs=["q"])
    path = tmp_path / "rows.json"
    path.write_text('[{"q": {"x": 1, "x": 1}}]')
    with pytest.raises(DataError, match=r"rows.json: the key 'x' stands twice"):
        load_examples(path, inputs=["q"])
