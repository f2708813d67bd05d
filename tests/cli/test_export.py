"""`outlast export`: the exact prompts, to read and as files."""

from __future__ import annotations

import json

from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment


def test_prompts_to_read(outlast) -> None:
    result = outlast("export", "app.py:Triage")
    assert result.code == 0
    assert result.out.startswith("== route: Route, Chat\n\n[system]\nRoute a customer message")
    assert "<<message>>\n{{message}}\n\n<<end>>" in result.out


def test_prompts_as_json(outlast) -> None:
    found = outlast("export", "app.py:Triage", "--format", "json", "--adapter", "json").json
    assert found["route"]["adapter"] == "JSON"
    assert found["route"]["messages"][-1] == {
        "role": "user",
        "content": ['{"message": ', {"slot": "message"}, "}"],
    }
    messages = outlast("export", "app.py:Triage", "--json").json["route"]
    assert messages[-1]["content"][1] == {"slot": "message"}


def test_templates_in_files(outlast, desk) -> None:
    result = outlast("export", "app.py:route", "--format", "jinja", "-o", "prompts")
    assert result.code == 0
    assert result.out == ""
    assert result.err == "outlast: 2 files in prompts\n"
    assert {path.name for path in (desk / "prompts").iterdir()} == {"program.1.system.jinja", "program.2.user.jinja"}
    shown = outlast("run", "app.py:route", "--show", "--input", "message=my card", "--json").lines[0]["messages"]
    environment = SandboxedEnvironment(undefined=StrictUndefined)
    for number, message in enumerate(shown, 1):
        source = (desk / "prompts" / f"program.{number}.{message['role']}.jinja").read_bytes().decode()
        assert environment.from_string(source).render(message="my card") == message["content"]


def test_documents_in_files(outlast, desk) -> None:
    assert outlast("export", "app.py:Triage", "--format", "json", "-o", "prompts").code == 0
    assert json.loads((desk / "prompts" / "route.json").read_text())["path"] == "route"


def test_a_path_that_is_none(outlast) -> None:
    result = outlast("export", "app.py:Triage", "--path", "rout")
    assert result.code == 3
    assert "Did you mean 'route'" in result.err


def test_a_folder_that_cannot_be_written(outlast, desk) -> None:
    (desk / "prompts").write_text("")
    result = outlast("export", "app.py:Triage", "-o", "prompts")
    assert result.code == 3
    assert "cannot write" in result.err
