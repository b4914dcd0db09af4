use super::*;

const QUICKSTART: &str = include_str!("../../../../sweeps/quickstart/sweep.toml");

fn parse(text: &str) -> Result<SweepSpec, SpecError> {
    SweepSpec::parse(Path::new("sweeps/q/sweep.toml"), text)
}

fn line_of(text: &str, start: &str) -> usize {
    text.lines().position(|line| line.starts_with(start)).expect("the line") + 1
}

/// The error after one change to a good spec.
fn refusal(from: &str, to: &str) -> String {
    assert!(QUICKSTART.contains(from), "{from}");
    parse(&QUICKSTART.replacen(from, to, 1)).expect_err(to).to_string()
}

#[test]
fn the_quickstart_says_what_it_says() {
    let spec = parse(QUICKSTART).expect("a good spec");
    assert_eq!((spec.name(), spec.folder()), ("quickstart", Path::new("sweeps/q")));
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
    let full = parse(QUICKSTART).expect("a good spec");
    assert_eq!(spec.training(), full.training());
    assert_eq!(spec.evaluation(), full.evaluation());
    assert_eq!(spec.target(), None);
    assert_eq!(spec.rungs()[0], Rung { width: 24, tokens_per_param: 40.0, seeds: 1 }, "rungs rise whatever the order");
}

#[test]
fn an_unknown_key_is_told_the_nearest_and_the_line() {
    let line = line_of(QUICKSTART, "tokens_per_param = 40");
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
    let line = line_of(QUICKSTART, "lock = ");
    assert!(
        refusal("lock = ", "lok = ").contains(&format!("line {line}: `lok` is not known here; did you mean `lock`?"))
    );
    assert!(refusal("\"rust-code\"", "\"rust_code\"").contains("did you mean `rust-code`?"));
    assert!(refusal("\"linear\"", "\"liner\"").contains("did you mean `linear`?"));
}

#[test]
fn a_unit_in_a_number_names_line_and_key() {
    let line = line_of(QUICKSTART, "tokens = 131072");
    let error = refusal("tokens = 131072", "tokens = \"262k\"");
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
    let line = line_of(QUICKSTART, "context = 128");
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
        ("name = \"quickstart\"", "name = \"quick start\"", "`name` is `quick start`; letters, digits"),
        ("head_size = 8", "head_size = 5", "`model.head_size` is 5; an even number"),
        ("layers = 2", "layers = 0", "`model.layers` is 0; at least 1"),
    ];
    for (from, to, words) in cases {
        let error = refusal(from, to);
        assert!(error.contains(words) && error.contains("\n\nhint: "), "{to}: {error}");
    }
}

#[test]
fn a_refused_value_names_its_line() {
    let line = line_of(QUICKSTART, "warmup = ");
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
