use tiller_protocol::chat::{Role, TemplateOptions, Turn};
use tiller_protocol::persona::Placement;

use super::{ChatTemplate, SystemRole, TemplateSource};
use crate::EngineError;
use crate::tokenizer::Tokenizer;

const PLAIN: &str = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}\
    {% if add_generation_prompt %}<|assistant|>{% endif %}";
const TRIMMING: &str = "{{ bos_token }}{% for m in messages %}\n    {% if m['role'] == 'system' %}\n\
    S:{{ m['content'] | trim }}\n    {% else %}\n{{ m['role'][0].upper() }}:{{ m['content'].strip() }}\n    \
    {% endif %}\n{% endfor %}{% if add_generation_prompt %}A:{% endif %}";

fn compile(text: &str) -> crate::Result<ChatTemplate> {
    ChatTemplate::new(TemplateSource {
        file: "t.jinja".to_owned(),
        text: text.to_owned(),
        special_tokens: vec![("bos_token".to_owned(), "<s>".to_owned())],
        adds_bos: false,
    })
}

fn template(text: &str) -> ChatTemplate {
    compile(text).unwrap()
}

/// What is said about a template that fails.
fn complaint(text: &str) -> String {
    let rendered = compile(text).and_then(|template| template.render(&[turn(Role::User, "Why?")], true));
    match rendered {
        Err(EngineError::Template(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

fn turn(role: Role, content: &str) -> Turn {
    Turn { role, content: content.to_owned() }
}

#[test]
fn blocks_are_trimmed_and_python_methods_work() {
    let turns = [turn(Role::System, " be kind "), turn(Role::User, "hello\n")];
    assert_eq!(template(TRIMMING).render(&turns, true).unwrap(), "<s>S:be kind\nU:hello\nA:");
    assert_eq!(template(PLAIN).render(&turns[1..], false).unwrap(), "<|user|>hello\n<|end|>");
}

#[test]
fn a_template_that_refuses_is_quoted() {
    assert_eq!(complaint("{{ raise_exception('roles must alternate') }}"), "roles must alternate");
    let nested = "{% macro m() %}{{ raise_exception('no') }}{% endmacro %}{% for x in [1] %}{{ m() }}{% endfor %}";
    assert_eq!(complaint(nested), "no");
}

#[test]
fn a_broken_template_is_named_with_line_and_cause() {
    for (text, wanted) in [
        ("\n{% if %}", "t.jinja, line 2: syntax error: "),
        ("a\n\n{{ messages | sparkle }}", "t.jinja, line 3: unknown filter: filter sparkle is unknown"),
        ("{{ messages is shiny }}", "t.jinja, line 1: unknown test: "),
        ("\n{{ sing() }}", "t.jinja, line 2: unknown function: sing is unknown"),
        ("{{ messages[0].content.sing() }}", "t.jinja, line 1: unknown method: "),
        ("{{ missing.key }}", "t.jinja, line 1: undefined value"),
        ("{% for m in messages %}", "t.jinja, line 1: syntax error: "),
        ("{% include 'other' %}", "t.jinja, line 1: "),
        ("{{ 'x'.ljust(10 ** 9) }}", "t.jinja, line 1: invalid operation: 1000000000 characters"),
    ] {
        let reason = complaint(text);
        assert!(reason.starts_with(wanted), "{text}: {reason}");
    }
}

#[test]
fn a_hostile_template_comes_to_an_end() {
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{% set c = a + b %}{% endfor %}{% endfor %}";
    assert!(complaint(endless).ends_with("it does not come to an end"), "{}", complaint(endless));
    assert!(complaint("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}").contains("recursion"));
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(complaint(&deep).contains("recursion"), "{}", complaint(&deep));
    assert!(complaint("{{ 'x' * 10 ** 12 }}").contains("too large"));
    let long = "{% for a in range(99) %}{{ 'x' * 10000000 }}{% endfor %}";
    assert!(complaint(long).starts_with("t.jinja: it writes far too much"), "{}", complaint(long));
    assert_eq!(complaint("{{ ''[::-1] }}"), "t.jinja: it breaks the template engine");
}

#[test]
fn the_day_is_fixed_unless_it_is_given() {
    let dated = template("{{ date_string is defined }} {{ strftime_now('%d %b %Y') }} {{ date_string }}");
    assert_eq!(dated.render(&[], false).unwrap(), "False 26 Jul 2024 ");
    let options = TemplateOptions { date: "2026-03-05".parse().ok(), ..TemplateOptions::default() };
    assert_eq!(dated.with_options(options).render(&[], false).unwrap(), "True 05 Mar 2026 05 Mar 2026");
}

#[test]
fn a_text_begins_with_one_bos() {
    let render = |text: &str, adds_bos: bool| {
        let tokens = vec![("bos_token".to_owned(), "<s>".to_owned())];
        let source = TemplateSource { file: String::new(), text: text.to_owned(), special_tokens: tokens, adds_bos };
        ChatTemplate::new(source).unwrap().render(&[turn(Role::User, "a")], true).unwrap()
    };
    let (printing, silent) = ("{{ bos_token }}{{ messages[0].content }}", "{{ messages[0].content }}");
    assert_eq!([render(printing, true), render(printing, false)], ["<s>a", "<s>a"]);
    assert_eq!([render(silent, true), render(silent, false)], ["<s>a", "a"]);
}

#[test]
fn instructions_without_a_place_are_folded() {
    let turns = [turn(Role::System, "Be kind."), turn(Role::User, "Why?"), turn(Role::Assistant, "So.")];
    let refusing = template(
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}\
         <{{ m.role }}>{{ m.content }}{% endfor %}",
    );
    assert_eq!(*refusing.system_role(), SystemRole::Folded(Some("no system".to_owned())));
    let rendered = refusing.render_parts(&turns, false).unwrap();
    assert_eq!(rendered.text, "<user>Be kind.\n\nWhy?<assistant>So.");
    assert!(rendered.folded_system);
    let parts: Vec<(Role, &str)> =
        rendered.parts.iter().map(|part| (part.role, &rendered.text[part.bytes.clone()])).collect();
    assert_eq!(parts, [(Role::System, "Be kind."), (Role::User, "Why?"), (Role::Assistant, "So.")]);
    // Without a user turn behind it, and without anything to fold.
    assert_eq!(refusing.render(&turns[..1], false).unwrap(), "<user>Be kind.");
    assert_eq!(refusing.render(&[turn(Role::System, ""), turn(Role::User, "Why?")], false).unwrap(), "<user>Why?");
    assert!(!refusing.render_parts(&turns[1..], false).unwrap().folded_system);
    let deaf = template("{% for m in messages if m.role != 'system' %}{{ m.content }}{% endfor %}");
    assert_eq!(*deaf.system_role(), SystemRole::Folded(None));
    assert_eq!(deaf.render(&turns, false).unwrap(), "Be kind.\n\nWhy?So.");
    // One that only keeps them in a short conversation folds them always.
    let short =
        template("{% for m in messages if m.role != 'system' or messages|length < 3 %}{{ m.content }}{% endfor %}");
    assert_eq!(*short.system_role(), SystemRole::Folded(None));
    for keeping in [PLAIN, TRIMMING] {
        assert_eq!(*template(keeping).system_role(), SystemRole::Kept);
    }
}

#[test]
fn parts_are_what_the_template_kept() {
    let found = |source: &str, turns: &[Turn]| -> Vec<(usize, String)> {
        let rendered = template(source).render_parts(turns, true).unwrap();
        rendered.parts.iter().map(|part| (part.turn, rendered.text[part.bytes.clone()].to_owned())).collect()
    };
    let turns = [turn(Role::System, " user "), turn(Role::User, "user\n"), turn(Role::Assistant, "<t>x</t> user: no")];
    let all = [(0, "user"), (1, "user"), (2, "<t>x</t> user: no")].map(|(turn, text)| (turn, text.to_owned()));
    assert_eq!(found(PLAIN, &turns), all);
    assert_eq!(found(TRIMMING, &turns), all);
    // Twice, cut, and not at all.
    let odd = "{% for m in messages %}{% if m.role == 'user' %}{{ m.content ~ m.content }}\
        {% elif m.role == 'assistant' %}{{ m.content.split('</t>')[-1].strip() }}{% endif %}{% endfor %}";
    let odd = format!("{{% if messages|length == 2 %}}{{{{ messages[0].content }}}}{{% endif %}}{odd}");
    assert_eq!(
        found(&odd, &turns[1..]),
        [(0, "user"), (0, "user"), (0, "user"), (1, "user: no")].map(|(t, s)| (t, s.to_owned()))
    );
    // A template that counts letters sees the marks, so the texts are looked for.
    let counting = "{% for m in messages %}{{ m.content | length }}:{{ m.content }};{% endfor %}";
    assert_eq!(found(counting, &turns[1..]), [(0, "user"), (1, "<t>x</t> user: no")].map(|(t, s)| (t, s.to_owned())));
    assert_eq!(found(PLAIN, &[turn(Role::User, "")]), [(0, String::new())]);
}

#[test]
fn parts_are_told_in_tokens() {
    let tokenizer = Tokenizer::bytes(256).unwrap();
    let turns = [turn(Role::System, "Sü"), turn(Role::User, " hi ")];
    let rendered = template(TRIMMING).render_parts(&turns, true).unwrap();
    let tokens = rendered.tokens(&tokenizer).unwrap();
    assert_eq!(tokens.ids, tokenizer.encode(&rendered.text).unwrap());
    let text = |part: &super::TokenPart| tokenizer.decode(&tokens.ids[part.tokens.clone()]).unwrap();
    assert_eq!(tokens.parts.iter().map(text).collect::<Vec<_>>(), ["Sü", "hi"]);
}

#[test]
fn slots_surround_what_is_pasted_there() {
    let tokenizer = Tokenizer::bytes(256).unwrap();
    for placement in Placement::ALL {
        let plain = template(PLAIN);
        let slot = plain.slotted(&tokenizer, None, "Why?", placement).unwrap();
        for prompt in [" be kind.", " Ünïcode { } {{x}}"] {
            let whole = plain.render_with(Some(prompt), "Why?", placement).unwrap();
            assert_eq!(whole, format!("{}{prompt}{}", slot.left, slot.right), "{placement:?}");
        }
        assert_eq!(slot.left_ids, tokenizer.encode(&slot.left).unwrap());
        assert_eq!(slot.right_ids.is_empty(), placement == Placement::AssistantPrefill);
    }
    let plain = template(PLAIN);
    let slot = plain.slotted(&tokenizer, Some("Sys"), "Why?", Placement::UserSuffix).unwrap();
    assert_eq!((slot.left.as_str(), slot.right.as_str()), ("<|system|>Sys<|end|><|user|>Why?", "<|end|><|assistant|>"));
    // Behind the user's text a prompt without its own space gets one.
    let spaced = plain.render_with(Some("now"), "Why?", Placement::UserSuffix).unwrap();
    assert_eq!(spaced, "<|user|>Why? now<|end|><|assistant|>");
    let before = plain.render_with(Some("Say:"), "Why?", Placement::UserPrefix).unwrap();
    assert_eq!(before, "<|user|>Say: Why?<|end|><|assistant|>");
    assert_eq!(plain.render_with(None, "Why?", Placement::System).unwrap(), "<|user|>Why?<|end|><|assistant|>");
}

#[test]
fn a_trimming_template_shows_which_prompts_do_not_survive() {
    let tokenizer = Tokenizer::bytes(256).unwrap();
    let trimming = template(TRIMMING);
    let slot = trimming.slotted(&tokenizer, None, "Why?", Placement::System).unwrap();
    let pasted = |prompt: &str| trimming.render_with(Some(prompt), "Why?", Placement::System).unwrap();
    assert_eq!(pasted("be kind"), format!("{}be kind{}", slot.left, slot.right));
    assert_ne!(pasted(" be kind"), format!("{} be kind{}", slot.left, slot.right));
    // Where instructions are dropped, the slot is in front of the user's text; where the question is, there is none.
    let deaf = template("{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}");
    let slot = deaf.slotted(&tokenizer, None, "Why?", Placement::System).unwrap();
    assert_eq!((slot.left.as_str(), slot.right.as_str()), ("", "\n\nWhy?"));
    let dumb = template("{% for m in messages if m.role == 'system' %}{{ m.content }}{% endfor %}");
    assert!(dumb.slotted(&tokenizer, None, "Why?", Placement::UserPrefix).is_err());
}
