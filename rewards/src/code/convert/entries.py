# What is called from outside: tests in the ways data sets write them.


def environment_of(source):
    """Names that trusted code defines: imports, helpers, and the reference solution where there is one. What fails is
    left out, such as an import of a package that is not there."""
    environment = {"__name__": "tests"} | {name: importlib.import_module(name) for name in LIBRARY}
    # Tests that draw numbers draw the same ones each time.
    random.seed(0)
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        statements = []
    for statement in statements:
        if isinstance(statement, ast.If) and "__name__" in names(statement.test):
            continue
        try:
            exec(compile(ast.Module([statement], []), "code", "exec"), environment)
        except Exception:
            pass
    environment["__helpers__"] = {
        name for name, value in environment.items() if isinstance(value, types.FunctionType)}
    return environment


def answered(work):
    try:
        forms, cases, notes = work()
    except Unfit as unfit:
        return {"unfit": str(unfit)}
    except SyntaxError as error:
        return {"broken": f"the tests are no Python: {error}"}
    except Exception as error:
        return {"broken": f"the tests fail before any program is called: {type(error).__name__}: {error}"}
    if not cases:
        return {"unfit": "there is no assert that calls the program"}
    return {"forms": forms, "cases": cases, "notes": notes}


def check(code, tests, entry):
    """Tests that define `check(candidate)` (HumanEval, LeetCode). `entry` is None where the tests end in a call of it."""

    def work():
        body = ast.parse(tests).body
        checks = [s for s in body if isinstance(s, ast.FunctionDef) and s.name == "check"]
        if len(checks) != 1 or len(checks[0].args.args) != 1:
            raise Unfit("no function `check(candidate)`")
        called = [s.value for s in body if isinstance(s, ast.Expr) and isinstance(s.value, ast.Call)
                  and ast.unparse(s.value.func) == "check"]
        if entry is None and len(called) != 1:
            raise Unfit("`check` is not called once")
        target = called[0].args[0] if entry is None else ast.parse(entry, mode="eval").body
        name = checks[0].args.args[0].arg
        subject = Subject({name} | names(target), {name: target})
        environment = environment_of(code)
        conversion = Conversion(environment, subject)
        if canonical := environment.get(ast.unparse(target)):
            environment[name] = canonical
        rest = [s for s in body if s is not checks[0] and not (isinstance(s, ast.Expr) and s.value in called)]
        conversion.run(rest + checks[0].body)
        return list(conversion.forms), conversion.cases, []

    return answered(work)


def asserts(code, tests, entry):
    """Asserts that name the program's functions (MBPP, AceCode) or its class (LeetCode). Whatever the tests call and
    neither define nor import is the program's."""

    def work():
        body = ast.parse(tests).body
        own = {n for s in body for n in targets(s)}
        called = {n.func.id for s in body for n in ast.walk(s)
                  if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        environment = environment_of(code)
        imported = {n for n, v in environment.items() if not isinstance(v, types.ModuleType)
                    and getattr(v, "__module__", None) != "tests"}
        roots = {n for n in called if not hasattr(builtins, n)} - own - imported
        if entry or not roots:
            roots = {entry or overshadowed(body)}
        conversion = Conversion(environment, Subject(roots, {}))
        conversion.run(body)
        return list(conversion.forms), conversion.cases, []

    return answered(work)


def overshadowed(body):
    """What tests call first that call nothing but what Python has: the program's own function of that name (`sum`)."""
    for statement in body:
        if isinstance(statement, ast.Assert):
            for node in ast.walk(statement.test):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    return node.func.id
    raise Unfit("the tests call nothing of the program")
