# One test's process: what runs a program once the walls stand. A program shares this process and may change anything in
# it; nothing here knows what a right answer is, and nothing it says is believed beyond being a program's answer.
import atexit
import builtins
import linecache
import marshal
import os
import sys
import threading
import traceback
import types

CHANNEL = 3
FORMAT = 2
PLAIN = {int, float, str, bool, type(None), complex, bytes}


class NotPlain(Exception):
    pass


def flat(value):
    """The value in exactly the built-in types."""
    kind = type(value)
    if kind in PLAIN:
        return value
    # By what it is, and not by what it says it is.
    for base in (list, tuple, set, frozenset):
        if issubclass(kind, base):
            return base([flat(item) for item in base.__iter__(value)])
    if issubclass(kind, dict):
        return {flat(key): flat(item) for key, item in dict.items(value)}
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, int):
        return int.__int__(value)
    if issubclass(kind, float):
        return float.__float__(value)
    if issubclass(kind, (bytes, bytearray)):
        return bytes(value)
    numpy = sys.modules.get("numpy")
    if numpy is not None and issubclass(kind, (numpy.generic, numpy.ndarray)):
        return value.tolist()
    raise NotPlain(f"`{kind.__name__}` is no plain data")


def pack(message):
    # marshal would take anything with a buffer for bytes, numpy's numbers among them.
    if "numpy" not in sys.modules:
        try:
            return marshal.dumps(message, FORMAT)
        except ValueError:
            pass
    plain = flat(message)
    try:
        return marshal.dumps(plain, FORMAT)
    except ValueError:
        raise NotPlain("a value too large or too deep to be written") from None


def send_bytes(data):
    data = len(data).to_bytes(4, "little") + data
    while data:
        data = data[os.write(CHANNEL, data):]


def send(*message):
    send_bytes(marshal.dumps(message, FORMAT))


def receive():
    def exactly(n):
        parts = []
        while n:
            part = os.read(CHANNEL, min(n, 1 << 20))
            if not part:
                os._exit(0)
            parts.append(part)
            n -= len(part)
        return b"".join(parts)

    return marshal.loads(exactly(int.from_bytes(exactly(4), "little")))


def name_and_text(error):
    try:
        name, text = type(error).__name__, str(error)
    except BaseException:
        name, text = "Exception", "an exception that cannot be printed"
    text = text[:2000] if type(text) is str else ""
    return str(name)[:200], text.encode("utf-8", "replace").decode()


def report(error, tag="raise"):
    try:
        traceback.print_exception(type(error), error, error.__traceback__ and error.__traceback__.tb_next, limit=-20)
        sys.stderr.flush()
    except BaseException:
        pass
    send(tag, *name_and_text(error))


def flush():
    for stream in {sys.stdout, sys.__stdout__, sys.stderr}:
        try:
            stream.flush()
        except BaseException:
            pass


def end(status):
    """As the interpreter itself would end: other threads first, what was registered to run, then the streams."""
    try:
        threading._shutdown()
    except BaseException:
        pass
    try:
        atexit._run_exitfuncs()
    except BaseException:
        pass
    flush()
    os._exit(status)


def status_of(leaving):
    code = leaving.code
    if code is None:
        return 0
    if isinstance(code, int):
        return int(code) & 0xFF
    try:
        print(code, file=sys.stderr)
    except BaseException:
        pass
    return 1


def compiled(source, file):
    try:
        return compile(source, file, "exec", dont_inherit=True)
    except BaseException as error:
        name, text = name_and_text(error)
        send("compile", f"{name}: {text}")
        os._exit(1)


def module(name, file, source):
    made = types.ModuleType(name)
    made.__file__ = file
    made.__builtins__ = builtins
    sys.modules[name] = made
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    return made


def run_script(source):
    code = compiled(source, "program.py")
    main = module("__main__", "program.py", source)
    try:
        exec(code, main.__dict__)
    except SystemExit as leaving:
        end(status_of(leaving))
    except BaseException as error:
        report(error)
        end(1)
    end(0)


def entry(names, function):
    def named(name):
        if name not in names:
            raise NameError(f"name '{name}' is not defined")
        return names[name]

    owner, made, method = function.partition("().")
    if made:
        return getattr(named(owner)(), method)
    first, *rest = function.split(".")
    target = named(first)
    for name in rest:
        target = getattr(target, name)
    return target


def serve(source):
    code = compiled(source, "program.py")
    names = module("program", "program.py", source).__dict__
    try:
        exec(code, names)
    except SystemExit as leaving:
        end(status_of(leaving))
    except BaseException as error:
        report(error)
        end(1)
    flush()
    send("loaded")
    while True:
        function, arguments, named, back = receive()
        try:
            value = entry(names, function)(*arguments, **named)
            reply = pack(("value", value, (arguments, named) if back else None))
        except SystemExit as leaving:
            end(status_of(leaving))
        except BaseException as error:
            flush()
            report(error)
            continue
        flush()
        send_bytes(reply)


class Unfit(BaseException):
    """The tests ask for what cannot pass between processes."""


class ProgramError(Exception):
    pass


def put_back(ours, theirs):
    """What the call did to its arguments, as far as they can be changed in place."""
    if type(ours) is not type(theirs):
        return
    if isinstance(ours, list):
        if len(ours) == len(theirs):
            for mine, other in zip(ours, theirs):
                put_back(mine, other)
            theirs = [mine if mine == other else other for mine, other in zip(ours, theirs)]
        ours[:] = theirs
    elif isinstance(ours, (dict, set)):
        ours.clear()
        ours.update(theirs)
    elif isinstance(ours, tuple):
        for mine, other in zip(ours, theirs):
            put_back(mine, other)


def proxy(function):
    def call(*arguments, **named):
        try:
            request = pack(("call", function, arguments, named))
        except (NotPlain, ValueError, RecursionError) as error:
            raise Unfit(f"an argument of `{function}`: {error}") from None
        send_bytes(request)
        answer = receive()
        if answer[0] == "value":
            _, value, (arguments_after, named_after) = answer
            put_back(arguments, arguments_after)
            for name, after in named_after.items():
                put_back(named.get(name), after)
            return value
        kind = getattr(builtins, answer[1], None)
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            kind = ProgramError
        try:
            error = kind(answer[2])
        except TypeError:
            error = ProgramError(f"{answer[1]}: {answer[2]}")
        raise error

    call.__name__ = call.__qualname__ = function.rpartition(".")[2]
    return call


def run_tests(source, functions):
    code = compiled(source, "tests.py")
    names = module("__main__", "tests.py", source).__dict__
    for function in functions:
        owner, made, method = function.partition("().")
        if made:
            owner_class = names.setdefault(owner, type(owner, (), {}))
            setattr(owner_class, method, staticmethod(proxy(function)))
        else:
            names[function] = proxy(function)
    try:
        exec(code, names)
    except Unfit as error:
        report(error, "unfit")
        os._exit(1)
    except SystemExit as leaving:
        if status_of(leaving) != 0:
            report(leaving)
            os._exit(1)
    except BaseException as error:
        flush()
        report(error)
        os._exit(1)
    flush()
    send("passed")
    os._exit(0)


def run_job(mode, source, functions):
    send("ready")
    if mode == "script":
        run_script(source)
    elif mode == "serve":
        serve(source)
    else:
        run_tests(source, functions)
