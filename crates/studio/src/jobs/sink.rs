//! How a job reports and learns that it is to stop.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tiller_protocol::chat::{EndReason, Side};
use tiller_protocol::discovery::DiscoveryProgress;
use tiller_protocol::evaluation::Condition;
use tiller_protocol::feature::{SaeId, TrainPoint};
use tiller_protocol::message::{Event, JobId};
use tiller_protocol::problem::Problem;

use crate::outbox::{Outbox, merge};
use crate::problem;

/// Most events that a running job sends in a second.
const EVENTS_PER_SEC: u32 = 30;

/// What a job tells while it runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Report {
    /// How far it is.
    Step {
        /// Done.
        done: u64,
        /// Total; 0 when unknown.
        total: u64,
        /// What is counted.
        unit: &'static str,
    },
    /// New points of a search.
    Discovery(Box<DiscoveryProgress>),
    /// Baselines on selection items.
    Baselines {
        /// Conditions.
        conditions: Vec<Condition>,
        /// (cross-entropy, target) of each that has a prompt.
        targets: Vec<Option<(f64, f64)>>,
    },
    /// New text of a reply.
    Text {
        /// Which reply.
        side: Side,
        /// The text.
        text: String,
    },
    /// A reply ended.
    SideDone {
        /// Which reply.
        side: Side,
        /// Why.
        reason: EndReason,
        /// Tokens written.
        n_tokens: usize,
        /// Tokens a second.
        tokens_per_sec: f64,
    },
    /// What is known of an SAE's features has changed.
    FeaturesChanged(SaeId),
    /// A step of a training.
    Training(TrainPoint),
    /// Something went wrong that does not end the job.
    Trouble(Problem),
}

/// Receiver of a job's reports.
pub(crate) trait Sink {
    /// Takes a report.
    fn report(&mut self, report: Report);

    /// Whether the job is to stop.
    fn is_stopped(&self) -> bool;

    /// Begins another part of the work.
    fn part(&mut self, _title: &str) {}

    /// Reports how far the job is.
    fn step(&mut self, done: usize, total: usize, unit: &'static str) {
        self.report(Report::Step { done: done as u64, total: total as u64, unit });
    }

    /// Ends a job that has nothing to keep, when the user has stopped it.
    ///
    /// # Errors
    /// When the job is to stop.
    fn check(&self) -> Result<(), Problem> {
        if self.is_stopped() { Err(problem::stopped()) } else { Ok(()) }
    }
}

/// Sends reports as events, batched to at most 30 a second.
pub(crate) struct EventSink<'a> {
    job: JobId,
    outbox: &'a Outbox,
    stop: Arc<AtomicBool>,
    began: Instant,
    next: Instant,
    batch: VecDeque<Event>,
}

impl<'a> EventSink<'a> {
    /// A sink for `job`, which ends when `stop` is set.
    pub(crate) fn new(job: JobId, outbox: &'a Outbox, stop: Arc<AtomicBool>) -> Self {
        let now = Instant::now();
        Self { job, outbox, stop, began: now, next: now, batch: VecDeque::new() }
    }

    /// Sends what is still waiting.
    pub(crate) fn flush(&mut self) {
        let pause = Duration::from_secs(1) * self.batch.len() as u32 / EVENTS_PER_SEC;
        self.next = Instant::now() + pause;
        for event in self.batch.drain(..) {
            self.outbox.post(event);
        }
    }

    fn event(&self, report: Report) -> Event {
        let job = self.job;
        match report {
            Report::Step { done, total, unit } => Event::Progress {
                job,
                done,
                total,
                unit: unit.to_owned(),
                elapsed_secs: self.began.elapsed().as_secs_f64(),
            },
            Report::Discovery(progress) => Event::Discovery { job, progress },
            Report::Baselines { conditions, targets } => Event::Baselines { job, conditions, targets },
            Report::Text { side, text } => Event::ChatDelta { job, side, text },
            Report::SideDone { side, reason, n_tokens, tokens_per_sec } => {
                Event::ChatSideDone { job, side, reason, n_tokens, tokens_per_sec }
            }
            Report::FeaturesChanged(sae) => Event::FeaturesChanged(sae),
            Report::Training(point) => Event::Training { job, points: vec![point] },
            Report::Trouble(problem) => Event::Failed { job: None, problem },
        }
    }
}

impl Sink for EventSink<'_> {
    fn report(&mut self, report: Report) {
        let event = self.event(report);
        merge(&mut self.batch, event);
        if Instant::now() >= self.next {
            self.flush();
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_thirty_events_a_second_and_nothing_is_lost() {
        let outbox = Outbox::new(Arc::new(|| ()));
        let mut sink = EventSink::new(JobId(1), &outbox, Arc::default());
        let began = Instant::now();
        let mut written = 0;
        while began.elapsed() < Duration::from_millis(600) {
            for side in [Side::Steered, Side::Plain] {
                sink.report(Report::Text { side, text: "x".to_owned() });
            }
            sink.step(written, 0, "tokens");
            written += 1;
        }
        let running = std::iter::from_fn(|| outbox.take()).collect::<Vec<_>>();
        sink.flush();
        assert!(running.len() <= 19 + 3, "{} events in 0.6 s", running.len());
        let rest = std::iter::from_fn(|| outbox.take());
        let text: usize = running
            .into_iter()
            .chain(rest)
            .map(|event| match event {
                Event::ChatDelta { text, .. } => text.len(),
                _ => 0,
            })
            .sum();
        assert_eq!(text, 2 * written);
    }
}
