"""Capability skill over published tables: our forecast per task beside two that others use.

usage: capability.py [--program CMD] [--out PAGE] [--cache FILE] [--jobs N]

Every table of task scores becomes one CSV in the form that the example program `capability_tables` reads, which forecasts
its largest runs from those a tenth of their compute and below. The competitors are fitted here to the same runs:
a sigmoid of log compute, and the OLMo ladder's two steps (task loss by size and data, accuracy by a sigmoid of that loss) with
the starts, bounds and objective of its code. One vote per family of tables.

Needs numpy, scipy, pandas. Data: FORESCALE_PUBLISHED_DATA, or ../shared/data.
"""
import argparse, datetime, hashlib, inspect, json, os, pathlib, subprocess, tempfile
from concurrent.futures import ProcessPoolExecutor
import numpy as np, pandas as pd, scipy

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = pathlib.Path(os.environ.get("FORESCALE_PUBLISHED_DATA", ROOT / "../shared/data"))
RATIO, TOP = 10, 1.5
SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3)
FACTORS = (0.5, 0.7, 1.0, 1.4)
DEFAULT_SHARE = 0.05
COLUMNS = ["run_id", "cluster", "params", "tokens", "flops", "task", "value", "chance", "n_items", "loss"]
NOTES = "## Tried and left out"


# ---------------------------------------------------------------------------------------------------- tables

OLMO_CHANCE = dict(arc_challenge=.25, arc_easy=.25, boolq=.5, csqa=.2, hellaswag=.25, mmlu=.25, openbookqa=.25, piqa=.5,
                   socialiqa=1 / 3, winogrande=.5)
PYTHIA_CHANCE = dict(arc_challenge=.25, arc_easy=.25, lambada_openai=0., logiqa=.25, piqa=.5, sciq=.25, winogrande=.5,
                     wsc=.5, mmlu_mean57_unweighted=.25)
GEMSTONES = {"arc:challenge": ("arcc", .25), "arc:easy": ("arce", .25), "commonsense_qa": ("coqa", .2),
             "hellaswag": ("hellaswag", .25), "mmlu": ("mmlu", .25), "openbookqa": ("openbook", .25), "piqa": ("piqa", .5),
             "siqa": ("siqa", 1 / 3), "winogrande": ("winogrande", .5)}
# Checkpoints of the first tenth of a Pythia run are left out, as the ladder leaves them out of its second step.
PYTHIA_FIRST_STEP = 14300


def read(name):
    return pd.read_csv(DATA / f"{name}.csv", low_memory=False)


def tables():
    """(family, table, rows) with the columns of the example program and `is_final`."""
    rows = read("gadre_tasks").merge(read("gadre_runs")[["run_id", "loss_c4_val"]], on="run_id")
    rows = rows.rename(columns=dict(random_baseline="chance", loss_c4_val="loss"))
    for data, one in rows.groupby("train_data"):
        yield "gadre", f"gadre {data}", one.assign(cluster=one.run_id, is_final=True)
    yield "olmo", "olmo ladder", olmo()
    yield from pythia()
    yield "gemstones", "gemstones", gemstones()
    rows = read("published_tables").query("family == 'GPT-3'")
    chance = rows.metric.map(lambda m: .25 if "hella" in m or "arc" in m else .5 if "piqa" in m else 0.)
    yield "gpt3", "gpt3", rows.assign(run_id=rows.model, cluster=rows.model, task=rows.metric.str.replace("_acc", ""),
                                      chance=chance, is_final=True)


def olmo():
    rows = read("olmo_ladder_final")
    def kind(prefix):
        one = rows[rows.metric.str.startswith(prefix)]
        return one.assign(task=one.metric.str.removeprefix(prefix).str.replace("_rc_5shot.*", "", regex=True))
    bits = kind("downstream_bpb/")[["run_id", "task", "value"]].rename(columns=dict(value="loss"))
    scores = kind("downstream/").merge(bits, on=["run_id", "task"])
    chance = scores.task.map(lambda t: next(v for k, v in OLMO_CHANCE.items() if t.startswith(k)))
    return scores.assign(chance=chance, cluster=scores.run_id, is_final=True)


def pythia():
    """Checkpoints; the loss is the log perplexity of LAMBADA, the one that the table has."""
    rows = read("pythia_evals")
    rows = rows[rows.step >= PYTHIA_FIRST_STEP]
    loss = rows[rows.metric == "ppl"].assign(loss=lambda r: np.log(r.value))[["model", "step", "shots", "loss"]]
    rows = rows[(rows.metric == "acc") & rows.task.isin(PYTHIA_CHANCE)].merge(loss, on=["model", "step", "shots"], how="left")
    rows = rows.assign(run_id=rows.model + "-" + rows.step.astype(str), cluster=rows.model, params=rows.params_total,
                       chance=rows.task.map(PYTHIA_CHANCE), is_final=rows.step == 143000)
    for (is_deduped, shots), one in rows.groupby([rows.model.str.contains("deduped"), "shots"]):
        yield "pythia", f"pythia {'deduped ' if is_deduped else ''}{shots}", one


def gemstones():
    rows, loss = read("gemstones_lighteval"), read("gemstones_task_losses")
    loss = loss.rename(columns=dict(task="code", loss_mean="loss"))[["shape", "checkpoint", "code", "loss"]]
    rows = rows.assign(code=rows.task.map(lambda t: GEMSTONES[t][0]), chance=rows.task.map(lambda t: GEMSTONES[t][1]))
    rows = rows.merge(loss, on=["shape", "checkpoint", "code"], how="left").rename(columns=dict(acc="value"))
    return rows.assign(run_id=rows["shape"] + "-" + rows.checkpoint, cluster=rows["shape"], is_final=rows.checkpoint == "main")


def tidy(rows):
    rows = rows.reindex(columns=[*COLUMNS, "is_final"]).dropna(subset=["value", "flops"])
    return rows.assign(is_final=rows.is_final.astype(bool)).sort_values(["flops", "run_id"]).reset_index(drop=True)


def split(rows):
    """The largest finished runs, and what may be seen: a tenth of their compute and below, of other models than theirs."""
    goals = rows[(rows.flops * TOP >= rows.flops.max()) & rows.is_final]
    return goals, rows[(rows.flops <= goals.flops.min() / RATIO) & ~rows.cluster.isin(goals.cluster)]


# ---------------------------------------------------------------------------------------------------- the competitors

def sigmoid(z):
    return 1 / (1 + np.exp(-np.clip(z, -500, 500)))


def huber(residuals, delta=1e-3):
    size = np.abs(residuals)
    return np.where(size < delta, .5 * size * size, delta * (size - .5 * delta)).sum()


def compute_only(seen, goals):
    """Acc = b + (1 − b)·u·sigmoid(k(ln C − x)), b and u between 0 and 1: least squares, the best of ten starts."""
    from scipy.optimize import least_squares
    x, y = np.log(seen.flops.to_numpy()), seen.value.to_numpy()
    curve = lambda p, at: p[3] + (1 - p[3]) * p[0] * sigmoid(p[1] * (at - p[2]))
    found = []
    for middle in [*np.quantile(x, [.25, .5, .75, 1]), x.max() + 2]:
        for slope in (.3, 1.):
            start = [min(max(y.max() - y.min(), .05), .9), slope, middle, min(max(y.min(), .01), .98)]
            found.append(least_squares(lambda p: curve(p, x) - y, start, bounds=([0, 0, -np.inf, 0], [1, np.inf, np.inf, 1])))
    return curve(min(found, key=lambda r: r.cost).x, np.log(goals.flops.to_numpy()))


def task_loss(seen):
    """L = A/N^α + B/D^β + E by Huber's error of ln L, L-BFGS from twelve starts."""
    from scipy.optimize import minimize
    n, d, loss = (np.log(seen[c].to_numpy(float)) for c in ("params", "tokens", "loss"))
    terms = lambda p, n, d: (np.exp(p[0] - p[3] * n), np.exp(p[1] - p[4] * d), np.exp(p[2]))
    at = lambda p, n, d: sum(terms(p, n, d))
    def cost(p, delta=1e-3):
        a, b, e = terms(p, n, d)
        off = np.log(a + b + e) - loss
        pull = np.clip(off, -delta, delta) / (a + b + e)
        return huber(off, delta), np.array([(pull * a).sum(), (pull * b).sum(), (pull * e).sum(), -(pull * a * n).sum(), -(pull * b * d).sum()])
    options = dict(ftol=0, gtol=1e-10, maxiter=500)
    starts = [[s, s, e, a, a] for a in (.3, .5) for e in (0., .5) for s in (3., 8., 12.)]
    fit = lambda start: minimize(cost, start, jac=True, method="L-BFGS-B", options=options,
                                 bounds=[(None, None)] * 3 + [(0, None)] * 2)
    best = min(map(fit, starts), key=lambda r: r.fun).x
    return lambda rows: at(best, np.log(rows.params.to_numpy(float)), np.log(rows.tokens.to_numpy(float)))


def two_step(seen, goals, law):
    """Acc = a/(1 + e^(−k(L − L0))) + b, the ladder's start [min − 1, 0.9, 3, max] and bounds."""
    from scipy.optimize import minimize
    loss, y = seen.loss.to_numpy(), seen.value.to_numpy()
    curve = lambda p, at: p[0] * sigmoid(p[1] * (at - p[2])) + p[3]
    found = minimize(lambda p: huber(curve(p, loss) - y), [y.min() - 1, .9, 3., y.max()], method="L-BFGS-B",
                     options=dict(ftol=0, gtol=1e-10, maxiter=2000), bounds=[(-1, 0), (0, None), (0, None), (0, 1)])
    return curve(found.x, law(goals))


def competitors(job):
    family, table, rows = job
    laws, answers = {}, []
    for task, one in rows.groupby("task"):
        goals, seen = split(one)
        law = None
        if seen.loss.notna().all():
            key = seen.loss.to_numpy().tobytes()
            law = laws.setdefault(key, None) or task_loss(seen)
            laws[key] = law
        two = two_step(seen, goals, law) if law else np.full(len(goals), np.nan)
        for run, actual, sigmoid_of_c, ladder in zip(goals.run_id, goals.value, compute_only(seen, goals), two):
            answers.append(dict(family=family, table=table, task=task, run_id=run, actual=actual, last=seen.value.iloc[-1],
                                compute=sigmoid_of_c, ladder=ladder))
    return answers


def cached(path, jobs, workers):
    """The competitors' answers, which are slow, kept by a digest of what was asked and of this file."""
    known = json.loads(path.read_text()) if path.exists() else {}
    code = inspect.getsource(compute_only) + inspect.getsource(task_loss) + inspect.getsource(two_step)
    key = lambda job: hashlib.sha256((code + job[1] + job[2].to_csv()).encode()).hexdigest()
    missing = [job for job in jobs if key(job) not in known]
    with ProcessPoolExecutor(workers) as pool:
        for job, rows in zip(missing, pool.map(competitors, missing)):
            known[key(job)] = rows
            path.write_text(json.dumps(known))
    return [row for job in jobs for row in known[key(job)]]


# ---------------------------------------------------------------------------------------------------- ours

def ours(program, family, table, rows, *flags):
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        rows[COLUMNS].to_csv(file.name, index=False)
        goals = ",".join(split(rows)[0].run_id.unique())
        done = subprocess.run([*program, file.name, "--ratio", str(RATIO), "--target", goals, *flags], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{table}: {done.stderr}")
    for case in json.loads(done.stdout)["cases"]:
        score, forecast = case.get("score"), case["forecast"]
        gate = forecast["gate"]
        voices = {law["law"]: law["value"] for law in forecast["laws"]}
        yield dict(family=family, table=table, task=forecast["task"], run_id=case["run_id"], is_answered=score is not None,
                   ours=score["median"] if score else np.nan, behind=case.get("behind_gate", np.nan),
                   is_inside=score["is_inside"] if score else np.nan, reason=gate.get("reason"), moved=gate["moved"] / (1 - gate["plateau"]),
                   width=score["interval"]["upper"] - score["interval"]["lower"] if score else np.nan,
                   interval_score=interval_score(score, case) if score else np.nan,
                   two_step=voices.get("two_step", np.nan), straight=voices.get("sigmoid_of_compute", np.nan))


def interval_score(score, case):
    """Gneiting and Raftery's: the width, and 2/α times what the outcome lies outside by."""
    at, actual = score["interval"], case["actual"]
    outside = max(at["lower"] - actual, actual - at["upper"], 0.0)
    return at["upper"] - at["lower"] + 2 / (1 - at["level"]) * outside


def behind_gate(cases, share):
    """The cases as a gate that asks for so much would leave them, from those of one that asks for nothing."""
    shut = cases.is_answered & (cases.moved < share)
    left = cases.assign(is_answered=cases.is_answered & ~shut, behind=cases.behind.where(~shut, cases.ours))
    # The gate asks for the distance before it asks for a steady slope, and for neither of what gets worse.
    is_near = ~left.is_answered & (left.moved < share) & (left.reason != "inverse")
    left = left.assign(reason=left.reason.where(~is_near, "on_plateau"))
    return left.assign(**{c: left[c].where(~shut) for c in ("ours", "is_inside", "width", "interval_score")})


# ---------------------------------------------------------------------------------------------------- figures

def number(value, digits=2):
    return "–" if value is None or pd.isna(value) else f"{value:.{digits}f}"


def line(cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def errors(cases, methods):
    """Mean |error| in points: per family, their mean, and over all cases."""
    points = cases.assign(**{m: 100 * (cases[m] - cases.actual).abs() for m in methods})
    by = points.groupby("family")[methods].mean()
    return by, by.mean(), points[methods].mean(), cases.groupby("family").size()


def table_of(cases, methods):
    by, families, pooled, counts = errors(cases, methods)
    text = [line(["family", "cases", *methods]), line(["---"] * (2 + len(methods)))]
    text += [line([f, counts[f], *(number(by.loc[f, m]) for m in methods)]) for f in by.index]
    text += [line(["**mean of families**", "", *(number(families[m]) for m in methods)]),
             line(["all cases", len(cases), *(number(pooled[m]) for m in methods)])]
    return text


def with_last(cases):
    """Every task, a refusal of any method scored as the last value seen."""
    filled = {m: cases[m].fillna(cases["last"]) for m in ("ours", "compute", "ladder")}
    return cases.assign(**filled)


def left_out(by_factor):
    """Per family the least factor on the error of form that holds 90% of the other families' cases, and what it holds here."""
    text = [line(["family left out", "cases", "factor learnt", "held, others", "held, left out"]), line(["---"] * 5)]
    held = {x: c[c.is_answered].assign(held=lambda r: r.is_inside.astype(float)) for x, c in by_factor.items()}
    families, outcomes = sorted(set(held[1.0].family)), []
    for family in families:
        share = {x: c[c.family != family].groupby("family").held.mean().mean() for x, c in held.items()}
        factor = next((x for x in FACTORS if share[x] >= 0.9), FACTORS[-1])
        here = held[factor][held[factor].family == family].held
        outcomes.append(here.mean())
        text.append(line([family, len(here), factor, number(share[factor], 3), number(here.mean(), 3)]))
    return text + [line(["**mean**", "", "", "", number(np.mean(outcomes), 3)])]


def refusals(cases):
    """How often the plain sigmoid missed by over five points behind a shut gate and before an open one."""
    miss = 100 * (cases.compute - cases.actual).abs() > 5
    shut = cases[~cases.is_answered]
    text = [line(["reason", "cases", "refusal was right", "plain sigmoid errs", "last value errs", "ours would have erred"]),
            line(["---"] * 6)]
    groups = [(reason, one) for reason, one in shut.groupby("reason")] + [("**any**", shut)]
    for reason, one in groups:
        err = lambda c: number(100 * (one[c] - one.actual).abs().mean())
        text.append(line([reason, len(one), number(miss[one.index].mean()), err("compute"), err("last"), err("behind")]))
    return text, miss[cases.is_answered].mean()


def page(cases, by_share, by_factor, heading):
    methods = ["ours", "compute", "ladder"]
    every = cases[cases.is_answered & cases.ladder.notna()]
    filled = with_last(cases)
    answered = cases[cases.is_answered].assign(held=lambda r: r.is_inside.astype(float))
    text = ["# Capability skill", "", "What is said of the tasks of tables that others published, held against their largest runs, beside two methods in",
            "use: a sigmoid of log compute (`compute`) and the OLMo ladder's two steps (`ladder`: task loss by size and data, accuracy",
            "by a sigmoid of that loss; starts, bounds and objective of its code). Errors are mean |error| in points of accuracy.", "", heading, "",
            "All see the same runs: those of a tenth of the smallest target's compute and below. Targets are the finished runs within",
            "1.5 times the largest compute. The loss of the two steps is the task's own (OLMo in bits per byte, Gemstones in nats), that of",
            "C4 (Gadre), or LAMBADA's log perplexity (Pythia); GPT-3 has none, and the ladder no answer there. Pythia and Gemstones are",
            "checkpoints, of which those of one model are drawn together, and none of a target's own is seen.", "",
            "## (a) Tasks that all methods answer", "", *table_of(every, methods), "",
            "The two voices of ours on the same cases: " + voices(every) + ".", "",
            "## (b) All tasks, a refusal scored as the last value seen", "", *table_of(filled, methods + ["last"]), "",
            "## (c) Error against the share answered", "",
            "The gate asks for a share of what chance leaves, over three rungs; 0.05 is the default. Errors over the mean of families,",
            "on the answered tasks and on all of them.", "",
            line(["gate", "answered", "ours, answered", "compute, same", "ladder, same", "ours, all tasks"]), line(["---"] * 6)]
    for share, one in by_share.items():
        own = one[one.is_answered]
        text.append(line([share, number(one.is_answered.mean()), number(errors(own, ["ours"])[1]["ours"]),
                          number(errors(own, ["compute"])[1]["compute"]),
                          number(errors(own[own.ladder.notna()], ["ladder"])[1]["ladder"]),
                          number(errors(with_last(one), ["ours"])[1]["ours"])]))
    table, open_misses = refusals(cases)
    text += ["", "A refusal was right where the plain sigmoid of compute missed by over 5 points:", "", *table, "",
             f"Before an open gate the plain sigmoid missed by over 5 points in {number(open_misses)} of cases.", "",
             "## Intervals", "", "90% intervals of the answered cases: share that holds, mean width and mean interval score in points",
             "(the width, and 20 times what an outcome lies outside by: lower is better).", "",
             line(["family", "cases", "held", "width", "interval score"]), line(["---"] * 5)]
    for family, one in answered.groupby("family"):
        text.append(line([family, len(one), number(one.held.mean(), 3), number(100 * one.width.mean(), 1),
                          number(100 * one.interval_score.mean(), 1)]))
    text += [line(["**all cases**", len(answered), number(answered.held.mean(), 3), number(100 * answered.width.mean(), 1),
                   number(100 * answered.interval_score.mean(), 1)]),
             line(["one vote per family", "", number(answered.groupby("family").held.mean().mean(), 3), "",
                   number(100 * answered.groupby("family").interval_score.mean().mean(), 1)]), "",
             "The error of form (0.018 of accuracy a decade past the data) was chosen with all families in view. Learnt for each family",
             f"from the others alone, as the least of {', '.join(map(str, FACTORS))} times it that holds 90% of theirs:", "", *left_out(by_factor), "",
             "## The bar", "", *bar(every, filled, answered), ""]
    return text


def voices(cases):
    own = errors(cases, ["two_step", "straight"])[1]
    return f"two steps {number(own['two_step'])}, straight from compute {number(own['straight'])} (mean of families)"


def bar(every, filled, answered):
    text = [line(["bar", "ours", "compute", "ladder", "met"]), line(["---"] * 5)]
    for name, cases in (("(a) mean absolute error", every), ("(b) mean absolute error", filled)):
        for which, at in (("families", 1), ("all cases", 2)):
            figures = errors(cases, ["ours", "compute", "ladder"])[at]
            met = figures["ours"] < min(figures["compute"], figures["ladder"])
            text.append(line([f"{name}, {which}", *(number(figures[m]) for m in ("ours", "compute", "ladder")), "yes" if met else "no"]))
    held = answered.held.mean()
    return text + [line(["90% intervals hold 80 to 97%", number(held, 3), "", "", "yes" if .8 <= held <= .97 else "no"])]


def per_task(cases):
    text = ["## Task by task", "", "Accuracy of the largest runs (mean over them) and what each method said; – is no answer.", "",
            line(["table", "task", "last seen", "actual", "ours", "compute", "ladder"]), line(["---"] * 7)]
    columns = ["last", "actual", "ours", "compute", "ladder"]
    means = cases.groupby(["table", "task"])[columns].mean()
    return text + [line([table, task, *(number(row[c], 3) for c in columns)]) for (table, task), row in means.iterrows()]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default=str(ROOT / "target/release/examples/capability_tables"))
    parser.add_argument("--out")
    parser.add_argument("--cache", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "capability-others.json")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    jobs = [(family, table, tidy(rows)) for family, table, rows in tables()]
    others = pd.DataFrame(cached(asked.cache, jobs, asked.jobs))
    keys = ["family", "table", "task", "run_id"]
    def run(*flags):
        rows = [row for family, table, rows in jobs for row in ours([asked.program], family, table, rows, *flags)]
        return others.merge(pd.DataFrame(rows), on=keys, how="left", validate="one_to_one")
    open_gate = run("--gate-share", "0")
    by_share = {share: behind_gate(open_gate, share) for share in SHARES}
    cases = by_share[DEFAULT_SHARE]
    by_factor = {factor: cases if factor == 1.0 else run("--form-factor", str(factor)) for factor in FACTORS}
    date = datetime.date.today().strftime("%-d %B %Y")
    heading = f"{date}, `just bench-capability`: {len(cases)} cases of {cases.groupby(['table', 'task']).ngroups} tasks in {len(jobs)} tables of {cases.family.nunique()} families; SciPy {scipy.__version__}."
    text = page(cases, by_share, by_factor, heading)
    kept = []
    if asked.out and pathlib.Path(asked.out).exists():
        before = pathlib.Path(asked.out).read_text()
        if NOTES in before:
            kept = [before[before.index(NOTES):].split("## Task by task")[0].rstrip(), ""]
    text = "\n".join([*text, *kept, *per_task(cases)]) + "\n"
    pathlib.Path(asked.out).write_text(text) if asked.out else print(text)


if __name__ == "__main__":
    main()
