"""Templates: a prompt with slots, and how it is asked, in one TOML file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from string import Template as Slots
from typing import Any, cast

from outlast.errors import ConfigError, UsageError, brief, did_you_mean, refuse_unknown
from outlast.lms.places import config_folder, read_settings, write_settings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # no slash: no name leads out of the folder
INPUT = "input"


@dataclass(frozen=True, slots=True)
class Template:
    """What `outlast prompt -t NAME` asks, where the command line does not say otherwise.

    `prompt` and `system` have slots: `$input` is what the person typed or piped, `$name` a value of `-p name value`,
    of which `params` are the defaults; `$$` is a dollar sign. Where the prompt has no `$input`, what was typed comes
    after it. `options` are settings such as `temperature`.
    """

    prompt: str = ""
    system: str = ""
    model: str | None = None
    schema: str | None = None
    schema_multi: str | None = None
    extract: bool = False
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    description: str = ""

    @property
    def slots(self) -> list[str]:
        """The names of the slots, without `input`, in order."""
        found = [*_slots(self.prompt), *_slots(self.system)]
        return [name for name in dict.fromkeys(found) if name != INPUT]

    def filled(self, typed: str, params: Mapping[str, str]) -> tuple[str, str]:
        """The prompt and the system text. What fills a slot is not looked through for slots. Raises `UsageError`."""
        known = self.slots
        for name in params:
            if name not in known:
                raise UsageError(
                    f"the template has no slot {name!r}.{did_you_mean(name, known)} Slots: {', '.join(known) or 'none'}"
                )
        values = {**self.params, **params, INPUT: typed}
        missing = [name for name in known if name not in values]
        if missing:
            raise UsageError(f"the template needs {', '.join(missing)}: give -p {missing[0]} VALUE")
        prompt = Slots(self.prompt).substitute(values)
        if typed and INPUT not in _slots(self.prompt):
            prompt = f"{prompt}\n\n{typed}" if prompt else typed
        return prompt, Slots(self.system).substitute(values)

    def to_json(self) -> dict[str, Any]:
        """What is said, as data."""
        told: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        told |= {"options": dict(self.options), "params": dict(self.params)}
        return {name: value for name, value in told.items() if value}


def _slots(text: str) -> list[str]:
    return [found for match in Slots.pattern.finditer(text) if (found := match["named"] or match["braced"])]


def templates_folder() -> Path:
    """Where templates are kept. It need not be there."""
    return config_folder() / "templates"


def template_file(name: str) -> Path:
    """The file of a template. Raises `UsageError` for what is no name."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"a template is named by letters, digits, '.', '_' and '-', at most 64; got {name!r}")
    return templates_folder() / f"{name}.toml"


def template_names() -> list[str]:
    """The templates that there are."""
    return sorted(path.stem for path in templates_folder().glob("*.toml") if _NAME.fullmatch(path.stem))


def load_template(name: str) -> Template:
    """A template by name, or the one in a file that ends with .toml. Raises `UsageError`, `ConfigError`."""
    path = Path(name) if name.endswith(".toml") and Path(name).is_file() else template_file(name)
    text = read_settings(path)
    if text is None:
        known = template_names()
        raise UsageError(
            f"no template {name!r}.{did_you_mean(name, known)} Templates: {', '.join(known) or 'none yet'}"
        )
    return read_template(text, str(path))


def save_template(name: str, template: Template) -> Path:
    """Keep a template; gives its file."""
    from outlast.cli.talk.toml_text import to_toml

    path = template_file(name)
    write_settings(path, to_toml(template.to_json()))
    return path


def read_template(text: str, where: str) -> Template:
    """The template that a text says. Raises `ConfigError`."""
    import tomllib

    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: not TOML: {error}") from None
    known = [f.name for f in fields(Template)]
    try:
        refuse_unknown(data, known, f"template {where}")
    except UsageError as error:
        raise ConfigError(str(error)) from None
    for f in fields(Template):
        value = data.get(f.name)
        if value is not None and not _fits(f.name, value):
            kind = {"extract": "true or false", "options": "a table", "params": "a table of texts"}.get(f.name, "text")
            raise ConfigError(f"{where}: {f.name} is {kind}; got {brief(value)}")
    template = Template(**data)
    for name in ("prompt", "system"):
        wrong = next((match for match in Slots.pattern.finditer(getattr(template, name)) if _is_no_slot(match)), None)
        if wrong is not None:
            near = getattr(template, name)[wrong.start() : wrong.start() + 20]
            raise ConfigError(f"{where}: {name}: {near!r} is no slot; a dollar sign is written $$")
    return template


def _is_no_slot(match: re.Match[str]) -> bool:
    return match["invalid"] is not None


def _fits(name: str, value: Any) -> bool:
    if name == "extract":
        return isinstance(value, bool)
    if name not in ("options", "params"):
        return isinstance(value, str)
    table = cast("Mapping[str, Any]", value)
    return isinstance(value, Mapping) and (name == "options" or all(isinstance(one, str) for one in table.values()))
