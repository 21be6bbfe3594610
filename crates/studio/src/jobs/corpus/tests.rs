//! Texts of every form, and files that hold none.

use std::fs;
use std::path::Path;

use super::*;
use crate::jobs::tests::demo;

fn read(path: &Path) -> Vec<Result<Text, Problem>> {
    Texts::open(&Corpus::Path(path.to_owned()), &Assets::find()).unwrap().collect()
}

fn problem_of(path: &Path) -> Problem {
    read(path).into_iter().find_map(Result::err).unwrap()
}

fn turn(role: Role, content: &str) -> Turn {
    Turn { role, content: content.to_owned() }
}

#[test]
fn lines_hold_texts_and_conversations() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    let text = concat!(
        "\u{feff}{\"text\": \"One.\", \"id\": 3}\r\n\r\n\"Two.\"\n",
        "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"content\": \"Ho\"}]}\n",
        "{\"conversations\": [{\"from\": \"human\", \"value\": \"Hi\"}, {\"from\": \"gpt\", \"value\": \"Ho\"}]}",
    );
    fs::write(&path, text).unwrap();
    let chat = Text::Chat(vec![turn(Role::User, "Hi"), turn(Role::Assistant, "Ho")]);
    let plain = |text: &str| Text::Plain(text.to_owned());
    let found: Vec<Text> = read(&path).into_iter().map(Result::unwrap).collect();
    assert_eq!(found, [plain("One."), plain("Two."), chat.clone(), chat]);
}

#[test]
fn a_folder_is_read_in_the_order_of_its_names() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("b.txt"), "Second\r\nline.\n\nStill it.").unwrap();
    fs::write(dir.path().join("a.md"), "First.").unwrap();
    fs::write(dir.path().join("picture.png"), [0, 1, 2]).unwrap();
    fs::create_dir(dir.path().join("c.txt")).unwrap();
    let found: Vec<Text> = read(dir.path()).into_iter().map(Result::unwrap).collect();
    let plain = |text: &str| Text::Plain(text.to_owned());
    assert_eq!(found, [plain("First."), plain("Second\nline.\n\nStill it.")]);
}

#[test]
fn a_large_file_is_cut_at_line_ends_and_never_inside_a_character() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("book.txt");
    // One file of lines, and one that is a single line of three-byte characters: no piece ends where one does.
    for text in ["A line of text, nothing more.\n".repeat(9000), "\u{2192}".repeat(100_000)] {
        fs::write(&path, &text).unwrap();
        let pieces: Vec<String> = read(&path)
            .into_iter()
            .map(|text| match text.unwrap() {
                Text::Plain(text) => text,
                Text::Chat(turns) => panic!("{turns:?}"),
            })
            .collect();
        assert!(pieces.len() > 1 && pieces.concat() == text);
        assert!(!text.contains('\n') || pieces.iter().all(|piece| piece.ends_with('\n')));
    }
}

#[test]
fn what_is_no_text_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    assert_eq!(problem_of(&write("a.txt", b"text\0text")).title, "A file is not a text");
    assert!(problem_of(&write("b.txt", b"caf\xe9 noir")).cause.contains("UTF-8"));
    assert!(
        problem_of(&write("c.txt", "na\u{ef}ve".as_bytes().split_last().unwrap().1.split_at(3).0))
            .cause
            .contains("UTF-8")
    );
    for (line, word) in [
        ("{\"text\": \"One.\"}\n{\"txt\": \"Two.\"}", "line 2"),
        ("{\"text\": 3}", "not a string"),
        ("{\"text\": ", "not JSON"),
        ("[1]", "neither"),
        ("{\"messages\": [{\"role\": \"narrator\", \"content\": \"x\"}]}", "narrator"),
        ("{\"messages\": \"x\"}", "no list of turns"),
    ] {
        let problem = problem_of(&write("d.jsonl", line.as_bytes()));
        assert!(problem.cause.contains(word), "{problem}");
    }
    let open = |path: &Path| Texts::open(&Corpus::Path(path.to_owned()), &Assets::find()).map(drop).unwrap_err();
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(open(empty.path()).title, "There is no text to read");
    assert_eq!(open(&empty.path().join("gone.txt")).title, "A file cannot be read");
}

#[test]
fn what_ships_is_a_corpus_of_some_size() {
    let texts: Vec<Text> = Texts::open(&Corpus::Shipped, &Assets::find()).unwrap().map(Result::unwrap).collect();
    let n_replies = texts.iter().filter(|text| matches!(text, Text::Chat(turns) if turns.len() == 2)).count();
    assert!(texts.len() > 2000 && n_replies > 500, "{} texts, {n_replies} of two turns", texts.len());
    let given = Texts::open(&Corpus::Text("One.\nMore.\n \n\nTwo.\n".to_owned()), &Assets::find()).unwrap();
    let given: Vec<Text> = given.map(Result::unwrap).collect();
    assert_eq!(given, [Text::Plain("One.\nMore.".to_owned()), Text::Plain("Two.".to_owned())]);
}

#[test]
fn sequences_say_which_tokens_count() {
    let model = &demo().model;
    let chat = Text::Chat(vec![turn(Role::User, "What is a pirate?"), turn(Role::Assistant, "A sailor.")]);
    let sequences = cut(model, &chat, 128).unwrap();
    let [sequence] = sequences.as_slice() else { panic!("{sequences:?}") };
    let counted: Vec<u32> =
        sequence.ids.iter().zip(&sequence.counts).filter(|(_, counts)| **counts).map(|(id, _)| *id).collect();
    let text = model.tokenizer().decode(&counted).unwrap();
    assert_eq!(text, "What is a pirate?A sailor.");
    assert!(sequence.n_counted() == counted.len() && counted.len() < sequence.ids.len());

    let long = Text::Plain("What is the capital of Norway? ".repeat(20));
    let whole = cut(model, &long, 4096).unwrap().remove(0);
    let pieces = cut(model, &long, 32).unwrap();
    assert!(pieces.iter().all(|piece| (2..=32).contains(&piece.ids.len()) && !piece.counts[0]));
    let leading = model.tokenizer().leading_token().unwrap();
    let mut ids = pieces[0].ids.clone();
    for piece in &pieces[1..] {
        ids.extend(piece.ids.iter().skip(usize::from(leading.is_some())));
    }
    assert_eq!(ids, whole.ids[..ids.len()]);
    assert!(whole.ids.len() - ids.len() <= 1, "at most a last single token is dropped");
    assert!(cut(model, &Text::Plain(" \n".to_owned()), 32).unwrap().is_empty());
    assert!(cut(model, &Text::Chat(vec![]), 32).unwrap().is_empty());
}
