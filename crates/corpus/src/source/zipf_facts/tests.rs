use std::path::Path;

use forescale_core::corpus::CorpusSpec;

use super::*;

fn spec() -> ZipfFactsSpec {
    ZipfFactsSpec {
        vocabulary: 16,
        facts: 200,
        key_digits: 2,
        exponent: 1.5,
        noise: 0.1,
        train_tokens: 600_000,
        validation_tokens: 60_000,
        seed: 7,
        problems: None,
    }
}

fn content(spec: &ZipfFactsSpec) -> Content {
    generate_content(spec, &mut |_| {})
}

#[test]
fn the_entropy_rate_of_two_facts_agrees_with_a_hand_calculation() {
    // K = 2, a = 2: p = 4/5, 1/5. -Σ p ln p = 0.8 ln 1.25 + 0.2 ln 5 = 0.178514841 + 0.321887582 = 0.500402424.
    // ε = 0.1: h = 0.1 ln 10 + 0.9 ln(1/0.9) = 0.230258509 + 0.094824464 = 0.325082973; ε ln 3 = 0.109861229.
    // m = 1: (0.500402424 + 0.325082973 + 0.109861229) / 2 = 0.467673313.
    let small = ZipfFactsSpec { vocabulary: 4, facts: 2, key_digits: 1, exponent: 2.0, ..spec() };
    let rate = Law::new(&small).entropy_rate();
    assert!((rate - 0.467_673_313).abs() < 1e-9, "{rate}");
}

#[test]
fn the_entropy_rate_of_a_large_base_agrees_with_an_independent_program() {
    // Python, with R = range(1, 262145): z = math.fsum(r**-1.5 for r in R); p = [r**-1.5 / z for r in R];
    // (-math.fsum(x * log(x) for x in p) - .05 * log(.05) - .95 * log(.95) + .05 * log(63)) / 4
    let large = ZipfFactsSpec { vocabulary: 64, facts: 262_144, key_digits: 3, noise: 0.05, ..spec() };
    let rate = Law::new(&large).entropy_rate();
    assert!((rate - 0.898_287_748_299).abs() < 1e-10, "{rate}");
}

#[test]
fn one_fact_without_noise_has_nothing_to_learn() {
    let certain = ZipfFactsSpec { facts: 1, noise: 0.0, ..spec() };
    assert!(Law::new(&certain).entropy_rate().abs() < 1e-15);
}

/// -ln p of every sentence under the true law, from its definition.
fn surprises(spec: &ZipfFactsSpec, tokens: &[u8]) -> Vec<f64> {
    let law = Law::new(spec);
    let mut rank_of = vec![0; law.ids.len()];
    law.ids.iter().enumerate().for_each(|(rank, id)| rank_of[*id as usize] = rank);
    let sentences = tokens.chunks_exact(3);
    let surprise = |sentence: &[u8]| {
        let rank = rank_of[usize::from(sentence[0]) * 16 + usize::from(sentence[1])];
        let right = law.values[rank] == u32::from(sentence[2]);
        let value = if right { 1.0 - spec.noise } else { spec.noise / 15.0 };
        -(law.probability(rank) * value).ln()
    };
    sentences.map(surprise).collect()
}

#[test]
fn generated_text_has_the_stated_entropy_within_four_standard_errors() {
    let spec = spec();
    let surprises = surprises(&spec, &content(&spec).train.concat());
    let n = surprises.len() as f64;
    let mean = surprises.iter().sum::<f64>() / n;
    let variance = surprises.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let error = (mean / 3.0 - Law::new(&spec).entropy_rate()).abs();
    assert!(error < 4.0 * (variance / n).sqrt() / 3.0, "{error}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_one_thread_and_on_many() {
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread pool");
    let alone = one.install(|| content(&spec()).train.concat());
    assert_eq!(alone, content(&spec()).train.concat());
}

#[test]
fn another_seed_and_the_other_split_give_other_bytes() {
    let first = content(&spec());
    let other = content(&ZipfFactsSpec { seed: 8, ..spec() });
    let train = first.train.concat();
    assert_ne!(train[..300], other.train.concat()[..300]);
    assert_ne!(train[..300], first.validation[0].bytes[..300]);
}

#[test]
fn a_longer_corpus_starts_with_the_shorter_one() {
    let longer = ZipfFactsSpec { train_tokens: 900_000, ..spec() };
    let (short, long) = (content(&spec()).train.concat(), content(&longer).train.concat());
    assert_eq!(short[..], long[..short.len()]);
}

#[test]
fn lengths_are_rounded_down_to_sentences_and_equal_blocks() {
    let odd = ZipfFactsSpec { train_tokens: 601, validation_tokens: 64 * 3 * 2 + 5, ..spec() };
    let content = content(&odd);
    assert_eq!(content.train.concat().len(), 600);
    assert_eq!(content.validation.len(), 64);
    assert!(content.validation.iter().all(|block| block.bytes.len() == 6));
    assert_eq!(content.validation[63].cluster, "block-63");
}

#[test]
fn large_vocabularies_take_two_bytes_a_token() {
    let wide = ZipfFactsSpec { vocabulary: 300, train_tokens: 3_000, ..spec() };
    assert_eq!(content(&wide).train.concat().len(), 6_000);
}

#[test]
fn every_bad_value_is_named_with_what_is_allowed() {
    let cases = [
        (ZipfFactsSpec { facts: 257, ..spec() }, "`facts` is 257; 1 to 256 is allowed with 2 digits in base 16"),
        (ZipfFactsSpec { exponent: 1.0, ..spec() }, "`exponent` is 1; more than 1 is needed"),
        (ZipfFactsSpec { exponent: f64::NAN, ..spec() }, "`exponent` is NaN; more than 1 is needed"),
        (ZipfFactsSpec { noise: 1.0, ..spec() }, "`noise` is 1; 0 up to, but not, 1 is allowed"),
        (ZipfFactsSpec { noise: -0.1, ..spec() }, "`noise` is -0.1; 0 up to, but not, 1 is allowed"),
        (ZipfFactsSpec { vocabulary: 65_537, ..spec() }, "`vocabulary` is 65537; 2 to 65536 is allowed"),
        (ZipfFactsSpec { key_digits: 0, ..spec() }, "`key_digits` is 0; 1 to 32 is allowed"),
        (
            ZipfFactsSpec { train_tokens: 2, ..spec() },
            "`train_tokens` is 2; at least one sentence of 3 tokens is needed",
        ),
    ];
    for (bad, expected) in cases {
        let message = check(&bad).expect_err(expected).to_string();
        assert!(message.starts_with(&format!("{expected}\n\nhint: ")), "{message}");
    }
}

#[test]
fn is_built_once_and_found_again() {
    let cache = tempfile::tempdir().expect("temporary folder");
    let spec = CorpusSpec::ZipfFacts(ZipfFactsSpec { train_tokens: 3_000, validation_tokens: 300, ..spec() });
    let request = BuildRequest { spec: &spec, spec_dir: Path::new("."), cache: cache.path() };
    assert_eq!(crate::locate(&request).expect("empty cache"), None);
    let built = crate::build(&request, &mut |_| {}).expect("builds");
    assert_eq!(crate::locate(&request).expect("found"), Some(built.clone()));
    assert_eq!((built.manifest.window_alignment, built.manifest.unique_tokens), (3, 3_000));
    crate::verify(&built).expect("whole");
}

#[test]
fn problems_ask_for_the_values_that_sentences_state_and_ranks_are_their_buckets() {
    let asking = ZipfFactsSpec { problems: Some(20), noise: 0.0, ..spec() };
    let content = content(&asking);
    let counts = |name: &str| content.problems.iter().filter(|problem| problem.bucket_name == name).count();
    // 200 facts: 10, 21, 69 and 100 ranks, of which at most 20 are asked.
    assert_eq!(["1–10", "11–31", "32–100", "101–200"].map(|ranks| counts(&format!("ranks {ranks}"))), [10, 20, 20, 20]);
    let train = content.train.concat();
    let stated: std::collections::HashSet<&[u8]> = train.chunks_exact(3).collect();
    for problem in content.problems.iter().filter(|problem| problem.bucket < 3) {
        let sentence: Vec<u8> = problem.prompt.iter().chain(&problem.answer).map(|token| *token as u8).collect();
        assert!(stated.contains(sentence.as_slice()), "{}", problem.item);
    }
}

#[test]
fn chance_and_ceiling_of_a_problem_are_those_of_the_law() {
    let asking = ZipfFactsSpec { problems: Some(5), ..spec() };
    let problems = content(&asking).problems;
    // Vocabulary 16; ln(1 - 0.1) = -0.105360515657826.
    assert!(problems.iter().all(|problem| (problem.chance - 0.0625).abs() < 1e-15));
    assert!(problems.iter().all(|problem| (problem.ceiling_log_p + 0.105_360_515_657_826).abs() < 1e-14));
}

#[test]
fn asking_changes_no_token_and_no_key_of_a_spec_that_does_not_ask() {
    let asking = ZipfFactsSpec { problems: Some(5), ..spec() };
    assert_eq!(content(&asking).train.concat(), content(&spec()).train.concat());
    let written = serde_json::to_string(&spec()).expect("json");
    assert!(!written.contains("problems"), "{written}");
}
