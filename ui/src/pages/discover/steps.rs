//! The stepped line of a front, drawn segment by segment: joints of a common path grow thick where steps are small.

use std::ops::RangeInclusive;

use egui::{Color32, Shape, Stroke, Ui};
use egui_plot::{PlotBounds, PlotGeometry, PlotItem, PlotItemBase, PlotPoint, PlotTransform};

/// A plot item that joins its corners by straight segments.
pub(super) struct Steps {
    base: PlotItemBase,
    corners: Vec<PlotPoint>,
    stroke: Stroke,
}

impl Steps {
    /// A line through `corners`.
    pub(super) fn new(corners: Vec<[f64; 2]>, stroke: Stroke) -> Self {
        let corners = corners.into_iter().map(PlotPoint::from).collect();
        Self { base: PlotItemBase::new("Front".to_owned()), corners, stroke }
    }
}

impl PlotItem for Steps {
    fn shapes(&self, _ui: &Ui, transform: &PlotTransform, shapes: &mut Vec<Shape>) {
        for pair in self.corners.windows(2) {
            let ends = [transform.position_from_point(&pair[0]), transform.position_from_point(&pair[1])];
            shapes.push(Shape::line_segment(ends, self.stroke));
        }
    }

    fn initialize(&mut self, _x_range: RangeInclusive<f64>) {}

    fn color(&self) -> Color32 {
        self.stroke.color
    }

    fn allow_hover(&self) -> bool {
        false
    }

    fn geometry(&self) -> PlotGeometry<'_> {
        PlotGeometry::None
    }

    fn bounds(&self) -> PlotBounds {
        let mut bounds = PlotBounds::NOTHING;
        for corner in &self.corners {
            bounds.extend_with(corner);
        }
        bounds
    }

    fn base(&self) -> &PlotItemBase {
        &self.base
    }

    fn base_mut(&mut self) -> &mut PlotItemBase {
        &mut self.base
    }
}
