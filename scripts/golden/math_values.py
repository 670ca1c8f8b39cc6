#!/usr/bin/env python3
"""Golden values for the math grader: LaTeX expressions and what mpmath says they are.

    pip install mpmath
    python scripts/golden/math_values.py > rewards/tests/math/cases/values.tsv

Expressions are drawn from a small grammar with a fixed seed, and written twice: as LaTeX for us, as calls for mpmath.
Each line holds the LaTeX, the value to 30 significant digits, and a value that differs from it in the last digits of a
64-bit float.
"""

import random

from mpmath import mp, mpf

mp.dps = 80
rng = random.Random(20261122)


def leaf():
    kind = rng.randrange(8)
    n = rng.randint(1, 30)
    if kind < 3:
        return str(n), mpf(n)
    if kind == 3:
        d = rng.randint(2, 20)
        return rf"\frac{{{n}}}{{{d}}}", mpf(n) / d
    if kind == 4:
        return r"\pi", mp.pi
    if kind == 5:
        return "e", mp.e
    if kind == 6:
        d = rng.randint(1, 99)
        return f"{n}.{d:02}", mpf(n) + mpf(d) / 100
    return rf"\sqrt{{{n}}}", mp.sqrt(n)


def call(depth):
    text, value = tree(depth - 1)
    kind = rng.randrange(14)
    if kind == 0:
        return rf"\sqrt{{{text}}}", mp.sqrt(value) if value >= 0 else None
    if kind == 1:
        k = rng.choice([3, 4, 5])
        return rf"\sqrt[{k}]{{{text}}}", mp.root(value, k) if value >= 0 else None
    if kind == 2:
        return rf"\ln\left({text}\right)", mp.log(value) if value > 0 else None
    if kind == 3:
        b = rng.choice([2, 3, 10])
        return rf"\log_{{{b}}}\left({text}\right)", mp.log(value) / mp.log(b) if value > 0 else None
    if kind == 4:
        return rf"\sin\left({text}\right)", mp.sin(value)
    if kind == 5:
        return rf"\cos\left({text}\right)", mp.cos(value)
    if kind == 6:
        return rf"\tan\left({text}\right)", mp.tan(value) if abs(mp.cos(value)) > 1e-6 else None
    if kind == 7:
        return rf"\arctan\left({text}\right)", mp.atan(value)
    if kind == 8:
        return rf"e^{{{text}}}", mp.exp(value) if value < 60 else None
    if kind == 9:
        n = rng.randint(2, 5)
        return rf"\left({text}\right)^{{{n}}}", value**n
    if kind == 10:
        return rf"\left|{text}\right|", abs(value)
    if kind == 11:
        return rf"\sinh\left({text}\right)", mp.sinh(value) if abs(value) < 60 else None
    if kind == 12:
        n, k = rng.randint(4, 20), rng.randint(1, 4)
        return rf"\binom{{{n}}}{{{k}}}", mp.binomial(n, k)
    n = rng.randint(2, 12)
    return f"{n}!", mp.factorial(n)


def pair(depth):
    (a, x), (b, y) = tree(depth - 1), tree(depth - 1)
    if x is None or y is None:
        return a, None
    kind = rng.randrange(5)
    if kind == 0:
        return rf"{a}+{b}", x + y
    if kind == 1:
        return rf"{a}-\left({b}\right)", x - y
    if kind == 2:
        return rf"\left({a}\right)\left({b}\right)", x * y
    if kind == 3:
        return rf"\frac{{{a}}}{{{b}}}", x / y if y != 0 else None
    return rf"\left({a}\right)\cdot\left({b}\right)", x * y


def tree(depth):
    while True:
        text, value = leaf() if depth == 0 else rng.choice([call, pair, pair])(depth)
        if value is not None and abs(value) < mpf(10) ** 30 and (value == 0 or abs(value) > mpf(10) ** -20):
            return text, value


def terminates(value):
    """Whether 25 decimals write the value exactly."""
    scaled = value * mpf(10) ** 25
    return abs(scaled - mp.nint(scaled)) < mpf(10) ** -15


seen = set()
while len(seen) < 400:
    text, value = tree(rng.randint(1, 3))
    if value == 0 or text in seen or len(text) > 160 or terminates(value):
        continue
    seen.add(text)
    near = value * (1 + mpf(10) ** -14 * rng.choice([-1, 1]))
    print(text, *(mp.nstr(x, 30, strip_zeros=False, min_fixed=-40, max_fixed=40) for x in (value, near)), sep="\t")
