"""What a form of the page sends: fields in order, each cut at a length, and never a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.requests import Request
    from starlette.responses import Response

LONGEST = 20_000  # characters of one field
MOST = 2_000  # fields


class Form:
    """The fields of a form; a name may stand there several times."""

    def __init__(self, body: bytes, longest: int = LONGEST) -> None:
        text = body.decode("utf-8", "replace")
        self.fields = [
            (name, value[:longest]) for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=MOST)
        ]

    def get(self, name: str, longest: int = 500) -> str:
        """The first value of a field, trimmed; "" where there is none."""
        return next((value.strip()[:longest] for known, value in self.fields if known == name), "")

    def text(self, name: str) -> str | None:
        """The first value of a field to the letter, with "\n" as line break; None where there is none."""
        found = next((value for known, value in self.fields if known == name), None)
        return None if found is None else found.replace("\r\n", "\n").replace("\r", "\n")

    def all(self, name: str, longest: int = 500) -> list[str]:
        """All values of a field that say something, each once."""
        found = (value.strip()[:longest] for known, value in self.fields if known == name)
        return list(dict.fromkeys(value for value in found if value))

    def number(self, name: str) -> float | None:
        """The value as a number; None where it is none."""
        try:
            value = float(self.get(name))
        except ValueError:
            return None
        return value if abs(value) < 1e15 else None  # neither nan nor infinite


def on_form(
    act: Callable[[Request, Form], Response], *, longest: int = LONGEST
) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that reads the form and acts on it in a thread, where the store may block. A field is cut at
    `longest` characters.

    Who may send one is decided before, by the guard.
    """

    async def endpoint(request: Request) -> Response:
        form = Form(await request.body(), longest)
        return await run_in_threadpool(act, request, form)

    return endpoint
