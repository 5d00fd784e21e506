//! Versions as `rustc -vV` and `ldd` tell them.
//!
//! Parses text only; runs nothing.

use std::fmt;

/// LLVM's version as far as bitcode must agree between compiler and linker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct LlvmVersion {
    /// The part before the first dot.
    pub(crate) major: u32,
    /// The part after it.
    pub(crate) minor: u32,
}

impl LlvmVersion {
    /// Reads the version out of what `ldd` says about a program linked to LLVM.
    ///
    /// Libraries are called `libLLVM.so.22.1`, and were called `libLLVM-17.so.1`; the older form
    /// does not tell the minor version, and no compiler that is new enough has it. A library that
    /// is gone has no version: the program cannot run.
    pub(crate) fn from_ldd(ldd: &str) -> Option<Self> {
        ldd.lines().find_map(|line| {
            if line.contains("=> not found") {
                return None;
            }
            let (_, version) = line.split_whitespace().next()?.split_once("libLLVM.so.")?;
            Self::parse(version)
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = leading_pair(text)?;
        Some(Self { major, minor })
    }
}

impl fmt::Display for LlvmVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What a compiler says about itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct RustcVersion {
    /// Its release as major and minor number.
    pub(crate) release: (u32, u32),
    /// Its release in full, for example `1.97.0-nightly`.
    pub(crate) text: String,
    /// The LLVM it generates code with.
    pub(crate) llvm: LlvmVersion,
}

impl RustcVersion {
    /// Reads the output of `rustc -vV`.
    pub(crate) fn from_verbose(output: &str) -> Option<Self> {
        let field = |name: &str| output.lines().find_map(|line| line.strip_prefix(name));
        let text = field("release: ")?.trim().to_owned();
        Some(Self {
            release: leading_pair(&text)?,
            llvm: LlvmVersion::parse(field("LLVM version: ")?.trim())?,
            text,
        })
    }

    /// Tells whether this compiler allows unstable features by itself.
    pub(crate) fn is_nightly(&self) -> bool {
        self.text.contains("-nightly") || self.text.contains("-dev")
    }
}

impl fmt::Display for RustcVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rustc {} (LLVM {})", self.text, self.llvm)
    }
}

fn leading_pair(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_llvm_of_a_linker() {
        let llvm = |major, minor| Some(LlvmVersion { major, minor });
        let cases = [
            (
                "\tlibLLVM.so.22.1 => /usr/lib/llvm-22/lib/libLLVM.so.22.1 (0x00007f)",
                llvm(22, 1),
            ),
            (
                "\tlibc.so.6 => /lib/libc.so.6\n\tlibLLVM.so.21.0 => not found",
                None,
            ),
            ("\t/opt/llvm/lib/libLLVM.so.23.0 (0x00007f)", llvm(23, 0)),
            ("\tlibLLVM-17.so.1 => /lib/libLLVM-17.so.1 (0x00007f)", None),
            ("\tlibLLVM.so.git => /lib/libLLVM.so.git", None),
            ("\tstatically linked", None),
            ("", None),
        ];
        for (ldd, expected) in cases {
            assert_eq!(LlvmVersion::from_ldd(ldd), expected, "{ldd}");
        }
    }

    #[test]
    fn reads_what_a_compiler_says() {
        let text = "rustc 1.96.0 (ac68faa20 2026-05-25)\nbinary: rustc\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
        let version = RustcVersion::from_verbose(text).unwrap();
        assert_eq!(version.release, (1, 96));
        assert_eq!(
            version.llvm,
            LlvmVersion {
                major: 22,
                minor: 1
            }
        );
        assert_eq!(version.to_string(), "rustc 1.96.0 (LLVM 22.1)");
        assert!(!version.is_nightly());

        let text = "release: 1.97.0-nightly\nLLVM version: 22.1.4";
        assert!(RustcVersion::from_verbose(text).unwrap().is_nightly());
    }

    #[test]
    fn refuses_what_is_no_version() {
        for text in [
            "",
            "release: 1.96.0",
            "release: x\nLLVM version: 22.1",
            "LLVM version: 22.1",
        ] {
            assert_eq!(RustcVersion::from_verbose(text), None, "{text}");
        }
    }
}
