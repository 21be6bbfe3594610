use super::{bench, imported};
use crate::label::NewLabel;

#[test]
fn words_and_their_beginnings_are_found_the_closest_first() {
    let bench = bench(1000);
    let labels = [
        (10, "talk of pirates and ships in long stories of the sea"),
        (11, "pirate"),
        (12, "Pirate ships"),
        (13, "piracy"),
        (14, "a ship"),
        (15, "\u{e9}clairs in Paris"),
        (16, "\u{2192} arrows"),
        (17, "prices in $x and C++"),
        (18, "don't"),
        (19, "\u{6d77}\u{8cca}\u{306e}\u{8a71}"),
        (20, "empirate"),
    ];
    bench.index.add_labels(&labels.map(|(latent, text)| (latent, imported(text)))).unwrap();
    assert_eq!(bench.found("pirate"), [11, 12, 10, 20]);
    assert_eq!(bench.found("  PIRAT "), [11, 12, 10, 20]);
    assert_eq!(bench.found("ship pirate"), [12, 10]);
    // Beginnings of words come before parts of words.
    assert_eq!(bench.found("p s"), [12, 10, 14, 15, 17]);
    assert_eq!(bench.found("eclair"), [15]);
    assert_eq!(bench.found("\u{c9}clair"), [15]);
    for (text, expected) in [
        ("\u{2192}", 16),
        ("$x", 17),
        ("C++", 17),
        ("don't", 18),
        ("\u{306e}\u{8a71}", 19),
        ("\u{6d77}", 19),
        ("mpira", 20),
        ("\"Pirate ships\"", 12),
        ("(piracy),", 13),
    ] {
        assert_eq!(bench.found(text).first(), Some(&expected), "{text}");
    }
    for text in ["", "  ", "zebra", "\u{2193}", "pirate zebra"] {
        assert_eq!(bench.found(text), [0; 0], "{text}");
    }
    // One label per feature counts, whatever others say.
    bench.index.add_labels(&[(14, imported("also pirate")), (14, NewLabel::by_user("pirate"))]).unwrap();
    assert_eq!(bench.found("pirate")[..2], [14, 11]);
    assert_eq!(bench.index.search_labels("pirate", 2).unwrap().len(), 2);
    let scores: Vec<f32> = bench.index.search_labels("p", 100).unwrap().into_iter().map(|found| found.1).collect();
    assert!(scores.windows(2).all(|pair| pair[0] >= pair[1]));
}

#[test]
fn numbers_find_their_feature_first() {
    let bench = bench(1000);
    bench.index.add_labels(&[(5, imported("year 1999")), (6, imported("42 is the answer"))]).unwrap();
    assert_eq!(bench.found("42"), [42, 6]);
    assert_eq!(bench.found(" #42 ")[0], 42);
    assert_eq!(bench.found("1999"), [5]);
    assert_eq!(bench.found("99999999999999999999"), [0; 0]);
    assert_eq!(bench.found("0")[0], 0);
}

#[test]
fn no_text_is_an_operator() {
    let bench = bench(10);
    bench.index.add_labels(&[(3, imported("NEAR or NOT and labels")), (4, imported("100% _under_ score"))]).unwrap();
    let hostile = [
        "\"",
        "\"\"",
        "\"a",
        "a\"b",
        "*",
        "a*",
        "**",
        "^a",
        "a^",
        "-a",
        "+a",
        "(",
        ")",
        "(a",
        "a)",
        "()",
        "{",
        "}",
        "{labels}:a",
        "labels:a",
        "labels : a",
        "- labels : a",
        "NEAR",
        "NEAR(a b, 2)",
        "NOT",
        "a NOT",
        "NOT a",
        "AND",
        "OR",
        "a OR",
        "a AND AND b",
        "'",
        "''",
        "';--",
        "\\",
        "%",
        "_",
        "?1",
        ":x",
        "@x",
        "\u{0}",
        "a\u{0}b",
        "\u{feff}",
        "\u{301}",
        "\u{200d}",
        "\u{10ffff}",
        "\u{202e}abc",
        "\u{d7}",
        "\u{1f3f4}\u{200d}\u{2620}\u{fe0f}",
        "a.b.c",
        "a:b",
        "a,b;c",
        "<|assistant|>",
        "\n\n",
        "\t",
    ];
    for text in hostile {
        assert!(bench.index.search_labels(text, 10).is_ok(), "{text:?}");
    }
    let long = "word ".repeat(10_000);
    assert!(bench.index.search_labels(&long, 10).is_ok());
    assert!(bench.index.search_labels(&"\"(*".repeat(5_000), 10).is_ok());
    assert_eq!(bench.found("near not"), [3]);
    assert_eq!(bench.found("100%"), [4]);
    assert_eq!(bench.found("%"), [4]);
    assert_eq!(bench.found("_under_"), [4]);
}

#[test]
fn labels_that_break_tables_come_back_as_they_are() {
    let bench = bench(10);
    let texts = ["'; DROP TABLE label; --", "\u{202e}right to left", "a\u{0}b", "line\nfeed", "\u{1f3f4}\u{2620}"];
    let labels: Vec<(u32, NewLabel)> = (0..).zip(texts).map(|(latent, text)| (latent, imported(text))).collect();
    bench.index.add_labels(&labels).unwrap();
    let kept: Vec<String> = (0..5).flat_map(|latent| bench.texts(latent)).collect();
    assert_eq!(kept, ["'; DROP TABLE label; --", "right to left", "ab", "line feed", "\u{1f3f4}\u{2620}"]);
    assert_eq!(bench.found("drop table"), [0]);
    assert_eq!(bench.found("\u{2620}"), [4]);
}

#[test]
fn many_matches_are_cut_to_what_is_wanted() {
    let bench = bench(20_000);
    let labels: Vec<(u32, NewLabel)> =
        (0..20_000).map(|latent| (latent, imported(&format!("common text {latent}\u{2192}")))).collect();
    bench.index.add_labels(&labels).unwrap();
    for text in ["c", "common", "common te", "ommon", "\u{2192}"] {
        let found = bench.index.search_labels(text, 300).unwrap();
        assert_eq!(found.len(), 300, "{text}");
    }
    // A rare word is found wherever it is.
    assert_eq!(bench.found("common 19999")[0], 19_999);
    assert_eq!(bench.found("9998\u{2192}"), [9_998, 19_998]);
}
