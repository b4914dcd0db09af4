"""The solver against SciPy on one table, in one run: CPU seconds on one thread each, and wall seconds on two.

SciPy has the same objective with an analytic gradient, as an experienced user would write it: vectorised over the 240
rows, L-BFGS-B from each of the 4500 classic starts, BFGS from the optimum for each bootstrap draw. SciPy's bootstraps are
200 draws scaled to 4000. Every figure is the median of `--runs`; ours and SciPy's alternate. A last table says what becomes
of the classic starts on other tables and under other objectives.

    python3 benches/fit_pairs.py --out benches/fit.md
"""
import argparse
import datetime
import itertools
import json
import os
import platform
import statistics
import subprocess
import time

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy  # noqa: E402  (threads are set before it is loaded)
import scipy  # noqa: E402
from scipy.optimize import minimize  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DATA = os.environ.get("FORESCALE_PUBLISHED_DATA", os.path.join(ROOT, "..", "shared", "data"))
TABLE = os.path.join(DATA, "chinchilla_epoch.csv")
DELTA = 1e-3


def rows():
    table = numpy.genfromtxt(TABLE, delimiter=",", names=True, dtype=None, encoding="utf-8")
    kept = table[table["dropped_by_epoch"] == 0]
    params, flops = kept["params"].astype(float), kept["flops"].astype(float)
    return numpy.log(params), numpy.log(flops / (6 * params)), numpy.log(kept["loss"].astype(float))


def objective(theta, log_params, log_tokens, log_loss):
    """Sum of Huber over log residuals with its gradient; theta is (a, b, e, alpha, beta), amplitudes as logarithms."""
    a, b, e, alpha, beta = theta
    first, second, floor = a - alpha * log_params, b - beta * log_tokens, numpy.full_like(log_loss, e)
    top = numpy.maximum(numpy.maximum(first, second), floor)
    first, second, floor = numpy.exp(first - top), numpy.exp(second - top), numpy.exp(floor - top)
    total = first + second + floor
    residual = numpy.log(total) + top - log_loss
    size = numpy.abs(residual)
    value = numpy.where(size <= DELTA, 0.5 * residual * residual, DELTA * (size - 0.5 * DELTA)).sum()
    slope = numpy.clip(residual, -DELTA, DELTA) / total
    by_first, by_second = slope * first, slope * second
    gradient = [by_first.sum(), by_second.sum(), (slope * floor).sum(),
                -(by_first * log_params).sum(), -(by_second * log_tokens).sum()]
    return value, numpy.array(gradient)


def classic_starts():
    exponents, floors, amplitudes = numpy.arange(0, 2.1, 0.5), numpy.arange(-1, 1.1, 0.5), numpy.arange(0, 26, 5)
    for alpha, beta, e, a, b in itertools.product(exponents, exponents, floors, amplitudes, amplitudes):
        yield numpy.array([a, b, e, alpha, beta], dtype=float)


def scipy_grid(data):
    began, values = time.process_time(), []
    for start in classic_starts():
        values.append(minimize(objective, start, args=data, jac=True, method="L-BFGS-B").fun)
    seconds, lowest = time.process_time() - began, min(values)
    return seconds, sum(value <= 0.0010182740178006 * (1 + 1e-6) for value in values), lowest


def scipy_bootstrap(data, draws=200, of=4000):
    start = numpy.array([6.1692, 7.6702, 0.59731, 0.34731, 0.36717])
    optimum = minimize(objective, start, args=data, jac=True, method="BFGS", options={"gtol": 1e-10}).x
    random = numpy.random.RandomState(42)
    began = time.process_time()
    for _ in range(draws):
        chosen = random.randint(0, len(data[0]), len(data[0]))
        minimize(objective, optimum, args=tuple(column[chosen] for column in data), jac=True, method="BFGS")
    return (time.process_time() - began) * of / draws


def program(work, table, threads):
    path = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release/examples/fit_bench")
    environment = dict(os.environ, RAYON_NUM_THREADS=str(threads))
    return subprocess.run([path, work, table], env=environment, check=True, capture_output=True, text=True).stdout


def ours(work, threads):
    return json.loads(program(work, TABLE, threads))


def median(values):
    return statistics.median(values)


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown")


def measure(runs):
    data, found = rows(), {"scipy_grid": [], "scipy_bootstrap": []}
    wall = {"grid": [], "bootstrap": [], "point": [], "many": []}
    found.update({work: [] for work in wall})
    outcome = {}
    for _ in range(runs):
        found["scipy_grid"].append(scipy_grid(data))
        found["scipy_bootstrap"].append(scipy_bootstrap(data))
        for work in wall:
            found[work].append(ours(work, 1)["processor"])
        for work, seconds in wall.items():
            answer = ours(work, 2)
            seconds.append(answer["wall"])
            outcome[work] = answer["outcome"]
    return found, wall, outcome


def page(runs, found, wall, outcome, starts):
    count = lambda name: outcome["grid"].split(f"{name}: ")[1].split(",")[0]
    grid, boot = median(found["grid"]), median(found["bootstrap"])
    theirs, their_boot = median(s for s, _, _ in found["scipy_grid"]), median(found["scipy_bootstrap"])
    reached = found["scipy_grid"][0][1]
    load = os.getloadavg()[0]
    return f"""# The solver, timed

`just bench-fit` on {datetime.date.today()}: {processor()}, {os.cpu_count()} cores, {platform.machine()}; Python
{platform.python_version()}, NumPy {numpy.__version__}, SciPy {scipy.__version__}. Medians of {runs} runs, ours and SciPy's in
turn; load average at the end {load:.1f}, from all that the machine did meanwhile. The table is Epoch AI's 240 points, the objective Huber at 1e-3, gradients analytic
on both sides.

| work | SciPy, CPU s, one thread | here, CPU s, one thread | ratio | here, wall s, two threads | bar |
|---|---|---|---|---|---|
| 4500 classic starts | {theirs:.2f} | {grid:.3f} | {theirs / grid:.0f} | {median(wall["grid"]):.3f} | < 1 s, 30x |
| 4000 bootstraps | {their_boot:.2f} | {boot:.3f} | {their_boot / boot:.0f} | {median(wall["bootstrap"]):.3f} | < 1 s, 30x |
| point fit and 1000 draws | | {median(found["point"]):.3f} | | {median(wall["point"]):.3f} | < 0.3 s |
| whole `fit` of 100,000 runs, profiles and certificate | | {median(found["many"]):.3f} | | {median(wall["many"]):.3f} | < 2 s |

Of SciPy's 4500 L-BFGS-B runs {reached} end within 1e-6 of the optimum. Of ours {count("agreeing")} do, and
{count("polished")} are polished to a scaled gradient of 1e-10. SciPy's bootstraps are
200 draws scaled to 4000. A wall time on a loaded machine is an upper bound; CPU seconds hold either way.

## What becomes of the classic starts

A start is one of the 4500 points of the classic grid, polished from there; collapsing duplicates does not count. A term
whose share of the loss falls below 1e-6 in the first width is put back, at most twice per start. Polished: to a scaled
gradient of 1e-10. Agreeing: within 1e-6 of the lowest objective that any start reached. CPU seconds on one thread.

| table | runs | objective | polished | agreeing | lowest objective | CPU s |
|---|---|---|---|---|---|---|
{starts}
Least absolute deviations stand as Huber's objective with a width of 1e-9, where the rounding of one log loss, 2e-16, is
2e-7 of a slope: no start is polished to 1e-10.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", help="write the page here as well")
    arguments = parser.parse_args()
    text = page(arguments.runs, *measure(arguments.runs), program("tables", DATA, 1))
    print(text)
    if arguments.out:
        with open(arguments.out, "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main()
