//! How the tests drive Tiller: the application by messages, the screens by label, the real binary as a process.
//!
//! Every wait has a deadline and says what it waited for. Holds no test itself.
#![expect(clippy::missing_errors_doc, reason = "an error here fails the test that asked, and says why itself")]

pub mod binary;
pub mod desk;
pub mod screen;

/// Checkpoint folders of every family in `fixtures`, each with the folder whose goldens hold for it.
pub const CHECKPOINTS: [(&str, &str); 10] = [
    ("llama3-v4", "llama3-v4"),
    ("llama3-v5", "llama3-v4"),
    ("llama-tied", "llama-tied"),
    ("mistral", "mistral"),
    ("qwen2", "qwen2"),
    ("qwen3", "qwen3"),
    ("gemma2", "gemma2"),
    ("gemma3", "gemma3"),
    ("gemma3-wrapper", "gemma3"),
    ("gemma3-wrapper-old", "gemma3"),
];
