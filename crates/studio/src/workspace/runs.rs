//! Saved runs.
//!
//! While a run goes on its candidates are appended line by line, so that a crash loses at most the last batch; the
//! other files are written when it ends.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tiller_discover::epo;
use tiller_protocol::discovery::{Candidate, DiscoverySettings, FrontPoint, RunResult};
use tiller_protocol::message::RunSummary;
use tiller_protocol::problem::Problem;

use super::document::{self, Envelope};
use super::vectors::sub_folders;
use super::{Workspace, atomic, check_name, free_path};
use crate::problem;

/// The folder of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunFolder {
    dir: PathBuf,
}

/// State of a search between two iterations; the candidates are in their own file.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    iteration: usize,
    slots: Vec<usize>,
    gradients: u64,
    evaluations: usize,
}

#[derive(Serialize, Deserialize)]
struct Front {
    front: Vec<FrontPoint>,
}

impl RunFolder {
    /// A run folder at `dir`; it is made by the first write.
    pub(crate) fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Name of the folder.
    pub(crate) fn id(&self) -> String {
        self.dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Writes the resolved settings and, unless `keep` is set, empties the list of candidates.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub(crate) fn begin(&self, settings: &DiscoverySettings, keep: bool) -> Result<(), Problem> {
        document::write_toml(&self.dir.join("run.toml"), settings)?;
        if keep { Ok(()) } else { atomic::write(&self.candidates_path(), b"") }
    }

    /// Appends candidates.
    ///
    /// # Errors
    /// A full disk, or a folder that has gone.
    pub(crate) fn append(&self, candidates: &[Candidate]) -> Result<(), Problem> {
        let path = self.candidates_path();
        let attempt = || -> std::io::Result<()> {
            let mut lines = Vec::new();
            for candidate in candidates {
                serde_json::to_writer(&mut lines, candidate)?;
                lines.push(b'\n');
            }
            File::options().append(true).create(true).open(&path)?.write_all(&lines)
        };
        attempt().map_err(|error| problem::write_failed(&path, &error))
    }

    /// All candidates saved so far. A last line cut short by a crash is left out.
    ///
    /// # Errors
    /// A file that is missing or broken before its end.
    pub(crate) fn candidates(&self) -> Result<Vec<Candidate>, Problem> {
        let path = self.candidates_path();
        let text = fs::read_to_string(&path).map_err(|error| problem::read_failed(&path, &error))?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .enumerate()
            .map(|(i, line)| {
                serde_json::from_str(line)
                    .map_err(|error| problem::unreadable(&path, &format!("line {}: {error}", i + 1)))
            })
            .collect()
    }

    /// Saves what is needed to go on after this iteration.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub(crate) fn checkpoint(&self, run: &epo::Run) -> Result<(), Problem> {
        let epo::Run { history, slots, iteration, gradients, .. } = run;
        let state = Checkpoint {
            iteration: *iteration,
            slots: slots.clone(),
            gradients: *gradients,
            evaluations: history.len(),
        };
        document::write_json(&self.dir.join("search.json"), &Envelope::new(state))
    }

    /// The search as it was at the last checkpoint.
    ///
    /// # Errors
    /// A folder without a checkpoint, or files that do not belong together.
    pub(crate) fn resume(&self) -> Result<epo::Run, Problem> {
        let path = self.dir.join("search.json");
        let Checkpoint { iteration, slots, gradients, evaluations } =
            document::read_json::<Envelope<Checkpoint>>(&path)?.body;
        let mut history = self.candidates()?;
        if history.len() < evaluations || slots.iter().any(|slot| *slot >= evaluations) {
            return Err(problem::unreadable(&path, "it names candidates that candidates.jsonl does not hold"));
        }
        history.truncate(evaluations);
        Ok(epo::Run { history, slots, iteration, gradients, stopped: false })
    }

    /// Replaces the list of candidates.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub(crate) fn rewrite(&self, candidates: &[Candidate]) -> Result<(), Problem> {
        atomic::write(&self.candidates_path(), b"")?;
        self.append(candidates)
    }

    /// Writes the result, the front and its picture.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub(crate) fn finish(&self, result: &RunResult, front_png: &[u8]) -> Result<(), Problem> {
        document::write_json(&self.dir.join("front.json"), &Envelope::new(Front { front: result.front.clone() }))?;
        atomic::write(&self.dir.join("front.png"), front_png)?;
        document::write_json(&self.dir.join("result.json"), &Envelope::new(result))
    }

    /// The saved result.
    ///
    /// # Errors
    /// A run that never ended or cannot be read.
    pub(crate) fn result(&self) -> Result<RunResult, Problem> {
        document::read_json::<Envelope<RunResult>>(&self.dir.join("result.json")).map(|read| read.body)
    }

    fn candidates_path(&self) -> PathBuf {
        self.dir.join("candidates.jsonl")
    }
}

impl Workspace {
    /// A folder for a new run: `stamp` (which sorts by time) and what it is about.
    pub(crate) fn new_run(&self, stamp: &str, settings: &DiscoverySettings) -> RunFolder {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let persona: String = settings.persona.chars().map(plain).collect();
        let about = format!("{stamp}-{persona}-{:?}", settings.method).to_lowercase();
        RunFolder::at(&free_path(&self.root.join("runs"), &about, ""))
    }

    /// Saved runs, newest first, and what could not be read. Runs that never ended are left out.
    pub(crate) fn runs(&self) -> (Vec<RunSummary>, Vec<Problem>) {
        let mut found = Vec::new();
        let mut problems = Vec::new();
        for dir in sub_folders(&self.root.join("runs")).into_iter().rev() {
            if !dir.join("result.json").exists() {
                continue;
            }
            match RunFolder::at(&dir).result() {
                Ok(run) => found.push(RunSummary {
                    id: run.id,
                    persona: run.settings.persona.clone(),
                    settings: run.settings,
                    n_front: run.front.len(),
                    evaluations: run.evaluations,
                    stopped: run.stopped,
                }),
                Err(problem) => problems.push(problem),
            }
        }
        (found, problems)
    }

    /// A saved run by id.
    ///
    /// # Errors
    /// A run that is not there or cannot be read.
    pub(crate) fn run(&self, id: &str) -> Result<RunResult, Problem> {
        check_name(id)?;
        RunFolder::at(&self.root.join("runs").join(id)).result()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: u64) -> Candidate {
        Candidate { id, parent: None, iteration: 0, text: format!("t{id}"), ids: vec![1], target: 0.5, xent: 2.0 }
    }

    #[test]
    fn runs_are_saved_and_listed_newest_first() {
        let workspace = Workspace::temp();
        let settings = DiscoverySettings { persona: "warmth".to_owned(), ..DiscoverySettings::default() };
        for stamp in ["20260101-000000", "20260102-000000", "20260102-000000"] {
            let folder = workspace.new_run(stamp, &settings);
            folder.begin(&settings, false).unwrap();
            folder.append(&[candidate(0), candidate(1)]).unwrap();
            folder.append(&[candidate(2)]).unwrap();
            assert_eq!(folder.candidates().unwrap(), [candidate(0), candidate(1), candidate(2)]);
            let front = vec![FrontPoint { candidate: candidate(2), lambda_range: Some((0.5, 1.0)), select: None }];
            let result = RunResult {
                id: folder.id(),
                settings: settings.clone(),
                front,
                evaluations: 3,
                stopped: false,
                conditions: vec![],
            };
            folder.finish(&result, b"png").unwrap();
            assert_eq!(workspace.run(&result.id).unwrap(), result);
        }
        let unfinished = workspace.new_run("20260103-000000", &settings);
        unfinished.begin(&settings, false).unwrap();
        let (runs, problems) = workspace.runs();
        let ids: Vec<&str> = runs.iter().map(|run| run.id.as_str()).collect();
        assert_eq!(
            ids,
            ["20260102-000000-warmth-resga-2", "20260102-000000-warmth-resga", "20260101-000000-warmth-resga"]
        );
        assert!(problems.is_empty());
    }

    #[test]
    fn a_line_cut_short_by_a_crash_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::at(dir.path());
        folder.begin(&DiscoverySettings::default(), false).unwrap();
        folder.append(&[candidate(0)]).unwrap();
        let path = dir.path().join("candidates.jsonl");
        let text = fs::read_to_string(&path).unwrap() + "{\"id\": 1, \"par";
        fs::write(&path, text).unwrap();
        assert_eq!(folder.candidates().unwrap(), [candidate(0)]);
    }
}
