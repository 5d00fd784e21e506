//! What programs fail at whenever they start, and go on: the loader's and the library's optional files.
//! Must name nothing that a program could be missing.

use crate::model::signal::FailedCall;

/// Files that are optional to the loader, the C library and the usual runtimes.
const OPTIONAL_FILES: [&str; 18] = [
    "/etc/ld.so.preload",
    "/etc/ld.so.cache",
    "/etc/ld.so.nohwcap",
    "/etc/localtime",
    "/etc/default/locale",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/netsvc.conf",
    "/etc/suid-debug",
    "/etc/selinux/config",
    "/etc/terminfo",
    "/etc/inputrc",
    "/var/run/nscd/socket",
    "/run/nscd/socket",
    "/dev/tty",
    // Of the resolver that Node.js and curl bring along.
    "/etc/svc.conf",
    // Of SQLite: no file at all.
    ":memory:",
];

/// Parts of paths where runtimes look for what they can do without.
const OPTIONAL_PARTS: [&str; 19] = [
    "/glibc-hwcaps/",
    "/locale/",
    "/LC_MESSAGES/",
    "/locale.alias",
    "/gconv",
    "/zoneinfo/",
    "/terminfo/",
    "/__pycache__",
    "/pyvenv.cfg",
    "/pybuilddir.txt",
    "/sitecustomize",
    "/usercustomize",
    "/proc/",
    "/sys/",
    "/.config/",
    "/.cache/",
    "/.local/",
    "/.java_pid",
    "/userdb/",
];

/// Directories in which the loader looks for libraries that are made for one kind of CPU.
const CPU_DIRECTORIES: [&str; 5] = ["haswell", "xeon_phi", "avx512_1", "x86_64", "tls"];

/// Parts of paths that a program may not be let into, and goes on: caches that it would like to write, and
/// what belongs to other processes.
const SPARE_PARTS: [&str; 5] = [
    "/__pycache__",
    "/.config/",
    "/.cache/",
    "/.local/",
    "/proc/",
];

/// The part of `/proc` that programs write on purpose.
const SETTINGS: &str = "/proc/sys/";

/// Exit code of the loader when a library is missing, and of shells when a program is.
const NOT_FOUND: u32 = 127;

/// Whether every program of some sort fails so and goes on.
pub(super) fn is_noise(call: &FailedCall) -> bool {
    let path = call.path.as_str();
    match call.errno.as_str() {
        "ENOENT" => {
            OPTIONAL_FILES.contains(&path)
                || OPTIONAL_PARTS.iter().any(|part| path.contains(part))
                || is_library(path)
                || is_of_user(path)
                || call.address.is_some()
        }
        "EACCES" | "EPERM" | "EROFS" => {
            !path.starts_with(SETTINGS) && SPARE_PARTS.iter().any(|part| path.contains(part))
        }
        _ => false,
    }
}

/// Whether the call looked for a library, and the exit code says that one was missing.
pub(super) fn is_missing_library(call: &FailedCall, exit_code: u32) -> bool {
    let is_in_cache = call.path.contains("/glibc-hwcaps/");
    exit_code == NOT_FOUND && is_library(&call.path) && !is_in_cache
}

/// A user's own settings of a program, as `.curlrc`: most users have none.
fn is_of_user(path: &str) -> bool {
    let name = file_name(path);
    name.starts_with('.') && name.ends_with("rc")
}

/// The last part of a path.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Libraries, of programs and of interpreters, are looked for in directory after directory.
fn is_library(path: &str) -> bool {
    let name = file_name(path);
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    // Perl asks for a compiled form of each of its modules.
    name.contains(".so.")
        || CPU_DIRECTORIES.contains(&name)
        || extension.is_some_and(|extension| ["so", "pmc"].contains(&extension))
}

#[cfg(test)]
mod tests {
    use super::{is_missing_library, is_noise};
    use crate::model::signal::FailedCall;

    fn missing(path: &str) -> FailedCall {
        FailedCall {
            syscall: "openat".to_owned(),
            errno: "ENOENT".to_owned(),
            path: path.to_owned(),
            ..FailedCall::default()
        }
    }

    #[test]
    fn knows_what_every_start_fails_at() {
        for (path, noise) in [
            ("/etc/ld.so.preload", true),
            (
                "/usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v4/libc.so.6",
                true,
            ),
            ("/usr/lib/locale/C.UTF-8/LC_IDENTIFICATION", true),
            ("/usr/lib/python3.11/pyvenv.cfg", true),
            ("/lib/libpq.so.5", true),
            ("/etc/shop/config.yaml", false),
            ("settings.toml", false),
        ] {
            assert_eq!(is_noise(&missing(path)), noise, "{path}");
        }
    }

    #[test]
    fn a_library_is_missing_only_when_the_loader_says_so() {
        let library = missing("/usr/lib/libpq.so.5");
        assert!(is_missing_library(&library, 127));
        assert!(!is_missing_library(&library, 1));
        assert!(!is_missing_library(&missing("/etc/shop/config.yaml"), 127));
    }
}
