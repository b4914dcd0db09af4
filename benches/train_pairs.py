#!/usr/bin/env python3
"""Our trainer against PyTorch: the same models, in turn on one machine.

    python3 benches/train_pairs.py [--quick] [--out FILE] [--part alone|side-by-side|small] [--width D]

Each pair trains one shape with `crates/train/examples/throughput.rs` (whole optimiser steps, data reading included)
and then with `bench/torch_gpt.py` of the shared folder (fused AdamW; torch.compile, and eager). A table's number is the
median over pairs; speeds are tokens per second of the median second (ours) or median step (PyTorch), memory is the
peak resident size of the process. On a machine that is not idle, look at tokens per second of processor time instead.

alone           one process, two threads, d = 64, 128, 256
side by side    two processes of one thread at once, their tokens per second added up
small           one process, one thread, d = 16, 24, 32, 48, the better of eager and compile

Needs PyTorch (`pip install torch`) and FORESCALE_SHARED, or ../shared beside the repository.
"""

import argparse
import datetime
import importlib.util
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Shape:
    """What both sides train: SwiGLU, vocabulary 256, one input table."""

    width: int
    heads: int
    layers: int
    context: int
    sequences: int
    torch_steps: int

    @property
    def mlp_hidden(self):
        """As in torch_gpt.py."""
        return (8 * self.width // 3 + 15) // 16 * 16

    def ours(self, binary, threads, seconds):
        numbers = {
            "width": self.width, "heads": self.heads, "layers": self.layers, "context": self.context,
            "sequences": self.sequences, "mlp-hidden": self.mlp_hidden, "input-order": 1,
            "threads": threads, "seconds": seconds,
        }
        return [str(binary), "--json"] + [word for name, value in numbers.items() for word in (f"--{name}", str(value))]

    def theirs(self, script, threads, compiled):
        numbers = {
            "d": self.width, "h": self.heads, "l": self.layers, "t": self.context, "b": self.sequences,
            "threads": threads, "steps": self.torch_steps,
        }
        words = [word for name, value in numbers.items() for word in (f"--{name}", str(value))]
        return [sys.executable, str(script), "--fusedadam", *words] + (["--compile"] if compiled else [])


LARGE = [
    Shape(width, heads=4, layers=4, context=256, sequences=16, torch_steps=steps)
    for width, steps in [(64, 30), (128, 16), (256, 10)]
]
# Heads of eight channels: the head size that the ladder's smallest rungs use.
SMALL = [
    Shape(width, heads=width // 8, layers=2, context=128, sequences=sequences, torch_steps=steps)
    for width, sequences, steps in [(16, 2, 500), (24, 3, 300), (32, 3, 250), (48, 5, 120)]
]


@dataclass(frozen=True)
class Measured:
    tokens_per_second: float
    tokens_per_processor_second: float
    memory_mb: float


def fail(problem, hint):
    sys.exit(f"error: {problem}\n\nhint: {hint}")


def find_script():
    shared = Path(os.environ.get("FORESCALE_SHARED", REPOSITORY.parent / "shared"))
    script = shared / "bench" / "torch_gpt.py"
    if not script.is_file():
        fail(f"`{script}` is not there", "set FORESCALE_SHARED to the folder that holds bench/torch_gpt.py")
    if importlib.util.find_spec("torch") is None:
        fail(f"`{sys.executable}` has no torch", "pip install torch")
    return script


def build():
    command = ["cargo", "build", "--release", "--locked", "-p", "forescale-train", "--example", "throughput"]
    if subprocess.run(command, cwd=REPOSITORY).returncode != 0:
        fail("the trainer did not build", " ".join(command))
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    return (REPOSITORY / target / "release" / "examples" / "throughput").resolve()


def run_at_once(command, copies):
    """Runs copies of a command at once; returns what each printed, and its peak resident size in MB."""
    with tempfile.TemporaryDirectory() as folder:
        running = []
        for copy in range(copies):
            out = Path(folder) / str(copy)
            with out.open("w") as file:
                running.append((subprocess.Popen(command, stdout=file, stderr=subprocess.DEVNULL), out))
        results = []
        for process, out in running:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode != 0:
                fail(f"`{' '.join(command)}` ended with {process.returncode}", "run it by hand to see why")
            results.append((out.read_text(), usage.ru_maxrss / 1024))
        return results


def together(measured):
    """What processes that ran at once did: speeds and memory added up, the speed of processor time averaged."""
    return Measured(
        sum(one.tokens_per_second for one in measured),
        statistics.mean(one.tokens_per_processor_second for one in measured),
        sum(one.memory_mb for one in measured),
    )


def measure_ours(binary, shape, threads, copies, seconds):
    def read(text, memory):
        row = json.loads(text.splitlines()[-1])
        return Measured(row["tokens_per_second"], row["tokens_per_processor_second"] or float("nan"), memory)

    results = run_at_once(shape.ours(binary, threads, seconds), copies)
    return together([read(*result) for result in results])


def measure_theirs(script, shape, threads, copies, compiled):
    tokens = shape.sequences * shape.context

    def read(text, memory):
        wall, processor = re.search(r"wall/step min=\S+ med=(\S+).*cpu/step min=\S+ med=(\S+)", text).groups()
        return Measured(tokens / float(wall) * 1e3, tokens / float(processor) * 1e3, memory)

    results = run_at_once(shape.theirs(script, threads, compiled), copies)
    return together([read(*result) for result in results])


@dataclass(frozen=True)
class Part:
    title: str
    shapes: list
    threads: int
    copies: int


PARTS = {
    "alone": Part("Alone: one process, two threads", LARGE, threads=2, copies=1),
    "side-by-side": Part("Side by side: two processes, one thread each", LARGE, threads=1, copies=2),
    "small": Part("Small rungs: one process, one thread", SMALL, threads=1, copies=1),
}

HEADER = (
    "| d | ours, tokens/s | torch.compile | eager | ours / compile | ours / eager | the same per processor second "
    "| memory, ours | compile | eager |\n|---|---|---|---|---|---|---|---|---|---|"
)


def compare(part, shape, binary, script, pairs, seconds):
    """One row: medians over pairs; a ratio is the median of the ratios of its pairs."""
    runs = []
    for pair in range(pairs):
        ours = measure_ours(binary, shape, part.threads, part.copies, seconds)
        compiled, eager = (measure_theirs(script, shape, part.threads, part.copies, way) for way in (True, False))
        runs.append((ours, compiled, eager))
        print(
            f"{part.title}, d {shape.width}, pair {pair + 1} of {pairs}: ours {ours.tokens_per_second:.0f}, "
            f"compile {compiled.tokens_per_second:.0f}, eager {eager.tokens_per_second:.0f}",
            file=sys.stderr, flush=True,
        )

    def median(value):
        return statistics.median(value(*run) for run in runs)

    speeds = [median(lambda *run, i=i: run[i].tokens_per_second) for i in range(3)]
    ratios = [median(lambda *run, i=i: run[0].tokens_per_second / run[i].tokens_per_second) for i in (1, 2)]
    processor = [
        median(lambda *run, i=i: run[0].tokens_per_processor_second / run[i].tokens_per_processor_second)
        for i in (1, 2)
    ]
    memory = [median(lambda *run, i=i: run[i].memory_mb) for i in range(3)]
    cells = [shape.width] + [f"{speed:,.0f}" for speed in speeds] + [f"{ratio:.2f}" for ratio in ratios]
    cells += [" / ".join(f"{ratio:.2f}" for ratio in processor)] + [f"{size:.0f} MB" for size in memory]
    return "| " + " | ".join(map(str, cells)) + " |"


def machine():
    try:
        names = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        names = []
    return f"{os.cpu_count()} cores of {names[0] if names else platform.processor() or platform.machine()}"


def preface(pairs):
    import importlib.metadata

    def said(*command):
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True).stdout.strip()

    load = os.getloadavg()[0]
    return (
        f"{datetime.date.today().isoformat()}, {machine()}, load {load:.1f} at the start; torch "
        f"{importlib.metadata.version('torch')}, {said('rustc', '--version').split(' (')[0]}, commit "
        f"{said('git', 'describe', '--always', '--dirty')}; {pairs} pairs, f32."
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one pair, short runs")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the tables here too (Markdown)")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part; may be given again")
    parser.add_argument("--width", type=int, action="append", help="only this width; may be given again")
    parser.add_argument("--binary", type=Path, help="a throughput example built before; else it is built here")
    arguments = parser.parse_args()
    script = find_script()
    binary = arguments.binary or build()
    pairs, seconds = (1, 3) if arguments.quick else (arguments.pairs, 4)
    lines = [preface(pairs)]
    for name in arguments.part or PARTS:
        part = PARTS[name]
        shapes = [shape for shape in part.shapes if not arguments.width or shape.width in arguments.width]
        if shapes:
            rows = [compare(part, shape, binary, script, pairs, seconds) for shape in shapes]
            lines += ["", f"## {part.title}", "", HEADER, *rows]
    text = "\n".join(lines) + "\n"
    if arguments.out:
        arguments.out.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
