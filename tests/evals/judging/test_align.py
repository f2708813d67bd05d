"""`align`: the report finds the rates that were planted, counts what it leaves out, and refuses what misleads."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import ConfigError, DataError, UsageError
from outlast.evals.judging import Item
from outlast.testing import JudgingLM, ScriptedLM
from outlast.testing.judging import chance

TONE = ol.Rubric("tone", "The reply is friendly.")
STARS = ol.Rubric("stars", "The reply helps.", scale=(1, 5))
TPR, TNR = 0.92, 0.85


def is_good(number: int) -> bool:
    return chance("truth", number) < 0.7


def item(number: int) -> Item:
    return Item({"message": f"m{number // 2}", "reply": f"reply {number}"}, ["message"])


def labels(n: int = 400, author: str = "ann", rubric: ol.Rubric = TONE) -> ol.Labels:
    return ol.Labels([ol.Label(item(k), is_good(k), rubric=rubric, author=author) for k in range(n)])


def noisy(fields: Mapping[str, str]) -> str:
    """Right on a share TPR of the good and TNR of the bad."""
    number = int(fields["reply"].split()[1])
    right = chance("judge", number) < (TPR if is_good(number) else TNR)
    return "pass" if is_good(number) == right else "fail"


def judge(decide: Any = noisy, **options: Any) -> ol.Judge:
    return ol.Judge(TONE, ["message", "reply"], lm=JudgingLM(decide, name="sim"), **options)


def test_the_report_finds_the_rates_that_were_planted() -> None:
    report = ol.align(judge(), labels())
    assert report.n == 400
    assert report.tpr is not None
    assert report.tnr is not None
    assert TPR in report.tpr.interval
    assert TNR in report.tnr.interval
    assert report.tpr.n + report.tnr.n == 400
    assert (report.tpr.interval.method, report.tnr.interval.method) == ("wilson", "wilson")
    assert report.baseline == ("pass", report.tpr.n / 400)
    counts = report.confusion
    assert counts.count("pass", "pass") / report.tpr.n == report.tpr.value
    assert len(report.disagreements) == counts.count("pass", "fail") + counts.count("fail", "pass")
    assert report.disagreements[0].critique.startswith("It is ")
    assert report.judged_by == "sim"
    assert report.spending.calls == 400
    assert report.flips is None


def sure(fields: Mapping[str, str]) -> str:
    return "pass" if is_good(int(fields["reply"].split()[1])) else "fail"


@pytest.mark.parametrize(
    ("decide", "n", "standing", "words"),
    [
        (sure, 400, "aligned", "Aligned with people: TPR 100.0%"),
        (noisy, 4000, "usable", "Usable, with its rates corrected (ol.estimate_rate): TPR"),
        (lambda _: "pass", 400, "weak", "saying 'pass' every time is as often right"),
        (sure, 20, "untold", "Too few labels to tell: 7 for TNR, at least 10 are needed"),
    ],
)
def test_one_sentence_says_what_the_figures_allow(decide: Any, n: int, standing: str, words: str) -> None:
    report = ol.align(_fast(decide), labels(n), rubric=TONE)
    assert report.standing == standing
    assert words in report.verdict
    assert repr(report).endswith(report.verdict)


def _fast(decide: Any) -> Any:
    """The same judge as a plain metric."""

    def metric(example: ol.Example, out: Any) -> bool:
        return decide({"message": example.message, "reply": out.reply}) == "pass"

    return metric


def test_a_split_is_grouped_by_inputs_and_the_part_is_named() -> None:
    given = labels()
    dev = ol.align(judge(), given, split=(0.2, 0.4, 0.4))
    test = ol.align(judge(), given, split={"train": 0.2, "dev": 0.4, "test": 0.4}, part="test")
    assert (dev.part, test.part) == ("dev", "test")
    assert dev.n + test.n < 400
    parts = given.split(train=0.2, dev=0.4, test=0.4)
    assert ol.align(judge(), parts.dev).n == dev.n
    assert " on dev, " in repr(dev)


def test_what_is_left_out_is_counted() -> None:
    old = TONE.edited(fails="It sighs.")
    rows = [
        *labels(60),
        *(ol.Label(item(k), "pass", rubric=old) for k in range(60, 70)),
        *(ol.Label(item(k), None, rubric=TONE) for k in range(70, 75)),
        ol.Label(item(80), "pass", rubric=TONE, author="ann"),
        ol.Label(item(80), "fail", rubric=TONE, author="bob"),
    ]

    def sometimes(fields: Mapping[str, str]) -> str | None:
        number = int(fields["reply"].split()[1])
        if number == 3:
            raise TimeoutError("gone")
        return None if number in (1, 2) else sure(fields)

    report = ol.align(judge(sometimes), ol.Labels(rows))
    left = report.left_out
    assert (left.stale, left.waiting, left.divided, left.unscored, left.errors) == (10, 5, 1, 2, 1)
    assert report.n == 57
    assert (
        "stale labels: 10, labels without a value: 5, items that people are divided on: 1, unscored: 2, errors: 1."
        in repr(report)
    )


def test_several_people_make_a_ceiling() -> None:
    rows: list[ol.Label] = []
    for who in ("ann", "bob", "cat"):
        for k in range(300):
            slip = chance(who, k) < 0.1
            rows.append(ol.Label(item(k), is_good(k) != slip, rubric=TONE, author=who))
    report = ol.align(judge(sure), ol.Labels(rows))
    assert report.humans is not None
    assert report.humans.authors == ("ann", "bob", "cat")
    assert report.humans.items == 300
    # Of three who slip in 10 %: one agrees with the two others, where these agree, in (.9^3 + .1^3) / (.9^2 + .1^2).
    assert 0.89 in report.humans.agreement.interval
    assert 0.5 < report.humans.alpha.value < 0.7
    assert report.humans.kappa is None
    assert report.accuracy.value > 0.95
    worst = report.disagreements[0]
    assert worst.unanimity == max(one.unanimity for one in report.disagreements)
    two = ol.align(judge(sure), ol.Labels([row for row in rows if row.author != "cat"]))
    assert two.humans is not None
    assert two.humans.kappa is not None


def test_runs_of_a_judge_that_wavers_differ() -> None:
    flipping = {k for k in range(200) if chance("waver", k) < 0.3}
    seen: dict[int, int] = {}

    def waver(fields: Mapping[str, str]) -> str:
        number = int(fields["reply"].split()[1])
        seen[number] = seen.get(number, 0) + 1
        return "pass" if number in flipping and seen[number] % 2 else "fail"

    report = ol.align(judge(waver), labels(200), epochs=2)
    assert report.flips is not None
    assert report.flips.value == len(flipping) / 200
    assert (report.runs, report.spending.calls) == (2, 400)


def test_a_judge_that_was_shown_the_items_is_refused() -> None:
    parts = labels(100).split(train=0.3, dev=0.7)
    demos = [{**row.item.fields, "critique": "c", "verdict": row.value} for row in parts.train[:3]]
    told = judge(demos=demos)
    assert ol.align(told, parts.dev).n == len(parts.dev)
    with pytest.raises(DataError, match="was shown 3 of these items as demonstrations"):
        ol.align(told, labels(100))


def test_grades_are_compared_on_their_scale() -> None:
    def grade(number: int) -> int:
        return 1 + int(5 * chance("grade", number))

    rows = [
        ol.Label(item(k), min(5, max(1, grade(k) + shift)), rubric=STARS, author=who)
        for k in range(200)
        for who, shift in (("ann", 0), ("bob", int(chance("bob", k) < 0.2)))
    ]
    lm = JudgingLM(lambda fields: grade(int(fields["reply"].split()[1])))
    report = ol.align(ol.Judge(STARS, ["reply"], lm=lm), ol.Labels(rows))
    assert report.spearman is not None
    assert report.spearman.value > 0.95
    assert report.kappa.value > 0.9
    assert report.distance is not None
    assert report.distance.value < 0.05
    assert (report.tpr, report.tnr) == (None, None)
    assert report.standing == "aligned"
    assert "weighted kappa 1.00" in report.verdict
    assert report.confusion.labels == (1, 2, 3, 4, 5)


def test_named_levels_are_a_scale_too() -> None:
    rubric = ol.Rubric("help", "It helps.", scale=("poor", "fair", "good"))
    rows = [ol.Label(item(k), rubric.levels[k % 3], rubric=rubric) for k in range(30)]
    lm = JudgingLM(lambda fields: rubric.levels[min(2, int(fields["reply"].split()[1]) % 3 + 1)])
    report = ol.align(ol.Judge(rubric, ["reply"], lm=lm), ol.Labels(rows))
    assert report.accuracy.value == pytest.approx(1 / 3)
    assert report.disagreements[0].distance == 0.5


def test_an_evaluation_by_a_judge_is_aligned_without_asking_again() -> None:
    async def program(message: str) -> ol.Prediction:
        return ol.Prediction(reply=f"reply {message[1:]}")

    data = ol.Dataset.from_list([{"message": f"m{k}"} for k in range(60)], inputs=["message"])
    lm = JudgingLM(noisy)
    one = ol.Judge(TONE, ["message", "reply"], lm=lm)
    run = ol.evaluate(program, data, one, progress=False)
    given = ol.Labels.from_rows(run, TONE, value=lambda row: is_good(int(row.outputs["reply"][6:])), author="ann")
    report = ol.align(run, given, rubric=TONE)
    assert (report.n, lm.calls) == (60, 60)
    again = ol.align(one, given)
    assert again.confusion == report.confusion
    with pytest.raises(DataError, match="none of 399 labelled items is among the 60 rows"):
        ol.align(run, labels()[1:], rubric=TONE)


def test_checks_and_metrics_that_look_at_targets_are_judges_too() -> None:
    @ol.check
    def no_sorry(reply: str) -> bool:
        return "sorry" not in reply

    rows = [
        ol.Label(
            Item({"q": str(k), "reply": ("sorry", "ok")[k % 2], "target.reply": "ok"}, ["q", "target.reply"]),
            k % 2,
            rubric=TONE,
        )
        for k in range(40)
    ]
    assert ol.align(no_sorry, ol.Labels(rows), rubric=TONE).accuracy.value == 1
    assert ol.align(ol.exact_match("reply"), ol.Labels(rows), rubric=TONE).accuracy.value == 1


def test_items_of_one_document_count_as_one_cluster() -> None:
    rows = ol.Labels(
        [ol.Label({"doc": f"d{k // 10}", "reply": f"reply {k}"}, k // 10 % 2 == 0, rubric=TONE) for k in range(200)]
    )

    def metric(example: Any, out: Any) -> bool:
        return chance(out.doc) < 0.7  # right or wrong on all of a document

    plain = ol.align(metric, rows, rubric=TONE)
    grouped = ol.align(metric, rows, rubric=TONE, cluster="doc")
    assert grouped.accuracy.value == pytest.approx(plain.accuracy.value)
    assert grouped.accuracy.interval.width > 2 * plain.accuracy.interval.width
    out = io.StringIO()
    grouped.print_table(file=out)
    assert (plain.cluster, grouped.cluster, grouped.to_json()["cluster"]) == ("", "doc", "doc")
    assert re.search(r"\nclusters +doc", out.getvalue())


def test_a_report_is_printed_and_written_as_json() -> None:
    report = ol.align(judge(), labels(60))
    out = io.StringIO()
    report.print_table(file=out)
    text = out.getvalue()
    for words in ("TPR (passes that it passes)", "people / judge", "disagreements (", "sim"):
        assert words in text
    form = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert form["rubric_version"] == TONE.version
    assert form["tpr"]["n"] == report.tpr.n if report.tpr else None
    assert form["disagreements"][0]["fields"]["reply"].startswith("reply ")


def test_a_page_shows_what_a_model_wrote_as_text(tmp_path: Path) -> None:
    trap = "<script>alert(1)</script>"
    lm = JudgingLM(lambda _: {"critique": trap, "verdict": "pass"})
    rows = ol.Labels([ol.Label({"reply": f"{trap} {k}"}, "fail", rubric=TONE) for k in range(12)])
    ol.align(ol.Judge(TONE, "reply", lm=lm), rows).to_html(tmp_path / "page.html", limit=5)
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 20
    assert "12 of 12, worst first; 7 are not shown." in page
    assert "always &#39;fail&#39;" in page
    assert "src=" not in page
    assert "href=" not in page


async def test_it_runs_in_async_code_too() -> None:
    assert (await ol.aalign(judge(), labels(20))).n == 20


def test_what_cannot_be_aligned_is_refused() -> None:
    given = labels(20)
    with pytest.raises(UsageError, match="which rubric are the labels about"):
        ol.align(_fast(sure), given)
    with pytest.raises(UsageError, match="takes ol.Labels"):
        ol.align(judge(), list(given))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="Did you mean 'epochs'"):
        ol.align(judge(), given, epoch=2)  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="the split has no part 'dex'. Did you mean 'dev'"):
        ol.align(judge(), given, split=(0.2, 0.4, 0.4), part="dex")
    with pytest.raises(UsageError, match="needs split="):
        ol.align(judge(), given, part="dev")
    with pytest.raises(DataError, match="no label counts for rubric 'stars'"):
        ol.align(ol.Judge(STARS, ["reply"], lm=JudgingLM(noisy)), given)
    with pytest.raises(DataError, match="20 of them given under another version.*labels.confirmed"):
        ol.align(judge(), ol.Labels([*labels(20, rubric=TONE.edited(fails="x"))]))
    with pytest.raises(ConfigError, match="has no model"):
        ol.align(ol.Judge(TONE, ["reply"]), given)
    with pytest.raises(UsageError, match="is shown the field 'answer', which is not there"):
        ol.align(ol.Judge(TONE, ["answer"], lm=JudgingLM(noisy)), given)
    with pytest.raises(DataError, match="gave no verdict on any labelled item. Left out: unscored: 20"):
        ol.align(judge(lambda _: None), given)


def test_readings_of_a_test_part_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("OUTLAST_SPLITS", str(tmp_path / "splits.jsonl"))
    parts = labels(200).split(dev=0.5, test=0.5)
    assert ol.align(judge(), parts.dev).reads is None
    first, second = ol.align(judge(), parts.test), ol.align(judge(), parts.test)
    assert first.reads is not None
    assert second.reads is not None
    assert (first.reads.count, second.reads.count) == (1, 2)
    assert "The split 'test' is read for the 2nd time" in repr(second)
    assert "times that this test part was read" in _table(second)


def _table(report: Any) -> str:
    out = io.StringIO()
    report.print_table(file=out)
    return out.getvalue()


def test_scores_may_be_verdicts_on_the_scale() -> None:
    rows = ol.Labels([ol.Label(item(k), 1 + k % 5, rubric=STARS) for k in range(50)])

    def stars(example: Any, out: Any) -> float:
        return 1 + int(out.reply.split()[1]) % 5

    assert ol.align(stars, rows, rubric=STARS, scores="verdict").accuracy.value == 1
    with pytest.raises(DataError, match="say scores='verdict'"):
        ol.align(stars, rows, rubric=STARS)
    with pytest.raises(UsageError, match="'share' .from 0 to 1. or 'verdict'"):
        ol.align(stars, rows, rubric=STARS, scores="levels")  # type: ignore[arg-type]


def test_why_nothing_was_judged_is_told() -> None:
    labels = ol.Labels([ol.Label({"q": "a", "reply": "b"}, "pass", rubric=TONE)])

    def broken(example: Any, out: Any) -> float:
        raise ValueError("no such table")

    with pytest.raises(DataError, match="Why the first: ValueError: no such table"):
        ol.align(broken, labels, rubric=TONE)
    mute = ol.Judge(TONE, ["reply"], lm=ScriptedLM(lambda _: "I would rather not say."))
    with pytest.raises(DataError, match="Why the first: the judge 'tone' gave no verdict"):
        ol.align(mute, labels)


def test_labels_that_were_confirmed_are_not_left_out() -> None:
    old = labels(40)
    edited = TONE.edited(fails="It blames.")
    some = [row.item.id for row in old][:30]
    again = ol.Judge(edited, ["message", "reply"], lm=JudgingLM(noisy))
    report = ol.align(again, old.confirmed(edited, old[0].author, ids=some))
    assert (report.n, report.left_out.stale) == (30, 10)
    assert ol.align(again, old.confirmed(edited, old[0].author)).left_out.stale == 0
