//! Who may depend on whom: the table of ARCHITECTURE.md against `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

/// What a member may use. Development dependencies are free.
struct Rule {
    /// Package.
    member: &'static str,
    /// Members it may name in its manifest.
    members: &'static [&'static str],
    /// The only other crates it may name; `None` when the list is open.
    only: Option<&'static [&'static str]>,
    /// Crates it may not name.
    not_direct: &'static [&'static str],
    /// Crates that may not be reached at all, through whatever path.
    not_reached: &'static [&'static str],
}

const WINDOW: &[&str] = &["egui", "eframe", "winit", "tauri", "rfd", "wgpu"];

const RULES: [Rule; 10] = [
    Rule {
        member: "tiller-protocol",
        members: &[],
        only: Some(&["serde"]),
        not_direct: &[],
        not_reached: &["candle-core", "egui", "crossbeam-channel", "tokio"],
    },
    Rule {
        member: "tiller-engine",
        members: &["tiller-protocol"],
        only: Some(&[
            "bytemuck",
            "candle-core",
            "candle-nn",
            "candle-transformers",
            "flate2",
            "gemm",
            "half",
            "memmap2",
            "minijinja",
            "minijinja-contrib",
            "pulp",
            "rayon",
            "safetensors",
            "serde",
            "serde_json",
            "thiserror",
            "tokenizers",
        ]),
        not_direct: &[],
        not_reached: &["egui", "eframe", "winit", "tauri", "hf-hub", "ureq", "reqwest", "tokio", "rusqlite"],
    },
    Rule {
        member: "tiller-discover",
        members: &["tiller-protocol", "tiller-engine"],
        only: Some(&["candle-core", "rand", "rand_chacha", "serde", "thiserror"]),
        not_direct: &[],
        not_reached: &["egui", "eframe", "winit", "tauri", "hf-hub", "ureq", "reqwest", "tokio", "rusqlite"],
    },
    // Files and bytes: whatever opens a network connection cannot reach a tensor or a window.
    Rule {
        member: "tiller-hub",
        members: &["tiller-protocol"],
        only: None,
        not_direct: &[],
        not_reached: &["candle-core", "tokenizers", "egui", "eframe", "winit", "tauri", "rfd", "tokio", "rusqlite"],
    },
    // Files and numbers: it is opened where there is neither a model nor a window.
    Rule {
        member: "tiller-index",
        members: &["tiller-protocol"],
        only: Some(&["csv", "flate2", "half", "rayon", "rusqlite", "safetensors", "serde", "serde_json", "thiserror"]),
        not_direct: &[],
        not_reached: &["candle-core", "tokenizers", "egui", "eframe", "winit", "tauri", "ureq", "reqwest", "tokio"],
    },
    Rule {
        member: "tiller-studio",
        members: &["tiller-protocol", "tiller-engine", "tiller-discover", "tiller-hub", "tiller-index"],
        only: None,
        not_direct: &["ureq", "keyring"],
        not_reached: WINDOW,
    },
    Rule {
        member: "tiller-ui",
        members: &["tiller-protocol"],
        only: None,
        not_direct: &["crossbeam-channel", "tempfile", "directories"],
        not_reached: &[
            "eframe",
            "winit",
            "candle-core",
            "candle-nn",
            "tokenizers",
            "safetensors",
            "hf-hub",
            "rusqlite",
        ],
    },
    Rule {
        member: "tiller",
        members: &["tiller-protocol", "tiller-studio", "tiller-ui"],
        only: None,
        not_direct: &["candle-core", "candle-nn", "candle-transformers", "tokenizers", "rusqlite", "hf-hub"],
        not_reached: &["webkit2gtk", "gtk", "wry"],
    },
    // A server for tests, of the standard library and one system call.
    Rule {
        member: "tiller-hub-server",
        members: &[],
        only: Some(&["rustix", "serde_json", "sha1", "sha2"]),
        not_direct: &[],
        not_reached: &["tokio"],
    },
    // Only tests: they may look at everything.
    Rule {
        member: "tiller-tests",
        members: &[
            "tiller-protocol",
            "tiller-engine",
            "tiller-discover",
            "tiller-hub",
            "tiller-hub-server",
            "tiller-index",
            "tiller-studio",
            "tiller-ui",
        ],
        only: None,
        not_direct: &[],
        not_reached: &["tauri"],
    },
];

/// Crates by name: what the manifest names, and what is reached through any path. Development dependencies left out.
#[derive(Clone, Debug, Default)]
struct Uses {
    direct: BTreeSet<String>,
    reached: BTreeSet<String>,
}

/// The graph of crates on this platform, with `extra` options of `cargo metadata`.
pub(crate) fn metadata(extra: &[&str]) -> Result<Metadata> {
    // Without a platform cargo would download the crates of every other platform first.
    let system = match std::env::consts::OS {
        "macos" => "apple-darwin",
        "windows" => "pc-windows-msvc",
        _ => "unknown-linux-gnu",
    };
    let platform = format!("{}-{system}", std::env::consts::ARCH);
    MetadataCommand::new()
        .current_dir(super::workspace::root())
        .other_options(
            [&["--locked", "--filter-platform", &platform], extra]
                .concat()
                .iter()
                .map(|&word| word.to_owned())
                .collect::<Vec<_>>(),
        )
        .exec()
        .context("cargo metadata")
}

fn uses(metadata: &Metadata) -> Result<BTreeMap<String, Uses>> {
    let resolve = metadata.resolve.as_ref().context("cargo metadata resolves the graph")?;
    let edges: BTreeMap<&PackageId, Vec<&PackageId>> = resolve
        .nodes
        .iter()
        .map(|node| {
            let counted = node.deps.iter().filter(|dep| {
                dep.dep_kinds.is_empty() || dep.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development)
            });
            (&node.id, counted.map(|dep| &dep.pkg).collect())
        })
        .collect();
    let names: BTreeMap<&PackageId, &str> = metadata.packages.iter().map(|p| (&p.id, p.name.as_str())).collect();
    let mut all = BTreeMap::new();
    for package in metadata.workspace_packages() {
        let mut found = Uses::default();
        // From the manifest, so that optional dependencies count too.
        for dependency in package.dependencies.iter().filter(|dep| dep.kind != DependencyKind::Development) {
            found.direct.insert(dependency.name.clone());
        }
        let mut waiting = edges[&package.id].clone();
        let mut seen = BTreeSet::new();
        while let Some(id) = waiting.pop() {
            if seen.insert(id) {
                found.reached.insert(names[id].to_owned());
                waiting.extend(&edges[id]);
            }
        }
        all.insert(package.name.to_string(), found);
    }
    Ok(all)
}

fn violations(rules: &[Rule], uses: &BTreeMap<String, Uses>) -> Vec<String> {
    let mut found = Vec::new();
    for member in uses.keys().filter(|member| rules.iter().all(|rule| rule.member != member.as_str())) {
        found.push(format!("{member} is a new member: give it a row in ARCHITECTURE.md and a rule here"));
    }
    for rule in rules {
        let Some(used) = uses.get(rule.member) else {
            found.push(format!("{} is missing from the workspace", rule.member));
            continue;
        };
        for name in &used.direct {
            if uses.contains_key(name) {
                if !rule.members.contains(&name.as_str()) {
                    found.push(format!("{} may not depend on {name}", rule.member));
                }
            } else if rule.only.is_some_and(|only| !only.contains(&name.as_str())) {
                found.push(format!("{} may not depend on {name}: it is not on its list", rule.member));
            } else if rule.not_direct.contains(&name.as_str()) {
                found.push(format!("{} may not name {name} in its manifest", rule.member));
            }
        }
        for name in rule.not_reached.iter().filter(|name| used.reached.contains(**name)) {
            found.push(format!("{} reaches {name}, which it must stay free of", rule.member));
        }
    }
    found
}

#[test]
fn members_depend_only_on_what_the_table_allows() -> Result<()> {
    super::assert_clean(&violations(&RULES, &uses(&metadata(&[])?)?));
    Ok(())
}

#[test]
fn every_member_takes_the_lint_block() -> Result<()> {
    let mut missing = Vec::new();
    for package in metadata(&[])?.workspace_packages() {
        let manifest = std::fs::read_to_string(&package.manifest_path)?;
        if !manifest.contains("[lints]\nworkspace = true") {
            missing.push(format!("{} does not take the workspace's lints", package.name));
        }
    }
    super::assert_clean(&missing);
    Ok(())
}

#[test]
fn every_crate_comes_from_the_public_registry() -> Result<()> {
    let lock = super::workspace::read("Cargo.lock")?;
    let public = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    let foreign: Vec<String> =
        lock.lines().filter(|line| line.starts_with("source = ") && *line != public).map(str::to_owned).collect();
    super::assert_clean(&foreign);
    Ok(())
}

/// A workspace that keeps every rule, for planting single violations.
fn clean() -> BTreeMap<String, Uses> {
    RULES.iter().map(|rule| (rule.member.to_owned(), Uses::default())).collect()
}

#[test]
fn planted_edges_are_found() {
    assert_eq!(violations(&RULES, &clean()), Vec::<String>::new());
    let planted = [
        ("tiller-ui", "tiller-engine"),
        ("tiller-ui", "tiller-studio"),
        ("tiller-studio", "tiller-ui"),
        ("tiller", "tiller-engine"),
        ("tiller", "candle-core"),
        ("tiller-protocol", "candle-core"),
        ("tiller-engine", "crossbeam-channel"),
        ("tiller-discover", "tempfile"),
    ];
    for (member, name) in planted {
        let mut uses = clean();
        uses.get_mut(member).expect("a member").direct.insert(name.to_owned());
        let found = violations(&RULES, &uses);
        assert_eq!(found.len(), 1, "{member} -> {name}: {found:?}");
        assert!(found[0].contains(member) && found[0].contains(name), "{found:?}");
    }
}

#[test]
fn planted_paths_are_found() {
    let planted =
        [("tiller-ui", "eframe"), ("tiller-ui", "candle-core"), ("tiller-studio", "egui"), ("tiller-engine", "hf-hub")];
    for (member, name) in planted {
        let mut uses = clean();
        uses.get_mut(member).expect("a member").reached.insert(name.to_owned());
        assert_eq!(violations(&RULES, &uses).len(), 1, "{member} -> {name}");
    }
}

#[test]
fn a_new_member_needs_a_rule() {
    let mut uses = clean();
    uses.insert("tiller-extra".to_owned(), Uses::default());
    assert_eq!(violations(&RULES, &uses).len(), 1);
}
