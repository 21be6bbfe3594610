//! Answers, rules, and labels of the demo model.

use super::ask::read;
use super::*;

fn passage(tokens: &[&str], values: &[f32], peak: usize) -> Passage {
    Passage { tokens: tokens.iter().map(|token| (*token).to_owned()).collect(), values: values.to_vec(), peak }
}

#[test]
fn answers_are_read_as_models_write_them() {
    for (answer, label) in [
        ("Pirate words", Some("Pirate words")),
        ("\n\n- \"Pirate words.\"\nBecause they are.", Some("Pirate words")),
        ("Label: **Pirate words**", Some("Pirate words")),
        ("The label is: Pirate words", Some("Pirate words")),
        ("The marked words have in common that they are all about the sea.", None),
        ("\u{ab}Arr\u{bb}", None),
        ("...", None),
        ("", None),
        ("\u{130}label: x", Some("\u{130}label: x")),
    ] {
        assert_eq!(read(answer).as_deref(), label, "{answer:?}");
    }
}

#[test]
fn active_tokens_are_marked_and_lines_stay_lines() {
    let passage = passage(&["Ahoy", ",", " old", " mate", "y", "\n", "!"], &[0.0, 0.0, 0.1, 2.0, 1.0, 0.0, 0.0], 3);
    assert_eq!(passage.marked(), "Ahoy, old \u{ab}matey\u{bb} / !");
    assert_eq!(passage.text(), "Ahoy, old matey / !");
}

#[test]
fn a_rule_names_the_most_frequent_peaks() {
    let on = |token: &str| passage(&["x", token], &[0.0, 1.0], 1);
    let shown: Vec<Passage> = [" arr", " sea", " arr", " arr", " sea", " cat"].map(on).into();
    let rule = rule::of(&shown);
    assert_eq!(rule.text(), "on \u{201c} arr\u{201d}, \u{201c} sea\u{201d}, \u{201c} cat\u{201d}");
    assert!(rule.holds(&on(" sea")) && !rule.holds(&on(" dog")));
    let spread: Vec<Passage> = [" a", " b", " c", " d", " e", " f", " g", " a"].map(on).into();
    assert_eq!(rule::of(&spread).text(), "mostly on \u{201c} a\u{201d}");
}

#[test]
fn the_score_is_balanced_accuracy_on_both_sides() {
    let active = vec![passage(&["arr"], &[1.0], 0), passage(&["aye"], &[1.0], 0)];
    let silent = vec![passage(&["cat"], &[0.0], 0), passage(&["arr"], &[0.0], 0)];
    let test = Test { active: &active, silent: &silent };
    let judge = |passages: &[Passage]| Ok(passages.iter().map(|passage| passage.tokens[0] == "arr").collect());
    assert_eq!(test.score(&mut { judge }).unwrap(), Some(0.5));
    assert_eq!(test.score(&mut |passages| Ok(vec![true; passages.len()])).unwrap(), Some(0.5));
    assert_eq!(Test { active: &active[..1], silent: &silent }.score(&mut { judge }).unwrap(), None);
}
