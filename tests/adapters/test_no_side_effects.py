"""Defect 13: validating what a model wrote opens no file and no connection, whatever it names."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = r"""
import sys
from pathlib import Path
from typing import Any, Literal
import pydantic
from outlast.adapters import JSON, Chat, Task
from outlast.errors import ParseError
from outlast.lms.protocol import Capabilities
from outlast.messages import Response
from outlast.signatures import signature

class Source(pydantic.BaseModel):
    path: Path
    url: pydantic.HttpUrl
    blob: bytes = b""

kinds = {"Path": Path, "Url": pydantic.HttpUrl, "AnyUrl": pydantic.AnyUrl, "Source": Source}
kinds["Source2"] = list[Source | str]
values = [
    "/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:9/x", "data:text/plain,x", "\\\\host\\share", "~/x", "$HOME",
    '{"path": "/etc/passwd", "url": "http://127.0.0.1:9/x"}', '[{"path": "/etc/passwd", "url": "file:///x"}]',
    "{'path': '/etc/passwd', 'url': 'http://127.0.0.1:9/x',}", '{"path": "a "b"", "url": "http://127.0.0.1:9/x"}',
    "!!python/object/apply:os.system ['x']", "__import__('os').system('x')", "<!ENTITY x SYSTEM 'file:///etc/passwd'>",
]
plans = []
for kind in ("str", "bytes", "Any", "Path", "Url", "AnyUrl", "Source", "Source2", "Optional[Path]", "dict[str, Path]"):
    for adapter in (Chat(), JSON()):
        made = signature(f"q -> a: {kind}", types=kinds)
        plans.append((adapter, adapter.compile(Task(made, "x"), Capabilities()).prepare({"q": values[0]})))

def read_all():
    for adapter, call in plans:
        for value in values:
            for reply in (value, f"<<a>>\n{value}\n<<end>>", '{"a": %s}' % value, '{"a": "%s"}' % value):
                try:
                    call.read(Response(reply))
                except ParseError:
                    pass

read_all()  # lazy imports
seen = []
watched = ("open", "socket", "os.", "subprocess", "urllib", "exec", "compile", "import", "shutil", "ctypes", "pickle")
sys.addaudithook(lambda event, args: seen.append((event, args)) if event.startswith(watched) else None)
read_all()
print(sorted({event for event, _ in seen}), len(plans))
"""


def test_defect_13_reading_touches_neither_files_nor_network() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[] 20", "")
