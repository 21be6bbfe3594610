//! What passes between the window and the shell that hosts it, besides commands and events.

use std::path::PathBuf;

use tiller_protocol::message::Command;

/// Facts about this computer and this build, supplied by the shell once.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// Version of Tiller, e.g. `0.1.0`.
    pub version: String,
    /// Processor in words, e.g. `8 processor threads`.
    pub processor: String,
    /// Memory in bytes; 0 when unknown.
    pub memory_bytes: u64,
    /// Accelerators present, e.g. `NVIDIA H200`; empty when there is none.
    pub accelerators: Vec<String>,
    /// Folder in which Tiller keeps its files.
    pub workspace: PathBuf,
    /// What draws the window, e.g. `wgpu (Vulkan)`; empty when unknown.
    pub renderer: String,
    /// When the window was opened, seconds since 1970; 0 when unknown.
    pub opened_secs: u64,
}

/// Tells answers to requests apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// What only the shell can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Let the user choose a folder; answered by [`crate::App::answer`].
    PickFolder {
        /// Comes back with the answer.
        ticket: Ticket,
        /// Title of the dialog.
        title: String,
    },
    /// Let the user choose a file; answered by [`crate::App::answer`].
    PickFile {
        /// Comes back with the answer.
        ticket: Ticket,
        /// Title of the dialog.
        title: String,
        /// What the file's name ends in, without the dot; empty for any file.
        extension: String,
    },
    /// Let the user choose where to save; answered by [`crate::App::answer`].
    PickSavePath {
        /// Comes back with the answer.
        ticket: Ticket,
        /// Title of the dialog.
        title: String,
        /// Suggested file name with its extension.
        file_name: String,
    },
    /// Open a web address or a folder with the system's own program.
    OpenLink(String),
    /// Close the window.
    Quit,
}

/// The shell's answer to a request that had a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Ticket of the request.
    pub ticket: Ticket,
    /// What was chosen; `None` when the user cancelled or no dialog could be shown.
    pub path: Option<PathBuf>,
}

/// What one frame asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// For the application.
    pub commands: Vec<Command>,
    /// For the shell.
    pub requests: Vec<Request>,
}
