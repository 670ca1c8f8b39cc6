"""Write tests/golden/parameters.json: the trained numbers of published models, in all and of those that one token passes.

Counted from transformers' models on the meta device, so nothing is downloaded or allocated. `active` leaves out the
routed experts that a token does not choose, and holds embedding and head. `mtp` is what the multi-token prediction
blocks add without their copies of embedding and head, `mtp_active` likewise; neither is in `total` or `active`. A
router's correction biases, which no gradient moves, are in none of them. Of Gemma 3 the text model alone counts.

Usage: python scripts/golden/parameters.py FOLDER   (FOLDER/<model>/config.json; needs torch and transformers 5)
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.modeling_layers import MtpModel


def count(module, config):
    """All numbers of `module`, and those that a token passes."""
    total = idle = 0
    for name, tensor in module.named_parameters():
        total += tensor.numel()
        if ".experts." in f".{name}":
            n_experts = tensor.shape[0]
            idle += tensor.numel() // n_experts * (n_experts - config.num_experts_per_tok)
    return total, total - idle


def entry(folder):
    config = AutoConfig.from_pretrained(folder).get_text_config()
    # The numbers are counted as they are trained, not as they are stored.
    config.quantization_config = None
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
        total, active = count(model, config)
        found = {"model": folder.name, "total": total, "active": active}
        blocks = getattr(config, "num_mtp_layers", 0) or 0
        if "num_nextn_predict_layers" in json.loads((folder / "config.json").read_text()):
            own = MtpModel(model, blocks).layers
            found["mtp"], found["mtp_active"] = count(own, config)
    return found


def main(source):
    folders = sorted(path.parent for path in source.glob("*/config.json"))
    entries = [json.dumps(entry(folder)) for folder in folders]
    root = Path(__file__).resolve().parents[2]
    (root / "tests/golden/parameters.json").write_text("[\n  " + ",\n  ".join(entries) + "\n]\n")
    print("\n".join(entries))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
