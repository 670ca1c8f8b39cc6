"""Turns test code that comes with a data set into calls and expected values.

Runs in a sandbox of its own, before any completion is judged; the program under test is never here. Each `assert` is
taken apart into what the program must compute and what it is compared with. The latter is evaluated here and now, so
that it need not be where the program runs. The other files of this folder go on in the same module.
"""

import ast
import base64
import builtins
import copy
import importlib
import io
import pickle
import random
import time
import types
import zlib

DATA = {type(None), bool, int, float, complex, str, bytes}
NEAR = {"abs", "fabs"}
# What tests use without an import of their own, as the files they were cut from had one.
LIBRARY = ("bisect", "cmath", "collections", "copy", "datetime", "decimal", "fractions", "functools", "heapq", "itertools",
           "json", "math", "operator", "random", "re", "statistics", "string", "sys")


class Unfit(Exception):
    """The tests cannot be turned into calls; says why."""


def is_plain(value):
    kind = type(value)
    if kind in DATA:
        return True
    if kind in (list, tuple, set, frozenset):
        return all(map(is_plain, value))
    if isinstance(value, dict):
        return all(is_plain(k) and is_plain(v) for k, v in value.items())
    return False


def names(node):
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def targets(statement):
    """Names that a statement gives a value or changes."""
    found = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            found.add(node.id)
        elif isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, (ast.Store, ast.Del)):
            base = node
            while isinstance(base, (ast.Attribute, ast.Subscript)):
                base = base.value
            found |= names(base)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {(a.asname or a.name).split(".")[0] for a in node.names}
    return found


class Subject:
    """The calls of the program under test within an expression."""

    def __init__(self, roots, alias):
        # A call is the program's where what is called begins with one of these names.
        self.roots = roots
        # What the tests' own name for the function stands for: `candidate` is `Solution().solve`.
        self.alias = alias

    def root(self, call):
        base = call.func
        while isinstance(base, (ast.Attribute, ast.Call)):
            base = base.func if isinstance(base, ast.Call) else base.value
        return base.id if isinstance(base, ast.Name) else None

    def calls(self, node):
        found, queue = [], [node]
        while queue:
            one = queue.pop(0)
            if isinstance(one, ast.Call) and self.root(one) in self.roots:
                found.append(one)
            else:
                queue += ast.iter_child_nodes(one)
        return found

    def within(self, node):
        return bool(names(node) & self.roots)

    def spelled(self, node):
        """The node with the alias spelled out."""
        alias = self.alias

        class Spell(ast.NodeTransformer):
            def visit_Name(self, name):
                return copy.deepcopy(alias[name.id]) if name.id in alias else name

        return Spell().visit(copy.deepcopy(node))


def relation(test, subject):
    """(what the program computes, how it is compared, what with, tolerances by name) of each part of an assert."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return [part for value in test.values for part in relation(value, subject)]
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return [(truth(test.operand), "==", ast.Constant(False), {})]
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        left, right, op = test.left, test.comparators[0], test.ops[0]
        if not subject.within(left) and subject.within(right):
            if not isinstance(op, (ast.Eq, ast.NotEq, ast.Is, ast.IsNot)):
                raise Unfit("a comparison with the program on its right: " + ast.unparse(test))
            left, right = right, left
        near = distance(left, subject)
        if near and isinstance(op, (ast.Lt, ast.LtE)) and not subject.within(right):
            return [(near[0], "near", near[1], {"abs_tol": right})]
        kinds = {ast.Eq: "==", ast.NotEq: "!=", ast.Is: "is", ast.In: "in"}
        if type(op) in kinds:
            return [(left, kinds[type(op)], right, {})]
        raise Unfit("a comparison that is not of equality: " + ast.unparse(test))
    if isinstance(test, ast.Call) and ast.unparse(test.func).split(".")[-1] in ("isclose", "allclose"):
        keywords = {k.arg: k.value for k in test.keywords}
        known = {"rel_tol", "abs_tol"} if ast.unparse(test.func) in ("math.isclose", "isclose") else {"rtol", "atol"}
        if len(test.args) != 2 or not set(keywords) <= known:
            raise Unfit("closeness of another kind: " + ast.unparse(test))
        left, right = test.args
        if not subject.within(left):
            left, right = right, left
        if known == {"rtol", "atol"}:
            rel, absolute = keywords.get("rtol", ast.Constant(1e-5)), keywords.get("atol", ast.Constant(1e-8))
        else:
            rel, absolute = keywords.get("rel_tol", ast.Constant(1e-9)), keywords.get("abs_tol", ast.Constant(0.0))
        return [(left, "near", right, {"rel_tol": rel, "abs_tol": absolute})]
    return [(truth(test), "==", ast.Constant(True), {})]


def truth(node):
    return ast.Call(ast.Name("bool", ast.Load()), [node], [])


def distance(node, subject):
    """`abs(f(x) - y)` as (f(x), y)."""
    if not (isinstance(node, ast.Call) and len(node.args) == 1 and ast.unparse(node.func).split(".")[-1] in NEAR):
        return None
    inner = node.args[0]
    if not (isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Sub)):
        return None
    left, right = inner.left, inner.right
    if subject.within(left) and not subject.within(right):
        return left, right
    if subject.within(right) and not subject.within(left):
        return right, left
    return None


class Conversion:
    def __init__(self, environment, subject):
        self.environment = environment
        self.subject = subject
        # Statements of the tests at their top level so far, with the names they set, for a form that has to repeat some.
        self.before = []
        # Names whose value needs the program.
        self.unknown = set()
        # Bodies of functions of `args` and `kwargs`, with their places.
        self.forms = {}
        self.cases = []

    # What runs while the tests do.

    def case(self, body, args, kwargs, how, expected, tolerance):
        for what, value in (("an argument", (args, kwargs)), ("an expected value", expected)):
            if not is_plain(value):
                raise Unfit(what + " is no plain data")
        form = self.forms.setdefault(body, len(self.forms))
        self.cases.append((form, *copy.deepcopy((list(args), dict(kwargs), how, expected, tolerance))))

    def evaluate(self, node):
        return eval(compile(ast.fix_missing_locations(ast.Expression(node)), "tests", "eval"), self.environment)

    # What reads them.

    def run(self, statements):
        for statement in statements:
            if isinstance(statement, ast.Assert):
                if not isinstance(statement.test, ast.Constant):
                    for part in relation(statement.test, self.subject):
                        self.top(*part)
                continue
            if any(isinstance(n, ast.Assert) for n in ast.walk(statement)):
                statement = self.instrumented(statement)
                self.execute(statement)
                continue
            self.before.append((statement, targets(statement)))
            if names(statement) & (self.subject.roots | self.unknown) and not isinstance(
                    statement, (ast.FunctionDef, ast.Import, ast.ImportFrom)):
                if self.subject.calls(statement) and not self.makes_subject(statement):
                    raise Unfit("the program is called outside of an assert: " + ast.unparse(statement)[:80])
                self.unknown |= targets(statement)
                continue
            try:
                self.execute(statement)
            except NameError:
                self.unknown |= targets(statement)

    def makes_subject(self, statement):
        """`solution = Solution()` or `root.left = Node(2)`: values that only the program can make."""
        if not isinstance(statement, ast.Assign):
            return False
        calls = self.subject.calls(statement)
        classes = all(isinstance(c.func, ast.Name) and c.func.id[:1].isupper() for c in calls)
        if classes and isinstance(statement.targets[0], ast.Name) and len(calls) == 1 and statement.value is calls[0]:
            self.subject.roots.add(statement.targets[0].id)
        return classes

    def execute(self, statement):
        module = ast.fix_missing_locations(ast.Module([statement], []))
        exec(compile(module, "tests", "exec"), self.environment)

    def top(self, left, how, right, tolerance):
        """A part of an assert that stands outside of loops and branches."""
        calls = self.subject.calls(left)
        if not calls:
            if self.subject.within(left) or names(left) & self.unknown:
                raise Unfit("the program is used, but not called: " + ast.unparse(left))
            return
        if self.subject.within(right) and not self.canonical(right):
            raise Unfit("the expected value needs the program: " + ast.unparse(right))
        expected = self.evaluate(right)
        tolerance = {name: float(self.evaluate(node)) for name, node in tolerance.items()}
        try:
            self.check_wrapper(left, calls)
            body, args, kwargs = self.call_form(left, calls)
            args = [self.evaluate(arg) for arg in args]
            kwargs = {name: self.evaluate(arg) for name, arg in kwargs.items()}
            self.case(body, args, kwargs, how, expected, tolerance)
        except (NameError, Unfit):
            body = self.body_form(left, expected)
            self.case(body, [], {}, how, expected, tolerance)

    def canonical(self, node):
        """Whether the reference solution, run here, can say what the node is worth."""
        return all(name in self.environment for name in names(self.subject.spelled(node)) & self.subject.roots)

    def call_form(self, left, calls):
        """A form whose arguments are data: `set(f(*args, **kwargs))`."""
        if len(calls) != 1:
            raise Unfit("more than one call in " + ast.unparse(left))
        call = calls[0]
        if any(isinstance(a, ast.Starred) for a in call.args):
            raise Unfit("a starred argument")
        if any(self.subject.within(a) for a in [*call.args, *(k.value for k in call.keywords)]):
            raise Unfit("the program is called for an argument")
        kwargs = {}
        for keyword in call.keywords:
            if keyword.arg is None:
                if not isinstance(value := self.evaluate(keyword.value), dict):
                    raise Unfit("** of what is no dict")
                kwargs |= {name: ast.Constant(None) for name in value}
                kwargs |= {name: self.held(value[name]) for name in value}
            else:
                kwargs[keyword.arg] = keyword.value
        generic = ast.Call(call.func, [ast.Starred(ast.Name("args", ast.Load()), ast.Load())],
                           [ast.keyword(None, ast.Name("kwargs", ast.Load()))])
        body = self.subject.spelled(replaced(left, call, generic))
        return self.body(body), call.args, kwargs

    def held(self, value):
        """An expression for a value that exists already."""
        name = f"_held_{len(self.environment)}"
        self.environment[name] = value
        return ast.Name(name, ast.Load())

    def check_wrapper(self, left, calls):
        """What stands around the call must be Python's own: a checker of the program's own says what it likes."""
        outside = replaced(left, calls[0], ast.Constant(None)) if len(calls) == 1 else left
        foreign = {n for n in names(outside) if not hasattr(builtins, n)} - self.unknown
        if foreign:
            raise Unfit("a function around the call: " + ", ".join(sorted(foreign)))

    def body_form(self, left, expected):
        """A form that repeats the tests' own statements, for arguments that are no data: types, nodes of a tree."""
        spelled = self.subject.spelled(left)
        tests_own = {n for _, given in self.before for n in given}
        around = {n for call in ast.walk(spelled) if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
                  for n in [call.func.id] if n in tests_own}
        if around and (not isinstance(expected, (list, tuple, dict, set, str)) or not expected):
            raise Unfit("a function of the tests around the call: " + ", ".join(sorted(around)))
        known = tests_own | self.subject.roots | set(self.subject.alias)
        used = {n for n in names(spelled) if not hasattr(builtins, n)} - known
        helpers = used & self.environment.get("__helpers__", set())
        if helpers:
            raise Unfit("a function around the call: " + ", ".join(sorted(helpers)))
        return self.body(spelled)

    def body(self, node):
        """A function's body that returns what the node is worth, behind the statements it depends on, in order."""
        wanted = names(node) - {"args", "kwargs"}
        picked = ["return " + ast.unparse(node)]
        for statement, given in reversed(self.before):
            if not given & wanted:
                continue
            picked.append(ast.unparse(self.subject.spelled(statement)))
            wanted |= names(statement)
            # A plain assignment is all that the name depends on; what only changes it is not.
            if isinstance(statement, (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)) or (
                    isinstance(statement, ast.Assign) and all(isinstance(t, ast.Name) for t in statement.targets)):
                wanted -= given - names(statement)
        # What tests may use without an import, the program need not have imported either.
        picked += [f"import {name}" for name in sorted(wanted & set(LIBRARY))]
        return "\n".join(picked[::-1])

    def instrumented(self, statement):
        """A loop or branch with asserts, each made a note of what it compares."""
        conversion = self

        class Note(ast.NodeTransformer):
            def visit_Assert(self, node):
                if isinstance(node.test, ast.Constant):
                    return ast.Pass()
                return [conversion.note(*part) for part in relation(node.test, conversion.subject)]

        changed = Note().visit(copy.deepcopy(statement))
        if self.subject.within(changed):
            raise Unfit("the program is used outside of an assert: " + ast.unparse(statement)[:80])
        return changed

    def note(self, left, how, right, tolerance):
        calls = self.subject.calls(left)
        if not calls or self.subject.within(right):
            raise Unfit("an assert in a loop: " + ast.unparse(left))
        self.check_wrapper(left, calls)
        if any(k.arg is None for k in calls[0].keywords):
            raise Unfit("an assert in a loop: " + ast.unparse(left))
        body, args, kwargs = self.call_form(left, calls)
        self.environment["_case"] = self.case
        load = ast.Load()
        values = [
            ast.Constant(body), ast.List(list(args), load),
            ast.Dict([ast.Constant(name) for name in kwargs], list(kwargs.values())), ast.Constant(how), right,
            ast.Dict([ast.Constant(name) for name in tolerance], list(tolerance.values())),
        ]
        return ast.Expr(ast.Call(ast.Name("_case", load), values, []))


def replaced(node, old, new):
    class Replace(ast.NodeTransformer):
        def visit(self, one):
            return new if one is old else super().visit(one)

    # The tree is copied around the call, which has to keep its identity to be found.
    return Replace().visit(copy.deepcopy(node, {id(old): old}))
