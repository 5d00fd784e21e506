//! Where the binaries under test are. Must build nothing: `cargo xtask` does.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Overrides where the binaries are looked for.
const DIR_VARIABLE: &str = "INQUEST_BIN_DIR";

/// The daemons and the command line, all of one build.
#[derive(Clone, Debug)]
pub struct Binaries {
    pub aggregator: PathBuf,
    pub agent: PathBuf,
    pub cli: PathBuf,
}

impl Binaries {
    /// Finds them in `INQUEST_BIN_DIR`, else beside the running binary.
    pub fn beside_own() -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("failed to find the running binary")?;
        Self::find(own.parent().unwrap_or(Path::new(".")))
    }

    /// Finds them in `INQUEST_BIN_DIR`, else in `dir`.
    pub fn find(dir: &Path) -> anyhow::Result<Self> {
        let dir = std::env::var_os(DIR_VARIABLE).map_or_else(|| dir.to_owned(), PathBuf::from);
        let binary = |name: &str| {
            let path = dir.join(name);
            anyhow::ensure!(
                path.is_file(),
                "no {name} in {}\nnext: run it through `cargo xtask`, which builds it",
                dir.display()
            );
            Ok(path)
        };
        Ok(Self {
            aggregator: binary("inquest-aggregator")?,
            agent: binary("inquest-agent")?,
            cli: binary("inquest")?,
        })
    }
}
