"""What is special about litellm: what it would change in silence, and what it does when it is loaded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from outlast.errors import ConfigError, LMRequestError
from outlast.lms.engines.litellm import _load, _loaded
from outlast.lms.protocol import LM
from outlast.testing.server import FakeServer

pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("DeprecationWarning", "UserWarning")]


def model(name: str, server: FakeServer, **options) -> LM:
    return LM(f"litellm:{name}", base_url=server.url, api_key="k-0123456789", cache=False, retries=0, **options)


@pytest.mark.parametrize("switch", ["drop_params", "modify_params"])
def test_it_refuses_to_change_requests_in_silence(switch, monkeypatch):
    _load()
    monkeypatch.setattr(_loaded(), switch, True)
    with FakeServer("yes") as server:
        with pytest.raises(ConfigError, match=f"litellm.{switch} is True"):
            model("openai/fake", server)("hi")
        assert server.count == 0


def test_what_litellm_knows_a_provider_not_to_take_is_told():
    with FakeServer("yes") as server:
        lm = LM("litellm:anthropic/claude-opus-4-1", base_url=server.root, api_key="k-0123456789", cache=False)
        reply = lm("hi", max_tokens=30, top_p=0.5, seed=3, logprobs=2, tier="flex", prediction="yes")
        assert [note.split(" not sent")[0] for note in reply.adaptations] == [
            "seed=3",
            "tier='flex'",
            "logprobs=2",
            "prediction",
        ]
        assert server.requests[0].body["top_p"] == 0.5
        assert server.count == 1  # litellm refuses before it sends


def test_a_provider_in_its_own_dialect():
    with FakeServer("yes") as server:
        lm = LM("litellm:anthropic/claude-opus-4-1", base_url=server.root, api_key="k-0123456789", cache=False)
        reply = lm("hi", max_tokens=5)
        assert reply.text == "yes"
        assert server.requests[0].headers["x-api-key"] == "k-0123456789"


def test_an_unknown_provider_is_a_bad_request():
    with pytest.raises(LMRequestError, match="no-such-provider"):
        LM("litellm:no-such-provider/model", api_key="k-0123456789", cache=False, retries=0)("hi")


def test_loading_it_asks_no_server_for_prices_and_sets_no_environment():
    code = (
        "import os, socket\n"
        "def refuse(*args): raise SystemExit('it looked up ' + str(args[0]))\n"
        "socket.getaddrinfo = refuse\n"
        "from outlast.lms.engines.litellm import _load\n"
        "before = dict(os.environ); _load(); assert dict(os.environ) == before, set(os.environ) ^ set(before)\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LITELLM")}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
