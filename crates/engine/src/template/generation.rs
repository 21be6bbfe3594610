//! `{% generation %}` … `{% endgeneration %}`, with which templates mark the assistant's text for training.
//!
//! transformers renders such a block as what it contains, with a scope of its own. `{% with %}` … `{% endwith %}` is
//! just that, so the tags are rewritten; what white-space control they carry stays.

/// The template with its generation tags rewritten.
pub(super) fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    let mut is_raw = false;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let len = if is_raw && !rest.starts_with("{%") {
            1
        } else if rest.starts_with("{#") {
            rest.find("#}").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("{{") {
            tag_len(rest, "}}")
        } else if rest.starts_with("{%") {
            let len = tag_len(rest, "%}");
            let word = rest[2..len].trim_start_matches(['-', '+']).trim_start();
            let word = word.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
            match word {
                "raw" => is_raw = true,
                "endraw" => is_raw = false,
                "generation" | "endgeneration" if !is_raw => {
                    let with = if word == "generation" { "with" } else { "endwith" };
                    out.push_str(&rest[..len].replacen(word, with, 1));
                    rest = &rest[len..];
                    continue;
                }
                _ => {}
            }
            // Inside a raw block only `endraw` is a tag; anything else may not even be closed.
            if is_raw && word != "raw" { 2 } else { len }
        } else {
            1
        };
        out.push_str(&rest[..len]);
        rest = &rest[len..];
    }
    out + rest
}

/// Bytes of the tag at the beginning of `text` up to and including `end`, which may stand in its strings.
fn tag_len(text: &str, end: &str) -> usize {
    let mut quote = None;
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(2) {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            None if text[i..].starts_with(end) => return i + end.len(),
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(_) | None => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tags_are_rewritten() {
        for (source, expected) in [
            ("{% generation %}a{%- endgeneration -%}", "{% with %}a{%- endwith -%}"),
            ("{%-generation%}{{ x }}{%+ endgeneration %}", "{%-with%}{{ x }}{%+ endwith %}"),
            ("{# {% generation %} #}{{ '{% generation %}' }}", "{# {% generation %} #}{{ '{% generation %}' }}"),
            ("{% raw %}{% generation %}{% x{% endraw %}", "{% raw %}{% generation %}{% x{% endraw %}"),
            ("{% set generation = '%}' %}{% generation %}", "{% set generation = '%}' %}{% with %}"),
            ("{% generation_x %} { {", "{% generation_x %} { {"),
            ("{% generation", "{% with"),
            ("{{ 'it\\'s' }}{% generation %}ü", "{{ 'it\\'s' }}{% with %}ü"),
        ] {
            assert_eq!(without_generation_tags(source), expected);
        }
    }
}
