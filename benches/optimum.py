"""Skill of compute-optimal sizes: N* of a budget, from the runs below a cut, against the isoFLOP vertex there.

usage: optimum.py [--program CMD] [--out PAGE] [--jobs N] [--simulations N]

Every published table whose runs are separate and finished, and that has isoFLOPs (runs of one budget to 12%, four sizes or
more), is cut below the budget of a vertex and given to `CMD forecast TABLE --at flops=C --json`, CMD being
target/release/forescale unless another is named. The vertex is the least-squares parabola of ln L in ln N over the runs
within a factor of 8 in size of the lowest, with two runs or more on either side. One vote per family of tables.

Needs numpy, pandas. Data: FORESCALE_PUBLISHED_DATA, or ../shared/data.
"""
import argparse, datetime, json, os, pathlib, subprocess, tempfile
from concurrent.futures import ThreadPoolExecutor
import numpy as np, pandas as pd
import skill

ROOT = pathlib.Path(__file__).resolve().parent.parent
RATIOS = (1, 3, 10, 30, 100, 300)
BANDS = [(-1, 0.06, "within the data"), (0.06, 0.7, "to 0.7"), (0.7, 1.3, "0.7 to 1.3"), (1.3, 1.8, "1.3 to 1.8"), (1.8, 4, "above 1.8")]
# The engine's own error of form (crates/fit/src/experience.rs): median |ln N* − ln vertex|, and the quantiles of Student's t.
PER_DECADE, INSIDE, T4_95, T4_75 = 0.2, 0.04, 2.131847, 0.740697
MULTIPLES = (0.5, 0.7, 1, 1.4, 2)
LARGEST_BUDGETS, LEAST_RUNS = 4, 8


def vertex(runs):
    """(ln N at the lowest loss, its standard error) of one budget's runs; None where they bracket none."""
    size, loss = np.log(runs.params.to_numpy()), np.log(runs.loss.to_numpy())
    lowest = loss.argmin()
    near = (np.abs(size - size[lowest]) < np.log(8)) & (loss - loss[lowest] < 0.2)
    size, loss = size[near], loss[near]
    if len(np.unique(size.round(2))) < 4:
        return None
    powers = np.vander(size - size.mean(), 3)
    bend, slope, level = np.linalg.lstsq(powers, loss, rcond=None)[0]
    if bend <= 0:
        return None
    at = size.mean() - slope / (2 * bend)
    if min((size < at).sum(), (size > at).sum()) < 2:
        return None
    variance = ((powers @ [bend, slope, level] - loss) ** 2).sum() / max(1, len(size) - 3)
    moves = np.array([slope / (2 * bend**2), -1 / (2 * bend), 0])
    return at, np.sqrt(variance * moves @ np.linalg.inv(powers.T @ powers) @ moves)


def vertices(rows):
    """(budget, ln N, standard error) of the largest budgets that have a vertex."""
    logs = np.log(rows.flops.to_numpy())
    budget = np.concatenate([[0], np.cumsum(np.diff(logs) > 0.12)])
    found = []
    for _, runs in rows.groupby(budget):
        best = vertex(runs) if np.log(runs.flops.max() / runs.flops.min()) < 0.3 else None
        if best:
            found.append((np.exp(np.log(runs.flops).mean()), *best))
    return found[-LARGEST_BUDGETS:]


def optimum(program, rows, flops):
    """N* with its 90% interval as the program tells it; None where it tells none."""
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        rows[["params", "tokens", "flops", "loss"]].to_csv(file.name, index=False, float_format="%.12g")
        done = subprocess.run([*program, "forecast", file.name, "--at", f"flops={flops:.9e}", "--json"], capture_output=True, text=True)
    best = json.loads(done.stdout)["targets"][0].get("optimum") if done.returncode == 0 else None
    return best and best["params"]


def case(program, family, table, rows, target, ratio):
    flops, best, error = target
    seen = rows[rows.flops <= 1.05 * flops / ratio]
    if len(seen) < LEAST_RUNS:
        return None
    said = optimum(program, seen, flops)
    if said is None:
        return None
    ends = [np.log(said[end] / said["estimate"]) if said.get(end) else sign * np.inf for end, sign in (("lower", -1), ("upper", 1))]
    return dict(family=family, table=table, flops=flops, decades=np.log10(flops / seen.flops.max()), runs=len(seen),
                error=np.log(said["estimate"]) - best, lower=ends[0], upper=ends[1], vertex_error=error)


def published(program, pool):
    jobs = []
    for family, name, rows in skill.tables():
        rows = skill.tidy(rows)
        jobs += [pool.submit(case, program, family, name, rows, target, ratio) for target in vertices(rows) for ratio in RATIOS]
    found = pd.DataFrame([row for job in jobs if (row := job.result())])
    # Two ratios that leave the same runs are one case.
    return found.drop_duplicates(["family", "table", "flops", "decades"])


def held(cases, multiple=1.0):
    """Whether the vertex lies inside, and half the interval's width, under so many times the error of form."""
    form = np.maximum(INSIDE, PER_DECADE * np.maximum(cases.decades, 0)) * T4_95 / T4_75
    def end(of):
        return np.sqrt(np.maximum(of**2 - form**2, 0) + (multiple * form) ** 2)
    lower, upper = end(cases.lower), end(cases.upper)
    return (-cases.error >= -lower) & (-cases.error <= upper), ((lower + upper) / 2).clip(upper=np.log(100))


# ---------------------------------------------------------------------------------------------------- simulated tables

def truth(kind, draw):
    """Loss of N and D: Chinchilla's form, or two powers of each."""
    if kind == "one power":
        a, b = draw.uniform(0.3, 0.4, 2)
        return lambda n, d: 1.7 + 0.76 * (n / 1e8) ** -a + 1.24 * (d / 1e9) ** -b
    (a1, b1), (a2, b2), (u, v) = draw.uniform(0.35, 0.6, 2), draw.uniform(0.12, 0.25, 2), draw.uniform(0.3, 0.7, 2)
    return lambda n, d: (1.5 + 0.8 * (u * (n / 1e8) ** -a1 + (1 - u) * (n / 1e8) ** -a2)
                         + 0.8 * (v * (d / 2e9) ** -b1 + (1 - v) * (d / 2e9) ** -b2))


def best_size(loss, flops):
    sizes = np.exp(np.linspace(-6, 6, 24001)) * np.sqrt(flops / 6)
    return sizes[loss(sizes, flops / 6 / sizes).argmin()]


def simulated(program, kind, seed):
    """Six sizes about the best, a factor of 5 either way, at seven budgets from 1e17 to 1e20; 0.3% of noise."""
    draw = np.random.default_rng(seed)
    loss, rows = truth(kind, draw), []
    for flops in np.logspace(17, 20, 7):
        for size in best_size(loss, flops) * 10 ** np.linspace(-0.7, 0.7, 6):
            data = flops / 6 / size
            rows.append((size, data, flops, loss(size, data) * np.exp(0.003 * draw.normal())))
    table = pd.DataFrame(rows, columns=["params", "tokens", "flops", "loss"])
    answers = []
    for flops in (1e20, 1e21, 1e22, 1e23):
        said, best = optimum(program, table, flops), best_size(loss, flops)
        if said is None:
            raise SystemExit(f"error: `{' '.join(program)} forecast` tells no best size of a simulated table ({kind}, seed {seed})")
        inside = (said["lower"] or 0) <= best <= (said["upper"] or np.inf)
        answers.append((kind, flops, np.log(said["estimate"] / best), inside, np.log((said["upper"] or np.nan) / (said["lower"] or np.nan)) / 2))
    return answers


# ---------------------------------------------------------------------------------------------------- page

def by_family(values, cases, how):
    return values.groupby(cases.family).agg(how)


def page(cases, sims, heading):
    inside, width = held(cases)
    text = ["# Skill of best sizes", "", "N* of a budget as `forescale forecast` tells it from published runs below a cut, against the vertex of the isoFLOP that was",
            "run there.", "", heading, "",
            "Errors are |ln N* − ln vertex| (0.2 is a factor of 1.22): median over a family's cases, median over families. Held: share",
            "of vertices inside the 90% interval, mean over families. Half width: median of (ln upper − ln lower)/2, over families.", "",
            skill.line(["decades past the cut", "cases", "families", "error", "held", "half width", "vertex's own error"]), skill.line(["---"] * 7)]
    for low, high, name in BANDS:
        of = (cases.decades > low) & (cases.decades <= high)
        some = cases[of]
        figures = [by_family(some.error.abs(), some, "median").median(), by_family(inside[of], some, "mean").mean(),
                   by_family(width[of], some, "median").median(), by_family(some.vertex_error, some, "median").median()]
        text.append(skill.line([name, len(some), some.family.nunique(), *(skill.number(figure) for figure in figures)]))
    families = sorted(set(cases.family))
    text += ["", "By family, error and share held:", "", skill.line(["family", *(name for *_, name in BANDS)]), skill.line(["---"] * (1 + len(BANDS)))]
    for family in families:
        cells = []
        for low, high, _ in BANDS:
            of = (cases.family == family) & (cases.decades > low) & (cases.decades <= high)
            cells.append(f"{cases.error[of].abs().median():.2f}, {inside[of].mean():.2f} of {of.sum()}" if of.any() else "–")
        text.append(skill.line([family, *cells]))
    text += ["", "## The error of form, left out", "",
             f"Learnt for each family from the others alone, as the least of {', '.join(map(str, MULTIPLES))} times today's with which 90% of their",
             "cases past the cut lie inside (one vote per family; the largest where none does).", "",
             skill.line(["family left out", "cases", "multiple learnt", "held, left out", "held by today's"]), skill.line(["---"] * 5)]
    beyond = cases[cases.decades > BANDS[0][1]]
    shares = {multiple: by_family(held(beyond, multiple)[0], beyond, "mean") for multiple in MULTIPLES}
    for family in sorted(set(beyond.family)):
        learnt = next((m for m in MULTIPLES if shares[m].drop(family).mean() >= 0.9), MULTIPLES[-1])
        text.append(skill.line([family, (beyond.family == family).sum(), learnt, skill.number(shares[learnt][family]), skill.number(shares[1][family])]))
    text += ["", "## Simulated tables", "", f"{len(sims) // 8} tables each of six sizes at seven budgets from 1e17 to 1e20 FLOPs, noise of 0.3%; the truth has one power of size and one of",
             "data, or two of each.", "", skill.line(["truth", "budget", "held", "median error", "half width"]), skill.line(["---"] * 5)]
    for (kind, flops), of in sims.groupby(["kind", "flops"], sort=False):
        text.append(skill.line([kind, f"{flops:.0e}", f"{of.inside.mean():.2f}", skill.number(of.error.abs().median(), 3), skill.number(of.width.median())]))
    return "\n".join([*text, ""])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default=str(ROOT / "target/release/forescale"))
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--simulations", type=int, default=100)
    asked = parser.parse_args()
    program = asked.program.split()
    with ThreadPoolExecutor(asked.jobs) as pool:
        cases = published(program, pool)
        jobs = [pool.submit(simulated, program, kind, seed) for kind in ("one power", "two powers") for seed in range(asked.simulations)]
        sims = pd.DataFrame([row for job in jobs for row in job.result()], columns=["kind", "flops", "error", "inside", "width"])
    heading = f"{datetime.date.today():%-d %B %Y}, `just bench-optimum`: {len(cases)} cases of {cases.table.nunique()} tables of {cases.family.nunique()} families."
    skill.publish(page(cases, sims, heading), asked.out)


if __name__ == "__main__":
    main()
