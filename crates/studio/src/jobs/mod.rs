//! What the engine thread is asked to do, one function for each kind of job.
//!
//! A job is a function of its settings, the loaded model and a [`Sink`]. It knows nothing of threads or channels, so
//! the window, the command line and the tests run the same code.

pub(crate) mod chat;
mod sink;

pub(crate) use sink::{EventSink, Report, Sink};

#[cfg(test)]
pub(crate) mod tests {
    //! A sink and a model for the tests of all jobs.

    use std::sync::OnceLock;

    use tiller_protocol::model::{DeviceChoice, DtypeChoice, ModelSource};

    use super::*;
    use crate::assets::Assets;
    use crate::models::{self, Loaded};

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

    /// The demo model, loaded once for all tests.
    pub(crate) fn demo() -> &'static Loaded {
        static DEMO: OnceLock<Loaded> = OnceLock::new();
        DEMO.get_or_init(|| {
            let choice = (DeviceChoice::Cpu, DtypeChoice::Auto);
            models::load(&ModelSource::Demo, &Assets::find(), choice, &mut Quiet::default()).unwrap()
        })
    }
}
