"""Which models there are, what is known of one, and whether it answers.

Asks no model and opens no connection, but for --ask.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import fields
from typing import Any, cast

from outlast.cli.output import console, emit_pretty, say, stdout
from outlast.errors import ConfigError, UsageError

EPILOG = """\
examples:
  outlast models
  outlast models my-model --base-url http://gpu-box:8000/v1 --ask
  outlast models anthropic/claude-sonnet-5 --json"""

_QUESTION = "Reply with the word OK."


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", nargs="?", help="a model, such as openai/gpt-5-mini; without one, every provider")
    parser.add_argument("--base-url", metavar="URL", help="another server to ask")
    parser.add_argument("--dialect", metavar="NAME", help="the wire format that the server speaks")
    parser.add_argument("--ask", action="store_true", help="ask it one short question, past the cache (one call)")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(args: argparse.Namespace) -> int:
    """List the providers, or tell of one model."""
    if args.model is None:
        for name, given in (("--base-url", args.base_url), ("--dialect", args.dialect), ("--ask", args.ask)):
            if given:
                raise UsageError(f"{name} needs a model: outlast models MODEL {name} ...")
        return _providers(args.json)
    return _model(args)


def _providers(as_json: bool) -> int:
    from outlast.lms.wire.providers import PROVIDERS

    kept = _kept()
    rows: list[dict[str, Any]] = []
    for name, provider in PROVIDERS.items():
        rows.append(
            {
                "provider": name,
                "dialect": provider.dialect,
                "address": _address(provider.url_env, provider.base_url),
                "key_from": provider.key_env,
                "key": None if provider.key_env is None else _is_set(provider.key_env) or provider.key_env in kept,
                "optional": provider.key_optional,
            }
        )
    from outlast.plugins import plugins

    added = {one.name: one.package for one in plugins("lms") if one.name not in PROVIDERS}
    if as_json:
        emit_pretty([*rows, *({"provider": name, "plugin": package} for name, package in added.items())])
        return 0
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("provider", "address", "key"):
        table.add_column(title, overflow="fold")
    for row in rows:
        absent = "is not set (it need not be)" if row["optional"] else "is not set"
        there = "is set" if row["key"] and _is_set(row["key_from"]) else f"in the {kept.get(row['key_from'])}"
        key = "needs none" if row["key"] is None else f"{row['key_from']} {there if row['key'] else absent}"
        table.add_row(row["provider"], row["address"], key)
    for name, package in added.items():
        table.add_row(name, f"plugin {package}", "as the plugin says")
    table.add_row("outlast/baseline", "built in", "needs none")
    console().print(table)
    print(
        "\nAny other server: ol.LM(name, base_url='http://...'). Other libraries: see the guide on engines.",
        file=stdout(),
    )
    return 0


def _is_set(variable: str) -> bool:
    return bool(os.environ.get(variable, "").strip())


def _kept() -> dict[str, str]:
    """The keys that `outlast keys` keeps, by where."""
    from outlast.lms.keys import read_keys

    try:
        found = read_keys()
    except ConfigError as error:
        say(f"outlast: {error}")
        return {}
    return dict.fromkeys(found.keyring, "keyring") | dict.fromkeys(found.keys, "file")


def _address(variable: str | None, usual: str) -> str:
    found = os.environ.get(variable, "").strip() if variable else ""
    return found or usual or f"from {variable}"


def _model(args: argparse.Namespace) -> int:
    from outlast.cli.options import given_options, named_model
    from outlast.lms.prices import find_price

    lm = named_model(args.model, **given_options(args))
    capabilities = lm.capabilities
    can = [f.name for f in fields(capabilities) if getattr(capabilities, f.name) is True]
    told: dict[str, Any] = {
        "model": lm.name,
        "stack": [{"layer": layer.kind, **layer.facts} for layer in lm.info()],
        "can": can,
        "without": sorted(capabilities.without),
        "key": _key(lm),
        "price": _price(find_price, lm),
    }
    if args.ask:
        told["answer"] = _ask(lm)
    if args.json:
        emit_pretty(told)
        return 0
    _show(told)
    return 0


def _leaf(lm: Any) -> Any:
    while hasattr(lm, "inner"):
        lm = lm.inner
    return lm


def _key(lm: Any) -> str:
    from outlast.lms.models import BUILT_IN

    leaf = _leaf(lm)
    if lm.name in BUILT_IN:
        return "needs none"
    if getattr(cast("type[Any]", type(leaf)), "account", None) is None:
        return "is the business of its own library"
    try:
        return "there is one" if leaf.account.rpartition(" ")[2] else "none is sent"
    except ConfigError as error:
        return str(error)


def _price(find: Any, lm: Any) -> str:
    from outlast.lms.models import BUILT_IN

    leaf = _leaf(lm)
    if lm.name in BUILT_IN:
        return "none: it is built in"
    if not hasattr(leaf, "seller"):
        return "unknown"
    found = find(leaf.model, leaf.seller)
    if found is None:
        return "unknown: give price=(input, output), or install outlast[prices]"
    price, source = found.price, found.source
    cached = "" if price.cached_input is None else f", ${price.cached_input:g} cached input"
    return f"${price.input:g} input, ${price.output:g} output{cached} per million tokens ({source})"


def _ask(lm: Any) -> dict[str, Any]:
    from time import time_ns

    response = lm(_QUESTION, sample=time_ns() % (1 << 40))  # a draw that no cache has
    usage = response.usage
    return {
        "text": response.text,
        "model": response.model,
        "seconds": round(response.seconds, 3),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "dollars": usage.cost,
        "price_from": usage.cost_source,
        "adaptations": list(response.adaptations),
    }


def _show(told: dict[str, Any]) -> None:
    out = stdout()
    print(told["model"], file=out)
    for layer in told["stack"]:
        facts = ", ".join(f"{name}={value!r}" for name, value in layer.items() if name != "layer")
        print(f"  {layer['layer']:<14} {facts}", file=out)
    print(f"can      {', '.join(told['can']) or 'text'}", file=out)
    if told["without"]:
        print(f"without  {', '.join(told['without'])}", file=out)
    print(f"key      {told['key']}", file=out)
    print(f"price    {told['price']}", file=out)
    answer = told.get("answer")
    if answer:
        cost = "unknown" if answer["dollars"] is None else f"${answer['dollars']:.6f} ({answer['price_from']})"
        print(f"\nasked    {_QUESTION}", file=out)
        print(f"said     {answer['text']!r} as {answer['model']}, in {answer['seconds']:g} s", file=out)
        print(f"tokens   {answer['input_tokens']} in, {answer['output_tokens']} out; cost {cost}", file=out)
        for note in answer["adaptations"]:
            print(f"adapted  {note}", file=out)
