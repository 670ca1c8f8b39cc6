# A warm interpreter that forks a process for each test. It speaks with the supervisor over one socket, reads nothing a
# program wrote, and ends when the supervisor does.
import gc
import importlib
import io
import resource
import select
import signal
import socket

PRELOADED = """abc array atexit bisect cmath collections collections.abc contextlib copy dataclasses datetime decimal
enum fractions functools hashlib heapq io itertools json math numbers operator queue random re statistics string struct
textwrap threading time types typing unicodedata zlib""".split()
CONTROL_FD, RULES_FD = 10, 11
MAX_MESSAGE = 1 << 18


def preload(modules):
    # The directory we are in; `site` would take it for a path like any other.
    sys.path[:] = [path for path in sys.path if path]
    if modules:
        import site

        site.main()
    for name in PRELOADED + modules:
        importlib.import_module(name)
    # A fork starts with these as they are here: the same numbers in each test, and its own standard input.
    sys.modules["random"].seed(0)
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(
        io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8", "surrogateescape"
    )
    for library in ("libgcc_s.so.1",):
        try:
            # Some versions of Python end threads by pthread_exit, which looks for it.
            ctypes.CDLL(library)
        except OSError:
            pass


class Control:
    def __init__(self, fd):
        self.socket = socket.socket(fileno=fd)
        # A directory of this machine, which goes when the supervisor goes, whatever became of it.
        self.temporary = None

    def send(self, message, fds=()):
        socket.send_fds(self.socket, [marshal.dumps(message, FORMAT)], fds)

    def receive(self):
        data, fds, flags, _ = socket.recv_fds(self.socket, MAX_MESSAGE, 16)
        if not data:
            if self.temporary:
                try:
                    empty(self.temporary)
                    os.rmdir(self.temporary)
                except OSError:
                    pass
            os._exit(0)
        return marshal.loads(data), fds


def readable_paths(modules):
    """Where Python's own library lies, and other installed packages only where some are asked for; and which of its
    directories are to be hidden, as they hold such packages."""
    import sysconfig

    packages = {os.path.realpath(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    paths = {os.path.realpath(path) for path in sys.path if os.path.isdir(path)} if modules else set()
    paths |= {os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    paths |= packages if modules else set()
    paths = sorted(path for path in paths if os.path.isdir(path))
    within = lambda path: any(path.startswith(other + "/") for other in paths)
    hidden = [] if modules else [path for path in packages if within(path) and os.path.isdir(path)]
    return [path for path in paths if not within(path)], hidden


def move_up(fd, to):
    os.dup2(fd, to, inheritable=False)
    os.close(fd)
    return to


def start():
    control = Control(move_up(os.dup(0), CONTROL_FD))
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1):
        os.dup2(null, fd)
    os.close(null)
    setup, _ = control.receive()
    numbers, namespaces = setup["numbers"], setup["namespaces"]
    try:
        # What the supervisor's own parents left open.
        close_from(numbers, 3, CONTROL_FD - 1)
        close_from(numbers, CONTROL_FD + 1)
        preload(setup["modules"])
        os.register_at_fork = at_fork
        sys.path[:] = [os.path.realpath(path) for path in sys.path]
        library, hidden = readable_paths(setup["modules"])
        if any(path.count("/") < 2 for path in library):
            raise Missing(f"a Python whose library is no directory of its own: {library}")
        devices = ["/dev/null", "/dev/zero", "/dev/urandom"]
        with open("/proc/self/statm") as sizes:
            mapped = int(sizes.read().split()[0]) * resource.getpagesize()
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("1000")
        if namespaces:
            enter_namespaces()
            control.send(("unshared",))
            control.receive()
            build_root(numbers, library + devices, hidden, setup["tmp_bytes"])
            become(INSIDE, [], [])
            drop_privileges(numbers)
            die_with_supervisor_of_zygote(control)
            temporary = "/tmp"
        else:
            temporary = control.temporary = setup["temporary"]
            if setup["filtered"]:
                if os.geteuid() == 0:
                    try:
                        # Where Python's library is root's alone, as in root's home, root it stays.
                        become(NOBODY, library, [temporary])
                    except OSError:
                        pass  # Root of a container that has nobody else, or may not become them.
                drop_privileges(numbers)
        if setup["filtered"]:
            paths = library + devices + [temporary]
            fds = [os.open(path, os.O_PATH | os.O_CLOEXEC) for path in paths]
            control.send(("paths",), fds)
            for fd in fds:
                os.close(fd)
            walls, fds = control.receive()
            rules = [move_up(fd, RULES_FD + i) for i, fd in enumerate(fds)]
            listener = install_listener(numbers, walls["notify"], walls["kill"])
            for instructions in walls["always"]:
                install_filter(numbers, filter_from(instructions))
            if listener is not None:
                control.send(("listener",), [listener])
                os.close(listener)
            programs = {"pure": filter_from(walls["pure"]), "files": filter_from(walls["files"])}
        else:
            rules, programs = [], {}
    except (Missing, OSError, ImportError) as error:
        control.send(("missing", f"{type(error).__name__}: {error}" if not isinstance(error, Missing) else str(error)))
        os._exit(0)
    for limit, value in (
        (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 64), (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    os.environ.clear()
    os.environ.update(HOME=temporary, TMPDIR=temporary, PATH="", LANG="C.UTF-8")
    sys.argv[:] = ["program.py"]
    # What is alive now is alive in every test: the collector need not look at it, nor copy its pages.
    gc.collect()
    gc.freeze()
    control.send(("warm", os.getpid()))
    Zygote(control, numbers, namespaces, temporary, mapped, rules, programs).serve()


def die_with_supervisor_of_zygote(control):
    """The first process of the new namespace goes on; this one stays outside and waits for it."""
    child = os.fork()
    if child == 0:
        die_with_parent()
        return
    os.close(CONTROL_FD)
    os.waitpid(child, 0)
    os._exit(0)


def empty(directory):
    """Removes what a test left, however deep: what lies in a directory is first brought up to the top."""
    top = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    # Names no test can have taken.
    moved, n_moved = os.urandom(16).hex(), 0
    try:
        while names := os.listdir(top):
            for name in names:
                try:
                    os.unlink(name, dir_fd=top)
                    continue
                except IsADirectoryError:
                    os.chmod(name, 0o700, dir_fd=top)
                inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
                try:
                    for deeper in os.listdir(inner):
                        os.rename(deeper, f"{moved}-{n_moved}", src_dir_fd=inner, dst_dir_fd=top)
                        n_moved += 1
                finally:
                    os.close(inner)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)


class Zygote:
    def __init__(self, control, numbers, namespaces, temporary, mapped, rules, programs):
        self.control, self.numbers, self.namespaces = control, numbers, namespaces
        self.temporary, self.mapped, self.rules, self.programs = temporary, mapped, rules, programs
        self.running = {}
        self.poll = select.poll()
        self.poll.register(CONTROL_FD, select.POLLIN)

    def serve(self):
        while True:
            for fd, _ in self.poll.poll():
                if fd in self.running:
                    self.bury(fd)
                elif fd == CONTROL_FD:
                    self.fork(*self.control.receive())

    def fork(self, job, fds):
        child = os.fork()
        if child == 0:
            try:
                self.become_test(job, fds)
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(70)
        for fd in fds:
            os.close(fd)
        pidfd = os.pidfd_open(child)
        self.control.send(("forked", job["id"]), [pidfd])
        self.running[pidfd] = job["id"], child, job["files"]
        self.poll.register(pidfd, select.POLLIN)

    def bury(self, pidfd):
        identity, child, files = self.running.pop(pidfd)
        self.poll.unregister(pidfd)
        os.close(pidfd)
        _, status, usage = os.wait4(child, 0)
        if self.namespaces and not self.running:
            try:
                # Whatever else may be in this namespace, it is no test of ours.
                os.kill(-1, signal.SIGKILL)
                while True:
                    os.waitpid(-1, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
        seconds = usage.ru_utime + usage.ru_stime
        try:
            if files:
                empty(self.temporary)
        finally:
            # Where something is left the zygote ends with this, and another takes its place.
            self.control.send(("exit", identity, status, seconds, usage.ru_maxrss * 1024))

    def become_test(self, job, fds):
        die_with_parent()
        for to, fd in enumerate(fds):
            os.dup2(fd, to)
        files = job["files"]
        os.chdir(self.temporary if files else "/")
        for limit, value in (
            (resource.RLIMIT_CPU, job["cpu_s"]),
            (resource.RLIMIT_AS, self.mapped + job["memory"]),
            (resource.RLIMIT_FSIZE, job["file_bytes"] if files else 0),
        ):
            resource.setrlimit(limit, (value, value))
        if self.namespaces:
            # One more for the zygote.
            resource.setrlimit(resource.RLIMIT_NPROC, (job["threads"] + 1, job["threads"] + 1))
        source = b""
        while part := os.pread(4, 1 << 24, len(source)):
            source += part
        mode, source, functions = marshal.loads(source)
        if self.rules:
            restrict_files(self.numbers, self.rules[1 if files else 0])
        close_from(self.numbers, 4)
        if self.programs:
            install_filter(self.numbers, self.programs["files" if files else "pure"])
        run_job(mode, source, functions)


start()
