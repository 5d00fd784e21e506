//! Writes a bundle: first into a staging folder beside the target, then at once to its name. Must
//! never overwrite anything, nor leave half a bundle under its name.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};
use serde::Serialize;
use tar::{Builder, Header};
use tempfile::TempDir;

use crate::failure::{Exit, Failure};

/// Beginning of the names under which a bundle is prepared.
const STAGING: &str = ".inquest-bundle-";
/// Endings of archives that are not written here.
const OTHER_ARCHIVES: [&str; 6] = [".tar", ".gz", ".zip", ".bz2", ".xz", ".zst"];

/// What a bundle becomes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Folder,
    Archive,
}

/// A bundle being written.
pub(crate) struct Writer {
    target: PathBuf,
    form: Form,
    staging: TempDir,
    files: Vec<String>,
}

impl Writer {
    /// Prepares to write `target`, which must not exist.
    pub(crate) fn try_new(target: &Path) -> Result<Self, Failure> {
        let form = form(target)?;
        let taken = target.symlink_metadata().is_ok();
        if taken {
            let why = "something of this name exists, and nothing is ever overwritten";
            return Err(Failure::new(
                what(target),
                why,
                "choose another name or remove it",
            ));
        }
        let staging = tempfile::Builder::new()
            .prefix(STAGING)
            .permissions(usual(0o777))
            .tempdir_in(parent(target))
            .map_err(|error| failure(target, error))?;
        Ok(Self {
            target: target.to_owned(),
            form,
            staging,
            files: Vec::new(),
        })
    }

    /// Adds a file of one JSON document.
    pub(crate) fn document(
        &mut self,
        name: &str,
        document: &impl Serialize,
    ) -> Result<(), Failure> {
        let mut text = serde_json::to_vec_pretty(document).map_err(|e| self.failure(e))?;
        text.push(b'\n');
        let path = self.staging.path().join(name);
        fs::write(path, text).map_err(|e| self.failure(e))?;
        self.files.push(name.to_owned());
        Ok(())
    }

    /// Adds a file of lines.
    pub(crate) fn lines(
        &mut self,
        name: &str,
        lines: impl IntoIterator<Item = String>,
    ) -> Result<(), Failure> {
        let write = |path: &Path| -> io::Result<()> {
            let mut file = BufWriter::new(File::create(path)?);
            for line in lines {
                writeln!(file, "{line}")?;
            }
            file.flush()
        };
        write(&self.staging.path().join(name)).map_err(|e| self.failure(e))?;
        self.files.push(name.to_owned());
        Ok(())
    }

    /// Gives the bundle its name.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.files.sort();
        let target = self.target.clone();
        let done = match self.form {
            Form::Folder => self.name_folder(),
            Form::Archive => self.name_archive(),
        };
        done.map_err(|error| failure(&target, error))
    }

    fn name_folder(self) -> io::Result<()> {
        // A folder made in the meantime stays: a rename replaces only an empty one.
        fs::rename(self.staging.path(), &self.target)?;
        // It has its name; there is nothing left to remove.
        drop(self.staging.keep());
        Ok(())
    }

    /// Packs with fixed times, owners and modes: the same content gives the same bytes.
    fn name_archive(self) -> io::Result<()> {
        let packed = tempfile::Builder::new()
            .prefix(STAGING)
            .permissions(usual(0o666))
            .tempfile_in(parent(&self.target))?;
        let gzip = GzBuilder::new()
            .mtime(0)
            .write(packed, Compression::default());
        let mut archive = Builder::new(BufWriter::new(gzip));
        for name in &self.files {
            let file = File::open(self.staging.path().join(name))?;
            let mut header = Header::new_ustar();
            header.set_size(file.metadata()?.len());
            header.set_mode(0o644);
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            archive.append_data(&mut header, name, file)?;
        }
        let gzip = archive.into_inner()?.into_inner()?;
        let packed = gzip.finish()?;
        packed.as_file().sync_all()?;
        packed.persist_noclobber(&self.target)?;
        Ok(())
    }

    fn failure(&self, error: impl std::fmt::Display) -> Failure {
        failure(&self.target, error)
    }
}

/// As readable as the umask lets any new file or folder be.
fn usual(mode: u32) -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    fs::Permissions::from_mode(mode)
}

fn form(target: &Path) -> Result<Form, Failure> {
    let name = target.file_name().map(|name| name.to_string_lossy());
    let Some(name) = name else {
        return Err(Failure::new(
            what(target),
            "it names no file",
            "give a name such as case.tar.gz",
        )
        .exit(Exit::Usage));
    };
    if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
        return Ok(Form::Archive);
    }
    if let Some(ending) = OTHER_ARCHIVES
        .iter()
        .find(|ending| name.ends_with(**ending))
    {
        let why = format!("{ending} is not written here");
        let next = "end the name in .tar.gz for an archive, or in nothing for a folder";
        return Err(Failure::new(what(target), why, next).exit(Exit::Usage));
    }
    Ok(Form::Folder)
}

fn parent(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn what(target: &Path) -> String {
    format!("cannot write bundle {}", target.display())
}

fn failure(target: &Path, error: impl std::fmt::Display) -> Failure {
    let next = "check that its folder exists, is writable and has space";
    Failure::new(what(target), error, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(target: &Path) -> Result<(), Failure> {
        let mut writer = Writer::try_new(target)?;
        writer.lines("signals.jsonl", ["{}".to_owned()])?;
        writer.document("bundle.json", &serde_json::json!({"version": 1}))?;
        writer.finish()
    }

    #[test]
    fn the_same_content_gives_the_same_archive() {
        let root = tempfile::tempdir().unwrap();
        let paths = ["a.tar.gz", "b.tgz"].map(|name| root.path().join(name));
        for path in &paths {
            write(path).unwrap();
        }
        let [a, b] = paths.map(|path| fs::read(path).unwrap());
        assert!(a == b && !a.is_empty());
    }

    #[test]
    fn leaves_nothing_but_the_bundle() {
        let root = tempfile::tempdir().unwrap();
        write(&root.path().join("case")).unwrap();
        write(&root.path().join("case.tar.gz")).unwrap();
        drop(Writer::try_new(&root.path().join("given-up")).unwrap());
        let mut names: Vec<_> = fs::read_dir(root.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["case", "case.tar.gz"]);
        let manifest = fs::read_to_string(root.path().join("case/bundle.json")).unwrap();
        assert_eq!(manifest, "{\n  \"version\": 1\n}\n");
    }

    #[test]
    fn a_bundle_is_as_readable_as_any_other_file() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        let mode = |name: &str| {
            let metadata = fs::metadata(root.path().join(name)).unwrap();
            metadata.permissions().mode()
        };
        fs::write(root.path().join("file"), "").unwrap();
        fs::create_dir(root.path().join("folder")).unwrap();
        write(&root.path().join("case")).unwrap();
        write(&root.path().join("case.tgz")).unwrap();
        assert_eq!(mode("case"), mode("folder"));
        assert_eq!(mode("case.tgz"), mode("file"));
    }

    #[test]
    fn never_overwrites() {
        let root = tempfile::tempdir().unwrap();
        for name in ["case", "case.tar.gz"] {
            let path = root.path().join(name);
            write(&path).unwrap();
            let failure = write(&path).unwrap_err();
            assert!(
                failure.why.contains("nothing is ever overwritten"),
                "{failure:?}"
            );
        }
    }

    #[test]
    fn refuses_names_of_archives_it_does_not_write() {
        for name in ["case.zip", "case.tar", "case.gz", "/"] {
            assert_eq!(
                form(Path::new(name)).unwrap_err().exit,
                Exit::Usage,
                "{name}"
            );
        }
    }
}
