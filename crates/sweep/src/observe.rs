//! Records as observations: the one place where a record's run is let into a fit or left out, and why.
//!
//! Nothing is dropped in silence: each record becomes an [`Observation`] or an [`Exclusion`]. No loss is judged here;
//! a strange one goes through, for the fit to say so.

use forescale_core::count::FlopsRule;
use forescale_core::observation::{Exclusion, ExclusionReason, Observation, Selection, Split, Training};
use forescale_core::quantity::LossUnit;
use forescale_core::record::{Metric, RunRecord};
use forescale_core::run::{Parametrization, Role, ScheduleKind};

use crate::seed_noise::seed_noise;

/// Splits records into what a fit may see and what it may not.
///
/// # Remarks
///
/// Under [`FlopsRule::Column`] a record's own count is the exact one. A metric in nats is turned into bits per token
/// and back where the selection asks for it; any other change of unit needs the text and is a missing metric.
/// Each observation has the noise of its seed as [`seed_noise`] estimates it from all of these records, with the degrees
/// of freedom of its own rung: 0 for a run without replicates, whose noise is the rule's alone.
#[must_use]
pub fn observe(records: &[RunRecord], selection: &Selection) -> (Vec<Observation>, Vec<Exclusion>) {
    let (mut seen, mut left_out) = (Vec::new(), Vec::new());
    let noise = seed_noise(records, &selection.metric);
    for record in records {
        match observation(record, selection) {
            Ok(one) => {
                let seed_sd = noise.as_ref().map(|noise| noise.sd_of(record) * one.loss);
                let seed_degrees = noise.as_ref().map(|noise| f64::from(noise.degrees_of(record)));
                seen.push(Observation { seed_sd, seed_degrees, ..one });
            }
            Err(reason) => left_out.push(Exclusion { run_id: record.run_id.0.clone(), reason }),
        }
    }
    (seen, left_out)
}

fn observation(record: &RunRecord, selection: &Selection) -> Result<Observation, ExclusionReason> {
    admissible(record)?;
    let metric = record.metric(&selection.metric).ok_or(ExclusionReason::MissingMetric)?;
    let scale = scale(metric, selection.unit).ok_or(ExclusionReason::MissingMetric)?;
    let loss = metric.value * scale;
    if !(loss.is_finite() && loss > 0.0) {
        return Err(ExclusionReason::MissingMetric);
    }
    Ok(Observation {
        run_id: record.run_id.0.clone(),
        name: record.name.clone(),
        group: None,
        cluster: record.cluster.clone(),
        role: Some(record.role),
        params: record.parameters.under(selection.params_rule) as f64,
        tokens: record.tokens as f64,
        split: Split::Told,
        flops: flops(record, selection.flops_rule),
        loss,
        loss_se: metric.se.map(|se| se * scale),
        seed_sd: None,
        seed_degrees: None,
        weight: 1.0,
        seed: Some(record.config.seed),
        eval_set_digest: Some(metric.eval_set_digest.clone()),
        unique_tokens: None,
        training: training(record, metric),
    })
}

/// How a run was trained, as its record tells it.
fn training(record: &RunRecord, metric: &Metric) -> Training {
    let (optimizer, counts) = (&record.config.optimizer, &record.parameters);
    let schedule = match optimizer.schedule {
        ScheduleKind::Linear => "linear",
        ScheduleKind::Cosine => "cosine",
        ScheduleKind::WarmupStableDecay => "warmup_stable_decay",
    };
    Training {
        learning_rate: Some(optimizer.learning_rate),
        rate_follows_width: Some(optimizer.parametrization == Parametrization::Mup),
        batch_tokens: Some(record.batch_tokens as f64),
        steps: Some(record.steps as f64),
        warmup_steps: Some(optimizer.warmup_steps as f64),
        schedule: Some(schedule.to_owned()),
        is_final: Some(record.is_final),
        spiked: Some(record.spikes > 0),
        tokenizer_digest: Some(metric.tokenizer_digest.clone()),
        unique_tokens: Some(record.unique_tokens as f64),
        eval_tokens: Some(metric.n as f64),
        embedding_params: Some(counts.embedding as f64),
        head_params: Some(counts.head as f64),
        total_params: Some(counts.total as f64),
        flops_6nd: Some(record.flops.six_nd),
        flops_kaplan: Some(record.flops.kaplan),
        flops_exact: Some(record.flops.exact),
    }
}

/// Whether a fit may see a run, whatever is measured of it.
pub(crate) fn admissible(record: &RunRecord) -> Result<(), ExclusionReason> {
    if record.role == Role::Target {
        return Err(ExclusionReason::HeldOut);
    }
    if let Some(reason) = ExclusionReason::of_status(record.status) {
        return Err(reason);
    }
    if !record.is_final {
        return Err(ExclusionReason::NotFinal);
    }
    if record.unique_tokens < record.tokens {
        return Err(ExclusionReason::RepeatedTokens);
    }
    Ok(())
}

fn flops(record: &RunRecord, rule: FlopsRule) -> f64 {
    record.flops.under(rule).unwrap_or(record.flops.exact)
}

fn scale(metric: &Metric, wanted: LossUnit) -> Option<f64> {
    let bits_per_nat = core::f64::consts::LOG2_E;
    match (metric.unit.as_str(), wanted) {
        ("nats_per_token", LossUnit::NatsPerToken)
        | ("bits_per_token", LossUnit::BitsPerToken)
        | ("bits_per_byte", LossUnit::BitsPerByte) => Some(1.0),
        ("nats_per_token", LossUnit::BitsPerToken) => Some(bits_per_nat),
        ("bits_per_token", LossUnit::NatsPerToken) => Some(1.0 / bits_per_nat),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::tests::record;
    use forescale_core::record::RunStatus;

    fn reasons(records: &[RunRecord]) -> Vec<ExclusionReason> {
        observe(records, &Selection::default()).1.iter().map(|one| one.reason).collect()
    }

    #[test]
    fn a_finished_run_is_seen_under_the_rules_asked_for() {
        let record = record("a", 2.5);
        let (seen, left_out) = observe(std::slice::from_ref(&record), &Selection::default());
        assert!(left_out.is_empty());
        assert!((seen[0].params - record.parameters.under(Default::default()) as f64).abs() < 1e-9);
        assert!((seen[0].flops - record.flops.exact).abs() < 1.0);
        assert!((seen[0].loss - 2.5).abs() < 1e-12);
    }

    #[test]
    fn each_way_out_has_its_reason() {
        let diverged = RunRecord { status: RunStatus::Diverged, ..record("a", 2.5) };
        let stopped = RunRecord { status: RunStatus::Stopped, ..record("b", 2.5) };
        let checkpoint = RunRecord { is_final: false, ..record("c", 2.5) };
        let repeated = RunRecord { unique_tokens: 5, ..record("d", 2.5) };
        let target = RunRecord { role: Role::Target, ..record("e", 2.5) };
        let silent = RunRecord { metrics: Vec::new(), ..record("f", 2.5) };
        let nan = record("g", f64::NAN);
        use ExclusionReason as Why;
        assert_eq!(
            reasons(&[diverged, stopped, checkpoint, repeated, target, silent, nan]),
            [
                Why::Diverged,
                Why::Stopped,
                Why::NotFinal,
                Why::RepeatedTokens,
                Why::HeldOut,
                Why::MissingMetric,
                Why::MissingMetric
            ]
        );
    }

    #[test]
    fn nats_become_bits_where_bits_are_asked_for() {
        let selection = Selection { unit: LossUnit::BitsPerToken, ..Selection::default() };
        let (seen, _) = observe(&[record("a", core::f64::consts::LN_2)], &selection);
        assert!((seen[0].loss - 1.0).abs() < 1e-12);
    }
}
