//! What goes wrong between this computer and the hub.

use tiller_hub::error::HubError;
use tiller_protocol::asset::HubRefusal;
use tiller_protocol::problem::Problem;

use super::{amount, capital};

/// What to do about a network that fails.
const CHECK_NETWORK: &str = "Check the network, and HTTPS_PROXY or HF_ENDPOINT if you set them, then try again; what has \
                             come in is kept.";
/// What to do about an answer that makes no sense.
const TRY_LATER: &str = "Try again later; what has come in is kept. If HF_ENDPOINT names a mirror, try without it.";

/// Tells a failure of the hub.
pub(crate) fn hub(error: &HubError) -> Problem {
    match error {
        HubError::Offline => Problem::new(
            "The network is switched off",
            "Tiller was told to open no connection: by --offline, by HF_HUB_OFFLINE, or by the switch in Settings.",
            "To allow it, start Tiller without them and choose \u{201c}For downloads\u{201d} under Settings, Network. What is \
             on this computer works without it.",
        ),
        HubError::BadAddress { text, reason } => Problem::new(
            "The address cannot be used",
            format!("\u{201c}{text}\u{201d}: {}.", reason.trim_end_matches('.')),
            "Give OWNER/NAME, OWNER/NAME@REVISION or the address of its page. HF_ENDPOINT and proxies are given as \
             https://HOST.",
        ),
        HubError::Unreachable { host, reason } => Problem::new(
            "The hub cannot be reached",
            format!("The connection to {host} failed: {}.", reason.trim_end_matches('.')),
            CHECK_NETWORK,
        ),
        HubError::Untrusted { host, reason } => Problem::new(
            "The hub's certificate is not trusted",
            format!("The certificate of {host} was refused: {}.", reason.trim_end_matches('.')),
            "Check this computer's date. If your organisation inspects connections, let SSL_CERT_FILE name the file \
             with its certificates. Nothing was sent.",
        ),
        HubError::NoRepo { .. } | HubError::Gated { .. } | HubError::NoRight { .. } | HubError::BadToken => {
            access(error)
        }
        HubError::NoRevision { id, revision } => Problem::new(
            "There is no such revision",
            format!("The repository {id} has no branch, tag or commit {revision}."),
            "Leave the revision out to get the main branch, or look it up on the repository's page.",
        ),
        HubError::NoFile { id, path } => Problem::new(
            "A file is not on the hub",
            format!("The repository {id} has no file {path}."),
            "Ask for the repository again; its owners may have changed it.",
        ),
        HubError::Busy { secs } => Problem::new(
            "The hub asks to slow down",
            format!("It was asked too often and wants a pause of {secs} seconds."),
            "Try again after that. Signing in raises the limit.",
        ),
        HubError::Status { url, status, message } => Problem::new(
            "The hub answered with an error",
            format!("The request for {url} was answered with {status}: {}.", message.trim_end_matches('.')),
            TRY_LATER,
        ),
        HubError::BadAnswer { url, reason } => Problem::new(
            "The hub's answer cannot be used",
            format!("The answer to the request for {url}: {}.", reason.trim_end_matches('.')),
            TRY_LATER,
        ),
        HubError::BadSum { .. } | HubError::DiskFull { .. } | HubError::Disk { .. } | HubError::Locked { .. } => {
            disk(error)
        }
        HubError::Stopped => super::stopped(),
    }
}

/// Who may see and have a repository.
fn access(error: &HubError) -> Problem {
    match error {
        HubError::NoRepo { id, signed_in: true } => Problem::new(
            "There is no such repository",
            format!("The hub knows no {id}, or your account may not see it."),
            "Check owner and name. If it is private, sign in with a token of an account that may see it.",
        ),
        HubError::NoRepo { id, .. } => Problem::new(
            "There is no such repository, or it is private",
            format!("The hub shows no {id} to somebody who is not signed in."),
            "Check owner and name. If it is private, give an access token in Settings, or in HF_TOKEN.",
        ),
        HubError::Gated { id, page, signed_in: true } => Problem::new(
            "Its licence is not accepted yet",
            format!("The repository {id} is handed out to accounts that have accepted its licence; yours has not."),
            format!("Read and accept the licence on {page}, then try again. Some owners answer after a while only."),
        ),
        HubError::Gated { id, page, .. } => Problem::new(
            "Its licence has to be accepted first",
            format!(
                "The repository {id} is handed out to accounts that have accepted its licence; nobody is signed in."
            ),
            format!(
                "Accept the licence on {page}, make an access token in your account there, and give it in Settings or in \
                 HF_TOKEN."
            ),
        ),
        HubError::NoRight { id, message } => Problem::new(
            "The access token lacks a right",
            format!("The hub refuses {id} to this token: {}.", message.trim_end_matches('.')),
            "In your account on the hub, give the token the right to read gated repositories, or make one that has it.",
        ),
        _ => Problem::new(
            "The access token is not accepted",
            "The hub does not know the token; it may have been withdrawn, or is not complete.",
            "Make a new one in your account on the hub (the right to read is enough) and give it in Settings or in \
             HF_TOKEN.",
        ),
    }
}

/// What went wrong on this computer's side.
fn disk(error: &HubError) -> Problem {
    match error {
        HubError::BadSum { path, expected, found } => Problem::new(
            "A file arrived damaged",
            format!(
                "The file {path} arrived twice with another checksum than the hub's: {found} in place of {expected}."
            ),
            "Try again; if it stays so, something between the hub and this computer changes files. Nothing damaged was \
             kept.",
        ),
        HubError::DiskFull { folder, needed, free } => Problem::new(
            "There is too little room on the disk",
            format!(
                "The folder {} still has to take {}; {} is free.",
                folder.display(),
                amount(*needed),
                amount(*free)
            ),
            "Free some space, remove models that you do not need, or choose a folder on another disk. What has come in \
             is kept.",
        ),
        HubError::Locked { path } => Problem::new(
            "Another program is getting the same file",
            format!("The file {path} is being downloaded by another program into the same folder."),
            "Wait until it is done and try again, or stop it there.",
        ),
        HubError::Disk { path, reason } => Problem::new(
            "A file of the download cannot be written",
            format!("{}: {}.", path.display(), reason.trim_end_matches('.')),
            "Check that the folder may be written and its disk is connected, then try again.",
        ),
        other => Problem::new("The download failed", format!("{}.", capital(&other.to_string())), super::REPORT_IT),
    }
}

/// Tells why it is not known what a repository offers.
pub(crate) fn refusal(error: &HubError) -> HubRefusal {
    let may_sign_in = matches!(
        error,
        HubError::NoRepo { .. } | HubError::Gated { .. } | HubError::NoRight { .. } | HubError::BadToken
    );
    let page = match error {
        HubError::Gated { page, .. } => Some(page.clone()),
        _ => None,
    };
    HubRefusal { problem: hub(error), may_sign_in, page }
}

/// A repository that holds weights in pickles alone.
pub(crate) fn only_pickles(id: &str) -> Problem {
    Problem::new(
        "Its weights are in a form that Tiller does not open",
        format!("The repository {id} holds weights as Python pickles (.bin, .pt, .pth), which may carry programs."),
        "Look for the same model in safetensors or GGUF, or turn it into safetensors with transformers.",
    )
}

/// A repository without anything that can be opened.
pub(crate) fn nothing_to_open(id: &str) -> Problem {
    Problem::new(
        "There is nothing in it that Tiller opens",
        format!("The repository {id} holds no safetensors checkpoint, no GGUF file and no sparse autoencoder."),
        "Check the name; for a model, look for the same one in safetensors or GGUF.",
    )
}

/// A model without a tokenizer that can be read.
pub(crate) fn no_tokenizer(id: &str) -> Problem {
    Problem::new(
        "The repository has no tokenizer.json",
        format!("The repository {id} holds its tokenizer in another form than the one that Tiller reads."),
        "Look for a copy of the model that has a tokenizer.json, or for a GGUF file of it, which brings its own.",
    )
}

/// A model of a family that Tiller runs with a setting that it does not.
pub(crate) fn cannot_run(id: &str, reason: &str) -> Problem {
    Problem::new(
        "Tiller does not run this model",
        format!("Its config.json ({id}): {}.", reason.trim_end_matches('.')),
        "Choose a model from the catalogue, or another one of the same family.",
    )
}

/// A choice that the repository does not have.
pub(crate) fn no_choice(id: &str, asked: &str, choices: &[String]) -> Problem {
    Problem::new(
        "The repository has nothing of this name",
        format!("The repository {id} has no \u{201c}{asked}\u{201d}."),
        format!("Choose one of: {}.", choices.join(", ")),
    )
}

/// Several choices, and none was named.
pub(crate) fn which_choice(id: &str, choices: &[String]) -> Problem {
    Problem::new(
        "It is not clear what to download",
        format!("The repository {id} offers several: {}.", choices.join(", ")),
        "Name one with --choice; --list shows their sizes.",
    )
}
