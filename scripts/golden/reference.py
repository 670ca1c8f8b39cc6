"""What a transformers model computes, written down: the files of a folder of tests/golden/.

config.json            as published checkpoints spell it
config_v5.json         the same, as transformers 5 spells it
model.safetensors      the weights in the published layout, each expert's matrices apart
golden.safetensors     ids [B, T] i64 · logits [B, T, V] · logprobs [B, T-1] of each next token · loss, their negated
                       mean · logits_bf16 [B, T, V], by a bf16 model, and the cosine between its gradient and the other,
                       gradient_cosine_bf16 [1] · gradient_error [1], how far the gradient in float32 is from that in
                       gradients.safetensors: the largest difference, as a share of its tensor's largest number · with
                       experts also, over sparse layers S and the N = B*T tokens: experts and experts_bf16 [S, N, k] i32, ascending, with routing_weights [S, N, k] of
                       the first · router_margin [1], the smallest difference between a score chosen and one not chosen
gradients.safetensors  of loss, named as in the checkpoint, computed in float64 and rounded: float32 alone is off by up to
                       2e-5 of a tensor's largest number in the deeper ones
greedy.safetensors     prompt [P] i64 · tokens [64] i64, the greedy continuation without an end, or as many as the model
                       has positions for · margins between the largest logit and the next · logprobs of the tokens

Everything float32, eager attention, CPU, except the gradients and what bf16 is named after.
"""

import copy
import json
import tempfile
import zlib
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()
ROOT = Path(__file__).resolve().parents[2] / "tests" / "golden"
BATCH, LENGTH, PROMPT, GREEDY = 2, 40, 12, 64
# Neither attention nor experts by anything but plain products.
EAGER = {"attn_implementation": "eager", "experts_implementation": "eager"}
# A seed is passed over where a token's experts or its greedy successor hang on less.
ROUTER_MARGIN, GREEDY_MARGIN = 1e-4, 2e-3


def build(fields):
    """The empty float32 model of a config as published."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(fields))
        config = AutoConfig.from_pretrained(folder)
    config.dtype = torch.float32
    return AutoModelForCausalLM.from_config(config, **EAGER).eval()


def draw(name, shape, seed, config):
    """A tensor's numbers, by its name and the seed: all of them change the logits."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()) * 1009 + seed)
    noise = torch.randn(shape, generator=generator)
    # Where the head is the embedding, small rows under a large last gain keep a token from being its own successor.
    tied = config.tie_word_embeddings
    if name.endswith("norm.weight"):
        gain = 8.0 if tied and name == "model.norm.weight" else 1.0
        # Gemma stores what a gain is above one.
        return gain - config.model_type.startswith("gemma3") + 0.3 * noise
    if name.endswith("e_score_correction_bias"):
        return 0.1 * noise
    if name.endswith("bias"):
        return 0.3 * noise
    if "embed_tokens" in name:
        return (0.05 if tied else 0.5) * noise
    return noise * 1.5 / shape[-1] ** 0.5


@torch.no_grad()
def fill(model, seed):
    """Draws every parameter and the routers' correction biases."""
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if isinstance(tensor, torch.nn.Parameter) or name.endswith("e_score_correction_bias"):
            tensor.copy_(draw(name, tensor.shape, seed, model.config))


class Routing:
    """Watches the routers of a model: what they chose, by which weights, how narrowly."""

    def __init__(self, model):
        self.config = model.config
        self.calls = []
        routers = [m for m in model.modules() if type(m).__name__.lower().endswith("topkrouter")]
        self.hooks = [router.register_forward_hook(self.see) for router in routers]

    def see(self, router, _, output):
        logits, weights, experts = output
        self.calls.append((router, logits.detach().float(), weights.detach().float(), experts))

    def stop(self):
        for hook in self.hooks:
            hook.remove()
        return self

    def experts(self):
        """[S, N, k] i32, ascending, and their weights."""
        order = [experts.sort(-1) for *_, experts in self.calls]
        weights = [weights.gather(-1, o.indices) for (_, _, weights, _), o in zip(self.calls, order)]
        return torch.stack([o.values for o in order]).int(), torch.stack(weights)

    def margin(self):
        """The smallest difference between the last chosen and the first not chosen, among groups and experts."""
        return min(margin(router, logits) for router, logits, *_ in self.calls)


def margin(router, logits):
    bias = getattr(router, "e_score_correction_bias", None)
    scores = logits.softmax(-1) if bias is None else logits.sigmoid() + bias
    smallest = float("inf")
    n_group, kept = getattr(router, "num_group", None) or 1, getattr(router, "topk_group", None) or 1
    limited = bias is not None or getattr(router, "topk_method", "greedy") == "group_limited_greedy"
    if limited and kept < n_group:
        groups = scores.unflatten(-1, (n_group, -1))
        groups = groups.amax(-1) if bias is None else groups.topk(2, -1).values.sum(-1)
        ordered = groups.sort(-1, descending=True)
        smallest = (ordered.values[:, kept - 1] - ordered.values[:, kept]).min().item()
        keep = torch.zeros_like(groups).scatter_(1, ordered.indices[:, :kept], 1).bool()
        scores = scores.masked_fill(~keep.repeat_interleave(scores.shape[-1] // n_group, -1), float("-inf"))
    ordered = scores.sort(-1, descending=True).values
    return min(smallest, (ordered[:, router.top_k - 1] - ordered[:, router.top_k]).min().item())


def logits_of(model, ids):
    return model(input_ids=ids, use_cache=False).logits


def next_logprobs(logits, ids):
    """Of ids[:, 1:] under logits[:, :-1]."""
    return logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None]).squeeze(-1)


@torch.no_grad()
def greedy(model, prompt):
    """The prompt's continuation, each token by a forward pass over all before it."""
    ids, margins, logprobs = prompt[None], [], []
    for _ in range(min(GREEDY, model.config.max_position_embeddings - len(prompt))):
        last = logits_of(model, ids)[0, -1]
        two = last.topk(2)
        margins.append(two.values[0] - two.values[1])
        logprobs.append(last.log_softmax(-1)[two.indices[0]])
        ids = torch.cat([ids, two.indices[None, :1]], dim=1)
    tokens = ids[0, len(prompt) :]
    return {"prompt": prompt, "tokens": tokens, "margins": torch.stack(margins), "logprobs": torch.stack(logprobs)}


def layout(model):
    """A model's tensors as its published checkpoints name and cut them."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return load_file(Path(folder) / "model.safetensors")


def gradients(model):
    """What backward left, in the layout of the checkpoint."""
    twin = copy.deepcopy(model)
    for target, source in zip(twin.parameters(), model.parameters(), strict=True):
        target.data = source.grad.clone()
    found = {k: v for k, v in layout(twin).items() if not k.endswith("e_score_correction_bias")}
    # An expert that no token chose has none; every other tensor has some.
    assert all(v.abs().max() > 0 or ".experts." in k for k, v in found.items())
    return found


def cosine(a, b):
    """Between two gradients, as one vector each: [1]."""
    dot = lambda x, y: sum((x[k].double() * y[k].double()).sum() for k in x)
    return (dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()).float().reshape(1)


def farthest(found, exact):
    """The largest difference of a tensor, as a share of its largest number: [1]."""
    share = lambda k: ((found[k] - exact[k]).abs().max() / exact[k].abs().max().clamp(min=1e-30)).item()
    return torch.tensor([max(share(k) for k in exact)])


def save(folder, name, tensors):
    tensors = {k: v.detach().clone().contiguous() for k, v in tensors.items()}
    save_file(tensors, folder / f"{name}.safetensors", metadata={"format": "pt"})


def seeds(fields, prepare=lambda model: model):
    """Models of `fields` with sequences, greedy continuations and routing that hang on no narrow difference; `prepare`
    makes a model from the one that was drawn."""
    for seed in range(1000):
        model = build(fields)
        fill(model, seed)
        model = prepare(model)
        generator = torch.Generator().manual_seed(7000 + seed)
        # The embedding of padding has no gradient of its own in transformers: Gemma's, which is token 0.
        lowest = 0 if model.config.pad_token_id is None else model.config.pad_token_id + 1
        ids = torch.randint(lowest, fields["vocab_size"], (BATCH, LENGTH), generator=generator)
        routing = Routing(model)
        with torch.no_grad():
            logits_of(model, ids)
        if routing.calls and routing.margin() < ROUTER_MARGIN:
            continue
        continuation = greedy(model, ids[0, :PROMPT])
        if routing.calls and routing.margin() < ROUTER_MARGIN:
            continue
        routing.stop()
        if continuation["margins"].min() >= GREEDY_MARGIN and len(set(continuation["tokens"].tolist())) >= 16:
            yield seed, model, ids, continuation


def write(name, fields, seed, model, ids, continuation):
    """The folder of one model; returns it and the golden tensors, which are in golden.safetensors by then."""
    folder = ROOT / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(fields, indent=2) + "\n")
    model.config.architectures = fields["architectures"]
    (folder / "config_v5.json").write_text(model.config.to_json_string())
    save(folder, "model", layout(model))

    routing = Routing(model)
    logits = logits_of(model, ids)
    routing.stop()
    logprobs = next_logprobs(logits, ids)
    loss = -logprobs.mean()
    exact = copy.deepcopy(model).double()
    (-next_logprobs(logits_of(exact, ids), ids).mean()).backward()
    learned = {k: v.float() for k, v in gradients(exact).items()}
    loss.backward()
    save(folder, "gradients", learned)
    save(folder, "greedy", continuation)

    half = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, **EAGER).eval()
    half_routing = Routing(half)
    half_logits = logits_of(half, ids)
    half_routing.stop()
    golden = {"ids": ids, "logits": logits, "logprobs": logprobs, "loss": loss.reshape(1), "logits_bf16": half_logits}
    (-next_logprobs(half_logits.float(), ids).mean()).backward()
    golden["gradient_cosine_bf16"] = cosine(learned, gradients(half))
    golden["gradient_error"] = farthest(gradients(model), learned)
    if routing.calls:
        golden["experts"], golden["routing_weights"] = routing.experts()
        golden["experts_bf16"], _ = half_routing.experts()
        golden["router_margin"] = torch.tensor([routing.margin()])
    save(folder, "golden", golden)

    same = golden["experts"].eq(golden["experts_bf16"]).all(-1).float().mean().item() if routing.calls else 1.0
    far = (half_logits.float() - logits).abs().mean().item()
    size = sum(p.stat().st_size for p in folder.iterdir())
    print(
        f"{name}: seed {seed}, loss {loss.item():.4f}, greedy margin {continuation['margins'].min():.4f}, "
        f"router margin {routing.margin() if routing.calls else float('nan'):.1e}, same experts in bf16 {same:.3f}, "
        f"bf16 logits off by {far:.4f} of {logits.std().item():.2f}, "
        f"gradient's cosine {golden['gradient_cosine_bf16'].item():.5f}, {size} bytes"
    )
    return folder, golden
