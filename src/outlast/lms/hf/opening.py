"""Opening a local model by name: its options, checked, and where it is."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from outlast.errors import ConfigError, UsageError, brief
from outlast.lms.hf.model import HF
from outlast.lms.hf.weights import DTYPES, INSTALL, find
from outlast.lms.models import ModelOptions

_OF_SERVERS = ("base_url", "api_key", "dialect", "decisions")


@dataclass(frozen=True, slots=True)
class LocalOptions(ModelOptions):
    """What `LM("hf/...", ...)` takes: the options of any model but those of servers, and four of its own.

    `device` is "cpu", "cuda", "cuda:1" or "mps", None for the first GPU or else the CPU. `dtype` is that of the
    weights in memory, "auto" as in the file. `batch`: requests decoded at once. `download` allows fetching from the
    hub what is not on this machine. `timeout` includes the loading of the weights and the wait for a place.
    """

    timeout: float = 600.0
    device: str | None = None
    dtype: str = "auto"
    batch: int = 8
    download: bool = False

    def __post_init__(self) -> None:
        ModelOptions.__post_init__(self)
        for name in _OF_SERVERS:
            if getattr(self, name) is not None:
                raise UsageError(f"{name}= is for servers; an 'hf/...' model runs in this process")
        if self.device is not None and (not isinstance(self.device, str) or not self.device):
            raise ConfigError(f"device is text such as 'cpu' or 'cuda:0'; got {brief(self.device)}")
        if self.dtype not in DTYPES:
            raise ConfigError(f"dtype is one of {', '.join(DTYPES)}; got {brief(self.dtype)}")
        if isinstance(self.batch, bool) or not isinstance(self.batch, int) or self.batch < 1:
            raise ConfigError(f"batch is a whole number from 1; got {brief(self.batch)}")
        if not isinstance(self.download, bool):
            raise ConfigError(f"download is True or False; got {brief(self.download)}")


def open_local(model: str, options: LocalOptions) -> HF:
    """The model in a folder or in the hub's cache on this machine. Loads nothing yet. Raises `ConfigError`."""
    name = model.removeprefix("hf/")
    if not name:
        raise ConfigError("'hf/' names no model: write 'hf/<path of a folder>' or 'hf/<owner>/<name>' as on the hub")
    for package in ("torch", "transformers"):
        if find_spec(package) is None:
            raise ConfigError(f"{model!r} needs the package {package!r}, which is not installed: {INSTALL}")
    return HF(
        find(name, download=options.download),
        name=model,
        settings=options.settings,
        capabilities=options.capabilities,
        device=options.device,
        dtype=options.dtype,
        batch=options.batch,
        timeout=options.timeout,
        price=options.price,
        adapt=options.adapt,
    )
