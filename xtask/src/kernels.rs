//! Gets the kernels that guests boot: Debian's packages, through the mirrors that the machine's apt is
//! set up with.
//!
//! Keeps what it got outside the clone and asks no mirror a second time. Changes nothing of the
//! machine's apt: lists and archives have a place of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::command::{self, Show};
use crate::{output, workspace};

/// A series of kernels that the product must run on, and where Debian has its newest.
#[derive(Debug)]
pub(crate) struct Series {
    /// How it is called here; its kernels' releases begin so.
    pub(crate) name: &'static str,
    suite: &'static str,
    metapackage: &'static str,
    /// Every machine can have it: that it cannot be had is a failure, not a skip.
    pub(crate) required: bool,
}

/// All series of the matrix, oldest first.
pub(crate) const MATRIX: [Series; 4] = [
    Series {
        name: "5.10",
        suite: "bullseye-security",
        metapackage: "linux-image-cloud-amd64",
        required: false,
    },
    Series {
        name: "6.1",
        suite: "bookworm-security",
        metapackage: "linux-image-cloud-amd64",
        required: true,
    },
    Series {
        name: "6.12",
        suite: "bookworm-security",
        metapackage: "linux-image-6.12-cloud-amd64",
        required: true,
    },
    Series {
        name: "7",
        suite: "trixie-backports",
        metapackage: "linux-image-cloud-amd64",
        required: false,
    },
];

/// Modules that guests load: what a node has loaded when something asks for it.
const MODULES: [&str; 4] = ["loop", "inet_diag", "tcp_diag", "veth"];
/// In a kernel's folder: which modules were looked for when it was fetched.
const KEPT: &str = "kept-modules";
/// Packages that hold a kernel, or depend on the one that does.
const KERNEL_PACKAGES: [&str; 2] = ["linux-image-", "linux-binary-"];
/// Packages that hold modules alone; others have them beside the kernel.
const MODULE_PACKAGES: [&str; 1] = ["linux-modules-"];
/// From a metapackage to the kernel there are three packages; more would be a circle.
const MAX_DEPENDENCIES: usize = 8;

/// Returns the folder of a kernel, fetching it the first time: its image, `vmlinuz`, and `modules`.
///
/// # Errors
///
/// Fails, with the reason, when no mirror of this machine has it.
pub(crate) fn folder(series: &Series) -> anyhow::Result<PathBuf> {
    let dir = workspace::cache("kernels")?.join(series.name);
    let kept = fs::read_to_string(dir.join(KEPT)).unwrap_or_default();
    if !(dir.join("vmlinuz").is_file() && kept == MODULES.join(" ")) {
        fetch(series, &dir).with_context(|| format!("kernel {} cannot be had", series.name))?;
    }
    Ok(dir)
}

fn fetch(series: &Series, dir: &Path) -> anyhow::Result<()> {
    // What an interrupted run left would be in the way.
    if dir.is_dir() {
        fs::remove_dir_all(dir).with_context(|| format!("failed to clear {}", dir.display()))?;
    }
    let apt = PrivateApt::open(&dir.join("apt"), series.suite)?;
    let unpacked = dir.join("unpacked");
    for package in apt.kernel_packages(series.metapackage)? {
        output::progress(format_args!(
            "kernel {}: {package} from {}",
            series.name, series.suite
        ));
        let archive = apt.download(&package)?;
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("--extract").arg(&archive).arg(&unpacked);
        command::run(
            &format!("unpacking {package}"),
            &mut unpack,
            Show::Heartbeat,
        )?;
    }
    keep_modules(&unpacked, &dir.join("modules"))?;
    let kept = dir.join(KEPT);
    fs::write(&kept, MODULES.join(" "))
        .with_context(|| format!("failed to write {}", kept.display()))?;
    let found = find_image(&unpacked)?;
    // The last step is what makes it be there: nothing half-fetched is ever booted.
    fs::rename(&found, dir.join("vmlinuz"))
        .with_context(|| format!("failed to keep {}", found.display()))?;
    for rest in [unpacked, dir.join("apt")] {
        fs::remove_dir_all(&rest).with_context(|| format!("failed to clear {}", rest.display()))?;
    }
    Ok(())
}

/// Copies the modules that guests load, compressed or not.
fn keep_modules(unpacked: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("failed to create {}", to.display()))?;
    let mut dirs = vec![unpacked.to_owned()];
    while let Some(dir) = dirs.pop() {
        for path in entries(&dir) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Some packages have links to folders that are elsewhere.
            if path.is_dir() && !path.is_symlink() {
                dirs.push(path);
            } else if name
                .split_once(".ko")
                .is_some_and(|(name, _)| MODULES.contains(&name))
            {
                fs::copy(&path, to.join(&*name))
                    .with_context(|| format!("failed to keep {}", path.display()))?;
            }
        }
    }
    Ok(())
}

/// `boot/vmlinuz-RELEASE`, or `usr/lib/modules/RELEASE/vmlinuz` in later packages.
fn find_image(unpacked: &Path) -> anyhow::Result<PathBuf> {
    let mut places = vec![unpacked.join("boot")];
    for modules in ["lib/modules", "usr/lib/modules"] {
        places.extend(entries(&unpacked.join(modules)));
    }
    let mut files = places.iter().flat_map(|place| entries(place));
    let is_image = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("vmlinuz") && path.is_file()
    };
    files
        .find(is_image)
        .context("the package holds no kernel image")
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// An apt with one suite, apart from the machine's own.
struct PrivateApt {
    dir: PathBuf,
}

impl PrivateApt {
    /// Gets the package lists of `suite`.
    fn open(dir: &Path, suite: &str) -> anyhow::Result<Self> {
        for needed in ["lists/partial", "cache/archives/partial"] {
            let needed = dir.join(needed);
            fs::create_dir_all(&needed)
                .with_context(|| format!("failed to create {}", needed.display()))?;
        }
        let apt = Self {
            dir: dir.to_owned(),
        };
        let mirror = mirror(suite)?;
        let sources = apt.sources();
        fs::write(&sources, format!("deb {mirror} {suite} main\n"))
            .with_context(|| format!("failed to write {}", sources.display()))?;
        let mut update = apt.command("apt-get");
        // Without this a suite that is not there is a mere warning.
        update.args(["-o", "APT::Update::Error-Mode=any", "update"]);
        command::run(
            &format!("reading the packages of {suite}"),
            &mut update,
            Show::Heartbeat,
        )?;
        Ok(apt)
    }

    fn sources(&self) -> PathBuf {
        self.dir.join("sources.list")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let options = [
            ("Dir::Etc::sourcelist", self.sources()),
            ("Dir::Etc::sourceparts", PathBuf::from("-")),
            ("Dir::State::lists", self.dir.join("lists")),
            ("Dir::Cache", self.dir.join("cache")),
            // The folder may be one that only this user can enter.
            ("APT::Sandbox::User", PathBuf::from("root")),
        ];
        for (name, value) in options {
            command.arg("-o").arg(format!("{name}={}", value.display()));
        }
        command.current_dir(&self.dir).env("LC_ALL", "C");
        command
    }

    /// Follows the dependencies from a metapackage to the packages that hold the kernel and its modules.
    fn kernel_packages(&self, metapackage: &str) -> anyhow::Result<Vec<String>> {
        let mut package = metapackage.to_owned();
        let mut modules = Vec::new();
        for _ in 0..MAX_DEPENDENCIES {
            let mut depends = self.command("apt-cache");
            depends.args(["depends", "--important", &package]);
            let depends = command::capture(&mut depends)
                .with_context(|| format!("no mirror of this machine has `{package}`"))?;
            if package != metapackage {
                modules.extend(next_package(&depends, &MODULE_PACKAGES).map(str::to_owned));
            }
            match next_package(&depends, &KERNEL_PACKAGES) {
                Some(next) => next.clone_into(&mut package),
                None if package == metapackage => bail!("`{package}` depends on no kernel"),
                None => {
                    modules.push(package);
                    return Ok(modules);
                }
            }
        }
        bail!("the dependencies of `{metapackage}` have no end");
    }

    fn download(&self, package: &str) -> anyhow::Result<PathBuf> {
        let mut download = self.command("apt-get");
        download.args(["download", package]);
        command::run(
            &format!("downloading {package}"),
            &mut download,
            Show::Heartbeat,
        )?;
        let is_archive = |path: &PathBuf| path.extension().is_some_and(|end| end == "deb");
        let is_it = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            is_archive(path) && name.starts_with(&format!("{package}_"))
        };
        let archive = entries(&self.dir).into_iter().find(is_it);
        archive.with_context(|| format!("apt did not leave `{package}` where it was to"))
    }
}

/// The dependency, in what `apt-cache depends` prints, whose name begins with one of `starts`.
fn next_package<'a>(depends: &'a str, starts: &[&str]) -> Option<&'a str> {
    let mut names = depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "));
    names.find(|name| starts.iter().any(|start| name.starts_with(start)))
}

/// Where this machine gets a suite like `suite` from: the mirror of security updates for such a one,
/// else that of the release.
fn mirror(suite: &str) -> anyhow::Result<String> {
    let mut targets = Command::new("apt-get");
    targets.args([
        "indextargets",
        "--format",
        "$(RELEASE) $(COMPONENT) $(REPO_URI)",
    ]);
    let targets = command::capture(&mut targets)
        .context("this machine has no apt that could tell its mirrors")?;
    choose_mirror(&targets, suite)
        .map(str::to_owned)
        .with_context(|| format!("apt is set up with no mirror that could have {suite}"))
}

/// Chooses among lines of release, component and address.
fn choose_mirror<'a>(targets: &'a str, suite: &str) -> Option<&'a str> {
    let is_security = |release: &str| release.ends_with("-security");
    targets.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (release, component, mirror) = (words.next()?, words.next()?, words.next()?);
        // Mirrors of other projects have no such component, or no suite of updates.
        let fits = component == "main" && is_security(release) == is_security(suite);
        (fits && is_debian(targets, mirror, release)).then_some(mirror)
    })
}

/// Debian's own release is known by its updates: no other archive has a suite named like it with
/// `-security` or `-updates`.
fn is_debian(targets: &str, mirror: &str, release: &str) -> bool {
    let updates = format!("{release}-updates ");
    release.ends_with("-security")
        || targets
            .lines()
            .any(|line| line.starts_with(&updates) && line.ends_with(mirror))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: &str = "\
cloud-sdk-bookworm main https://packages.example.com/apt/
bookworm main http://mirror.example.org/debian/
bookworm-updates main http://mirror.example.org/debian/
bookworm-security main http://mirror.example.org/debian-security/
";

    #[test]
    fn takes_the_mirror_that_the_machine_uses_for_such_a_suite() {
        for (suite, expected) in [
            ("trixie-backports", "http://mirror.example.org/debian/"),
            (
                "bullseye-security",
                "http://mirror.example.org/debian-security/",
            ),
        ] {
            assert_eq!(choose_mirror(TARGETS, suite), Some(expected), "{suite}");
        }
        assert_eq!(choose_mirror("", "bookworm"), None);
        let foreign = "nodistro main https://packages.example.com/node/\n";
        assert_eq!(choose_mirror(foreign, "trixie-backports"), None);
    }

    #[test]
    fn follows_the_dependencies_to_the_kernel() {
        let metapackage = "linux-image-cloud-amd64\n  Depends: linux-base-cloud-amd64\n  \
                           Depends: linux-image-7.3.4+deb13-cloud-amd64\n";
        assert_eq!(
            next_package(metapackage, &KERNEL_PACKAGES),
            Some("linux-image-7.3.4+deb13-cloud-amd64")
        );
        let image = "linux-image-7.3.4+deb13-cloud-amd64\n  PreDepends: linux-base\n \
                     |Depends: <dracut>\n  Depends: linux-binary-7.3.4+deb13-cloud-amd64\n";
        assert_eq!(
            next_package(image, &KERNEL_PACKAGES),
            Some("linux-binary-7.3.4+deb13-cloud-amd64")
        );
        assert_eq!(
            next_package("linux-binary-7.3.4+deb13-cloud-amd64\n", &KERNEL_PACKAGES),
            None
        );
    }

    #[test]
    fn finds_the_image_where_each_kind_of_package_has_it() {
        for path in [
            "boot/vmlinuz-6.1.0-1-amd64",
            "usr/lib/modules/7.3.4-amd64/vmlinuz",
        ] {
            let dir = std::env::temp_dir().join(format!("inquest-kernel-{}", std::process::id()));
            let image = dir.join(path);
            fs::create_dir_all(image.parent().unwrap()).unwrap();
            fs::write(&image, "").unwrap();
            assert_eq!(find_image(&dir).unwrap(), image);
            fs::remove_dir_all(&dir).unwrap();
        }
        assert!(find_image(Path::new("/nonexistent")).is_err());
    }
}
