//! Rules about the papers beside the code.

use anyhow::Result;
use regex::Regex;

use super::workspace::{TextFile, read, root, text_files};

/// Longest ARCHITECTURE.md in lines: a map, not a book.
const MAX_MAP_LINES: usize = 200;

const MEMBERS: [&str; 7] =
    ["crates/protocol", "crates/engine", "crates/discover", "crates/studio", "ui", "src-tauri", "tests"];

fn map_violations(map: &str) -> Vec<String> {
    let mut found = Vec::new();
    let n_lines = map.lines().count();
    if n_lines > MAX_MAP_LINES {
        found.push(format!("ARCHITECTURE.md: {n_lines} lines, at most {MAX_MAP_LINES}"));
    }
    for member in MEMBERS {
        if !map.lines().any(|line| line.starts_with('|') && line.contains(&format!("`{member}`"))) {
            found.push(format!("ARCHITECTURE.md has no row for `{member}`"));
        }
    }
    found
}

/// The commands README promises, and whether the script it names exists.
fn readme_violations(readme: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for command in ["cargo run --release", "cargo run --release -- demo --out demo-report", "./test.sh"] {
        if !readme
            .lines()
            .any(|line| line.trim().trim_matches('`') == command || line.contains(&format!("`{command}`")))
        {
            found.push(format!("README.md does not give the command `{command}`"));
        }
    }
    for path in ["test.sh", "check.sh", ".ci/run", "LICENSE-MIT", "LICENSE-APACHE", "CONTRIBUTING.md", "CHANGELOG.md"] {
        if !exists(path) {
            found.push(format!("{path} is missing"));
        }
    }
    found
}

/// Links from a Markdown file to files of the checkout that are not there.
fn broken_links(file: &TextFile, exists: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let link = Regex::new(r"\]\(([^)#\s]+)[^)]*\)")?;
    let folder = file.path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    Ok(link
        .captures_iter(&file.text)
        .map(|found| found[1].to_owned())
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .filter(|target| !exists(&format!("{folder}{target}")))
        .map(|target| format!("{}: link to {target}, which is not there", file.path))
        .collect())
}

fn is_there(path: &str) -> bool {
    root().join(path).exists()
}

#[test]
fn the_map_is_short_and_complete() -> Result<()> {
    super::assert_clean(&map_violations(&read("ARCHITECTURE.md")?));
    Ok(())
}

#[test]
fn the_readme_gives_its_commands() -> Result<()> {
    super::assert_clean(&readme_violations(&read("README.md")?, is_there));
    Ok(())
}

#[test]
fn links_lead_somewhere() -> Result<()> {
    let mut found = Vec::new();
    for file in text_files(&[".md"])? {
        found.extend(broken_links(&file, is_there)?);
    }
    super::assert_clean(&found);
    Ok(())
}

#[test]
fn planted_faults_are_found() -> Result<()> {
    let rows = MEMBERS.map(|member| format!("| `{member}` | |\n")).concat();
    assert_eq!(map_violations(&rows), Vec::<String>::new());
    assert_eq!(map_violations(&rows.replace("`ui`", "`screens`")).len(), 1);
    assert_eq!(map_violations(&(rows + &"\n".repeat(MAX_MAP_LINES))).len(), 1);

    let readme = "```sh\ncargo run --release\n./test.sh\n```\n`cargo run --release -- demo --out demo-report`";
    assert_eq!(readme_violations(readme, |_| true), Vec::<String>::new());
    assert_eq!(readme_violations(&readme.replace("./test.sh", ""), |_| true).len(), 1);
    assert_eq!(readme_violations(readme, |path| path != "check.sh").len(), 1);

    let page = TextFile::planted("docs/page.md", "[a](there.md#part) [b](gone.md) [c](https://example.org/x)");
    assert_eq!(broken_links(&page, |path| path == "docs/there.md")?.len(), 1);
    Ok(())
}
