"""The filter of system calls, run here as the kernel would run it, for both machines."""

import struct

import pytest

from outlast.sandbox import seccomp

MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, KILL, EPERM, ENOSYS, ENOTSUP = 0x7FFF0000, 0x80000000, 0x50001, 0x50026, 0x5005F
THREAD = 0x3D0F00


def verdict(code, number, *arguments, architecture):
    """What a classic BPF program answers to a system call."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, *(arguments + (0,) * (6 - len(arguments))))
    program = list(struct.iter_unpack("=HBBI", code))
    at = held = 0
    while True:
        what, yes, no, value = program[at]
        at += 1
        if what == 0x20:
            held = struct.unpack_from("=I", data, value)[0]
        elif what == 0x54:
            held &= value
        elif what == 0x15:
            at += yes if held == value else no
        elif what == 0x35:
            at += yes if held >= value else no
        else:
            assert what == 0x06
            return value


@pytest.fixture(params=MACHINES)
def ask(request):
    machine = request.param
    code = seccomp.program(machine)
    column = list(MACHINES).index(machine)

    def answer(numbers, *arguments):
        number = numbers if isinstance(numbers, int) else numbers[column]
        return verdict(code, number, *arguments, architecture=MACHINES[machine])

    return answer


# name: the numbers of the kernel on both machines, written down here a second time on purpose
REFUSED = {
    "execve": (59, 221), "execveat": (322, 281), "ptrace": (101, 117), "socket": (41, 198), "connect": (42, 203),
    "bind": (49, 200), "sendmsg": (46, 211), "recvmsg": (47, 212), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97), "setns": (308, 268), "keyctl": (250, 219),
    "add_key": (248, 217), "request_key": (249, 218), "bpf": (321, 280), "perf_event_open": (298, 241),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "userfaultfd": (323, 282), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kexec_load": (246, 104), "init_module": (175, 105), "finit_module": (313, 273), "memfd_create": (319, 279),
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "kill": (62, 129), "tkill": (200, 130),
    "pidfd_send_signal": (424, 424), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "shmget": (29, 194),
    "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180), "mknodat": (259, 33), "setuid": (105, 146),
    "setresuid": (117, 147), "capset": (126, 91), "seccomp": (317, 277), "reboot": (169, 142),
    "settimeofday": (164, 170), "personality": (135, 92), "swapon": (167, 224), "syslog": (103, 116),
    "quotactl": (179, 60), "fanotify_init": (300, 262), "inotify_init1": (294, 26), "setsid": (112, 157),
    "move_mount": (429, 429), "fsopen": (430, 430), "mount_setattr": (442, 442), "vmsplice": (278, 75),
    "splice": (275, 76), "sethostname": (170, 161), "acct": (163, 89), "migrate_pages": (256, 238),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_dangerous_calls_are_refused_whatever_their_arguments(ask, name):
    for argument in (0, 1, (1 << 64) - 1):
        assert ask(REFUSED[name], *[argument] * 6) in (EPERM, ENOSYS)


@pytest.mark.parametrize("name", sorted(seccomp.ALLOWED))
def test_what_python_needs_is_allowed(ask, name):
    if None not in seccomp.ALLOWED[name]:
        assert ask(seccomp.ALLOWED[name], 1, 2, 3) == ALLOW


def test_no_number_stands_for_two_calls():
    for column in (0, 1):
        numbers = [pair[column] for pair in seccomp.ALLOWED.values() if pair[column] is not None]
        assert len(numbers) == len(set(numbers))


def test_processes_cannot_be_started_but_threads_can(ask):
    clone = (56, 220)
    assert ask(clone, THREAD) == ALLOW
    assert ask(clone, THREAD | 0x400000) == ALLOW  # musl
    for flags in (17, 0x4111, 0x01200011, 0x10000, THREAD | 17, THREAD | 0x10000000, THREAD | 0x20000, THREAD & ~0x100):
        assert ask(clone, flags) == EPERM
    assert ask((435, 435)) == ENOSYS  # clone3, whose arguments no filter can see: the C library then takes clone


def test_only_the_socket_pair_of_an_event_loop_is_allowed(ask):
    pair = (53, 199)
    assert ask(pair, 1, 1) == ask(pair, 1, 1 | 0o2004000) == ALLOW
    for family, kind in ((1, 2), (1, 3), (1, 5), (2, 1), (10, 1), (16, 3), (38, 5)):
        assert ask(pair, family, kind) == EPERM


def test_controls_are_allowed_one_by_one(ask):
    assert ask((16, 29), 0, 0x5401) == ALLOW  # is it a terminal
    assert ask((16, 29), 0, 0x5412) == EPERM  # TIOCSTI types into one
    assert ask((157, 167), 15) == ALLOW  # a thread's name
    assert ask((157, 167), 22) == ask((157, 167), 4) == ask((157, 167), 38) == EPERM
    assert ask((302, 261), 0) == ALLOW
    assert ask((302, 261), 1) == EPERM


def test_extended_attributes_are_not_supported_rather_than_forbidden(ask):
    assert ask((194, 11)) == ENOTSUP


def test_calls_younger_than_the_list_do_not_exist(ask):
    assert ask(500) == ask((437, 437)) == ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
def test_another_architecture_and_x32_kill_the_process(machine):
    code = seccomp.program(machine)
    for other in (0x40000003, 0x40000028, 0xC000003E ^ 0xC00000B7 ^ MACHINES[machine], 0):
        assert verdict(code, 39, architecture=other) == KILL
    assert verdict(code, 0x40000000 + 39, architecture=MACHINES[machine]) == KILL
    assert verdict(code, 0xFFFFFFFF, architecture=MACHINES[machine]) == KILL


@pytest.mark.parametrize("machine", MACHINES)
def test_a_program_that_starts_under_the_filter_may_be_executed_and_nothing_else(machine):
    code, column = seccomp.program(machine, starting=True), list(MACHINES).index(machine)
    for name, numbers in REFUSED.items():
        wanted = (ALLOW,) if name == "execve" else (EPERM, ENOSYS)
        assert verdict(code, numbers[column], architecture=MACHINES[machine]) in wanted


def test_the_kernel_takes_programs_of_this_length():
    for machine in MACHINES:
        assert seccomp.supported(machine)
        assert 0 < len(seccomp.program(machine, starting=True)) <= 8 * 4096
    assert not seccomp.supported("riscv64")
