//! Progress: bars on a terminal, a line now and then elsewhere; always on stderr.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::output;

/// One bar for the sweep and one for each running run.
pub(crate) struct Progress {
    bars: Option<MultiProgress>,
    sweep: Option<ProgressBar>,
    runs: HashMap<String, ProgressBar>,
    total: usize,
    done: usize,
    began: Instant,
}

impl Progress {
    /// Progress over a number of runs, whose work is given in FLOPs.
    pub(crate) fn new(label: &str, total: usize, total_work: f64) -> Self {
        let bars = io::stderr().is_terminal().then(MultiProgress::new);
        let sweep = bars.as_ref().map(|bars| bars.add(sweep_bar(label, total_work)));
        Self { bars, sweep, runs: HashMap::new(), total, done: 0, began: Instant::now() }
    }

    /// A run has started.
    pub(crate) fn started(&mut self, name: &str, steps: u64) {
        if let Some(bars) = &self.bars {
            self.runs.insert(name.to_owned(), bars.add(run_bar(name, steps)));
        }
    }

    /// A run has come this far.
    pub(crate) fn moved(&mut self, name: &str, step: u64, loss: Option<f64>) {
        if let Some(bar) = self.runs.get(name) {
            bar.set_position(step);
            if let Some(loss) = loss {
                bar.set_message(format!("loss {loss:.3}"));
            }
        }
    }

    /// Work done so far over all runs, in FLOPs.
    pub(crate) fn worked(&self, work: f64) {
        if let Some(bar) = &self.sweep {
            bar.set_position(work as u64);
        }
    }

    /// A run has ended; the words say how.
    pub(crate) fn ended(&mut self, name: &str, words: &str) {
        self.done += 1;
        if let Some(bar) = self.runs.remove(name) {
            bar.finish_and_clear();
        }
        self.say(&format!("[{}/{}] {name}: {words}  ({})", self.done, self.total, clock(self.began.elapsed())));
    }

    /// A run is started once more; the words say why.
    pub(crate) fn again(&mut self, name: &str, words: &str) {
        if let Some(bar) = self.runs.remove(name) {
            bar.finish_and_clear();
        }
        self.say(&format!("{name}: {words}"));
    }

    /// A line that stays.
    pub(crate) fn say(&self, line: &str) {
        match &self.bars {
            Some(bars) => {
                let _ = bars.println(line);
            }
            None => output::say(line),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bars) = &self.bars {
            let _ = bars.clear();
        }
    }
}

fn sweep_bar(label: &str, total_work: f64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:<24} {wide_bar} {percent:>3}%  {eta_precise} left")
        .expect("the template is fixed and valid");
    ProgressBar::new(total_work as u64).with_style(style).with_message(label.to_owned())
}

fn run_bar(name: &str, steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("  {prefix:<22} {bar:24} {pos:>6}/{len:<6} {msg:<12} {eta_precise} left")
        .expect("the template is fixed and valid");
    ProgressBar::new(steps).with_style(style).with_prefix(name.to_owned())
}

/// A duration as `m:ss` or `h:mm:ss`.
pub(crate) fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_hours_only_when_there_are_any() {
        assert_eq!(clock(Duration::from_secs(65)), "1:05");
        assert_eq!(clock(Duration::from_secs(3661)), "1:01:01");
    }
}
