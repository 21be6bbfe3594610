//! The real binary, for tests that run it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};

/// The binary of the build these tests belong to; `TILLER_BIN` names another one.
///
/// Cargo does not build it for a test of another package, so this does: it costs nothing when all is fresh, and it
/// takes the whole workspace so that the features, and with them all compiled crates, are those of the tests.
pub fn path() -> Result<PathBuf> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = BUILT.get() {
        return Ok(path.clone());
    }
    let path = build()?;
    Ok(BUILT.get_or_init(|| path).clone())
}

fn build() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("TILLER_BIN") {
        return Ok(PathBuf::from(named));
    }
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(Path::parent).context("tests lie in target/PROFILE/deps")?;
    let mut args: Vec<OsString> = ["build", "--quiet", "--workspace", "--bin", "tiller"].map(OsString::from).into();
    match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(profile) => args.extend(["--profile", profile].map(OsString::from)),
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).status()?;
    ensure!(built.success(), "the binary does not build");
    Ok(folder.join(if cfg!(windows) { "tiller.exe" } else { "tiller" }))
}

/// A command that keeps to a workspace of its own and to the processor.
pub fn command(workspace: &Path, args: &[&str]) -> Result<Command> {
    let mut command = Command::new(path()?);
    command.arg("--workspace").arg(workspace).args(["--device", "cpu", "--offline"]).args(args);
    Ok(command)
}

/// Runs it to the end.
pub fn run(workspace: &Path, args: &[&str]) -> Result<Output> {
    command(workspace, args)?.output().context("running the binary")
}
