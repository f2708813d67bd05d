"""Where Pyodide lies on this machine, and the one step that fetches it; a session itself never uses the network."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from outlast.errors import ConfigError, SandboxUnavailable

VERSION = "314.0.7"
SHA512 = "0YvXxEhfEdpLfb/XkM2BFAeMROq0iMUX2bzzH9pOttyMcWkwq+HbE5uyuGD82LN7y2q+SNvi/6V5JEsOlD2R1A=="
FILES = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json")
SNAPSHOT = "snapshot.bin"
PLATFORM = "pyemscripten_2026_0_wasm32"  # of wheels with compiled code, as pip names it
INSTALL = "outlast sandbox install pyodide"

_CODE = Path(__file__).with_name("wasm")
_READ = (_CODE / "guest.mjs", _CODE / "guest.py", _CODE.with_name("worker.py"))
_ALONE = ("--no-prompt", "--no-remote", "--no-npm", "--no-config", "--no-lock", "--cached-only", "--no-code-cache")
_ENGINE = "--disallow-code-generation-from-strings,--max-old-space-size=256"
_PAGE = 1 << 16
_MOST = 64 << 20  # bytes of a download
_SECONDS = 120.0


def usual_folder() -> Path:
    """`outlast/pyodide-VERSION` under `XDG_CACHE_HOME` or `~/.cache`."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "outlast" / f"pyodide-{VERSION}"


def find_deno(named: str | None) -> str:
    """The program of Deno. Raises `SandboxUnavailable`."""
    if named is not None:
        if not os.access(named, os.X_OK) or not Path(named).is_file():
            raise SandboxUnavailable(f"Pyodide(deno={named!r}) names no program")
        return named
    with contextlib.suppress(ImportError, OSError):
        if find_spec("deno") is not None:
            return os.fsdecode(import_module("deno").find_deno_bin())
    raise SandboxUnavailable("Pyodide() runs under Deno, which is not installed: pip install 'outlast[pyodide]'")


def check_folder(folder: Path) -> None:
    """Raise `SandboxUnavailable` unless all of Pyodide is there and is nobody else's to change."""
    absent = [name for name in (*FILES, SNAPSHOT) if not (folder / name).is_file()]
    if absent:
        raise SandboxUnavailable(
            f"Pyodide is not installed: no {absent[0]} in {str(folder)!r}. Run `{INSTALL}` once; it needs the npm "
            "registry or, with --from, a downloaded file. After that nothing needs the network"
        )
    if hasattr(os, "getuid"):
        about = folder.stat()
        if about.st_uid not in (os.getuid(), 0) or about.st_mode & 0o022:
            raise SandboxUnavailable(
                f"other users can change the folder of Pyodide, {str(folder)!r}, and could put anything into it. "
                f"Remove it, and run `{INSTALL}`"
            )


def fits(wheel: Path) -> bool:
    """Whether a wheel is one for this Python in WebAssembly, by its name."""
    python, abi, platform = wheel.stem.split("-")[-3:]
    if platform == "any":
        return abi == "none" and ("py3" in python.split(".") or "cp314" in python.split("."))
    return platform == PLATFORM and abi in ("cp314", "abi3")


def command(deno: str, folder: Path, memory: int, wheels: Sequence[Path] = (), *, make: bool = False) -> list[str]:
    """What starts Deno for a session: it may read the folder, the wheels and the guest's code, and nothing else.

    `memory` are the bytes that a WebAssembly memory can have. With `make` it writes the snapshot instead.
    """
    allowed = ",".join(str(path).replace(",", ",,") for path in (folder, *wheels, *_READ))
    return [
        deno,
        *("run", "--quiet", *_ALONE, "--unstable-worker-options"),
        f"--v8-flags={_ENGINE},--wasm-max-mem-pages={memory // _PAGE}",
        f"--allow-read={allowed}",
        *([f"--allow-write={str(folder).replace(',', ',,')}"] if make else []),
        str(_CODE / "main.mjs"),
        f"{folder.as_uri()}/",
        *(["make"] if make else [wheel.as_uri() for wheel in wheels]),
    ]


def environment() -> dict[str, str]:
    """The whole environment of Deno. Its cache is a place that cannot exist, so it leaves no files behind."""
    return {"DENO_DIR": str(_CODE / "main.mjs" / "none"), "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"}


def install(source: Path | None = None, folder: Path | None = None, deno: str | None = None) -> tuple[Path, bool]:
    """Put Pyodide into a folder, and say where and whether anything was to be done.

    Fetches one file of 6.5 MB from the npm registry, or reads it from `source`; it has to be the very file whose
    SHA-512 is known here. Then starts the interpreter once and keeps a snapshot of its memory (31 MB), which later
    sessions start from. Raises `SandboxUnavailable` without Deno or when the snapshot fails, `ConfigError` when the
    file cannot be had or is another.
    """
    program = find_deno(deno)
    folder = (folder or usual_folder()).absolute()
    with contextlib.suppress(SandboxUnavailable):
        check_folder(folder)
        return folder, False
    packed = _download() if source is None else _read(source)
    if base64.b64encode(hashlib.sha512(packed).digest()).decode() != SHA512:
        raise ConfigError(
            f"what came as pyodide {VERSION} is not that file: its SHA-512 differs from the one known to this version "
            "of outlast. Nothing was installed"
        )
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))  # for its owner only
    try:
        _unpack(packed, made)
        _make_snapshot(program, made)
        if folder.exists():  # half an installation, or one that others could change
            shutil.rmtree(folder)
        made.rename(folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    check_folder(folder)
    return folder, True


def _read(source: Path) -> bytes:
    try:
        return source.read_bytes()
    except OSError as error:
        raise ConfigError(f"{str(source)!r} cannot be read: {error.strerror}") from None


def _unpack(packed: bytes, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        for name in FILES:
            file = archive.extractfile(f"package/{name}")
            if file is None:
                raise ConfigError(f"there is no {name} in the package pyodide {VERSION}")
            (folder / name).write_bytes(file.read())


def _make_snapshot(deno: str, folder: Path) -> None:
    try:
        run = subprocess.run(
            command(deno, folder, 256 << 20, make=True),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(),
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxUnavailable(f"Deno could not start Pyodide: {error}") from None
    if run.returncode or not (folder / SNAPSHOT).is_file():
        said = run.stderr.decode("utf-8", "replace").strip()[-2_000:]
        raise SandboxUnavailable(f"Deno could not start Pyodide (exit code {run.returncode}): {said}")


def _download() -> bytes:
    """The package as the registry serves it, with npm's settings of this user: registry, cafile and a token."""
    import ssl
    from urllib.error import URLError
    from urllib.request import Request, urlopen

    settings = npm_settings()
    registry = settings.get("registry", "https://registry.npmjs.org/").rstrip("/")
    if urlsplit(registry).scheme not in ("http", "https"):
        raise ConfigError(f"npm's registry is the address of a server; got {registry!r}")
    address = f"{registry}/pyodide/-/pyodide-{VERSION}.tgz"
    request = Request(address, headers={"User-Agent": "outlast"})
    token = settings.get(f"{registry.partition(':')[2]}/:_authToken")
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")  # not for another server
    try:
        trust = ssl.create_default_context()
        if settings.get("cafile"):
            trust.load_verify_locations(settings["cafile"])
        with urlopen(request, timeout=_SECONDS, context=trust) as answer:
            return answer.read(_MOST)
    except (URLError, OSError, ValueError) as error:
        raise ConfigError(
            f"{address} could not be fetched: {getattr(error, 'reason', error)}. Where there is no network: fetch it "
            f"elsewhere (`npm pack pyodide@{VERSION}`), then `{INSTALL} --from pyodide-{VERSION}.tgz`"
        ) from None


def npm_settings(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """npm's settings of this user: those of `~/.npmrc` (or `NPM_CONFIG_USERCONFIG`), then of `npm_config_*`."""
    known = os.environ if environment is None else environment
    given = {key.lower()[11:]: value for key, value in known.items() if key.lower().startswith("npm_config_")}
    path = Path(given.get("userconfig") or Path.home() / ".npmrc")
    found: dict[str, str] = {}
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in path.read_text("utf-8").splitlines():
            key, equals, value = line.partition("=")
            if equals and not line.lstrip().startswith(("#", ";")):
                value = value.strip().strip("\"'")
                found[key.strip()] = re.sub(r"\$\{(\w+)\}", lambda name: known.get(name[1], name[0]), value)
    return found | {key: value for key, value in given.items() if value}
