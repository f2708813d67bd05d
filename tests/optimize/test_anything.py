from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import outlast as ol
from outlast.cli.app import main
from outlast.errors import ArtifactError, LMAuthError, SearchStopped, UsageError
from outlast.messages import Message
from outlast.optimize.function import Function, of_server
from outlast.optimize.random_search import RandomSearch
from outlast.testing import ScriptedLM
from outlast.tracing.identity import program_hash

COLOURS = ("red", "green", "blue", "grey")
DATA = [ol.Example({"thing": f"thing {n}"}, {"colour": COLOURS[n % 4]}) for n in range(120)]
PROMPT = "You name colours."


def matches(example: Any, out: Any) -> ol.Score:
    right = out == example.colour
    return ol.Score(float(right), feedback="right" if right else f"the colour is {example.colour}")


def chance(*parts: Any) -> float:
    """A number from 0 to 1 that depends on nothing else."""
    return int(hashlib.sha256(repr(parts).encode()).hexdigest()[:8], 16) / 2**32


def answer(thing: str, *, system_prompt: str, temperature: float) -> str:
    """Names the colours that its prompt names, and errs the more the hotter it is."""
    colour = COLOURS[int(thing.split()[-1]) % 4]
    return colour if colour in system_prompt and chance(thing, temperature) >= 0.5 * temperature else "none"


def writer() -> ScriptedLM:
    """A proposer that adds the colours that the feedback or the examples name."""

    def write(messages: tuple[Message, ...]) -> dict[str, Any]:
        text = messages[-1].text
        missing = [one for one in COLOURS if f"the colour is {one}" in text or f"colour = {one}" in text]
        lines = [f"One is {one}." for one in missing]
        edits = [{"op": "add", "text": line} for line in lines]
        return {"diagnosis": "it names none", "edits": edits, "rules": lines, "proposed": " ".join([PROMPT, *lines])}

    return ScriptedLM(write, keep=True)


def tuned(function: Any = answer, params: Any = None, **options: Any) -> Any:
    options = {"study": False, "progress": False, "budget": ol.Budget(rollouts=500), **options}
    params = {"system_prompt": PROMPT, "temperature": 0.8} if params is None else params
    return ol.optimize(function, options.pop("data", DATA), options.pop("metric", matches), params=params, **options)


def test_a_prompt_and_a_number_of_a_plain_function_are_tuned_and_proven(tmp_path: Path):
    model = writer()
    found = tuned(proposer=model, study=tmp_path / "s.db")
    assert found.improved, found
    assert all(colour in found.params["system_prompt"] for colour in COLOURS)
    assert PROMPT in found.params["system_prompt"]
    assert found.start == {"system_prompt": PROMPT, "temperature": 0.8}
    assert found.report.rollouts <= 500
    told = "\n".join(request.messages[-1].text for request in model.requests)
    assert "def answer(" in told  # what a proposer is told of the text
    assert "The program answered: none" in told
    assert found(thing="thing 2") == answer("thing 2", **found.params)
    assert found("thing 2") == answer("thing 2", **found.params)


def test_running_it_again_runs_the_function_for_nothing_that_is_known(tmp_path: Path):
    ran: list[str] = []

    def counted(thing: str, system_prompt: str) -> str:
        ran.append(thing)
        return answer(thing, system_prompt=system_prompt, temperature=0)

    options: dict[str, Any] = {"params": {"system_prompt": PROMPT}, "study": tmp_path / "s.db"}
    first = tuned(counted, proposer=writer(), **options)
    count = len(ran)
    again = tuned(counted, proposer=ScriptedLM([]), **options)
    assert (len(ran), again.params) == (count, first.params)
    assert count == first.report.rollouts


def test_alternatives_are_raced_without_any_model():
    found = tuned(params={"system_prompt": ol.Choice([PROMPT, "red green blue grey", "blue"]), "temperature": 0.8})
    assert found.improved
    assert found.params["system_prompt"] == "red green blue grey"
    assert found.params["temperature"] < 0.4
    assert found.report.record["search"]["optimizer"] == "ParamSearch"


async def test_an_async_function_is_awaited_on_the_loop_that_runs_it():
    loops: set[Any] = set()

    async def later(thing: str, words: str) -> str:
        loops.add(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return answer(thing, system_prompt=words, temperature=0)

    found = await ol.aoptimize(
        later,
        DATA,
        matches,
        params={"words": ol.Choice(["", "red green blue grey"])},
        study=False,
        progress=False,
        budget=ol.Budget(rollouts=200),
    )
    assert found.params == {"words": "red green blue grey"}
    assert loops == {asyncio.get_running_loop()}
    assert await found("thing 1") == "green"


def test_a_function_that_makes_the_agent_is_called_once_for_each_setting():
    made: list[dict[str, Any]] = []

    def build(params: dict[str, Any]) -> Any:
        made.append(params)

        def agent(thing: str) -> str:
            return answer(thing, **params)

        return agent

    found = tuned(build, {"system_prompt": ol.Choice([PROMPT, "red green blue grey"]), "temperature": 0.5})
    assert found.improved
    assert len(made) == len({json.dumps(one) for one in made})
    assert found("thing 3") == answer("thing 3", **found.params)


def test_plain_functions_run_in_threads_at_the_same_time():
    together = threading.Barrier(4, timeout=20)

    def waits(thing: str, words: str) -> str:
        if words == "":
            return "none"
        together.wait()
        return "red"

    data = [ol.Example({"thing": f"thing {n}"}, {"colour": "red"}) for n in range(120)]
    found = tuned(waits, {"words": ol.Choice(["", "now"])}, data={"train": data[:40], "select": data[40:80],
        "confirm": data[80:]}, concurrency=8)  # fmt: skip
    assert found.params == {"words": "now"}


def test_the_file_is_for_people_and_gives_the_parameters_back(tmp_path: Path):
    params = {"system_prompt": ol.Choice(["a\nb", "red green\nblue grey"]), "temperature": ol.Float(0, 1, start=0.8)}
    found = tuned(params=params)
    path = found.save(tmp_path / "answer.outlast.json")
    data = json.loads(path.read_text())
    assert data["parameters"]["system_prompt"] == {"lines": ["red green", "blue grey"]}
    assert data["record"]["function"] == "answer"
    assert data["record"]["result"]["verdict"] == "better"
    assert ol.load_params(path) == ol.load_params(path, params) == found.params
    with pytest.raises(ArtifactError, match="'temperature' is a number from 0.5 to 1"):
        ol.load_params(path, {**params, "temperature": ol.Float(0.5, 1)})
    with pytest.raises(ArtifactError, match="'temperature', which params does not have. Did you mean 'temperatures'"):
        ol.load_params(path, {"system_prompt": params["system_prompt"], "temperatures": 0.5})
    with pytest.raises(ArtifactError, match="does not set 'top_k'; it sets system_prompt, temperature"):
        ol.load_params(path, {**params, "top_k": 3})


def test_the_command_explain_shows_the_parameters_and_the_search_in_short(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = tuned(optimizer=ol.Auto(operators=[ol.ReflectEdit()] * 9), proposer=writer()).save(tmp_path / "f.json")
    assert main(["explain", str(file)]) == 0
    out = capsys.readouterr().out
    assert "system_prompt" in out
    assert PROMPT in out
    assert "temperature" in out
    assert "operators=[ReflectEdit, ReflectEdit, ReflectEdit, … 9]" in " ".join(out.split())
    assert main(["explain", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"].keys() == {"system_prompt", "temperature"}


def test_a_file_of_a_program_holds_no_parameters_of_a_function(tmp_path: Path):
    path = ol.save(ol.Predict("q -> a"), tmp_path / "x.outlast.json")
    with pytest.raises(ArtifactError, match=r"no parameters of a function.*use ol.load"):
        ol.load_params(path)


def test_an_exception_is_a_failing_rollout_with_its_words(tmp_path: Path):
    def breaks(thing: str, words: str) -> str:
        if words == "bad" or int(thing.split()[-1]) % 5 == 0:
            raise ValueError(f"no colour for {thing}")
        return answer(thing, system_prompt=words, temperature=0)

    model = writer()
    found = tuned(breaks, {"words": "none of them"}, proposer=model)
    assert found.improved
    assert 0.3 < found.report.verdict.winner.value < 1  # a fifth can never be right
    assert found.report.failures == 0
    assert any("Error: ValueError: no colour for thing" in request.messages[-1].text for request in model.requests)


def test_a_function_that_fails_at_first_is_no_broken_one_but_one_that_always_does_is():
    failed: list[str] = []

    def late(thing: str, words: str) -> str:
        if len(failed) < 2:
            failed.append(thing)
            raise RuntimeError("not warm yet")
        return answer(thing, system_prompt=words, temperature=0)

    assert tuned(late, {"words": ol.Choice(["", "red green blue grey"])}).improved

    def never(thing: str, words: str) -> str:
        raise RuntimeError("no such table")

    with pytest.raises(SearchStopped, match="first 3 confirmation examples: RuntimeError: no such table"):
        tuned(never, {"words": ol.Choice(["", "x"])})


def test_a_server_that_fails_is_nobodys_fault_and_a_refused_key_ends_it():
    class StatusError(Exception):
        def __init__(self, status: int) -> None:
            super().__init__(f"status {status}")
            self.status_code = status

    left = [500, 429, 503]

    def shaky(thing: str, words: str) -> str:
        if words and left:
            raise StatusError(left.pop())
        return answer(thing, system_prompt=words, temperature=0)

    found = tuned(shaky, {"words": ol.Choice(["", "red green blue grey"])})
    assert found.improved
    assert found.report.failures == 3

    def refused(thing: str, words: str) -> str:
        raise StatusError(401)

    with pytest.raises(LMAuthError, match="StatusError: status 401"):
        tuned(refused, {"words": ol.Choice(["", "x"])})


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, "LMAuthError"), (402, "LMQuotaError"), (429, "LMRateLimited"), (500, "LMServerError"), (404, "NoneType")],
)
def test_errors_of_other_libraries_are_told_apart_by_their_status(status: int, kind: str):
    error = Exception("x")
    error.status_code = status  # type: ignore[attr-defined]
    assert type(of_server(error)).__name__ == kind


def test_a_lost_connection_is_known_by_its_name():
    class APIConnectionError(Exception):
        pass

    class Deeper(APIConnectionError):
        pass

    assert type(of_server(Deeper("gone"))).__name__ == "LMServerError"
    assert of_server(ValueError("gone")) is None


def test_what_is_reported_counts_and_is_counted_once(tmp_path: Path):
    def priced(thing: str, words: str) -> str:
        ol.report_cost(SimpleNamespace(prompt_tokens=7, completion_tokens=3), dollars=0.01)
        ol.report_cost(tokens=5)
        return answer(thing, system_prompt=words, temperature=0)

    params = {"words": ol.Choice(["", "red green blue grey"])}
    options: dict[str, Any] = {"study": tmp_path / "s.db", "budget": ol.Budget(tokens=6000)}
    found = tuned(priced, params, **options)
    spent = found.report.spending
    assert found.improved
    assert (spent.calls, spent.tokens) == (2 * found.report.rollouts, 15 * found.report.rollouts)
    assert spent.dollars == pytest.approx(0.01 * found.report.rollouts)
    again = tuned(priced, params, **options)
    assert (again.report.spending.calls, again.report.rollouts) == (0, found.report.rollouts)
    assert again.report.known == spent.calls


def test_a_budget_of_reported_costs_ends_the_search_and_pays_the_proof():
    def priced(thing: str, temperature: float) -> str:
        ol.report_cost(tokens=10)
        return answer(thing, system_prompt="red green blue grey", temperature=temperature)

    found = tuned(priced, {"temperature": 0.9}, budget=ol.Budget(tokens=2000), concurrency=1)
    assert found.report.stopped == "the budget of tokens was used up"
    assert found.report.verdict.word != "unproven"
    assert found.report.spending.tokens <= 2000


def test_the_usage_of_a_result_is_its_cost():
    class Result(str):
        usage = SimpleNamespace(input_tokens=4, output_tokens=2)

    def agent(thing: str, words: str) -> str:
        return Result(answer(thing, system_prompt=words, temperature=0))

    found = tuned(agent, {"words": ol.Choice(["", "red green blue grey"])})
    assert found.report.spending.tokens == 6 * found.report.rollouts


def test_a_budget_that_nothing_is_counted_for_is_refused_early():
    ran: list[str] = []

    def silent(thing: str, words: str) -> str:
        ran.append(thing)
        return "none"

    with pytest.raises(UsageError, match=r"bounds dollars, and the function reported none in 10 runs"):
        tuned(silent, {"words": ol.Choice(["", "x"])}, budget=ol.Budget(dollars=1))
    assert len(ran) == 10


def test_reports_count_for_the_budget_around_and_are_checked():
    with ol.budget(tokens=100) as spent:
        ol.report_cost({"input_tokens": 4, "output_tokens": 6})
    assert spent.tokens == 10
    ol.report_cost(tokens=3)  # nobody counts
    wrongs: list[dict[str, Any]] = [
        {"tokens": -1},
        {"tokens": 1.5},
        {"dollars": float("inf")},
        {"tokens": 1, "input_tokens": 1},
    ]
    for wrong in wrongs:
        with pytest.raises(UsageError, match="report_cost"):
            ol.report_cost(**wrong)
    with pytest.raises(UsageError, match="takes a usage with input_tokens"):
        ol.report_cost({"cost": 3})


def takes_other(thing: str, prompt: str) -> str:
    return thing + prompt


def misspelt(question: str, words: str) -> str:
    return question + words


@pytest.mark.parametrize(
    ("function", "params", "says"),
    [
        (answer, {}, "params is a dict of names and starting values"),
        (answer, ["system_prompt"], "params is a dict"),
        (answer, {"system_prompt": PROMPT, "temperature": 0.0}, "no telling what 'temperature' may be"),
        (answer, {"system_prompt": PROMPT, "temperature": None}, "no telling what 'temperature' may be"),
        (answer, {"system prompt": PROMPT}, "'system prompt' cannot be the name"),
        (answer, {"strategy": "x"}, "'strategy' cannot be the name"),
        (answer, {"thing": "x"}, "'thing', which is an input"),
        (takes_other, {"words": "x y"}, "cannot be called with the inputs of the examples .thing. and params .words."),
        (misspelt, {"words": "x y"}, "missing a required argument|unexpected keyword"),
        ("answer", {"words": "x"}, "optimize takes a function; got 'answer'"),
        (ol.Predict("thing -> colour"), {"words": "x"}, "A program is compiled: ol.compile"),
    ],
)
def test_what_cannot_mean_anything_is_refused_before_anything_runs(function: Any, params: Any, says: str):
    with pytest.raises(UsageError, match=says):
        tuned(function, params, proposer=writer())


def test_a_text_that_nobody_can_rewrite_is_told():
    with pytest.raises(UsageError, match=r"nobody is there to rewrite 'system_prompt': .*proposer=.*lock="):
        tuned()
    found = tuned(lock=["system_prompt"])
    assert found.params["system_prompt"] == PROMPT


def test_other_code_is_another_search():
    def one(thing: str, words: str) -> str:
        return thing

    def other(thing: str, words: str) -> str:
        return thing + words

    hashes = [program_hash(Function(f, {"words": "a b"})) for f in (one, other, one)]
    assert hashes[0] == hashes[2] != hashes[1]


def test_an_optimizer_for_demonstrations_has_nothing_to_show():
    with pytest.raises(UsageError, match="RandomSearch changes demonstrations, and the function has none"):
        tuned(params={"system_prompt": PROMPT, "temperature": 0.8}, optimizer=RandomSearch(candidates=2))


def priced(thing: str, *, size: str) -> str:
    """Right whatever the size, and dear when it is large."""
    ol.report_cost(tokens=100 if size == "large" else 10)
    return COLOURS[int(thing.split()[-1]) % 4]


def test_the_cheapest_parameters_that_do_can_be_preferred():
    options: Any = {"params": {"size": ol.Choice(["large", "small"])}, "prefer": "fewest tokens within 15 points"}
    found = tuned(priced, **options)
    assert found.params == {"size": "small"}
    assert found.improved
    assert found.report.record["search"]["prefer"] == "fewest tokens within 15 points"
    assert asyncio.run(_preferred(options)) == {"size": "small"}
    assert not tuned(priced, params=options["params"]).improved


async def _preferred(options: dict[str, Any]) -> Any:
    budget = ol.Budget(rollouts=500)
    return (await ol.aoptimize(priced, DATA, matches, study=False, progress=False, budget=budget, **options)).params


def test_a_cost_that_is_not_told_cannot_be_preferred():
    runs: list[str] = []

    def silent(thing: str, *, size: str) -> str:
        runs.append(thing)
        return "red"

    for wish, name in (("cheapest within 1 point", "dollars"), ("fewest tokens within 1 point", "tokens")):
        with pytest.raises(UsageError, match=f"{name}, and the function reported none in 10 runs.*report_cost"):
            tuned(silent, params={"size": ol.Choice(["large", "small"])}, prefer=wish)
    assert len(runs) == 20
    with pytest.raises(UsageError, match="prefer is 'best'"):
        tuned(silent, params={"size": ol.Choice(["large", "small"])}, prefer="cheap")


def test_a_function_that_gives_its_result_in_pieces_is_refused():
    def pieces(thing: str, *, size: str) -> Any:
        yield size

    async def stream(thing: str, *, size: str) -> Any:
        yield size

    class Called:
        def __call__(self, thing: str, *, size: str) -> Any:
            yield size

    choice = {"size": ol.Choice(["large", "small"])}
    for function, kind in ((pieces, "a generator"), (stream, "an async generator"), (Called(), "a generator")):
        with pytest.raises(UsageError, match=f"gives its result; .* is {kind}, .* collects them"):
            tuned(function, params=choice)
    with pytest.raises(SearchStopped, match="what _pieces_for.params. gives is a generator"):
        tuned(_pieces_for, params=choice)


def _pieces_for(params: Any) -> Any:
    def pieces(thing: str) -> Any:
        yield params

    return pieces


def test_a_wrong_keyword_is_told_before_what_is_missing() -> None:
    with pytest.raises(UsageError, match="'buget'. Did you mean 'budget'"):
        ol.optimize(answer, DATA, matches, buget=3)  # pyright: ignore[reportCallIssue]
    with pytest.raises(UsageError, match=r"params=\{\.\.\.\}"):
        ol.optimize(answer, DATA, matches)
