"""What holds for the pages as a whole: names, links, the site."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import outlast

ROOT = Path(__file__).parents[2]
TOP = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "AGENTS.md", "SECURITY.md", "CHANGELOG.md")]
PAGES = [*TOP, ROOT / "benchmarks" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def prose_of(path: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^( *)```.*?^\1```$", "", text_of(path), flags=re.DOTALL | re.MULTILINE)


def anchors_of(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose_of(path), flags=re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", h)) for h in headings)
    return {re.sub(r"[\s]+", "-", heading.strip().lower()) for heading in plain}


def test_every_public_name_is_in_the_docs() -> None:
    docs = "\n".join(text_of(path) for path in PAGES)
    missing = [name for name in outlast.__all__ if not re.search(rf"\b(ol|outlast)\.{name}\b", docs)]
    assert missing == []


def test_every_name_that_the_docs_use_is_public() -> None:
    used = {name for path in PAGES for name in re.findall(r"\bol\.(\w+)", text_of(path))}
    assert used - set(outlast.__all__) - {"testing"} == set()


def test_every_error_is_in_the_reference() -> None:
    from outlast import errors

    page = text_of(ROOT / "docs" / "reference" / "errors.md")
    kinds = [
        name for name, thing in vars(errors).items() if isinstance(thing, type) and thing.__module__ == errors.__name__
    ]
    assert kinds
    assert [name for name in kinds if name not in page] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    broken: list[str] = []
    for link in LINK.findall(prose_of(path)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    assert broken == []


def test_every_page_is_in_the_navigation() -> None:
    nav = text_of(ROOT / "mkdocs.yml").split("\nnav:")[1]
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert set(re.findall(r"[\w/-]+\.md", nav)) == pages


def test_the_changelog_keeps_a_place_for_what_is_next() -> None:
    text = text_of(ROOT / "CHANGELOG.md")
    assert re.search(r"^## \[Unreleased\]$", text, flags=re.MULTILINE)
    assert set(re.findall(r"^### (\w+)$", text, flags=re.MULTILINE)) <= {
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    }


@pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None, reason="needs the docs extra; `make docs` does this too"
)
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    assert (tmp_path / "site" / "guides" / "compile" / "index.html").is_file()
