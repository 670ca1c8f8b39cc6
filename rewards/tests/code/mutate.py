#!/usr/bin/env python3
"""Small changes to reference solutions, and which of them the data's own tests notice.

    mutate.py find humaneval DATA/HumanEval.jsonl.gz mbpp DATA/mbpp.jsonl > killed.json
    mutate.py apply < lines > lines

`find` runs each mutant with its tests in plain Python, in a forked process and without anything of this project, and
keeps those that an exception ends. `apply` reads lines {"source", "mutant"} and writes the changed sources, one JSON
text a line. A mutant is named by its kind and its place among the points of that kind: `compare 3`.
"""

import ast
import copy
import gzip
import json
import os
import random
import resource
import signal
import sys

KEPT = 2
COMPARE = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
           ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is}
BINARY = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
          ast.Mod: ast.Add, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitOr}


def change(node):
    """The kind of a node's mutant and a function that makes it, in place; None where there is none."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARE:
        return "compare", lambda n: n.ops.__setitem__(0, COMPARE[type(n.ops[0])]())
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in BINARY:
        return "operator", lambda n: setattr(n, "op", BINARY[type(n.op)]())
    if isinstance(node, ast.BoolOp):
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        return "boolean", lambda n: setattr(n, "op", other())
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return "number", lambda n: setattr(n, "value", n.value + 1)
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return "truth", lambda n: setattr(n, "value", not n.value)
    if isinstance(node, ast.Return) and node.value is not None:
        return "return", lambda n: setattr(n, "value", ast.Constant(None))
    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        return "condition", lambda n: setattr(n, "test", ast.UnaryOp(ast.Not(), n.test))
    return None


def mutants(source, first):
    """The names of all mutants of a source from its line `first` on."""
    counts, names = {}, []
    for node in ast.walk(ast.parse(source)):
        if found := change(node):
            if node.lineno >= first:
                names.append(f"{found[0]} {counts.get(found[0], 0)}")
            counts[found[0]] = counts.get(found[0], 0) + 1
    return names


def mutated(source, name):
    kind, place = name.split()
    tree = ast.parse(source)
    points = [node for node in ast.walk(tree) if (found := change(node)) and found[0] == kind]
    node = points[int(place)]
    change(node)[1](node)
    return ast.unparse(ast.fix_missing_locations(tree))


def survives(source, tests):
    """Whether tests pass, run in a forked process; None where they take too long."""
    child = os.fork()
    if child == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        signal.alarm(4)
        try:
            names = {"__name__": "mutant"}
            exec(compile(source, "mutant", "exec"), names)
            exec(compile(tests, "tests", "exec"), names)
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status) == 0


def rows(path):
    opened = gzip.open(path, "rt") if path.endswith(".gz") else open(path)
    with opened as lines:
        return [json.loads(line) for line in lines]


def humaneval(row):
    # What the prompt defines is the tests' as much as the program's.
    first = row["prompt"].count("\n") + 1
    return row["task_id"], row["prompt"] + row["canonical_solution"], f"{row['test']}\ncheck({row['entry_point']})", first


def mbpp(row):
    return str(row["task_id"]), row["code"], "\n".join(
        [row["test_setup_code"], *row["test_list"], *row["challenge_test_list"]]), 1


def find(arguments, everything):
    found = {}
    for kind, path in zip(arguments[::2], arguments[1::2]):
        for row in rows(path):
            name, source, tests, first = {"humaneval": humaneval, "mbpp": mbpp}[kind](row)
            assert survives(source, tests), name
            names = mutants(source, first)
            random.Random(name).shuffle(names)
            kept = {} if everything else []
            for mutant in names:
                alive = survives(mutated(source, mutant), tests)
                if everything:
                    kept[mutant] = alive
                elif alive is False:
                    kept.append(mutant)
                    if len(kept) == KEPT:
                        break
            found.setdefault(kind, {})[name] = kept
    print(json.dumps(found, indent=0, sort_keys=True))


def apply():
    for line in sys.stdin:
        one = json.loads(line)
        print(json.dumps(mutated(one["source"], one["mutant"])))


if __name__ == "__main__":
    if sys.argv[1:2] == ["apply"]:
        apply()
    else:
        find(sys.argv[2:], everything=sys.argv[1] == "all")
