//! Frame times for measurement: `TILLER_FRAME_LOG=FILE` writes one CSV row for each drawn frame.

use std::fs::File;
use std::io::{LineWriter, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// Environment variable that names the file.
pub(crate) const VARIABLE: &str = "TILLER_FRAME_LOG";

/// Column heads; all times in milliseconds.
const HEADER: &str = "frame,at_ms,interval_ms,intake_ms,draw_ms,previous_total_ms";

/// The open log.
pub(crate) struct FrameLog {
    file: LineWriter<File>,
    started: Instant,
    last: Option<Instant>,
    n_frames: u64,
}

impl FrameLog {
    /// The log that the environment asks for, with times counted from `started`.
    pub(crate) fn from_env(started: Instant) -> Option<Self> {
        let path = std::env::var_os(VARIABLE)?;
        match Self::create(Path::new(&path), started) {
            Ok(log) => Some(log),
            Err(error) => {
                log::warn!("No frame log: {error}: {}", Path::new(&path).display());
                None
            }
        }
    }

    fn create(path: &Path, started: Instant) -> std::io::Result<Self> {
        let mut file = LineWriter::new(File::create(path)?);
        writeln!(file, "{HEADER}")?;
        Ok(Self { file, started, last: None, n_frames: 0 })
    }

    /// Adds a row: what taking in events and drawing took now, and what the frame before took in all, rendering
    /// included and waiting for the display left out.
    pub(crate) fn frame(&mut self, intake: Duration, draw: Duration, previous_total_secs: Option<f32>) {
        let now = Instant::now();
        let interval = self.last.map_or(Duration::ZERO, |last| now - last);
        let row = writeln!(
            self.file,
            "{},{:.2},{:.2},{:.2},{:.2},{:.2}",
            self.n_frames,
            millis(now - self.started),
            millis(interval),
            millis(intake),
            millis(draw),
            previous_total_secs.unwrap_or(0.0) * 1000.0,
        );
        if let Err(error) = row {
            log::debug!("A row of the frame log was lost: {error}");
        }
        self.last = Some(now);
        self.n_frames += 1;
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_is_one_row_under_the_header() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("frames.csv");
        let mut log = FrameLog::create(&path, Instant::now()).unwrap();
        log.frame(Duration::from_millis(1), Duration::from_millis(4), None);
        log.frame(Duration::from_millis(2), Duration::from_millis(5), Some(0.006));
        drop(log);
        let text = std::fs::read_to_string(&path).unwrap();
        let rows: Vec<_> = text.lines().collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0], HEADER);
        assert!(rows[2].starts_with("1,") && rows[2].ends_with(",2.00,5.00,6.00"), "{}", rows[2]);
    }
}
