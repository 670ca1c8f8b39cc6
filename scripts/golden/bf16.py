"""Write tests/golden/<family>/bf16.safetensors for the families with experts: what a bf16 model of transformers computes of
tokens whose experts rounding does not change, so that it says what rounding does and nothing of other experts.

ids [B, T] i64 · logits [B, T, V] float32 · logits_bf16 [B, T, V] · gradient_cosine_bf16 [1], between the gradients of both ·
router_margin [1], the smallest difference between a score chosen and one not chosen, which is above what bf16 moves the
scores of every other sequence by

Usage: python scripts/golden/bf16.py [family ...]   (needs torch and transformers 5; from the repository root)
"""

import copy
import sys

import torch
from fp8_training import load
from reference import ROOT, Routing, cosine, gradients, logits_of, next_logprobs, save

FAMILIES = ["qwen3_moe", "mixtral", "deepseek_v2", "deepseek_v2_lite", "deepseek_v3", "deepseek_v3_direct", "deepseek_v3_fp8"]
BATCH, LENGTH, TRIED = 24, 4, 100


def scores(routing):
    """Of all calls of the routers, one beside the other."""
    sigmoid = "v3" in routing.config.model_type
    return torch.cat([(x.sigmoid() if sigmoid else x.softmax(-1)).flatten() for _, x, *_ in routing.calls])


def routed(model, half, seed):
    """A sequence, its margin, by how much bf16 moves a score, and whether no token goes to other experts."""
    generator = torch.Generator().manual_seed(5000 + seed)
    ids = torch.randint(3, model.config.vocab_size, (1, LENGTH), generator=generator)
    routing, half_routing = Routing(model), Routing(half)
    with torch.no_grad():
        logits_of(model, ids)
        logits_of(half, ids)
    routing.stop(), half_routing.stop()
    error = (scores(routing) - scores(half_routing)).abs().max().item()
    return ids, routing.margin(), error, routing.experts()[0].equal(half_routing.experts()[0])


def clear(model, half):
    """Sequences whose tokens go to the same experts in both by a clear lead, and the least of the leads."""
    least = torch.tensor([routed(model, half, seed)[2] for seed in range(TRIED)]).quantile(0.5).item()
    found, margins, seed = [], [], 0
    while len(found) < BATCH:
        ids, margin, _, same = routed(model, half, seed)
        seed += 1
        if margin >= least and same:
            found.append(ids)
            margins.append(margin)
    print(f"{BATCH} of {seed} sequences lead by {least:.3f}", flush=True)
    return torch.cat(found), min(margins)


def learn(model, ids):
    """Logits, and the gradient of the mean negative log-probability."""
    model.zero_grad()
    logits = logits_of(model, ids)
    (-next_logprobs(logits.float(), ids).mean()).backward()
    return logits.detach(), gradients(model)


def main(names):
    for name in names or FAMILIES:
        model = load(name)
        half = copy.deepcopy(model).bfloat16()
        # A bf16 model's angles are float32, as it is read.
        for target, source in zip(half.buffers(), model.buffers(), strict=True):
            target.data = source.data.clone()
        ids, margin = clear(model, half)
        (logits, learned), (half_logits, half_learned) = learn(model, ids), learn(half, ids)
        golden = {
            "ids": ids,
            "logits": logits,
            "logits_bf16": half_logits,
            "gradient_cosine_bf16": cosine(learned, half_learned),
            "router_margin": torch.tensor([margin]),
        }
        save(ROOT / name, "bf16", golden)
        far = (half_logits.float() - logits).abs().mean().item()
        angle = golden["gradient_cosine_bf16"].item()
        print(f"{name}: logits off by {far:.4f}, gradient's cosine {angle:.6f}")


if __name__ == "__main__":
    main(sys.argv[1:])
