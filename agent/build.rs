//! Copies the object that `cargo xtask build-ebpf` made to where the agent embeds it from. Must not
//! build it: everything else compiles, lints and tests without the eBPF toolchain.

use std::{env, fs, io, path::PathBuf};

fn main() -> io::Result<()> {
    let object = env::var_os("AGENT_EBPF_OBJ").map_or_else(
        || PathBuf::from("../target/bpf/inquest-agent-ebpf"),
        PathBuf::from,
    );
    println!("cargo::rerun-if-env-changed=AGENT_EBPF_OBJ");
    println!("cargo::rerun-if-changed={}", object.display());

    let bytes = match fs::read(&object) {
        Ok(bytes) => bytes,
        // The agent says at run time that it was built without.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let out_dir = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?;
    fs::write(PathBuf::from(out_dir).join("inquest-agent-ebpf"), bytes)
}
