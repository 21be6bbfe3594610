//! Tokens as tokenizers write them, turned into the text that they stand for.

/// The text of a token in a file. Tokenizers that work on bytes write each byte as a letter (a space as `Ġ`, a line feed
/// as `Ċ`); `SentencePiece` writes a space as `▁` and bytes as `<0x0A>`.
pub(super) fn text(token: &str) -> String {
    let token: String = token.chars().filter(|&letter| letter != '\0').collect();
    if token.chars().any(|letter| matches!(letter, '\u{100}'..='\u{143}'))
        && let Some(bytes) = token.chars().map(byte).collect::<Option<Vec<u8>>>()
        && let Ok(text) = String::from_utf8(bytes)
    {
        return text;
    }
    if let Some(byte) = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'))
        && let Ok(byte @ 0..0x80) = u8::from_str_radix(byte, 16)
    {
        return char::from(byte).to_string();
    }
    token.replace(['\u{2581}', '\u{120}'], " ").replace('\u{10a}', "\n").replace('\u{109}', "\t")
}

/// The byte that a letter stands for in GPT-2's table: letters that can be seen stand for themselves, the others are
/// numbered on from U+0100.
fn byte(letter: char) -> Option<u8> {
    let code = u32::from(letter);
    match code {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => u8::try_from(code).ok(),
        0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        0x121..=0x142 => u8::try_from(code - 0x121 + 0x7f).ok(),
        0x143 => Some(0xad),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn glyphs_become_what_they_stand_for() {
        for (token, expected) in [
            ("Ġpirate", " pirate"),
            ("▁pirate", " pirate"),
            ("Ċ", "\n"),
            ("ĠâĢĻ", " ’"),
            ("âĢĻs", "’s"),
            ("ĠcafÃ©", " café"),
            ("Ġcafé", " café"),
            ("café", "café"),
            ("ły", "ły"),
            ("<0x0A>", "\n"),
            ("<0xE2>", "<0xE2>"),
            ("a\0b", "ab"),
            ("", ""),
        ] {
            assert_eq!(text(token), expected, "{token}");
        }
    }
}
