//! `forescale probe`: is the recipe of a sweep predictable? Three measurements, each a verdict, a page and a document.

mod collapse;
mod coord;
mod lr;

use std::path::PathBuf;

use anyhow::bail;
use forescale_core::digest::json_digest;
use forescale_core::probe::{ProbeReport, ProbeVerdict};
use forescale_core::run::{Parametrization, PlannedRun};
use forescale_fit::probe::Subject;

use crate::args::{ParametrizationName, ProbeArgs, ProbeCommand, ProbeTraining};
use crate::exit::Answer;
use crate::output;
use crate::place::Place;
use crate::training::Training;
use crate::workplace::{self, Workplace};

pub(crate) fn run(command: &ProbeCommand) -> anyhow::Result<Answer> {
    match command {
        ProbeCommand::Coord(args) => coord::run(args),
        ProbeCommand::Lr(args) => lr::run(args),
        ProbeCommand::Collapse(args) => collapse::run(args),
    }
}

impl ProbeArgs {
    /// The parametrisation asked for, or the spec's own.
    fn parametrization(&self, workplace: &Workplace) -> Parametrization {
        match self.parametrization {
            Some(ParametrizationName::Mup) => Parametrization::Mup,
            Some(ParametrizationName::Standard) => Parametrization::Standard,
            None => workplace.spec.training().parametrization,
        }
    }

    fn subject(&self, workplace: &Workplace) -> Subject {
        Subject { sweep: workplace.spec.name().to_owned(), parametrization: self.parametrization(workplace) }
    }

    /// Writes the page and the document, and prints the answer.
    fn conclude(&self, workplace: &Workplace, report: &ProbeReport) -> anyhow::Result<Answer> {
        let folder = self.out.clone().unwrap_or_else(|| folder(workplace));
        let page = folder.join(format!("{}.html", report.name()));
        workplace::write_json(&page.with_extension("json"), report)?;
        forescale_sweep::write_atomically(&page, forescale_report::probe_html(report)?.as_bytes())?;
        output::either(self.json, report, forescale_report::text::probe)?;
        output::say(&page.display().to_string());
        Ok(match report.verdict {
            ProbeVerdict::Passes => Answer::Yes,
            ProbeVerdict::Fails => Answer::No,
            ProbeVerdict::Undecided => Answer::None,
        })
    }
}

/// Where probes write what may be made again.
fn folder(workplace: &Workplace) -> PathBuf {
    workplace.out().join("probe")
}

/// Trains runs that are not of the sweep's plan. Their list is named by what it holds, so that the same command finds
/// its own, and another command leaves it alone.
fn train(workplace: &Workplace, args: &ProbeTraining, place: &Place, runs: &[PlannedRun]) -> anyhow::Result<()> {
    let ids: Vec<&str> = runs.iter().map(|run| run.id.0.as_str()).collect();
    let list = folder(workplace).join(format!("runs-{}.json", &json_digest(&ids)[..12]));
    workplace::write_json(&list, &runs)?;
    let training = Training { workplace, place, jobs: args.jobs, slurm: None, probe: Some(&list) };
    match training.train("probe", runs)? {
        0 => Ok(()),
        failed => {
            bail!("{failed} runs of the probe failed\n\nhint: give the same command again; finished runs are kept")
        }
    }
}
