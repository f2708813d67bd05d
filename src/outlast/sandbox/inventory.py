"""Says what the Python that runs it consists of, as JSON: `python -I -S -B inventory.py`. Standard library only.

Its executable, the directories of its standard library (and where they are below its prefix), the C libraries that are
mapped once every extension module of it is imported, under the names that the loader found them by, and the address
space of a worker that has run nothing yet.
"""

from __future__ import annotations

import ast
import contextlib
import ctypes
import importlib
import json
import linecache
import os
import platform
import resource
import select
import signal
import sys
import sysconfig
import threading
from pathlib import Path

WORKER_USES = (ast, linecache, platform, select, signal, threading)  # all that lockdown and worker import
LEFT_OUT = ("_test", "_tkinter", "_curses", "_gdbm", "_dbm", "readline", "nis", "xx")  # terminals, windows, databases


def own_size() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def directories() -> list[str]:
    names = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), sysconfig.get_config_var("DESTSHARED"))
    found = list(dict.fromkeys(os.path.realpath(name) for name in names if name and os.path.isdir(name)))
    return [place for place in found if not any(place.startswith(f"{other}/") for other in found)]


def load_all(places: list[str]) -> None:
    for place in places:
        for file in (*Path(place).glob("*.so"), *Path(place, "lib-dynload").glob("*.so")):
            name = file.name.split(".")[0]
            if not name.startswith(LEFT_OUT):
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
    with contextlib.suppress(OSError):
        ctypes.CDLL("libgcc_s.so.1")  # which the C library loads when a thread ends


def mapped() -> list[str]:
    """The paths of all objects that the loader has mapped."""
    found: list[str] = []

    class Info(ctypes.Structure):
        _fields_ = [("address", ctypes.c_void_p), ("name", ctypes.c_char_p)]

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Info), ctypes.c_size_t, ctypes.c_void_p)
    def each(info: ctypes._Pointer[Info], size: int, data: int) -> int:
        found.append(os.fsdecode(info.contents.name or b""))
        return 0

    ctypes.CDLL(None).dl_iterate_phdr(each, None)
    return [file for file in dict.fromkeys(found) if file.startswith("/") and os.path.isfile(file)]


def main() -> None:
    size, places = own_size(), directories()
    load_all(places)
    prefix, executable = os.path.realpath(sys.base_prefix), os.path.realpath(sys.executable)
    libraries = [
        file
        for file in mapped()
        if file != executable
        and not os.path.basename(file).startswith("libnss_")
        and not any(file.startswith(f"{place}/") for place in places)
    ]
    below = {place: os.path.relpath(place, prefix) for place in places}
    told = {"executable": executable, "directories": below, "libraries": libraries, "size": size}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
