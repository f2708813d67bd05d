"""What one running page knows: the store it shows and the secrets that open it."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlast.view.links import Links

if TYPE_CHECKING:
    from outlast.tracing.store import Store
    from outlast.view.replaying import Replays


def _secret() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True)
class Site:
    """The store, its name for people, where it is (which no page says), and the secrets of this process.

    `token` opens the page; the browser then holds `session` in a cookie. `hosts` are the values of the Host header that
    are answered. `links` says how addresses are written: for a server or for files. `artifacts` are compiled files by
    name, read before the page was started, and `studies` ledgers of searches: a browser names them and never a path.
    `replays` are the models that may be asked from the page, None where none may.
    """

    store: Store
    name: str = "traces.db"
    place: str = ""
    hosts: frozenset[str] = frozenset()
    links: Links = field(default_factory=Links)
    read_only: bool = False
    artifacts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    studies: Mapping[str, Path] = field(default_factory=dict[str, Path])
    replays: Replays | None = None
    token: str = field(default_factory=_secret)
    session: str = field(default_factory=_secret)

    def told(self, error: Exception) -> str:
        """What an error says, with the name of the store for where it is."""
        database = self.store.database
        places = {self.place, database.place, database.address}
        if database.lite:
            places |= {str(Path(database.address).resolve())}
        said = str(error) or type(error).__name__
        for place in sorted(places, key=len, reverse=True):
            if "/" in place or "\\" in place:  # a bare name says nothing, and may be a part of other words
                said = said.replace(place, self.name)
        return said

    @property
    def form_token(self) -> str:
        """What every form sends back, so that another page cannot post in this one's name."""
        return hmac.new(self.session.encode(), b"form", sha256).hexdigest()

    @property
    def exported(self) -> bool:
        """Whether pages are written as files, without anything that needs a server."""
        return self.links.exported
