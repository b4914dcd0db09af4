//! Writes a sample report from made-up data, to be looked at in a browser:
//! `cargo run -p forescale-report --example sample -- page.html [inside|outside|open|refused|bare|known-floor]`.

mod data;

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("a path to write to is needed")?;
    let kind = args.next().unwrap_or_else(|| "inside".to_owned());
    let data = data::of_kind(&kind).ok_or_else(|| format!("`{kind}` is not a kind of sample"))?;
    let page = if path.ends_with(".md") { forescale_report::markdown(&data)? } else { forescale_report::html(&data)? };
    std::fs::write(path, page)?;
    Ok(())
}
