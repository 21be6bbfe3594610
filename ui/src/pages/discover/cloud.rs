//! Thousands of faint dots as one mesh that is built once for each view and then reused.

use std::ops::RangeInclusive;
use std::sync::Arc;

use egui::{Color32, Id, Mesh, Pos2, Rect, Shape, Ui, pos2};
use egui_plot::{PlotBounds, PlotGeometry, PlotItem, PlotItemBase, PlotPoint, PlotTransform};

/// Corners of a dot.
const CORNERS: usize = 8;

/// A plot item that draws `points` as dots.
pub(super) struct Cloud {
    base: PlotItemBase,
    points: Arc<[PlotPoint]>,
    colour: Color32,
    radius: f32,
    fit: bool,
}

impl Cloud {
    /// Dots of `colour`; with `fit` the view is chosen so that all are in sight.
    pub(super) fn new(points: Arc<[PlotPoint]>, colour: Color32, radius: f32, fit: bool) -> Self {
        let base = PlotItemBase::new("Prompts tried".to_owned());
        Self { base, points, colour, radius, fit }
    }
}

/// A mesh and what it was built from.
#[derive(Clone)]
struct Built {
    frame: Rect,
    bounds: PlotBounds,
    points: Arc<[PlotPoint]>,
    colour: Color32,
    mesh: Arc<Mesh>,
}

impl PlotItem for Cloud {
    fn shapes(&self, ui: &Ui, transform: &PlotTransform, shapes: &mut Vec<Shape>) {
        let id = Id::unique("plot cloud").with(ui.scope_id());
        let built: Option<Built> = ui.data(|data| data.get_temp(id));
        let fresh = built.filter(|built| {
            built.frame == *transform.frame()
                && built.bounds == *transform.bounds()
                && built.colour == self.colour
                && Arc::ptr_eq(&built.points, &self.points)
        });
        if let Some(built) = fresh {
            shapes.push(Shape::Mesh(built.mesh));
            return;
        }
        let mesh = Arc::new(dots(&self.points, transform, self.colour, self.radius));
        let built = Built {
            frame: *transform.frame(),
            bounds: *transform.bounds(),
            points: Arc::clone(&self.points),
            colour: self.colour,
            mesh: Arc::clone(&mesh),
        };
        ui.data_mut(|data| data.insert_temp(id, built));
        shapes.push(Shape::Mesh(mesh));
    }

    fn initialize(&mut self, _x_range: RangeInclusive<f64>) {}

    fn color(&self) -> Color32 {
        self.colour
    }

    // The plot looks for the nearest prompt itself: it knows the texts.
    fn allow_hover(&self) -> bool {
        false
    }

    fn geometry(&self) -> PlotGeometry<'_> {
        PlotGeometry::None
    }

    fn bounds(&self) -> PlotBounds {
        let mut bounds = PlotBounds::NOTHING;
        if self.fit {
            for point in self.points.iter() {
                bounds.extend_with(point);
            }
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

/// One mesh with a soft-edged octagon for every point in sight.
fn dots(points: &[PlotPoint], transform: &PlotTransform, colour: Color32, radius: f32) -> Mesh {
    let mut mesh = Mesh::default();
    let visible = transform.frame().expand(radius);
    mesh.reserve_vertices(points.len() * (2 * CORNERS));
    mesh.reserve_triangles(points.len() * (3 * CORNERS));
    let corner: [(f32, f32); CORNERS] =
        std::array::from_fn(|index| (std::f32::consts::TAU * index as f32 / CORNERS as f32).sin_cos());
    for point in points {
        let centre = transform.position_from_point(point);
        if visible.contains(centre) {
            dot(&mut mesh, centre, &corner, colour, radius);
        }
    }
    mesh
}

fn dot(mesh: &mut Mesh, centre: Pos2, corner: &[(f32, f32); CORNERS], colour: Color32, radius: f32) {
    let first = mesh.vertices.len() as u32;
    for (reach, colour) in [(radius - 0.5, colour), (radius + 0.5, Color32::TRANSPARENT)] {
        for (sine, cosine) in corner {
            mesh.colored_vertex(pos2(centre.x + reach * cosine, centre.y + reach * sine), colour);
        }
    }
    let corners = CORNERS as u32;
    for index in 0..corners {
        let next = (index + 1) % corners;
        if index > 0 && index + 1 < corners {
            mesh.add_triangle(first, first + index, first + index + 1);
        }
        mesh.add_triangle(first + index, first + next, first + corners + index);
        mesh.add_triangle(first + next, first + corners + next, first + corners + index);
    }
}
