//! Writes the file system that a guest runs from: the binaries under test, this one, and the libraries that they
//! are linked to, and the kernel's modules. Nothing else is in it, so that nothing else can be what was tested.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::binaries::Binaries;

/// Where the binaries are in the guest.
pub(super) const AGENT: &str = "/bin/inquest-agent";
/// This binary, which is the guest's init.
pub(super) const HARNESS: &str = "/bin/inquest-e2e";

/// Where the modules are, for init to load.
pub(super) const MODULES: &str = "/modules";

/// Directories that are mounted on, or written to.
const DIRS: [&str; 6] = ["/dev", "/proc", "/sys", "/tmp", "/var", MODULES];
const DIR_MODE: u32 = 0o040_755;
const PROGRAM_MODE: u32 = 0o100_755;

/// Writes the archive, as `cpio -H newc` would.
pub(super) fn write(archive: &Path, binaries: &Binaries, modules: &Path) -> anyhow::Result<()> {
    let harness = std::env::current_exe().context("failed to find the running binary")?;
    let mut files = vec![
        (PathBuf::from(AGENT), binaries.agent.clone()),
        (PathBuf::from(HARNESS), harness.clone()),
    ];
    let mut libraries = libraries(&binaries.agent)?;
    libraries.extend(self::libraries(&harness)?);
    files.extend(libraries.into_iter().map(|path| (path.clone(), path)));
    for module in fs::read_dir(modules).into_iter().flatten().flatten() {
        files.push((Path::new(MODULES).join(module.file_name()), module.path()));
    }
    let write = || -> io::Result<()> {
        let mut cpio = Cpio::new(BufWriter::new(File::create(archive)?));
        for dir in DIRS {
            cpio.dir(Path::new(dir))?;
        }
        for (inside, outside) in files {
            cpio.file(&inside, &fs::read(outside)?)?;
        }
        cpio.finish()
    };
    write().with_context(|| format!("failed to write {}", archive.display()))
}

/// The libraries that the loader would load for `program`, and the loader, each by the path that it is looked
/// for at.
fn libraries(program: &Path) -> anyhow::Result<BTreeSet<PathBuf>> {
    let output = Command::new("ldd").arg(program).env("LC_ALL", "C").output();
    let output = output.context("failed to run ldd")?;
    Ok(linked(&String::from_utf8_lossy(&output.stdout)))
}

/// The paths in `libc.so.6 => /lib/libc.so.6 (0x7f)` and `/lib64/ld.so (0x7f)`; a program without any is static.
fn linked(ldd: &str) -> BTreeSet<PathBuf> {
    let path = |line: &str| {
        let (path, _) = line.trim().rsplit_once(" (")?;
        let path = path.rsplit_once("=> ").map_or(path, |(_, path)| path);
        path.starts_with('/').then(|| PathBuf::from(path))
    };
    ldd.lines().filter_map(path).collect()
}

/// A cpio archive of the form that kernels unpack.
struct Cpio<W> {
    out: W,
    next_inode: u32,
    dirs: BTreeSet<PathBuf>,
}

impl<W: Write> Cpio<W> {
    fn new(out: W) -> Self {
        Self {
            out,
            next_inode: 1,
            dirs: BTreeSet::new(),
        }
    }

    /// Adds a directory and those above it, each once.
    fn dir(&mut self, path: &Path) -> io::Result<()> {
        let above: Vec<_> = path.ancestors().collect();
        for dir in above.into_iter().rev() {
            if dir != Path::new("/") && self.dirs.insert(dir.to_owned()) {
                self.entry(dir, DIR_MODE, &[])?;
            }
        }
        Ok(())
    }

    /// Adds a program, and the directories that it is in.
    fn file(&mut self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.dir(path.parent().unwrap_or(Path::new("/")))?;
        self.entry(path, PROGRAM_MODE, content)
    }

    fn finish(mut self) -> io::Result<()> {
        self.entry(Path::new("TRAILER!!!"), 0, &[])?;
        self.out.flush()
    }

    /// A header of 13 fields of 8 hex digits, the name, the content; both padded to 4 bytes.
    fn entry(&mut self, path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
        let name = path.strip_prefix("/").unwrap_or(path).to_string_lossy();
        let inode = self.next_inode;
        self.next_inode += 1;
        let (links, size, name_size) = (1, content.len(), name.len() + 1);
        write!(
            self.out,
            "070701{inode:08x}{mode:08x}{0:08x}{0:08x}{links:08x}{0:08x}{size:08x}{0:08x}{0:08x}{0:08x}{0:08x}\
             {name_size:08x}{0:08x}",
            0
        )?;
        self.out.write_all(name.as_bytes())?;
        // The name's own zero, and padding after a header of 110 bytes.
        self.out.write_all(padding(110 + name_size, 1))?;
        self.out.write_all(content)?;
        self.out.write_all(padding(size, 0))
    }
}

/// `least` zero bytes, and as many as `written` bytes lack to a multiple of 4.
fn padding(written: usize, least: usize) -> &'static [u8] {
    let lack = written.next_multiple_of(4) - written;
    [0; 4].get(..least + lack).unwrap_or(&[0; 4])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_which_libraries_a_program_is_linked_to() {
        let ldd = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                   \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let expected = [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(linked(ldd), BTreeSet::from(expected.map(PathBuf::from)));
        assert_eq!(linked("\tstatically linked\n"), BTreeSet::new());
    }

    #[test]
    fn an_archive_names_each_directory_once_and_before_what_is_in_it() {
        let mut bytes = Vec::new();
        let mut cpio = Cpio::new(&mut bytes);
        cpio.file(Path::new("/lib/x/a"), b"12345").unwrap();
        cpio.file(Path::new("/lib/x/bc"), b"").unwrap();
        cpio.finish().unwrap();
        assert_eq!(
            names(&bytes),
            ["lib", "lib/x", "lib/x/a", "lib/x/bc", "TRAILER!!!"]
        );
    }

    /// Reads an archive as a kernel would.
    fn names(bytes: &[u8]) -> Vec<String> {
        let mut names = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let field = |n: usize| {
                let digits = &bytes[at + 6 + 8 * n..at + 14 + 8 * n];
                usize::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
            };
            assert_eq!(&bytes[at..at + 6], b"070701");
            let (size, name_size) = (field(6), field(11));
            let name = &bytes[at + 110..at + 110 + name_size - 1];
            names.push(String::from_utf8(name.to_vec()).unwrap());
            at = (at + 110 + name_size).next_multiple_of(4) + size;
            at = at.next_multiple_of(4);
        }
        names
    }
}
