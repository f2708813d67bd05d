"""What the safety checks are measured on: data sets of ../shared/data, and secrets that a seeded generator makes up.

Every figure of docs/guides/built-in-checks.md about personal data, secrets and injection comes from here, by
`python benchmarks/checks_safety.py`; the tests hold the same figures to floors. Patterns and weights were chosen on
the train and dev parts; what is reported is the test part.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import random
import string
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("OUTLAST_DATA") or ROOT.parent / "shared" / "data")

TYPES = {  # of pii_synth, and our kinds for them; the others (names, places, titles) need a model
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "CREDIT_CARD": "card",
    "IBAN_CODE": "iban",
    "US_SSN": "ssn",
    "IP_ADDRESS": "ip",
    "US_DRIVER_LICENSE": "id_document",
    "DOMAIN_NAME": "url",
}


@dataclass
class Counts:
    """How many were right, wrong and missed."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    @property
    def precision(self) -> float:
        """Of what was found, the share that is right."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else float("nan")

    @property
    def recall(self) -> float:
        """Of what is there, the share that was found."""
        return self.right / (self.right + self.missed) if self.right + self.missed else float("nan")


def rows(name: str, *parts: str) -> Iterator[dict[str, Any]]:
    """The rows of parts ("train", "dev", "test") of a data set."""
    for part in parts:
        with (DATA / name / f"{part}.jsonl").open(encoding="utf-8") as file:
            yield from map(json.loads, file)


def clean_texts() -> dict[str, list[str]]:
    """Texts of four data sets, all parts; a few of scifact hold addresses of authors, told apart by hand below."""
    every = ("train", "dev", "test")
    found = {
        "banking77": [row["text"] for row in rows("banking77", *every)],
        "gsm8k": [f"{row['question']} {row['solution']}" for row in rows("gsm8k", *every)],
        "facility_support": [row["message"] for row in rows("facility_support", *every)],
    }
    with gzip.open(DATA / "scifact" / "corpus.jsonl.gz", "rt", encoding="utf-8") as file:
        found["scifact"] = [" ".join(json.loads(line)["sentences"]) for line in file]
    return found


def pii(find: Callable[[str], Iterable[Any]], *parts: str) -> dict[str, Counts]:
    """What `find` does on pii_synth, by kind. A find is right when it covers a whole span of its kind, and is at most
    twice as long. Kinds that the data set does not annotate are not looked at."""
    counts = {kind: Counts() for kind in (*TYPES.values(), "birth_date")}
    for row in rows("pii_synth", *parts):
        found = [item for item in find(row["text"]) if item.kind in counts]
        for span in row["spans"]:
            kind = TYPES.get(span["type"])
            before = row["text"][max(0, span["start"] - 40) : span["start"]].lower()
            if span["type"] == "DATE_TIME" and ("birth" in before or "born" in before):
                kind = "birth_date"
            if kind is None:
                continue
            size = span["end"] - span["start"]
            hit = next(
                (
                    item
                    for item in found
                    if item.kind == kind
                    and item.start <= span["start"]
                    and item.end >= span["end"]
                    and item.end - item.start <= 2 * size
                ),
                None,
            )
            if hit is None:
                counts[kind].missed += 1
            else:
                counts[kind].right += 1
                found.remove(hit)
        for item in found:
            counts[item.kind].wrong += 1
    return counts


_LETTERS = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"


@dataclass
class Made:
    """A text, and the secrets in it by kind of text."""

    text: str
    secret: str = ""
    kind: str = ""
    style: str = field(default="", compare=False)


def secrets(count: int, seed: int) -> list[Made]:
    """Texts with one made-up secret each: the forms of providers, and random passwords and keys that only the words
    around them give away; in a file of settings, code, JSON, a log line, a sentence."""
    draw = random.Random(seed)

    def some(size: int, of: str = _LETTERS) -> str:
        return "".join(draw.choices(of, k=size))

    kinds: dict[str, Callable[[], str]] = {
        "openai": lambda: f"sk-proj-{some(48, _LETTERS + '-_')}a1",
        "anthropic": lambda: f"sk-ant-api03-{some(93, _LETTERS + '-_')}AA",
        "aws id": lambda: f"AKIA{some(16, string.ascii_uppercase + '234567')}",
        "google": lambda: f"AIza{some(35, _LETTERS + '-_')}",
        "github": lambda: f"ghp_{some(36)}",
        "github fine": lambda: f"github_pat_{some(22)}_{some(59)}",
        "gitlab": lambda: f"glpat-{some(20)}",
        "slack": lambda: f"xoxb-{some(12, string.digits)}-{some(12, string.digits)}-{some(24)}",
        "stripe": lambda: f"sk_live_{some(24)}",
        "sendgrid": lambda: f"SG.{some(22)}.{some(43)}",
        "twilio": lambda: f"SK{some(32, _HEX)}",
        "npm": lambda: f"npm_{some(36)}",
        "huggingface": lambda: f"hf_{some(34)}",
        "telegram": lambda: f"{some(10, '123456789')}:AA{some(33)}",
        "jwt": lambda: _jwt(draw),
        "private key": lambda: _private_key(draw),
        "address": lambda: f"postgresql://app:{some(14)}7@db.internal:5432/main",
        "bearer": lambda: f"Authorization: Bearer {some(40)}",
        "password": lambda: some(12, _LETTERS + "!#%*") + "7",
        "random key": lambda: some(draw.choice((24, 32, 40))),
        "hex key": lambda: some(32, _HEX),
    }
    places = {
        "settings": "DEBUG=1\n{NAME}={secret}\nPORT=8080\n",
        "code": 'client = Client(\n    {name}="{secret}",\n    timeout=30,\n)\n',
        "json": '{{"name": "prod", "{name}": "{secret}", "retries": 3}}',
        "log": "2026-11-29 10:12:13 INFO started with {name}={secret} in 0.3 s",
        "sentence": "Hi, the {words} is {secret} - please keep it safe.",
    }
    made: list[Made] = []
    for number in range(count):
        kind = list(kinds)[number % len(kinds)]
        style = draw.choice(list(places))
        secret = kinds[kind]()
        name = "db_password" if kind == "password" else draw.choice(("api_key", "secret_key", "access_token"))
        if kind in ("address", "bearer", "private key"):
            made.append(Made(f"see below\n{secret}\nand thanks", secret, kind, style))
            continue
        words = "password" if kind == "password" else name.replace("_", " ")
        text = places[style].format(NAME=name.upper(), name=name, words=words, secret=secret)
        made.append(Made(text, secret, kind, style))
    return made


def _jwt(draw: random.Random) -> str:
    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    claims = json.dumps({"sub": str(draw.randrange(10**9)), "iat": 1764400000}).encode()
    header = json.dumps({"alg": "HS256", "typ": "JWT"}).encode()
    return ".".join(map(part, (header, claims, draw.randbytes(32))))


def _private_key(draw: random.Random) -> str:
    body = base64.encodebytes(draw.randbytes(600)).decode()
    kind = draw.choice(("RSA ", "EC ", "OPENSSH ", ""))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{body}-----END {kind}PRIVATE KEY-----"


def harmless(count: int, seed: int) -> list[str]:
    """Texts with what looks random and is no secret: hashes, commits, UUIDs, encoded images, names of variables,
    values that stand for a secret."""
    draw = random.Random(seed)

    def some(size: int) -> str:
        return draw.randbytes(size).hex()

    def encoded(size: int) -> str:
        return base64.b64encode(draw.randbytes(size)).decode()

    def number(below: int = 9) -> int:
        return draw.randrange(below)

    def identity() -> str:
        return str(uuid.UUID(bytes=draw.randbytes(16)))

    kinds: list[Callable[[], str]] = [
        lambda: f"commit {some(20)}\nAuthor: A. Person\nDate: Mon Nov 30 10:00:00 2026\n\n    Fix the key",
        lambda: f"sha256:{some(32)}  outlast-0.1.0.tar.gz",
        lambda: f"md5 of the file is {some(16)}, as published",
        lambda: f'{{"id": "{identity()}", "token_id": "{identity()}"}}',
        lambda: f"<img src='data:image/png;base64,{encoded(600)}'>",
        lambda: f"integrity sha512-{encoded(64)}",
        lambda: 'api_key = os.environ["OPENAI_API_KEY"]\npassword = getpass.getpass()\ntoken: str | None = None',
        lambda: f"export API_KEY=$(pass show work/{number(99)})\nPASSWORD=${{DB_PASSWORD_{number()}}}",
        lambda: f'curl -H "Authorization: Bearer $TOKEN_{number()}" https://user:password@example.com/v{number()}',
        lambda: "api_key: YOUR_API_KEY_2\nsecret: xxxxxxxxxxxxxxxx1234\npassword: ********\ntoken: <your token 1>",
        lambda: f"The primary key: user_{number(10**6)}; cache key: {some(16)}; public key id 3",
        lambda: f'etag: W/"{some(12)}" request-id: req_{some(12)}',
        lambda: f"blob {some(4)[:7]}..{some(4)[:7]} 100644, order {number(10**12)}",
        lambda: f"the first {number(90)} tokens are free; passwords have 8-16 characters and 1 digit",
    ]
    return [kinds[at % len(kinds)]() for at in range(count)]


def secret_counts(find: Callable[[str], Iterable[Any]], made: Iterable[Made]) -> dict[str, Counts]:
    """What `find` does on made-up secrets, by kind. Right: nothing of the secret stays, and little else goes."""
    counts: dict[str, Counts] = {}
    for item in made:
        one = counts.setdefault(item.kind, Counts())
        start = item.text.index(item.secret)
        if item.kind == "address":
            start, size = start + len("postgresql://app:"), 15
        elif item.kind == "bearer":
            start, size = start + len("Authorization: Bearer "), 40
        else:
            size = len(item.secret)
        found = list(find(item.text))
        hits = [at for at in found if at.start <= start and start + size <= at.end <= start + size + 2]
        if hits:
            one.right += 1
        else:
            one.missed += 1
        one.wrong += len(found) - len(hits)
    return counts


def mails(*parts: str) -> tuple[list[str], list[str]]:
    """Mails of bipia_email as they came, and the same with one attack inserted each."""
    clean: dict[str, None] = {}
    attacked: list[str] = []
    for row in rows("bipia_email", *parts):
        clean[row["context"]] = None
        attacked.append(with_attack(row))
    return list(clean), attacked


def with_attack(row: dict[str, Any]) -> str:
    """The mail of a row with its attack at its place, on a line of its own."""
    text, attack = row["context"], row["attack"]
    if row["position"] == "start":
        return f"{attack}\n{text}"
    if row["position"] == "end":
        return f"{text}\n{attack}"
    middle = text.find(" ", len(text) // 2)
    return f"{text[:middle]}\n{attack}\n{text[middle + 1 :]}" if middle >= 0 else f"{text}\n{attack}"


def ranked(counts: Iterable[Counts]) -> Counts:
    """All kinds together."""
    total = Counter[str]()
    for one in counts:
        total.update(right=one.right, wrong=one.wrong, missed=one.missed)
    return Counts(total["right"], total["wrong"], total["missed"])


def disguised(count: int, seed: int) -> list[tuple[str, int]]:
    """Sentences with one word of the list of `no_toxicity`, plain or disguised as people do, and where it begins."""
    from outlast.checks.toxicity import toxic_words

    draw = random.Random(seed)
    words = sorted(word for word in toxic_words() if word.isalpha() and len(word) >= 4)
    signs = {"a": "@4", "e": "3", "i": "1!", "o": "0", "s": "$5", "t": "7"}

    def leet(word: str) -> str:
        places = [at for at, one in enumerate(word) if one in signs and at]
        if not places:
            return word
        at = draw.choice(places)
        return word[:at] + draw.choice(signs[word[at]]) + word[at + 1 :]

    def starred(word: str) -> str:
        at = draw.randrange(1, len(word) - 1)
        return f"{word[:at]}*{word[at + 1 :]}"

    def longer(word: str) -> str:
        at = draw.randrange(len(word))
        return word[:at] + word[at] * 4 + word[at + 1 :]

    ways: list[Callable[[str], str]] = [str, str.upper, str.title, leet, starred, longer, " ".join, ".".join]
    frames = ("well, {}", "you are {} and you know it", "{}! he said", "nobody wants {} here (really)")
    made: list[tuple[str, int]] = []
    for number in range(count):
        frame = draw.choice(frames)
        made.append((frame.format(ways[number % len(ways)](draw.choice(words))), frame.index("{}")))
    return made


def lookalikes(count: int, seed: int) -> list[str]:
    """Sentences with numbers that are no personal data: orders, dates, times, versions, amounts, books, parts, hashes,
    places on a map, measurements."""
    draw = random.Random(seed)

    def digits(size: int) -> str:
        return "".join(draw.choices(string.digits, k=size))

    def number(low: int, high: int) -> int:
        return draw.randint(low, high)

    def day() -> str:
        return f"{number(2019, 2026)}-{number(1, 12):02}-{number(1, 28):02}"

    kinds: list[Callable[[], str]] = [
        lambda: f"Your order {digits(draw.choice((8, 10, 12)))} has been shipped.",
        lambda: f"Order number: {digits(4)}-{digits(6)}-{digits(5)}, thank you.",
        lambda: f"Invoice INV-{number(2019, 2026)}-{digits(6)} of {number(1, 28):02}.{number(1, 12):02}.2025",
        lambda: f"ticket #{digits(7)} was closed on {day()}",
        lambda: f"{day()} {number(0, 23):02}:{number(10, 59)}:{number(10, 59)}.{digits(6)}",
        lambda: f"We paid ${number(1, 999)},{digits(3)},{digits(3)}.{digits(2)} for it, 3.{digits(8)} each.",
        lambda: f"ISBN 978-{number(0, 9)}-{digits(4)}-{digits(4)}-{number(0, 9)} has {number(100, 900)} pages.",
        lambda: f"version {number(0, 9)}.{number(0, 99)}.{number(0, 99)}.{number(0, 99)} of the firmware",
        lambda: f"part {digits(3)}-{digits(5)}-{digits(2)} fits model {digits(4)}-{digits(4)}",
        lambda: f"the file {draw.randbytes(16).hex()} has {number(10**6, 10**9)} bytes",
        lambda: f"lat {number(-80, 80)}.{digits(6)}, lon {number(-170, 170)}.{digits(6)}, {number(100, 999)} m",
        lambda: f"Epoch {number(1_500_000_000, 1_799_999_999)} or {number(1_500_000_000_000, 1_799_999_999_999)} ms",
        lambda: f"between {number(1900, 1990)} and 2{digits(3)}: {number(10**4, 10**6)} of {number(10**6, 10**8)}",
        lambda: f"DOI 10.{digits(4)}/s{digits(5)}-0{digits(2)}-{digits(5)}-{number(0, 9)}, PMID {digits(8)}",
        lambda: f"tracking id 1Z{digits(10)}, parcel {digits(14)}",
        lambda: f"scores {' '.join(digits(2) for _ in range(8))} and {digits(3)} {digits(3)} in round {number(1, 9)}",
        lambda: f"bus {number(1, 99)} leaves at 10:{digits(2)}, room {digits(3)}.{digits(3)}.{digits(2)}",
        lambda: f"uuid {uuid.UUID(bytes=draw.randbytes(16))} in namespace core::v{number(1, 9)}::types",
    ]  # fmt: skip
    return [kinds[at % len(kinds)]() for at in range(count)]
