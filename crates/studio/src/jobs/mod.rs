//! What the engine thread is asked to do, one function for each kind of job.
//!
//! A job is a function of its settings, the loaded model and a [`Sink`]. It knows nothing of threads or channels, so
//! the window, the command line and the tests run the same code.

pub(crate) mod baselines;
pub(crate) mod chat;
pub(crate) mod choice;
pub(crate) mod corpus;
pub(crate) mod discover;
pub(crate) mod evaluate;
pub(crate) mod extract;
pub(crate) mod features;
pub(crate) mod material;
pub(crate) mod measure;
pub(crate) mod picture;
mod sink;
pub(crate) mod train_sae;

use std::ops::ControlFlow;

use tiller_protocol::chat::{Role, Turn};
use tiller_protocol::persona::PromptText;

pub(crate) use sink::{EventSink, Report, Sink};

/// Turns of a system text (if any) and a user text.
pub(crate) fn turns(text: &PromptText) -> Vec<Turn> {
    let turn = |role, content: &str| Turn { role, content: content.to_owned() };
    let system = text.system.iter().map(|system| turn(Role::System, system));
    system.chain([turn(Role::User, &text.user)]).collect()
}

/// `Continue` until the job is to stop.
fn flow(sink: &dyn Sink) -> ControlFlow<()> {
    if sink.is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

#[cfg(test)]
pub(crate) mod tests {
    //! A sink and a model for the tests of all jobs.

    use std::sync::OnceLock;

    use tiller_protocol::model::{DeviceChoice, DtypeChoice, LoadOptions, ModelSource};
    use tiller_protocol::persona::Persona;

    use super::*;
    use crate::assets::Assets;
    use crate::library::Library;
    use crate::models::{self, Held, Loaded, Sources};

    /// Collects reports; can stop the job after some of them.
    #[derive(Default)]
    pub(crate) struct Quiet {
        /// What was reported.
        pub(crate) reports: Vec<Report>,
        /// Stop once this many reports have come.
        pub(crate) stop_after: Option<usize>,
    }

    impl Sink for Quiet {
        fn report(&mut self, report: Report) {
            self.reports.push(report);
        }

        fn is_stopped(&self) -> bool {
            self.stop_after.is_some_and(|n| self.reports.len() >= n)
        }
    }

    /// A shipped persona.
    pub(crate) fn persona(id: &str) -> Persona {
        Library::new(vec![Assets::find().unwrap().personas()]).load(id).unwrap()
    }

    /// The demo model, loaded once for all tests.
    pub(crate) fn demo() -> &'static Loaded {
        static DEMO: OnceLock<Loaded> = OnceLock::new();
        DEMO.get_or_init(|| {
            let choice = (DeviceChoice::Cpu, DtypeChoice::Auto);
            let (sources, options) = (Sources::shipped(), LoadOptions::default());
            let plan = models::plan(&ModelSource::Demo, sources, choice, &Held::default()).unwrap();
            models::load(&plan, sources, options, &mut Quiet::default()).unwrap()
        })
    }
}
