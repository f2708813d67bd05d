"""`checkpoint`: a run that can be killed at any time and goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from outlast.errors import UsageError, brief
from outlast.lms.layers.journaled import Journaled
from outlast.lms.protocol import LM
from outlast.runtime import current, running
from outlast.runtime.journal import Journal


@contextmanager
def checkpoint(path: str | os.PathLike[str], *, about: Mapping[str, Any] | None = None) -> Generator[Journal]:
    """Keep every reply of a model and every result of a tool in a file; run the same block again, and it goes on there.

        with ol.checkpoint("run.jsonl"):
            out = agent(question="...")

    A block that died, was killed or ran out of budget is run again in the same way, by this or another process: what
    was answered is not asked again, tools that ran do not run again, and the program comes to the point where it was.
    A tool that was running when the process died has an unknown outcome; it is not run again, and the model is told
    so, unless the tool is `repeatable`. A program that is a tool runs again and finds its own answers. Code of your own
    runs again too, so what it does to the world belongs into tools, and what it decides should not depend on time or
    chance. What somebody decided about a call that needs approval is kept as well.

    Each answer is on the disk before the program sees it (some milliseconds). The file is private (0600) and holds
    replies and results in clear. `about` is JSON data that says what the file is for; the block gets the `Journal`,
    which counts what was `replayed` and `added`. Raises `DataError` for a file that is for something else, is damaged,
    is in use, or cannot be written.
    """
    outer = current().memo
    journal = Journal(path, _told(about or {}))

    def memo(lm: LM) -> LM:
        return Journaled(lm if outer is None else outer(lm), journal)

    try:
        with running(memo=memo, journal=journal):
            yield journal
    finally:
        journal.close()


def _told(about: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return json.loads(json.dumps(about, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"checkpoint(about=...) is JSON data; got {brief(about)}: {error}") from None
