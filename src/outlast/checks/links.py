"""A check of links: every address in a text leads to an allowed host, read as a browser would read it."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from outlast.checks.check import Check, CheckResult, Found
from outlast.checks.factory import factory
from outlast.checks.policy import Policy
from outlast.checks.reading import FINE, Span, flag, listed, of_text, shown
from outlast.errors import UsageError, brief

REMOVED = "link-removed"
"""What the fix puts in place of an address."""

_SPECIAL = frozenset({"http", "https", "ftp", "ws", "wss"})  # an address of these may have any slashes, or none
_PORTS = {"http": "80", "https": "443", "ftp": "21", "ws": "80", "wss": "443"}
_PLAIN = re.compile(
    r"(?<![\w+.-])(?:[a-zA-Z][\w+.-]{0,30}:[/\\]{2,}|(?:https?|ftp|wss?):[/\\]|www\.(?=\w)|"
    r"(?:javascript|vbscript|data|file|blob):(?=[^\s:]))"
    r"[^\s<>\"`/\\?#]*+[^\s<>\"'`)\]}|,;]*+",
    re.IGNORECASE,
)
_MARKDOWN = re.compile(
    r"\]\(\s*+(?:<(?P<a>[^<>\n]*+)>|(?P<b>[^ \r\n()]*+(?:\([^ \r\n()]*+\)[^ \r\n()]*+)*+))"
    r"|^ {0,3}\[[^\]\n]{1,999}\]:\s*+(?:<(?P<c>[^<>\n]*+)>|(?P<d>\S++))"
    r"|<(?P<e>[a-zA-Z][\w+.-]{1,30}:[^<>\s]*+)>",
    re.MULTILINE,
)
_ATTRIBUTE = re.compile(
    r"\b(?:href|src|srcset|action|formaction|poster|background|data|cite|ping|xlink:href|content)\s*+=\s*+"
    r"(?:\"(?P<a>[^\"]*+)\"|'(?P<b>[^']*+)'|(?P<c>[^\s\"'>]++))",
    re.IGNORECASE,
)
_STYLE = re.compile(r"\burl\(\s*+[\"']?(?P<a>[^\"')\s]*+)", re.IGNORECASE)
_BARE = re.compile(
    r"(?<![\w@/\\.:%-])(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,8}"
    r"(?:com|org|net|io|co|info|biz|xyz|top|site|online|app|dev|ai|me|ru|cn|de|fr|uk|us|eu|ly|gg|tk|link|click|shop)"
    r"(?![\w-])(?!\.\w)(?::\d{1,5})?(?:/[^\s<>\"'`)\]}|,;]*+)?",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?")
_ALLOWED = re.compile(r"(\*\.)?([^\s/:*@?#\\]+)(?::(\d{1,5}))?(/[^\s?#*]*)?")


@factory
def urls(
    field: str,
    *,
    allow: Iterable[str] = (),
    schemes: Iterable[str] = ("https", "http"),
    relative: bool = True,
    bare: bool = False,
    each: bool = False,
    on_fail: Policy | str = "raise",
) -> Check:
    """Every address in the text leads to one of these hosts: "example.com" (it alone), "*.example.com" (what is below
    it), "example.com:8443", "example.com/docs/" (this path and below). Without `allow` no address may be there.

    Found are addresses in plain text, in Markdown and in HTML. They are read as browsers do (backslashes, tabs inside,
    entities, full-width dots, punycode, a dot at the end), and are refused with a name before an "@", a scheme that is
    not in `schemes`, an address of numbers that is not listed, and a port that is not the usual one of its scheme.
    `relative` lets "/help" pass in links. `bare` looks at "example.com" in plain text too. The fix puts "link-removed"
    in place of what is refused. Raises `UsageError` for an entry that is no host.
    """
    flag("urls", relative=relative, bare=bare)
    entries = tuple(dict.fromkeys(allow if not isinstance(allow, str) else [allow]))
    rules = [_rule(entry) for entry in entries]
    kinds = tuple(scheme.lower().rstrip(":") for scheme in listed("urls", "schemes", schemes))

    def judge(text: str) -> CheckResult:
        bad: dict[Span, str] = {}
        for start, end, link in _addresses(text, bare):
            problem = _problem(text[start:end], link, rules, kinds, relative)
            if problem:
                bad[start, end] = problem
        if not bad:
            return FINE
        places = tuple(Found(field, *span, "url", text[slice(*span)]) for span in sorted(bad))
        told = shown(f"{place.text} ({bad[place.start, place.end]})" for place in places)
        may = ", ".join(entries) or "none"
        fixed = _without(text, sorted(bad))
        clean = not any(
            _problem(fixed[start:end], link, rules, kinds, relative) for start, end, link in _addresses(fixed, bare)
        )
        message = f"{field!r} holds addresses that are not allowed: {told}; allowed hosts: {may}"
        return CheckResult(False, message, found=places, fix={field: fixed} if clean else None)

    options = {"allow": entries, "schemes": kinds, "relative": relative, "bare": bare}
    return of_text("urls", field, judge, on_fail=on_fail, each=each, **options)


@dataclass(frozen=True, slots=True)
class _Rule:
    below: bool
    host: str
    port: str | None
    path: str


def _rule(entry: object) -> _Rule:
    found = _ALLOWED.fullmatch(entry) if isinstance(entry, str) else None
    host = _host(found[2]) if found else None
    if found is None or host is None:
        raise UsageError(
            f"ol.checks.urls: allow lists hosts such as 'example.com', '*.example.com' or 'example.com/docs/', without "
            f"a scheme; got {brief(entry)}"
        )
    return _Rule(found[1] is not None, host, found[3], found[4] or "")


def _addresses(text: str, bare: bool) -> Iterator[tuple[int, int, bool]]:
    """Start, end and whether it is the target of a link, of everything that may be an address."""
    for pattern in (_MARKDOWN, _ATTRIBUTE, _STYLE):
        for match in pattern.finditer(text):
            name = match.lastgroup
            if name is None or not match[name].strip():
                continue
            if pattern is _ATTRIBUTE and not _is_address(match):
                continue
            yield *match.span(name), True
    for match in _PLAIN.finditer(text):
        end = match.start() + len(match[0].rstrip(".,;:!?'\"*_~"))
        yield match.start(), end, False
    if bare:
        for match in _BARE.finditer(text):
            yield *match.span(), False


def _is_address(match: re.Match[str]) -> bool:
    """True but for values of attributes that hold other things too, and assignments in program text."""
    name = match[0].lower()
    value = html.unescape(match[match.lastgroup or "a"]).strip()
    if name.startswith(("content", "data", "cite", "background", "ping")):
        return bool(_SCHEME.match(value) or re.search(r"url=", value, re.IGNORECASE) or value[:2] in ("//", "\\\\"))
    return True


def _problem(raw: str, link: bool, rules: list[_Rule], schemes: tuple[str, ...], relative: bool) -> str:
    """Why an address is refused; "" when it is allowed."""
    address = html.unescape(raw) if "&" in raw else raw
    address = re.sub(r"[\t\r\n]", "", address).strip("".join(map(chr, range(33))))
    if link and "," in address and re.search(r"\s\d*\.?\d+[wx]\s*(,|$)", address):  # a srcset
        parts = [part.split()[0] for part in address.split(",") if part.strip()]
        return next(filter(None, (_problem(part, link, rules, schemes, relative) for part in parts)), "")
    if link and (refresh := re.match(r"[\d\s;,]*url\s*=\s*['\"]?(.*)", address, re.IGNORECASE | re.DOTALL)):
        address = refresh[1]
    scheme, rest = "https", address
    if found := _SCHEME.match(address):
        scheme, rest = found[1].lower(), address[found.end() :]
        if scheme not in schemes:
            return f"scheme {scheme[:20]}"
    elif address[:2].replace("\\", "/") != "//" and not address.lower().startswith("www.") and link:
        return "" if relative else "it is relative"
    if scheme not in _SPECIAL:
        return ""
    return _refused(scheme, rest.replace("\\", "/").lstrip("/"), rules)


def _refused(scheme: str, rest: str, rules: list[_Rule]) -> str:
    """Why what follows the scheme is refused; "" when it is allowed."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    tail = rest[len(authority) :]
    if "@" in authority:
        return "a name before @ hides the host"
    authority = authority.rstrip(").,;:!?'\"*_~]}>") if not tail else authority
    name, colon, port = authority.partition(":")
    host = _host(name)
    if host is None or (colon and not (port.isascii() and port.isdigit())):
        return "no readable host"
    path = _path(tail)
    for rule in rules:
        same = host.endswith(f".{rule.host}") if rule.below else host == rule.host
        usual = not port or port.lstrip("0") == _PORTS.get(scheme)
        if same and (port == rule.port if rule.port and port else usual and not rule.port) and _under(path, rule.path):
            return ""
    return f"host {host[:60]}" + (f", port {port[:6]}" if port else "")


def _under(path: str, allowed: str) -> bool:
    return not allowed or path == allowed or path.startswith(allowed if allowed.endswith("/") else f"{allowed}/")


def _path(tail: str) -> str:
    """The path of an address without its dots; "%2e" is a dot too."""
    plain = re.split(r"[?#]", tail, maxsplit=1)[0]
    parts: list[str] = []
    for part in re.sub("%2e", ".", plain, flags=re.IGNORECASE).split("/")[1:]:
        if part == "..":
            del parts[-1:]
        elif part != ".":
            parts.append(part)
    return "/" + "/".join(parts)


def _host(name: str) -> str | None:
    """A host as it is looked up: lower case, punycode, no dot at the end; None for what is none."""
    if len(name) > 300:
        return None
    if "%" in name:
        from urllib.parse import unquote

        name = unquote(name)
    plain = unicodedata.normalize("NFKC", name).lower().replace("\u3002", ".").removesuffix(".")
    plain = plain.replace("\u00ad", "").replace("\u200b", "")
    if not plain.isascii():
        try:
            plain = ".".join(
                part if part.isascii() else "xn--" + part.encode("punycode").decode() for part in plain.split(".")
            )
        except UnicodeError:
            return None
    return plain if len(plain) <= 253 and _HOST.fullmatch(plain) and ".." not in plain else None


def _without(text: str, spans: list[Span]) -> str:
    pieces: list[str] = []
    last = 0
    for start, end in spans:
        if start < last:
            continue
        pieces += [text[last:start], REMOVED]
        last = end
    return "".join([*pieces, text[last:]])
