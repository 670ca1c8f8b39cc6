# Inputs whose expected values a reference solution gives.


def inputs(code, contract, entry, examples, rows, tolerance, budget):
    """Inputs whose expected values are what the reference solution returns (MBPP+).

    JSON made lists of tuples and text of complex numbers. The types that asserts show beside the inputs say what each
    was, and the data's own contract what it must be.
    """

    def work():
        environment = environment_of(code)
        function = environment.get(entry)
        if function is None:
            raise Unfit(f"the reference solution does not define `{entry}`")
        subject = Subject({entry}, {})
        shown, body, tolerances = [], None, dict(tolerance)
        for source in examples:
            for statement in ast.parse(source).body:
                if not isinstance(statement, ast.Assert):
                    continue
                for left, how, right, near in relation(statement.test, subject):
                    calls = subject.calls(left)
                    if len(calls) != 1:
                        continue
                    try:
                        shown.append([eval(compile(ast.Expression(a), "x", "eval"), environment) for a in calls[0].args])
                    except Exception:
                        pass
                    generic = ast.Call(calls[0].func, [ast.Starred(ast.Name("args", ast.Load()), ast.Load())], [])
                    outer = "return " + ast.unparse(replaced(left, calls[0], generic))
                    # An assert that looks at less than the whole value says how far it matters.
                    if body is None or len(outer) > len(body):
                        body = outer
        body = body or f"return {entry}(*args)"
        view = eval(f"lambda args: {body.removeprefix('return ')}", environment)
        holds = contract_of(code, contract, entry, environment)
        cases, notes, spent = [], [], 0.0
        for place, row in enumerate(rows):
            args = typed(row, [list(one) for one in shown], list)
            if not holds(copy.deepcopy(args)):
                notes.append(f"input {place} does not keep the contract")
                continue
            begun = time.process_time()
            try:
                expected = view(copy.deepcopy(args))
            except Exception as error:
                notes.append(f"input {place}: the reference solution fails: {type(error).__name__}")
                continue
            took = time.process_time() - begun
            spent += took
            if took > budget / 10:
                notes.append(f"input {place}: the reference solution takes {took:.1f} s")
            elif not is_plain(expected) or size(expected) > 100_000:
                notes.append(f"input {place}: the expected value is too large or no plain data")
            else:
                near = tolerances if has_float(expected) else {}
                cases.append((0, args, {}, "near" if near else "==", expected, near))
            if spent > budget:
                notes.append(f"inputs after {place} are left out: the reference solution is slow")
                break
        return [body], cases, notes

    return answered(work)


def contract_of(code, contract, entry, environment):
    """The data's contract as a predicate of arguments."""
    tree = ast.parse(code)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == entry and contract.strip():
            lines = contract.strip("\n").splitlines()
            try:
                statements = ast.parse("if True:\n" + "\n".join(lines)).body[0].body
            except SyntaxError:
                break
            check = ast.FunctionDef("contract", node.args, statements, [])
            scope = dict(environment)
            exec(compile(ast.fix_missing_locations(ast.Module([check], [])), "contract", "exec"), scope)

            def holds(args):
                try:
                    scope["contract"](*args)
                except AssertionError:
                    return False
                except Exception:
                    return True
                return True

            return holds
    return lambda args: True


def typed(value, examples, outer):
    """`value` with the types that examples of the same place have; where they show none, those around it."""
    if isinstance(value, list):
        kinds = {type(e) for e in examples if isinstance(e, (list, tuple, set))}
        kind = kinds.pop() if len(kinds) == 1 else outer if not kinds else list
        inside = [e for e in examples if isinstance(e, (list, tuple, set))]
        if outer is list and examples and all(isinstance(e, list) and len(e) == len(value) for e in inside):
            by_place = [typed(v, [e[i] for e in inside], kind) for i, v in enumerate(value)]
        else:
            flat = [x for e in inside for x in e]
            by_place = [typed(v, flat, kind) for v in value]
        try:
            return kind(by_place)
        except TypeError:
            return by_place
    if isinstance(value, dict):
        inside = [x for e in examples if isinstance(e, dict) for x in e.values()]
        keys = {type(k) for e in examples if isinstance(e, dict) for k in e}
        whole = keys == {int}
        return {int(k) if whole and isinstance(k, str) and k.lstrip("-").isdigit() else k: typed(v, inside, list)
                for k, v in value.items()}
    if isinstance(value, str) and examples and all(isinstance(e, (int, float, complex)) for e in examples):
        for kind in (int, float, complex):
            try:
                return kind(value)
            except ValueError:
                pass
    return value


def size(value):
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, dict):
        return 1 + sum(size(k) + size(v) for k, v in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return 1 + sum(map(size, value))
    return 1


def has_float(value):
    if isinstance(value, (float, complex)):
        return True
    if isinstance(value, dict):
        return any(map(has_float, value.values()))
    return isinstance(value, (list, tuple, set, frozenset)) and any(map(has_float, value))
