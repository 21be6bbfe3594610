//! Texts from people and files: cleaned, folded for comparison, digested.

/// Longest label in characters; more is cut off.
const LABEL_CHARS: usize = 2_000;

/// Longest note in characters; more is cut off.
const NOTE_CHARS: usize = 100_000;

/// A label on one line: control characters become spaces, and spaces around it go. Empty when nothing is left.
pub(crate) fn clean_label(text: &str) -> String {
    let line: String = text
        .chars()
        .filter(|&letter| letter != '\0')
        .map(|letter| if letter.is_control() || is_invisible(letter) { ' ' } else { letter })
        .collect();
    line.trim().chars().take(LABEL_CHARS).collect::<String>().trim_end().to_owned()
}

/// A note, which may have lines.
pub(crate) fn clean_note(text: &str) -> String {
    let kept = text.chars().filter(|&letter| letter == '\n' || letter == '\t' || !letter.is_control());
    kept.take(NOTE_CHARS).collect::<String>().trim().to_owned()
}

/// Characters that turn the direction of a text or have no width, with which one label could look like another.
fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// For comparison without regard to case; one line.
pub(crate) fn fold(text: &str) -> String {
    text.to_lowercase().replace('\n', " ")
}

/// The 64-bit FNV-1a hash of some texts, as the database keeps it. The end of each counts too.
pub(crate) fn digest(parts: &[&[u8]]) -> i64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for &byte in part.iter().chain(&[0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_one_clean_line() {
        assert_eq!(clean_label(" a\0b\nc\u{202e}d \t"), "ab c d");
        assert_eq!(clean_label("\0\n"), "");
        assert_eq!(clean_label(&"é".repeat(5_000)).chars().count(), LABEL_CHARS);
        assert_eq!(clean_note("a\0\n\u{7}b\n"), "a\nb");
    }

    #[test]
    fn digests_tell_parts_from_one_another() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
        assert_eq!(digest(&[b""]), digest(&[b""]));
    }
}
