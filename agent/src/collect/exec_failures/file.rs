//! Looks at a file that could not be executed, as the process that tried it saw it: what its first line or its ELF
//! header asks for. Reads regular files only, never outside the process's root, and no more than a few hundred bytes.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::fs::FileExt as _,
    },
    sync::Arc,
    time::Duration,
};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use tokio::{sync::Semaphore, time::timeout};

use crate::collect::{cgroupfs::Memberships, procfs};

/// Bytes of a file that are read: its first line, or its ELF header with the table of its segments.
const HEAD_BYTES: usize = 4096;
/// Bytes of an interpreter's path that are told, as the kernel reads of a first line.
const MAX_INTERPRETER: usize = 255;
/// Looks at once. A file on a network file system that hangs keeps its look waiting, and so do no more than these.
const MAX_LOOKS: usize = 2;
/// How long a look may take before it is told without.
const DEADLINE: Duration = Duration::from_millis(200);

/// The first process of the node, or, for an agent that sees only its container, of that.
const NODE_INIT: u32 = 1;

/// What a file asks for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct ExecFile {
    /// The program that is to run it.
    pub(super) interpreter: String,
    /// The machine that it was built for.
    pub(super) machine: String,
}

/// Where a file is looked for.
#[derive(Clone, Debug)]
pub(super) struct Seeker {
    /// The process that tried it, and its parent: by now, it may be gone.
    pub(super) pids: [u32; 2],
    /// The cgroup that either must be in.
    pub(super) cgroup: String,
    /// What tells that.
    pub(super) memberships: Memberships,
    /// The inode of the mount namespace in which it was looked for, 0 when it is not known.
    pub(super) mount_namespace: u32,
}

/// Looks at files on threads that may block.
#[derive(Debug)]
pub(super) struct ExecFiles {
    looks: Arc<Semaphore>,
}

impl Default for ExecFiles {
    fn default() -> Self {
        Self {
            looks: Arc::new(Semaphore::new(MAX_LOOKS)),
        }
    }
}

impl ExecFiles {
    /// Looks at the file `filename` as `seeker` saw it; nothing when that cannot be told in time.
    pub(super) async fn look(&self, seeker: Seeker, filename: String) -> Option<ExecFile> {
        let permit = Arc::clone(&self.looks).try_acquire_owned().ok()?;
        let look = tokio::task::spawn_blocking(move || {
            let seen = seeker.look(&filename);
            drop(permit);
            seen
        });
        timeout(DEADLINE, look).await.ok()?.ok()?
    }
}

impl Seeker {
    fn look(&self, filename: &str) -> Option<ExecFile> {
        let is_there = |pid: &&u32| self.memberships.of(**pid).as_ref() == Some(&self.cgroup);
        let opened = self
            .pids
            .iter()
            .filter(is_there)
            .find_map(|pid| open(*pid, filename).ok());
        let opened = opened.or_else(|| self.open_without_it(filename));
        ExecFile::read(&opened?).ok()
    }

    /// Opens the file as one that is still there sees it, when whoever tried it saw the same mounts.
    fn open_without_it(&self, filename: &str) -> Option<File> {
        let sees_it = |pid: &u32| procfs::mount_namespace(*pid) == Some(self.mount_namespace);
        let pids = [std::process::id(), NODE_INIT];
        let pid = pids.into_iter().find(sees_it)?;
        filename
            .starts_with('/')
            .then(|| open(pid, filename).ok())?
    }
}

/// Opens a regular file of the mount namespace and below the root, or for a relative path the working directory, of
/// process `pid`.
fn open(pid: u32, filename: &str) -> io::Result<File> {
    let (base, resolve) = if filename.starts_with('/') {
        ("root", ResolveFlags::IN_ROOT)
    } else {
        ("cwd", ResolveFlags::BENEATH)
    };
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let base = openat(CWD, format!("/proc/{pid}/{base}"), directory, Mode::empty())?;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = resolve | ResolveFlags::NO_MAGICLINKS;
    reopen(&openat2(base, filename, flags, Mode::empty(), resolve)?)
}

/// Opens for reading what is known to be regular: opening a device or a pipe might do something.
fn reopen(found: &OwnedFd) -> io::Result<File> {
    let kind = FileType::from_raw_mode(fstat(found.as_fd())?.st_mode);
    if kind != FileType::RegularFile {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    File::open(format!("/proc/self/fd/{}", found.as_raw_fd()))
}

impl ExecFile {
    fn read(file: &File) -> io::Result<Self> {
        let mut head = vec![0; HEAD_BYTES];
        let len = file.read_at(&mut head, 0)?;
        head.truncate(len);
        if let Some(line) = head.strip_prefix(b"#!") {
            return Ok(Self {
                interpreter: first_word(line),
                machine: String::new(),
            });
        }
        let Some(elf) = Elf::parse(&head) else {
            return Ok(Self::default());
        };
        let interpreter = elf.interpreter(&head).and_then(|(offset, len)| {
            let mut path = vec![0; len.min(MAX_INTERPRETER)];
            file.read_exact_at(&mut path, offset).ok()?;
            Some(crate::decode::text(&path))
        });
        Ok(Self {
            interpreter: interpreter.unwrap_or_default(),
            machine: machine_name(elf.machine),
        })
    }
}

/// What is before the first blank after those that begin a first line. A carriage return is part of it, as for the
/// kernel.
fn first_word(line: &[u8]) -> String {
    let is_end = |byte: &u8| matches!(byte, b'\n' | 0);
    let line = line.split(is_end).next().unwrap_or_default();
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let word = line.split(is_blank).find(|word| !word.is_empty());
    let word = word.unwrap_or_default();
    let word = word.get(..MAX_INTERPRETER).unwrap_or(word);
    String::from_utf8_lossy(word).into_owned()
}

/// The header of an ELF file.
struct Elf {
    is_64_bit: bool,
    is_little: bool,
    machine: u16,
}

/// Type of the segment that holds the interpreter's path.
const PT_INTERP: u64 = 3;

impl Elf {
    fn parse(head: &[u8]) -> Option<Self> {
        let rest = head.strip_prefix(b"\x7fELF")?;
        let [class, data, ..] = rest else { return None };
        let mut elf = Self {
            is_64_bit: *class == 2,
            is_little: *data == 1,
            machine: 0,
        };
        elf.machine = elf.number(head, 18, 2)? as u16;
        Some(elf)
    }

    /// Returns where the interpreter's path is, and its length.
    fn interpreter(&self, head: &[u8]) -> Option<(u64, usize)> {
        // Offsets of e_phoff, e_phentsize, e_phnum; of p_offset and p_filesz.
        let (fields, offset, filesz, word) = if self.is_64_bit {
            ([32, 54, 56], 8, 32, 8)
        } else {
            ([28, 42, 44], 4, 16, 4)
        };
        let [table, size, count] = fields;
        let table = self.number(head, table, word)? as usize;
        let size = self.number(head, size, 2)? as usize;
        let count = self.number(head, count, 2)? as usize;
        (0..count).find_map(|index| {
            let segment = table.checked_add(index.checked_mul(size)?)?;
            let field = |at: usize, len| self.number(head, segment.checked_add(at)?, len);
            if field(0, 4)? != PT_INTERP {
                return None;
            }
            Some((field(offset, word)?, field(filesz, word)? as usize))
        })
    }

    fn number(&self, head: &[u8], at: usize, len: usize) -> Option<u64> {
        let bytes = head.get(at..at.checked_add(len)?)?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if self.is_little {
            bytes.iter().rev().fold(0, add)
        } else {
            bytes.iter().fold(0, add)
        })
    }
}

/// Names a machine of `elf.h` as `uname -m` does.
fn machine_name(machine: u16) -> String {
    let name = match machine {
        3 => "i386",
        8 => "mips",
        20 => "ppc",
        21 => "ppc64",
        22 => "s390x",
        40 => "arm",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv64",
        258 => "loongarch64",
        other => return format!("machine {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn look(content: &[u8]) -> ExecFile {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        ExecFile::read(&file).unwrap()
    }

    /// A 64-bit file with one segment, which names an interpreter.
    fn elf(machine: u16, interpreter: &str) -> Vec<u8> {
        let mut file = vec![0; 64 + 56];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[18..20].copy_from_slice(&machine.to_le_bytes());
        file[32] = 64;
        file[54] = 56;
        file[56] = 1;
        file[64] = PT_INTERP as u8;
        file[64 + 8] = 120;
        file[64 + 32] = interpreter.len() as u8 + 1;
        file.extend(interpreter.as_bytes());
        file.push(0);
        file
    }

    #[test]
    fn reads_what_a_file_asks_for() {
        for (content, interpreter, machine) in [
            (b"#!/bin/sh\necho".to_vec(), "/bin/sh", ""),
            (b"#! /usr/bin/env  python3\n".to_vec(), "/usr/bin/env", ""),
            (b"#!/bin/bash\r\n".to_vec(), "/bin/bash\r", ""),
            (b"#!".to_vec(), "", ""),
            (b"plain text".to_vec(), "", ""),
            (
                elf(183, "/lib/ld-musl-aarch64.so.1"),
                "/lib/ld-musl-aarch64.so.1",
                "aarch64",
            ),
            (elf(999, ""), "", "machine 999"),
            (b"\x7fELF\x02\x01".to_vec(), "", ""),
        ] {
            let expected = ExecFile {
                interpreter: interpreter.to_owned(),
                machine: machine.to_owned(),
            };
            assert_eq!(look(&content), expected);
        }
    }

    #[test]
    fn reads_the_program_that_runs_this_test() {
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        let seen = ExecFile::read(&file).unwrap();
        assert_eq!(seen.machine, std::env::consts::ARCH);
        assert!(seen.interpreter.contains("ld-"), "{seen:?}");
    }

    #[test]
    fn finds_the_file_of_one_that_is_gone_when_it_saw_the_same_mounts() {
        let gone = |mount_namespace| Seeker {
            pids: [u32::MAX; 2],
            cgroup: String::new(),
            memberships: Memberships::default(),
            mount_namespace,
        };
        let own = std::env::current_exe().unwrap();
        let own = own.to_str().unwrap();
        let same = procfs::mount_namespace(std::process::id()).unwrap();
        let seen = gone(same).look(own).unwrap();
        assert_eq!(seen.machine, std::env::consts::ARCH);
        assert_eq!(gone(0).look(own), None);
        assert_eq!(gone(same).look("Cargo.toml"), None, "relative to what?");
    }

    #[test]
    fn does_not_leave_the_working_directory_by_a_relative_path() {
        let own = std::process::id();
        assert!(open(own, "Cargo.toml").is_ok());
        assert!(open(own, "../Cargo.toml").is_err());
        assert!(open(own, "/dev/null").is_err(), "a device is not read");
    }

    proptest! {
        #[test]
        fn never_panics_and_tells_no_more_than_its_bound(
            start in prop_oneof![Just(b"\x7fELF\x02\x01".to_vec()), Just(b"#!".to_vec())],
            rest in proptest::collection::vec(any::<u8>(), 0..512),
        ) {
            let seen = look(&[start, rest].concat());
            prop_assert!(seen.interpreter.chars().count() <= MAX_INTERPRETER);
        }
    }
}
