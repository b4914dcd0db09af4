#!/usr/bin/env python3
"""Whether training on a card is right, and how fast: one command, meant for under eight minutes, one table.

    python3 benches/gpu_check.py [--dry [--slow-start SECONDS]] [--binary FILE] [--check FILE] [--out FILE] [--part NAME ...]

Needs the two binaries that `just cuda-build` makes, and on the machine with the card a Python with PyTorch. With --dry the
same code runs at tiny sizes on the CPU (kernels in the emulation of a card, which needs a C++ compiler), with whatever
binaries there are and without PyTorch, writes no page unless --out asks for one, and judges no speed; CI runs that.

operations  each operation of training on the card, forward and backward, against the CPU's
parity      the same run on card and CPU ends within two standard deviations between seeds
resume      a run killed outright and gone on with ends with the result of one that was not
speed       tokens/s and MFU at d = 256, 512, 1024 against torch.compile with SDPA, all in bfloat16
family      16 small runs through `forescale run` at once, against 3 of them one after another

Each part has its own time, what earlier ones left over added, and its own failure: one that fails, or takes too long, leaves the
others alone, and what it found before stays. On a card some 90 processes open it, half of them one after another (`family` is
84 of them), and opening takes from one second to several: `family` measures how long, and takes the runs and the seconds that its
time suffices for. --slow-start has each of these processes wait so long, to rehearse that without a card. The exit code is 0 when
all that ran held its bar, 1 when something did not, 2 when the check itself could not be made.
"""

import argparse
import contextlib
import datetime
import importlib.metadata
import importlib.util
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))

# Seconds that each part may take on a card, and what earlier ones left over besides; together less than eight minutes.
SECONDS = {"operations": 50, "parity": 60, "resume": 50, "speed": 150, "family": 150}
RUNS = 16
# How much of a family is measured, the most first: seconds in which a run trains, once it has started, and how many go one after
# another. A rate needs no more of these, and less of both where starting takes the time.
SIZES = [(3.0, 3), (2.0, 3), (1.5, 2)]
MPS = "nvidia-cuda-mps-control"
FAMILY_BAR, TORCH_BAR, TORCH_GOAL = 3.0, 0.7, 1.0


class Failed(Exception):
    """A part could not be measured; the words say why."""


class TookTooLong(Failed):
    """Its time was over first."""


@dataclass
class Bar:
    """Something asked for, and whether it held; None where it was not judged."""

    words: str
    held: bool | None


@dataclass
class Part:
    """What came of a part: lines of Markdown, notes below them, bars, and why it could not be measured, if so."""

    name: str
    lines: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    bars: list = field(default_factory=list)
    problem: str | None = None
    seconds: float = 0.0


class Clock:
    """The time of one part."""

    def __init__(self, seconds):
        self.end = time.monotonic() + seconds

    def left(self):
        return max(self.end - time.monotonic(), 1.0)

    def share(self, part):
        """The clock of a share of what is left."""
        return Clock(part * self.left())


def run(command, clock, **options):
    """A command's output; its last words where it fails or takes longer than the part has."""
    words = " ".join(map(str, command))
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    try:
        done = subprocess.run(list(map(str, command)), text=True, timeout=clock.left(), **options)
    except subprocess.TimeoutExpired:
        raise TookTooLong(f"`{words}` took longer than this part may") from None
    except OSError as error:
        raise Failed(f"`{words}` does not start: {error}") from None
    if done.returncode != 0:
        said = (done.stderr or "").strip() or (done.stdout or "").strip()
        raise Failed(f"`{words}` ended with {done.returncode}: {' / '.join(said.splitlines()[-4:])}")
    return done.stdout


# ------------------------------------------------------------------------------------------------- sweeps of our own

SPEC = """
schema = "forescale.sweep/1.1"
name = "{name}"
description = "Made by benches/gpu_check.py"

[corpus]
source = "zipf-facts"
vocabulary = 64
facts = 262144
key_digits = 3
exponent = 1.5
noise = 0.05
train_tokens = {train_tokens}
validation_tokens = 65536
seed = 1

[model]
layers = {layers}
head_size = {head_size}
context = {context}

[training]
# The same batch for every length, so that a run's speed can be told from a shorter one.
batch_coefficient = {batch}
batch_exponent = 0.0
allow_repeats = true

[evaluation]
tokens = 16384
curve_points = 1

[ladder]
widths = [{width}]
tokens_per_param = {tokens_per_param}
seeds = {seeds}
"""


@dataclass(frozen=True)
class Family:
    """Runs of one shape and several seeds, on a synthetic text."""

    width: int
    layers: int
    head_size: int
    context: int
    batch: int

    def spec(self, name, tokens_per_param, seeds, train_tokens):
        numbers = {**self.__dict__, "batch": float(self.batch)}
        return SPEC.format(
            name=name, tokens_per_param=tokens_per_param, seeds=seeds, train_tokens=train_tokens, **numbers
        )


def cuda_libraries():
    """Folders of the CUDA libraries that came with PyTorch, which our binaries are linked against as well."""
    torch = importlib.util.find_spec("torch")
    if torch is None:
        return []
    packages = Path(torch.submodule_search_locations[0]).parent
    return sorted({str(path.parent) for path in packages.glob("nvidia/**/lib*.so*")})


SLOW_START = """
#include <string.h>
#include <unistd.h>

__attribute__((constructor)) static void begin(int count, char **words) {
    for (int word = 1; word < count; ++word)
        if (!strcmp(words[word], "exec") || !strcmp(words[word], "--part")) usleep(%d);
}
"""


def slow_start(folder, seconds):
    """A library that has every process wait which would open a card, as a slow driver has it; for rehearsals."""
    source, library = folder / "slow_start.c", folder / "slow_start.so"
    source.write_text(SLOW_START % int(1e6 * seconds))
    run(["cc", "-shared", "-fPIC", source, "-o", library], Clock(60))
    return library


class Bench:
    """Where the check works: binaries, device, a folder and a cache that are thrown away."""

    def __init__(self, arguments, folder):
        self.dry = arguments.dry
        self.device = "cpu" if self.dry else "cuda"
        self.forescale, self.check, self.peak = arguments.binary, arguments.check, arguments.peak_tflops
        self.folder = folder
        self.environment = {**os.environ, "FORESCALE_CACHE": str(folder / "cache"), "NO_COLOR": "1"}
        if not self.dry:
            known = [path for path in [os.environ.get("LD_LIBRARY_PATH")] if path]
            self.environment["LD_LIBRARY_PATH"] = ":".join(known + cuda_libraries())
        if self.dry:
            self.family = Family(width=16, layers=1, head_size=8, context=32, batch=64)
        else:
            self.family = Family(width=128, layers=4, head_size=32, context=256, batch=8192)
        self.train_tokens = 500_000 if self.dry else 16_000_000
        if arguments.slow_start:
            self.environment["LD_PRELOAD"] = str(slow_start(folder, arguments.slow_start))

    def command(self, clock, *words):
        return run([self.forescale, *words], clock, cwd=self.folder, env=self.environment)

    def sweep(self, name, tokens_per_param, seeds, family=None):
        """A sweep's folder; one that is there is written anew."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        spec = (family or self.family).spec(name, tokens_per_param, seeds, self.train_tokens)
        (folder / "sweep.toml").write_text(spec)
        return folder

    def train(self, clock, sweep, *words):
        """Trains a sweep's ladder; returns the seconds it took."""
        began = time.monotonic()
        self.command(clock, "run", sweep, "--device", self.device, "--stop-after", "ladder", *words)
        return time.monotonic() - began


def records(sweep):
    """Sealed records by run name."""
    found = [json.loads(path.read_text()) for path in sweep.glob("runs/*/record.json")]
    return {record["name"]: record for record in found}


def loss(record):
    return next(metric["value"] for metric in record["metrics"] if metric["name"] == "loss")


def speed_logged(sweep):
    """Tokens per second of a sweep's only run, from its log: the median, without the first line."""
    [log] = sweep.glob("runs/*/log.jsonl")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    speeds = [line["tokens_per_second"] for line in lines if line["event"] == "step"]
    if not speeds:
        raise Failed(f"`{log}` holds no step")
    return statistics.median(speeds[1:] or speeds)


# ------------------------------------------------------------------------------------------------------------- parts


@dataclass
class Rate:
    """How fast a family was trained."""

    # Tokens per second of all of it, starts and ends included.
    whole: float
    # Tokens per second of those that trained while most of them did; None where runs were too short to tell.
    training: float | None
    # Most runs on their way at once.
    at_once: int
    records: dict
    # So many were to be trained; fewer records where time was over first.
    runs: int


@dataclass(frozen=True)
class Sizes:
    """How much of a family is measured."""

    # In which a run trains, once it has started.
    seconds: float
    # Runs one after another.
    alone: int
    # Whether all are trained once more under MPS.
    under_mps: bool

    def needed(self, start):
        """Seconds of the stages one after another, at once and under MPS, where a run starts so long and the bar is just met."""
        run = start + self.seconds
        at_once = RUNS * run / FAMILY_BAR
        return [self.alone * run, at_once, at_once if self.under_mps else 0.0]


def affordable(left, start, has_mps):
    """The most that can be measured in the time left, where a run starts so long; the least where nothing can."""
    ways = [Sizes(*size, under_mps) for under_mps in ([True, False] if has_mps else [False]) for size in SIZES]
    return next((sizes for sizes in ways if sum(sizes.needed(start)) <= left), ways[-1])


def family(bench, part, clock):
    """16 runs at once, packed as `forescale run` packs them, against one after another; each width by itself."""
    widths = [bench.family.width] if bench.dry else [256, 64]
    columns = ["d", "runs", "most at once", "tokens/s", "over one after another", "in training, tokens/s", "over one after another"]
    part.lines += [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    part.notes.append("A rate is of the whole family, each run's start included; in training, of the runs that trained while most "
                      "of them did.")
    problems = []
    for index, width in enumerate(widths):
        one = Family(width, bench.family.layers, min(bench.family.head_size, width // 2), bench.family.context,
                     bench.family.batch)
        try:
            family_of(bench, part, clock.share(1 / (len(widths) - index)), one)
        except Failed as failure:
            problems.append(f"d = {width}: {failure}")
    if problems:
        raise Failed("; ".join(problems))


def family_of(bench, part, clock, one):
    per_second, start = trial(bench, clock, one)
    sizes = affordable(clock.left(), start, not bench.dry and bool(shutil.which(MPS)))
    seconds = 0.3 if bench.dry else sizes.seconds
    part.notes.append(f"d = {one.width}: a run takes {start:.1f} s to start, and trains for {seconds:g} s.")
    tokens_per_param = per_second * seconds
    stages = sizes.needed(start)
    alone_clock = clock.share(stages[0] / sum(stages))
    alone = rate_of(bench, alone_clock, "serial", one, tokens_per_param, sizes.alone, "--jobs", "1")
    part.lines.append(rate_line(one, "one after another", alone, alone))
    packed = rate_of(bench, clock.share(stages[1] / sum(stages[1:])), "packed", one, tokens_per_param, RUNS)
    part.lines.append(rate_line(one, "at once", packed, alone))
    both = alone.records.keys() & packed.records.keys()
    apart = max((abs(loss(packed.records[name]) / loss(alone.records[name]) - 1) for name in both), default=None)
    if apart is not None:
        part.bars.append(Bar(f"d = {one.width}: packed runs end as runs alone do (losses within {apart:.1e})",
                             apart <= (1e-12 if bench.dry else 1e-3)))
    bar = family_bar(bench, one, {"at once": packed.whole / alone.whole})
    part.bars.append(bar)
    if bench.dry or not shutil.which(MPS):
        return
    if not sizes.under_mps:
        part.notes.append(f"d = {one.width}: nothing was measured under MPS: starting takes too much of the part's time.")
        return
    # What was measured is kept, whatever becomes of the service.
    try:
        with multi_process_service(bench, clock):
            beside = rate_of(bench, clock, "side-by-side", one, tokens_per_param, RUNS)
    except Exception as problem:  # noqa: BLE001
        part.notes.append(f"d = {one.width}: nothing was measured under MPS: {problem}")
        return
    part.lines.append(rate_line(one, "at once under MPS", beside, alone))
    ratios = {"at once": packed.whole / alone.whole, "at once under MPS": beside.whole / alone.whole}
    part.bars[part.bars.index(bar)] = family_bar(bench, one, ratios)


def family_bar(bench, one, ratios):
    words = ", ".join(f"{ratio:.2f}x {how}" for how, ratio in ratios.items())
    judged = None if bench.dry else max(ratios.values()) >= FAMILY_BAR
    return Bar(f"family of {RUNS} at d = {one.width} over one after another: {words} (bar {FAMILY_BAR:g}x)", judged)


def rate_line(one, words, rate, alone):
    training, over = "–", "–"
    if rate.training:
        training = f"{rate.training:,.0f}"
        over = f"{rate.training / alone.training:.2f}" if alone.training else "–"
    done = str(rate.runs) if len(rate.records) == rate.runs else f"{len(rate.records)} of {rate.runs} in the time there was"
    return (f"| {one.width} | {done}, {words} | {rate.at_once} | {rate.whole:,.0f} | {rate.whole / alone.whole:.2f} | {training} "
            f"| {over} |")


@contextlib.contextmanager
def multi_process_service(bench, clock):
    """NVIDIA's MPS for the processes started meanwhile: their kernels then run side by side, not in turn."""
    places = {name: bench.folder / name.lower() for name in ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY")}
    for place in places.values():
        place.mkdir(exist_ok=True)
    before = bench.environment
    bench.environment = {**before, **{name: str(place) for name, place in places.items()}}
    nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        # The daemon keeps what it is given to write to: a pipe would never end.
        run([MPS, "-d"], clock, env=bench.environment, **nowhere)
        yield
    finally:
        with contextlib.suppress(Exception):
            subprocess.run([MPS], input="quit\n", text=True, env=bench.environment, timeout=20, **nowhere)
        bench.environment = before


def trial(bench, clock, one):
    """Tokens per parameter that a run trains on in a second, and the seconds before its first step, as a short one tells."""
    short = 20 if bench.dry else 2
    sweep = bench.sweep("trial", short, 1, one)
    bench.command(clock, "corpus", "build", sweep)
    took = bench.train(clock, sweep)
    [record] = records(sweep).values()
    speed = speed_logged(sweep)
    return short * speed / record["tokens"], max(took - record["tokens"] / speed, 0.0)


def rate_of(bench, clock, name, one, tokens_per_param, seeds, *options):
    """How fast a family is trained; where time is over first, what was sealed by then counts."""
    sweep = bench.sweep(name, f"{max(tokens_per_param, 1.0):.4f}", seeds, one)
    bench.command(clock, "corpus", "build", sweep)
    began, late = time.time(), False
    with Watch(sweep) as watch:
        try:
            seconds = bench.train(clock, sweep, *options)
        except TookTooLong:
            late = True
    found = records(sweep)
    if not found or len(found) < seeds and not late:
        raise Failed(f"{len(found)} of {seeds} runs are sealed")
    if late:
        # Until the last of those that count: what was on its way then is neither in their tokens nor in their time.
        seconds = max(path.stat().st_mtime for path in sweep.glob("runs/*/record.json")) - began
    whole = sum(record["tokens"] for record in found.values()) / seconds
    return Rate(whole, watch.training(), watch.at_once(), found, seeds)


class Watch(threading.Thread):
    """Looks at the logs of a sweep while it is trained: how many runs are on their way, and how fast each is."""

    def __init__(self, sweep):
        super().__init__(daemon=True)
        self.sweep, self.over, self.looks = sweep, threading.Event(), []

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()

    def run(self):
        while not self.over.wait(0.25):
            logs = [log for log in self.sweep.glob("runs/*/log.jsonl") if not (log.parent / "record.json").exists()]
            speeds = [newest_speed(log) for log in logs]
            self.looks.append((len(logs), [speed for speed in speeds if speed]))

    def at_once(self):
        return max((runs for runs, _ in self.looks), default=0)

    def training(self):
        """Tokens per second of all runs together, in the middle of the looks at which most said how fast they were."""
        most = max((len(speeds) for _, speeds in self.looks), default=0)
        sums = [sum(speeds) for _, speeds in self.looks if len(speeds) == most]
        return statistics.median(sums) if most else None


def newest_speed(log):
    """The newest speed in a log that may be growing; None before the second, for the first pays for the start."""
    speeds = []
    with contextlib.suppress(OSError):
        for line in log.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                said = json.loads(line)
                if said["event"] == "step":
                    speeds.append(said["tokens_per_second"])
    return speeds[-1] if len(speeds) > 1 else None


def resume(bench, part, clock):
    """A run killed with SIGKILL once it has a checkpoint, and gone on with."""
    tokens_per_param = 150 if bench.dry else 10
    whole, killed = (bench.sweep(name, tokens_per_param, 1) for name in ("whole", "killed"))
    bench.train(clock, whole)
    bench.command(clock, "corpus", "build", killed)
    [(name, straight)] = records(whole).items()
    words = [bench.forescale, "exec", killed, name, "--device", bench.device, "--checkpoint-seconds", "0.05"]
    with (bench.folder / "killed.log").open("w") as said:
        child = subprocess.Popen(list(map(str, words)), env=bench.environment, stderr=said, stdout=said)
    try:
        while not list(killed.glob("runs/*/checkpoint.bin")):
            if child.poll() is not None or clock.left() <= 1.0:
                raise Failed(f"no checkpoint before the run was over: {(bench.folder / 'killed.log').read_text()[-300:]}")
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
    if records(killed):
        raise Failed("the run was over before it was killed")
    bench.command(clock, *words[1:])
    [again] = records(killed).values()
    same = again["result_digest"] == straight["result_digest"]
    part.lines += [
        f"Killed and gone on with, attempt {again['environment']['attempts']}: loss {loss(again):.6f}; never stopped: "
        f"{loss(straight):.6f}.",
    ]
    part.bars.append(Bar("a run killed and gone on with has the same result, digest for digest", same))


def ask(bench, clock, part, *words):
    """What the trainer's own check found of a part, a row each, and why it stopped before its end, if it did."""
    dry = ["--dry"] if bench.dry else []
    return rows_said(bench, [bench.check, "--part", part, *dry, *words], clock)


def rows_said(bench, command, clock):
    """Lines of JSON that a command says, and its problem: what was said before it failed or took too long counts."""
    said, problem = bench.folder / "said.jsonl", None
    with said.open("w") as file:
        try:
            run(command, clock, env=bench.environment, stdout=file)
        except Failed as failure:
            problem = str(failure)
    rows = []
    for line in said.read_text(errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            rows.append(json.loads(line))
    return rows, problem


def operations(bench, part, clock):
    """Every operation of training, forward and backward, against the CPU's."""
    rows, problem = ask(bench, clock, "operations")
    # Of each kind of operation in each precision the size that came nearest to what is allowed.
    kinds = {}
    for row in rows:
        kinds.setdefault((row["operation"].split(",")[0], row["precision"]), []).append(row)
    part.lines += ["| operation | precision | sizes | apart at most | allowed |", "|---|---|---|---|---|"]
    for (kind, precision), sizes in kinds.items():
        worst = max(sizes, key=lambda row: row["apart"] / row["allowed"])
        part.lines.append(f"| {kind} | {precision} | {len(sizes)} | {worst['apart']:.1e} | {worst['allowed']:.1e} |")
    failed = [f"{row['operation']} in {row['precision']}" for row in rows if not row["holds"]]
    words = f"{len(rows)} operations agree with the CPU's" if not failed else f"apart from the CPU's: {', '.join(failed)}"
    part.bars.append(Bar(words, bool(rows) and not failed))
    if problem:
        raise Failed(problem)


def parity(bench, part, clock):
    """The same run on card and CPU, in each precision."""
    rows, problem = ask(bench, clock, "parity")
    part.lines += ["| precision | loss, CPU | loss, card | apart | two deviations between seeds | notes of the run |",
                   "|---|---|---|---|---|---|"]
    for row in rows:
        notes = "; ".join(row["notes"]).replace("|", "/").replace("\n", " ") or "–"
        part.lines.append(f"| {row['precision']} | {row['loss_cpu']:.5f} | {row['loss_card']:.5f} | {row['apart']:.1e} "
                          f"| {row['allowed']:.1e} | {notes} |")
    part.bars.append(Bar("a run ends on the card within two deviations of seeds of where it ends on the CPU",
                         bool(rows) and all(row["holds"] for row in rows)))
    graphs = bool(rows) and all(row.get("graph") is True for row in rows)
    part.bars.append(Bar("steps are replayed as a graph", None if bench.dry else graphs))
    if problem:
        raise Failed(problem)


def torch_speeds(bench, rows, clock):
    """Tokens per second of the peer by width, on the shapes that ours was measured on, and why some are missing."""
    shapes = []
    for row in rows:
        shape = {name: row[name] for name in ("width", "layers", "context", "sequences")}
        shape["heads"] = row.get("heads", row["width"] // 64)
        shape["mlp_hidden"] = row.get("mlp_hidden", (row["width"] * 8 // 3 + 63) // 64 * 64)
        shapes.append(json.dumps(shape))
    # One process for all, and a line each.
    command = [sys.executable, REPOSITORY / "benches" / "gpu_torch.py", "--seconds", 4, *shapes]
    lines, problem = rows_said(bench, command, clock)
    problems = [f"torch.compile: {problem}"] if problem else []
    problems += [f"torch.compile at d = {line['width']}: {line['problem']}" for line in lines if "problem" in line]
    return {line["width"]: line["tokens_per_second"] for line in lines if "problem" not in line}, problems


def our_speeds(bench, clock, widths):
    """What the trainer's own check found of each width, and why some are missing."""
    words = ["--seconds", 20 if bench.dry else 6, *(["--peak-tflops", bench.peak] if bench.peak else [])]
    # One process for all, since each has to open the card; where it died, the others by themselves.
    rows, problem = ask(bench, clock, "speed", "--width", ",".join(map(str, widths)), *words)
    missing = [width for width in widths if all(row["width"] != width for row in rows)]
    problems = [f"d = {missing[0]}: {problem}"] if missing else []
    for width in missing[1:]:
        more, problem = ask(bench, clock, "speed", "--width", width, *words)
        rows += more
        problems += [f"d = {width}: {problem}"] if problem else []
    problems += [f"d = {row['width']}: {row['problem']}" for row in rows if "problem" in row]
    return [row for row in rows if "problem" not in row], problems


def speed(bench, part, clock):
    """Tokens per second and share of the card's peak, beside torch.compile; each width by itself."""
    part.lines += ["| d | ours, tokens/s | MFU | torch.compile, tokens/s | MFU | ours / torch |", "|---|---|---|---|---|---|"]
    rows, problems = our_speeds(bench, clock, [16] if bench.dry else [256, 512, 1024])
    theirs, missing = ({}, []) if bench.dry or not rows else torch_speeds(bench, rows, clock)
    for row in rows:
        speed_line(bench, part, row, theirs.get(row["width"]))
    if bench.dry:
        part.notes.append("On the CPU there is no peer to be held against: skipped.")
    if problems + missing:
        raise Failed("; ".join(problems + missing))


def speed_line(bench, part, row, theirs):
    width, ours, flops, peak = row["width"], row["tokens_per_second"], row["flops_per_token"], row["peak_tflops"]

    def share(tokens):
        return f"{tokens * flops / peak / 1e12:.1%}" if peak else "–"

    if theirs is None:
        theirs_words = "–" if bench.dry else "not measured"
        part.lines.append(f"| {width} | {ours:,.0f} | {share(ours)} | {theirs_words} | – | – |")
        part.bars.append(Bar(f"d = {width}: {ours:,.0f} tokens/s", None if ours > 0 else False))
        return
    ratio = ours / theirs
    part.lines.append(f"| {width} | {ours:,.0f} | {share(ours)} | {theirs:,.0f} | {share(theirs)} | {ratio:.2f} |")
    goal = " goal met" if ratio >= TORCH_GOAL else ""
    part.bars.append(Bar(f"d = {width}: {ratio:.2f} of torch.compile (bar {TORCH_BAR:g}, goal {TORCH_GOAL:g}){goal}",
                         ratio >= TORCH_BAR))


# Named in the order of the page; what costs least and says most comes first.
PARTS = {"operations": operations, "parity": parity, "resume": resume, "speed": speed, "family": family}


def measure(name, bench, seconds):
    """One part in so many seconds, whatever becomes of it."""
    part, began = Part(name), time.monotonic()
    print(f"{name} …", file=sys.stderr, flush=True)
    try:
        PARTS[name](bench, part, Clock(seconds))
    except Failed as failure:
        part.problem = str(failure)
    except Exception as error:  # noqa: BLE001
        part.problem = f"{type(error).__name__}: {error}"
    part.seconds = time.monotonic() - began
    for line in verdict(part):
        print(f"  {line}", file=sys.stderr, flush=True)
    return part


def verdict(part):
    words = {True: "met", False: "NOT MET", None: "not judged"}
    lines = [f"{words[bar.held]}: {bar.words}" for bar in part.bars]
    return lines + ([f"FAILED: {part.problem}"] if part.problem else [])


# -------------------------------------------------------------------------------------------------------------- page


def card():
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        return "; ".join(run(query, Clock(20)).strip().splitlines())
    except Failed:
        return "no card"


def torch_version():
    if importlib.util.find_spec("torch") is None:
        return "no torch"
    return f"torch {importlib.metadata.version('torch')}"


def commit():
    try:
        return run(["git", "describe", "--always", "--dirty"], Clock(20), cwd=REPOSITORY).strip()
    except Failed:
        return "unknown"


def page(parts, seconds, dry):
    lines = [
        "# Training on a card",
        "",
        *(["**A dry run at tiny sizes on the CPU: no card was asked for, and speeds mean nothing.**", ""] if dry else []),
        "Written by `just gpu-check`; each bar is asked for by the project, and says whether it was met.",
        "",
        f"{datetime.date.today().isoformat()}, {card()}, {os.cpu_count()} processors; {torch_version()}, commit {commit()}; "
        f"{seconds:.0f} s.",
        "",
        *(f"- {line}" for part in parts for line in verdict(part)),
    ]
    for part in parts:
        lines += ["", f"## {part.name} ({part.seconds:.0f} s)", "", *(part.lines or ["Nothing was measured."])]
        lines += [line for note in part.notes for line in ("", note)]
    return "\n".join(lines) + "\n"


def missing_card(bench):
    """Why nothing can be checked on a card here; None where there is one that the binary trains on."""
    try:
        facts = json.loads(run([bench.forescale, "doctor", "--json"], Clock(60), env=bench.environment))
    except (Failed, ValueError) as problem:
        return f"`forescale doctor` tells nothing of this machine: {problem}"
    cards = [found for name, found in facts.items() if name.startswith("card ") and "left out by" not in found]
    if facts.get("device", "cpu").startswith("cuda") and cards:
        return None
    names = ("cuda", "CUDA libraries", "NVIDIA driver", "CUDA_VISIBLE_DEVICES", "cards to train on")
    said = [f"{name}: {facts[name]}" for name in names if name in facts]
    return f"there is no card to train on ({'; '.join(said)})"


def built(name, release, dry):
    """A binary of `just cuda-build`; where there is none, and for the CPU, of cargo."""
    of_cuda_build = TARGET / "cuda" / "bin" / name
    return of_cuda_build if of_cuda_build.is_file() and not dry else TARGET / "release" / release


def unusable(arguments):
    """What is wrong with the arguments, and what to do; None where nothing is."""
    for binary in (arguments.binary, arguments.check):
        if not binary.is_file():
            dry = ("cargo build --release -p forescale, and\n      cargo build --release -p forescale-train --features emulation "
                   "--example gpu_check")
            return f"`{binary}` is not there", dry if arguments.dry else "just cuda-build, or --binary and --check say where"
    if arguments.slow_start and not arguments.dry:
        return "`--slow-start` is for rehearsals", "--dry --slow-start 5"
    # Before minutes of measuring, not after.
    if arguments.out and (arguments.out.is_dir() or not os.access(arguments.out.resolve().parent, os.W_OK)):
        return f"`{arguments.out}` cannot be written", "--out FILE in a folder that is there"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry", action="store_true", help="the same code at tiny sizes on the CPU")
    parser.add_argument("--slow-start", type=float, metavar="SECONDS",
                        help="with --dry: each process that would open a card waits so long")
    parser.add_argument("--peak-tflops", type=float, help="dense bf16 peak of a card that docs/gpu.md does not list")
    parser.add_argument("--binary", type=Path,
                        help="forescale [default: of target/cuda/bin, else, and with --dry, of target/release]")
    parser.add_argument("--check", type=Path, help="the checks of the trainer, likewise")
    parser.add_argument("--out", type=Path,
                        help="where the page goes [default: benches/gpu.md of all parts on a card, else stdout alone]")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part; may be given again")
    arguments = parser.parse_args()
    arguments.binary = (arguments.binary or built("forescale", "forescale", arguments.dry)).resolve()
    arguments.check = (arguments.check or built("gpu_check", "examples/gpu_check", arguments.dry)).resolve()
    if wrong := unusable(arguments):
        print(f"error: {wrong[0]}\n\nhint: {wrong[1]}", file=sys.stderr)
        return 2
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        bench = Bench(arguments, Path(folder))
        # A page of failures would take the place of a good one.
        missing = None if bench.dry else missing_card(bench)
        if missing:
            print(f"error: {missing}\n\nhint: `nvidia-smi` shows whether the driver works; `just cuda-build` builds the "
                  "binaries; --dry checks on the CPU", file=sys.stderr)
            return 2
        parts, spare = [], 0.0
        for name in arguments.part or PARTS:
            parts.append(measure(name, bench, SECONDS[name] + spare))
            spare += SECONDS[name] - parts[-1].seconds
    text = page(parts, time.monotonic() - began, arguments.dry)
    print(text, end="")
    whole = not arguments.dry and not arguments.part
    out = arguments.out or (REPOSITORY / "benches" / "gpu.md" if whole else None)
    if out:
        out.write_text(text)
    return int(any(part.problem or any(bar.held is False for bar in part.bars) for part in parts))


if __name__ == "__main__":
    sys.exit(main())
