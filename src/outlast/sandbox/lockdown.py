"""The first program in a bubblewrap sandbox: it takes away its own rights and then runs the worker.

`python -I -S -B lockdown.py UID MEMORY FILES WORKER [ARGUMENT...]`, as process 1 of its own namespaces. It forks once.
The child becomes the worker, a script or a program: user UID, no capability, limits, and the seccomp filter, all before
it reads a byte of what the host sends. Process 1 only waits: it ends everything in the namespace when the worker ends,
when bubblewrap is killed, and when the host is gone, however busy the worker is. (Bubblewrap's own `--die-with-parent`
watches the thread that started it, and threads of a pool end.) Standard library only.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import platform
import resource
import select
import signal
import sys
import types

sys.path.insert(0, os.path.dirname(__file__))
seccomp = importlib.import_module("seccomp")
del sys.path[0]

MOST_FILES = 1 << 10  # inodes of /tmp: empty files cost the kernel memory, too
MOST_OPEN = 64
MOST_TASKS = 32  # threads; processes cannot be started
_SAME = -1  # the user that one is already, which in a user namespace is nobody
_NOSUID_NODEV_NOEXEC = 2 | 4 | 8
_PDEATHSIG, _NO_NEW_PRIVS, _SECCOMP, _FILTER, _AMBIENT, _CLEAR_ALL = 1, 38, 22, 2, 47, 4

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> None:
    """A call of the C library, which must succeed: half a sandbox is none."""
    words = [ctypes.c_ulong(one) if isinstance(one, int) else one for one in arguments]
    if getattr(libc, name)(*words) != 0:
        raise OSError(ctypes.get_errno(), f"{name} failed: {os.strerror(ctypes.get_errno())}")


def become(uid: int) -> None:
    """Another user, and no capabilities in any of the sets."""
    if uid != _SAME:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    call("prctl", _AMBIENT, _CLEAR_ALL, 0, 0, 0)
    call("capset", (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())
    call("prctl", _NO_NEW_PRIVS, 1, 0, 0, 0)


def limit(memory: int, files: int) -> None:
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, files),
        (resource.RLIMIT_NOFILE, MOST_OPEN),
        (resource.RLIMIT_NPROC, MOST_TASKS),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def filter_calls(starting: bool = False) -> None:
    """The last step: from here on the kernel refuses every call that is not on the list.

    `starting`: a program is executed next, so that remains allowed; it can execute itself and Python, nothing else is
    there.
    """

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]

    code = seccomp.program(platform.machine(), starting)
    call("prctl", _SECCOMP, _FILTER, ctypes.byref(Program(len(code) // 8, code)), 0, 0)


def wait_for(worker: int) -> None:
    """Wait until the worker has ended, or the host has closed its end of our stdin; then end, and all with us."""
    handle = os.pidfd_open(worker)
    poll = select.poll()
    poll.register(0, 0)  # a hang-up is always told
    poll.register(handle, select.POLLIN)
    poll.poll()
    ended, status = os.waitpid(worker, os.WNOHANG)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF if ended else 0)


def script(path: str) -> types.CodeType | None:
    """The code of a worker that is a script, read while we may still read everything."""
    if not path.endswith(".py"):
        return None
    with open(path, "rb") as file:
        return compile(file.read(), os.path.basename(path), "exec")


def main() -> None:
    uid, memory, files = (int(word) for word in sys.argv[1:4])
    worker = sys.argv[4:]
    call("prctl", _PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    options = f"size={files},nr_inodes={MOST_FILES},mode=1777"
    call("mount", b"tmpfs", b"/tmp", b"tmpfs", _NOSUID_NODEV_NOEXEC, options.encode())
    os.chdir("/tmp")
    code = script(worker[0])
    child = os.fork()
    if child:
        become(_SAME)  # as bubblewrap, whose death reaches only processes that it may signal
        wait_for(child)
    become(uid)
    limit(memory, files)
    if code is None:
        filter_calls(starting=True)
        os.execve(worker[0], worker, {"LD_LIBRARY_PATH": os.environ["LD_LIBRARY_PATH"]})
    os.environ.clear()
    sys.argv[:] = [""]
    filter_calls()
    exec(code, {"__name__": "__main__"})


if __name__ == "__main__":
    main()
