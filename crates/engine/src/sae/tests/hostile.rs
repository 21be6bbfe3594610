//! Files that are broken, that lie, or that mean harm: refused by what they are, with no code run, and with neither time
//! nor memory spent on their word.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use super::super::{Hints, Sae, describe};
use super::{D, F, stored};
use crate::EngineError;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

/// A member of an archive as a test writes it.
struct Member<'a> {
    name: &'a str,
    bytes: Vec<u8>,
    is_deflated: bool,
    /// Size that is told instead of the true one.
    told: Option<u32>,
}

fn plain<'a>(name: &'a str, bytes: &[u8]) -> Member<'a> {
    Member { name, bytes: bytes.to_vec(), is_deflated: false, told: None }
}

fn archive(members: &[Member<'_>]) -> Vec<u8> {
    let (mut out, mut table) = (Vec::new(), Vec::new());
    for member in members {
        let mut crc = flate2::Crc::new();
        crc.update(&member.bytes);
        let packed = if member.is_deflated {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(&member.bytes).unwrap();
            encoder.finish().unwrap()
        } else {
            member.bytes.clone()
        };
        let method = if member.is_deflated { 8_u16 } else { 0 };
        let told = member.told.unwrap_or(member.bytes.len() as u32);
        let sizes = [crc.sum(), packed.len() as u32, told].map(u32::to_le_bytes).concat();
        let lens = [(member.name.len() as u16).to_le_bytes(), [0; 2]].concat();
        let at = out.len() as u32;
        let start = [&[20, 0, 0, 0][..], &method.to_le_bytes(), &[0; 4], &sizes, &lens].concat();
        out.extend([&b"PK\x03\x04"[..], &start, member.name.as_bytes(), &packed].concat());
        let entry = [&b"PK\x01\x02\x14\x00"[..], &start, &[0; 10], &at.to_le_bytes(), member.name.as_bytes()];
        table.extend(entry.concat());
    }
    let (at, n) = (out.len() as u32, members.len() as u16);
    out.extend(&table);
    let sizes = [(table.len() as u32).to_le_bytes(), at.to_le_bytes()].concat();
    out.extend([&b"PK\x05\x06\0\0\0\0"[..], &n.to_le_bytes(), &n.to_le_bytes(), &sizes, &[0; 2]].concat());
    out
}

/// What is said of a file of these bytes.
fn refusal(bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("layer3.sae.pt");
    std::fs::write(&path, bytes).unwrap();
    let error = Sae::load(&path, &Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("layer3.sae.pt") && error.lines().count() == 1 && error.len() < 600, "{error}");
    error
}

/// What is said of a program.
fn pickled(program: &[u8]) -> String {
    refusal(&archive(&[plain("a/data.pkl", program)]))
}

fn text(text: &str) -> Vec<u8> {
    [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

#[test]
fn a_program_that_means_harm_is_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let witness = dir.path().join("ran");
    let command = text(&format!("touch {}", witness.display()));
    let asked = |names: &[u8]| [&b"\x80\x02"[..], names, &command, b"\x85R."].concat();
    for (names, shown) in [
        (&b"cposix\nsystem\n"[..], "posix.system"),
        (b"cos\nsystem\n", "os.system"),
        (b"c__builtin__\neval\n", "__builtin__.eval"),
        (b"cbuiltins\ngetattr\n", "builtins.getattr"),
        (b"ctorch\nload\n", "torch.load"),
        (b"ctorch._utils\n_rebuild_tensor\n", "torch._utils._rebuild_tensor"),
        (b"\x8c\x02os\x8c\x06system\x93", "os.system"),
    ] {
        let error = pickled(&asked(names));
        assert!(error.contains(shown) && error.contains("not run"), "{error}");
    }
    // The other ways of making an object of a class: by name on the spot, from the stack, by its constructor, from a
    // register of extensions.
    for (program, step) in [
        (&b"\x80\x02(X\x01\x00\x00\x00aiposix\nsystem\n."[..], "0x69"),
        (b"\x80\x02(ccollections\nOrderedDict\no.", "0x6f"),
        (b"\x80\x02ccollections\nOrderedDict\n)\x81.", "0x81"),
        (b"\x80\x02\x82\x01.", "0x82"),
        (b"\x80\x02P0\n.", "0x50"),
    ] {
        let error = pickled(program);
        assert!(error.contains(step), "{error}");
    }
    // Making the known kinds do what they are not for.
    for program in [
        &b"\x80\x02ccollections\nOrderedDict\nccollections\nOrderedDict\nR."[..],
        b"\x80\x02ctorch\nFloatStorage\n)R.",
        b"\x80\x02ctorch._utils\n_rebuild_parameter\nN\x85R.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
        b"\x80\x02NQ.",
        b"\x80\x02N)R.",
        b"\x80\x02Nq\x00Ns.",
        b"\x80\x02h\x07.",
        b"\x80\x02.",
        b"\x80\x02t.",
        b"\x80\x02}(Nu.",
        b"\x80\x02",
    ] {
        assert!(pickled(program).contains("its program"), "{program:?}");
    }
    assert!(!witness.exists());
}

#[test]
fn a_program_cannot_take_more_room_than_its_bytes() {
    // Each tuple holds the one before it twice: 2^200 leaves.
    let mut laughs = b"\x80\x02)".to_vec();
    for _ in 0..200 {
        laughs.extend(b"q\x00h\x00\x86");
    }
    laughs.push(b'.');
    assert!(pickled(&laughs).contains("no dictionary"));
    // A dictionary that holds itself, and one nested a hundred thousand deep.
    assert!(pickled(b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s.").contains("no dictionary"));
    let deep = [&b"\x80\x02)"[..], &vec![0x85; 100_000], b"."].concat();
    assert!(pickled(&deep).contains("no dictionary"));
    for (program, what) in [
        (&b"\x80\x02\x8b\xff\xff\xff\x7f."[..], "whole number of 2147483647 bytes"),
        (b"\x80\x02\x8a\xff.", "whole number of 255 bytes"),
        (b"\x80\x02X\xff\xff\xff\xff.", "cut short"),
        (b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", "cut short"),
        (b"\x80\x02Nr\xff\xff\xff\xff.", "no dictionary"),
    ] {
        let error = pickled(program);
        assert!(error.contains(what), "{error}");
    }
    assert!(pickled(&vec![b'N'; 2_000_000]).contains("2000000 bytes"));
}

/// A state dictionary of one tensor: kind of storage, its length, first value, shape and strides.
fn one_tensor(kind: &str, len: u32, offset: u32, shape: [u32; 2], strides: [u32; 2]) -> Vec<u8> {
    let int = |value: u32| [&b"J"[..], &value.to_le_bytes()].concat();
    let pair = |pair: [u32; 2]| [int(pair[0]), int(pair[1]), b"\x86".to_vec()].concat();
    [
        b"\x80\x02}(".to_vec(),
        text("W_enc"),
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        format!("ctorch\n{kind}\n").into_bytes(),
        text("0"),
        text("cpu"),
        int(len),
        b"tQ".to_vec(),
        int(offset),
        pair(shape),
        pair(strides),
        b"\x89NtRu.".to_vec(),
    ]
    .concat()
}

#[test]
fn a_tensor_lies_in_its_file() {
    let file = |program: &[u8], values: usize| {
        refusal(&archive(&[plain("a/data.pkl", program), plain("a/data/0", &vec![0; 4 * values])]))
    };
    // Whole, as far as it goes: the next thing that is missing is named.
    assert!(file(&one_tensor("FloatStorage", 6, 0, [2, 3], [3, 1]), 6).contains("no tensor b_"));
    for (len, offset, shape, strides) in [
        (6, 0, [2, 4], [4, 1]),
        (6, 1, [2, 3], [3, 1]),
        (6, 0, [2, 3], [6, 1]),
        (u32::MAX >> 1, 0, [60000, 30000], [30000, 1]),
        (6, u32::MAX >> 1, [2, 3], [3, 1]),
        // Many values out of few.
        (6, 0, [2_000_000_000, 2_000_000_000], [0, 0]),
        (6, 0, [2_000_000_000, 2_000_000_000], [2_000_000_000, 2_000_000_000]),
    ] {
        let error = file(&one_tensor("FloatStorage", len, offset, shape, strides), 6);
        assert!(error.contains("tensor W_enc"), "{error}");
    }
    assert!(file(&one_tensor("FloatStorage", 6, 0, [2, u32::MAX], [3, 1]), 6).contains("malformed tensor"));
    assert!(file(&one_tensor("QUInt8Storage", 6, 0, [2, 3], [3, 1]), 6).contains("torch.QUInt8Storage"));
    let alone = archive(&[plain("a/data.pkl", &one_tensor("FloatStorage", 6, 0, [2, 3], [3, 1]))]);
    assert!(refusal(&alone).contains("lacks the values of W_enc"));
    let big = [plain("a/data.pkl", b"\x80\x02}."), plain("a/byteorder", b"big")];
    assert!(refusal(&archive(&big)).contains("big-endian"));
    let script = [plain("a/data.pkl", b"\x80\x02}."), plain("a/constants.pkl", b"")];
    assert!(refusal(&archive(&script)).contains("TorchScript"));
    assert!(refusal(b"\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.").contains("before version 1.6"));
}

fn array(descr: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes(), bytes].concat()
}

#[test]
fn an_archive_that_lies_is_refused_before_it_is_unpacked() {
    let bomb = |bytes: Vec<u8>, told| {
        let member = Member { name: "W_enc.npy", bytes, is_deflated: true, told };
        refusal(&archive(&[member]))
    };
    let zeros = || array("<f4", "(1024, 8192)", &vec![0; 1 << 25]);
    assert!(bomb(zeros(), None).contains("not a file of weights"));
    assert!(bomb(zeros(), Some(u32::MAX - 1)).contains("not a file of weights"));
    // More than it says: found when it is unpacked.
    let small = |shape, told| {
        let enc = Member { name: "W_enc.npy", bytes: array("<f4", shape, &[0; 96]), is_deflated: true, told };
        let bias = |name, n: usize| plain(name, &array("<f4", &format!("({n},)"), &vec![0; 4 * n]));
        let dec = plain("W_dec.npy", &array("<f4", "(6, 4)", &[0; 96]));
        let members = [enc, dec, bias("b_enc.npy", 6), bias("b_dec.npy", 4), bias("threshold.npy", 6)];
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("layer_3.npz");
        std::fs::write(&path, archive(&members)).unwrap();
        Sae::load(&path, &Device::Cpu).map(|sae| sae.d_sae()).map_err(|error| error.to_string())
    };
    let len = array("<f4", "(4, 6)", &[0; 96]).len() as u32;
    assert_eq!(small("(4, 6)", None), Ok(6));
    assert!(small("(4, 6)", Some(len - 40)).unwrap_err().contains("W_enc"));
    assert!(small("(4, 6)", Some(len + 40)).unwrap_err().contains("check sum"));
    assert!(small("(4, 7)", None).unwrap_err().contains("W_enc"));
    assert!(small("(99999999999, 99999999999)", None).unwrap_err().contains("W_enc"));
    for (bytes, what) in [
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(), "header of 4294967295 bytes"),
        (b"not an array at all".to_vec(), "not a numpy array"),
        (array("|O", "(2,)", &[0; 8]), "\"|O\""),
        (array("<f4", "(-2,)", &[0; 8]), "shape"),
        (b"\x93NUMPY\x01\x00\x02\x00{}".to_vec(), "descr"),
    ] {
        let error = refusal(&archive(&[plain("W_enc.npy", &bytes)]));
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn offsets_and_lengths_of_an_archive_are_checked() {
    let whole = archive(&[plain("a/data.pkl", b"\x80\x02}.")]);
    let table = whole.windows(4).position(|word| word == b"PK\x01\x02").unwrap();
    let end = whole.windows(4).position(|word| word == b"PK\x05\x06").unwrap();
    let with = |at: usize, bytes: &[u8]| {
        let mut other = whole.clone();
        other[at..at + bytes.len()].copy_from_slice(bytes);
        refusal(&other)
    };
    assert!(with(table + 42, &[0xff, 0xff, 0xff, 0x7f]).contains("cut short"), "a header outside the file");
    assert!(with(table + 42, &[1]).contains("not where the table says"));
    assert!(with(table + 20, &[0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0]).contains("outside the file"));
    assert!(with(table + 8, &[1]).contains("encrypted"));
    assert!(with(table + 10, &[12]).contains("method 12"));
    assert!(with(end + 16, &[0xff, 0xff, 0xff, 0x7f]).contains("cut short"), "a table outside the file");
    assert!(with(end + 12, &[0xff, 0xff, 0xff, 0x7f]).contains("not that of an SAE"));
    assert!(with(end + 10, &[0xfe, 0xff]).contains("not that of an SAE"));
    assert!(with(end + 10, &[9]).contains("malformed"));
    assert!(with(end + 10, &[0xff, 0xff]).contains("64-bit"));
}

/// The same archive as those of more than 4 GB are written: every size and place in 64 bits.
fn wide(archive: &[u8]) -> Vec<u8> {
    let find = |word: &[u8]| archive.windows(4).position(|found| found == word).unwrap();
    let (table, end) = (find(b"PK\x01\x02"), find(b"PK\x05\x06"));
    let number = |at: usize| u64::from(u32::from_le_bytes(archive[at..at + 4].try_into().unwrap()));
    let name_len = usize::from(archive[table + 28]);
    let sizes = [number(table + 24), number(table + 20), number(table + 42)].map(u64::to_le_bytes).concat();
    let none = [0xff; 4];
    // Another field goes before, as some writers have it.
    let extra = [&[0x55, 0x54, 2, 0, 7, 7, 1, 0, 24, 0][..], &sizes].concat();
    let mut entry = archive[table..table + 46 + name_len].to_vec();
    entry[20..28].copy_from_slice(&[none, none].concat());
    entry[30] = extra.len() as u8;
    entry[42..46].copy_from_slice(&none);
    let entry = [entry, extra].concat();
    let record_at = (table + entry.len()) as u64;
    let counts = [1, 1, entry.len() as u64, table as u64].map(u64::to_le_bytes).concat();
    let record = [&b"PK\x06\x06"[..], &44_u64.to_le_bytes(), &[45, 0, 45, 0], &[0; 8], &counts].concat();
    let locator = [&b"PK\x06\x07\0\0\0\0"[..], &record_at.to_le_bytes(), &[1, 0, 0, 0]].concat();
    let mut last = archive[end..].to_vec();
    last[8..20].fill(0xff);
    [&archive[..table], &entry, &record, &locator, &last].concat()
}

#[test]
fn the_long_form_of_an_archive_is_read() {
    let narrow = archive(&[plain("a/data.pkl", b"\x80\x02cos\nsystem\n.")]);
    let long = wide(&narrow);
    assert!(long.len() > narrow.len() + 90);
    assert!(refusal(&long).contains("os.system"), "it gets as far as the program");
    let at = long.windows(4).position(|word| word == b"PK\x06\x07").unwrap();
    for (offset, what) in [(0, "64-bit record is missing"), (14, "cut short")] {
        let mut other = long.clone();
        other[at + offset] ^= 0x5a;
        let error = refusal(&other);
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn a_header_of_a_hundred_megabytes_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sae_weights.safetensors");
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(&[&100_000_000_u64.to_le_bytes()[..], b"{"].concat()).unwrap();
    file.set_len(200_000_000).unwrap();
    let error = Sae::load(&path, &Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("100 MB"), "{error}");
}

#[test]
fn no_byte_that_is_changed_and_no_end_that_is_missing_does_harm() {
    let files = [
        "sae-dictionary-learning/BatchTopKSAE/resid_post_layer_3/trainer_1/ae.pt",
        "sae-gemma-scope-deflated/google/gemma-scope-2b-pt-res/layer_3/width_16k/average_l0_5/params.npz",
        "sae-gemma-scope-2/google/gemma-scope-2-270m-it/resid_post/layer_3_width_16k_l0_small/params.safetensors",
    ];
    let dir = tempfile::tempdir().unwrap();
    for (file, name) in files.iter().zip(["ae.pt", "params.npz", "params.safetensors"]) {
        let whole = std::fs::read(fixtures().join(file)).unwrap();
        let path = dir.path().join("layer_3_resid_post").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let load = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            Sae::load(&path, &Device::Cpu)
        };
        assert!(load(&whole).is_ok(), "{name}");
        for len in (0..whole.len()).step_by(13) {
            assert!(load(&whole[..len]).is_err(), "{name} of {len} bytes");
        }
        // Some changes are to the values alone; whatever comes of it, it comes back.
        let n_refused = (0..whole.len()).step_by(3).filter(|&at| {
            let mut other = whole.clone();
            other[at] ^= 0x5a;
            load(&other).is_err()
        });
        assert!(n_refused.count() > 20, "{name}");
    }
}

#[test]
fn a_value_that_is_no_number_is_told_with_its_tensor() {
    let dir = tempfile::tempdir().unwrap();
    let cfg = r#"{"architecture":"jumprelu","hook_name":"blocks.3.hook_resid_post"}"#;
    std::fs::write(dir.path().join("cfg.json"), cfg).unwrap();
    for name in ["W_enc", "W_dec", "b_enc", "b_dec", "threshold"] {
        let mut tensors = stored();
        let mut values = tensors[name].flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values[4] = f32::NAN;
        let shape = tensors[name].shape().clone();
        tensors.insert(name.to_owned(), Tensor::from_vec(values, shape, &Device::Cpu).unwrap());
        let path = dir.path().join("sae_weights.safetensors");
        candle_core::safetensors::save(&tensors, &path).unwrap();
        match Sae::load(dir.path(), &Device::Cpu).unwrap_err() {
            EngineError::NotFinite { path: found, name: tensor, index, .. } => {
                assert_eq!((found, tensor.as_str(), index), (path, name, 4));
            }
            other => panic!("{other}"),
        }
        tensors.insert(name.to_owned(), Tensor::zeros((F + 1, D + 1), DType::F32, &Device::Cpu).unwrap());
        candle_core::safetensors::save(&tensors, dir.path().join("sae_weights.safetensors")).unwrap();
        assert!(Sae::load(dir.path(), &Device::Cpu).unwrap_err().to_string().contains("tensor "));
    }
}

#[test]
fn an_sae_without_latents_or_width_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("cfg.json"), r#"{"hook_name":"blocks.3.hook_resid_post"}"#).unwrap();
    for (d, n) in [(0, 4), (4, 0)] {
        // Written by hand: a tensor library makes none of these.
        let (bytes, mut table) = (4 * (d + n), serde_json::Map::new());
        let mut entry = |name: &str, shape: &[usize], from: usize| {
            let end = from + 4 * shape.iter().product::<usize>();
            table.insert(name.to_owned(), serde_json::json!({"dtype":"F32","shape":shape,"data_offsets":[from, end]}));
        };
        entry("W_enc", &[d, n], 0);
        entry("W_dec", &[n, d], 0);
        entry("b_enc", &[n], 0);
        entry("b_dec", &[d], 4 * n);
        let header = serde_json::Value::Object(table).to_string();
        let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; bytes]].concat();
        std::fs::write(dir.path().join("sae_weights.safetensors"), file).unwrap();
        let error = Sae::load(dir.path(), &Device::Cpu).unwrap_err().to_string();
        assert!(error.contains("latents of"), "{error}");
    }
}

#[test]
fn what_is_no_sae_of_the_residual_stream_is_refused_by_what_it_is() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let hook = |name: &str| format!(r#"{{"architecture":"standard","hook_name":"{name}"}}"#);
    let resid = hook("blocks.3.hook_resid_post");
    let glu = r#"{"use_glu_encoder":true,"jump_relu_threshold":0.1,"hook_point_in":"blocks.3.hook_resid_post"}"#;
    let cases: [(&str, &str, &[&str], &str); 13] = [
        ("cfg.json", &resid, &["W_enc", "W_skip"], "a transcoder (it holds W_skip)"),
        ("cfg.json", &resid, &["W_enc", "activation_function.threshold"], "a transcoder"),
        ("config.json", r#"{"type":"transcoder"}"#, &["w_enc"], "a transcoder (it says `transcoder`)"),
        ("config.json", r#"{"hook_point_in":"a","hook_point_out":"b"}"#, &["W_E", "W_D"], "it reads a and writes b"),
        ("cfg.json", r#"{"transcode":true,"k":4}"#, &["encoder.weight", "W_dec"], "it says `transcode`"),
        ("cfg.json", "{}", &["E", "D", "attn_layers.0.q"], "temporal"),
        ("cfg.json", &hook("blocks.3.hook_mlp_out"), &["W_enc"], "a place inside the MLP"),
        ("cfg.json", &hook("blocks.3.attn.hook_z"), &["W_enc"], "the heads of the attention"),
        ("cfg.json", &hook("blocks.0.hook_resid_pre"), &["W_enc"], "the embeddings"),
        ("cfg.json", &hook("blocks.3.hook_attn_out"), &["W_enc"], "what the attention adds"),
        (
            "config.json",
            r#"{"hf_hook_point_in":"model.layers.3.self_attn.o_proj"}"#,
            &["w_enc"],
            "the heads of the attention",
        ),
        ("hyperparams.json", glu, &["encoder.weight", "decoder.weight"], "gated linear unit"),
        ("cfg.json", r#"{"activation":"groupmax"}"#, &["encoder.weight", "W_dec"], "`topk`"),
    ];
    for (file, config, tensors, what) in cases {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(file), config).unwrap();
        let tensors = tensors.iter().map(|name| ((*name).to_owned(), zeros(&[F, D]))).collect();
        candle_core::safetensors::save(&tensors, dir.path().join("w.safetensors")).unwrap();
        let error = describe(dir.path(), Hints::default()).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    let tensors = [("W_enc".to_owned(), zeros(&[2, F, D]))].into();
    candle_core::safetensors::save(&tensors, dir.path().join("w.safetensors")).unwrap();
    let error = describe(dir.path(), Hints::default()).unwrap_err().to_string();
    assert!(error.contains("three axes") && error.contains("crosscoder"), "{error}");
    std::fs::copy(dir.path().join("w.safetensors"), dir.path().join("v.safetensors")).unwrap();
    let error = describe(dir.path(), Hints::default()).unwrap_err().to_string();
    assert!(error.contains("2 SAEs (v.safetensors, w.safetensors"), "{error}");
    std::fs::write(dir.path().join("config.yaml"), "model_name: x\nmodel_kind: \"transcoder_set\"\n").unwrap();
    assert!(describe(dir.path(), Hints::default()).unwrap_err().to_string().contains("a set of transcoders"));
    let empty = tempfile::tempdir().unwrap();
    assert!(describe(empty.path(), Hints::default()).unwrap_err().to_string().contains("no SAE"));
}
