"""Reward functions that do what they must not."""

import os
import signal
import sys
import time

MARK = os.environ.get("NOTHING", "")


def raises(completions, **kwargs):
    return [1.0 / len(text) for text in completions]


def one_of_three(completions, **kwargs):
    return [1.0, float("nan"), "high"]


def short(completions, **kwargs):
    return [1.0]


def no_list(completions, **kwargs):
    return 0.5


def exits(completions, **kwargs):
    print("about to leave")
    os._exit(3)


def calls_exit(completions, **kwargs):
    sys.exit("enough")


def crashes(completions, **kwargs):
    print("last words", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGSEGV)


def hangs(completions, **kwargs):
    print("thinking")
    time.sleep(1000)


def talks(completions, **kwargs):
    print('{"scores": [7.0]}')
    os.write(1, b'{"scores": [8.0]}\n')
    assert sys.stdin.read() == ""
    return [float(len(text)) for text in completions]


def second_time(completions, path, **kwargs):
    """Dies the first time it is asked, of all processes together."""
    if not os.path.exists(path[0]):
        open(path[0], "w").close()
        os._exit(1)
    return [2.0 for _ in completions]


def whose(completions, **kwargs):
    """The process, busy for a while so that others are needed."""
    time.sleep(0.3)
    return [float(os.getpid()) for _ in completions]


def with_a_child(completions, **kwargs):
    """A child of its own that never ends."""
    import subprocess

    child = subprocess.Popen(["sleep", "1000"])
    return [float(child.pid) for _ in completions]


def neither(text):
    return 1.0
