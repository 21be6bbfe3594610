use tiller_protocol::feature::{FeatureFilter, FeatureSort, LabelSource};

use super::{bench, imported, label};
use crate::IndexError;
use crate::label::NewLabel;

#[test]
fn the_users_labels_come_first_and_then_the_best() {
    let bench = bench(10);
    let index = &bench.index;
    let add = |labels: &[(u32, NewLabel)]| index.add_labels(labels).unwrap();
    assert_eq!(add(&[(3, imported("plain")), (3, label("scored", LabelSource::Model, Some(0.9)))]), 2);
    assert_eq!(bench.texts(3), ["scored", "plain"]);
    assert_eq!(add(&[(3, NewLabel::by_user("mine")), (3, NewLabel::by_user(" newer\n"))]), 2);
    assert_eq!(bench.texts(3), ["newer", "mine", "scored", "plain"]);
    assert_eq!(index.rows(&[3]).unwrap()[0].label.as_deref(), Some("newer"));
    // The same again changes nothing but the score.
    assert_eq!(add(&[(3, label("plain", LabelSource::Imported, Some(0.95)))]), 0);
    assert_eq!(bench.texts(3), ["newer", "mine", "plain", "scored"]);
    for text in ["newer", "mine"] {
        let id = index.labels(3).unwrap().iter().find(|label| label.text == text).unwrap().id;
        assert!(index.remove_label(id).unwrap());
        assert!(!index.remove_label(id).unwrap());
    }
    assert_eq!(index.first_labels(&[3, 4]).unwrap(), [Some("plain".to_owned()), None]);
    assert_eq!(bench.found("newer"), [0; 0]);
    for label in index.labels(3).unwrap() {
        index.remove_label(label.id).unwrap();
    }
    assert_eq!((index.columns().n_labelled(), index.rows(&[3]).unwrap()[0].label.clone()), (0, None));
    assert_eq!(bench.found("plain"), [0; 0]);
}

#[test]
fn what_is_not_there_or_empty_is_refused_and_changes_nothing() {
    let bench = bench(10);
    let index = &bench.index;
    assert!(matches!(index.add_labels(&[(1, imported("a")), (10, imported("b"))]), Err(IndexError::NoLatent { .. })));
    assert!(matches!(index.add_labels(&[(1, imported("a")), (2, imported("\0 "))]), Err(IndexError::Empty)));
    assert!(matches!(index.set_bookmarks(&[1, 10], true), Err(IndexError::NoLatent { latent: 10, d_sae: 10 })));
    assert!(matches!(index.set_note(10, "x"), Err(IndexError::NoLatent { .. })));
    let columns = index.columns();
    assert_eq!((columns.n_labelled(), columns.n_bookmarked()), (0, 0));
    assert_eq!(index.rows(&[9, 10, u32::MAX, 0]).unwrap().iter().map(|row| row.latent).collect::<Vec<_>>(), [9, 0]);
    assert_eq!((index.labels(99).unwrap(), index.windows(99).unwrap()), (Vec::new(), Vec::new()));
    assert!(!columns.passes(&FeatureFilter::default(), 10));
}

#[test]
fn notes_and_bookmarks_show_in_rows_filters_and_search() {
    let bench = bench(10);
    let index = &bench.index;
    index.set_bookmarks(&[2, 5, 5], true).unwrap();
    index.set_bookmarks(&[5], false).unwrap();
    index.set_note(7, " Writes like a\n\tsailor.\u{7} ").unwrap();
    assert_eq!(index.note(7).unwrap(), "Writes like a\n\tsailor.");
    assert_eq!(bench.found("sail"), [7]);
    let rows = index.rows(&[2, 5, 7]).unwrap();
    let marks: Vec<(bool, bool)> = rows.iter().map(|row| (row.bookmarked, row.noted)).collect();
    assert_eq!(marks, [(true, false), (false, false), (false, true)]);
    let filter = FeatureFilter { bookmarked: true, ..FeatureFilter::default() };
    assert_eq!(index.arrange(None, &filter, FeatureSort::Rank, false).unwrap(), [2]);
    index.set_note(7, "\n").unwrap();
    assert!(index.note(7).unwrap().is_empty() && !index.columns().is_noted(7));
    assert_eq!(bench.found("sail"), [0; 0]);
}

#[test]
fn rowless_features_and_facts_are_kept() {
    let bench = bench(3);
    assert!(bench.index.set_rowless(&[true]).is_err());
    bench.index.set_rowless(&[false, true, false]).unwrap();
    bench.index.set_fact("self_test", Some("good")).unwrap();
    bench.index.set_fact("other", Some("x")).unwrap();
    bench.index.set_fact("other", None).unwrap();
    for index in [&bench.index, &bench.reopen()] {
        assert!(index.columns().is_dead(1) && !index.columns().is_dead(0));
        assert_eq!(index.fact("self_test").unwrap().as_deref(), Some("good"));
        assert_eq!(index.fact("other").unwrap(), None);
        let filter = FeatureFilter { alive: true, ..FeatureFilter::default() };
        assert_eq!(index.arrange(None, &filter, FeatureSort::Number, true).unwrap(), [2, 0]);
    }
}
