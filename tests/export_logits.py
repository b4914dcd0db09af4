#!/usr/bin/env python3
"""Holds an exported checkpoint, as transformers computes it, against the logits that Forescale wrote.

    forescale export SWEEP --format hf --out DIR --logits 8
    python3 tests/export_logits.py DIR DIR/logits.safetensors

Needs torch and transformers (4.51 or newer). Exit 0: the logits agree; 1: they do not; 2: there was nothing to compare.
"""

import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, Qwen3ForCausalLM

# Two programs in single precision over a few blocks: rounding gives about 1e-6 of the largest logit.
ALLOWED = 1e-4


def refuse(problem):
    print(f"error: {problem}", file=sys.stderr)
    sys.exit(2)


def load(folder):
    """The model of a folder, every weight of which came from that folder, and no weight of which was left over."""
    model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    if not isinstance(model, Qwen3ForCausalLM):
        refuse(f"`{folder}` loads as {type(model).__name__}, not as Qwen3ForCausalLM")
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info.get(kind):
            refuse(f"`{folder}` has {kind.replace('_', ' ')}: {sorted(map(str, info[kind]))}")
    return model.eval()


def main():
    if len(sys.argv) != 3:
        refuse("usage: export_logits.py DIR LOGITS")
    folder, file = sys.argv[1:]
    held = load_file(file)
    tokens, ours = held["tokens"], held["logits"]
    if ours.shape[:2] != tokens.shape or ours.numel() == 0:
        refuse(f"`{file}` holds tokens {tuple(tokens.shape)} and logits {tuple(ours.shape)}")
    with torch.no_grad():
        theirs = load(folder)(input_ids=tokens).logits
    if theirs.dtype != torch.float32 or theirs.shape != ours.shape:
        refuse(f"transformers gives {theirs.dtype} {tuple(theirs.shape)}, not float32 {tuple(ours.shape)}")
    if not ours.abs().max() > 1e-2:
        refuse("all logits are near zero, which agrees with anything: the model is not trained")
    difference = (theirs - ours).abs().max().item()
    print(f"largest difference {difference:.1e} (allowed {ALLOWED:.0e}) over {ours.numel()} logits up to {ours.abs().max():.2f}")
    sys.exit(0 if difference <= ALLOWED else 1)


if __name__ == "__main__":
    main()
