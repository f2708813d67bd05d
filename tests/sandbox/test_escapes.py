"""Attempts to get out of a sandbox, or to harm what is around it: none succeeds, and the session goes on."""

import contextlib
import os
import socket
import time
from pathlib import Path

import pytest

import outlast as ol
from outlast.testing.sandbox_contract import children

SECRET = "the-canary-7f3a9c"
LIMITS = ol.Limits(seconds=1.0, memory=128 << 20, output=10_000, value=100_000)
STARTED = [entry for entry in Path("/proc/self/environ").read_bytes().decode().split("\0") if len(entry) > 12]

READING = {
    "open": "open(PATH).read()",
    "open a file everybody may read": "open('/etc/passwd').read()",
    "open bytes": "open(PATH, 'rb').read()",
    "pathlib": "import pathlib\npathlib.Path(PATH).read_text()",
    "os.open": "import os\nos.read(os.open(PATH, os.O_RDONLY), 1000).decode()",
    "io.FileIO": "import io\nio.FileIO(PATH).read()",
    "codecs": "import codecs\ncodecs.open(PATH).read()",
    "linecache": "import linecache\nlinecache.getlines(PATH)",
    "tokenize": "import tokenize\ntokenize.open(PATH).read()",
    "shutil": "import io, shutil\nshutil.copyfile(PATH, '/tmp/x')\nopen('/tmp/x').read()",
    "mmap": "import mmap, os\nmmap.mmap(os.open(PATH, 0), 0, access=mmap.ACCESS_READ)[:].decode()",
    "sqlite": "import sqlite3\nsqlite3.connect(PATH).execute('select * from x').fetchall()",
    "importlib": "import importlib.util as u\nu.spec_from_file_location('x', PATH).loader.get_data(PATH).decode()",
    "runpy": "import runpy\nrunpy.run_path(PATH)",
    "exec of the file": "exec(compile(open(PATH).read(), PATH, 'exec'))",
    "a way up": "open('../../../../../../../..' + PATH).read()",
    "the root of process 1": "open('/proc/1/root' + PATH).read()",
    "the root of the parent": "import os\nopen(f'/proc/{os.getppid()}/root' + PATH).read()",
    "the working directory of the parent": "import os\nos.listdir(f'/proc/{os.getppid()}/cwd')",
    "a symbolic link": "import os\nos.symlink(PATH, '/tmp/link')\nopen('/tmp/link').read()",
    "a hard link": "import os\nos.link(PATH, '/tmp/hard')\nopen('/tmp/hard').read()",
    "open descriptors": "import os\n[os.read(fd, 10000) for fd in range(3, 6)]",
    "all descriptors of the parent": "import os\np = f'/proc/{os.getppid()}/fd'\n[open(f'{p}/{n}').read(99) for n in "
    "os.listdir(p)]",
    "memory of the parent": "import os\nopen(f'/proc/{os.getppid()}/mem', 'rb').read(10)",
    "chroot": "import os\nos.chroot('/proc/1/root')\nopen(PATH).read()",
    "mount": "import ctypes\nctypes.CDLL(None).mount(b'/', b'/tmp', None, 4096, None)\nopen('/tmp' + PATH).read()",
    "ctypes": "import ctypes\nc = ctypes.CDLL(None)\nb = ctypes.create_string_buffer(999)\n"
    "c.read(c.open(PATH.encode(), 0), b, 999)\nb.value.decode()",
    "JavaScript of a Python in WebAssembly": "import js\njs.Deno.readTextFileSync(PATH)",
    "its own code in JavaScript": "from pyodide.code import run_js\nrun_js('Deno.readTextFileSync(\"' + PATH + '\")')",
    "a file system of Node": "from pyodide.code import run_js\nrun_js('globalThis.process.binding(\"fs\")')",
    "a mounted directory of the host": "import pyodide_js\npyodide_js.FS.mount(pyodide_js.FS.filesystems.NODEFS, "
    "{'root': '/'}, '/tmp')\nopen('/tmp' + PATH).read()",
}
ENVIRONMENT = {
    "os.environ": "import os\ndict(os.environ)",
    "os.getenv": "import os\nos.getenv('CANARY')",
    "os.environb": "import os\nstr(os.environb)",
    "posix.environ": "import posix\nstr(posix.environ)",
    "/proc/self/environ": "open('/proc/self/environ').read()",
    "/proc/1/environ": "open('/proc/1/environ').read()",
    "the parent's": "import os\nopen(f'/proc/{os.getppid()}/environ').read()",
    "everybody's": "import glob\nx = []\nfor p in glob.glob('/proc/[0-9]*/environ'):\n    try:\n        "
    "x.append(open(p).read())\n    except OSError:\n        pass\nx",
    "getenv of C": "import ctypes\nf = ctypes.CDLL(None).getenv\nf.restype = ctypes.c_char_p\nf(b'CANARY').decode()",
    "Deno.env": "import js\njs.Deno.env.toObject().to_py()",
    "command lines": "import glob\n[open(p).read() for p in glob.glob('/proc/[0-9]*/cmdline')]",
}
NETWORK = {
    "TCP": "import socket\nsocket.create_connection(('127.0.0.1', PORT), 1).send(b'x')",
    "TCP over IPv6": "import socket\nsocket.create_connection(('::1', PORT), 1)",
    "a socket made by hand": "import _socket\ns = _socket.socket()\ns.settimeout(1)\ns.connect(('127.0.0.1', PORT))",
    "UDP": "import socket\nsocket.socket(2, 2).sendto(b'x', ('127.0.0.1', PORT))",
    "http": "import urllib.request\nurllib.request.urlopen(f'http://127.0.0.1:{PORT}/', timeout=1)",
    "asyncio": "import asyncio\nasyncio.run(asyncio.open_connection('127.0.0.1', PORT))",
    "a raw socket": "import socket\nsocket.socket(2, 3, 1).sendto(b'x' * 8, ('127.0.0.1', 0))",
    "fetch": "import js\njs.fetch(f'http://127.0.0.1:{PORT}/')",
    "a web socket": "import js\njs.WebSocket.new(f'ws://127.0.0.1:{PORT}/')",
    "an import over the net": "from pyodide.code import run_js\nrun_js(f'import(\"http://127.0.0.1:{PORT}/x.js\")')",
    "an abstract socket of Unix": "import socket\ns = socket.socket(1)\ns.connect('\\0' + ABSTRACT)\ns.send(b'x')",
    "DNS": "import socket\nsocket.getaddrinfo('canary.example.com', 80)[0][4][0]",
}
PROGRAMS = {
    "os.system": "import os\nos.system(f'touch {MARK}')",
    "subprocess": "import subprocess\nsubprocess.run(['touch', MARK], check=True)",
    "a shell": "import subprocess\nsubprocess.run(f'echo > {MARK}', shell=True)",
    "popen": "import os\nos.popen(f'touch {MARK}').read()",
    "posix_spawn": "import os\nos.waitpid(os.posix_spawn('/usr/bin/touch', ['touch', MARK], {}), 0)",
    "exec": "import os\nos.execv('/usr/bin/touch', ['touch', MARK])",
    "fork": "import os\npid = os.fork()\nif pid == 0:\n    open(MARK, 'w').write('x')\n    os._exit(0)\nos.waitpid(pid, 0)",
    "multiprocessing": "import multiprocessing as m\np = m.Process(target=print)\np.start()\np.join()\nopen(MARK, 'w')",
    "ctypes": "import ctypes\nctypes.CDLL(None).system(f'touch {MARK}'.encode())",
    "a pseudo-terminal": "import pty\npty.spawn(['touch', MARK])",
    "Deno.Command": "import js\njs.Deno.Command.new('touch', args=[MARK]).outputSync()",
    "a JavaScript worker": 'from pyodide.code import run_js\nrun_js(\'new Worker("data:text/javascript,Deno.exit(3)", '
    '{type: "module"})\')',
    "writing": "open(MARK, 'w').write('x')",
    "appending": "open(MARK, 'a').write('x')",
    "pathlib": "import pathlib\npathlib.Path(MARK).touch()",
    "making a directory": "import os\nos.makedirs(MARK)",
    "renaming": "import os\nos.rename(PATH, MARK)",
    "temporary files": "import tempfile\ntempfile.NamedTemporaryFile(dir=FOLDER, prefix='mark', delete=False).write(b'x')",
}
WALKS = {
    "the subclasses of object": "[c for c in ().__class__.__base__.__subclasses__() if c.__name__ == '_wrap_close'][0]"
    ".__init__.__globals__['system'](f'touch {MARK}')",
    "the builtins of a function": "print.__self__.open(PATH).read()",
    "the globals of a function": "(lambda: 0).__globals__['__builtins__']['open'](PATH).read()",
    "the frame": "import sys\nf = sys._getframe()\nwhile f.f_back:\n    f = f.f_back\nf.f_globals['os'].system(f'touch "
    "{MARK}')",
    "a traceback": "try:\n    1 / 0\nexcept Exception as e:\n    f = e.__traceback__.tb_frame.f_back\n"
    "f.f_globals['os'].listdir(FOLDER)",
    "getattr": "getattr(getattr((), '__cl' + 'ass__'), '__ba' + 'se__').__subclasses__()\nopen(PATH).read()",
    "format strings": "'{0.__class__.__base__.__subclasses__}'.format(())\nopen(PATH).read()",
    "a tool's globals": "add.__globals__['os'].listdir(FOLDER)",
    "a tool's code": "add.__code__ = (lambda a, b: open(PATH).read()).__code__\nadd(1, 2)",
    "__import__": "__import__('os').listdir(FOLDER)",
    "importlib": "import importlib\nimportlib.import_module('os').listdir(FOLDER)",
    "sys.modules": "import sys\nsys.modules['os'].listdir(FOLDER)",
    "a path for imports": "import sys\nsys.path.insert(0, FOLDER)\nimport planted",
    "pickle": "import pickle\npickle.loads(b'cos\\nsystem\\n(S\"touch ' + MARK.encode() + b'\"\\ntR.')",
    "marshal and code objects": "import marshal, types\ntypes.FunctionType(marshal.loads(marshal.dumps((lambda: "
    "open(PATH).read()).__code__)), globals())()",
    "gc": "import gc\n[o for o in gc.get_objects() if isinstance(o, str) and 'canary' in o][:5]\nopen(PATH).read()",
}
HARM = {
    "a loop": "while True:\n    pass",
    "a loop that catches all": "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n"
    "        pass",
    "a loop in C": "9 ** 9 ** 9",
    "a slow pattern": "import re\nre.match('(a|aa)+$', 'a' * 60 + 'b')",
    "a huge range": "sum(range(10 ** 12))",
    "a huge sort": "sorted(range(10 ** 8), key=lambda x: -x)",
    "a string of 10 GB": "'x' * 10 ** 10",
    "a list that grows": "a = []\nwhile True:\n    a.append('x' * 1000)",
    "a list that doubles": "a = [0]\nwhile True:\n    a += a",
    "bytes of 10 GB": "bytes(10 ** 10)",
    "a huge integer": "1 << (1 << 34)",
    "a huge shift in a loop": "a = 1\nwhile True:\n    a = a << 1000",
    "a format of a huge width": "'{:>10000000000}'.format(1)",
    "deep recursion": "def f():\n    return f()\nf()",
    "deep recursion without a limit": "import sys\nsys.setrecursionlimit(10 ** 6)\ndef f():\n    return f()\nf()",
    "deep recursion in C": "import sys\nsys.setrecursionlimit(10 ** 6)\na = []\nfor _ in range(10 ** 5):\n    a = [a]\n"
    "repr(a)",
    "deep source": "eval('[' * 50000 + ']' * 50000)",
    "deep expression": "eval('+'.join(['1'] * 10 ** 5))",
    "long source": "eval('x' * 10 ** 7)",
    "a crash": "import ctypes\nctypes.string_at(0)",
    "a fault": "import faulthandler\nfaulthandler._sigsegv()",
    "the end": "import os\nos._exit(0)",
    "abort": "import os\nos.abort()",
    "killing itself": "import os\nos.kill(os.getpid(), 9)",
    "killing its parent": "import os\nos.kill(os.getppid(), 9)",
    "killing its group": "import os\nos.killpg(0, 15)",
    "killing everybody": "import os\nos.kill(-1, 15)",
    "a fork bomb": "import os\nwhile True:\n    os.fork()",
    "a bomb of threads": "import threading\nwhile True:\n    threading.Thread(target=lambda: [0 for _ in iter(int, 1)], "
    "daemon=True).start()",
    "a flood of output": "while True:\n    print('x' * 10000)",
    "one huge output": "print('x' * 10 ** 8)",
    "a flood of small output": "while True:\n    print()",
    "a flood past print": "import os\nwhile True:\n    os.write(1, b'x' * 60000)",
    "a flood of errors": "import os\nwhile True:\n    os.write(2, b'x' * 60000)",
    "a flood to all descriptors": "import os\nwhile True:\n    for fd in range(3, 30):\n        try:\n            "
    "os.write(fd, b'x' * 60000)\n        except OSError:\n            pass",
    "a huge value": "'x' * 10 ** 7",
    "a value that unfolds": "a = [1]\nfor _ in range(30):\n    a = [a] * 10\na",
    "a value in itself": "a = {}\na['a'] = a\na",
    "a deep value": "a = []\nfor _ in range(10 ** 5):\n    a = [a]\na",
    "a huge error": "raise ValueError('x' * 10 ** 7)",
    "an error that fails": "class E(Exception):\n    def __str__(self):\n        raise SystemExit(3)\nraise E()",
    "a value whose repr hangs": "class R:\n    def __repr__(self):\n        while True:\n            pass\nR()",
    "the exit": "raise SystemExit(0)",
    "the interrupt": "raise KeyboardInterrupt",
    "a generator's end": "raise StopIteration",
    "waiting for input": "input()",
    "sleeping": "import time\ntime.sleep(10 ** 6)",
    "waiting for ever": "import threading\nthreading.Event().wait()",
    "a thread that stays": "import threading\nthreading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()",
    "a handler of signals": "import signal\nfor s in range(1, 32):\n    try:\n        signal.signal(s, signal.SIG_IGN)\n    "
    "except (OSError, ValueError):\n        pass\nwhile True:\n    pass",
    "no limits": "import resource\nfor r in range(10):\n    try:\n        resource.setrlimit(r, (-1, -1))\n    except "
    "(OSError, ValueError):\n        pass\na = [0]\nwhile True:\n    a += a",
    "filling the disk": "f = open('/tmp/big', 'wb')\nwhile True:\n    f.write(b'x' * 10 ** 6)",
    "a flood of tools": "while True:\n    add(1, 2)",
    "a flood of tools that are not there": "while True:\n    try:\n        nothing()\n    except Exception:\n        pass",
    "a flood of names that are not there": "while True:\n    try:\n        nothing\n    except Exception:\n        pass",
    "huge arguments for a tool": "add('x' * 10 ** 7, 1)",
    "a patch of builtins": "import builtins\nfor n in ('len', 'print', 'isinstance', 'repr', 'str', 'dict', 'exec'):\n    "
    "setattr(builtins, n, None)",
    "a patch of json": "import json\njson.dumps = json.loads = lambda *a, **k: 'x'\n1",
    "a patch of the worker": "import gc\nfor o in gc.get_objects():\n    if type(o).__name__ in ('Wire', 'Interpreter', "
    "'Kept', 'Alarm'):\n        o.__dict__.clear()",
    "a replaced stdout": "import sys\nsys.stdout = sys.stderr = sys.__stdout__ = None",
    "a closed stdout": "import sys\nsys.stdout.close()",
    "closing all descriptors": "import os\nos.closerange(0, 100)",
    "an audit hook": "import sys\ndef f(*a):\n    raise ValueError\nsys.addaudithook(f)",
    "a trace of all code": "import sys\nsys.settrace(lambda *a: 1 / 0)\nsys.setprofile(lambda *a: 1 / 0)",
    "an endless stack of messages": "import js\nwhile True:\n    js.postMessage('x' * 10 ** 6)",
    "forged replies on stdout": "import js\njs.self.postMessage('{\"done\": {}}')\njs.self.close()",
}  # fmt: skip


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


class Around:
    """A host with things to take, and what there is to see when somebody took them."""

    def __init__(self, sandbox, folder):
        self.folder = folder
        self.secret = folder / "secret.txt"
        self.secret.write_text(SECRET)
        (folder / "planted.py").write_text(f"VALUE = {SECRET!r}\nraise ImportError(VALUE)")
        self.mark = folder / "mark"
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self.tcp.getsockname()[1]
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.abstract = f"outlast-{os.getpid()}-{self.port}"
        self.unix = socket.socket(socket.AF_UNIX)
        self.unix.bind(f"\0{self.abstract}")
        self.unix.listen()
        for one in (self.tcp, self.udp, self.unix):
            one.setblocking(False)
        self.before = children()
        self.session = sandbox.session([add], LIMITS)

    def variables(self):
        return {
            "PATH": str(self.secret),
            "MARK": str(self.mark),
            "FOLDER": str(self.folder),
            "PORT": self.port,
            "ABSTRACT": self.abstract,
        }

    def attempt(self, code):
        self.session.execute("1")  # a start is not part of the time
        clock = time.monotonic()
        result = self.session.execute(code, self.variables())
        took = time.monotonic() - clock
        said = f"{result.told()} {result.value} {result.stdout} {result.error}"
        for secret in (SECRET, "root:x:", "planted.py", "secret.txt", *STARTED):
            assert secret not in said.replace(str(self.secret), ""), f"{secret[:20]} is told: {said[:300]}"
        assert self.secret.read_text() == SECRET
        assert sorted(path.name for path in self.folder.iterdir()) == ["planted.py", "secret.txt"]
        for one in (self.tcp, self.unix):
            with contextlib.suppress(BlockingIOError):
                one.accept()[0].close()
                pytest.fail("somebody connected")
        with pytest.raises(BlockingIOError):
            self.udp.recv(10)
        assert took < LIMITS.seconds + 2, f"took {took:.1f} s: {result.told()[:200]}"
        assert len(result.stdout.encode()) <= LIMITS.output
        return result

    def close(self):
        self.session.close()
        for one in (self.tcp, self.udp, self.unix):
            one.close()


@pytest.fixture(scope="module")
def around(confining, tmp_path_factory):
    there = Around(confining, tmp_path_factory.mktemp("around"))
    yield there
    there.close()
    until = time.monotonic() + 30
    while children() - there.before:
        assert time.monotonic() < until, "an attempt left a process behind"
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def _canary(monkeypatch):
    monkeypatch.setenv("CANARY", SECRET)


ATTEMPTS = {
    f"{kind}: {name}": code
    for kind, group in {
        "reading": READING,
        "environment": ENVIRONMENT,
        "network": NETWORK,
        "programs and files": PROGRAMS,
        "walks": WALKS,
    }.items()
    for name, code in group.items()
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_nothing_gets_out(around, attempt):
    around.attempt(ATTEMPTS[attempt])
    assert around.session.execute("2 + 3").value == 5 or around.session.execute("2 + 3").value == 5


@pytest.mark.parametrize("attempt", HARM)
def test_nothing_is_harmed(around, attempt):
    around.attempt(HARM[attempt])
    with around.session.sandbox.session(limits=LIMITS) as other:
        assert other.execute("2 + 3").value == 5
    around.session.execute("None")  # what was broken in there may cost this session its interpreter
    around.session.close()
    around.session = around.session.sandbox.session([add], LIMITS)


def test_there_are_many_attempts():
    assert len(ATTEMPTS) + len(HARM) > 100


@pytest.mark.parametrize(
    "attempt",
    [
        "reading: open",
        "reading: pathlib",
        "reading: os.open",
        "environment: the parent's",
        "network: TCP",
        "network: UDP",
        "programs and files: os.system",
        "programs and files: writing",
        "programs and files: fork",
    ],
)
def test_an_attempt_that_succeeds_is_noticed(tmp_path, attempt):
    """Local keeps nothing in, so there these do succeed: the tests above can fail."""
    there = Around(ol.Local(trust_me=True), tmp_path)
    try:
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            there.attempt(ATTEMPTS[attempt])
    finally:
        there.close()
