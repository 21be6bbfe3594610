//! Names of series with their markers, in rows under the title.

use super::colour;
use super::svg::{Anchor, LABEL, Svg, width};

/// Left edge of the rows.
const LEFT: f64 = 32.0;
/// Middle of the first row.
const TOP: f64 = 46.0;
/// Height of a row.
const ROW: f64 = 22.0;

/// Where each name's marker stands, for a figure of the given width.
fn places(names: &[&str], figure_width: f64) -> Vec<(f64, f64)> {
    let (mut x, mut y) = (LEFT, TOP);
    let mut places = Vec::with_capacity(names.len());
    for name in names {
        let needed = 34.0 + width(name, LABEL.size);
        if x > LEFT && x + needed > figure_width {
            (x, y) = (LEFT, y + ROW);
        }
        places.push((x, y));
        x += needed;
    }
    places
}

/// Height that a legend takes beyond its first row.
pub(super) fn extra_height(names: &[&str], figure_width: f64) -> f64 {
    places(names, figure_width).last().map_or(0.0, |(_, y)| y - TOP)
}

/// Draws a legend.
pub(super) fn draw(svg: &mut Svg, names: &[&str], figure_width: f64) {
    for (i, (name, (x, y))) in names.iter().zip(places(names, figure_width)).enumerate() {
        svg.marker((x, y), i, colour(i));
        svg.text((x + 10.0, y + 4.0), Anchor::Start, LABEL, name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_legends_take_more_rows() {
        let names = ["Random mutation, seed 0"; 8];
        assert!(extra_height(&names, 860.0) >= ROW);
        assert!(extra_height(&names[..2], 860.0) < ROW);
        assert!(places(&names, 860.0).iter().all(|(x, _)| *x < 700.0));
    }
}
