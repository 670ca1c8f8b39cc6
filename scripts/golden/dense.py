"""Write tests/golden/{qwen2,qwen3,llama}/: tiny random checkpoints and what transformers computes with them.

Each folder gets config.json, model.safetensors (the checkpoint), golden.safetensors (ids [B, T] i64,
logits [B, T, V], logprobs [B, T-1] of each next token, loss: their negated mean), gradients.safetensors (of loss, one
per parameter) and greedy.safetensors (as reference.py has it). Everything float32, eager attention, CPU, but for
logits_bf16 and gradient_cosine_bf16 in golden.safetensors, by the same model in bf16.

Usage: python scripts/golden/dense.py   (needs torch and transformers 5; from the repository root)
"""

import copy
from pathlib import Path

import torch
from reference import PROMPT, cosine, greedy, next_logprobs, save
from safetensors.torch import save_file
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

SIZES = dict(
    vocab_size=64,
    hidden_size=24,
    intermediate_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    bos_token_id=1,
    eos_token_id=2,
    dtype="float32",
)
BATCH, LENGTH = 3, 37


def configs():
    """The three checkpoints: tied head and biases; q and k norms under YaRN; own head under llama3."""
    yarn = {
        "rope_type": "yarn",
        "rope_theta": 1000.0,
        "factor": 4.0,
        "beta_fast": 2.0,
        "beta_slow": 0.25,
        "original_max_position_embeddings": 16,
    }
    llama3 = {
        "rope_type": "llama3",
        "rope_theta": 10000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    default = {"rope_type": "default", "rope_theta": 1e6}
    return {
        "qwen2": (
            Qwen2ForCausalLM,
            Qwen2Config(**SIZES, tie_word_embeddings=True, rope_parameters=default),
        ),
        "qwen3": (
            Qwen3ForCausalLM,
            Qwen3Config(**SIZES, head_dim=8, tie_word_embeddings=True, rope_parameters=yarn),
        ),
        "llama": (
            LlamaForCausalLM,
            LlamaConfig(
                **{**SIZES, "max_position_embeddings": 512},
                head_dim=8,
                tie_word_embeddings=False,
                rope_parameters=llama3,
            ),
        ),
    }


def main():
    root = Path(__file__).resolve().parents[2] / "tests" / "golden"
    for seed, (name, (cls, config)) in enumerate(configs().items()):
        config._attn_implementation = "eager"
        generator = torch.Generator().manual_seed(1000 + seed)
        model = cls(config).to(torch.float32).eval()
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                draw = torch.randn(parameter.shape, generator=generator)
                if "norm" in key:
                    parameter.copy_(1.0 + 0.3 * draw)
                elif key.endswith("bias"):
                    parameter.copy_(0.3 * draw)
                elif "embed" in key:
                    parameter.copy_(0.5 * draw)
                else:
                    parameter.copy_(draw * 1.5 / parameter.shape[-1] ** 0.5)
        ids = torch.randint(0, SIZES["vocab_size"], (BATCH, LENGTH), generator=generator)
        logits = model(input_ids=ids, use_cache=False).logits
        logprobs = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None]).squeeze(-1)
        loss = -logprobs.mean()
        loss.backward()

        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        model.config.architectures = [cls.__name__]
        model.config.save_pretrained(folder)
        weights = {k: p.detach().contiguous() for k, p in model.named_parameters()}
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        golden = {"ids": ids, "logits": logits, "logprobs": logprobs, "loss": loss.reshape(1)}
        gradients = {k: p.grad.contiguous() for k, p in model.named_parameters()}
        save(folder, "greedy", greedy(model, ids[0, :PROMPT]))
        assert all(g.abs().max() > 0 for g in gradients.values())
        save_file(gradients, folder / "gradients.safetensors", metadata={"format": "pt"})
        half = copy.deepcopy(model).to(torch.bfloat16)
        half.zero_grad()
        golden["logits_bf16"] = half(input_ids=ids, use_cache=False).logits
        (-next_logprobs(golden["logits_bf16"].float(), ids).mean()).backward()
        half_gradients = {k: p.grad for k, p in half.named_parameters()}
        golden["gradient_cosine_bf16"] = cosine(gradients, half_gradients)
        save(folder, "golden", golden)
        print(name, f"loss {loss.item():.6f}", sorted(p.stat().st_size for p in folder.iterdir()))


if __name__ == "__main__":
    main()
