"""Examples that are not independent: which belong together, and what that does to the interval."""

from __future__ import annotations

import pytest

from outlast.data import Dataset, Example
from outlast.errors import DataError
from outlast.evals import Evaluation, Score, evaluate
from outlast.evals.statistics.clusters import clustered_mean


def examples():
    """Ten documents with six questions each; all questions about a document are right, or none is."""
    return [Example({"doc": f"d{i // 6}", "question": f"q{i}"}, {"right": (i // 6) % 2}) for i in range(60)]


async def program(doc, question):
    return question


def right(example, out):
    return Score(example.right, parts={"half": example.right / 2})


def run(data=None, **options):
    return evaluate(program, examples() if data is None else data, right, progress=False, **options)


@pytest.mark.parametrize("cluster", ["doc", lambda example: example.doc])
def test_the_interval_is_that_of_the_clusters(cluster):
    result = run(cluster=cluster)
    assert [row.cluster for row in result.rows[:7]] == ["d0"] * 6 + ["d1"]
    expected = clustered_mean([item.score for item in result.items], [item.cluster for item in result.items])
    assert result.score == expected
    assert result.score.interval.width > 1.8 * run().score.interval.width
    assert "cluster-robust" in repr(result)
    assert "cluster-robust" in result.parts["half"].method
    assert result.parts["half"].value == result.score.value / 2
    assert run(cluster=cluster, keep="nothing").score == expected
    assert run(iter(examples()), cluster=cluster).score == expected
    assert all("cluster-robust" in part.score.method for part in result.slices(lambda row: row.index % 2).values())
    assert result.estimate("wilson") == run().score


def test_clusters_survive_the_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    result = run(cluster="doc", save=path)
    again = Evaluation.from_jsonl(path)
    assert (repr(again), again.score) == (repr(result), result.score)
    assert repr(run(cluster="doc", save=path, resume=True)) == repr(result)
    with pytest.raises(DataError, match=r"its cluster \('doc' then, '' now\) differs"):
        run(save=path, resume=True)


def test_the_progress_shows_no_interval_that_would_be_too_narrow():
    seen = []
    evaluate(program, examples(), right, cluster="doc", progress=seen.append)
    assert seen[-1].score.value == 0.5
    assert not seen[-1].score.interval.known
    assert ".." not in seen[-1].text()


def test_an_example_without_cluster_is_refused_before_any_call():
    async def never(doc, question):
        raise AssertionError("not called")

    for data in (examples(), Dataset(examples())):
        with pytest.raises(DataError, match="cluster: example 0 has no field 'dok'. Did you mean 'doc'"):
            evaluate(never, data, right, cluster="dok", progress=False)
    late = [*examples(), Example({"doc": None, "question": "q"}, {"right": 1})]
    with pytest.raises(DataError, match=r"cluster: example 60 has none"):
        evaluate(never, late, right, cluster="doc", progress=False)


@pytest.mark.parametrize("missing", ["", " ", float("nan"), None])
def test_a_cluster_that_has_no_name_is_refused(missing):
    with pytest.raises(DataError, match="cluster: example 6 has none"):
        run(cluster=lambda example: missing if example.doc == "d1" else example.doc)
