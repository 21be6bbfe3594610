//! What a line of a JSON lines file says.

use serde::Deserialize;
use serde_json::Value;
use tiller_protocol::chat::{Role, Turn};

use super::Text;

/// Names under which files keep a conversation.
const CHATS: [&str; 4] = ["messages", "turns", "conversations", "conversation"];

/// One turn, under the names that are in use.
#[derive(Deserialize)]
struct Said {
    #[serde(alias = "from")]
    role: String,
    #[serde(alias = "value", alias = "text")]
    content: String,
}

/// The text of a line: a string, or an object with `text` or with a conversation. Other keys are passed over.
pub(super) fn text(line: &[u8]) -> Result<Text, String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| format!("it is not JSON ({error})"))?;
    let mut object = match value {
        Value::String(text) => return Ok(Text::Plain(text)),
        Value::Object(object) => object,
        _ => return Err("it is neither an object nor a string".to_owned()),
    };
    if let Some(name) = CHATS.into_iter().find(|name| object.contains_key(*name)) {
        let turns = object.remove(name).unwrap_or_default();
        let turns: Vec<Said> = serde_json::from_value(turns)
            .map_err(|error| format!("\u{201c}{name}\u{201d} is no list of turns ({error})"))?;
        return turns.into_iter().map(turn).collect::<Result<_, _>>().map(Text::Chat);
    }
    match object.remove("text") {
        Some(Value::String(text)) => Ok(Text::Plain(text)),
        Some(_) => Err("\u{201c}text\u{201d} is not a string".to_owned()),
        None => Err("it has no \u{201c}text\u{201d} and no \u{201c}messages\u{201d}".to_owned()),
    }
}

fn turn(said: Said) -> Result<Turn, String> {
    let role = match said.role.to_ascii_lowercase().as_str() {
        "system" | "developer" => Role::System,
        "user" | "human" => Role::User,
        "assistant" | "model" | "gpt" | "bot" => Role::Assistant,
        other => return Err(format!("\u{201c}{other}\u{201d} is none of system, user and assistant")),
    };
    Ok(Turn { role, content: said.content })
}
