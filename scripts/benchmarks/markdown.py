"""Numbers and tables as the page shows them."""

from statistics import median

from benchmarks.process import QUIET


def number(value):
    """Three digits that count."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def spread(values):
    if len(values) == 1:
        return f"{number(values[0])} (n = 1)"
    return f"{number(median(values))} ({number(min(values))} to {number(max(values))}, n = {len(values)})"


def percent(share):
    return f"{100 * share:.0f} %"


def table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def quietness(others):
    return f"{others:.1f}" + (" **disturbed**" if others > QUIET else "")


def present(results, name):
    """What a part found, or nothing where it was not measured or failed."""
    found = results.get(name)
    return found if found and "failed" not in found else None


def absent(results, name):
    """Why there is nothing to show."""
    found = results.get(name)
    if not found:
        return "Not measured yet.\n"
    return f"The measurement failed on {found['date']}: `{found['failed']}`\n"


def when(found):
    """When a part was measured, of which commit, and how busy the machine was."""
    before, after = found["load"]
    rough = " With the fewest repetitions (`--quick`): rough." if found.get("quick") else ""
    return f"Measured {found['date']}, commit {found['commit']}; load average {before:.1f} before, {after:.1f} after.{rough}\n"


class Goal:
    """One line of the page's first table: parts, each with what was measured and whether that is enough."""

    def __init__(self, measure, bar):
        self.measure, self.bar, self.parts = measure, bar, []

    def part(self, label, value, enough, text, others=0.0):
        """`value` is nothing where it was not measured; `enough` and `text` take it. A disturbed measurement meets
        no goal, and misses none."""
        if value is None:
            self.parts.append((label, "not measured", "not measured"))
        elif others > QUIET:
            self.parts.append((label, f"{text(value)} (disturbed)", "disturbed"))
        else:
            self.parts.append((label, text(value), "yes" if enough(value) else "**no**"))
        return self

    def row(self):
        verdicts = {verdict for *_, verdict in self.parts}
        if verdicts == {"not measured"}:
            return [self.measure, self.bar, "not measured", "–"]
        measured = ", ".join(f"{label} {text}".strip() for label, text, _ in self.parts)
        met = ", ".join(f"{label} {verdict}".strip() for label, _, verdict in self.parts)
        return [self.measure, self.bar, measured, verdicts.pop() if len(verdicts) == 1 else met]


def times(value):
    return f"{number(value)}×"


def at_least(bar):
    return lambda value: value >= bar


def at_most(bar):
    return lambda value: value <= bar
