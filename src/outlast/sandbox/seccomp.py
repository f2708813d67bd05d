"""Which system calls a guest may make on Linux: a filter for the kernel, as the bytes of a classic BPF program.

An allow-list: what CPython needs for computing, for its own files, threads and an event loop. Nothing that starts a
process or a program, opens a socket, mounts, traces, loads code into the kernel or reaches a key ring is on it.
Refused calls fail with EPERM (`PermissionError`); calls that the C library tries before an older one fail with ENOSYS,
so that it falls back. Another architecture's entry (32 bit, x32) kills the process: its numbers mean other calls.

This file also runs inside the sandbox, so it imports only the standard library. Numbers: the kernel's own tables.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

# name: (number on x86_64, number on aarch64); None: there is no such call.
ALLOWED: dict[str, tuple[int | None, int | None]] = {
    # reading, writing, waiting
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "lseek": (8, 62), "pread64": (17, 67), "pwrite64": (18, 68),
    "readv": (19, 65), "writev": (20, 66), "preadv": (295, 69), "pwritev": (296, 70), "close_range": (436, 436),
    "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24), "fcntl": (72, 25), "flock": (73, 32),
    "pipe": (22, None), "pipe2": (293, 59), "eventfd2": (290, 19), "fsync": (74, 82), "fdatasync": (75, 83),
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72), "epoll_create": (213, None),
    "epoll_create1": (291, 20), "epoll_ctl": (233, 21), "epoll_wait": (232, None), "epoll_pwait": (281, 22),
    "epoll_pwait2": (441, 441), "sendto": (44, 206), "recvfrom": (45, 207), "shutdown": (48, 210),
    "getsockname": (51, 204), "getpeername": (52, 205), "getsockopt": (55, 209),
    # files
    "open": (2, None), "openat": (257, 56), "creat": (85, None), "stat": (4, None), "fstat": (5, 80),
    "lstat": (6, None), "newfstatat": (262, 79), "statx": (332, 291), "statfs": (137, 43), "fstatfs": (138, 44),
    "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439), "getdents64": (217, 61),
    "getcwd": (79, 17), "chdir": (80, 49), "fchdir": (81, 50), "readlink": (89, None), "readlinkat": (267, 78),
    "truncate": (76, 45), "ftruncate": (77, 46), "rename": (82, None), "renameat": (264, 38),
    "renameat2": (316, 276), "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None), "unlink": (87, None),
    "unlinkat": (263, 35), "link": (86, None), "linkat": (265, 37), "symlink": (88, None), "symlinkat": (266, 36),
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "umask": (95, 166), "utimensat": (280, 88),
    # memory
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "mremap": (25, 216),
    "msync": (26, 227), "madvise": (28, 233),
    # time
    "nanosleep": (35, 101), "clock_nanosleep": (230, 115), "clock_gettime": (228, 113), "clock_getres": (229, 114),
    "gettimeofday": (96, 169), "time": (201, None), "times": (100, 153), "alarm": (37, None),
    "getitimer": (36, 102), "setitimer": (38, 103), "pause": (34, None),
    # itself: threads, signals, who it is
    "futex": (202, 98), "set_robust_list": (273, 99), "get_robust_list": (274, 100), "set_tid_address": (218, 96),
    "rseq": (334, 293), "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "getcpu": (309, 168),
    "sched_getparam": (143, 121), "sched_getscheduler": (145, 120), "membarrier": (324, 283),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "rt_sigpending": (127, 136),
    "sigaltstack": (131, 132), "restart_syscall": (219, 128), "tgkill": (234, 131), "exit": (60, 93),
    "exit_group": (231, 94), "getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178), "getuid": (102, 174),
    "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177), "getresuid": (118, 148),
    "getresgid": (120, 150), "getgroups": (115, 158), "getpgrp": (111, None), "getpgid": (121, 155),
    "getsid": (124, 156), "uname": (63, 160), "sysinfo": (99, 179), "getrlimit": (97, 163), "getrusage": (98, 165),
    "getrandom": (318, 278),
}  # fmt: skip
_BY_VALUE = {
    "ioctl": (16, 29),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "clone": (56, 220),
    "socketpair": (53, 199),
}
_MISSING = {"clone3": (435, 435), "openat2": (437, 437)}
_NO_ATTRIBUTES = {  # copying a file asks for them, and takes "not supported" for an answer
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "getxattr": (191, 8), "lgetxattr": (192, 9),
    "fgetxattr": (193, 10), "listxattr": (194, 11), "llistxattr": (195, 12), "flistxattr": (196, 13),
}  # fmt: skip
_LAST_KNOWN = 452  # later calls are younger than this list: the C library expects to hear that there is no such call

_STARTING = {  # what a program needs besides while it starts under a filter that is already on
    "execve": (59, 221), "arch_prctl": (158, None),
}  # fmt: skip

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_X32 = 0x40000000

_THREAD = 0x3D0F00  # CLONE_VM|FS|FILES|SIGHAND|THREAD|SYSVSEM|SETTLS|PARENT_SETTID|CHILD_CLEARTID: pthread_create
_DETACHED = 0x400000  # musl adds CLONE_DETACHED, which means nothing any more
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # is it a terminal, its size; FION*, FIOCLEX
_PRCTLS = (15, 16)  # a thread's name, set and got
_UNIX, _STREAM, _SOCKET_KIND = 1, 1, 0xF

_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_EPERM, _ENOSYS, _ENOTSUP = (0x00050000 | number for number in (1, 38, 95))

Instruction = tuple[int, int, int, int]


def supported(machine: str) -> bool:
    """Whether there is a filter for this machine (`platform.machine()`)."""
    return machine in _ARCHITECTURES


def program(machine: str, starting: bool = False) -> bytes:
    """The filter as an array of `struct sock_filter`, for `prctl(PR_SET_SECCOMP)` or bubblewrap's `--seccomp`.

    `starting`: the filter is on before the program is executed, so it allows that, too. Raises KeyError for a machine
    that is not `supported`.
    """
    column, architecture = _ARCHITECTURES[machine]
    return b"".join(struct.pack("=HBBI", *i) for i in _instructions(column, architecture, starting))


def _instructions(column: int, architecture: int, starting: bool) -> Iterator[Instruction]:
    yield (_LOAD, 0, 0, 4)
    yield (_EQUAL, 1, 0, architecture)
    yield (_RETURN, 0, 0, _KILL)
    yield (_LOAD, 0, 0, 0)
    yield from _answer(_AT_LEAST, _X32, _KILL)
    for numbers in (ALLOWED | _STARTING if starting else ALLOWED).values():
        number = numbers[column]
        if number is not None:
            yield from _answer(_EQUAL, number, _ALLOW)
    for name, numbers in _BY_VALUE.items():
        checks = list(_checks(name))
        yield (_EQUAL, 0, len(checks), numbers[column])
        yield from checks
    for refused, answer in ((_MISSING, _ENOSYS), (_NO_ATTRIBUTES, _ENOTSUP)):
        for numbers in refused.values():
            yield from _answer(_EQUAL, numbers[column], answer)
    yield from _answer(_AT_LEAST, _LAST_KNOWN + 1, _ENOSYS)
    yield (_RETURN, 0, 0, _EPERM)


def _answer(test: int, value: int, answer: int) -> Iterator[Instruction]:
    yield (test, 0, 1, value)
    yield (_RETURN, 0, 0, answer)


def _checks(name: str) -> Iterator[Instruction]:
    """What the arguments of a call must be for it to be allowed; else it ends in EPERM."""
    if name in ("ioctl", "prctl"):
        first = 1 if name == "ioctl" else 0
        yield from _argument(first)
        for value in _IOCTLS if name == "ioctl" else _PRCTLS:
            yield from _answer(_EQUAL, value, _ALLOW)
        yield (_RETURN, 0, 0, _EPERM)
    elif name == "prlimit64":  # its own limits (it cannot raise them), nobody else's
        yield from _argument(0)
        yield from _answer(_EQUAL, 0, _ALLOW)
        yield (_RETURN, 0, 0, _EPERM)
    elif name == "clone":  # a thread exactly as pthread_create makes it: no process, no namespace
        yield from _argument(0)
        yield (_AND, 0, 0, 0xFFFFFFFF ^ _DETACHED)
        yield from _answer(_EQUAL, _THREAD, _ALLOW)
        yield (_RETURN, 0, 0, _EPERM)
    else:  # socketpair: only the kind that an event loop wakes itself with
        yield from _argument(0)
        yield (_EQUAL, 1, 0, _UNIX)
        yield (_RETURN, 0, 0, _EPERM)
        yield from _argument(1)
        yield (_AND, 0, 0, _SOCKET_KIND)
        yield from _answer(_EQUAL, _STREAM, _ALLOW)
        yield (_RETURN, 0, 0, _EPERM)


def _argument(which: int) -> Iterator[Instruction]:
    """Load the low half of an argument; what is compared with it takes 32 bits in the kernel."""
    yield (_LOAD, 0, 0, 16 + 8 * which)
