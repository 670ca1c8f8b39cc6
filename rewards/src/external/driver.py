"""Imports a file of the user's and answers lines of JSON with what its reward function says.

The other end of `python.rs`; needs the standard library alone. The first line names the file; every further one is a
request as `message.rs` writes it. What the function prints goes to the error stream, and it finds its input empty.
"""

import asyncio
import importlib.machinery
import importlib.util
import inspect
import json
import math
import os
import sys
import traceback
import types


class Fault(Exception):
    """Something that the user's function did and must not."""


def channel():
    """The two pipes, as descriptors that neither the function nor its children have."""
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8", newline="\n")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def told(error):
    """An exception with its traceback, without our own frames."""
    shown = traceback.TracebackException.from_exception(error)
    ours = ("<string>", "<frozen importlib")
    shown.stack = traceback.StackSummary.from_list(
        [frame for frame in shown.stack if not frame.filename.startswith(ours)]
    )
    return "".join(shown.format()).rstrip()


def refused(key, why):
    return {"refused": {"key": key, "why": why}}


def load(path):
    """The file as a module; files beside it can be imported."""
    path = os.path.abspath(path)
    sys.path.insert(0, os.path.dirname(path))
    name = os.path.splitext(os.path.basename(path))[0]
    name = "user_" + name if name in sys.modules else name
    loader = importlib.machinery.SourceFileLoader(name, path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    sys.modules[name] = module
    loader.exec_module(module)
    return module


def find(module, wanted):
    """The name of the function and the function, or why there is none."""
    for name in [wanted] if wanted else ["reward", "compute_score"]:
        function = getattr(module, name, None)
        if callable(function):
            return name, function
    mine = [name for name, value in vars(module).items() if inspect.isfunction(value) and not name.startswith("_")]
    missing = f"`{wanted}`" if wanted else "`reward` or `compute_score`"
    has = "it has " + ", ".join(mine) if mine else "it has none at all"
    raise Fault(f"there is no function {missing} in it ({has})")


def parameters(function):
    """The names that the function takes; None where it takes any."""
    try:
        known = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in known):
        return None
    return {one.name for one in known}


def kind_of(function):
    """Which of the two signatures the function has, by the names of its parameters."""
    try:
        names = set(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        names = set()
    if names & {"solution_str", "ground_truth", "data_source"}:
        return "verl"
    if names & {"prompts", "completions", "completion_ids"}:
        return "trl"
    return None


def number(value, name):
    """A score as JSON takes it."""
    if isinstance(value, str) or not hasattr(value, "__float__"):
        raise Fault(f"{name} gave {shortened(value)}, a {type(value).__name__}, and must give numbers")
    value = float(value)
    if not math.isfinite(value):
        raise Fault(f"{name} gave {value}")
    return value


def shortened(value):
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def called(function, takes, arguments):
    if takes is not None:
        arguments = {name: value for name, value in arguments.items() if name in takes}
    result = function(**arguments)
    return asyncio.run(result) if inspect.iscoroutine(result) else result


def by_trl(function, takes, name, request):
    """One call for all completions, with the keyword arguments that TRL's GRPOTrainer passes."""
    samples = request["samples"]
    chat = any(sample["messages"] for sample in samples)
    said = [sample["completion"] for sample in samples]
    own = {"prompt", "completion", "completion_ids"}
    columns = {key for sample in samples for key in sample["columns"]} - own
    arguments = {"expected": [sample["expected"] for sample in samples]}
    arguments.update({key: [sample["columns"].get(key) for sample in samples] for key in sorted(columns)})
    arguments.update(
        prompts=[sample["messages"] if chat else sample["prompt"] for sample in samples],
        completions=[[{"role": "assistant", "content": text}] for text in said] if chat else said,
        completion_ids=[sample["tokens"] for sample in samples],
        trainer_state=types.SimpleNamespace(global_step=request["step"] or 0),
        log_extra=lambda column, values: None,
        log_metric=lambda metric, value: None,
    )
    scores = called(function, takes, arguments)
    scores = scores.tolist() if hasattr(scores, "tolist") else scores
    if not isinstance(scores, (list, tuple)):
        raise Fault(f"{name} gave {shortened(scores)}, a {type(scores).__name__}, and must give a list of scores")
    if len(scores) != len(samples):
        raise Fault(f"{name} gave {len(scores)} scores for {len(samples)} completions")

    def one(score):
        try:
            return None if score is None else number(score, name)
        except Exception as error:
            return {"error": str(error) if isinstance(error, Fault) else told(error)}

    return [one(score) for score in scores]


def by_verl(function, takes, name, request):
    """One call for each completion, with the keyword arguments that verl's reward managers pass."""

    def one(sample):
        columns = sample["columns"]
        truth = columns.get("reward_model")
        truth = truth.get("ground_truth") if isinstance(truth, dict) else columns.get("ground_truth")
        arguments = {
            "data_source": sample["source"],
            "solution_str": sample["completion"],
            "ground_truth": sample["expected"] if truth is None else truth,
            "extra_info": columns.get("extra_info") or {},
        }
        try:
            score = called(function, takes, arguments)
            if isinstance(score, dict):
                if "score" not in score:
                    raise Fault(f"{name} gave {shortened(score)}, without a \"score\"")
                more = {key: value for key, value in score.items() if key != "score"}
                return {"score": number(score["score"], name), "note": shortened(more) if more else ""}
            return number(score, name)
        except BaseException as error:
            return {"error": str(error) if isinstance(error, Fault) else told(error)}

    return [one(sample) for sample in request["samples"]]


def opened(settings):
    """What the file holds: the answer to the first line, and what to ask from then on."""
    try:
        module = load(settings["file"])
    except BaseException as error:
        return refused("file", told(error)), None
    try:
        name, function = find(module, settings["function"])
    except Fault as error:
        return refused("function", str(error)), None
    kind = settings["signature"]
    kind = kind_of(function) if kind == "auto" else kind
    if kind is None:
        why = f"{name} has the parameters of neither TRL's nor verl's functions: say `trl` or `verl`"
        return refused("signature", why), None
    takes = parameters(function)
    ask = by_trl if kind == "trl" else by_verl
    return {"signature": kind, "function": name}, lambda request: ask(function, takes, name, request)


def main():
    requests, answers = channel()

    def answer(what):
        sys.stdout.flush()
        answers.write(json.dumps(what) + "\n")
        answers.flush()

    ready, ask = opened(json.loads(requests.readline()))
    answer(ready)
    while ask is not None:
        line = requests.readline()
        if not line:
            break
        try:
            said = {"scores": ask(json.loads(line))}
        except BaseException as error:
            said = {"error": str(error) if isinstance(error, Fault) else told(error)}
        answer(said)


main()
