"""What nested types cost in a prompt: our compact form beside the JSON schema of the same type.

    python benchmarks/compact_types.py [--peer /path/to/python-with-dspy]

Five deep types with descriptions, limits, enums, unions and recursion. Tokens are those of cl100k_base, which the
environment of the peer has without a download; without it, characters are counted. The schema is what goes to a model
without titles, as `json.dumps` writes it. Bar: at most half of the schema's tokens over all five.
"""

from __future__ import annotations

import argparse
import enum
import json
import subprocess
import sys
from datetime import date, datetime
from typing import Annotated, Any, Literal

import pydantic

from outlast.signatures.codec import schema_of
from outlast.signatures.compact import compact_type


class Currency(enum.Enum):
    EUR = "EUR"
    USD = "USD"
    GBP = "GBP"


class Address(pydantic.BaseModel):
    street: str
    city: str
    postcode: str | None = None
    country: str = pydantic.Field(min_length=2, max_length=2, description="ISO 3166 code")


class Line(pydantic.BaseModel):
    description: str
    quantity: Annotated[int, pydantic.Field(ge=1)]
    unit_price: float
    tax_rate: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.19


class Invoice(pydantic.BaseModel):
    number: str
    issued: date
    due: date | None = None
    currency: Currency
    seller: Address
    buyer: Address
    lines: Annotated[list[Line], pydantic.Field(min_length=1)]
    notes: list[str] = []
    paid: bool = False


class Employee(pydantic.BaseModel):
    name: str
    title: str
    email: str | None = None
    skills: dict[str, Annotated[int, pydantic.Field(ge=1, le=5)]] = {}
    reports: list[Employee] = []


class Click(pydantic.BaseModel):
    kind: Literal["click"]
    x: int
    y: int


class Typing(pydantic.BaseModel):
    kind: Literal["type"]
    text: str
    submit: bool = False


class Scroll(pydantic.BaseModel):
    kind: Literal["scroll"]
    direction: Literal["up", "down", "left", "right"]
    amount: Annotated[int, pydantic.Field(gt=0)] = 1


class Wait(pydantic.BaseModel):
    kind: Literal["wait"]
    until: datetime | None = None
    seconds: float | None = None


class Plan(pydantic.BaseModel):
    goal: str = pydantic.Field(description="what is done when the plan is done")
    steps: list[Annotated[Click | Typing | Scroll | Wait, pydantic.Field(discriminator="kind")]]
    fallback: Plan | None = None


class Dose(pydantic.BaseModel):
    drug: str = pydantic.Field(description="international nonproprietary name")
    milligrams: Annotated[float, pydantic.Field(gt=0)]
    times: list[Literal["morning", "noon", "evening", "night"]]
    since: date | None = None


class Finding(pydantic.BaseModel):
    code: str = pydantic.Field(pattern=r"^[A-Z]\d\d(\.\d+)?$", description="ICD-10")
    certainty: Literal["confirmed", "suspected", "excluded"]
    evidence: list[str] = pydantic.Field(description="quotes from the letter, word for word")


class Letter(pydantic.BaseModel):
    patient: str
    born: date
    findings: list[Finding]
    medication: list[Dose]
    allergies: list[str] = []
    next_visit: datetime | None = None


class Condition(pydantic.BaseModel):
    field: str
    operator: Literal["=", "!=", "<", "<=", ">", ">=", "in", "like"]
    value: str | float | bool | list[str] | None


class Group(pydantic.BaseModel):
    combine: Literal["and", "or"]
    parts: list[Condition | Group]


class Query(pydantic.BaseModel):
    table: str
    columns: list[str] | Literal["*"]
    where: Group | None = None
    order: list[tuple[str, Literal["asc", "desc"]]] = []
    limit: Annotated[int, pydantic.Field(ge=1, le=1000)] | None = None


TYPES: dict[str, Any] = {
    "invoice": Invoice,
    "staff": list[Employee],
    "plan": Plan,
    "letter": Letter,
    "query": Query,
}
COUNT = """
import json, os, sys
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
from litellm.utils import encoding
print("RESULT " + json.dumps([len(encoding.encode(text)) for text in json.load(sys.stdin)]))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="python of an environment that has dspy")
    options = parser.parse_args()
    texts: list[str] = []
    for kind in TYPES.values():
        schema = schema_of(kind)
        assert schema is not None
        texts += [json.dumps(schema, ensure_ascii=False), compact_type(schema) or ""]
    sizes = tokens(options.peer, texts) if options.peer else [len(text) for text in texts]
    unit = "tokens" if options.peer else "characters"
    for number, name in enumerate(TYPES):
        schema, compact = sizes[2 * number], sizes[2 * number + 1]
        print(f"{name:8} JSON schema {schema:5} {unit}   compact {compact:5}   {compact / schema:.2f}")
    ratio = sum(sizes[1::2]) / sum(sizes[::2])
    print(f"BAR {'PASS' if ratio <= 0.5 else 'FAIL'} compact types <= 0.5 of the JSON schema: {ratio:.2f} in {unit}")
    return 0 if ratio <= 0.5 else 1


def tokens(python: str, texts: list[str]) -> list[int]:
    done = subprocess.run([python, "-c", COUNT], input=json.dumps(texts), capture_output=True, text=True, check=False)
    result = next((text for text in done.stdout.splitlines() if text.startswith("RESULT ")), None)
    if result is None:
        sys.exit(f"the peer failed:\n{done.stderr[-2000:]}")
    return json.loads(result.removeprefix("RESULT "))


if __name__ == "__main__":
    sys.exit(main())
