//! Building an SVG document piece by piece.

use std::fmt::Write as _;

use super::{HAIR, INK, PAGE, QUIET};

/// How text is anchored at its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    /// Text begins at the point.
    Start,
    /// Text is centred on the point.
    Middle,
    /// Text ends at the point.
    End,
}

/// A look of text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// Height in pixels.
    pub(super) size: f64,
    /// Semibold.
    pub(super) strong: bool,
    /// Secondary colour.
    pub(super) quiet: bool,
}

/// Titles.
pub(super) const TITLE: Look = Look { size: 15.0, strong: true, quiet: false };
/// Labels of things in the figure.
pub(super) const LABEL: Look = Look { size: 12.0, strong: false, quiet: false };
/// Numbers and names of axes.
pub(super) const AXIS: Look = Look { size: 12.0, strong: false, quiet: true };

/// A drawing.
#[derive(Debug)]
pub(super) struct Svg {
    width: f64,
    height: f64,
    body: String,
}

impl Svg {
    /// An empty page of the given size.
    pub(super) fn new(width: f64, height: f64) -> Self {
        let mut svg = Self { width, height, body: String::new() };
        svg.push(&format!(r#"<rect class="page" width="{width}" height="{height}" fill="{PAGE}"/>"#));
        svg
    }

    /// The whole document; `title` and `description` are for those who cannot see it.
    pub(super) fn finish(self, title: &str, description: &str) -> String {
        let Self { width, height, body } = self;
        format!(
            concat!(
                r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" "#,
                r#"role="img" font-family="Inter, sans-serif"><title>{t}</title><desc>{d}</desc>{b}</svg>"#
            ),
            w = width,
            h = height,
            t = escape(title),
            d = escape(description),
            b = body
        )
    }

    /// Adds text.
    pub(super) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, look: Look, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let (class, fill) = if look.quiet { ("quiet", QUIET) } else { ("ink", INK) };
        let weight = if look.strong { 600 } else { 400 };
        let size = look.size;
        self.push(&format!(
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}" font-size="{size}" font-weight="{weight}" fill="{fill}" text-anchor="{anchor}">{}</text>"#,
            escape(text)
        ));
    }

    /// Adds text that reads upwards.
    pub(super) fn text_up(&mut self, (x, y): (f64, f64), look: Look, text: &str) {
        let size = look.size;
        self.push(&format!(
            r#"<text class="quiet" transform="translate({x:.1} {y:.1}) rotate(-90)" font-size="{size}" fill="{QUIET}" text-anchor="middle">{}</text>"#,
            escape(text)
        ));
    }

    /// Adds a thin grid line.
    pub(super) fn hair(&mut self, from: (f64, f64), to: (f64, f64)) {
        self.line(from, to, ("hair", HAIR), "1");
    }

    /// Adds a dashed line in a colour of its own, or in the secondary colour.
    pub(super) fn dashed(&mut self, from: (f64, f64), to: (f64, f64), colour: Option<&str>) {
        let class = colour.map_or(("quiet", QUIET), |colour| ("", colour));
        self.line(from, to, class, r#"1.5" stroke-dasharray="6 4"#);
    }

    /// Adds a straight line in a colour of its own.
    pub(super) fn stroke(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
        self.line(from, to, ("", colour), &width.to_string());
    }

    fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), (class, colour): (&str, &str), width: &str) {
        let class = if class.is_empty() { String::new() } else { format!(r#"class="{class}" "#) };
        self.push(&format!(
            r#"<line {class}x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{colour}" stroke-width="{width}"/>"#
        ));
    }

    /// Adds a line through points.
    pub(super) fn path(&mut self, points: &[(f64, f64)], colour: &str) {
        let steps: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.push(&format!(
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"/>"#,
            steps.join(" ")
        ));
    }

    /// Adds a translucent area.
    pub(super) fn area(&mut self, points: &[(f64, f64)], colour: &str) {
        let steps: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.push(&format!(r#"<polygon points="{}" fill="{colour}" fill-opacity="0.14"/>"#, steps.join(" ")));
    }

    /// Adds a small faint dot.
    pub(super) fn dot(&mut self, (x, y): (f64, f64), colour: &str) {
        self.push(&format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="2" fill="{colour}" fill-opacity="0.22"/>"#));
    }

    /// Adds a ring round a point.
    pub(super) fn ring(&mut self, (x, y): (f64, f64)) {
        self.push(&format!(
            r#"<circle class="ring" cx="{x:.1}" cy="{y:.1}" r="9" fill="none" stroke="{INK}" stroke-width="1.5"/>"#
        ));
    }

    /// Adds the filled marker of series `i`.
    pub(super) fn marker(&mut self, (x, y): (f64, f64), i: usize, colour: &str) {
        let shape = match i % 7 {
            0 => format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="4.5""#),
            1 => format!(r#"<rect x="{:.1}" y="{:.1}" width="8" height="8""#, x - 4.0, y - 4.0),
            2 => polygon(&[(x, y - 5.5), (x + 5.0, y + 4.0), (x - 5.0, y + 4.0)]),
            3 => polygon(&[(x, y - 5.5), (x + 5.5, y), (x, y + 5.5), (x - 5.5, y)]),
            4 => polygon(&[(x, y + 5.5), (x + 5.0, y - 4.0), (x - 5.0, y - 4.0)]),
            5 => plus((x, y), 5.5, 2.0),
            _ => polygon(&[(x - 6.0, y - 2.5), (x + 6.0, y - 2.5), (x + 6.0, y + 2.5), (x - 6.0, y + 2.5)]),
        };
        self.push(&format!(r#"{shape} class="marker" fill="{colour}" stroke="{PAGE}" stroke-width="1"/>"#));
    }

    fn push(&mut self, element: &str) {
        let written = writeln!(self.body, "{element}");
        debug_assert!(written.is_ok(), "writing to a string succeeds");
    }
}

/// An upright cross.
fn plus((x, y): (f64, f64), arm: f64, half: f64) -> String {
    let corners = [
        (-half, -arm),
        (half, -arm),
        (half, -half),
        (arm, -half),
        (arm, half),
        (half, half),
        (half, arm),
        (-half, arm),
        (-half, half),
        (-arm, half),
        (-arm, -half),
        (-half, -half),
    ];
    polygon(&corners.map(|(dx, dy)| (x + dx, y + dy)))
}

fn polygon(points: &[(f64, f64)]) -> String {
    let steps: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    format!(r#"<polygon points="{}""#, steps.join(" "))
}

/// Text with the five special characters of XML written out.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Width of `text` in pixels at a height, roughly (Inter averages 0.55 em a character).
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * 0.55
}

/// `text` cut to `max` characters with an ellipsis.
pub(super) fn short(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        text.to_owned()
    } else {
        text.chars().take(max.saturating_sub(1)).chain(['\u{2026}']).collect()
    }
}
