use tiller_protocol::chat::{Role, Turn};
use tiller_protocol::persona::Placement;

use super::ChatTemplate;
use crate::tokenizer::Tokenizer;

const PLAIN: &str = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}\
    {% if add_generation_prompt %}<|assistant|>{% endif %}";
const TRIMMING: &str = "{{ bos_token }}{% for m in messages %}\n    {% if m['role'] == 'system' %}\n\
    S:{{ m['content'] | trim }}\n    {% else %}\n{{ m['role'][0].upper() }}:{{ m['content'].strip() }}\n    \
    {% endif %}\n{% endfor %}{% if add_generation_prompt %}A:{% endif %}";

fn template(source: &str) -> ChatTemplate {
    ChatTemplate::new(source.to_owned(), "<s>".to_owned(), String::new()).unwrap()
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
fn json_is_written_as_python_does() {
    let source = r"{{ messages[0] | tojson }}|{{ messages[0] | tojson(indent=2) }}|{{ [] | tojson }}";
    let turns = [turn(Role::User, "a <b> & \"c\" ü")];
    let compact = r#"{"role": "user", "content": "a <b> & \"c\" ü"}"#;
    let wide = "{\n  \"role\": \"user\",\n  \"content\": \"a <b> & \\\"c\\\" ü\"\n}";
    assert_eq!(template(source).render(&turns, false).unwrap(), format!("{compact}|{wide}|[]"));
}

#[test]
fn a_template_that_refuses_says_why() {
    let source = "{{ raise_exception('roles must alternate') }}";
    let error = template(source).render(&[], false).unwrap_err().to_string();
    assert!(error.contains("roles must alternate"), "{error}");
    assert!(ChatTemplate::new("{% if %}".to_owned(), String::new(), String::new()).is_err());
}

#[test]
fn dates_are_fixed() {
    let text = template("{{ date_string }} {{ strftime_now('%d') }}").render(&[], false).unwrap();
    assert_eq!(text, "26 Jul 2024 26 Jul 2024");
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
    // A template that drops a turn has no slot there.
    let deaf = template("{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}");
    assert!(deaf.slotted(&tokenizer, None, "Why?", Placement::System).is_err());
}
