//! The conversation's data, and how it becomes what the model is asked.

use tiller_protocol::chat::{EndReason, Role, Turn};
use tiller_protocol::persona::Placement;

/// A reply, as far as it is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reply {
    /// Its text.
    pub(crate) text: String,
    /// Why it ended, its tokens, its speed; `None` while it is being written.
    pub(crate) end: Option<(EndReason, usize, f64)>,
}

/// A question and its replies.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Exchange {
    /// What the user wrote.
    pub(crate) user: String,
    /// The reply with steering and prompt.
    pub(crate) steered: Reply,
    /// The plain model's reply, when asked for.
    pub(crate) plain: Option<Reply>,
    /// The steering at the moment of asking, in words; empty without.
    pub(crate) steering: String,
    /// Whether a discovered prompt was in place.
    pub(crate) prompted: bool,
}

/// A discovered prompt in its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Inserted {
    /// Exact text.
    pub(crate) text: String,
    /// Where it stands.
    pub(crate) placement: Placement,
    /// Persona it was found for, for people.
    pub(crate) persona: String,
}

/// Which of two replies a conversation continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Branch {
    /// The steered one.
    Steered,
    /// The plain one.
    Plain,
}

/// What the model is asked: system text, earlier exchanges along `branch`, and `question`.
///
/// A prompt is put exactly where the search measured it: as the system turn, in front of or behind the text of the
/// question. An own system text stays in front of a discovered system prompt.
pub(crate) fn turns(
    system: &str,
    inserted: Option<&Inserted>,
    earlier: &[Exchange],
    question: &str,
    branch: Branch,
) -> Vec<Turn> {
    let mut turns = Vec::with_capacity(2 * earlier.len() + 2);
    let system_prompt = inserted.filter(|inserted| inserted.placement == Placement::System);
    let system = match (system.trim().is_empty(), system_prompt) {
        (true, None) => None,
        (true, Some(prompt)) => Some(prompt.text.clone()),
        (false, None) => Some(system.to_owned()),
        (false, Some(prompt)) => Some(format!("{}\n{}", system.trim_end(), prompt.text.trim_start())),
    };
    if let Some(content) = system {
        turns.push(Turn { role: Role::System, content });
    }
    for exchange in earlier {
        turns.push(Turn { role: Role::User, content: placed(&exchange.user, inserted) });
        let reply = match (branch, &exchange.plain) {
            (Branch::Plain, Some(plain)) => plain,
            _ => &exchange.steered,
        };
        turns.push(Turn { role: Role::Assistant, content: reply.text.trim().to_owned() });
    }
    turns.push(Turn { role: Role::User, content: placed(question, inserted) });
    turns
}

fn placed(question: &str, inserted: Option<&Inserted>) -> String {
    match inserted {
        Some(prompt) if prompt.placement == Placement::UserPrefix => format!("{} {question}", prompt.text),
        Some(prompt) if prompt.placement == Placement::UserSuffix => {
            let gap = if prompt.text.starts_with(char::is_whitespace) { "" } else { " " };
            format!("{question}{gap}{}", prompt.text)
        }
        _ => question.to_owned(),
    }
}

/// The conversation as Markdown.
pub(crate) fn markdown(system: &str, inserted: Option<&Inserted>, exchanges: &[Exchange]) -> String {
    let mut parts = vec!["# Conversation".to_owned()];
    if !system.trim().is_empty() {
        parts.push(format!("**System:** {}", system.trim()));
    }
    if let Some(prompt) = inserted {
        parts.push(format!("**Discovered prompt ({}):** `{}`", prompt.placement.label(), prompt.text));
    }
    for exchange in exchanges {
        parts.push(format!("## {}", exchange.user));
        let steering = if exchange.steering.is_empty() { "no steering" } else { &exchange.steering };
        parts.push(format!("**Reply ({steering}):**"));
        parts.push(exchange.steered.text.trim().to_owned());
        if let Some(plain) = &exchange.plain {
            parts.push("**Plain reply, same seed:**".to_owned());
            parts.push(plain.text.trim().to_owned());
        }
    }
    parts.push(String::new());
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(placement: Placement) -> Inserted {
        Inserted { text: " be frank".to_owned(), placement, persona: "Sycophancy".to_owned() }
    }

    #[test]
    fn a_prompt_stands_where_it_was_measured() {
        let system = turns("", Some(&prompt(Placement::System)), &[], "Why?", Branch::Steered);
        assert_eq!(system[0], Turn { role: Role::System, content: " be frank".to_owned() });
        let prefix = turns("", Some(&prompt(Placement::UserPrefix)), &[], "Why?", Branch::Steered);
        assert_eq!(prefix[0].content, " be frank Why?");
        let suffix = turns("", Some(&prompt(Placement::UserSuffix)), &[], "Why?", Branch::Steered);
        assert_eq!(suffix[0].content, "Why? be frank");
    }

    #[test]
    fn each_branch_continues_its_own_replies() {
        let reply = |text: &str| Reply { text: text.to_owned(), end: None };
        let earlier =
            [Exchange { user: "Hi".to_owned(), steered: reply("A"), plain: Some(reply("B")), ..Exchange::default() }];
        assert_eq!(turns("", None, &earlier, "And?", Branch::Steered)[1].content, "A");
        assert_eq!(turns("", None, &earlier, "And?", Branch::Plain)[1].content, "B");
    }
}
