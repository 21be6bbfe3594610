//! Personas on disk.
//!
//! A persona is `ID.toml` ([`PersonaCard`]) and a folder `ID` with `extract.jsonl`, `contexts.jsonl`, `select.jsonl`
//! and `report.jsonl`. Shipped personas come first; a persona of the user with the same id takes its place.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use tiller_protocol::persona::{Item, Pair, Persona, PersonaCard, PersonaSummary};
use tiller_protocol::problem::Problem;

use crate::assets::UserLine;
use crate::problem;
use crate::workspace::{check_name, document};

/// Pairs and questions shown in a summary.
const N_SAMPLES: usize = 6;

/// Where personas are looked for, later folders before earlier ones.
#[derive(Clone, Debug)]
pub(crate) struct Library {
    folders: Vec<PathBuf>,
}

impl Library {
    /// A library over `folders`; they need not exist.
    pub(crate) fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders }
    }

    /// Ids of all personas, shipped ones first, each once.
    pub(crate) fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = Vec::new();
        for folder in &self.folders {
            let mut here: Vec<String> = fs::read_dir(folder)
                .into_iter()
                .flatten()
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
                .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
                .collect();
            here.sort();
            here.retain(|id| !ids.contains(id));
            ids.append(&mut here);
        }
        ids
    }

    /// Loads one persona.
    ///
    /// # Errors
    /// A persona that is not there, broken or empty.
    pub(crate) fn load(&self, id: &str) -> Result<Persona, Problem> {
        check_name(id)?;
        let file = format!("{id}.toml");
        let path = self.folders.iter().rev().map(|folder| folder.join(&file)).find(|path| path.is_file());
        load(&path.ok_or_else(|| problem::unknown_persona(id, &self.ids()))?)
    }

    /// Loads a persona by id, or by the path of its `.toml`.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(crate) fn load_any(&self, id_or_path: &str) -> Result<Persona, Problem> {
        let path = Path::new(id_or_path);
        if path.extension().is_some_and(|extension| extension == "toml") { load(path) } else { self.load(id_or_path) }
    }

    /// All personas as the list shows them (dispositions before styles), and what could not be read.
    pub(crate) fn summaries(&self) -> (Vec<PersonaSummary>, Vec<Problem>) {
        let mut found = Vec::new();
        let mut problems = Vec::new();
        for id in self.ids() {
            match self.load(&id) {
                Ok(persona) => found.push(summary(&persona)),
                Err(problem) => problems.push(problem),
            }
        }
        found.sort_by_key(|summary| summary.card.kind != tiller_protocol::persona::PersonaKind::Trait);
        (found, problems)
    }
}

/// Loads the persona whose card is at `path`. Pairs are needed; the other sets may be empty, and a job that needs one
/// says so.
///
/// # Errors
/// Files that are missing, broken or empty.
pub(crate) fn load(path: &Path) -> Result<Persona, Problem> {
    let card: PersonaCard = document::read_toml(path)?;
    let folder = path.with_extension("");
    let pairs_path = folder.join("extract.jsonl");
    let pairs: Vec<Pair> = document::read_jsonl(&pairs_path)?;
    if pairs.is_empty() {
        return Err(problem::empty_persona(&card.name, "contrastive pairs", &pairs_path));
    }
    let contexts: Vec<UserLine> = optional_lines(&folder.join("contexts.jsonl"))?;
    Ok(Persona {
        pairs,
        contexts: contexts.into_iter().map(|line| line.user).collect(),
        select: optional_items(&folder.join("select.jsonl"))?,
        report: optional_items(&folder.join("report.jsonl"))?,
        card,
    })
}

/// Reads items, one JSON object a line.
///
/// # Errors
/// A file that is missing, broken or empty.
pub(crate) fn items(path: &Path) -> Result<Vec<Item>, Problem> {
    let items = checked(path, document::read_jsonl(path)?)?;
    if items.is_empty() {
        return Err(problem::empty_persona("The item file", "items", path));
    }
    Ok(items)
}

/// JSON lines of a file that need not be there.
fn optional_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, Problem> {
    if path.exists() { document::read_jsonl(path) } else { Ok(Vec::new()) }
}

fn optional_items(path: &Path) -> Result<Vec<Item>, Problem> {
    checked(path, optional_lines(path)?)
}

/// Items, if each has its texts.
fn checked(path: &Path, items: Vec<Item>) -> Result<Vec<Item>, Problem> {
    let is_whole = |item: &Item| match item {
        Item::Ab { user, persona, other, swapped, .. } => {
            let swapped = swapped.iter().flat_map(|s| [&s.user, &s.persona, &s.other]);
            [user, persona, other].into_iter().chain(swapped).all(|text| !text.trim().is_empty())
        }
        Item::Free { user, persona, other, .. } => [user, persona, other].iter().all(|text| !text.trim().is_empty()),
        Item::Prompt { user, .. } => !user.trim().is_empty(),
    };
    match items.iter().find(|item| !is_whole(item)) {
        Some(item) => Err(problem::unreadable(path, &format!("item {} has an empty question or answer", item.id()))),
        None => Ok(items),
    }
}

fn summary(persona: &Persona) -> PersonaSummary {
    let mut sample_questions: Vec<String> = Vec::new();
    // Open questions first: they read best in a chat.
    let open_first = |open: bool| persona.report.iter().filter(move |item| matches!(item, Item::Ab { .. }) != open);
    for item in open_first(true).chain(open_first(false)).take(N_SAMPLES) {
        sample_questions.push(item.user().to_owned());
    }
    PersonaSummary {
        card: persona.card.clone(),
        n_pairs: persona.pairs.len(),
        n_contexts: persona.contexts.len(),
        n_select: persona.select.len(),
        n_report: persona.report.len(),
        sample_pairs: persona.pairs.iter().take(N_SAMPLES).cloned().collect(),
        sample_questions,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::assets::Assets;

    fn shipped() -> Library {
        Library::new(vec![Assets::find().unwrap().personas()])
    }

    #[test]
    fn shipped_personas_load_and_their_item_sets_are_disjoint() {
        let (summaries, problems) = shipped().summaries();
        assert!(problems.is_empty(), "{problems:?}");
        assert!(summaries.len() >= 4);
        for summary in summaries {
            let persona = shipped().load(&summary.card.id).unwrap();
            let select: HashSet<&str> = persona.select.iter().map(Item::user).collect();
            assert!(persona.report.iter().all(|item| !select.contains(item.user())), "{}", summary.card.id);
            assert!(!summary.sample_questions.is_empty());
        }
    }

    #[test]
    fn an_empty_set_is_a_clear_problem_and_the_user_comes_before_the_shipped() {
        let dir = tempfile::tempdir().unwrap();
        let shipped = Assets::find().unwrap().personas();
        fs::copy(shipped.join("sycophancy.toml"), dir.path().join("sycophancy.toml")).unwrap();
        fs::create_dir(dir.path().join("sycophancy")).unwrap();
        for file in ["extract", "contexts", "select", "report"] {
            fs::write(dir.path().join(format!("sycophancy/{file}.jsonl")), "\n").unwrap();
        }
        let library = Library::new(vec![shipped, dir.path().to_owned()]);
        let problem = library.load("sycophancy").unwrap_err();
        assert_eq!(problem.title, "The persona set is empty");
        assert!(problem.cause.contains("contrastive pairs"), "{problem}");
        assert!(library.load("nobody").unwrap_err().cause.contains("myopia"));
        assert_eq!(library.summaries().1.len(), 1, "the others are still listed");
    }
}
