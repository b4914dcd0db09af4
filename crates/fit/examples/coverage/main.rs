//! How many intervals hold, by simulation: `cargo run --release -p forescale-fit --example coverage -- [--sims 2000]
//! [--seed 1] [--draws 200] [--objectives huber,lsq,lad] [--laws power_law,bnsl] [--only TEXT] [--part true|parameters|bootstrap|misspecified]`.

#![allow(clippy::print_stdout, reason = "an example prints its table")]
#![allow(clippy::disallowed_methods, reason = "an example reads its arguments")]

mod parameters;
mod scenario;
mod tally;
mod truth;

use std::error::Error;

use forescale_fit::{FitOptions, IntervalMethod, LawName, Objective};

use crate::scenario::{Bar, Scenario};
use crate::tally::{Tally, simulate};

struct Arguments {
    simulations: u64,
    seed: u64,
    draws: u32,
    objectives: Vec<&'static str>,
    laws: Vec<LawName>,
    only: String,
    part: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let asked = |part: &str| arguments.part.is_empty() || arguments.part == part;
    if asked("parameters") {
        parameters_of(&arguments);
    }
    if arguments.part == "parameters" {
        return Ok(());
    }
    println!(
        "| truth | target | objective | intervals | mean: hold | width | score | one run: hold | width | score | form named | as a warning | bar |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    if asked("true") {
        for objective in &arguments.objectives {
            run(scenario::true_laws(), objective, IntervalMethod::Profile, &arguments);
        }
    }
    if asked("bootstrap") {
        for method in [IntervalMethod::Pairs, IntervalMethod::Cluster, IntervalMethod::Parametric] {
            for objective in &arguments.objectives {
                run(drawn_by(method), objective, method, &arguments);
            }
        }
    }
    if asked("misspecified") {
        run(scenario::misspecified(), "huber", IntervalMethod::Profile, &arguments);
    }
    Ok(())
}

/// The intervals of a surface's parameters, by profiles and by pairs.
fn parameters_of(arguments: &Arguments) {
    println!(
        "| truth | parameter | objective | intervals | hold | upper over lower end | bar |\n|---|---|---|---|---|---|---|"
    );
    for panel in parameters::panels().iter().filter(|panel| panel.name.contains(&arguments.only)) {
        for objective in &arguments.objectives {
            for interval in [IntervalMethod::Profile, IntervalMethod::Pairs] {
                let objective_asked = objective_of(objective);
                let (draws, seed) = (arguments.draws, arguments.seed);
                let options = FitOptions { objective: objective_asked, interval, draws, seed, ..FitOptions::default() };
                for count in parameters::simulate(panel, &options, (arguments.simulations, seed)) {
                    let bar = if (0.86..=0.94).contains(&count.coverage()) { "met" } else { "MISSED" };
                    println!(
                        "| {} | {} | {objective} | {} | {:.1}% | {:.3} | {bar} |",
                        panel.name,
                        count.symbol,
                        interval.name(),
                        100.0 * count.coverage(),
                        count.width()
                    );
                }
            }
        }
    }
}

/// Without clusters a cluster bootstrap is one of pairs.
fn drawn_by(method: IntervalMethod) -> Vec<Scenario> {
    let kept = |scenario: &Scenario| method != IntervalMethod::Cluster || scenario.is_clustered;
    scenario::true_laws().into_iter().filter(kept).collect()
}

fn run(scenarios: Vec<Scenario>, objective: &str, method: IntervalMethod, arguments: &Arguments) {
    for mut scenario in scenarios.into_iter().filter(|s| s.name.contains(&arguments.only)) {
        scenario.options.fit.objective = objective_of(objective);
        scenario.options.fit.interval = method;
        if !arguments.laws.is_empty() {
            scenario.options.fit.laws.clone_from(&arguments.laws);
        }
        scenario.options.fit.draws = arguments.draws;
        scenario.options.fit.seed = arguments.seed;
        let tallies = simulate(&scenario, arguments.simulations, arguments.seed);
        for (tally, ratio) in tallies.iter().zip(&scenario.ratios) {
            println!("{}", row(&scenario, (*ratio, tally), objective, method));
        }
    }
}

fn objective_of(name: &str) -> Objective {
    match name {
        "lsq" => Objective::LeastSquares,
        "lad" => Objective::LeastAbsolute,
        _ => Objective::default(),
    }
}

fn row(scenario: &Scenario, (ratio, tally): (f64, &Tally), objective: &str, method: IntervalMethod) -> String {
    let held =
        |held: &tally::Held| format!("{:.1}% | {:.2}% | {:.2}%", 100.0 * held.coverage(), held.width(), held.score());
    let share = |of: usize| 100.0 * of as f64 / tally.forecasts.max(1) as f64;
    let (named, warned) = (share(tally.form_named), share(tally.form_warned));
    format!(
        "| {} | {ratio}x | {objective} | {} | {} | {} | {named:.0}% | {warned:.0}% | {} |",
        scenario.name,
        method.name(),
        held(&tally.mean),
        held(&tally.one),
        verdict(scenario.bar, tally)
    )
}

fn verdict(bar: Bar, tally: &Tally) -> &'static str {
    let met = |met: bool| if met { "met" } else { "MISSED" };
    match bar {
        Bar::True => met((0.86..=0.94).contains(&tally.mean.coverage())),
        Bar::Misspecified => met(tally.one.coverage() >= 0.8 && 5 * tally.form_named >= 4 * tally.forecasts),
        Bar::None => "none",
    }
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut found = Arguments {
        simulations: 2000,
        seed: 1,
        draws: 200,
        objectives: vec!["huber", "lsq", "lad"],
        laws: Vec::new(),
        only: String::new(),
        part: String::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("`{word}` needs a value"))?;
        match word.as_str() {
            "--sims" => found.simulations = value.parse()?,
            "--seed" => found.seed = value.parse()?,
            "--draws" => found.draws = value.parse()?,
            "--objectives" => found.objectives.retain(|known| value.split(',').any(|asked| asked == *known)),
            "--laws" => found.laws = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "--only" => found.only = value,
            "--part" => found.part = value,
            _ => return Err(format!("`{word}` is not an option").into()),
        }
    }
    Ok(found)
}
