//! Targets and budgets as typed.

use anyhow::{Context as _, bail};
use forescale_fit::Target;

use crate::number::is_allowed;
use crate::output;
use crate::source::Material;
use forescale_core::quantity::{LARGEST, SMALLEST, scientific};

/// A target as typed: its budget, or the size and data that it follows from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TypedTarget {
    flops: Option<f64>,
    params: Option<f64>,
    tokens: Option<f64>,
}

impl TypedTarget {
    /// Whether a size or data were typed, so that it is known how many tokens the run sees.
    pub(crate) fn is_shaped(&self) -> bool {
        self.params.is_some() || self.tokens.is_some()
    }

    /// The target; where no budget was typed it is counted as the source counts.
    ///
    /// # Errors
    ///
    /// A size or data where the runs tell neither.
    pub(crate) fn meant(&self, material: &Material) -> anyhow::Result<Target> {
        let Self { flops, params, tokens } = *self;
        let told = Target { params, tokens, ..Target::of_budget(flops.unwrap_or_default()) };
        forescale_fit::check_shape(&told, &material.observations)?;
        Ok(match (flops, params, tokens) {
            (None, Some(params), Some(tokens)) => {
                let target = Target::of_shape(params, tokens, &material.observations);
                let flops = target.flops;
                output::say(&format!(
                    "note: params={params:.4e},tokens={tokens:.4e} is taken as {flops:.4e} FLOPs, counted as the runs are \
                     in the median"
                ));
                target
            }
            _ => told,
        })
    }

    /// The target where no runs say how a budget is counted.
    pub(crate) fn of_a_budget(&self) -> anyhow::Result<Target> {
        let Self { flops, params, tokens } = *self;
        let flops = flops.context("a target of task scores needs its flops\n\nhint: --at flops=1e21,params=7e9")?;
        Ok(Target { params, tokens, ..Target::of_budget(flops) })
    }
}

/// Reads `flops=1e21[,params=…,tokens=…]`, or `params=…,tokens=…`, as a flag was given it.
pub(crate) fn parse_target(flag: &str, text: &str) -> anyhow::Result<TypedTarget> {
    let (mut flops, mut params, mut tokens) = (None, None, None);
    for part in text.split(',') {
        let (name, value) = parse_pair(flag, part, "flops=1e21,params=7e9,tokens=1.4e11")?;
        let place = match name {
            "flops" => &mut flops,
            "params" => &mut params,
            "tokens" => &mut tokens,
            other => bail!(
                "`{flag} {text}`: `{other}` is not part of a target\n\nhint: {flag} flops=1e21[,params=7e9,tokens=1.4e11]"
            ),
        };
        if place.replace(value).is_some() {
            bail!("`{flag} {text}` gives `{name}` twice\n\nhint: one {flag} for each target");
        }
    }
    if flops.is_none() && (params.is_none() || tokens.is_none()) {
        bail!(
            "`{flag} {text}` has no flops, and not both of params and tokens\n\nhint: {flag} flops=1e21[,params=7e9,tokens=1.4e11]"
        );
    }
    Ok(TypedTarget { flops, params, tokens })
}

/// Reads `flops=1e21` alone.
pub(crate) fn parse_flops(flag: &str, text: &str) -> anyhow::Result<f64> {
    match parse_pair(flag, text, "flops=1e21")? {
        ("flops", value) => Ok(value),
        (other, _) => bail!("`{flag} {text}`: `{other}` is not a budget\n\nhint: {flag} flops=1e21"),
    }
}

/// Reads `loss=1.9`.
pub(crate) fn parse_reach(text: &str) -> anyhow::Result<f64> {
    match parse_pair("--reach", text, "loss=1.9")? {
        ("loss", value) => Ok(value),
        (other, _) => bail!("`--reach {text}`: `{other}` cannot be reached for\n\nhint: --reach loss=1.9"),
    }
}

fn parse_pair<'a>(flag: &str, part: &'a str, example: &str) -> anyhow::Result<(&'a str, f64)> {
    let hint = || format!("`{flag}`: `{part}` is not of the form name=number\n\nhint: {flag} {example}");
    let (name, value) = part.split_once('=').with_context(hint)?;
    let value: f64 = value.trim().parse().ok().with_context(hint)?;
    let name = name.trim();
    if !is_allowed(value) {
        bail!(
            "`{flag} {name}={}` is not a positive number between {SMALLEST:e} and {LARGEST:e}\n\nhint: {flag} {example}",
            scientific(value)
        );
    }
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_flops_and_may_have_a_shape() {
        let target = parse_target("--at", "flops=1e21,params=7e9").expect("parses");
        assert_eq!(target, TypedTarget { flops: Some(1e21), params: Some(7e9), tokens: None });
        let target = parse_target("--at", "params=7e9,tokens=1.4e11").expect("a size and data are a budget too");
        assert_eq!(target, TypedTarget { flops: None, params: Some(7e9), tokens: Some(1.4e11) });
    }

    #[test]
    fn refuses_a_target_without_a_budget() {
        for bad in
            ["params=7e9", "flops=-1", "flops=nan", "flops", "budget=1e21", "flops=1e21,flops=1e22", "flops=1e300"]
        {
            assert!(parse_target("--at", bad).is_err(), "{bad}");
        }
    }
}
