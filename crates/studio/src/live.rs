//! Steering that acts on a reply in flight.
//!
//! The window replaces the rows at any time; a job looks at the version before every token and rebuilds its edits
//! only when it has changed.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tiller_engine::Edit;
use tiller_protocol::problem::Problem;
use tiller_protocol::steering::Steering;

use crate::steering::Maker;

/// The newest steering, shared between window and job.
#[derive(Debug, Default)]
pub(crate) struct LiveSteering {
    version: AtomicU64,
    steering: Mutex<Steering>,
}

impl LiveSteering {
    /// Replaces the rows.
    pub(crate) fn set(&self, steering: Steering) {
        *self.steering.lock().unwrap_or_else(PoisonError::into_inner) = steering;
        self.version.fetch_add(1, Ordering::Release);
    }

    /// The rows as they are now.
    pub(crate) fn get(&self) -> Steering {
        self.steering.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

/// The edits of the newest steering, for one model.
pub(crate) struct LiveEdits<'a> {
    live: &'a LiveSteering,
    state: RefCell<State<'a>>,
}

struct State<'a> {
    maker: Maker<'a>,
    version: Option<u64>,
    edits: Arc<Vec<Edit>>,
    problems: Vec<Problem>,
}

impl<'a> LiveEdits<'a> {
    /// A reader of `live`, of whose rows `maker` makes edits.
    pub(crate) fn new(live: &'a LiveSteering, maker: Maker<'a>) -> Self {
        let state = State { maker, version: None, edits: Arc::default(), problems: Vec::new() };
        Self { live, state: RefCell::new(state) }
    }

    /// The edits to use now. Rows that cannot be used are left out; [`Self::problems`] says why.
    pub(crate) fn now(&self) -> Arc<Vec<Edit>> {
        let version = self.live.version();
        let mut state = self.state.borrow_mut();
        if state.version != Some(version) {
            state.version = Some(version);
            let made = state.maker.make(&self.live.get().rows);
            for problem in made.problems {
                if !state.problems.contains(&problem) {
                    state.problems.push(problem);
                }
            }
            state.edits = Arc::new(made.edits);
        }
        Arc::clone(&state.edits)
    }

    /// Why rows were left out, each reason once.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        self.state.borrow().problems.clone()
    }
}

#[cfg(test)]
mod tests {
    use tiller_engine::Device;
    use tiller_protocol::steering::Positions;

    use super::*;
    use crate::steering::tests::{added, info, row};
    use crate::vector_file::tests::example;
    use crate::workspace::{StoredVector, Workspace};

    #[test]
    fn the_newest_rows_count_and_bad_ones_are_left_out() {
        let workspace = Workspace::temp();
        let vector = StoredVector { info: example("warm"), directions: vec![vec![3.0, 4.0], vec![0.0, 2.0]] };
        workspace.save_vector(&vector).unwrap();
        let (live, model) = (LiveSteering::default(), info());
        let maker = Maker::new(&workspace, &model, &Device::Cpu, &|_| Ok(1.0));
        let edits = LiveEdits::new(&live, maker);
        assert!(edits.now().is_empty());
        live.set(Steering { rows: vec![row("warm", 0, 0.5)] });
        let now = edits.now();
        assert_eq!(now.len(), 1);
        assert_eq!((now[0].block, now[0].positions), (0, Positions::LastPrompt));
        // 0.5 of the median norm 10 along (0.6, 0.8).
        assert_eq!(added(&now[0]), [3.0, 4.0]);
        assert!(Arc::ptr_eq(&now, &edits.now()), "unchanged steering is not rebuilt");

        live.set(Steering { rows: vec![row("warm", 0, 0.0), row("gone", 0, 1.0), row("warm", 9, 1.0)] });
        assert!(edits.now().is_empty(), "strength 0 adds nothing at all");
        assert_eq!(edits.problems().len(), 2);
    }
}
