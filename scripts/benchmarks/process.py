"""Processes that are measured: ours, the peers' scripts, and a few lines in the peers' Python."""

import datetime
import json
import os
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WORK = ROOT / "target" / "bench"
PEERS = Path(os.environ.get("PEERS") or ROOT.parent / "shared" / "peers")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grouper" / "peers"
LLAMA = "llama-cpp-python==0.3.36"
PYTHON = os.environ.get("PEERS_PYTHON") or str(CACHE / "venv" / "bin" / "python")
TICK = os.sysconf("SC_CLK_TCK")

# Cores that other processes may take before a measurement counts as disturbed, as the peers' scripts have it.
QUIET = 0.3

# Seconds a process waits at most for others to leave the cores alone.
patience = 0.0


def busy_seconds():
    """CPU seconds that all processes have used since the machine started."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) / TICK


def wait_for_quiet():
    """Returns when the machine was idle for a second, or patience is at its end."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        busy = busy_seconds()
        time.sleep(1)
        if busy_seconds() - busy <= QUIET:
            return


def run(command, name, *, mark=None, stop=False, limit=600, env=None):
    """Runs a command to its end: seconds, peak memory, cores others took, seconds to the first line with `mark`; with
    `stop` no longer than to that line."""
    wait_for_quiet()
    log = WORK / f"{name}.log"
    started, busy = time.perf_counter(), busy_seconds()
    with log.open("w") as errors:
        process = subprocess.Popen(
            [str(part) for part in command], cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True, env=env
        )
        late = threading.Event()
        timer = threading.Timer(limit, lambda: (late.set(), process.kill()))
        timer.start()
        marked, lines = None, []
        for line in process.stdout:
            if mark and marked is None and re.search(mark, line):
                marked = time.perf_counter() - started
                if stop:
                    process.kill()
            lines.append(line)
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    others = max(busy_seconds() - busy - usage.ru_utime - usage.ru_stime, 0) / wall
    if late.is_set():
        raise RuntimeError(f"{name} was not done after {limit} s")
    if process.returncode and not (stop and marked):
        tail = "".join(lines[-5:]) + log.read_text()[-600:]
        raise RuntimeError(f"{name} ended with {process.returncode}\n{tail}")
    return {
        "out": "".join(lines), "wall": wall, "marked": marked, "rss_mib": usage.ru_maxrss / 1024, "others": others
    }


def peer(script, *arguments, name, threads):
    """Runs a peer's script: its JSON result, with what `run` saw of the process."""
    path = WORK / f"{name}.json"
    path.unlink(missing_ok=True)
    seen = run([PYTHON, PEERS / script, *arguments, "--threads", threads, "--json", path], name)
    return json.loads(path.read_text()) | {"seen": {k: seen[k] for k in ("wall", "rss_mib", "others")}}


def helper(code, *arguments, name):
    """Runs a few lines in the peers' Python; the last line printed is JSON."""
    env = os.environ | {"PYTHONPATH": str(PEERS), "PYTHONDONTWRITEBYTECODE": "1", "HF_HUB_OFFLINE": "1"}
    return json.loads(run([PYTHON, "-c", code, *arguments], name, env=env)["out"].splitlines()[-1])


def llama_missing():
    """Why llama.cpp cannot be called from the peers' Python; nothing where it can."""
    seen = subprocess.run([PYTHON, "-c", "import gguf, llama_cpp"], capture_output=True, text=True)
    return seen.stderr.strip().splitlines()[-1] if seen.returncode else None


def bench(package, name, *arguments):
    """Runs a bench of a crate that prints JSON."""
    command = ["cargo", "bench", "--quiet", "--locked", "-p", package, "--bench", name, "--", *arguments]
    return run(command, f"bench-{name}")


def grouper(stage, config, name, mark=None, stop=False, cores=None):
    """Runs a stage, on the first so many cores: its metrics by step, with what `run` saw of the process. What it saved
    is removed: the checkpoint of a large policy is some gigabytes."""
    runs = WORK / "runs" / name
    shutil.rmtree(runs, ignore_errors=True)
    path = WORK / f"{name}.toml"
    path.write_text(config)
    pinned = ["taskset", "-c", f"0-{cores - 1}"] if cores else []
    seen = run([*pinned, ROOT / "target/release/grouper", stage, path, "--run", runs], name, mark=mark, stop=stop)
    metrics = [json.loads(line) for line in (runs / name / "1" / "metrics.jsonl").read_text().splitlines()]
    shutil.rmtree(runs)
    return metrics, seen


def note(text):
    print(f"{datetime.datetime.now():%H:%M:%S}  {text}", flush=True)
