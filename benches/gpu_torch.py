#!/usr/bin/env python3
"""The default family in PyTorch, compiled, in bfloat16: how fast it trains on a card, as a line of JSON for each shape.

    python3 benches/gpu_torch.py \\
        '{"width": 256, "layers": 8, "heads": 4, "context": 512, "sequences": 64, "mlp_hidden": 704}' ...

The same architecture as crates/train/src/model/qwen3.rs: pre-norm RMSNorm, rotary positions, norms with weights on queries
and keys, SwiGLU, no bias, input and output tables apart. Matrix products run in bfloat16 under autocast, weights and
moments stay in float32; scaled_dot_product_attention, torch.compile, fused AdamW, clipping of the gradient's norm.
Each step waits for its loss no more than ours does: every tenth is read.
"""

import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional

READ_EVERY = 10
SHAPE = {"width", "layers", "heads", "context", "sequences", "mlp_hidden"}


def rotate(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return functional.rms_norm(x, self.gain.shape, self.gain.to(x.dtype), 1e-6)


def matrix(inputs, outputs):
    linear = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(linear.weight, std=inputs**-0.5)
    return linear


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.packed, self.out = matrix(width, 3 * width), matrix(width, width)
        self.query_norm, self.key_norm = Norm(width // heads), Norm(width // heads)

    def forward(self, x, cos, sin):
        batch, context, width = x.shape
        split = self.packed(x).view(batch, context, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        query, key = (rotate(norm(it), cos, sin) for norm, it in ((self.query_norm, query), (self.key_norm, key)))
        # Norms leave float32 behind under autocast; the fast kernels of attention want what products give.
        query, key = query.to(value.dtype), key.to(value.dtype)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(batch, context, width))


class Mlp(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.gate_up, self.down = matrix(width, 2 * hidden), matrix(hidden, width)

    def forward(self, x):
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(functional.silu(gate) * up)


class Block(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.attention_norm, self.mlp_norm = Norm(width), Norm(width)
        self.attention, self.mlp = Attention(width, heads), Mlp(width, hidden)

    def forward(self, x, cos, sin):
        x = x + self.attention(self.attention_norm(x), cos, sin)
        return x + self.mlp(self.mlp_norm(x))


class Model(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape.width, shape.heads, shape.mlp_hidden) for _ in range(shape.layers))
        self.norm, self.readout = Norm(shape.width), matrix(shape.width, shape.vocabulary)
        half = shape.width // shape.heads // 2
        angles = torch.arange(shape.context)[:, None] * 1e4 ** (-torch.arange(half) / half)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, tokens, targets):
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits = self.readout(self.norm(x))
        return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def measure(shape, seconds):
    # Nothing that was compiled for another shape, or widened to take both.
    torch.compiler.reset()
    torch.manual_seed(0)
    model = Model(shape).to(shape.device)
    compiled = torch.compile(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), fused=True)
    text = torch.randint(shape.vocabulary, (64, shape.sequences, shape.context + 1), device=shape.device)

    def step(number):
        window = text[number % len(text)]
        with torch.autocast(shape.device, torch.bfloat16):
            loss = compiled(window[:, :-1], window[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss

    for number in range(20):
        step(number).item()
    times, number, began = [], 0, time.perf_counter()
    while time.perf_counter() - began < seconds or len(times) < 3:
        since = time.perf_counter()
        for _ in range(READ_EVERY):
            loss = step(number)
            number += 1
        loss.item()
        times.append((time.perf_counter() - since) / READ_EVERY)
    return shape.sequences * shape.context / statistics.median(times), loss.item()


def shape_of(text):
    """A shape as typed; a name too many or too few is refused before anything is measured."""
    shape = json.loads(text)
    if set(shape) != SHAPE:
        raise ValueError(f"a shape has {', '.join(sorted(SHAPE))}")
    return shape


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shapes", type=shape_of, nargs="+", metavar="SHAPE")
    parser.add_argument("--vocabulary", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    for numbers in arguments.shapes:
        shape = argparse.Namespace(**numbers, vocabulary=arguments.vocabulary, device=arguments.device)
        found = {"torch": torch.__version__, "width": shape.width}
        try:
            speed, loss = measure(shape, arguments.seconds)
            found |= {"tokens_per_second": speed, "loss": loss}
        except RuntimeError as error:
            # Out of memory, above all; the other shapes are measured all the same.
            found["problem"] = str(error).splitlines()[0]
        if shape.device == "cuda":
            torch.cuda.empty_cache()
        # At once, so that a shape that takes too long leaves what was said before.
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
