"""Bubblewrap: what only native Python can try, as it has ctypes. Nothing but the kernel stands in its way."""

import asyncio
import os
import platform
import signal
import socket
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from outlast.errors import SandboxUnavailable, UsageError
from outlast.sandbox import bubblewrap
from outlast.sandbox.bubblewrap import Bubblewrap
from outlast.sandbox.interpreter import interpreter
from outlast.sandbox.monty import Monty
from outlast.sandbox.values import Limits

try:
    Bubblewrap().check()
except SandboxUnavailable as reason:
    if os.environ.get("CI"):
        raise
    pytest.skip(f"no bubblewrap here: {reason}", allow_module_level=True)

BOX = Bubblewrap()
LOCKED = Bubblewrap(Monty())
SECRET = "sk-a-key-of-the-host"

TOOLS = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
room = ctypes.create_string_buffer(256)

def call(*numbers_and_arguments):
    "A raw system call; the name of its error, or its result."
    number, *arguments = numbers_and_arguments
    given = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(number), *given)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else result
"""

RAW = {  # numbers on x86_64: what ctypes could do behind Python's back
    "fork": "call(57)",
    "vfork": "call(58)",
    "clone as fork does": "call(56, 17, 0, 0, 0, 0)",
    "clone with the memory of this process": "call(56, 0x4111, 0, 0, 0, 0)",
    "clone into a new user namespace": "call(56, 0x10000011, 0, 0, 0, 0)",
    "a thread in a new user namespace": "call(56, 0x3D0F00 | 0x10000000, 0, 0, 0, 0)",
    "execve of Python": "call(59, b'/python/bin/' + os.listdir('/python/bin')[0].encode(), None, None)",
    "execve of the loader": "call(59, b'/lib64/ld-linux-x86-64.so.2', None, None)",
    "execveat": "call(322, -100, b'/python', None, None, 0)",
    "execve of a file of its own": "open('/tmp/x', 'w').close()\nos.chmod('/tmp/x', 0o755)\ncall(59, b'/tmp/x')",
    "a file without a name, to execute": "call(319, b'x', 0)",
    "ptrace of process 1": "call(101, 16, 1, 0, 0)",
    "letting itself be traced": "call(101, 0, 0, 0, 0)",
    "reading the memory of process 1": "call(310, 1, room, 1, room, 1, 0)",
    "writing to the memory of process 1": "call(311, 1, room, 1, room, 1, 0)",
    "a handle on process 1": "call(434, 1, 0)",
    "killing everybody": "call(62, -1, 9)",
    "killing process 1": "call(62, 1, 9)",
    "tkill": "call(200, 1, 9)",
    "a new user namespace": "call(272, 0x10000000)",
    "joining a namespace": "call(308, 0, 0)",
    "mount": "call(165, b'x', b'/tmp', b'tmpfs', 0, 0)",
    "mount, the new way": "call(430, b'tmpfs', 0)",
    "making the libraries writable": "call(165, None, b'/python/libraries/libc.so.6', None, 0x1020, None)",
    "umount": "call(166, b'/python/lib', 2)",
    "pivot_root": "call(155, b'/tmp', b'/tmp')",
    "chroot": "call(161, b'/tmp')",
    "an internet socket": "call(41, 2, 1, 0)",
    "a raw socket": "call(41, 2, 3, 255)",
    "a packet socket": "call(41, 17, 3, 0)",
    "a netlink socket": "call(41, 16, 3, 0)",
    "a socket of the crypto interface": "call(41, 38, 5, 0)",
    "a vsock": "call(41, 40, 1, 0)",
    "a unix socket, for abstract names": "call(41, 1, 1, 0)",
    "a pair of datagram sockets": "call(53, 1, 2, 0, room)",
    "passing files over a socket": "call(46, 0, room, 0)",
    "the session's keys": "call(250, 0, -3, 0)",
    "a key of its own": "call(248, b'user', b'a', b'b', 1, -3)",
    "asking for a key": "call(249, b'user', b'a', None, -3)",
    "bpf": "call(321, 0, room, 128)",
    "perf events": "call(298, room, 0, -1, -1, 0)",
    "io_uring": "call(425, 8, room)",
    "userfaultfd": "call(323, 0)",
    "a file by its handle": "call(304, -100, room, 0)",
    "shared memory": "call(29, 0, 4096, 0o1600)",
    "a message queue": "call(240, b'x', 66, 0o600, 0)",
    "a new kernel": "call(246, 0, 0, 0, 0)",
    "a kernel module": "call(175, room, 256, b'')",
    "becoming root": "call(117, 0, 0, 0)",
    "capabilities": "call(126, (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6))",
    "a filter of its own": "call(317, 1, 0, room)",
    "another personality": "call(135, 0x0040000)",
    "the clock": "call(227, 0, room)",
    "the kernel's log": "call(103, 3, room, 256)",
    "a device": "call(133, b'/tmp/d', 0o20666, 0x101)",
    "the host's name": "call(170, b'x', 1)",
    "limits of process 1": "call(302, 1, 7, room, 0)",
}


@pytest.fixture(scope="module")
def inside():
    with BOX.session() as session:
        assert session.execute(TOOLS).ok
        yield session


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers are those of x86_64")
@pytest.mark.parametrize("attempt", RAW)
def test_raw_system_calls_are_refused(inside, attempt):
    result = inside.execute(RAW[attempt])
    assert result.value in ("EPERM", "EACCES"), result


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers are those of x86_64")
def test_clone3_does_not_exist(inside):
    assert inside.execute("call(435, room, 88)").value == "ENOSYS"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers are those of x86_64")
def test_the_other_entries_of_the_kernel_end_the_process():
    x32 = "call(0x40000000 + 39)"
    code = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"  # mov eax, 20; int 0x80; ret: getpid as 32-bit programs ask for it
    compat = f"""
    import mmap
    page = mmap.mmap(-1, 4096, prot=7)
    page.write({code!r})
    ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
    """
    for attempt in (x32, textwrap.dedent(compat)):
        with BOX.session() as session:
            session.execute(TOOLS)
            result = session.execute(attempt)
            assert (result.stopped, result.value) == ("crash", None)


def test_there_is_nothing_of_the_host_to_see(inside, monkeypatch):
    monkeypatch.setenv("OUTLAST_TEST_SECRET", SECRET)
    with BOX.session() as session:
        look = "import os\nfound = [os.path.join(at, n) for at, _, names in os.walk('/') for n in names]\nfound"
        seen = session.execute(look).value
        assert session.execute("import os\ndict(os.environ)").value == {}
        assert session.execute("os.path.exists('/proc') or os.path.exists('/sys')").value is False
        everything = session.execute(
            "import gc\npart = 'key'\nany(f'sk-a-{part}' in repr(o) for o in gc.get_objects())"
        ).value
    roots = {path.split("/")[1] for path in seen}
    assert roots <= {"python", "outlast", "usr", "dev", "lib64", "lib", "tmp"}
    assert [path for path in seen if path.startswith("/dev")] == ["/dev/null"]
    assert not [path for path in seen if path.startswith("/usr") and not path.startswith("/usr/share/zoneinfo")]
    assert not [path for path in seen if "site-packages/" in path or "dist-packages/" in path]
    assert everything is False


def test_the_secrets_of_the_host_are_in_none_of_its_processes(monkeypatch):
    """The environment of bubblewrap itself would be that of process 1 inside."""
    monkeypatch.setenv("OUTLAST_TEST_SECRET", SECRET)
    with BOX.session() as session:
        session.execute("1")
        pid = session._guest.pid
        for one in [pid, *children(pid)]:
            environment = Path(f"/proc/{one}/environ").read_bytes()
            names = {pair.split(b"=")[0] for pair in environment.split(b"\0")}
            assert names <= {b"", b"PWD", b"LD_LIBRARY_PATH", b"MALLOC_ARENA_MAX"}


def test_everything_but_its_own_directory_is_read_only(inside):
    code = """
    def refused(path, flags):
        try:
            os.close(os.open(path, flags, 0o600))
        except OSError as error:
            return errno.errorcode[error.errno] in ("EROFS", "EACCES", "EPERM", "ENOENT")
        return False
    files = [os.path.join(at, n) for at, _, names in os.walk('/') for n in names if at not in ('/dev', '/tmp')]
    places = [at for at, _, _ in os.walk('/') if at != '/tmp']
    bad = [f for f in files if not refused(f, os.O_WRONLY)] + [p for p in places if not refused(p + '/x', 0o101)]
    [len(files) > 500, len(places) > 20, bad]
    """
    assert inside.execute(textwrap.dedent(code)).value == [True, True, []]


def test_its_own_directory_has_a_size(inside):
    with BOX.session() as session:
        fill = """
        import os
        def fill(name, size):
            written = 0
            try:
                with open(name, 'wb', buffering=0) as file:
                    while True:
                        written += file.write(b'x' * size)
            except OSError as error:
                return written, error.strerror
        """
        assert session.execute(textwrap.dedent(fill)).ok
        one = session.execute("fill('/tmp/one', 100_000)").value
        more = session.execute("sum(fill(f'/tmp/{n}', 100_000)[0] for n in range(50))").value
        assert 0 < one[0] + more <= BOX.files
        empty = (
            "n = 0\ntry:\n    while True:\n        os.mkdir(f'/tmp/e{n}')\n        n += 1\nexcept OSError:\n    pass\nn"
        )
        assert 0 < session.execute(empty).value < 1_024
        assert session.execute("open('/tmp/one', 'rb').read(3)").value == "b'xxx'"


def test_a_file_of_its_own_is_neither_code_nor_with_the_rights_of_another(inside):
    load = "import shutil\nshutil.copy('/python/libraries/libz.so.1', '/tmp/z.so')\nctypes.CDLL('/tmp/z.so')"
    result = inside.execute(load)
    if interpreter(os.path.realpath(sys.executable)).libraries:
        assert result.error is not None
        assert result.error.kind in ("OSError", "FileNotFoundError")


def test_it_is_nobody_and_can_do_nothing(inside):
    code = """
    held = (ctypes.c_uint32 * 6)()
    libc.capget((ctypes.c_uint32 * 2)(0x20080522, 0), held)
    [len(set(os.getresuid() + os.getresgid())), os.getuid() > 60_000, os.getgroups() in ([], [65534]), list(held)]
    """
    assert inside.execute(textwrap.dedent(code)).value == [1, True, True, [0] * 6]
    assert inside.execute("call(157, 39, 0, 0, 0, 0)").value in ("EPERM", 1)  # PR_GET_NO_NEW_PRIVS is not on the list


def test_limits_cannot_be_raised_and_threads_are_few(inside):
    for limit in ("RLIMIT_AS", "RLIMIT_NPROC", "RLIMIT_NOFILE", "RLIMIT_FSIZE", "RLIMIT_CORE", "RLIMIT_MEMLOCK"):
        result = inside.execute(f"import resource\nresource.setrlimit(resource.{limit}, (1 << 40, 1 << 40))")
        assert result.error is not None, limit
    with BOX.session() as session:
        code = """
        import threading, time
        n = 0
        try:
            while True:
                threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
                n += 1
        except RuntimeError:
            pass
        n
        """
        assert 4 < session.execute(textwrap.dedent(code)).value < 40


def test_signals_reach_nobody_else(inside):
    assert inside.execute("call(234, 1, 1, 9)").ok  # tgkill of process 1, which no signal from inside reaches
    assert inside.execute("os.getppid()").value == 1


def test_an_abstract_socket_of_the_host_is_out_of_reach(inside):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("\0outlast-test")
        listening.listen()
        result = inside.execute("import socket\nsocket.socket(socket.AF_UNIX).connect('\\0outlast-test')")
    assert result.error is not None
    assert result.error.kind == "PermissionError"


def test_its_namespaces_are_its_own():
    with BOX.session() as session:
        session.execute("1")
        pid = session._guest.pid
        [one] = children(pid)
        for kind in ("net", "pid", "ipc", "uts", "mnt"):
            assert os.readlink(f"/proc/{one}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")
        [worker] = children(one)
        status = Path(f"/proc/{worker}/status").read_text()
    assert "Seccomp:\t2" in status
    assert "NoNewPrivs:\t1" in status
    for kind in ("Inh", "Prm", "Eff", "Amb"):
        assert f"Cap{kind}:\t{0:016x}" in status


def test_the_process_that_waits_has_no_rights_either():
    with BOX.session() as session:
        session.execute("1")
        [one] = children(session._guest.pid)
        status = Path(f"/proc/{one}/status").read_text()
    for kind in ("Inh", "Prm", "Eff", "Amb"):
        assert f"Cap{kind}:\t{0:016x}" in status


PROGRAMS = {
    "threads": "from concurrent.futures import ThreadPoolExecutor as P\nlist(P(8).map(abs, [-1, 2]))",
    "asyncio": "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return [1, 2]\nasyncio.run(f())",
    "sqlite3": "import sqlite3\nc = sqlite3.connect('/tmp/d')\nc.execute('create table t as select 1 a, 2 b')\n"
    "list(c.execute('select * from t').fetchone())",
    "tempfile": "import tempfile, shutil, os\nd = tempfile.mkdtemp()\nopen(d + '/x', 'w').write('1')\n"
    "shutil.copy2(d + '/x', d + '/y')\nshutil.rmtree(d)\n[1, 2]",
    "zoneinfo": "import datetime, zoneinfo\nz = zoneinfo.ZoneInfo('Europe/Berlin')\n"
    "[datetime.datetime(2026, m, 1, tzinfo=z).utcoffset().seconds // 3600 for m in (1, 7)]",
    "hashlib, ssl, lzma": "import hashlib, ssl, lzma, bz2, zlib, ctypes, decimal, uuid\n[1, len([uuid.uuid4()] * 2)]",
    "signals": "import signal\nsignal.signal(signal.SIGUSR1, lambda *_: None)\nsignal.raise_signal(signal.SIGUSR1)\n"
    "[1, 2]",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_ordinary_programs_do_works(name):
    if name == "zoneinfo" and not os.path.isdir("/usr/share/zoneinfo"):
        pytest.skip("this machine has no time zones")
    result = BOX.execute(PROGRAMS[name])
    assert result.value == [1, 2], result


def children(pid):
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def family(pid):
    found = [pid]
    for one in found:
        found += children(one)
    return found


def gone(pids, seconds=5.0):
    end = time.monotonic() + seconds
    while any(running(pid) for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_close_ends_all_of_its_processes_also_busy_ones():
    session = BOX.session(limits=Limits(seconds=60))
    session.execute("1")
    pids = family(session._guest.pid)
    assert len(pids) == 3
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(session.execute, "import signal\nsignal.alarm(0)\nwhile True: pass")
        time.sleep(0.2)
        session.close()
        assert running.result().stopped in ("crash", "time")
    assert gone(pids)


@pytest.mark.parametrize("box", [BOX, LOCKED], ids=["python", "monty"])
def test_a_sandbox_ends_with_bubblewrap_though_its_wire_stays_open(box):
    with box.session() as session:
        session.execute("1")
        guest = session._guest
        pids = family(guest._worker._pid if box is LOCKED else guest.pid)
        os.kill(pids[0], signal.SIGKILL)
        assert gone(pids)


HOST = """
import sys, time
from outlast.sandbox.bubblewrap import Bubblewrap
session = Bubblewrap().session()
session.execute("1")
print(session._guest.pid, flush=True)
session.execute("while True: pass")
"""


def test_a_sandbox_ends_with_its_host_however_that_dies():
    with subprocess.Popen([sys.executable, "-c", HOST], stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        pids = family(int(host.stdout.readline()))
        assert len(pids) == 3
        host.send_signal(signal.SIGKILL)
    assert gone(pids)


def test_a_sandbox_outlives_the_thread_that_started_it():
    with BOX.session() as session:
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(lambda: asyncio.run(session.aexecute("x = 1\nx"))).result().value == 1
        time.sleep(0.1)
        assert session.execute("x").value == 1


def test_a_missing_program_is_named_with_how_to_get_it():
    with pytest.raises(SandboxUnavailable, match="apt install bubblewrap"):
        Bubblewrap(program="no-such-bwrap").check()


def fake(tmp_path, script):
    program = tmp_path / "bwrap"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return Bubblewrap(program=str(program))


def test_an_old_program_is_refused(tmp_path):
    with pytest.raises(SandboxUnavailable, match=r"0\.8 or newer.*0\.6\.1"):
        fake(tmp_path, "echo bubblewrap 0.6.1").check()


def test_a_program_that_may_not_make_namespaces_is_told_with_the_setting(tmp_path, monkeypatch):
    box = fake(tmp_path, '[ "$1" = --version ] && echo bubblewrap 0.9.0 && exit\necho no permissions >&2\nexit 1')
    settings = tmp_path / "settings"
    (settings / "user").mkdir(parents=True)
    (settings / "user/max_user_namespaces").write_text("0\n")
    monkeypatch.setattr(bubblewrap, "SETTINGS", settings)
    monkeypatch.setattr(bubblewrap, "_is_root", lambda: False)
    with pytest.raises(SandboxUnavailable, match="no permissions.*max_user_namespaces is 0.*sysctl -w"):
        box.check()


@pytest.mark.parametrize(
    "wrong",
    [{"files": 0}, {"files": True}, {"files": "1"}, {"program": ""}, {"program": 3}, {"inside": 1}, {"inside": BOX}],
)
def test_wrong_options_are_refused_at_once(wrong):
    with pytest.raises(UsageError, match="Monty" if "inside" in wrong else next(iter(wrong))):
        Bubblewrap(**wrong)


def test_the_peak_of_memory_is_told_without_proc():
    assert 30 << 20 < BOX.execute("x = b'x' * (30 << 20)").used.memory < 100 << 20


def double(x: int) -> int:
    """Twice x."""
    return 2 * x


def test_monty_runs_behind_the_same_lock():
    with LOCKED.session(tools=[double]) as session:
        assert session.execute("double(x)", {"x": 21}).value == 42
        bwrap, first, worker = family(session._guest._worker._pid)
        assert os.readlink(f"/proc/{worker}/exe").endswith("/monty")
        for kind in ("net", "pid", "ipc", "uts", "mnt"):
            assert os.readlink(f"/proc/{worker}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")
        status = Path(f"/proc/{worker}/status").read_text()
        assert "Seccomp:\t2" in status
        assert f"CapEff:\t{0:016x}" in status
        names = {pair.split(b"=")[0] for pair in Path(f"/proc/{worker}/environ").read_bytes().split(b"\0")}
        assert names <= {b"", b"LD_LIBRARY_PATH"}
    assert gone([bwrap, first, worker])
    assert (LOCKED.full_python, LOCKED.isolation, BOX.full_python) == (False, "os", True)


def test_the_limits_of_monty_hold_behind_the_lock():
    with LOCKED.session(limits=Limits(seconds=0.5, memory=20 << 20)) as session:
        assert session.execute("while True:\n    pass").stopped == "time"
        assert (
            session.execute("def f():\n    x = []\n    while True:\n        x.append('a' * 100_000)\nf()").stopped
            == "memory"
        )
        assert session.execute("1 + 1").value == 2


def test_the_wrapper_of_monty_goes_with_its_session():
    session = LOCKED.session()
    session.execute("1")
    directory = session._guest._directory
    assert os.path.isdir(directory)
    session.close()
    assert not os.path.exists(directory)


def test_equal_options_are_equal_sandboxes():
    assert Bubblewrap(Monty()) == LOCKED != BOX == Bubblewrap()
    assert len({LOCKED, BOX, Bubblewrap()}) == 2


def test_a_hundred_at_once():
    with ThreadPoolExecutor(100) as pool:
        results = list(pool.map(lambda n: BOX.execute("n * 2", {"n": n}).value, range(100)))
    assert results == [2 * n for n in range(100)]
