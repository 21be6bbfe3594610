//! From SVG to PNG, with the fonts that ship with Tiller.

use resvg::{tiny_skia, usvg};
use tiller_protocol::problem::Problem;

use crate::problem;

/// Pixels of the picture for each pixel of the drawing.
const ZOOM: f32 = 2.0;

const FONTS: [&[u8]; 2] = [
    include_bytes!("../../../../assets/fonts/Inter-Regular.otf"),
    include_bytes!("../../../../assets/fonts/Inter-SemiBold.otf"),
];

/// Draws an SVG document as PNG on white.
///
/// # Errors
/// A document that is not valid SVG or has no size.
pub(crate) fn png(svg: &str) -> Result<Vec<u8>, Problem> {
    let mut options = usvg::Options { font_family: "Inter".to_owned(), ..usvg::Options::default() };
    for font in FONTS {
        options.fontdb_mut().load_font_data(font.to_vec());
    }
    let tree = usvg::Tree::from_str(svg, &options).map_err(|error| problem::no_picture(&error.to_string()))?;
    let size = tree.size();
    let (width, height) = ((size.width() * ZOOM).ceil() as u32, (size.height() * ZOOM).ceil() as u32);
    let mut picture = tiny_skia::Pixmap::new(width, height).ok_or_else(|| problem::no_picture("its size is zero"))?;
    resvg::render(&tree, tiny_skia::Transform::from_scale(ZOOM, ZOOM), &mut picture.as_mut());
    picture.encode_png().map_err(|error| problem::no_picture(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_becomes_a_picture_with_text() {
        let blank = png(r#"<svg xmlns="http://www.w3.org/2000/svg" width="80" height="20"></svg>"#).unwrap();
        let text = r##"<svg xmlns="http://www.w3.org/2000/svg" width="80" height="20" font-family="Inter"><text x="2" y="15" font-size="12" fill="#000">Tiller</text></svg>"##;
        let written = png(text).unwrap();
        assert_eq!(&written[..4], b"\x89PNG");
        assert!(written.len() > blank.len(), "the bundled font draws the text");
        assert!(png("no svg").is_err());
    }
}
