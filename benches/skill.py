"""Forecast skill over published tables: the default forecast beside each single law and the plain method.

usage: skill.py [--program CMD] [--form CMD] [--out PAGE] [--cache FILE] [--draws N] [--jobs N] [--laws a,b] [--tables WORD]

Every table that can be backtested is written as bare CSV (params, tokens, flops, loss) and given to
`CMD backtest TABLE --json --mode MODE [--law LAW]`, CMD being target/release/forescale unless another is named. The plain
method is that of `bench/plain.py` in the shared folder: its two functions are taken from there, and its interval is the 5 to
95% range of fits to runs drawn with replacement. One vote per family of tables; differences by a bootstrap over families.
`--form` names the example program `backtest_tables`, which can be given another error of form: with it the page says what
each family's intervals would have held had the experience been learnt on the other families alone.

Needs numpy, scipy, pandas. Data: FORESCALE_PUBLISHED_DATA, or ../shared/data.
"""
import argparse, ast, datetime, hashlib, json, os, pathlib, platform, subprocess, sys, tempfile
from concurrent.futures import ThreadPoolExecutor, ProcessPoolExecutor
import numpy as np, pandas as pd

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = pathlib.Path(os.environ.get("FORESCALE_PUBLISHED_DATA", ROOT / "../shared/data"))
PLAIN = DATA.parent / "bench/plain.py"
LAWS = ["power_law", "chinchilla", "coupled", "gadre", "kaplan", "m3", "m4", "bnsl", "log_log"]
RATIOS, MODES = (10, 100, 1000), ("run", "frontier")
FORM_FACTORS = (0.5, 0.7, 1, 1.4, 2)
WIDEST = 5
NOTES = "## Tried and left out"
LEFT_OUT = [
    "gemstones: checkpoints of a constant rate, 22 shapes of one trunk each: no finished runs",
    "xlstm: its runs of one context span 6 times in compute: no case at 10x",
    "alabdulmohsin, bnsl, multipowerlaw, double descent: curves, without N or D (`tests` hold fits of them against their papers)",
    "modded-nanogpt, nanogpt widths: one size, or no tokens",
    "pythia, obsscaling, GPT-3: scores and no loss (`benches/capability-skill.md`)",
    "porian's optimal pairs: results of fits, whose runs are here",
]
COLUMNS = ["params", "tokens", "flops", "loss"]


# ---------------------------------------------------------------------------------------------------- tables

def tables():
    """(family, table, rows) of every published table whose runs are separate and finished, one pass over the data each."""
    read = lambda name: pd.read_csv(DATA / f"{name}.csv", low_memory=False)
    points = read("chinchilla_epoch")
    yield "chinchilla", "chinchilla", points[points.dropped_by_epoch == 0]
    for name, rows in read("isoflops").groupby("experiment"):
        # ml_scalefit and epochai are Chinchilla's points again.
        family = next((f for f in ("marin", "misfitting") if f in name), "chinchilla")
        yield family, f"isoflop {name.split('__')[0]} {name.split('__')[1]}", rows
    for (data, val), rows in read("gadre_losses").groupby(["train_data", "val_set"]):
        yield "gadre", f"gadre {data} {val}", rows
    for name, rows in read("porian_isoflop").groupby(["hparams", "warmup", "decay", "param_count"]):
        yield "porian", "porian " + " ".join(name), rows
    rows = read("misfitting_final")
    # A checkpoint inside a cosine is no finished run; the best rate per size and data.
    rows = rows[rows.portion_steps_elapsed >= 0.999]
    yield "misfitting", "misfitting final", rows.loc[rows.groupby(["params", "tokens"]).loss.idxmin()]
    rows = read("olmo_ladder_final").rename(columns={"value": "loss"})
    for name, one in rows[rows.metric.str.endswith("CrossEntropyLoss")].groupby("metric"):
        yield "olmo", "olmo " + name.split("-validation")[0], one
    rows = read("datablations_contours")
    yield "datablations", "datablations once", rows[rows.epochs <= 1]
    rows = read("steplaw_dense").rename(columns={"params_non_embed": "params"})
    yield "steplaw", "steplaw best", rows.loc[rows.groupby(["params", "tokens"]).loss.idxmin()]


def tidy(rows):
    rows = rows.dropna(subset=COLUMNS)[COLUMNS].astype(float)
    return rows.sort_values(["flops", "params", "tokens", "loss"]).reset_index(drop=True)


# ---------------------------------------------------------------------------------------------------- the engine

def backtest(program, path, mode, law, *more):
    command = [*program, "backtest", str(path), "--json", "--mode", mode, *more] + (["--law", law] if law else [])
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    return json.loads(done.stdout)["cases"] if done.returncode == 0 else []


def form_rows(program, family, table, path, factor):
    """The default's cases under so many times its error of form."""
    return engine_rows(program, family, table, path, None, f"form {factor}", "--form-factor", str(factor))


def engine_rows(program, family, table, path, law, method=None, *more):
    rows = []
    for mode in MODES:
        for case in backtest(program, path, mode, law, *more):
            held = next(i for i in case["intervals"] if abs(i["level"] - 0.9) < 1e-9)
            rows.append(dict(family=family, table=table, method=method or law or "forescale", mode=mode, ratio=case["ratio"],
                             predicted=case["predicted"], actual=case["actual"], lower=held["lower"],
                             upper=held["upper"], crps=case["crps"], target_flops=case["target_flops"]))
    return rows


# ---------------------------------------------------------------------------------------------------- the plain method

def plain_functions():
    """`chinchilla`, `frontier` and `power` as plain.py defines them, and `chinchilla` from a start of one's own."""
    import itertools
    from scipy.optimize import curve_fit, minimize
    from scipy.special import logsumexp
    tree = ast.parse(PLAIN.read_text())
    space = dict(np=np, pd=pd, itertools=itertools, minimize=minimize, curve_fit=curve_fit, logsumexp=logsumexp)
    wanted = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in ("chinchilla", "frontier", "power")]
    exec(compile(ast.Module(body=wanted, type_ignores=[]), str(PLAIN), "exec"), space)
    # A refit to drawn runs needs no 32 starts: one, at the middle of those of the method itself.
    middle = dict(space, itertools=type("Middle", (), {"product": staticmethod(lambda *axes: [[np.mean(axis) for axis in axes]])}))
    refit = next(node for node in wanted if node.name == "chinchilla")
    exec(compile(ast.Module(body=[refit], type_ignores=[]), str(PLAIN), "exec"), middle)
    return space["chinchilla"], space["frontier"], space["power"], middle["chinchilla"]


def plain_case(small, goal, mode, draws):
    """Prediction and 90% range at each row of `goal`, or None where the method has too few rows."""
    chinchilla, frontier, power, refit = plain_functions()
    at = [goal[c].to_numpy(float) for c in (("params", "tokens") if mode == "run" else ("flops",))]
    seen = frontier(small) if mode == "frontier" else small
    if len(seen) < (6 if mode == "run" else 4):
        return None
    law = chinchilla(seen) if mode == "run" else power(seen)
    if law is None:
        return None
    generator, drawn = np.random.default_rng(1), []
    for _ in range(draws):
        again = small.iloc[generator.integers(len(small), size=len(small))].reset_index(drop=True)
        if mode == "frontier":
            again = frontier(again)
            if len(again) < 4:
                continue
        try:
            other = refit(again) if mode == "run" else power(again)
        except (RuntimeError, ValueError):
            continue
        if other is not None:
            drawn.append(other(*at))
    lower, upper = np.nanquantile(np.array(drawn), [0.05, 0.95], axis=0) if drawn else (law(*at),) * 2
    return dict(predicted=law(*at).tolist(), lower=lower.tolist(), upper=upper.tolist())


def plain_rows(job):
    """The plain method held against the engine's own targets of one table, mode and ratio."""
    family, table, rows, mode, ratio, goal, draws = job
    small = rows[rows.flops <= goal.flops.min() / ratio]
    if len(small) < 6:
        return []
    found = plain_case(small.reset_index(drop=True), goal, mode, draws)
    if found is None:
        return []
    return [dict(family=family, table=table, method="plain", mode=mode, ratio=ratio, actual=actual, predicted=p, lower=l,
                 upper=u) for actual, p, l, u in zip(goal.loss, found["predicted"], found["lower"], found["upper"])]


def plain_jobs(family, table, rows, cases, draws):
    """A run is predicted at its own N and D; a frontier's target is that of the engine, whose loss is a vertex's."""
    top = rows[rows.flops >= rows.flops.max() / 1.5]
    for ratio in RATIOS:
        yield family, table, rows, "run", ratio, top, draws
        of_engine = cases[(cases["mode"] == "frontier") & (cases.ratio == ratio)]
        goal = of_engine.rename(columns={"target_flops": "flops", "actual": "loss"})[["flops", "loss"]]
        if len(goal):
            yield family, table, rows, "frontier", ratio, goal, draws


def cached(path, jobs, workers):
    """Answers of the plain method, which is slow, kept by a digest of what was asked."""
    known = json.loads(path.read_text()) if path.exists() else {}
    def key(job):
        asked = [*job[:2], job[2].to_csv(index=False), *job[3:5], job[5].to_csv(index=False), job[6]]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()
    missing = [(key(job), job) for job in jobs if key(job) not in known]
    with ProcessPoolExecutor(workers) as pool:
        for (name, _), rows in zip(missing, pool.map(plain_rows, [job for _, job in missing])):
            known[name] = rows
            path.write_text(json.dumps(known))
    return [row for job in jobs for row in known[key(job)]]


# ---------------------------------------------------------------------------------------------------- figures

def scored(rows):
    """Relative error, whether the interval held, its width and its interval score, the last two in shares of the loss.

    An end past WIDEST times the loss counts as that: a fit to drawn runs can end anywhere, and one such end would be the mean.
    """
    actual = rows.actual
    lower, upper = rows.lower.clip(lower=0), np.minimum(rows.upper, WIDEST * actual)
    miss = np.maximum(lower - actual, 0) + np.maximum(actual - upper, 0)
    return rows.assign(error=100 * (rows.predicted / actual - 1).abs(), held=(lower <= actual) & (actual <= upper),
                       width=100 * (upper - lower) / actual, score=100 * ((upper - lower) + 20 * miss) / actual,
                       crps=100 * rows.crps / actual)


def by_family(rows, column, how):
    """One figure per family: the mean over a table's cases, then the median (or mean) over its tables."""
    of_table = rows.groupby(["method", "mode", "ratio", "family", "table"])[column].mean()
    return of_table.groupby(["method", "mode", "ratio", "family"]).agg(how)


def difference(ours, theirs, draws=20000):
    """Median over families of ln(ours/theirs) as a percentage, with the 90% range of a bootstrap over families."""
    both = pd.concat([ours, theirs], axis=1, keys=["a", "b"]).dropna()
    logs = np.log(both.a.to_numpy()) - np.log(both.b.to_numpy())
    drawn = np.random.default_rng(7).integers(len(logs), size=(draws, len(logs)))
    low, high = np.quantile(logs[drawn].mean(axis=1), [0.05, 0.95])
    return [100 * (np.exp(x) - 1) for x in (logs.mean(), low, high)], len(logs)


def best_elsewhere(errors, mode, ratio, laws):
    """For each family the error of the law that is best on the others, by the median over them."""
    grid = errors.unstack("family")
    grid = grid[grid.index.get_level_values("mode") == mode]
    grid = grid[grid.index.get_level_values("ratio") == ratio].droplevel(["mode", "ratio"])
    whole = grid.loc[[law for law in laws if law in grid.index]]
    answers, chosen = {}, {}
    for family in grid.loc["forescale"].dropna().index:
        others = whole.drop(columns=family)[grid.loc["forescale"].drop(family).dropna().index]
        if others.empty or others.shape[1] == 0:
            continue
        able = whole[family].notna() & (others.notna().sum(axis=1) == others.shape[1])
        if able.any():
            law = others[able].median(axis=1).idxmin()
            answers[family], chosen[family] = whole.loc[law, family], law
    return pd.Series(answers), pd.Series(chosen)


def number(value, digits=2):
    return "–" if value is None or pd.isna(value) else f"{value:.{digits}f}"


def line(cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def page(rows, laws, heading):
    methods = [m for m in ["forescale", *laws, "plain"] if m in set(rows.method)]
    errors = by_family(rows, "error", "median")
    text = ["# Forecast skill", "", "What `forescale forecast` does by default, on runs that others published, held against what it predicts from the",
            "smaller of them (`forescale backtest`, whose page says what a target is and what a fit may see). Largest models and one",
            "of each group of data sets are not in these tables, and nothing in the engine knows a table's name.", "",
            heading, "", "## Error", "",
            "Mean |relative error| over a table's targets, median over a family's tables, median over families, in %; the number",
            "of families in brackets. A single law is fitted and carried as the default does, alone.", ""]
    columns = [(mode, ratio) for mode in MODES for ratio in RATIOS]
    text += [line(["method", *(f"{mode} {ratio}x" for mode, ratio in columns)]), line(["---"] * (1 + len(columns)))]
    for method in methods:
        cells = []
        for mode, ratio in columns:
            of = errors.get(method, pd.Series(dtype=float))
            of = of.loc[(mode, ratio)] if (mode, ratio) in of.index.droplevel("family") else pd.Series(dtype=float)
            cells.append(f"{number(of.median())} ({len(of)})")
        text.append(line([f"**{method}**" if method == "forescale" else method, *cells]))
    text += ["", "By family (tables that have a case), default beside plain:", "",
             line(["family", *(f"{mode} {ratio}x" for mode, ratio in columns)]), line(["---"] * (1 + len(columns)))]
    families = sorted(set(rows.family))
    for family in families:
        cells = []
        for mode, ratio in columns:
            pair = [errors.get((method, mode, ratio, family)) for method in ("forescale", "plain")]
            of = rows[(rows.family == family) & (rows["mode"] == mode) & (rows.ratio == ratio) & (rows.method == "forescale")]
            cells.append(f"{number(pair[0])} / {number(pair[1])} ({of.table.nunique()})")
        text.append(line([family, *cells]))
    text += ["", "## Intervals", "",
             "90% intervals of the targets that both have, in % of the loss: share that holds over all cases and with one vote per",
             "family, mean width, mean interval score (Winkler; smaller is better), mean CRPS; means over a family's tables, then",
             f"over families. An end past {WIDEST} times the loss counts as that.", "",
             line(["mode", "ratio", "method", "held, all cases", "held, by family", "width", "interval score", "CRPS"]), line(["---"] * 8)]
    shared = paired(rows, "plain")
    figures = {c: by_family(shared, c, "mean").groupby(["method", "mode", "ratio"]).mean() for c in ("held", "width", "score", "crps")}
    for mode, ratio in columns:
        for method in ("forescale", "plain"):
            of = shared[(shared["mode"] == mode) & (shared.ratio == ratio) & (shared.method == method)]
            if len(of):
                at = (method, mode, ratio)
                text.append(line([mode, f"{ratio}x", method, f"{number(of.held.mean())} of {len(of)}", number(figures["held"][at]),
                                  number(figures["width"][at]), number(figures["score"][at]), number(figures["crps"][at])]))
    tables = ["", "## Tables that are not here, and why", "", *(f"- {one}" for one in LEFT_OUT)]
    return "\n".join(text + ["", *bars(rows, shared, errors, laws), *left_out(rows), *tables, ""])


def paired(rows, other):
    """Rows of the default and of another method, of targets that both have."""
    key = ["table", "mode", "ratio"]
    both = set(map(tuple, rows[rows.method == other][key].to_numpy())) & set(map(tuple, rows[rows.method == "forescale"][key].to_numpy()))
    return rows[rows.method.isin(["forescale", other]) & np.array([tuple(k) in both for k in rows[key].to_numpy()])]


def bars(rows, shared, errors, laws):
    text = ["## The bar", "",
            "Differences are of geometric means over families, with the 90% range of a paired bootstrap over families.", "",
            line(["mode", "ratio", "default", "law best elsewhere", "which", "default over it", "plain", "default over plain"]), line(["---"] * 8)]
    pairs = by_family(shared, "error", "median")
    for mode in MODES:
        for ratio in RATIOS:
            if ("forescale", mode, ratio) not in errors.index.droplevel("family"):
                continue
            ours = errors.loc["forescale"].loc[(mode, ratio)]
            law, chosen = best_elsewhere(errors, mode, ratio, laws)
            cells = [mode, f"{ratio}x", number(ours.reindex(law.index).median()), number(law.median()), ", ".join(sorted(set(chosen))) or "–",
                     told(difference(ours, law)) if len(law) > 1 else "–"]
            own, plain = (pairs.loc[m].loc[(mode, ratio)] if (m, mode, ratio) in pairs.index.droplevel("family") else None for m in ("forescale", "plain"))
            if plain is not None:
                cells += [number(plain.median()), f"medians {100 * (own.median() / plain.median() - 1):+.0f}%; " + told(difference(own, plain))]
            text.append(line(cells + ["–"] * (8 - len(cells))))
    ours, plain = (shared[shared.method == m] for m in ("forescale", "plain"))
    score = [by_family(r, "score", "mean").groupby("family").mean().mean() for r in (ours, plain)]
    every = rows[rows.method == "forescale"]
    text += ["", f"Held over all {len(every)} cases of the default: {every.held.mean():.3f}; mean interval score over families, modes and ratios: "
             f"{score[0]:.1f}, plain {score[1]:.1f}."]
    return text


def left_out(rows):
    """The error of form learnt without a family, and what that family's intervals then hold.

    Learnt: the least of FORM_FACTORS times today's error with which 90% of the other families' cases lie inside, one vote
    per family; the largest where none does.
    """
    rows = rows[rows.method.str.startswith("form ")]
    if rows.empty:
        return []
    of_table = rows.groupby(["method", "family", "table", "mode", "ratio"])[["held", "score"]].mean()
    figures = of_table.groupby(["method", "family"]).mean()
    def coverage(factor, families):
        return figures.loc[f"form {factor}"].held.reindex(families).mean()
    families = list(figures.loc["form 1"].index)
    text = ["", "## The error of form, left out", "",
            "Today's error of form was chosen with all families in view. Here it is learnt for each family from the others alone, as",
            f"the least of {', '.join(map(str, FORM_FACTORS))} times today's with which 90% of their cases lie inside their 90% intervals (one vote per family).", "",
            line(["family left out", "cases", "multiple learnt", "held, others", "held, left out", "interval score", "held by today's", "interval score"]),
            line(["---"] * 8)]
    found = []
    for family in families:
        others = [other for other in families if other != family]
        factor = next((f for f in FORM_FACTORS if coverage(f, others) >= 0.9), FORM_FACTORS[-1])
        ours, today = figures.loc[(f"form {factor}", family)], figures.loc[("form 1", family)]
        cases = int((rows[rows.method == "form 1"].family == family).sum())
        found.append((ours.held, ours.score, today.held, today.score))
        text.append(line([family, cases, factor, number(coverage(factor, others), 3), number(ours.held, 3), number(ours.score, 1),
                          number(today.held, 3), number(today.score, 1)]))
    mean = np.mean(found, axis=0)
    text.append(line(["**mean**", "", "", "", number(mean[0], 3), number(mean[1], 1), number(mean[2], 3), number(mean[3], 1)]))
    return text


def publish(text, out):
    """Writes a page over its last version, of which what was written by hand stays; to stdout where none is named."""
    if out and out.exists() and NOTES in out.read_text():
        text += "\n" + NOTES + out.read_text().split(NOTES, 1)[1]
    out.write_text(text) if out else print(text)


def told(found):
    (middle, low, high), families = found
    return f"{middle:+.0f}% ({low:+.0f} to {high:+.0f}; {families})"


# ---------------------------------------------------------------------------------------------------- main

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default=str(ROOT / "target/release/forescale"))
    parser.add_argument("--form", default="", help="the example program `backtest_tables`")
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--rows", type=pathlib.Path, help="every case as CSV")
    parser.add_argument("--cache", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "forescale-plain.json")
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--laws", default=",".join(LAWS))
    parser.add_argument("--tables", default="", help="only tables whose name holds this")
    asked = parser.parse_args()
    if not DATA.is_dir() or not PLAIN.is_file():
        sys.exit(f"error: `{DATA}` and `{PLAIN}` are needed\n\nhint: set FORESCALE_PUBLISHED_DATA to the published tables")
    laws, program = [law for law in asked.laws.split(",") if law], asked.program.split()
    kept = [(family, name, tidy(rows)) for family, name, rows in tables() if asked.tables in name]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(asked.jobs) as pool:
        work = []
        for index, (family, name, rows) in enumerate(kept):
            path = pathlib.Path(folder) / f"{index:02d}.csv"
            rows.to_csv(path, index=False, float_format="%.12g")
            work += [pool.submit(engine_rows, program, family, name, path, law) for law in [None, *laws]]
            if asked.form:
                work += [pool.submit(form_rows, asked.form.split(), family, name, path, factor) for factor in FORM_FACTORS]
        found = pd.DataFrame([row for job in work for row in job.result()])
    jobs = []
    for family, name, rows in kept:
        own = found[(found.table == name) & (found.method == "forescale")]
        jobs += plain_jobs(family, name, rows, own, asked.draws)
    plain = pd.DataFrame(cached(asked.cache, jobs, asked.jobs))
    rows = scored(pd.concat([found, plain], ignore_index=True))
    if asked.rows:
        rows.to_csv(asked.rows, index=False)
    heading = (f"{datetime.date.today():%-d %B %Y}, `just bench-skill`: {found.table.nunique()} tables of {found.family.nunique()} families, "
               f"{asked.draws} draws a plain interval.")
    text = page(rows, laws, heading)
    publish(text, asked.out)


if __name__ == "__main__":
    main()
