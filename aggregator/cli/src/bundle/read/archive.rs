//! A bundle that is a `.tar.gz`. Must never unpack to disk, and refuse entries that are no plain
//! file or that name something outside the archive.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path};

use flate2::bufread::MultiGzDecoder;
use tar::{Archive, Entry, EntryType};

use super::bounded::{Bounded, MAX_BYTES};
use super::{MANIFEST, MAX_FILES, Visit};
use crate::failure::Failure;

/// Visits every file in the archive, in its order.
///
/// An archive may hold its files in one top folder, as `tar czf case.tar.gz case/` makes it.
pub(super) fn visit(path: &Path, visit: Visit<'_>) -> Result<(), Failure> {
    let mut names = BTreeSet::new();
    each(path, &mut |name, _| {
        if !names.insert(name.to_owned()) {
            return Err(refused(name, "it is there twice"));
        }
        if names.len() > MAX_FILES {
            return Err(refused(name, "the archive has too many files"));
        }
        Ok(())
    })?;
    let root = root(&names);
    each(path, &mut |name, content| {
        visit(name.strip_prefix(&root).unwrap_or(name), content)
    })
}

/// The folder that holds the manifest: none, or the only one at the top that does.
fn root(names: &BTreeSet<String>) -> String {
    if names.contains(MANIFEST) {
        return String::new();
    }
    let mut folders = names.iter().filter_map(|name| {
        let (folder, rest) = name.split_once('/')?;
        (rest == MANIFEST).then(|| format!("{folder}/"))
    });
    match (folders.next(), folders.next()) {
        (Some(folder), None) => folder,
        _ => String::new(),
    }
}

fn each(path: &Path, visit: Visit<'_>) -> Result<(), Failure> {
    let file = File::open(path).map_err(damaged)?;
    let unpacked = MultiGzDecoder::new(BufReader::new(file));
    let mut archive = Archive::new(Bounded::new(unpacked, MAX_BYTES));
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        if let Some(name) = file_name(&entry)? {
            visit(&name, &mut entry)?;
        }
    }
    Ok(())
}

/// The path of a plain file, `None` for a folder; everything else is refused.
fn file_name(entry: &Entry<'_, impl Read>) -> Result<Option<String>, Failure> {
    let path = entry.path().map_err(damaged)?;
    let name = path.to_string_lossy().into_owned();
    match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous => {}
        EntryType::Directory => return Ok(None),
        // Comments of the archive itself, as `git archive` writes them.
        EntryType::XGlobalHeader => return Ok(None),
        _ => return Err(refused(&name, "it is a link or a device")),
    }
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::CurDir => {}
            _ => return Err(refused(&name, "it names something outside the archive")),
        }
    }
    Ok(Some(parts.join("/")))
}

fn damaged(error: io::Error) -> Failure {
    let next = "record or copy it again; it must be a .tar.gz or a folder";
    Failure::new("the archive is damaged", error, next)
}

fn refused(name: &str, why: &str) -> Failure {
    let next = "do not use this archive; ask for one made by `inquest bundle create`";
    Failure::new(format!("entry `{name}` is refused"), why, next)
}
