//! The way of events to the window.
//!
//! A bounded channel that nobody waits on: when it is full, events gather in a batch, in which reports of the same
//! kind are merged. Nothing is lost, and order is kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender};
use tiller_protocol::message::Event;

/// Events that the channel holds before the batch begins to grow.
const CAPACITY: usize = 256;

/// Tells the window that there is something to take.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Sender and receiver of events; shared by all threads.
pub(crate) struct Outbox {
    sender: Sender<Event>,
    receiver: Receiver<Event>,
    batch: Mutex<VecDeque<Event>>,
    wake: Wake,
}

impl Outbox {
    /// An empty outbox.
    pub(crate) fn new(wake: Wake) -> Self {
        let (sender, receiver) = crossbeam_channel::bounded(CAPACITY);
        Self { sender, receiver, batch: Mutex::default(), wake }
    }

    /// Hands in an event; never waits for the window.
    pub(crate) fn post(&self, event: Event) {
        {
            let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
            merge(&mut batch, event);
            self.fill(&mut batch);
        }
        (self.wake)();
    }

    /// The next event, if there is one.
    pub(crate) fn take(&self) -> Option<Event> {
        let event = self.receiver.try_recv().ok();
        self.fill(&mut self.batch.lock().unwrap_or_else(PoisonError::into_inner));
        event.or_else(|| self.receiver.try_recv().ok())
    }

    /// Moves the batch into the channel as far as there is room.
    fn fill(&self, batch: &mut VecDeque<Event>) {
        while let Some(event) = batch.pop_front() {
            if let Err(refused) = self.sender.try_send(event) {
                batch.push_front(refused.into_inner());
                return;
            }
        }
    }
}

/// Adds an event to a batch; a report joins the last one of its kind unless something else happened since.
pub(crate) fn merge(batch: &mut VecDeque<Event>, event: Event) {
    let partner = batch.iter().rposition(|earlier| !is_report(earlier) || same_stream(earlier, &event));
    match partner {
        Some(i) if same_stream(&batch[i], &event) => join(&mut batch[i], event),
        _ => batch.push_back(event),
    }
}

fn is_report(event: &Event) -> bool {
    matches!(
        event,
        Event::Progress { .. }
            | Event::ChatDelta { .. }
            | Event::Discovery { .. }
            | Event::Training { .. }
            | Event::Downloads(_)
    )
}

fn same_stream(earlier: &Event, later: &Event) -> bool {
    match (earlier, later) {
        (Event::Progress { job: a, .. }, Event::Progress { job: b, .. })
        | (Event::Discovery { job: a, .. }, Event::Discovery { job: b, .. })
        | (Event::Training { job: a, .. }, Event::Training { job: b, .. }) => a == b,
        (Event::ChatDelta { job: a, side: x, .. }, Event::ChatDelta { job: b, side: y, .. }) => (a, x) == (b, y),
        (Event::Downloads(_), Event::Downloads(_)) => true,
        _ => false,
    }
}

fn join(earlier: &mut Event, later: Event) {
    match (earlier, later) {
        (Event::ChatDelta { text, .. }, Event::ChatDelta { text: more, .. }) => text.push_str(&more),
        (Event::Discovery { progress, .. }, Event::Discovery { progress: mut newer, .. }) => {
            let mut points = std::mem::take(&mut progress.new_points);
            points.append(&mut newer.new_points);
            newer.new_points = points;
            *progress = newer;
        }
        (Event::Training { points, .. }, Event::Training { points: mut newer, .. }) => points.append(&mut newer),
        (earlier, later) => *earlier = later,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tiller_protocol::asset::{AssetKind, Download, DownloadId, DownloadOrder, DownloadPhase, RepoRef};
    use tiller_protocol::chat::Side;
    use tiller_protocol::discovery::{Candidate, DiscoveryProgress};
    use tiller_protocol::message::JobId;

    use super::*;

    fn delta(side: Side, text: &str) -> Event {
        Event::ChatDelta { job: JobId(1), side, text: text.to_owned() }
    }

    fn points(ids: &[u64]) -> Event {
        let point = |id: &u64| Candidate {
            id: *id,
            parent: None,
            iteration: 0,
            text: String::new(),
            ids: vec![],
            target: 0.0,
            xent: 0.0,
        };
        let progress = DiscoveryProgress { new_points: ids.iter().map(point).collect(), ..Default::default() };
        Event::Discovery { job: JobId(1), progress: Box::new(progress) }
    }

    fn download() -> Download {
        let repo = RepoRef { id: "a/b".to_owned(), revision: None };
        Download {
            id: DownloadId(1),
            order: DownloadOrder { repo, choice: "safetensors".to_owned(), folder: None },
            kind: AssetKind::Model,
            label: String::new(),
            phase: DownloadPhase::Waiting,
            files: vec![],
            bytes_per_sec: None,
            secs_left: None,
        }
    }

    #[test]
    fn reports_merge_and_order_is_kept() {
        let mut batch = VecDeque::new();
        for event in [
            delta(Side::Steered, "a"),
            delta(Side::Plain, "x"),
            Event::Downloads(vec![]),
            delta(Side::Steered, "b"),
            Event::Downloads(vec![download()]),
            Event::Notice("n".to_owned()),
            delta(Side::Steered, "c"),
            points(&[0, 1]),
            points(&[2]),
        ] {
            merge(&mut batch, event);
        }
        let expected = [
            delta(Side::Steered, "ab"),
            delta(Side::Plain, "x"),
            Event::Downloads(vec![download()]),
            Event::Notice("n".to_owned()),
            delta(Side::Steered, "c"),
            points(&[0, 1, 2]),
        ];
        assert_eq!(batch, expected);
    }

    #[test]
    fn a_full_channel_grows_the_batch_and_loses_nothing() {
        let woken = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&woken);
        let outbox = Outbox::new(Arc::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        }));
        let n = 3 * CAPACITY;
        for i in 0..n {
            outbox.post(Event::Notice(i.to_string()));
        }
        for _ in 0..1000 {
            outbox.post(delta(Side::Steered, "y"));
        }
        assert_eq!(woken.load(Ordering::Relaxed), n + 1000);
        for i in 0..n {
            assert_eq!(outbox.take(), Some(Event::Notice(i.to_string())));
        }
        let text: String = std::iter::from_fn(|| outbox.take())
            .map(|event| match event {
                Event::ChatDelta { text, .. } => text,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(text, "y".repeat(1000));
    }
}
