from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.data import Dataset, Example, id_of, inputs_of
from outlast.errors import DataError, UsageError


def rows(n, start=0):
    return [
        {"message": f"message {i}", "team": ("billing", "cards")[i % 2], "doc": i // 5} for i in range(start, start + n)
    ]


def numbers(n):
    return Dataset.from_list(rows(n), inputs=["message"])


def ids(data):
    return [example.id for example in data]


def test_a_dataset_is_an_ordered_sequence():
    data = numbers(10)
    assert len(data) == 10
    assert data[0].message == "message 0"
    assert data[-1].message == "message 9"
    assert [example.message for example in data[2:4]] == ["message 2", "message 3"]
    assert isinstance(data[2:4], Dataset)
    assert data[3] in data


def test_equal_content_has_equal_hash_and_order_counts():
    assert numbers(5) == numbers(5)
    assert hash(numbers(5)) == hash(numbers(5))
    assert numbers(5).hash != numbers(6).hash
    assert numbers(5).hash != numbers(5).shuffle(1).hash
    assert pickle.loads(pickle.dumps(numbers(5))) == numbers(5)
    assert numbers(5) != 5


def test_inputs_or_targets_may_be_named():
    by_inputs = Dataset.from_list(rows(1), inputs="message")
    by_targets = Dataset.from_list(rows(1), targets=["team", "doc"])
    assert by_inputs == by_targets
    both = Dataset.from_list(rows(1), inputs=["message"], targets=["team"])
    assert list(both[0]) == ["message", "team"]


def test_inputs_must_be_said():
    with pytest.raises(DataError, match=r"row 0: which columns are inputs\?.*Columns: message, team, doc"):
        Dataset.from_list(rows(1))
    with pytest.raises(UsageError, match="not both: message"):
        Dataset.from_list(rows(1), inputs=["message"], targets=["message"])
    with pytest.raises(UsageError, match="names of columns; got 3"):
        Dataset.from_list(rows(1), inputs=[3])


def test_a_missing_column_names_row_and_columns():
    with pytest.raises(DataError, match=r"row 1: no column 'message'. Did you mean 'mesage'\? Columns: mesage"):
        Dataset.from_list([{"message": "a", "t": 1}, {"mesage": "b", "t": 1}], inputs=["message"])


def test_empty_and_wrong_things_are_refused():
    with pytest.raises(DataError, match="the list holds no rows"):
        Dataset.from_list([], inputs=["message"])
    with pytest.raises(DataError, match="row 0: a row is an object"):
        Dataset.from_list(["text"], inputs=["message"])
    with pytest.raises(UsageError, match="rows are a list"):
        Dataset.from_list("text", inputs=["message"])
    with pytest.raises(UsageError, match="item 0 is {'a': 1}"):
        Dataset([{"a": 1}])
    with pytest.raises(UsageError, match="Dataset takes examples; got 'file.jsonl'"):
        Dataset("file.jsonl")


def test_repeats_are_dropped_and_counted():
    data = Dataset.from_list([*rows(3), *rows(2)], inputs=["message"])
    assert len(data) == 3
    assert data.repeats == 2
    assert "2 repeats dropped" in repr(data)
    with pytest.raises(DataError, match="example 3 repeats example 0"):
        Dataset.from_list([*rows(3), *rows(2)], inputs=["message"], duplicates="error")
    kept = Dataset.from_list([*rows(3), *rows(2)], inputs=["message"], duplicates="keep")
    assert len(kept) == 5
    assert kept.repeats == 0
    with pytest.raises(UsageError, match="duplicates is"):
        Dataset([], duplicates="first")


def test_contradicting_labels_are_refused_unless_kept():
    contradicting = [{"message": "a", "team": "billing"}, {"message": "a", "team": "cards"}]
    with pytest.raises(DataError, match=r"examples 0 and 1 have the same inputs but different targets.*keep"):
        Dataset.from_list(contradicting, inputs=["message"])
    assert len(Dataset.from_list(contradicting, inputs=["message"], duplicates="keep")) == 2


def test_a_value_that_cannot_be_hashed_names_its_row():
    with pytest.raises(DataError, match="example 1: field 'x': nan has no JSON form"):
        Dataset([Example({"x": 1.0}), Example({"x": float("nan")})])


def test_sample_and_shuffle_depend_on_the_seed_only():
    data = numbers(50)
    assert data.sample(10, seed=3) == data.sample(10, seed=3)
    assert data.sample(10, seed=3) != data.sample(10, seed=4)
    order = [data._rows.index(example) for example in data.sample(10, seed=3)]
    assert order == sorted(order)
    assert data.shuffle(1) == data.shuffle(1) != data
    assert sorted(ids(data.shuffle(1))) == sorted(ids(data))
    with pytest.raises(DataError, match="cannot sample 51 of 50"):
        data.sample(51)


def test_filter_and_slices():
    data = numbers(10)
    assert all(example.team == "cards" for example in data.filter(lambda example: example.team == "cards"))
    slices = data.slices("team")
    assert {name: len(part) for name, part in slices.items()} == {"billing": 5, "cards": 5}
    assert {key: len(part) for key, part in data.slices(lambda example: [example.doc]).items()} == {
        "[0]": 5,
        "[1]": 5,
    }
    with pytest.raises(DataError, match=r"no field 'teem'.*Did you mean 'team'"):
        data.slices("teem")


def test_with_targets_relabels_and_keeps_the_split():
    data = numbers(40)
    relabelled = data.with_targets(lambda example: {"team": example.team.upper()})
    assert relabelled[0].team == "BILLING"
    assert relabelled[0].id != data[0].id
    before = [e.message for e in data.split(0.5, 0.5)[0]]
    assert [e.message for e in relabelled.split(0.5, 0.5)[0]] == before


def test_split_by_position_and_by_name():
    data = numbers(400)
    train, dev, test = data.split(0.5, 0.3, 0.2)
    assert len(train) + len(dev) + len(test) == 400
    assert 170 <= len(train) <= 230
    assert 60 <= len(test) <= 100
    named = data.split(train=0.5, dev=0.3, test=0.2)
    assert (named.train, named["dev"], named[2]) == (train, dev, test)
    assert named.names == ("train", "dev", "test")
    assert repr(named) == f"<Splits train: {len(train)}, dev: {len(dev)}, test: {len(test)}>"
    assert pickle.loads(pickle.dumps(named)).train == train
    with pytest.raises(AttributeError, match=r"no part 'tran'.*Did you mean 'train'"):
        named.tran  # noqa: B018


def test_shares_below_one_leave_the_rest_out():
    (part,) = numbers(400).split(0.25)
    assert 70 <= len(part) <= 130


@given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_adding_rows_moves_no_other_row(n, more, seed):
    small = Dataset.from_list(rows(40 + n), inputs=["message"]).split(a=0.5, b=0.5, seed=seed)
    large = Dataset.from_list(rows(40 + n + more), inputs=["message"]).split(a=0.5, b=0.5, seed=seed)
    assert set(ids(small.a)) <= set(ids(large.a))
    assert set(ids(small.b)) <= set(ids(large.b))


def test_another_seed_gives_another_split():
    data = numbers(100)
    assert data.split(0.5, 0.5)[0] != data.split(0.5, 0.5, seed=1)[0]


def test_groups_stay_together():
    data = numbers(200)
    a, b = data.split(0.5, 0.5, by="doc")
    assert not {e.doc for e in a} & {e.doc for e in b}
    assert len(a) + len(b) == 200
    c, d = data.split(0.5, 0.5, by=lambda example: example.doc)
    assert (a, b) == (c, d)
    with pytest.raises(DataError, match="no field 'dok'"):
        data.split(0.5, 0.5, by="dok")


def test_rows_with_the_same_inputs_are_never_in_two_parts():
    doubled = [{"m": str(i), "label": label} for i in range(100) for label in ("x", "y")]
    a, b = Dataset.from_list(doubled, inputs=["m"], duplicates="keep").split(0.5, 0.5)
    assert not {e.m for e in a} & {e.m for e in b}


@pytest.mark.parametrize(
    ("positional", "named", "message"),
    [
        ((), {}, "takes shares"),
        ((0.5,), {"dev": 0.5}, "takes shares"),
        ((0.7, 0.7), {}, "sum to 1.4"),
        ((100, 50), {}, "fraction above 0"),
        ((0.0, 1.0), {}, "fraction above 0"),
        ((True,), {}, "fraction above 0"),
    ],
)
def test_impossible_shares_are_refused(positional, named, message):
    with pytest.raises(UsageError, match=message):
        numbers(10).split(*positional, **named)


def test_an_empty_part_is_refused():
    with pytest.raises(DataError, match=r"part '[01]' got none of 1 examples"):
        numbers(1).split(0.5, 0.5)


def test_repr_names_the_columns():
    assert repr(numbers(2)) == "<Dataset of 2 examples, inputs: message, targets: team, doc>"
    assert repr(Dataset([])) == "<Dataset of 0 examples>"


def test_fields_called_like_parts_of_an_example_work():
    data = Dataset.from_list([{"id": 7, "inputs": "text", "targets": 3, "items": [1]}], inputs=["id", "inputs"])
    assert data[0].id == 7
    assert data[0].targets == 3
    assert dict(inputs_of(data[0])) == {"id": 7, "inputs": "text"}
    assert len(id_of(data[0])) == 32
    assert len(data.hash) == 32
    assert list(data.slices("id")) == [7]
    assert repr(data) == "<Dataset of 1 example, inputs: id, inputs, targets: targets, items>"


def test_a_part_can_be_split_again_with_the_same_seed(tmp_path):
    data = numbers(400)
    half, _ = data.split(0.5, 0.5)
    for part in (half, half.filter(lambda example: True), pickle.loads(pickle.dumps(half)), half.shuffle(3)):
        first, second = part.split(0.5, 0.5)
        assert 70 <= len(first) <= 130
        assert len(first) + len(second) == len(half)
    again = numbers(500).split(0.5, 0.5)[0].split(0.5, 0.5)[0]
    assert set(ids(half.split(0.5, 0.5)[0])) <= set(ids(again))
    half.to_jsonl(tmp_path / "half.jsonl")
    loaded = Dataset.from_jsonl(tmp_path / "half.jsonl")
    with pytest.raises(DataError, match="a part of an earlier split with the same seed.*Use another seed"):
        loaded.split(0.5, 0.5)
    assert 70 <= len(loaded.split(0.5, 0.5, seed=1)[0]) <= 130
