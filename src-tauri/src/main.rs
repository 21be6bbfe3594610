//! Tiller's binary: the desktop window, and the same work without one.
//!
//! `tiller` opens the window; `tiller COMMAND` never does. This crate holds only what the operating system cares
//! about: the window's host, dialogs, the command line, logging. Every decision is in `tiller-studio`, every pixel in
//! `tiller-ui`.
//!
//! Reading order: [`cli`], [`commands`], [`output`], then [`window`].

mod cli;
mod commands;
mod dialogs;
mod frame_log;
mod host;
mod interrupt;
mod logging;
mod machine;
mod output;
mod product;
mod progress;
mod window;

use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let started = Instant::now();
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    logging::start(cli.global.verbose);
    match &cli.command {
        Some(command) => commands::run(command, &cli.global),
        None => match window::run(&cli, started) {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => output::failure(&problem, cli.global.json),
        },
    }
}
