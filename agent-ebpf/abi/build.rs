//! Sums up the sources of the abi, so that an agent and kernel programs that were built from different ones can tell.
//! Must not depend on anything but these sources: both sides are built apart, by different compilers.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=src");
    let mut files = Vec::new();
    list(Path::new("src"), &mut files)?;
    files.sort();
    let mut sum = FNV_OFFSET;
    for file in files {
        sum = fnv(sum, file.to_string_lossy().as_bytes());
        sum = fnv(sum, &fs::read(&file)?);
    }
    println!("cargo::rustc-env=INQUEST_ABI={sum:016x}");
    Ok(())
}

fn list(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// FNV-1a: no secret is kept by it, it only has to differ.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

fn fnv(sum: u64, bytes: &[u8]) -> u64 {
    let mix = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
    bytes.iter().fold(sum, mix)
}
