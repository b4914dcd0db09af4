use forescale_core::corpus::{PartSpec, ShardFormat};
use forescale_core::run::PlannedRun;

use super::*;

const LADDER: &str = include_str!("tests/ladder.toml");

fn parse(text: &str) -> Result<SweepSpec, SpecError> {
    SweepSpec::parse(Path::new("sweeps/q/sweep.toml"), text)
}

fn line_of(text: &str, start: &str) -> usize {
    text.lines().position(|line| line.starts_with(start)).expect("the line") + 1
}

/// The error after one change to a good spec.
fn refusal(from: &str, to: &str) -> String {
    assert!(LADDER.contains(from), "{from}");
    parse(&LADDER.replacen(from, to, 1)).expect_err(to).to_string()
}

#[test]
fn a_spec_says_what_it_says() {
    let spec = parse(LADDER).expect("a good spec");
    assert_eq!((spec.name(), spec.folder()), ("measured", Path::new("sweeps/q")));
    assert_eq!(spec.rungs()[0], Rung { width: 24, tokens_per_param: 40.0, seeds: 3 });
    assert_eq!(spec.off_path()[0].horizon, Horizon::ComputeOf(40));
    assert_eq!(spec.forecast().flops_rule, FlopsRule::Exact);
    assert!(matches!(spec.corpus(), CorpusSpec::RustCode(code) if code.lock == "corpus.lock"));
}

#[test]
fn what_is_left_out_has_the_usual_value() {
    let short = "schema = \"forescale.sweep/1.0\"\nname = \"short\"\n[corpus]\nsource = \"files\"\npaths = [\"text\"]\n\
                 [ladder]\nwidths = [32, 24]\ntokens_per_param = [20, 40]\n";
    let spec = parse(short).expect("a good spec");
    let full = parse(LADDER).expect("a good spec");
    assert_eq!(spec.training(), full.training());
    assert_eq!(spec.evaluation(), full.evaluation());
    assert_eq!(spec.target(), None);
    assert_eq!(spec.rungs()[0], Rung { width: 24, tokens_per_param: 40.0, seeds: 1 }, "rungs rise whatever the order");
}

/// The `files` template with these lines without their sign for a comment.
fn uncommented(starts: &[&str]) -> String {
    let line = |line: &str| match line.strip_prefix("# ") {
        Some(key) if starts.iter().any(|start| key.starts_with(start)) => format!("{key}\n"),
        _ => format!("{line}\n"),
    };
    crate::template("files", Path::new("short")).expect("a template").lines().map(line).collect()
}

#[test]
fn the_template_shows_the_usual_values_and_its_comments_are_keys() {
    let parsed = parse(&uncommented(&[])).expect("a good spec");
    let full = parse(LADDER).expect("a good spec");
    assert_eq!((parsed.training(), parsed.evaluation()), (full.training(), full.evaluation()));
    assert_eq!(parsed.hardware(), full.hardware());
    let keys = ["base_tokens", "beta2_base", "decay", "[[trunk]]", "width = 32", "tokens_per_param = [", "seed = 0"];
    let text = uncommented(&keys).replace("schedule = \"linear\"", "schedule = \"warmup_stable_decay\"");
    let spec = parse(&text).expect("a good spec");
    assert_eq!((spec.trunks().len(), spec.training().beta2_base_batch_tokens), (1, Some(512.0)));
}

/// Line 13 said that every byte is a token, when a corpus could have a tokenizer or be shards.
#[test]
fn the_template_shows_every_tokenizer_and_shards() {
    let vocabulary = |text: &str| parse(text).expect("a good spec").corpus().vocabulary();
    assert_eq!(vocabulary(&uncommented(&[])), Some(256));
    assert_eq!(vocabulary(&uncommented(&["tokenizer = { kind = \"bpe\""])), Some(4096));
    assert_eq!(vocabulary(&uncommented(&["tokenizer = { kind = \"file\""])), Some(50_257));
    let keys = ["source", "train =", "validation =", "vocabulary", "format", "bytes_per", "tokenizer = \"", "end_of"];
    let of_files = ["source = \"files\"", "paths", "validation_share"];
    let kept = |line: &&str| !of_files.iter().any(|key| line.starts_with(key));
    let text: Vec<_> = uncommented(&keys).lines().filter(kept).map(str::to_owned).collect();
    let spec = parse(&text.join("\n")).expect("a good spec");
    let CorpusSpec::Shards(shards) = spec.corpus() else { panic!("{:?}", spec.corpus()) };
    assert_eq!((shards.vocabulary, shards.format, shards.end_of_text), (50_257, Some(ShardFormat::Llmc), Some(50_256)));
}

/// The usual evaluation cost a sixth of the smallest rung, and its curve had too few points for `probe collapse`.
#[test]
fn the_usual_evaluation_is_cheap_and_its_curve_long_enough() {
    let spec = parse(&uncommented(&[])).expect("a good spec");
    let evaluation = spec.evaluation();
    assert_eq!((evaluation.tokens, evaluation.curve_tokens, evaluation.curve_points), (40_960, 2048, 5));
    // A forward pass has a third of a step's FLOPs: (40960 + 5·2048) / 3 = 17067 of the smallest rung's 804864 tokens.
    let smallest = crate::plan(&spec, None).expect("a good plan").runs[0].config.tokens();
    let measured = evaluation.tokens + u64::from(evaluation.curve_points) * evaluation.curve_tokens;
    assert!((measured as f64 / 3.0) < 0.03 * smallest as f64, "{measured} beside {smallest}");
    assert!(evaluation.curve_points >= 4, "as many as `probe collapse` needs");
}

#[test]
fn problems_are_judged_where_the_spec_says_how() {
    use forescale_core::run::TaskEvaluation;
    let tasks = |lines: &str| {
        let text = LADDER.replacen("curve_points = 5", &format!("curve_points = 5\n{lines}"), 1);
        parse(&text).expect("a good spec").evaluation().tasks
    };
    assert_eq!(tasks(""), None);
    assert_eq!(tasks("task_samples = 100"), Some(TaskEvaluation { successes: 4, budget: 100 }));
    assert_eq!(tasks("task_samples = 2"), Some(TaskEvaluation { successes: 2, budget: 2 }));
    assert_eq!(tasks("task_successes = 1"), Some(TaskEvaluation { successes: 1, budget: 256 }));
    assert_eq!(tasks("task_successes = 8\ntask_samples = 500"), Some(TaskEvaluation { successes: 8, budget: 500 }));
}

#[test]
fn the_usual_curve_is_a_window_at_least_and_the_evaluation_at_most() {
    let of = |from: &str, to: &str| {
        let text = LADDER.replacen("curve_tokens = 2048\n", "", 1).replacen(from, to, 1);
        parse(&text).expect("a good spec").evaluation().curve_tokens
    };
    assert_eq!(of("context = 128", "context = 128"), 2048);
    assert_eq!(of("context = 128", "context = 4096"), 4096);
    assert_eq!(of("tokens = 40960", "tokens = 1024"), 1024);
}

#[test]
fn an_unknown_key_is_told_the_nearest_and_the_line() {
    let line = line_of(LADDER, "tokens_per_param = 40");
    let error = refusal("tokens_per_param = 40", "tokens_per_parm = 40");
    let start = format!(
        "`sweeps/q/sweep.toml` line {line}: `tokens_per_parm` is not known here; did you mean `tokens_per_param`?"
    );
    assert!(error.starts_with(&start), "{error}");
    assert!(error.contains("hint: allowed are `widths`, `tokens_per_param`, `seeds`"), "{error}");
}

#[test]
fn an_unknown_section_and_an_unknown_corpus_key_are_told_the_nearest() {
    assert!(refusal("[evaluation]", "[evaluaton]").contains("did you mean `evaluation`?"));
    let line = line_of(LADDER, "lock = ");
    assert!(
        refusal("lock = ", "lok = ").contains(&format!("line {line}: `lok` is not known here; did you mean `lock`?"))
    );
    assert!(refusal("\"rust-code\"", "\"rust_code\"").contains("did you mean `rust-code`?"));
    assert!(refusal("\"linear\"", "\"liner\"").contains("did you mean `linear`?"));
}

#[test]
fn where_runs_are_trained_is_asked_by_flags_and_a_key_for_it_is_told_so() {
    let refused = |key: &str| parse(&format!("{LADDER}\n[hardware]\n{key}\n")).expect_err(key).to_string();
    let error = refused("device = \"cuda\"");
    assert!(error.contains("`device` is not known here"), "{error}");
    assert!(
        error.ends_with("hint: it is no part of a sweep, but a flag: forescale run SWEEP --device cuda"),
        "{error}"
    );
    assert!(refused("colour = 1").ends_with("hint: allowed are `accumulate`"));
}

#[test]
fn a_unit_in_a_number_names_line_and_key() {
    let line = line_of(LADDER, "tokens = 40960");
    let error = refusal("tokens = 40960", "tokens = \"262k\"");
    assert!(error.starts_with(&format!("`sweeps/q/sweep.toml` line {line}: `tokens`: ")), "{error}");
    assert!(
        error.contains("expected a whole number, 0 or more") && error.contains("hint: numbers are written without"),
        "{error}"
    );
}

#[test]
fn a_missing_key_is_named() {
    let error = refusal("widths = [24, 32, 40, 48, 56]", "");
    assert!(error.contains("a key is missing: `widths`"), "{error}");
}

#[test]
fn what_is_not_toml_names_the_line() {
    let error = refusal("context = 128", "context = ");
    let line = line_of(LADDER, "context = 128");
    assert!(error.starts_with(&format!("`sweeps/q/sweep.toml` line {line}: ")), "{error}");
}

#[test]
fn another_version_is_called_that_even_with_unknown_keys() {
    let error = refusal("schema = \"forescale.sweep/1.0\"", "schema = \"forescale.sweep/1.4\"\nnovelty = 1");
    assert!(error.contains("`forescale.sweep/1.4` is too new"), "{error}");
}

#[test]
fn values_that_cannot_be_are_refused_with_the_ones_that_can() {
    let cases = [
        ("warmup = 0.1", "warmup = 10", "`training.warmup` is 10; a share above 0 and below 1 is needed"),
        ("learning_rate = 0.014", "learning_rate = -0.014", "`training.learning_rate` is -0.014; a number above 0"),
        ("learning_rate = 0.014", "learning_rate = nan", "`training.learning_rate` is NaN; a number above 0"),
        ("tokens_per_param = 40", "tokens_per_param = 0.4", "`ladder.tokens_per_param` has 0.4; at least 1 token"),
        ("seeds = [3, 3, 2, 2, 1]", "seeds = [3, 3]", "`ladder.seeds` has 2 numbers for 5 widths"),
        ("seeds = [3, 3, 2, 2, 1]", "seeds = 0", "`ladder.seeds` has 0; a whole number from 1"),
        ("seeds = [3, 3, 2, 2, 1]", "seeds = 2.5", "`ladder.seeds` has 2.5; a whole number from 1"),
        ("curve_points = 5", "task_samples = 0", "`evaluation.task_samples` is 0; at least 1"),
        ("curve_points = 5", "task_successes = 0", "`evaluation.task_successes` is 0; 1 to `task_samples` = 256"),
        (
            "curve_points = 5",
            "task_samples = 3\ntask_successes = 4",
            "`evaluation.task_successes` is 4; 1 to `task_samples` = 3",
        ),
        ("[24, 32, 40, 48, 56]", "[24, 32, 40, 48, 50]", "`ladder.widths` has 50; a multiple of `head_size` = 8"),
        ("[24, 32, 40, 48, 56]", "[24, 32, 40, 48, 24]", "`ladder.widths` names 24 twice"),
        ("at_compute_of = 40", "at_compute_of = 44", "`off_path.at_compute_of` is 44, which is no rung"),
        (
            "at_compute_of = 40",
            "at_compute_of = 40\ntokens_per_param = 9",
            "needs either `tokens_per_param` or `at_compute_of`",
        ),
        ("level = 0.9", "level = 90", "`forecast.level` is 90; a share"),
        (
            "flops_rule = \"exact\"",
            "flops_rule = \"column\"",
            "`forecast.flops_rule` is `column`, which only a table has",
        ),
        (
            "params_rule = \"matmul\"",
            "params_rule = \"column\"",
            "`forecast.params_rule` is `column`, which only a table has",
        ),
        ("name = \"measured\"", "name = \"quick start\"", "`name` is `quick start`; letters, digits"),
        ("head_size = 8", "head_size = 5", "`model.head_size` is 5; an even number"),
        ("layers = 2", "layers = 0", "`model.layers` is 0; at least 1"),
        ("warmup = 0.1", "base_layers = 0", "`training.base_layers` is 0; at least 1"),
        ("warmup = 0.1", "horizon_exponent = 0.3", "`training.horizon_exponent` is 0.3, which needs `base_tokens`"),
        ("warmup = 0.1", "horizon_exponent = 3", "`training.horizon_exponent` is 3; a number above -1 and below 1"),
        ("warmup = 0.1", "base_tokens = 0", "`training.base_tokens` is 0; a number above 0"),
        ("warmup = 0.1", "beta2_base_batch_tokens = -1", "`training.beta2_base_batch_tokens` is -1; a number above 0"),
        ("warmup = 0.1", "batch_exponent = 1", "`training.batch_exponent` is 1; 0 or more and below 1"),
        ("warmup = 0.1", "decay = 0.2", "`training.decay` is 0.2, and only `warmup_stable_decay` has a cooldown"),
        ("curve_tokens = 2048", "curve_tokens = 64", "`evaluation.curve_tokens` is 64; 0, or from one window of 128"),
        ("curve_tokens = 2048", "curve_tokens = 40961", "to `tokens` = 40960, is needed"),
        ("mlp_ratio = 2.6667", "mlp = \"relu\"", "`relu` is not known here; did you mean `relu_squared`?"),
        ("warmup = 0.1", "bach_exponent = 1", "`bach_exponent` is not known here; did you mean `batch_exponent`?"),
    ];
    for (from, to, words) in cases {
        let error = refusal(from, to);
        assert!(error.contains(words) && error.contains("\n\nhint: "), "{to}: {error}");
    }
}

/// The error of the ladder with a cooldown and these lines at the end.
fn trunk_refusal(lines: &str) -> String {
    let text = LADDER.replace("schedule = \"linear\"", "schedule = \"warmup_stable_decay\"");
    parse(&format!("{text}\n{lines}")).expect_err(lines).to_string()
}

#[test]
fn a_trunk_says_what_its_branches_are() {
    let text = LADDER.replace("schedule = \"linear\"", "schedule = \"warmup_stable_decay\"");
    let spec =
        parse(&format!("{text}\n[[trunk]]\nwidth = 32\ntokens_per_param = [40, 10.5]\nseed = 2\n")).expect("good");
    assert_eq!(spec.trunks(), [Trunk { width: 32, tokens_per_param: vec![10.5, 40.0], seed: 2 }]);
    assert!((spec.training().decay - 0.2).abs() < 1e-15);
}

#[test]
fn a_trunk_that_cannot_be_is_refused() {
    for (lines, words) in [
        ("[[trunk]]\nwidth = 33\ntokens_per_param = [10, 40]", "`trunk.width` has 33; a multiple of `head_size` = 8"),
        ("[[trunk]]\nwidth = 32\ntokens_per_param = [10]", "`trunk.tokens_per_param` has 1 horizons; at least 2"),
        ("[[trunk]]\nwidth = 32\ntokens_per_param = [10, 0.1]", "`trunk.tokens_per_param` has 0.1; at least 1 token"),
        ("[[trunk]]\nwidth = 32\ntokens_per_param = [10, 40, 10]", "`trunk.tokens_per_param` names 10 twice"),
        ("[[trunk]]\nwidth = 32\ntokens_per_parm = [10, 40]", "did you mean `tokens_per_param`?"),
    ] {
        let error = trunk_refusal(lines);
        assert!(error.contains(words) && error.contains("\n\nhint: "), "{lines}: {error}");
    }
    let linear = format!("{LADDER}\n[[trunk]]\nwidth = 32\ntokens_per_param = [10, 40]\n");
    let error = parse(&linear).expect_err("linear").to_string();
    assert!(error.contains("`training.schedule` has to be `warmup_stable_decay`"), "{error}");
}

#[test]
fn a_cooldown_that_begins_before_the_warmup_ends_is_refused() {
    let text = LADDER.replace("schedule = \"linear\"", "schedule = \"warmup_stable_decay\"\ndecay = 0.95");
    let error = parse(&text).expect_err("too long").to_string();
    assert!(error.contains("`training.decay` is 0.95 beside a `warmup` of 0.1; together at most 1"), "{error}");
}

#[test]
fn the_first_and_the_present_version_are_read() {
    let version =
        |version: &str| LADDER.replacen("schema = \"forescale.sweep/1.0\"", &format!("schema = \"{version}\""), 1);
    assert_eq!(parse(&version("forescale.sweep/1.0")), parse(&version(SWEEP_SCHEMA)));
    assert!(parse(&version("forescale.sweep/1.0")).is_ok());
}

#[test]
fn a_refused_value_names_its_line() {
    let line = line_of(LADDER, "warmup = ");
    assert!(refusal("warmup = 0.1", "warmup = 10").starts_with(&format!("`sweeps/q/sweep.toml` line {line}: ")));
}

#[test]
fn facts_beyond_the_digits_are_refused() {
    let zipf = include_str!("../../../../sweeps/zipf/sweep.toml");
    let error = parse(&zipf.replace("facts = 262144", "facts = 262145")).expect_err("too many").to_string();
    assert!(error.contains("`corpus.facts` is 262145; `vocabulary`^`key_digits` allows 1 to 262144"), "{error}");
}

#[test]
fn a_missing_spec_is_told_how_to_make_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let error = SweepSpec::load(folder.path()).expect_err("missing").to_string();
    assert!(
        error.contains("sweep.toml`: the spec cannot be read") && error.contains("hint: `forescale init "),
        "{error}"
    );
}

const CAPABILITY: &str = include_str!("../../../../sweeps/capability/sweep.toml");

#[test]
fn a_mixture_of_text_and_tasks_is_read_part_by_part() {
    let spec = parse(CAPABILITY).expect("a good spec");
    let CorpusSpec::Mixture(mixture) = spec.corpus() else { panic!("{:?}", spec.corpus()) };
    assert_eq!(spec.corpus().vocabulary(), Some(256));
    let tasks = mixture.part.iter().filter_map(|part| match part {
        PartSpec::Task(task) => Some((task.name(), task.problems, task.parameters.len())),
        PartSpec::Files(_) | PartSpec::RustCode(_) => None,
    });
    assert_eq!(tasks.collect::<Vec<_>>(), [("zipf_recall", 100, 3), ("addition", 100, 2), ("distractor", 100, 3)]);
    let plan = crate::plan(&spec, None).expect("a good plan");
    let (target, others) = plan.runs.split_last().expect("runs");
    let cost = |run: &PlannedRun| run.config.flops().exact;
    assert!(others.iter().all(|run| 100.0 * cost(run) <= cost(target)), "the fit sees a hundredth of the target");
}

#[test]
fn what_a_mixture_may_not_say_is_named_with_its_line() {
    let refusal = |from: &str, to: &str| parse(&CAPABILITY.replacen(from, to, 1)).expect_err("refused").to_string();
    let line = line_of(CAPABILITY, "share = 0.7");
    let shares = refusal("share = 0.7", "share = 0.8");
    assert!(shares.starts_with(&format!("`sweeps/q/sweep.toml` line {line}: `corpus.part.share` is 1.1")), "{shares}");
    assert!(refusal("share = 0.7", "share = -0.7").contains("`corpus.part.share` is -0.7; 0 to 1 is needed"));
    assert!(refusal("train_tokens = 22000000", "train_tokens = 0").contains("`corpus.train_tokens` is 0"));
    assert!(refusal("problems = 100", "problem = 100").contains("did you mean `problems`?"));
    assert!(refusal("source = \"task\"", "source = \"tasks\"").contains("did you mean `task`?"));
    let few = parse(&CAPABILITY.replacen("train_tokens = 22000000", "train_tokens = 2000000", 1)).expect("a good spec");
    let error = crate::plan(&few, None).expect_err("too few tokens").to_string();
    assert!(error.contains("needs ") && error.contains("the corpus has 1999936 unique ones"), "{error}");
}

#[test]
fn what_jobs_of_a_cluster_ask_for_is_checked_and_told_apart() {
    let with = |args: &str| parse(&format!("{LADDER}\n[slurm]\nargs = \"{args}\"\n"));
    assert_eq!(with("-p main  --time=2:00:00").expect("a good spec").slurm_args(), ["-p", "main", "--time=2:00:00"]);
    assert!(parse(LADDER).expect("a good spec").slurm_args().is_empty());
    let error = with("--wrap=true").expect_err("ours").to_string();
    assert!(
        error.contains("`slurm.args` cannot be used: `--wrap=true`") && error.contains("hint: leave it out"),
        "{error}"
    );
}
