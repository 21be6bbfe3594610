//! Licences and bans of `deny.toml`, held without cargo-deny.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use cargo_metadata::Package;

use super::workspace::read;

/// What the two lists of `deny.toml` say.
struct Rules {
    /// Licences that may be used.
    allowed: BTreeSet<String>,
    /// Crates of which only one version may be linked.
    single: BTreeSet<String>,
    /// Crates that may not be linked at all.
    banned: BTreeSet<String>,
}

/// All words in double quotes of a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('"').skip(1).step_by(2)
}

fn rules(text: &str) -> Result<Rules> {
    let list = |head: &str| -> Result<Vec<&str>> {
        let (_, rest) = text.split_once(head).with_context(|| format!("deny.toml has no {head}"))?;
        let (body, _) = rest.split_once("\n]").with_context(|| format!("{head} does not end"))?;
        Ok(body.lines().filter(|line| !line.trim_start().starts_with('#')).collect())
    };
    let allowed = list("allow = [")?.iter().flat_map(|line| quoted(line)).map(str::to_owned).collect();
    let (mut single, mut banned) = (BTreeSet::new(), BTreeSet::new());
    for line in list("deny = [")? {
        if let Some(name) = quoted(line).next() {
            let group = if line.contains("deny-multiple-versions = true") { &mut single } else { &mut banned };
            group.insert(name.to_owned());
        }
    }
    Ok(Rules { allowed, single, banned })
}

/// Whether an SPDX expression can be met with allowed licences. `A/B` is the old way to write `A OR B`.
fn can_be_met(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    any_of(&mut words, allowed) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut met = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        // Both sides are read to their end whatever the first one says.
        met = all_of(words, allowed) || met;
    }
    met
}

fn all_of(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut met = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met = one(words, allowed) && met;
    }
    met
}

fn one(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let met = any_of(words, allowed);
        return words.next_if_eq(&")").is_some() && met;
    }
    let Some(name) = words.next() else { return false };
    if words.next_if_eq(&"WITH").is_some() {
        let exception = words.next().unwrap_or_default();
        return allowed.contains(&format!("{name} WITH {exception}"));
    }
    allowed.contains(name)
}

fn violations(packages: &[Package], rules: &Rules) -> Vec<String> {
    let mut found = Vec::new();
    let mut versions: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for package in packages {
        versions.entry(package.name.as_str()).or_default().insert(package.version.to_string());
        match &package.license {
            Some(licence) if can_be_met(licence, &rules.allowed) => {}
            Some(licence) => found.push(format!("{} is under {licence}, which deny.toml does not allow", package.name)),
            None => found.push(format!("{} names no licence", package.name)),
        }
        if rules.banned.contains(package.name.as_str()) {
            found.push(format!("{} is banned by deny.toml", package.name));
        }
    }
    for (name, versions) in versions {
        if versions.len() > 1 && rules.single.contains(name) {
            found.push(format!("{name} is there in {} versions; only one fits", versions.len()));
        }
    }
    found
}

#[test]
fn every_crate_is_allowed() -> Result<()> {
    let metadata = super::dependencies::metadata(&["--all-features"])?;
    super::assert_clean(&violations(&metadata.packages, &rules(&read("deny.toml")?)?));
    Ok(())
}

#[test]
fn the_lists_are_read() -> Result<()> {
    let rules = rules(&read("deny.toml")?)?;
    assert!(rules.allowed.contains("MIT") && rules.allowed.contains("Apache-2.0 WITH LLVM-exception"));
    assert!(rules.single.contains("egui") && rules.banned.contains("wry"));
    Ok(())
}

#[test]
fn expressions_are_understood() {
    let allowed: BTreeSet<String> = ["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
    for met in ["MIT", "MIT/GPL-3.0", "GPL-3.0 OR MIT", "(GPL-3.0 OR MIT) AND Zlib", "Apache-2.0 WITH LLVM-exception"] {
        assert!(can_be_met(met, &allowed), "{met}");
    }
    for unmet in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Zlib) AND GPL-3.0", "Apache-2.0", "", "(MIT", "MIT)"] {
        assert!(!can_be_met(unmet, &allowed), "{unmet}");
    }
}
