"""`pairwise`: both orders; the report finds the preferences for place and length that were planted in a judge."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import outlast as ol
from outlast.errors import ConfigError, DataError, UsageError
from outlast.evals.judging.length import length_bias
from outlast.testing import JudgingLM
from outlast.testing.judging import chance

TONE = ol.Rubric("tone", "The reply is friendly.")
N = 300
SAID = {"yes": "first", "no": "second"}


def texts(k: int) -> tuple[str, str]:
    """Two answers: which is better, and how long they are, is a matter of chance."""
    first, second = (f"{side}{k} " + "x" * int(400 * chance("length", side, k)) for side in "ab")
    return first, second


def pairs(n: int = N) -> list[Any]:
    return [({"message": f"m{k}"}, *({"reply": text} for text in texts(k))) for k in range(n)]


def lm(choose: Callable[[str, str], str | None], **options: Any) -> JudgingLM:
    """A model that compares the two replies that it reads."""

    def decide(fields: Mapping[str, str]) -> Any:
        better = choose(fields["first_reply"], fields["second_reply"])
        return better and {"critique": f"The {better} one.", "better": better}

    return JudgingLM(decide, name="sim", **options)


def judge(choose: Callable[[str, str], str | None], **options: Any) -> ol.PairJudge:
    return ol.PairJudge(TONE, "reply", given="message", lm=lm(choose), **options)


def by_chance(first: str, second: str) -> str:
    """Prefers b's answer in 70 % of the pairs, whatever the order."""
    k, b_wins = int(first.split()[0][1:]), chance("better", first.split()[0][1:]) < 0.7
    assert k == int(second.split()[0][1:])
    return "first" if first.startswith("b") == b_wins else "second"


def test_a_fair_judge_is_shown_to_be_fair() -> None:
    report = ol.pairwise(judge(by_chance), pairs())
    assert 0.7 in report.win_rate.interval
    assert report.verdict == "b is better"
    assert report.consistency.value == 1
    assert report.first_slot.value == 0.5
    assert 0.5 in report.length.longer_wins.interval
    assert 0 in report.length.slope.interval
    assert report.warnings == ()
    assert report.spending.calls == 2 * N
    assert repr(report).startswith("tone: b wins ")


def test_a_preference_for_the_first_place_is_found_and_does_not_win_pairs() -> None:
    def lazy(first: str, second: str) -> str:
        return "first" if chance("lazy", *sorted((first, second))) < 0.4 else by_chance(first, second)

    report = ol.pairwise(judge(lazy), pairs())
    planted = sum(chance("lazy", *sorted(texts(k))) < 0.4 for k in range(N)) / N
    assert report.consistency.value == pytest.approx(1 - planted)
    assert 0.7 in report.first_slot.interval  # 40 % always first, of the others half
    assert 0.5 not in report.first_slot.interval
    assert report.counts["tie"] == round(planted * N)
    assert any("prefers the first place" in text for text in report.warnings)
    assert any("one verdict in both orders" in text for text in report.warnings)
    assert report.pairs[0].critiques[0].startswith("The ")


def test_a_preference_for_length_is_found_with_its_slope() -> None:
    slope, ahead = 0.8, 0.5  # log-odds for 100 characters, and for being b

    def longer(first: str, second: str) -> str:
        a, b = (first, second) if first.startswith("a") else (second, first)
        odds = ahead + slope * (len(b) - len(a)) / 100
        b_wins = chance("long", a) < 1 / (1 + math.exp(-odds))
        return "first" if first.startswith("b") == b_wins else "second"

    report = ol.pairwise(judge(longer), pairs())
    assert slope in report.length.slope.interval
    assert 0 not in report.length.slope.interval
    assert report.length.longer_wins.value > 0.6
    assert any(text.startswith("longer answers win") for text in report.warnings)


def test_the_slope_is_that_of_a_logistic_regression() -> None:
    statsmodels = pytest.importorskip("statsmodels.api", reason="an oracle, of the dev extra")
    x = [200 * (chance("x", k) - 0.5) for k in range(2000)]
    y = [float(chance("y", k) < 1 / (1 + math.exp(-0.4 - 0.01 * x[k]))) for k in range(2000)]
    fit = statsmodels.Logit(y, statsmodels.add_constant([one / 100 for one in x])).fit(disp=False)
    ours = length_bias(x, y, 0.95).slope
    assert ours.value == pytest.approx(fit.params[1], abs=0.005)  # Firth's penalty is of the order 1 / n
    assert ours.interval.width == pytest.approx(fit.conf_int()[1][1] - fit.conf_int()[1][0], rel=0.01)


def test_the_slope_is_finite_where_length_decides_all_and_unknown_from_few() -> None:
    x = [float(k - 20) for k in range(41) if k != 20]
    assert math.isfinite(length_bias(x, [float(one > 0) for one in x], 0.95).slope.value)
    assert not length_bias(x[:5], [1.0, 0.0, 1.0, 0.0, 1.0], 0.95).slope.interval.known
    assert not length_bias([0.0] * 20, [1.0, 0.0] * 10, 0.95).slope.interval.known


def run(name: str, choose: Callable[[str], str], n: int = 20) -> Any:
    data = ol.Dataset.from_list([{"message": f"m{k}", "t": k} for k in range(n)], inputs=["message"])

    async def program(message: str) -> ol.Prediction:
        if message == "m3" and name == "b":
            raise ValueError("broken")
        return ol.Prediction(reply=choose(message))

    return ol.evaluate(program, data, lambda example, out: True, progress=False)


def test_two_evaluations_are_aligned_by_example() -> None:
    a = run("a", lambda m: f"a{m[1:]} no")
    b = run("b", lambda m: f"a{m[1:]} no" if m == "m5" else f"b{m[1:]} thanks")
    report = ol.pairwise(judge(lambda first, second: "first" if "thanks" in first else "second"), a, b)
    assert report.counts == {"a": 0, "b": 18, "tie": 1}
    assert report.unmatched == 1
    assert report.spending.calls == 36  # what is the same is not asked about
    assert report.judged_by == "sim"


def test_an_absolute_judge_or_a_rubric_will_do() -> None:
    a, b = run("a", lambda m: f"a{m[1:]} no"), run("c", lambda m: f"b{m[1:]} thanks")
    model = lm(lambda first, second: "second" if "thanks" in second else "first", keep=True)
    one = ol.Judge(TONE, {"question": "message", "reply": "reply"}, lm=model, temperature=0.5)
    assert ol.pairwise(one, a, b).win_rate.value == 1
    assert "<<question>>\nm0" in model.requests[0].messages[-1].text
    assert model.requests[0].settings.temperature == 0.5
    assert ol.pairwise(TONE, a, b, lm=model).win_rate.value == 1
    with pytest.raises(ConfigError, match="has no model"):
        ol.pairwise(TONE, a, b)


def test_what_cannot_be_read_is_unscored_and_a_failing_model_is_an_error() -> None:
    def moody(first: str, second: str) -> str | None:
        k = int(first.split()[0][1:])
        if k == 1:
            raise TimeoutError("gone")
        return None if k == 2 and first.startswith("b") else "first"

    report = ol.pairwise(judge(moody), pairs(10))
    assert (report.unscored, report.errors, report.win_rate.n) == (1, 1, 8)
    assert report.counts["tie"] == 8
    assert "gave no verdict" in report.pairs[2].critiques[1]
    assert "; unscored: 1; errors: 1" in repr(report)


def test_a_pair_judge_is_a_program(tmp_path: Any) -> None:
    one = judge(by_chance)
    tuned = ol.update(one, {"better.instruction": "Be kind."})
    ol.save(tuned, tmp_path / "pair.outlast.json")
    assert ol.load(tmp_path / "pair.outlast.json", one) == tuned
    out = one(message="m", first_reply="a1 x", second_reply="b1 x")
    assert out.better in ("first", "second")


def test_plain_answers_and_reports() -> None:
    asked = ol.PairJudge(TONE, "answer", lm=JudgingLM(lambda f: {"critique": "c", "better": SAID[f["first_answer"]]}))
    report = ol.pairwise(asked, [({}, "no", "yes"), ({}, "same", "same")])
    assert report.counts == {"a": 0, "b": 1, "tie": 1}
    out = io.StringIO()
    ol.pairwise(judge(lambda *_: "first"), pairs(12)).print_table(file=out)
    assert "first place preferred" in out.getvalue()
    assert "orders that disagree (10 shown)" in out.getvalue()
    form = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert form["counts"] == {"a": 0, "b": 1, "tie": 1}
    assert form["pairs"][0]["winner"] == "b"


async def test_it_runs_in_async_code_too() -> None:
    assert (await ol.apairwise(judge(by_chance), pairs(10))).win_rate.n == 10


def test_what_cannot_be_compared_is_refused() -> None:
    a = run("a", lambda m: "x")
    with pytest.raises(UsageError, match="takes two evaluations; the second is None"):
        ol.pairwise(judge(by_chance), a)
    with pytest.raises(UsageError, match="pair 0 is"):
        ol.pairwise(judge(by_chance), [("a", "b")])  # type: ignore[list-item]
    with pytest.raises(DataError, match="no pair to compare"):
        ol.pairwise(judge(by_chance), [])
    with pytest.raises(UsageError, match="an ol.PairJudge, an ol.Judge or a rubric"):
        ol.pairwise("tone", pairs())  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="lm= goes with a rubric"):
        ol.pairwise(judge(by_chance), pairs(), lm="x")
    with pytest.raises(DataError, match="is shown 'reply', which the a of pair"):
        ol.pairwise(judge(by_chance), [({"message": "m"}, {"replay": "a"}, {"reply": "b"})])
    with pytest.raises(UsageError, match="is shown no output of the programs"):
        ol.pairwise(ol.Judge(TONE, ["message"], lm=lm(by_chance)), pairs())
    with pytest.raises(UsageError, match="compares no field"):
        ol.PairJudge(TONE, [])


def test_epochs_of_one_example_are_no_further_evidence() -> None:
    data = ol.Dataset([ol.Example({"message": f"m{k}"}) for k in range(40)])

    def run(side: str, epochs: int) -> Any:
        def program(message: str) -> Any:
            return ol.Prediction(reply=f"{side}{message[1:]}")

        return ol.evaluate(program, data, lambda *_: 1.0, epochs=epochs, progress=False)

    once, thrice = (ol.pairwise(judge(by_chance), run("a", n), run("b", n)) for n in (1, 3))
    assert (once.win_rate.n, thrice.win_rate.n) == (40, 120)
    assert once.win_rate.value == thrice.win_rate.value
    widths = [one.win_rate.interval.high - one.win_rate.interval.low for one in (once, thrice)]
    assert widths[1] == pytest.approx(widths[0], rel=0.1)
