//! A plotters backend that writes SVG a page can style: no colours and no fonts, but classes, titles and a text
//! alternative.
//!
//! plotters works in whole numbers; ours are tenths of an SVG unit, so that a curve stays smooth when it is enlarged.
//! Colour and width are the style sheet's affair: shapes inherit both from the group that [`SvgBackend::open`] began.

use std::convert::Infallible;
use std::fmt::Write as _;

use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind};

/// Backend coordinates per SVG unit.
pub(crate) const SUBUNITS: i32 = 10;
/// Size of all text, in SVG units: with a drawing 520 units wide it stays legible on a telephone.
pub(crate) const TEXT: f64 = 15.0;

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

/// Writes shapes to the end of a text.
pub(crate) struct SvgBackend<'a> {
    out: &'a mut String,
    size: (u32, u32),
}

impl<'a> SvgBackend<'a> {
    /// A drawing of a size in SVG units.
    pub(crate) fn new(out: &'a mut String, width: u32, height: u32) -> Self {
        let scale = SUBUNITS.unsigned_abs();
        Self { out, size: (width * scale, height * scale) }
    }

    /// Begins a group: its class decides how it looks, its title is what a pointer reads.
    pub(crate) fn open(&mut self, class: &str, title: Option<&str>) {
        self.write(format_args!("<g class=\"{}\">", escape(class)));
        if let Some(title) = title {
            self.write(format_args!("<title>{}</title>", escape(title)));
        }
    }

    /// Ends the group.
    pub(crate) fn close(&mut self) {
        self.out.push_str("</g>\n");
    }

    fn write(&mut self, what: std::fmt::Arguments<'_>) {
        self.out.write_fmt(what).expect("a String takes all text");
    }

    fn corners(&mut self, corners: impl IntoIterator<Item = BackendCoord>) {
        for (x, y) in corners {
            self.write(format_args!("{},{} ", Unit(x), Unit(y)));
        }
    }
}

impl DrawingBackend for SvgBackend<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, _: BackendColor) -> Drawn {
        self.write(format_args!("<rect x=\"{}\" y=\"{}\" width=\"0.1\" height=\"0.1\"/>", Unit(x), Unit(y)));
        Ok(())
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, _: &S) -> Drawn {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(Unit);
        self.write(format_args!("<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"));
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, _: &S, fill: bool) -> Drawn {
        let [x, y, width, height] = [from.0, from.1, to.0 - from.0, to.1 - from.1].map(Unit);
        let hollow = hollow(fill);
        self.write(format_args!("<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"{hollow}/>"));
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, _: &S) -> Drawn {
        self.write(format_args!("<polyline fill=\"none\" points=\""));
        self.corners(path);
        self.write(format_args!("\"/>"));
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(&mut self, at: BackendCoord, radius: u32, _: &S, fill: bool) -> Drawn {
        let (x, y, hollow) = (Unit(at.0), Unit(at.1), hollow(fill));
        let radius = f64::from(radius) / f64::from(SUBUNITS);
        self.write(format_args!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"{hollow}/>"));
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, corners: I, _: &S) -> Drawn {
        self.write(format_args!("<polygon points=\""));
        self.corners(corners);
        self.write(format_args!("\"/>"));
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) -> Drawn {
        let anchor = match style.anchor().h_pos {
            HPos::Left => "start",
            HPos::Center => "middle",
            HPos::Right => "end",
        };
        // A capital is about 0.7 of the size, so its middle is 0.35 above the line it stands on.
        let drop = match style.anchor().v_pos {
            VPos::Top => 0.75 * TEXT,
            VPos::Center => 0.35 * TEXT,
            VPos::Bottom => -0.2 * TEXT,
        };
        let y = f64::from(at.1) / f64::from(SUBUNITS) + drop;
        let (x, text) = (Unit(at.0), escape(text));
        self.write(format_args!(
            "<text x=\"{x}\" y=\"{y:.1}\" font-size=\"{TEXT}\" text-anchor=\"{anchor}\">{text}</text>"
        ));
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        _: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let scale = f64::from(SUBUNITS);
        Ok(((text_width(text) * scale) as u32, (TEXT * scale) as u32))
    }
}

/// Width of a text in SVG units, on the wide side: no font is at hand to ask.
pub(crate) fn text_width(text: &str) -> f64 {
    0.58 * TEXT * text.chars().count() as f64
}

/// Text as XML shows it, in an element or an attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in crate::format::plain(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(c),
        }
    }
    safe
}

fn hollow(fill: bool) -> &'static str {
    if fill { "" } else { " fill=\"none\"" }
}

/// A backend coordinate, shown in SVG units.
struct Unit(i32);

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, tenth) = (self.0.abs() / SUBUNITS, self.0.abs() % SUBUNITS);
        if tenth == 0 { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{tenth}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plotters::prelude::*;

    fn drawn(draw: impl FnOnce(&mut SvgBackend<'_>) -> Drawn) -> String {
        let mut out = String::new();
        draw(&mut SvgBackend::new(&mut out, 100, 50)).expect("nothing here can fail");
        out
    }

    #[test]
    fn tenths_of_a_unit_are_written_as_decimals() {
        assert_eq!([0, 5, 10, 123, -7, -120].map(|c| Unit(c).to_string()), ["0", "0.5", "1", "12.3", "-0.7", "-12"]);
    }

    #[test]
    fn stock_elements_of_plotters_leave_colour_to_the_style_sheet() {
        let svg = drawn(|backend| backend.draw_line((0, 0), (100, 50), &BLACK));
        assert_eq!(svg, "<line x1=\"0\" y1=\"0\" x2=\"10\" y2=\"5\"/>");
        assert_eq!(
            drawn(|b| b.draw_circle((0, 0), 45, &BLACK, false)),
            "<circle cx=\"0\" cy=\"0\" r=\"4.5\" fill=\"none\"/>"
        );
    }

    #[test]
    fn a_hostile_title_stays_text() {
        let mut out = String::new();
        SvgBackend::new(&mut out, 9, 9).open("mark", Some("</title><script>\"'&"));
        assert_eq!(out, "<g class=\"mark\"><title>&lt;/title&gt;&lt;script&gt;&quot;&#39;&amp;</title>");
    }
}
