"""A causal language model and its tokenizer on this machine: found, told apart by content, loaded, spoken to."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from outlast.errors import ConfigError, did_you_mean

_SMALL = 1 << 20  # bytes; larger files are told apart without reading them
_OF_MODEL = ("*.json", "*.jinja", "*.safetensors", "*.bin", "*.model", "*.txt")
INSTALL = "pip install 'outlast[hf]'"
DTYPES = ("auto", "float32", "bfloat16", "float16")


def need(module: str) -> Any:
    """A module of the extra `hf`, imported now. Raises `ConfigError` that says what to install."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError(f"'hf/...' models need {module}, which cannot be imported ({error}): {INSTALL}") from None


def constrains() -> bool:
    """Whether replies can be held to a grammar here."""
    return find_spec("llguidance") is not None


def find(name: str, *, download: bool) -> Path:
    """The folder of a model: a path, or a hub id that is on this machine. Touches the network only for `download`.

    Raises `ConfigError`.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ConfigError(f"'hf/{name}' is a folder without config.json, so it holds no model")
        return folder.resolve()
    if name.startswith(("/", ".", "~")) or name.count("/") != 1:
        near = did_you_mean(folder.name, (p.name for p in _siblings(folder)))
        raise ConfigError(
            f"'hf/{name}': there is no such folder.{near} "
            "Write 'hf/<path of a folder>' or 'hf/<owner>/<name>' as on the hub"
        )
    hub = need("huggingface_hub")
    try:
        return Path(hub.snapshot_download(name, local_files_only=not download, allow_patterns=list(_OF_MODEL)))
    except Exception as error:
        if download:
            raise ConfigError(f"'hf/{name}' could not be fetched: {type(error).__name__}: {error}") from None
        raise ConfigError(
            f"'hf/{name}' is not on this machine, and models are not fetched unasked: give the path of a folder, or "
            f"allow it once with LM('hf/{name}', download=True)"
        ) from None


def _siblings(folder: Path) -> Iterable[Path]:
    try:
        return [path for path in folder.parent.iterdir() if path.is_dir()][:1000]
    except OSError:
        return ()


def fingerprint(folder: Path) -> str:
    """What tells this model from another: the content of its small files, and of its weights the name that the hub
    gave them by content, or else size and time of change."""
    seen = blake2b(digest_size=12)
    for path in sorted({p for pattern in _OF_MODEL for p in folder.glob(pattern)}):
        stat = path.stat()
        seen.update(f"{path.name}:{stat.st_size}:".encode())
        if stat.st_size <= _SMALL:
            seen.update(path.read_bytes())
        elif path.is_symlink():
            seen.update(path.resolve().name.encode())  # the hub's cache names a file by its hash
        else:
            seen.update(str(stat.st_mtime_ns).encode())
    return seen.hexdigest()


class Weights:
    """A loaded model. Building one reads the weights, which takes seconds; it belongs to one thread at a time.

    Code that a model brings is never run, and weights are read from safetensors where there are some. Raises
    `ConfigError` when the folder holds no causal language model or the device does not exist. `device` None is the
    first GPU, or else the CPU.
    """

    def __init__(self, folder: Path, device: str | None, dtype: str) -> None:
        self.torch: Any = need("torch")
        transformers: Any = need("transformers")
        device = device or _first_device(self.torch)
        try:
            self.device = self.torch.device(device)
            self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
            loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
                str(folder), local_files_only=True, dtype=dtype if dtype == "auto" else getattr(self.torch, dtype)
            )
            self.model: Any = loaded.to(self.device).eval()
        except Exception as error:
            raise ConfigError(
                f"the model in {str(folder)!r} cannot be loaded on {device!r}: {type(error).__name__}: {error}"
            ) from None
        self._new_cache: Any = transformers.DynamicCache
        self._plain: Any = import_module("transformers.cache_utils").DynamicLayer
        self.defaults: Any = self.model.generation_config
        config: Any = self.model.config.get_text_config()
        self.window: int = int(getattr(config, "max_position_embeddings", 0) or 1 << 30)
        ends: Any = [self.defaults.eos_token_id, config.eos_token_id, self.tokenizer.eos_token_id]
        self.ends: frozenset[int] = frozenset(_flat(ends))
        self.pad: int = next(iter(_flat([self.tokenizer.pad_token_id])), 0)
        self._grammars: Any = None

    def new_cache(self) -> Any:
        """An empty key-value cache."""
        return self._new_cache(config=self.model.config)

    def plain(self, cache: Any) -> bool:
        """Whether a cache is made of plain layers only, which can be padded, cut and laid side by side."""
        return all(type(layer) is self._plain for layer in cache.layers)

    def tokenize(
        self, messages: Sequence[Mapping[str, str]], variables: Mapping[str, Any], *, goes_on: bool
    ) -> list[int]:
        """The prompt, in the model's chat template. `goes_on`: the last message is the start of the reply.

        Raises `ConfigError` for a model without a template, and what the template raises.
        """
        if not self.tokenizer.chat_template:
            raise ConfigError("the tokenizer has no chat template: this is a base model, which is not asked in turns")
        made = self.tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            tokenize=True,
            add_generation_prompt=not goes_on,
            continue_final_message=goes_on,
            return_dict=True,
            **variables,
        )
        return list(made["input_ids"])

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens, those that structure a conversation left out."""
        text = self.tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return cast("str", text)

    @functools.cached_property
    def spell(self) -> Callable[[int], str]:
        """The text of one token, remembered."""

        @functools.lru_cache(maxsize=1 << 16)
        def spelled(token: int) -> str:
            return self.tokenizer.decode([token], clean_up_tokenization_spaces=False)

        return spelled

    def matcher(self, schema: Mapping[str, Any]) -> tuple[Any, str]:
        """llguidance's matcher for a JSON schema and ""; or None and why there is none."""
        if not constrains():
            return None, "llguidance is not installed"
        guidance: Any = import_module("llguidance")
        try:
            if self._grammars is None:
                wrap: Any = import_module("llguidance.hf").from_tokenizer
                self._grammars = wrap(self.tokenizer, eos_token=sorted(self.ends) or None)
            # Without bounds on white space a model may print spaces until its window is full.
            grammar = guidance.LLMatcher.grammar_from_json_schema(
                json.dumps(schema),
                defaults={"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "},
            )
            matcher = guidance.LLMatcher(self._grammars, grammar, log_level=0)
        except Exception as error:
            return None, " ".join(str(error).split())[:200]
        return (None, " ".join(str(matcher.get_error()).split())[:200]) if matcher.is_error() else (matcher, "")


def _flat(values: Iterable[Any]) -> list[int]:
    """The token ids in a list of ids, lists of ids and Nones."""
    found: list[int] = []
    for value in values:
        if isinstance(value, int):
            found.append(value)
        elif value is not None:
            found += cast("list[int]", value)
    return found


def _first_device(torch: Any) -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
