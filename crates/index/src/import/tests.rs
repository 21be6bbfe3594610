use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use half::f16;
use serde_json::json;
use tempfile::TempDir;
use tiller_protocol::feature::LabelSource;

use super::*;
use crate::effects::Token;
use crate::window::Tokens;

const D_SAE: usize = 100;
const N_FEATURES: i64 = 100;

struct Bench {
    folder: TempDir,
    index: Index,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let index = Index::open(&folder.path().join("features.db"), D_SAE).unwrap();
    Bench { folder, index }
}

impl Bench {
    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join("in").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn import(&self, path: &Path) -> Result<ImportReport> {
        self.import_as(path, &ImportSettings::default())
    }

    fn import_as(&self, path: &Path, settings: &ImportSettings<'_>) -> Result<ImportReport> {
        let mut last = ImportProgress::default();
        let result = self.index.import(path, settings, &mut |progress| {
            assert!(progress.done_bytes >= last.done_bytes && progress.done_bytes <= progress.total_bytes);
            last = progress;
            ControlFlow::Continue(())
        });
        if result.is_ok() {
            assert!(last.total_bytes > 0);
        }
        result
    }

    fn text(&self, latent: u32) -> Vec<String> {
        self.index.labels(latent).unwrap().into_iter().map(|label| label.text).collect()
    }

    /// A second import of the same adds nothing.
    fn import_twice(&self, path: &Path) -> ImportReport {
        let report = self.import(path).unwrap();
        let again = self.import(path).unwrap();
        assert_eq!((again.n_labels, again.n_stats, again.n_examples), (0, 0, 0), "{again:?}");
        assert_eq!((again.n_rows, again.n_skipped), (report.n_rows, report.n_skipped));
        report
    }
}

fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes.as_ref()).unwrap();
    encoder.finish().unwrap()
}

fn explanation(index: impl Into<serde_json::Value>, text: &str) -> serde_json::Value {
    json!({
        "modelId": "gemma-2-2b", "layer": "12-res-x", "index": index.into(), "description": text,
        "typeName": "np_max-act", "explanationModelName": "gpt-4o-mini", "scoreV1": null, "embedding": [0.5, 1e9],
    })
}

fn lines(values: &[serde_json::Value]) -> String {
    values.iter().flat_map(|value| [value.to_string(), "\n".to_owned()]).collect()
}

#[test]
fn explanations_are_read_in_every_wrapping() {
    let rows = [explanation(3, " talk of\u{0} pirates "), explanation("7", "ships"), explanation(3, "sea words")];
    let array = serde_json::to_string_pretty(&rows).unwrap();
    for (name, bytes) in [
        ("a.jsonl", lines(&rows).into_bytes()),
        ("a.jsonl.gz", gzip(lines(&rows))),
        ("named-otherwise.gz.txt", [gzip(lines(&rows[..1])), gzip(lines(&rows[1..]))].concat()),
        ("array.json", array.into_bytes()),
        ("bom.jsonl", [b"\xef\xbb\xbf", lines(&rows).as_bytes()].concat()),
        ("crlf.jsonl", lines(&rows).replace('\n', "\r\n\r\n").into_bytes()),
    ] {
        let bench = bench();
        let report = bench.import_twice(&bench.file(name, bytes));
        assert_eq!(
            (report.form.as_str(), report.n_rows, report.n_labels),
            ("Neuronpedia explanations", 3, 3),
            "{name}"
        );
        assert_eq!(bench.text(3), ["talk of pirates", "sea words"], "{name}");
        let label = &bench.index.labels(7).unwrap()[0];
        assert_eq!(label.source, LabelSource::Imported);
        assert_eq!((label.method.as_deref(), label.model.as_deref()), (Some("np_max-act"), Some("gpt-4o-mini")));
        assert_eq!(bench.index.search_labels("pirat", 10).unwrap().len(), 1, "{name}");
        assert_eq!(bench.index.columns().n_labelled(), 2);
    }
}

#[test]
fn bad_rows_cost_only_themselves() {
    let bench = bench();
    let mut bytes = Vec::new();
    for row in
        ["{\"index\": 1, \"description\": \"one\"}", "{\"index\": 2, \"descr", "[]", "7", "{\"description\": \"none\"}"]
    {
        writeln!(bytes, "{row}").unwrap();
    }
    bytes.extend_from_slice(b"{\"index\": 3, \"description\": \"\xff\xfe\"}\n");
    for row in [
        "{\"index\": -1, \"description\": \"x\"}",
        "{\"index\": 1.5, \"description\": \"x\"}",
        "{\"index\": 4, \"description\": null}",
        "{\"index\": 5, \"description\": \"\\u0000 \"}",
        "{\"index\": 6.0, \"description\": \"six\", \"score\": NaN, \"unknown\": {\"a\": [Infinity, -Infinity, \"NaN\"]}}",
        "{\"latent\": \" 8 \", \"label\": \"eight NaN\", \"score\": \"0.5\"}",
    ] {
        writeln!(bytes, "{row}").unwrap();
    }
    let report = bench.import_twice(&bench.file("rows.jsonl", bytes));
    assert_eq!((report.n_rows, report.n_labels), (12, 3), "{report:?}");
    assert_eq!(report.reasons.len(), 5);
    assert!(report.reasons[0].contains("rows.jsonl, row 2: no JSON"), "{:?}", report.reasons);
    assert_eq!((bench.text(1), bench.text(6)), (vec!["one".to_owned()], vec!["six".to_owned()]));
    assert_eq!(bench.index.labels(8).unwrap()[0].score, Some(0.5));
}

#[test]
fn a_cut_file_keeps_what_came_before() {
    let rows: Vec<_> = (0..90).map(|at| explanation(at, &format!("label {at} {}", at * 7919))).collect();
    let whole = gzip(lines(&rows));
    for len in [whole.len() * 2 / 3, whole.len() - 9] {
        let bench = bench();
        let report = bench.import(&bench.file("cut.jsonl.gz", &whole[..len])).unwrap();
        assert!(report.n_labels > 10 && report.n_labels <= 90, "{report:?}");
        assert!(report.reasons.iter().any(|reason| reason.contains("ends in the middle")), "{report:?}");
        assert_eq!(bench.text(5), ["label 5 39595"]);
    }
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 40].fill(0xff);
    let bench = bench();
    match bench.import(&bench.file("damaged.jsonl.gz", damaged)) {
        Ok(report) => assert!(!report.reasons.is_empty(), "{report:?}"),
        Err(error) => assert!(matches!(error, IndexError::Unrecognised { .. }), "{error}"),
    }
    let plain = lines(&rows);
    let report = bench.import(&bench.file("cut.jsonl", &plain[..plain.len() - 20])).unwrap();
    assert_eq!((report.n_rows, report.n_skipped), (90, 1));
}

#[test]
fn files_for_another_sae_are_refused_unless_they_are_wanted() {
    let bench = bench();
    let mut row = explanation(3, "three");
    row["layer"] = json!("12-gemmascope-res-16k");
    let path = bench.file("a.jsonl", lines(&[row]));
    let of = |model, block| ImportSettings { model: Some(model), block: Some(block), ..ImportSettings::default() };
    let what = |settings: &ImportSettings<'_>| match bench.import_as(&path, settings) {
        Err(IndexError::Mismatch { what, found, .. }) => Some((what, found)),
        Ok(_) => None,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(what(&of("google/gemma-2-9b", 12)), Some(("model", "gemma-2-2b".to_owned())));
    assert_eq!(what(&of("google/gemma-2-2b", 20)), Some(("block", "12-gemmascope-res-16k".to_owned())));
    // 16k features, and the SAE has 100.
    assert_eq!(what(&of("google/gemma-2-2b", 12)).unwrap().0, "width");
    let by_source = ImportSettings { source: Some("12-gemmascope-res-65k"), ..ImportSettings::default() };
    assert_eq!(what(&by_source).unwrap().0, "source");
    assert_eq!(bench.text(3), [""; 0]);
    let anyway = ImportSettings { anyway: true, ..of("another", 0) };
    assert_eq!(bench.import_as(&path, &anyway).unwrap().n_labels, 1);
}

#[test]
fn numbers_beyond_the_last_feature_name_the_mix_up() {
    let bench = bench();
    let rows: Vec<_> = [5, 100, 250, 7].iter().map(|at| json!({"index": at, "description": "x"})).collect();
    let path = bench.file("a.jsonl", lines(&rows));
    let refused = |d_model| {
        let settings = ImportSettings { d_model: Some(d_model), ..ImportSettings::default() };
        match bench.import_as(&path, &settings) {
            Err(IndexError::OutOfRange { largest, d_sae, may_be_width, .. }) => (largest, d_sae, may_be_width),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(64), (250, 100, false));
    assert_eq!(refused(4096), (250, 100, true));
    assert_eq!(bench.index.columns().n_labelled(), 0);
    let settings = ImportSettings { anyway: true, ..ImportSettings::default() };
    let report = bench.import_as(&path, &settings).unwrap();
    assert_eq!((report.n_labels, report.n_skipped), (2, 2));
    assert!(report.reasons[0].contains("no feature 100"), "{report:?}");
}

#[test]
fn a_folder_is_read_in_order_and_refused_before_anything_is_written() {
    let bench = bench();
    for batch in [0, 2, 10] {
        let rows = [json!({"index": batch, "description": format!("batch {batch}")})];
        bench.file(&format!("np/explanations/batch-{batch}.jsonl.gz"), gzip(lines(&rows)));
    }
    bench.file("np/features/batch-0.jsonl.gz", gzip(lines(&[json!({"index": 1, "frac_nonzero": 0.25})])));
    bench.file("np/features/batch-1.jsonl", "nothing of use");
    bench.file("np/release.jsonl", "{\"index\": 9, \"description\": \"not a feature\"}");
    bench.file("np/cfg.json", "{}");
    let folder = bench.folder.path().join("in/np");
    let report = bench.import(&folder).unwrap();
    assert_eq!((report.n_rows, report.n_labels, report.n_stats), (4, 3, 1), "{report:?}");
    assert_eq!(report.form, "Neuronpedia explanations, Neuronpedia features");
    assert!(report.reasons[0].starts_with("batch-1.jsonl: "), "{report:?}");
    bench.file("np/explanations/batch-11.jsonl", lines(&[json!({"index": 4000, "description": "x"})]));
    bench.file("np/explanations/batch-1.jsonl", lines(&[json!({"index": 1, "description": "new"})]));
    assert!(matches!(bench.import(&folder), Err(IndexError::OutOfRange { largest: 4000, .. })));
    assert_eq!(bench.text(1), [""; 0]);
    let empty = bench.folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(matches!(bench.import(&empty), Err(IndexError::Unrecognised { .. })));
    assert!(matches!(bench.import(&empty.join("gone")), Err(IndexError::Read { .. })));
}

#[test]
fn features_and_activations_are_read() {
    let bench = bench();
    let tokens: Vec<String> = ["<bos>", "Ġthe", "▁pirate", "Ċ"].map(str::to_owned).to_vec();
    let activation = |value: f32| {
        json!({
            "index": "4", "tokens": tokens, "values": [0.0, value / 2.0, value, null], "maxValue": value,
            "maxValueTokenIndex": 2, "binMin": 0.0, "binContains": 1,
        })
    };
    let mut feature = json!({
        "modelId": "m", "layer": "1-x", "index": "4", "maxActApprox": "50", "frac_nonzero": 0.01,
        "pos_str": ["Ġpirate", "→", "ship"], "pos_values": [2.0, 1.0, 0.5], "neg_str": ["the"], "neg_values": [-3],
        "freq_hist_data_bar_heights": [10, 5, 1], "freq_hist_data_bar_values": [1.0, 3.0, 5.0],
        "explanations": [{"description": "inner"}], "activations": [activation(9.0)],
    });
    let norms: Vec<f32> = (0..D_SAE).map(|latent| if latent == 4 { 2.0 } else { 0.0 }).collect();
    let settings = ImportSettings { decoder_norms: Some(&norms), ..ImportSettings::default() };
    let path = bench.file("4.json", serde_json::to_string_pretty(&feature).unwrap());
    let report = bench.import_as(&path, &settings).unwrap();
    assert_eq!(report.form, "Neuronpedia feature");
    assert_eq!((report.n_rows, report.n_labels, report.n_stats, report.n_examples), (1, 1, 1, 1), "{report:?}");
    let columns = bench.index.columns();
    assert_eq!((columns.density(4), columns.max(4)), (Some(0.01), Some(100.0)));
    let effects = bench.index.effects(4).unwrap().unwrap();
    assert_eq!(effects.promoted[0], (Token::Text(" pirate".to_owned()), 1.0));
    assert_eq!(effects.suppressed, [(Token::Text("the".to_owned()), -1.5)]);
    let histogram = bench.index.histogram(4).unwrap().unwrap();
    assert_eq!((histogram.edges, histogram.counts), (vec![0.0, 4.0, 8.0, 12.0], vec![10, 5, 1]));
    let windows = bench.index.windows(4).unwrap();
    let texts = ["<bos>", " the", " pirate", "\n"].map(str::to_owned).to_vec();
    assert_eq!(windows[0].tokens, Tokens::Texts(texts));
    assert_eq!((&windows[0].values, windows[0].peak), (&vec![0.0, 9.0, 18.0, 0.0], 2));
    // Words of promoted tokens are found after those of labels.
    assert_eq!(bench.index.search_labels("ship", 5).unwrap()[0].0, 4);
    // Many activations: the strongest are kept, and one of each tenth below; again adds nothing.
    let many: Vec<_> = (1..=90_u16).map(|value| activation(f32::from(value))).collect();
    feature["activations"] = json!(many);
    let path = bench.file("many.jsonl", lines(&many));
    let report = bench.import_as(&path, &settings).unwrap();
    assert_eq!(report.form, "Neuronpedia activations");
    let windows = bench.index.windows(4).unwrap();
    let heights: Vec<(f32, Option<u8>)> = windows.iter().map(|window| (window.height(), window.decile)).collect();
    assert_eq!((heights[0], heights[19]), ((180.0, None), (142.0, None)));
    assert_eq!(heights[20..].iter().map(|(_, decile)| decile.unwrap()).collect::<Vec<_>>(), [7, 6, 5, 4, 3, 2, 1, 0]);
    assert_eq!(bench.import_as(&path, &settings).unwrap().n_examples, 0);
    assert_eq!(bench.index.windows(4).unwrap(), windows);
}

#[test]
fn tables_are_read_as_spreadsheets_write_them() {
    for (text, expected) in [
        ("index,label\n1,\"a, \"\"b\"\"\nc\"\n2,two\n", "a, \"b\" c"),
        ("\u{feff}Feature;Density;Label\r\n1;0.5;a → b\r\n2;;two\r\n", "a → b"),
        ("1,one\n2,two\n", "one"),
        ("1\tone\n2\ttwo", "one"),
        ("description,extra,index\none,,1\ntwo,,2\n", "one"),
    ] {
        let bench = bench();
        let report = bench.import_twice(&bench.file("t.csv", text));
        assert_eq!((report.form.as_str(), report.n_rows, report.n_labels), ("CSV", 2, 2), "{text}: {report:?}");
        assert_eq!(bench.text(1), [expected], "{text}");
        let zipped = bench.import(&bench.file("t.csv.gz", gzip(text))).unwrap();
        assert_eq!((zipped.n_rows, zipped.n_labels), (2, 0));
    }
    let bench = bench();
    let text = b"index,label,score,density,max_act,method\n1,one,0.9,0.1,5,rule\n2\nx,y\n3,\xff\n4,,,,,\n5,,,0.5,\n";
    let report = bench.import(&bench.file("t.csv", text)).unwrap();
    assert_eq!((report.n_rows, report.n_labels, report.n_stats, report.n_skipped), (6, 1, 2, 4), "{report:?}");
    assert_eq!(bench.index.columns().density(5), Some(0.5));
    assert_eq!(bench.index.labels(1).unwrap()[0].method.as_deref(), Some("rule"));
}

#[test]
fn what_is_no_export_is_refused_with_a_reason() {
    let bench = bench();
    for (name, bytes, expected) in [
        ("a.zip", b"PK\x03\x04rest".to_vec(), "zip"),
        ("empty.jsonl", Vec::new(), "empty"),
        ("space.jsonl", b" \n\n ".to_vec(), "empty"),
        ("prose.txt", b"Call me Ishmael.\n".to_vec(), "no columns"),
        ("utf16.csv", b"\xff\xfei\0n\0d\0e\0x\0".to_vec(), "UTF-16"),
        ("config.json", b"{\n  \"d_in\": 4\n}".to_vec(), "names no feature"),
        ("noise.bin", (0..=253).rev().cycle().take(9000).collect(), "no columns"),
        ("gz.gz", b"\x1f\x8bnoise".to_vec(), ""),
        ("short.safetensors", b"\x09\0\0\0\0\0\0\0{".to_vec(), "damaged"),
        ("huge.safetensors", b"\xff\xff\xff\xff\0\0\0\0{".to_vec(), "damaged"),
    ] {
        match bench.import(&bench.file(name, &bytes)) {
            Err(IndexError::Unrecognised { reason, .. }) => assert!(reason.contains(expected), "{name}: {reason}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn endless_rows_and_bombs_are_refused() {
    let bench = bench();
    let good = "{\"index\": 1, \"description\": \"one\"}\n";
    let mut line = GzEncoder::new(Vec::new(), Compression::fast());
    line.write_all(good.as_bytes()).unwrap();
    let mut array = GzEncoder::new(Vec::new(), Compression::fast());
    array.write_all(b"[{\"index\": 1, \"description\": \"").unwrap();
    let mut table = GzEncoder::new(Vec::new(), Compression::fast());
    table.write_all(b"index,label\n1,\"").unwrap();
    for encoder in [&mut line, &mut array, &mut table] {
        for _ in 0..40 {
            encoder.write_all(&vec![b'x'; 1 << 20]).unwrap();
        }
    }
    for (name, encoder) in [("line.jsonl.gz", line), ("array.json.gz", array), ("table.csv.gz", table)] {
        match bench.import(&bench.file(name, encoder.finish().unwrap())) {
            Err(IndexError::TooLarge { reason, .. }) => assert!(reason.contains("32 MB"), "{reason}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(bench.text(1), [""; 0]);
    let mut blank = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..300 {
        blank.write_all(&vec![b'\n'; 1 << 20]).unwrap();
    }
    blank.write_all(good.as_bytes()).unwrap();
    let path = bench.file("blank.jsonl.gz", blank.finish().unwrap());
    assert!(matches!(bench.import(&path), Err(IndexError::TooLarge { .. } | IndexError::Unrecognised { .. })));
}

#[test]
fn a_stop_leaves_the_file_out() {
    let bench = bench();
    let rows: Vec<_> = (0..90).map(|at| explanation(at, "x")).collect();
    let path = bench.file("a.jsonl", lines(&rows));
    let result = bench.index.import(&path, &ImportSettings::default(), &mut |_| ControlFlow::Break(()));
    assert!(matches!(result, Err(IndexError::Stopped)));
    assert_eq!(bench.index.columns().n_labelled(), 0);
    assert_eq!(bench.import(&path).unwrap().n_labels, 90);
}

/// A safetensors file of the tensors given by name, type, shape and bytes.
fn tensors(list: &[(&str, &str, &[usize], Vec<u8>)]) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, dtype, shape, bytes) in list {
        let offsets = [data.len(), data.len() + bytes.len()];
        header.insert((*name).to_owned(), json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}));
        data.extend_from_slice(bytes);
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

fn f32s(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

/// Whole numbers as 32-bit ones.
fn i32s(values: impl IntoIterator<Item = i64>) -> Vec<u8> {
    values.into_iter().flat_map(|value| i32::try_from(value).unwrap().to_le_bytes()).collect()
}

#[test]
fn frequencies_of_saelens_are_read() {
    let bench = bench();
    let values = (0..D_SAE).map(|at| match at {
        0 => -10.0,
        1 => f32::NAN,
        2 => 3.0,
        _ => -2.0,
    });
    let half: Vec<u8> = values.clone().flat_map(|value| f16::from_f32(value).to_le_bytes()).collect();
    for (name, dtype, bytes) in [("f32", "F32", f32s(values)), ("f16", "F16", half)] {
        let path =
            bench.file(&format!("{name}/sparsity.safetensors"), tensors(&[("sparsity", dtype, &[D_SAE], bytes)]));
        let report = bench.import(&path).unwrap();
        assert_eq!((report.form.as_str(), report.n_rows, report.n_skipped), ("SAELens sparsity", 100, 2));
        let columns = bench.index.columns();
        assert_eq!((columns.density(0), columns.density(1), columns.density(2)), (Some(0.0), None, None));
        assert!(columns.is_dead(0) && !columns.is_dead(1));
        assert!((columns.density(50).unwrap() - 0.01).abs() < 1e-4);
    }
    let other = tensors(&[("sparsity", "F32", &[64], f32s((0..64).map(|_| -2.0)))]);
    let path = bench.file("sparsity.safetensors", other);
    assert!(matches!(bench.import(&path), Err(IndexError::WrongShape { found: 64, d_sae: 100, .. })));
}

#[test]
fn examples_of_gemma_scope_2_are_read() {
    let bench = bench();
    let (n_sequences, length, n_places) = (7, 90, 30);
    let value = |feature: usize, place: usize| if feature == 3 { 0.0 } else { (100 + feature) as f32 - place as f32 };
    let per_place = |of: &dyn Fn(i64, i64) -> i64| -> Vec<u8> {
        i32s((0..N_FEATURES).flat_map(|feature| (0..30).map(move |place| (feature, place))).map(|(f, p)| of(f, p)))
    };
    let bytes = tensors(&[
        ("top_tokens", "I32", &[D_SAE, 2], i32s((0..N_FEATURES).flat_map(|at| [at, at + 1]))),
        ("top_logits", "F32", &[D_SAE, 2], f32s((0..D_SAE).flat_map(|_| [2.0, 1.0]))),
        ("bottom_tokens", "I32", &[D_SAE, 2], i32s((0..N_FEATURES).flat_map(|_| [9, -1]))),
        ("bottom_logits", "F32", &[D_SAE, 2], f32s((0..D_SAE).flat_map(|_| [-2.0, -1.0]))),
        ("feature_frequencies", "F32", &[D_SAE], f32s((0..D_SAE).map(|at| at as f32 / 200.0))),
        (
            "activations",
            "F32",
            &[D_SAE, n_places],
            f32s((0..D_SAE).flat_map(|feature| (0..n_places).map(move |place| value(feature, place)))),
        ),
        ("seq_ids", "I32", &[D_SAE, n_places], per_place(&|feature, place| (feature + place) % 9 - 1)),
        ("positions", "I32", &[D_SAE, n_places], per_place(&|_, place| 3 * place)),
        ("tokens", "I32", &[n_sequences, length], i32s(1000..1630)),
    ]);
    let path = bench.file("examples.safetensors", &bytes);
    let token_text = |id: u32| Some(format!(" word{id}"));
    let settings = ImportSettings { token_text: Some(&token_text), ..ImportSettings::default() };
    let report = bench.import_as(&path, &settings).unwrap();
    assert_eq!((report.form.as_str(), report.n_rows, report.n_stats), ("Gemma Scope 2 examples", 100, 100));
    let columns = bench.index.columns();
    assert_eq!((columns.density(50), columns.max(50)), (Some(0.25), Some(150.0)));
    assert!(columns.is_dead(0) && columns.max(3).is_none());
    let effects = bench.index.effects(7).unwrap().unwrap();
    assert_eq!(effects.promoted, [(Token::Id(7), 2.0), (Token::Id(8), 1.0)]);
    assert_eq!(effects.suppressed, [(Token::Id(9), -2.0)]);
    // The feature whose most promoted token it is comes first.
    assert_eq!(
        bench.index.search_labels("word42", 3).unwrap().into_iter().map(|found| found.0).collect::<Vec<_>>(),
        [42, 41]
    );
    let windows = bench.index.windows(10).unwrap();
    // Places 7 and 8 of each nine are in no sequence.
    assert_eq!(windows.len(), 20);
    assert!(windows.windows(2).all(|pair| pair[0].height() >= pair[1].height()));
    for window in &windows {
        let Tokens::Ids(ids) = &window.tokens else { panic!("ids") };
        let position = (110.0 - window.height()) as u32 * 3;
        assert_eq!((ids[window.peak] - 1000) % length as u32, position);
        assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1));
    }
    assert_eq!(bench.index.windows(3).unwrap(), []);
    let again = bench.import_as(&path, &settings).unwrap();
    assert_eq!((again.n_stats, again.n_examples), (0, 0));
    let cut = bench.file("cut/examples.safetensors", &bytes[..bytes.len() - 1]);
    assert!(matches!(bench.import(&cut), Err(IndexError::Unrecognised { .. })));
}

#[test]
fn labels_of_the_demo_are_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/demo/sae/labels.jsonl");
    let n_rows = fs::read_to_string(&path).unwrap().lines().count();
    let folder = tempfile::tempdir().unwrap();
    let index = Index::open(&folder.path().join("features.db"), n_rows).unwrap();
    let settings = ImportSettings { label_source: LabelSource::Shipped, ..ImportSettings::default() };
    let report = index.import(&path, &settings, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((report.form.as_str(), report.n_rows as usize, report.n_skipped), ("Tiller labels", n_rows, 0));
    let label = &index.labels(0).unwrap()[0];
    assert_eq!((label.source, label.method.as_deref()), (LabelSource::Shipped, Some("rule")));
    assert!(index.columns().density(0).is_some() && index.columns().max(0).is_some());
}
