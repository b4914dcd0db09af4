//! `[[trunk]]`: one trajectory, several horizons.

use forescale_core::run::ScheduleKind;

use super::super::written::WrittenTrunk;
use super::super::{SpecError, Trunk};
use super::{Checker, Key};

impl Checker<'_> {
    pub(super) fn trunks(&self, written: &[WrittenTrunk], schedule: ScheduleKind) -> Result<Vec<Trunk>, SpecError> {
        if !written.is_empty() && schedule != ScheduleKind::WarmupStableDecay {
            let key = Key { section: "training", name: "schedule" };
            let problem = "has to be `warmup_stable_decay` where there is a `[[trunk]]`: no other shape has steps that \
                           runs of several lengths share";
            return self.refuse(key, problem, "schedule = \"warmup_stable_decay\", or take `[[trunk]]` out");
        }
        written.iter().map(|trunk| self.trunk(trunk)).collect()
    }

    fn trunk(&self, written: &WrittenTrunk) -> Result<Trunk, SpecError> {
        let key = |name| Key { section: "trunk", name };
        let width = self.width(key("width"), written.width)?;
        let checked =
            written.tokens_per_param.iter().map(|&ratio| self.tokens_per_param(key("tokens_per_param"), ratio));
        let mut ratios = checked.collect::<Result<Vec<f64>, SpecError>>()?;
        if ratios.len() < 2 {
            let problem = format!("has {} horizons; at least 2 are needed to share a trunk", ratios.len());
            return self.refuse(key("tokens_per_param"), &problem, "tokens_per_param = [10, 20, 40]");
        }
        ratios.sort_by(f64::total_cmp);
        match ratios.windows(2).find(|pair| pair[0] >= pair[1]) {
            Some(pair) => {
                let problem = format!("names {} twice; each horizon is one branch", pair[0]);
                self.refuse(key("tokens_per_param"), &problem, "another `[[trunk]]` with another `seed` repeats it")
            }
            None => Ok(Trunk { width, tokens_per_param: ratios, seed: written.seed }),
        }
    }
}
