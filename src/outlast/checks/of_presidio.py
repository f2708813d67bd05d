"""The patterns of Microsoft Presidio behind a check, for who has it already or gives it a model for names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from typing import Any

from outlast.checks.check import Check
from outlast.checks.factory import factory
from outlast.checks.finding import Finder, Place, allowed, found_none
from outlast.checks.policy import Policy
from outlast.errors import ConfigError, UsageError, brief

_USUAL = ("CREDIT_CARD", "CRYPTO", "EMAIL_ADDRESS", "IBAN_CODE", "IP_ADDRESS", "MAC_ADDRESS", "MEDICAL_LICENSE")
_USUAL_TOO = ("PHONE_NUMBER", "UK_NHS", "US_ITIN", "US_PASSPORT", "US_SSN", "US_DRIVER_LICENSE", "US_BANK_NUMBER")
_HALF = re.compile("[\ud800-\udfff]")  # halves of a pair alone: no tokenizer takes them
_LONGEST = 10_000_000


@factory
def presidio(
    *fields: str,
    entities: Iterable[str] | None = None,
    threshold: float = 0.4,
    language: str = "en",
    analyzer: Any = None,
    allow: Iterable[str] = (),
    on_fail: Policy | str = "raise",
    each: bool = False,
) -> Check:
    """Passes when Presidio finds no personal data in the fields; its fix puts placeholders, as that of `no_pii`.

    Without an `analyzer` its patterns are used, with no model, no words around (so `threshold`, 0 to 1, is that of bare
    patterns) and no connection; names and places are not found then. `analyzer` is a `presidio_analyzer.AnalyzerEngine`
    of yours, with a spaCy model for instance. `entities` are its names, the usual patterns when not given (all that
    your analyzer finds, if you give one).

    Needs `pip install 'outlast[pii]'` (374 MB with spaCy); raises `ConfigError` at the first use without. Cost: "slow",
    some milliseconds a text.
    """
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise UsageError(f"ol.checks.presidio: threshold is a number from 0 to 1; got {brief(threshold)}")
    if analyzer is not None and not callable(getattr(analyzer, "analyze", None)):
        raise UsageError(f"ol.checks.presidio: analyzer is an AnalyzerEngine of Presidio; got {brief(analyzer)}")
    stand = allowed("presidio", allow)
    chosen = None if entities is None else _named(entities)
    wanted = chosen if chosen is not None or analyzer is not None else (*_USUAL, *_USUAL_TOO)

    def places(text: str) -> Iterator[Place]:
        engine = analyzer if analyzer is not None else _patterns(language)
        whole = _HALF.sub("\ufffd", text)
        found = engine.analyze(whole, language=language, entities=wanted and list(wanted), score_threshold=threshold)
        for one in sorted(found, key=lambda one: (-one.score, one.start - one.end)):
            yield one.start, one.end, str(one.entity_type)

    find = Finder("presidio", places, frozenset(stand).__contains__)
    return found_none(
        "presidio", fields, find, _told, on_fail=on_fail, each=each, cost="slow",
        entities=chosen, threshold=threshold, language=language, analyzer=analyzer, allow=stand,
    )  # fmt: skip


def _told(where: str, counts: Counter[str]) -> str:
    parts = [f"{number} {kind.replace('_', ' ').lower()}" for kind, number in counts.items()]
    return f"personal data in {where} ({', '.join(parts)}); leave it out"


def _named(entities: Iterable[str]) -> tuple[str, ...]:
    given = (entities,) if isinstance(entities, str) else tuple(entities)
    for name in given:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Z][A-Z_]{1,30}", name):
            raise UsageError(f"ol.checks.presidio: entities are names such as 'PHONE_NUMBER'; got {brief(name)}")
    if not given:
        raise UsageError("ol.checks.presidio: no entities to look for; leave entities out for the usual ones")
    return given


@cache
def _patterns(language: str) -> Any:
    """Presidio's recognizers that need no model, on a tokenizer that knows nothing.

    Its recognizer of mail addresses asks the network for a list of domains, so the same pattern stands in for it.
    """
    try:
        of: Any = import_module("presidio_analyzer")
        engines: Any = import_module("presidio_analyzer.nlp_engine")
        known: Any = import_module("presidio_analyzer.predefined_recognizers")
        spacy: Any = import_module("spacy")
    except ImportError as error:
        raise ConfigError("ol.checks.presidio needs Presidio: pip install 'outlast[pii]'") from error
    try:
        blank = spacy.blank(language)
    except (ImportError, OSError) as error:
        raise UsageError(f"ol.checks.presidio: language is one that spaCy knows; got {brief(language)}") from error
    blank.max_length = _LONGEST
    engine = engines.SpacyNlpEngine(models=[{"lang_code": language, "model_name": "blank"}])
    engine.nlp = {language: blank}
    registry = of.RecognizerRegistry(supported_languages=[language])
    registry.load_predefined_recognizers(languages=[language], nlp_engine=engine)
    for name in ("EmailRecognizer", "SpacyRecognizer"):
        registry.remove_recognizer(name)
    mail = of.PatternRecognizer(
        supported_entity="EMAIL_ADDRESS",
        supported_language=language,
        name="mail",
        patterns=known.EmailRecognizer.PATTERNS,
    )
    registry.add_recognizer(mail)
    return of.AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=[language])
