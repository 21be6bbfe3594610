//! Rules about the text of source files.

use anyhow::Result;
use regex::Regex;

use super::workspace::{TextFile, text_files};

/// Longest source file in lines, tests included.
const MAX_LINES: usize = 600;

/// A pattern that may stand only in some files.
struct Ban {
    /// Regular expression, tried on each line of code without its comment.
    pattern: &'static str,
    /// Beginnings of the paths it applies to.
    within: &'static [&'static str],
    /// Beginnings of the paths that are exempt.
    except: &'static [&'static str],
    /// Why.
    reason: &'static str,
}

/// Members whose code draws or hosts the window.
const DRAWING: &[&str] = &["ui/", "src-tauri/"];
const THEME: &[&str] = &["ui/src/theme.rs", "ui/src/theme/"];

const BANS: [Ban; 13] = [
    Ban {
        pattern: r"cfg!?\((?:[^)]*\()?\s*feature\s*=",
        within: &["crates/", "ui/", "src-tauri/", "tests/"],
        except: &["crates/engine/src/device.rs", "src-tauri/src/product.rs", "src-tauri/build.rs"],
        reason: "features are switched in one file per member",
    },
    Ban {
        pattern: r"\bcandle_nn\b|\bQMatMul\b|\bkv_cache::|\battention::flash_attn",
        within: &["crates/", "ui/", "src-tauri/"],
        except: &["crates/engine/src/ops.rs", "crates/engine/src/ops/"],
        reason: "fused operations drop gradients without an error and live behind the engine's ops",
    },
    Ban {
        pattern: r"\bstd::fs\b|\bfs::\w|\bFile::(open|create)\b|\bstd::net\b|\bstd::process\b",
        within: &["ui/src/", "crates/protocol/src/", "crates/discover/src/"],
        except: &[],
        reason: "this member does not touch disk, network or processes",
    },
    Ban {
        pattern: r"\bstd::fs\b|\bfs::\w|\bFile::(open|create)\b|\bmemmap2\b",
        within: &["crates/engine/src/"],
        except: &[
            "crates/engine/src/gguf/",
            "crates/engine/src/load.rs",
            "crates/engine/src/load/",
            "crates/engine/src/safetensors.rs",
            "crates/engine/src/sae.rs",
            "crates/engine/src/sae/",
        ],
        reason: "the engine reads the disk only where it loads models and SAEs",
    },
    Ban {
        pattern: r"\bstd::net\b|\bstd::process\b|\bTcpStream\b",
        within: &["crates/engine/src/"],
        except: &[],
        reason: "the engine touches neither network nor processes",
    },
    Ban {
        pattern: r"\bstd::thread\b|\bthread::\w|\bmpsc\b|\bcrossbeam",
        within: &["ui/src/", "crates/protocol/src/", "crates/discover/src/", "crates/engine/src/"],
        except: &[],
        reason: "threads and channels belong to studio",
    },
    Ban {
        pattern: r"\bInstant::now\b|\bSystemTime\b",
        within: &["ui/src/", "crates/protocol/src/", "crates/discover/src/", "crates/engine/src/"],
        except: &[],
        reason: "this member reads no clock",
    },
    Ban {
        pattern: r"Color32::(from_|BLACK|WHITE|GRAY|DARK_|LIGHT_|RED|GREEN|BLUE|YELLOW|ORANGE|BROWN|MAGENTA|CYAN|GOLD|PURPLE)|hex_color!|Rgba::from_|Hsva::new",
        within: DRAWING,
        except: THEME,
        reason: "colours stand in the theme file",
    },
    Ban {
        pattern: r"\.size\(\s*\d|FontId::(new|proportional|monospace)\(\s*\d",
        within: DRAWING,
        except: THEME,
        reason: "font sizes stand in the theme file",
    },
    Ban {
        pattern: r"\b(todo|unimplemented|dbg)!|#\[ignore|#!?\[allow\(",
        within: &["crates/", "ui/", "src-tauri/", "tests/"],
        except: &[],
        reason: "nothing is left unfinished, ignored or waved through",
    },
    Ban { pattern: r"\beframe::", within: &["ui/src/"], except: &[], reason: "any shell can host the screens" },
    Ban {
        pattern: r"\begui(_\w+)?::|\beframe::|\btauri::",
        within: &["crates/"],
        except: &[],
        reason: "the application runs without a window",
    },
    Ban {
        pattern: r"\b(mod|fn|struct)\s+(utils?|common|helpers?|manager|misc)\b",
        within: &["crates/", "ui/", "src-tauri/"],
        except: &[],
        reason: "a name says what the thing does",
    },
];

/// A line without its comment. A `//` inside a string ends it too, which only ever hides the rest of that line.
fn code(line: &str) -> &str {
    let end = line.match_indices("//").map(|(at, _)| at).find(|at| !line[..*at].ends_with(':'));
    &line[..end.unwrap_or(line.len())]
}

fn banned(bans: &[Ban], files: &[TextFile]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for ban in bans {
        let pattern = Regex::new(ban.pattern)?;
        let begins = |starts: &[&str], file: &TextFile| starts.iter().any(|start| file.path.starts_with(start));
        for file in files.iter().filter(|file| begins(ban.within, file) && !begins(ban.except, file)) {
            for (number, line) in file.text.lines().enumerate() {
                if let Some(hit) = pattern.find(code(line)) {
                    found.push(format!("{}:{}: `{}`: {}", file.path, number + 1, hit.as_str(), ban.reason));
                }
            }
        }
    }
    Ok(found)
}

fn too_long(files: &[TextFile]) -> Vec<String> {
    files
        .iter()
        .map(|file| (file, file.text.lines().count()))
        .filter(|(_, n_lines)| *n_lines > MAX_LINES)
        .map(|(file, n_lines)| format!("{}: {n_lines} lines, at most {MAX_LINES}", file.path))
        .collect()
}

/// Notes to oneself, in any text.
fn leftovers(files: &[TextFile]) -> Result<Vec<String>> {
    // In two halves, so that this file does not name them.
    let pattern = Regex::new(&["TO", "DO|FIX", "ME|XX", "X"].concat())?;
    Ok(lines_with(&pattern, files, "finish it or write it down elsewhere"))
}

/// Places of the machine that a file was written on.
fn private_places(files: &[TextFile]) -> Result<Vec<String>> {
    let pattern = Regex::new(r#"(^|[\s"'`(=:])/(root|work|mnt)/\w|\b(10|127|192\.168)\.\d+\.\d+\.\d+\b"#)?;
    Ok(lines_with(&pattern, files, "a place that only one machine has"))
}

fn lines_with(pattern: &Regex, files: &[TextFile], reason: &str) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(hit) = pattern.find(line) {
                found.push(format!("{}:{}: `{}`: {reason}", file.path, number + 1, hit.as_str().trim()));
            }
        }
    }
    found
}

/// This file spells out every pattern in its planted examples.
fn without_this_file(files: Vec<TextFile>) -> Vec<TextFile> {
    files.into_iter().filter(|file| file.path != "tests/structure/sources.rs").collect()
}

#[test]
fn files_stay_short() -> Result<()> {
    super::assert_clean(&too_long(&text_files(&[".rs", ".py", ".sh"])?));
    Ok(())
}

#[test]
fn code_stays_where_it_belongs() -> Result<()> {
    super::assert_clean(&banned(&BANS, &without_this_file(text_files(&[".rs"])?))?);
    Ok(())
}

#[test]
fn nothing_is_left_over() -> Result<()> {
    let files = without_this_file(text_files(&[".rs", ".py", ".sh", ".toml", ".md", ".yml"])?);
    let mut found = leftovers(&files)?;
    found.extend(private_places(&files)?);
    super::assert_clean(&found);
    Ok(())
}

#[test]
fn planted_code_is_found() -> Result<()> {
    let planted = [
        ("crates/engine/src/model.rs", r#"#[cfg(feature = "cuda")]"#),
        ("crates/engine/src/model.rs", r#"if cfg!(feature = "cuda") {"#),
        ("src-tauri/src/main.rs", r#"#[cfg(not(feature = "tauri"))]"#),
        ("crates/engine/src/model.rs", "let y = candle_nn::ops::rms_norm(&x, &w, 1e-5)?;"),
        ("crates/engine/src/model.rs", "let text = std::fs::read(path)?;"),
        ("ui/src/chat.rs", "fs::write(path, text)?;"),
        ("ui/src/chat.rs", "std::thread::sleep(pause);"),
        ("crates/discover/src/epo.rs", "let start = Instant::now();"),
        ("ui/src/chat.rs", "let red = egui::Color32::from_rgb(200, 0, 0);"),
        ("ui/src/chat.rs", "ui.colored_label(Color32::RED, text);"),
        ("ui/src/chat.rs", "RichText::new(text).size(14.0)"),
        ("crates/studio/src/jobs.rs", "egui::Context::default()"),
        ("crates/studio/src/jobs.rs", "mod utils;"),
        ("tests/golden/main.rs", "#[ignore]"),
    ];
    for (path, text) in planted {
        let found = banned(&BANS, &[TextFile::planted(path, text)])?;
        assert_eq!(found.len(), 1, "{path}: {text}: {found:?}");
    }
    Ok(())
}

#[test]
fn allowed_code_passes() -> Result<()> {
    let allowed = [
        ("crates/engine/src/device.rs", r#"#[cfg(feature = "cuda")]"#),
        ("crates/engine/src/load.rs", "std::fs::read(path)?;"),
        ("ui/src/theme.rs", "Color32::from_rgb(200, 0, 0);"),
        ("crates/studio/src/jobs.rs", "std::thread::Builder::new();"),
        ("ui/src/chat.rs", "// unlike std::fs::read this is quick"),
        ("crates/engine/src/model.rs", r#"#[cfg(target_feature = "avx512f")]"#),
    ];
    for (path, text) in allowed {
        assert_eq!(banned(&BANS, &[TextFile::planted(path, text)])?, Vec::<String>::new(), "{path}");
    }
    Ok(())
}

#[test]
fn planted_leftovers_are_found() -> Result<()> {
    let note = TextFile::planted("ui/src/chat.rs", "// TODO: scroll");
    assert_eq!(leftovers(&[note])?.len(), 1);
    let place = TextFile::planted("README.md", "run it in /root/tiller");
    assert_eq!(private_places(&[place])?.len(), 1);
    let long = TextFile::planted("ui/src/chat.rs", &"\n".repeat(MAX_LINES + 1));
    assert_eq!(too_long(&[long]).len(), 1);
    Ok(())
}
