//! What reading a bundle promises, over folders and archives made on the spot.

use std::io::Write as _;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use super::*;

const SIGNAL: &str = r#"{"id":"a-1","observedAt":"2026-01-31T10:00:00Z","processExit":{"code":3}}"#;
const BUNDLE: &str = r#"{"version":1}"#;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = root.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    root
}

/// Writes an archive entry by entry, names unchecked, as an attacker would.
fn archive(entries: &[(&str, EntryType, &str)]) -> (TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("case.tar.gz");
    let file = std::fs::File::create(&path).unwrap();
    let mut builder = Builder::new(GzEncoder::new(file, Compression::fast()));
    for (name, kind, content) in entries {
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap();
    (root, path)
}

fn refusal(result: Result<Bundle, Failure>) -> String {
    let failure = result.unwrap_err();
    assert!(!failure.next.is_empty());
    format!("{}: {}", failure.what, failure.why)
}

#[test]
fn reads_a_folder_and_an_archive_alike() {
    let folder = folder(&[("bundle.json", BUNDLE), ("signals.jsonl", SIGNAL)]);
    let file = EntryType::Regular;
    let flat = [
        ("bundle.json", file, BUNDLE),
        ("signals.jsonl", file, SIGNAL),
    ];
    let nested = [
        ("case/", EntryType::Directory, ""),
        ("case/signals.jsonl", file, SIGNAL),
        ("./case/bundle.json", file, BUNDLE),
    ];
    let from_folder = read(folder.path()).unwrap();
    assert_eq!(from_folder.signals.len(), 1);
    assert_eq!(from_folder.unread, Unread::default());
    for entries in [&flat[..], &nested[..]] {
        let (_root, path) = archive(entries);
        assert_eq!(read(&path).unwrap().signals, from_folder.signals);
    }
}

#[test]
fn counts_each_line_that_is_no_signal_and_keeps_the_others() {
    let newer = r#"{"id":"a-2","observedAt":"2026-01-31T10:00:00Z","dnsFailure":{}}"#;
    let lines = format!("{SIGNAL}\n\nnot json\n{{\"id\":\"\"}}\n{newer}\n{{\"id\":\"a-3\"");
    let folder = folder(&[("bundle.json", BUNDLE), ("signals.jsonl", &lines)]);
    let bundle = read(folder.path()).unwrap();
    assert_eq!(bundle.signals.len(), 2);
    assert_eq!(bundle.unread.lines, 3);
    assert_eq!(bundle.unread.unknown_kinds, 1);
    assert_eq!(bundle.unread.first.as_ref().unwrap().0, 3);
}

#[test]
fn lists_what_it_does_not_read_yet() {
    let folder = folder(&[
        ("bundle.json", BUNDLE),
        ("objects/pods.json", "{}"),
        ("logs/shop/cart-1/app.log", ""),
        ("logs/shop/cart-1/app.previous.log", ""),
        ("alerts.json", "{}"),
        ("nodes.json", "{"),
        ("notes.txt", ""),
    ]);
    let files = read(folder.path()).unwrap().unread.files;
    let files: Vec<(&str, u64)> = files.iter().map(|(name, n)| (name.as_str(), *n)).collect();
    let expected = [
        ("alerts.json", 1),
        ("logs/", 2),
        ("nodes.json (damaged)", 1),
        ("objects/", 1),
        ("other files", 1),
    ];
    assert_eq!(files, expected);
}

#[test]
fn refuses_what_is_no_bundle() {
    let empty = folder(&[]);
    assert!(refusal(read(empty.path())).ends_with("it has no bundle.json"));
    let newer = folder(&[("bundle.json", r#"{"version":2}"#)]);
    assert!(refusal(read(newer.path())).contains("version 2 of the format is not known"));
    let damaged = folder(&[("bundle.json", "{"), ("case.tar.gz", "no gzip")]);
    assert!(refusal(read(damaged.path())).contains("bundle.json is damaged"));
    let text = refusal(read(&damaged.path().join("case.tar.gz")));
    assert!(text.contains("the archive is damaged"), "{text}");
    refusal(read(&damaged.path().join("missing")));
}

#[test]
fn refuses_entries_that_reach_outside_or_are_no_files() {
    let file = EntryType::Regular;
    let cases = [
        ("../bundle.json", file),
        ("/bundle.json", file),
        ("case/../../x", file),
        ("signals.jsonl", EntryType::Symlink),
        ("signals.jsonl", EntryType::Link),
        ("signals.jsonl", EntryType::Fifo),
        ("signals.jsonl", EntryType::Char),
    ];
    for (name, kind) in cases {
        let (_root, path) = archive(&[("bundle.json", file, BUNDLE), (name, kind, "")]);
        let text = refusal(read(&path));
        assert!(text.contains("is refused"), "{name} {kind:?}: {text}");
    }
    let (_root, path) = archive(&[
        ("bundle.json", file, BUNDLE),
        ("./bundle.json", file, BUNDLE),
    ]);
    assert!(refusal(read(&path)).contains("it is there twice"));
}

#[test]
fn refuses_a_symbolic_link_in_a_folder() {
    let folder = folder(&[("bundle.json", BUNDLE)]);
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("signals.jsonl")).unwrap();
    assert!(refusal(read(folder.path())).contains("`signals.jsonl` is refused"));
}

#[test]
fn a_torn_archive_is_damaged() {
    let file = EntryType::Regular;
    let (_root, path) = archive(&[
        ("bundle.json", file, BUNDLE),
        ("signals.jsonl", file, SIGNAL),
    ]);
    let whole = std::fs::read(&path).unwrap();
    let mut torn = std::fs::File::create(&path).unwrap();
    torn.write_all(&whole[..whole.len() / 2]).unwrap();
    refusal(read(&path));
}
