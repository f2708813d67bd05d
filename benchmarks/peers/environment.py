"""The throw-away environment that the peers run in: fixed versions, so that recorded results can be repeated."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("dspy[optuna]==3.4.1", "gepa==0.1.4", "rich>=13")  # rich is ours; dspy brings the rest that we need


def make(path: Path) -> Path:
    """Make the environment from PyPI and give its Python; outlast itself is used from this checkout."""
    subprocess.run([sys.executable, "-m", "venv", str(path)], check=True)
    python = path / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *PACKAGES], check=True)
    folder = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    (Path(folder) / "outlast-checkout.pth").write_text(f"{ROOT / 'src'}\n", "utf-8")
    return python


def versions() -> dict[str, str]:
    """The versions of the peers that are installed here; empty when they are not."""
    found: dict[str, str] = {}
    for name in ("dspy", "gepa", "optuna"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
