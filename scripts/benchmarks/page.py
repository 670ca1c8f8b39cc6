"""docs/benchmarks.md and its plots, from the numbers of the last measurements."""

from benchmarks import exactness, grpo, growth, limits, math, sampling, sft, start
from benchmarks.markdown import present, table
from benchmarks.process import QUIET

# Every part says how it is measured, how it is shown and what it should reach.
SECTIONS = {
    "grpo": grpo, "sampling": sampling, "sft": sft, "start": start, "growth": growth, "exactness": exactness,
    "limits": limits, "math": math,
}


def versions(results):
    """Libraries of the peers, as the parts noted them."""
    known = {}
    for one in grpo.sizes(results).values():
        known |= one["theirs"][0]["versions"]
    known |= ((present(results, "sampling") or {}).get("llama") or {}).get("versions", {})
    return ", ".join(f"{name} {version}" for name, version in known.items() if version) or "versions not noted"


def write(results, docs):
    """Rewrites the page and its plots."""
    machine = results["machine"]
    goals = [goal.row() for section in SECTIONS.values() for goal in section.goals(results)]
    sections = "\n".join(f"## {section.TITLE}\n\n{section.show(results, docs)}" for section in SECTIONS.values())
    text = f"""# Benchmarks

<!-- Written by scripts/bench. -->

{machine['date']}, commit {machine['commit']}. {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']:.0f} GiB.
Both sides had {machine['threads']} threads, float32, the same checkpoints and the same amount of work. Peers:
{versions(results)}.

{table(["measure", "goal", "measured", "met"], goals)}
*Disturbed*: other processes took more than {QUIET} cores meanwhile; such a measurement says neither yes nor no.

`scripts/bench` measures all of this again and rewrites the page; `scripts/bench --only sft` measures one part, and the
others keep their last results. It takes up to half an hour on an idle machine, and more the first time, when peers and
checkpoints are set up. Ours and theirs run in turns, one process at a time. Raw numbers are in
[benchmarks.json](benchmarks.json).

## How to read this

- A cell is a median, with the smallest and largest of n measurements. Each process's first step or call is left out.
- Checkpoints have random weights: `tiny` has about 1M parameters (vocabulary 1,024), `small` 15M (4,096), `base` 121M
  (32,768), all of the Qwen2 architecture. Speed does not depend on what the weights are; what is learned is not looked at.
- *Others' cores* is the CPU time other processes took, in cores: while a process of ours ran, while a step or call of
  theirs did; the largest of those that count. Above {QUIET} a row is marked as disturbed; where some steps or processes
  were not, the disturbed ones are left out. A program of OpenMP barriers, which PyTorch is, suffers more from a
  neighbour than threads that wait for each other less: a disturbed row's ratio flatters us.
- The speed of a virtual machine moves within minutes. So the machine's limit is measured for some seconds in turns with
  our GRPO steps and our sampling, and a share is our median beside the limit's, which can be more than all of it; the share
  of fine-tuning is of the limit that was measured by itself, at another time.
- Parts may have been measured at different times: each says when, and how busy the machine was. The start of a process
  and its peak memory are those of n processes, not of n steps.
- Peak memory is the largest resident set of the whole process.

{sections}
## Not measured

- Checkpoints of other architectures; bfloat16.
- Anything on a GPU.
"""
    (docs / "benchmarks.md").write_text(text)
