"""Spans in a real MLflow and a real Phoenix, read back through their own interfaces. `make test-otel` brings them."""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from tests.tracing.otel.records import contents, spans, trace

from outlast.tracing.otel import OTel, Traced

pytestmark = [pytest.mark.server, pytest.mark.slow]

NAMES = ["invoke_workflow Forecast", "invoke_agent ReAct", "chat gpt-5-mini", "execute_tool look", "chat tiny"]
PARENTS = [None, 0, 1, 1, 1]
FORMATS = ["gen_ai", "openinference", "both"]


def fresh() -> Traced:
    """The trace of the other tests under ids of its own, as a server keeps what it has seen."""
    start = secrets.token_hex(4)
    identifier = secrets.token_hex(16)
    own = [
        replace(
            span,
            trace_id=identifier,
            id=start + span.id[8:],
            parent_id=span.parent_id and start + span.parent_id[8:],
        )
        for span in spans()
    ]
    held = {start + name[8:]: content for name, content in contents().items()}
    return Traced(trace(id=identifier), own, held)


def asked(url: str, data: Any = None) -> Any:
    """The JSON that an address answers with."""
    body = None if data is None else json.dumps(data).encode()
    with urlopen(Request(url, body, {"Content-Type": "application/json"}), timeout=20) as reply:
        return json.load(reply)


def within(seconds: float, look: Callable[[], Any]) -> Any:
    """What `look` finds as soon as it finds something."""
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, f"nothing within {seconds} s"
        time.sleep(0.2)
    return found


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@contextmanager
def serving(command: list[str], folder: Path, url: str, more: Mapping[str, str]) -> Iterator[str]:
    """A server of its own, up while the block runs; what it says goes into a file."""
    program = Path(sys.executable).with_name(command[0])
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [str(program), *command[1:]], cwd=folder, env={**os.environ, **more}, stdout=log, stderr=log
        )

        def up() -> bool:
            assert server.poll() is None, (folder / "server.log").read_text()[-3000:]
            try:
                with urlopen(url, timeout=5):
                    return True
            except (URLError, OSError):
                return False

        try:
            within(90, up)
            yield url
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


if find_spec("mlflow") is not None:

    @pytest.fixture(scope="module")
    def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
        folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
        command = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        command += ["--backend-store-uri", "sqlite:///mlflow.db"]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with serving(command, folder, f"http://127.0.0.1:{port}/health", quiet) as up:
            yield up.removesuffix("/health")

    @pytest.mark.parametrize("format", FORMATS)
    def test_mlflow_reads_the_tree_the_model_and_the_tokens(mlflow: str, format: Any) -> None:
        made = asked(f"{mlflow}/api/2.0/mlflow/experiments/create", {"name": f"{format} {secrets.token_hex(4)}"})
        traced = fresh()
        with_key = {"x-mlflow-experiment-id": made["experiment_id"]}
        sink = OTel(mlflow, headers=with_key, content=True, format=format)
        sink.offer(traced)
        assert sink.close(20)
        assert (sink.counts.spans, sink.counts.failed) == (5, 0)

        address = f"{mlflow}/ajax-api/3.0/mlflow/get-trace-artifact?request_id=tr-{traced.trace.id}"
        read = within(10, lambda: asked(address)["spans"])
        ids = [span["span_id"] for span in read]
        assert [span["name"] for span in read] == NAMES
        assert [base64.b64decode(one).hex() for one in ids] == [span.id for span in traced.spans]
        above = [None if not span.get("parent_span_id") else ids.index(span["parent_span_id"]) for span in read]
        assert above == PARENTS
        kinds = [json.loads(span["attributes"].get("mlflow.spanType", "null")) for span in read]
        assert kinds[1:4] in (
            ["AGENT", kind, "TOOL"] for kind in ("CHAT_MODEL", "LLM")
        )  # the words of either convention
        call = {name: json.loads(value) for name, value in read[2]["attributes"].items() if name.startswith("mlflow.")}
        assert call["mlflow.llm.model"] == "gpt-5-mini-2026-01-01"
        assert call["mlflow.chat.tokenUsage"].items() >= {"input_tokens": 120, "output_tokens": 30}.items()
        assert "Paris" in json.dumps(call["mlflow.spanInputs"])
        assert [span["status"]["code"] for span in read] == [
            f"STATUS_CODE_{word}" for word in ("ERROR", "OK", "OK", "OK", "ERROR")
        ]


if find_spec("phoenix") is not None:

    @pytest.fixture(scope="module")
    def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
        folder, port = tmp_path_factory.mktemp("phoenix"), free_port()
        more = {
            "PHOENIX_WORKING_DIR": str(folder),
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(port),
            "PHOENIX_GRPC_PORT": str(free_port()),
            "PHOENIX_TELEMETRY_ENABLED": "false",
        }
        with serving(["phoenix", "serve"], folder, f"http://127.0.0.1:{port}/healthz", more) as up:
            yield up.removesuffix("/healthz")

    @pytest.mark.parametrize("format", ["openinference", "both"])
    def test_phoenix_reads_the_tree_the_model_and_the_tokens(phoenix: str, format: Any) -> None:
        project = f"support-{secrets.token_hex(4)}"
        traced = fresh()
        sink = OTel(phoenix, project=project, content=True, format=format)
        sink.offer(traced)
        assert sink.close(20)
        assert (sink.counts.spans, sink.counts.failed) == (5, 0)

        def read() -> Any:
            try:
                found = asked(f"{phoenix}/v1/projects/{project}/spans?limit=20")["data"]
            except URLError:  # the project is not there yet
                return []
            return found if len(found) == 5 else []

        found = {span["context"]["span_id"]: span for span in within(20, read)}
        order = [found[span.id] for span in traced.spans]
        assert [span["name"] for span in order] == NAMES
        assert [span["parent_id"] for span in order] == [span.parent_id or None for span in traced.spans]
        assert [span["span_kind"] for span in order] == ["CHAIN", "AGENT", "LLM", "TOOL", "LLM"]
        assert [span["status_code"] for span in order] == ["ERROR", "OK", "OK", "OK", "ERROR"]
        call = order[2]["attributes"]
        assert call["llm.model_name"] == "gpt-5-mini-2026-01-01"
        assert (int(call["llm.token_count.prompt"]), int(call["llm.token_count.completion"])) == (120, 30)
        assert order[1]["attributes"]["input.value"] == '{"city": "Paris"}'
        assert {span["context"]["trace_id"] for span in order} == {traced.trace.id}
