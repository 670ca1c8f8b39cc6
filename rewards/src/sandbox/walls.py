# What is put around a zygote, while everything in its process is still ours.
import os

# What modules do in a new process mends what other threads may have left broken, and costs as much as the fork. There are
# no other threads here: before anything else is loaded, nothing is registered.
at_fork, os.register_at_fork = os.register_at_fork, lambda **_: None

import ctypes
import sys

libc = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 4096, 16384, 1 << 18
MNT_DETACH = 2
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 1, 2, 4
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38
SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER = 1, 1 << 3
SIGKILL = 9
NOBODY = 65534
# The program's user and group inside the namespace.
INSIDE = 1000


class Missing(Exception):
    """A wall this machine does not let us build."""


def checked(what, result):
    if result < 0:
        raise Missing(f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def system_call(what, number, *arguments):
    return checked(what, libc.syscall(ctypes.c_long(number), *arguments))


def mount(what, source, target, kind, flags, data=None):
    encode = lambda text: text and text.encode()
    checked(what, libc.mount(encode(source), encode(target), encode(kind), ctypes.c_ulong(flags), encode(data)))


def set_mount(numbers, target, attributes, recursive):
    """Adds attributes to a mount; those that are locked stay."""
    wanted = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
    flags = AT_RECURSIVE if recursive else 0
    system_call(
        f"mount_setattr {target}", numbers["mount_setattr"], ctypes.c_int(AT_FDCWD), target.encode(),
        ctypes.c_uint(flags), wanted, ctypes.c_size_t(ctypes.sizeof(wanted)),
    )


def enter_namespaces():
    flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP
    checked("user namespace", libc.unshare(ctypes.c_int(flags)))


def build_root(numbers, readable, hidden, tmp_bytes):
    """A root of its own: an empty file system in memory, with the readable paths where they always were."""
    libc.sethostname(b"sandbox", 7)
    mount("private mounts", None, "/", None, MS_REC | MS_PRIVATE)
    # Opened first: the new root may hide where they are.
    sources = [(path, os.open(path, os.O_PATH)) for path in readable]
    root = "/tmp" if os.path.isdir("/tmp") else "/dev"
    mount("root in memory", "root", root, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,nr_inodes=1k,mode=755")
    for path, source in sources:
        target = root + path
        if os.path.isdir(f"/proc/self/fd/{source}"):
            os.makedirs(target, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
        mount(f"bind {path}", f"/proc/self/fd/{source}", target, None, MS_BIND | MS_REC)
        os.close(source)
        attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID
        # A device file on a mount without devices cannot be opened.
        if not path.startswith("/dev/"):
            attributes |= MOUNT_ATTR_NODEV
        set_mount(numbers, target, attributes, True)
    for path in hidden:
        mount(f"hide {path}", "hidden", root + path, "tmpfs", MS_NOSUID | MS_NODEV | MS_RDONLY, "size=4k,mode=755")
    os.makedirs(root + "/tmp", exist_ok=True)
    options = f"size={tmp_bytes},nr_inodes=4k,mode=700,uid={INSIDE},gid={INSIDE}"
    mount("/tmp in memory", "tmp", root + "/tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options)
    os.chdir(root)
    system_call("pivot_root", numbers["pivot_root"], b".", b".")
    checked("leave the old root", libc.umount2(b".", MNT_DETACH))
    os.chdir("/")
    set_mount(numbers, "/", MOUNT_ATTR_RDONLY, False)


def become(identity, readable, owned):
    """Another user, who owns what is given, unless that one may not read what it has to."""
    try:
        os.setgroups([])
    except OSError:
        pass  # An ordinary user keeps the groups; files are out of reach by other means.
    os.setresuid(-1, identity, -1)
    is_enough = all(os.access(path, os.R_OK, effective_ids=True) for path in readable)
    os.setresuid(-1, os.getresuid()[2], -1)
    if is_enough:
        for path in owned:
            os.chown(path, identity, identity)
        os.setresgid(identity, identity, identity)
        os.setresuid(identity, identity, identity)


def drop_privileges(numbers):
    """No capability, whoever we are, and none to be had."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    none = (ctypes.c_uint32 * 6)()
    system_call("drop capabilities", numbers["capset"], header, none)
    checked("no new privileges", libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    checked("not dumpable", libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))


def close_from(numbers, first, last=0xFFFFFFFF):
    system_call(
        "close_range", numbers["close_range"], ctypes.c_uint(first), ctypes.c_uint(last), ctypes.c_uint(0)
    )


def die_with_parent():
    checked("die with the parent", libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))


def filter_from(instructions):
    """What seccomp(2) takes: the count of instructions of 8 bytes, and where they are."""

    class Program(ctypes.Structure):
        _fields_ = [("n", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]

    return Program(len(instructions) // 8, instructions)


def install_filter(numbers, program, flags=0):
    return system_call(
        "seccomp", numbers["seccomp"], ctypes.c_uint(SECCOMP_SET_MODE_FILTER), ctypes.c_uint(flags),
        ctypes.byref(program),
    )


def install_listener(numbers, notify, kill):
    """Forbidden calls are told to whoever holds the descriptor; none where a filter around us has a listener already."""
    try:
        return install_filter(numbers, filter_from(notify), SECCOMP_FILTER_FLAG_NEW_LISTENER)
    except Missing:
        install_filter(numbers, filter_from(kill))
        return None


def restrict_files(numbers, ruleset):
    system_call("landlock", numbers["landlock_restrict_self"], ctypes.c_int(ruleset), ctypes.c_uint(0))
