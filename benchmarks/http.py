"""Calls over HTTP: rate and client CPU beside raw aiohttp, through `Predict` beside the peer, and streams at once.

    python benchmarks/http.py [--concurrency 64 256 1000 4000] [--rounds 5] [--peer PYTHON] [--json]

What is measured, and the bars, stand in `_over_http.py`.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    from _over_http import main

    sys.exit(main())

# Scripts of this folder have it first on their path, so that an `import http` of theirs, or of anything that they
# import, finds this file. It gives way to the package of the standard library.
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

_here = Path(__file__).parent
_spec = PathFinder.find_spec("http", [folder for folder in sys.path if Path(folder or ".").resolve() != _here])
assert _spec is not None
assert _spec.loader is not None
sys.modules["http"] = module_from_spec(_spec)
_spec.loader.exec_module(sys.modules["http"])
