"""Files of others are what they were when they were looked at."""

from __future__ import annotations

import re
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import pytest

VENDOR = files("outlast.view").joinpath("vendor")
AXE = Path(__file__).parent / "vendor"


@pytest.mark.parametrize("folder", [VENDOR, AXE], ids=["shipped", "tests"])
def test_each_file_has_the_hash_that_its_readme_says(folder: Path) -> None:
    told = folder.joinpath("README").read_text("utf-8")
    named = dict(re.findall(r"^(\S+\.js)\n(?:.*\n)*?  sha256 +([0-9a-f]{64})$", told, re.MULTILINE))
    held = {one.name for one in folder.iterdir() if one.name.endswith(".js")}
    assert held == set(named)
    assert held
    for name, expected in named.items():
        assert sha256(folder.joinpath(name).read_bytes()).hexdigest() == expected
        assert folder.joinpath(f"{name.split('.')[0]}.LICENSE").is_file()
