"""Write tests/golden/deepseek_v3_mtp/: a tiny DeepSeek-V3 with its multi-token prediction block, as transformers' MtpModel
computes it. The folder holds what reference.py says of the main model, and

model.safetensors          the block as layer num_hidden_layers, with its copies of the embedding and the head
golden.safetensors         mtp_logits [B, T-1, V]: of position i, from the main model's hidden state there (after the final
                           norm) and the embedding of token i+1 at rope position i+1, for token i+2 · mtp_logprobs
                           [B, T-2] of those tokens · mtp_loss, their negated mean · mtp_logits_bf16 · mtp_experts and
                           mtp_experts_bf16 [1, B*(T-1), k]
mtp_gradients.safetensors  of mtp_loss alone, through the block into the main model
greedy.safetensors         drafts [64] and draft_margins [64]: what the block expects for each greedy token

Usage: python scripts/golden/mtp.py   (needs torch and transformers 5; from the repository root)
"""

import copy
import subprocess
import sys

import torch
from families import V3, verify
from reference import (
    EAGER,
    ROOT,
    ROUTER_MARGIN,
    Routing,
    build,
    draw,
    gradients,
    layout,
    save,
    seeds,
    write,
)
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from transformers.modeling_layers import MtpModel

NAME = "deepseek_v3_mtp"
LAYERS = 2
FIELDS = V3 | {"num_hidden_layers": LAYERS, "num_nextn_predict_layers": 1}
PREFIX = f"model.layers.{LAYERS}."
# Largest difference of a gradient from the one computed in double precision, relative to each tensor's largest number:
# half of what a test may ask. With most weights rounding alone makes more of it.
ROUNDING = 5e-6
# The block's own tensors: their name in transformers and in the layer of the checkpoint.
OWN = {"enorm": "enorm", "hnorm": "hnorm", "eh_proj": "eh_proj", "post_norm": "shared_head.norm"}


def head_of(model, seed):
    """A block for `model`, drawn."""
    head = MtpModel(model, 1).eval()
    with torch.no_grad():
        for name, tensor in [*head.layers.named_parameters(prefix="mtp"), *head.layers.named_buffers(prefix="mtp")]:
            tensor.copy_(draw(name, tensor.shape, seed, model.config))
    return head


def predict(model, head, ids):
    """Logits [B, T-1, V] of each token but the first's successor."""
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
    positions = torch.arange(1, ids.shape[1]).expand(len(ids), -1)
    hidden = head.forward_layer(0, hidden[:, :-1], positions, None, input_ids=ids[:, 1:])
    return head._project_to_logits(hidden)


def learn(model, head, ids):
    """Logits, log-probabilities and loss of the block, whose gradients are left in the weights."""
    logits = predict(model, head, ids)
    logprobs = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 2:, None]).squeeze(-1)
    loss = -logprobs.mean()
    loss.backward()
    return logits, logprobs, loss


def rounding(model, head, ids):
    """How far rounding moves the gradient."""

    def gradient(dtype):
        modules = [copy.deepcopy(module).to(dtype) for module in (model, head)]
        learn(*modules, ids)
        return [w.grad for module in modules for w in module.parameters() if w.grad is not None and w.grad.any()]

    pairs = zip(gradient(torch.float32), gradient(torch.float64), strict=True)
    return max(((single - double).abs().max() / double.abs().max()).item() for single, double in pairs)


def block(head, of=lambda tensor: tensor):
    """The block's tensors as the checkpoint has them; `of` makes the gradient of a weight from it, or leaves it."""
    layer = head.layers[0]
    carrier = build(FIELDS | {"num_hidden_layers": LAYERS + 1})
    for target, source in zip(carrier.model.layers[LAYERS].parameters(), layer.mtp_block.parameters(), strict=True):
        target.data = of(source).detach().clone()
    carrier.model.layers[LAYERS].load_state_dict(dict(layer.mtp_block.named_buffers()), strict=False)
    found = {k: v for k, v in layout(carrier).items() if k.startswith(PREFIX)}
    return found | {f"{PREFIX}{name}.weight": of(getattr(layer, own).weight) for own, name in OWN.items()}


def candidates():
    """As `seeds`, with a block whose routing hangs on no narrow difference either, and a gradient that rounding leaves."""
    for seed, model, ids, continuation in seeds(FIELDS):
        head = head_of(model, seed)
        whole = torch.cat([continuation["prompt"], continuation["tokens"]])[None]
        routing = Routing(head)
        with torch.no_grad():
            predict(model, head, ids)
            drafted = predict(model, head, whole)[0, len(continuation["prompt"]) - 2 : -1]
        if routing.stop().margin() >= ROUTER_MARGIN and rounding(model, head, ids) <= ROUNDING:
            two = drafted.topk(2, -1)
            drafts = {"drafts": two.indices[:, 0], "draft_margins": two.values[:, 0] - two.values[:, 1]}
            yield seed, model, ids, continuation | drafts, head


def main():
    seed, model, ids, continuation, head = next(candidates())
    folder, golden = write(NAME, FIELDS, seed, model, ids, continuation)
    copies = {"embed_tokens.weight": model.model.embed_tokens, "shared_head.head.weight": model.lm_head}
    weights = layout(model) | block(head) | {PREFIX + name: module.weight for name, module in copies.items()}
    save(folder, "model", weights)

    model.zero_grad()
    routing = Routing(head)
    logits, logprobs, loss = learn(model, head, ids)
    routing.stop()
    found = gradients(model) | block(head, lambda weight: weight.grad)
    save(folder, "mtp_gradients", {k: v for k, v in found.items() if not k.endswith("e_score_correction_bias")})

    half, half_head = read(torch.bfloat16)
    half_routing = Routing(half_head)
    with torch.no_grad():
        half_logits = predict(half, half_head, ids)
    extra = {"mtp_logits": logits, "mtp_logprobs": logprobs, "mtp_loss": loss.reshape(1), "mtp_logits_bf16": half_logits}
    extra["mtp_experts"], _ = routing.experts()
    extra["mtp_experts_bf16"], _ = half_routing.experts()
    golden["router_margin"] = torch.minimum(golden["router_margin"], torch.tensor([routing.margin()]))
    save(folder, "golden", golden | extra)
    accepted = continuation["drafts"].eq(continuation["tokens"]).sum().item()
    print(f"    mtp loss {loss.item():.4f}, router margin {routing.margin():.1e}, {accepted} of 64 drafts accepted")
    subprocess.run([sys.executable, __file__, "--verify"], check=True)


def read(dtype):
    """The folder's main model and its block."""
    model = AutoModelForCausalLM.from_pretrained(ROOT / NAME, dtype=dtype, **EAGER).eval()
    # transformers knows the layer by its number in the published model, 61.
    model._keys_to_ignore_on_load_unexpected = [rf"model\.layers\.{LAYERS}\..*"]
    return model, MtpModel.from_pretrained(model).eval()


def verify_block():
    """The files alone give the block's logits again, and drafting with it changes no greedy token."""
    golden, greedy = (load_file(ROOT / NAME / f"{name}.safetensors") for name in ["golden", "greedy"])
    model, head = read(torch.float32)
    with torch.no_grad():
        difference = (predict(model, head, golden["ids"]) - golden["mtp_logits"]).abs().max().item()
    assert difference <= 1e-5, f"read again, the block's logits differ by {difference}"
    model.generation_config.eos_token_id = None
    found = model.generate(greedy["prompt"][None], max_new_tokens=64, do_sample=False, use_mtp=True)
    assert found[0, len(greedy["prompt"]) :].equal(greedy["tokens"]), "drafting changed a token"
    return difference


if __name__ == "__main__":
    if sys.argv[1:2] == ["--verify"]:
        print(f"    read again: {verify(NAME):.1e}, the block {verify_block():.1e}")
    else:
        main()
