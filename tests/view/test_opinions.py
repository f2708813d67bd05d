"""People and judges on the same traces: the figures are those of the statistics, and the pages show them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from outlast.evals.statistics import cohen_kappa, krippendorff_alpha, wilson
from outlast.tracing.store import Store
from outlast.view import coding
from outlast.view.opinions import agreement, judges
from tests.view.kept import label_some, sample_store
from tests.view.serving import Page, served


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with sample_store(tmp_path / "traces.db") as opened:
        yield opened


@pytest.fixture
def page(store: Store) -> Iterator[Page]:
    with served(store) as running:
        yield running


def say(store: Store, author: str, verdicts: str, **more: Any) -> None:
    """A verdict for each of the newest traces: p, f or d; "." says nothing."""
    words = {"p": "pass", "f": "fail", "d": "defer"}
    for letter, trace in zip(verdicts, store.traces(limit=len(verdicts)), strict=True):
        if letter != ".":
            store.add_label(trace.id, words[letter], author=author, **more)


def test_agreement_is_that_of_the_statistics(store: Store) -> None:
    a, b = "ppffpfpfppf.d", "ppfffppfp.fpp"
    say(store, "ann", a, seconds_spent=4.0)
    say(store, "bob", b, seconds_spent=6.0)
    found = agreement(store.labels(), store.labels(history=True), "label")
    both = [(x, y) for x, y in zip(a, b, strict=True) if x in "pf" and y in "pf"]
    [pair] = found.pairs
    assert (pair.first, pair.second, pair.same.n) == ("ann", "bob", len(both))
    assert pair.same.value == sum(x == y for x, y in both) / len(both)
    assert pair.same.interval == wilson(sum(x == y for x, y in both), len(both))
    kappa = cohen_kappa([x for x, _ in both], [y for _, y in both])
    assert (pair.kappa.value, pair.kappa.interval.low) == (kappa.value, kappa.interval.low)
    assert found.humans is not None
    assert found.humans.alpha.value == pytest.approx(krippendorff_alpha(both).value)
    assert found.humans.items == len(both)
    assert len(found.splits) == sum(x != y for x, y in both)
    ann = next(one for one in found.people if one.author == "ann")
    assert (ann.n, ann.deferred, ann.typical) == (11, 1, 4.0)
    assert ann.seconds == 4.0 * 12


def test_one_person_alone_agrees_with_nobody(store: Store) -> None:
    say(store, "ann", "pfp")
    found = agreement(store.labels(), [], "label")
    assert (found.humans, found.pairs, found.splits, found.labelled) == (None, (), (), 3)
    assert found.people[0].typical is None
    assert agreement([], [], "label").people == ()


def test_each_version_of_a_judge_is_held_against_people(store: Store) -> None:
    people = "pppppppppppp" + "ffffffffffff"
    say(store, "ann", people)
    for version, said in (("v1", "pppppppppfff" + "ffffffffpppp"), ("v2", "pppppppppppf" + "ffffffffffff")):
        say(store, f"tone {version}", said, source="judge", rubric_version=version)
    first, second = judges(store.labels())
    assert (first.version, first.n, first.tpr.value, first.tnr.value) == ("v1", 24, 9 / 12, 8 / 12)
    assert first.tpr.interval == wilson(9, 12)
    assert (first.standing, second.standing) == ("weak", "aligned")
    assert first.table is not None
    assert first.table.counts == ((8, 4), (3, 9))
    assert len(first.missed) == 7
    assert {level for _, level in first.missed} == {"pass", "fail"}
    assert (second.tpr.value, second.tnr.value) == (11 / 12, 1.0)
    assert second.kappa.value == cohen_kappa(people, "pppppppppppf" + "ffffffffffff").value


def test_people_count_as_one_and_the_divided_not_at_all(store: Store) -> None:
    for author, said in (("ann", "pff"), ("bob", "ppf"), ("cem", "p.p")):
        say(store, author, said)
    say(store, "judge", "ffp", source="judge")
    [one] = judges(store.labels())
    assert (one.n, one.divided, one.standing) == (2, 1, "too few")
    assert [(both.judged, level) for both, level in one.missed] == [("fail", "pass"), ("pass", "fail")]


def test_a_judge_that_nobody_looked_at_has_no_figures(store: Store, page: Page) -> None:
    say(store, "judge", "pp", source="judge")
    [one] = judges(store.labels())
    assert (one.n, one.labels, one.table) == (0, 2, None)
    assert "no verdict of people" in page.get("/review/judges").text


def test_labels_of_another_criterion_are_told(store: Store) -> None:
    say(store, "ann", "pf", name="tone", rubric="tone", rubric_version="old")
    say(store, "judge", "pf", name="tone", source="judge", rubric_version="new")
    assert judges(store.labels())[0].stale == 2


@pytest.mark.server
def test_the_pages_show_them(store: Store, page: Page) -> None:
    for path in ("/review/codes", "/review/agreement", "/review/judges"):
        assert 'class="empty"' in page.get(path).text
    label_some(store)
    text = page.get("/review/agreement").text
    assert "Krippendorff" in text
    assert "ann, bob" in text
    text = page.get("/review/judges").text
    assert text.count('class="forest"') == 2
    assert "people: fail" in text
    assert "Where it differs" in text


def test_tags_are_counted_by_trace(store: Store) -> None:
    ids = [trace.id for trace in store.traces(limit=3)]
    store.add_label(ids[0], "fail", author="ann", tags=["tone", "route"])
    store.add_label(ids[0], "pass", author="bob", tags=["tone"])
    store.add_label(ids[1], "pass", author="bob", tags=["tone"])
    tags = coding.tags_of(coding.people_say(store, "label"))
    assert [(tag.name, tag.traces, tag.failed, tag.authors) for tag in tags] == [
        ("tone", 2, 1, ("bob", "ann")),
        ("route", 1, 1, ("ann",)),
    ]


def test_merging_writes_new_labels_of_the_same_people(store: Store) -> None:
    ids = [trace.id for trace in store.traces(limit=3)]
    more: dict[str, Any] = {"note": "n", "rubric": "r", "rubric_version": "1"}
    store.add_label(ids[0], "fail", author="ann", tags=["wrong team", "routing", "tone"], **more)
    store.add_label(ids[1], "fail", author="bob", tags=["wrong team"], **more)
    store.add_label(ids[2], "fail", author="bob", tags=["tone"], **more)
    store.add_label(ids[2], "fail", author="judge", source="judge", tags=["routing"])
    assert coding.merge(store, "label", ["wrong team", "routing"], "routing") == 2
    today = {(one.trace_id, one.author): one for one in store.labels()}
    assert today[ids[0], "ann"].tags == ("routing", "tone")
    assert today[ids[1], "bob"].tags == ("routing",)
    assert (today[ids[1], "bob"].note, today[ids[1], "bob"].rubric_version) == ("n", "1")
    assert today[ids[2], "judge"].tags == ("routing",)
    assert len(store.labels(history=True)) == 6
    assert coding.merge(store, "label", ["nothing"], "x") == 0


def test_notes_become_categories_by_the_form(store: Store, page: Page) -> None:
    ids = [trace.id for trace in store.traces(limit=2)]
    labels = [store.add_label(id, "fail", author="ann", note="sent to the wrong team") for id in ids]
    given = page.post("/review/codes/give", {"name": "label", "label": labels[0].id, "into": " wrong,  team "})
    assert given.headers["location"] == "/review/codes?name=label&changed=1"
    assert [one.tags for one in store.labels(trace_id=ids[0])] == [("wrong team",)]
    assert "1 label says so now" in page.get(given.headers["location"]).text
    untagged = page.get("/review/codes?kind=untagged").text
    assert untagged.count('name="label"') == 1
    merged = page.post("/review/codes/merge", {"name": "label", "tag": "wrong team", "into": "routing", "act": "merge"})
    assert merged.status == 303
    assert store.labels(trace_id=ids[0])[0].tags == ("routing",)
    assert "routing" in page.get("/review/codes?tag=" + quote("routing")).text
    page.post("/review/codes/merge", {"name": "label", "tag": "routing", "act": "drop"})
    assert store.labels(trace_id=ids[0])[0].tags == ()
    for path, fields in (("give", {"into": "x"}), ("merge", {"into": "x"}), ("merge", {"tag": "x", "into": " , "})):
        assert page.post(f"/review/codes/{path}", {"name": "label", **fields}).status == 400
        assert page.post(f"/review/codes/{path}", fields, Origin="http://evil.example").status == 403
