//! Personas: what a direction is made from and what it is judged on.

use serde::{Deserialize, Serialize};

use crate::steering::Positions;

/// Whether a persona is a disposition with two poles or a way of speaking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PersonaKind {
    /// A disposition with two poles, judged by which answer is preferred.
    #[default]
    Trait,
    /// A way of speaking, judged by its marks in the reply.
    Style,
}

/// A system text (if any) and a user text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptText {
    /// System text; `None` leaves the system turn out.
    pub system: Option<String>,
    /// User text.
    pub user: String,
}

/// One contrastive pair: the same question under the two poles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The side that shows the persona.
    pub positive: PromptText,
    /// The side that shows its opposite (or nothing).
    pub negative: PromptText,
}

/// A two-answer question with its letters exchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swapped {
    /// The question with the two options exchanged.
    pub user: String,
    /// Answer that matches the persona, now under the other letter.
    pub persona: String,
    /// The other answer.
    pub other: String,
}

/// One evaluation item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Item {
    /// A question with lettered options, scored by which letter has the higher log-probability.
    Ab {
        /// Unique name within the persona.
        id: String,
        /// User text with the options written out.
        user: String,
        /// Answer that matches the persona, e.g. `(A)`.
        persona: String,
        /// The other answer, e.g. `(B)`.
        other: String,
        /// The same item with the options exchanged; absent when it cannot be swapped.
        #[serde(default)]
        swapped: Option<Swapped>,
    },
    /// An open question with two candidate replies, scored by which one has the higher log-probability.
    Free {
        /// Unique name within the persona.
        id: String,
        /// User text.
        user: String,
        /// Reply that matches the persona.
        persona: String,
        /// The other reply.
        other: String,
    },
    /// An open question whose sampled reply is judged by the persona's patterns.
    Prompt {
        /// Unique name within the persona.
        id: String,
        /// User text.
        user: String,
    },
}

impl Item {
    /// The item's unique name.
    pub fn id(&self) -> &str {
        match self {
            Self::Ab { id, .. } | Self::Free { id, .. } | Self::Prompt { id, .. } => id,
        }
    }

    /// The user text.
    pub fn user(&self) -> &str {
        match self {
            Self::Ab { user, .. } | Self::Free { user, .. } | Self::Prompt { user, .. } => user,
        }
    }
}

/// Patterns (syntax of the `regex` crate) that tell the persona in a sampled reply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judge {
    /// Matches replies that show the persona.
    #[serde(default)]
    pub persona_pattern: Option<String>,
    /// Matches replies that show the opposite.
    #[serde(default)]
    pub other_pattern: Option<String>,
}

/// A persona's own facts, without its data sets: what `ID.toml` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonaCard {
    /// Version of the document's form; 1.
    pub format: u32,
    /// File-safe name, e.g. `sycophancy`.
    pub id: String,
    /// Name for people, e.g. `Sycophancy`.
    pub name: String,
    /// Disposition or style.
    pub kind: PersonaKind,
    /// One plain sentence.
    pub summary: String,
    /// Short name of the pole that shows the persona, e.g. `sycophantic`.
    pub positive: String,
    /// Short name of the other pole, e.g. `honest`.
    pub negative: String,
    /// Block (0-based) where the direction works best on the model it was made for.
    #[serde(default)]
    pub recommended_block: Option<usize>,
    /// Positions where the direction is best applied.
    #[serde(default)]
    pub recommended_positions: Positions,
    /// Plain prompts a person would write: against a trait, for a style.
    pub manual_prompts: Vec<String>,
    /// Words a discovered prompt may not contain when the filter is on.
    #[serde(default)]
    pub banned_words: Vec<String>,
    /// Patterns for sampled replies.
    #[serde(default)]
    pub judge: Judge,
    /// Where a prompt goes unless asked otherwise.
    #[serde(default)]
    pub default_placement: Placement,
}

/// A persona with its data sets. The three item sets are disjoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Persona {
    /// The persona's own facts.
    pub card: PersonaCard,
    /// Contrastive pairs for extraction.
    pub pairs: Vec<Pair>,
    /// User texts that fill the template during optimisation.
    pub contexts: Vec<String>,
    /// Items on which candidates are chosen.
    pub select: Vec<Item>,
    /// Held-out items on which results are reported.
    pub report: Vec<Item>,
}

/// A persona as the library lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonaSummary {
    /// The persona's own facts.
    pub card: PersonaCard,
    /// Number of contrastive pairs.
    pub n_pairs: usize,
    /// Number of optimisation contexts.
    pub n_contexts: usize,
    /// Number of selection items.
    pub n_select: usize,
    /// Number of held-out items.
    pub n_report: usize,
    /// A few pairs to show.
    pub sample_pairs: Vec<Pair>,
    /// A few held-out questions to try in the chat.
    pub sample_questions: Vec<String>,
}

/// Where a prompt stands in the chat template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// The system turn.
    #[default]
    System,
    /// In front of the user's text.
    UserPrefix,
    /// After the user's text.
    UserSuffix,
    /// The beginning of the assistant's reply.
    AssistantPrefill,
}

impl Placement {
    /// All placements, in the order in which they are offered.
    pub const ALL: [Self; 4] = [Self::System, Self::UserPrefix, Self::UserSuffix, Self::AssistantPrefill];

    /// Name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::System => "System prompt",
            Self::UserPrefix => "Before the user's text",
            Self::UserSuffix => "After the user's text",
            Self::AssistantPrefill => "Start of the reply",
        }
    }
}
