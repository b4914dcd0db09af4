//! Whether a config can be trained on a corpus, found out in the first second.

use forescale_core::run::{OptimizerConfig, RunConfig, ScheduleKind};

use crate::data::TokenFile;
use crate::error::TrainError;

/// Refuses what cannot be trained, with the wrong number and the allowed one.
pub(crate) fn check(config: &RunConfig, tokens: &TokenFile) -> Result<(), TrainError> {
    let manifest = tokens.manifest();
    if config.corpus_digest != manifest.digest {
        let (planned, found) = (config.corpus_digest.clone(), manifest.digest.clone());
        return Err(TrainError::OtherCorpus { planned, found });
    }
    if config.shape.vocabulary < manifest.vocabulary {
        return Err(TrainError::config(
            format!("a model of {} tokens cannot read a corpus of {}", config.shape.vocabulary, manifest.vocabulary),
            format!("set `vocabulary` to {} or more", manifest.vocabulary),
        ));
    }
    check_numbers(config)?;
    check_schedule(config.steps, &config.optimizer)?;
    check_branch(config)
}

/// Refuses parts of a step that are not equal.
pub(crate) fn check_parts(config: &RunConfig, accumulate: u32) -> Result<(), TrainError> {
    let sequences = config.sequences;
    if accumulate > 0 && sequences.is_multiple_of(accumulate) {
        return Ok(());
    }
    Err(TrainError::config(
        format!("a step of {sequences} sequences cannot be split into {accumulate} equal parts"),
        format!("give `--accumulate` a divisor of {sequences}; 1 computes a step at once"),
    ))
}

fn check_numbers(config: &RunConfig) -> Result<(), TrainError> {
    let optimizer = &config.optimizer;
    let counts = [
        ("steps", config.steps),
        ("sequences", u64::from(config.sequences)),
        ("base_width", u64::from(optimizer.base_width)),
        ("base_layers", u64::from(optimizer.base_layers)),
    ];
    if let Some((name, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
        return Err(TrainError::config(format!("`{name}` is 0; at least 1 is needed"), format!("set `{name}`")));
    }
    let clip = optimizer.clip_norm;
    if clip.is_nan() || clip <= 0.0 {
        return Err(TrainError::config(format!("`clip_norm` is {clip}; it must be above 0"), "set `clip_norm`"));
    }
    let (curve_tokens, context) = (config.evaluation.curve_tokens, config.shape.context);
    if (1..u64::from(context)).contains(&curve_tokens) {
        return Err(TrainError::config(
            format!("`curve_tokens` is {curve_tokens}, less than one window of {context}"),
            format!("set `curve_tokens` to {context} or more, or to 0 for all evaluation tokens"),
        ));
    }
    Ok(())
}

fn check_schedule(steps: u64, optimizer: &OptimizerConfig) -> Result<(), TrainError> {
    let OptimizerConfig { schedule, warmup_steps, decay_steps, .. } = *optimizer;
    if decay_steps > 0 && schedule != ScheduleKind::WarmupStableDecay {
        return Err(TrainError::config(
            format!("`decay_steps` is {decay_steps}, but only a `warmup_stable_decay` schedule has a cooldown"),
            "set `decay_steps` to 0, or `schedule` to \"warmup_stable_decay\"",
        ));
    }
    if warmup_steps.saturating_add(decay_steps) > steps {
        return Err(TrainError::config(
            format!("{warmup_steps} steps of warmup and {decay_steps} of cooldown do not fit a run of {steps} steps"),
            format!("lower `warmup_steps` and `decay_steps` to {steps} together, or lengthen the run"),
        ));
    }
    Ok(())
}

/// A branch shares the steps before its cooldown with other runs; only a constant rate does not know where it ends.
fn check_branch(config: &RunConfig) -> Result<(), TrainError> {
    if !config.branch {
        return Ok(());
    }
    if config.optimizer.schedule != ScheduleKind::WarmupStableDecay {
        return Err(TrainError::config(
            "a branch needs a `warmup_stable_decay` schedule: under any other one no two lengths share a step",
            "set `schedule` to \"warmup_stable_decay\", or `branch` to false",
        ));
    }
    if config.optimizer.decay_steps == 0 {
        return Err(TrainError::config(
            "`decay_steps` is 0, but a branch is the cooldown that ends a trunk",
            "set `decay_steps` to a tenth of the steps or more, or `branch` to false",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use forescale_core::run::EvaluationConfig;

    use super::*;
    use crate::fixture::{config, manifest, token_file};

    fn refused(config: &RunConfig) -> String {
        check(config, &token_file(&manifest())).expect_err("refused").to_string()
    }

    fn with(change: impl FnOnce(&mut OptimizerConfig)) -> RunConfig {
        let mut config = config();
        change(&mut config.optimizer);
        config
    }

    #[test]
    fn a_good_config_is_let_through() {
        check(&config(), &token_file(&manifest())).expect("a good config");
        let full = with(|optimizer| {
            (optimizer.schedule, optimizer.decay_steps) = (ScheduleKind::WarmupStableDecay, 13);
        });
        check(&RunConfig { branch: true, ..full }, &token_file(&manifest())).expect("warmup, then cooldown");
    }

    #[test]
    fn numbers_that_cannot_be_are_refused_by_name() {
        assert!(refused(&RunConfig { steps: 0, ..config() }).contains("`steps` is 0"));
        assert!(refused(&RunConfig { sequences: 0, ..config() }).contains("`sequences` is 0"));
        assert!(refused(&with(|optimizer| optimizer.base_layers = 0)).contains("`base_layers` is 0"));
        assert!(refused(&with(|optimizer| optimizer.clip_norm = f64::NAN)).contains("`clip_norm` is NaN"));
        let evaluation = EvaluationConfig { curve_tokens: 19, ..config().evaluation };
        assert!(refused(&RunConfig { evaluation, ..config() }).contains("19, less than one window of 20"));
    }

    #[test]
    fn a_step_is_split_into_equal_parts_alone() {
        for parts in [1, 3, 9] {
            check_parts(&config(), parts).expect("a divisor of nine sequences");
        }
        for parts in [0, 2, 18] {
            let error = check_parts(&config(), parts).expect_err("refused").to_string();
            assert!(error.contains(&format!("9 sequences cannot be split into {parts} equal parts")), "{error}");
        }
    }

    #[test]
    fn a_cooldown_belongs_to_its_schedule_and_must_fit_the_run() {
        let error = refused(&with(|optimizer| optimizer.decay_steps = 4));
        assert!(error.contains("`decay_steps` is 4, but only"), "{error}");
        let error = refused(&with(|optimizer| {
            (optimizer.schedule, optimizer.decay_steps) = (ScheduleKind::WarmupStableDecay, 14);
        }));
        assert!(error.contains("3 steps of warmup and 14 of cooldown do not fit a run of 16 steps"), "{error}");
        assert!(refused(&with(|optimizer| optimizer.warmup_steps = 17)).contains("17 steps of warmup"));
    }

    #[test]
    fn only_a_cooldown_can_be_a_branch() {
        let error = refused(&RunConfig { branch: true, ..config() });
        assert!(error.contains("a branch needs a `warmup_stable_decay` schedule"), "{error}");
        let constant = with(|optimizer| optimizer.schedule = ScheduleKind::WarmupStableDecay);
        let error = refused(&RunConfig { branch: true, ..constant });
        assert!(error.contains("a branch is the cooldown that ends a trunk"), "{error}");
    }
}
