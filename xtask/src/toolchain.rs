//! Which compiler and linker build the kernel programs, and why not another.
//!
//! Choosing is a pure function over what was found; `discover` looks around, `install` changes the
//! machine. Nothing here builds anything.

mod discover;
mod install;
mod version;

use std::fmt;
use std::path::PathBuf;

use anyhow::{Context as _, bail};

pub(crate) use self::discover::discover;
pub(crate) use self::version::{LlvmVersion, RustcVersion};
use crate::output;

/// Names the toolchain to use and rules out all others: a rustup toolchain, or a directory that
/// holds `bin/cargo` and `bin/rustc`.
pub(crate) const TOOLCHAIN_VARIABLE: &str = "AGENT_EBPF_TOOLCHAIN";
/// The `rust-version` of the workspace.
const OLDEST_RELEASE: (u32, u32) = (1, 95);

/// Where a compiler comes from, in the order of preference.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    /// Named by [`TOOLCHAIN_VARIABLE`].
    Explicit,
    /// The nightly of rustup.
    Nightly,
    /// The toolchain that rustup uses in this clone.
    RustupDefault,
    /// `/usr/bin/cargo` and `/usr/bin/rustc`.
    System,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Explicit => TOOLCHAIN_VARIABLE,
            Self::Nightly => "rustup nightly",
            Self::RustupDefault => "rustup default",
            Self::System => "/usr/bin/rustc",
        })
    }
}

/// A compiler on this machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Compiler {
    /// Its cargo.
    pub(crate) cargo: PathBuf,
    /// Its rustc.
    pub(crate) rustc: PathBuf,
    /// What rustc says about itself.
    pub(crate) version: RustcVersion,
    /// Whether the sources of `core` lie beside it, as `-Z build-std` wants them.
    pub(crate) has_source: bool,
}

/// A `bpf-linker` on this machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Linker {
    /// The program.
    pub(crate) path: PathBuf,
    /// The LLVM that it is linked to, when that can be told.
    pub(crate) llvm: Option<LlvmVersion>,
}

/// What was found on this machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Candidates {
    /// What each place held, in the order of preference: a compiler, or why there is none.
    pub(crate) compilers: Vec<(Origin, Result<Compiler, String>)>,
    /// The linkers, in the order of preference.
    pub(crate) linkers: Vec<Linker>,
}

/// A compiler and a linker that go together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Toolchain {
    /// Where the compiler comes from.
    pub(crate) origin: Origin,
    /// The compiler.
    pub(crate) compiler: Compiler,
    /// The linker, on the compiler's LLVM.
    pub(crate) linker: PathBuf,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            origin,
            compiler,
            linker,
        } = self;
        write!(
            f,
            "{origin}: {} with {}",
            compiler.version,
            linker.display()
        )
    }
}

/// What was chosen, and what speaks against the candidates before it.
#[derive(Debug)]
pub(crate) struct Choice {
    /// The first candidate that can build the kernel programs.
    pub(crate) chosen: Option<Toolchain>,
    /// The candidates before it, with the reason.
    pub(crate) rejected: Vec<(Origin, String)>,
}

/// Picks the first candidate that has its sources and a linker on its LLVM.
pub(crate) fn choose(candidates: &Candidates) -> Choice {
    let mut rejected = Vec::new();
    for (origin, compiler) in &candidates.compilers {
        let fit = compiler
            .clone()
            .and_then(|compiler| pair(*origin, compiler, &candidates.linkers));
        match fit {
            Ok(toolchain) => {
                return Choice {
                    chosen: Some(toolchain),
                    rejected,
                };
            }
            Err(reason) => rejected.push((*origin, reason)),
        }
    }
    Choice {
        chosen: None,
        rejected,
    }
}

fn pair(origin: Origin, compiler: Compiler, linkers: &[Linker]) -> Result<Toolchain, String> {
    check_compiler(&compiler)?;
    let wanted = compiler.version.llvm;
    match linkers.iter().find(|linker| linker.llvm == Some(wanted)) {
        Some(linker) => Ok(Toolchain {
            origin,
            compiler,
            linker: linker.path.clone(),
        }),
        None => Err(format!(
            "{} wants {}",
            compiler.version,
            missing_linker(wanted, linkers)
        )),
    }
}

fn check_compiler(compiler: &Compiler) -> Result<(), String> {
    let version = &compiler.version;
    if version.release < OLDEST_RELEASE {
        let (major, minor) = OLDEST_RELEASE;
        return Err(format!("{version} is older than {major}.{minor}"));
    }
    if !compiler.has_source {
        return Err(format!("{version} has no rust-src"));
    }
    Ok(())
}

fn missing_linker(wanted: LlvmVersion, linkers: &[Linker]) -> String {
    let found: Vec<String> = linkers
        .iter()
        .map(|linker| match linker.llvm {
            Some(llvm) => format!("{} is on LLVM {llvm}", linker.path.display()),
            None => format!("{} does not tell its LLVM", linker.path.display()),
        })
        .collect();
    let found = if found.is_empty() {
        "there is none".to_owned()
    } else {
        found.join(", ")
    };
    format!("a bpf-linker on LLVM {wanted}; {found}")
}

/// Tells whether the toolchain was asked for by name.
pub(crate) fn is_explicit() -> bool {
    std::env::var_os(TOOLCHAIN_VARIABLE).is_some()
}

/// Returns a toolchain that can build the kernel programs, installing what is missing if allowed.
///
/// # Errors
///
/// Says for each candidate why it cannot be used, and what to do about it.
pub(crate) fn ensure(candidates: &Candidates, may_install: bool) -> anyhow::Result<Toolchain> {
    let choice = choose(candidates);
    if let Some(toolchain) = choice.chosen {
        report(&toolchain, &choice.rejected);
        return Ok(toolchain);
    }
    if !may_install || is_explicit() {
        bail!("{}", explain(&choice.rejected));
    }
    install::missing(candidates).with_context(|| explain(&choice.rejected))?;
    let choice = choose(&discover());
    let toolchain = choice.chosen.with_context(|| explain(&choice.rejected))?;
    report(&toolchain, &choice.rejected);
    Ok(toolchain)
}

fn report(toolchain: &Toolchain, rejected: &[(Origin, String)]) {
    output::progress(format_args!("kernel programs are built by {toolchain}"));
    for (origin, reason) in rejected {
        output::progress(format_args!("  not by {origin}: {reason}"));
    }
}

fn explain(rejected: &[(Origin, String)]) -> String {
    let reasons = rejected
        .iter()
        .map(|(origin, reason)| format!("\n  {origin}: {reason}"));
    let mut text = "found no toolchain that can build the kernel programs".to_owned();
    text.extend(reasons);
    text.push_str(
        "\nnext: on Debian run `cargo xtask build-ebpf` as root (or with password-free sudo), which \
         installs what is\nmissing; elsewhere run `rustup toolchain install nightly --component \
         rust-src` and install a bpf-linker\nwhose LLVM is that of `rustc +nightly -vV`",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn llvm(major: u32, minor: u32) -> LlvmVersion {
        LlvmVersion { major, minor }
    }

    fn compiler(minor: u32, llvm: LlvmVersion, has_source: bool) -> Compiler {
        Compiler {
            cargo: "/x/bin/cargo".into(),
            rustc: "/x/bin/rustc".into(),
            version: RustcVersion {
                release: (1, minor),
                text: format!("1.{minor}.0"),
                llvm,
            },
            has_source,
        }
    }

    fn linker(path: &str, llvm: Option<LlvmVersion>) -> Linker {
        Linker {
            path: path.into(),
            llvm,
        }
    }

    #[test]
    fn takes_the_first_candidate_that_fits_and_says_why_not_the_others() {
        let old_style = compiler(63, llvm(14, 0), true);
        let fit = compiler(96, llvm(22, 1), true);
        let no_source = compiler(97, llvm(22, 1), false);
        let other_llvm = compiler(99, llvm(23, 0), true);
        let cases = [
            (
                "nightly first",
                vec![Ok(fit.clone()), Ok(fit.clone())],
                Some(Origin::Nightly),
                "",
            ),
            (
                "no sources",
                vec![Ok(no_source), Ok(fit.clone())],
                Some(Origin::RustupDefault),
                "no rust-src",
            ),
            (
                "other LLVM",
                vec![Ok(other_llvm), Ok(fit.clone())],
                Some(Origin::RustupDefault),
                "LLVM 23.0",
            ),
            ("too old", vec![Ok(old_style)], None, "older than 1.95"),
            (
                "absent",
                vec![Err("not installed".to_owned())],
                None,
                "not installed",
            ),
            ("nothing", vec![], None, ""),
        ];
        let linkers = vec![linker("/a", None), linker("/b", Some(llvm(22, 1)))];
        for (name, found, origin, reason) in cases {
            let order = [Origin::Nightly, Origin::RustupDefault];
            let compilers = order.into_iter().zip(found).collect();
            let choice = choose(&Candidates {
                compilers,
                linkers: linkers.clone(),
            });
            assert_eq!(choice.chosen.as_ref().map(|t| t.origin), origin, "{name}");
            let reasons: String = choice.rejected.into_iter().map(|(_, why)| why).collect();
            assert!(reasons.contains(reason), "{name}: {reasons}");
            if let Some(toolchain) = choice.chosen {
                assert_eq!(toolchain.linker, PathBuf::from("/b"), "{name}");
            }
        }
    }

    #[test]
    fn names_the_llvm_of_every_linker_that_does_not_fit() {
        let linkers = [linker("/a", None), linker("/b", Some(llvm(23, 1)))];
        let text = missing_linker(llvm(22, 1), &linkers);
        assert_eq!(
            text,
            "a bpf-linker on LLVM 22.1; /a does not tell its LLVM, /b is on LLVM 23.1"
        );
        assert!(missing_linker(llvm(22, 1), &[]).ends_with("there is none"));
    }
}
