//! How the tests drive Tiller: the application by messages, the screens by label, the real binary as a process.
//!
//! Every wait has a deadline and says what it waited for. Holds no test itself.
#![expect(clippy::missing_errors_doc, reason = "an error here fails the test that asked, and says why itself")]

pub mod binary;
pub mod desk;
pub mod screen;
