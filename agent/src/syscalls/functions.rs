//! Names of the kernel's functions by the calls that they make. Must not know which calls matter.

/// What their names begin with.
const PREFIX: &str = if cfg!(target_arch = "aarch64") {
    "__arm64_sys_"
} else {
    "__x64_sys_"
};

/// Calls whose function goes by another name.
const RENAMED: [(&str, &str); 4] = [
    ("fstat", "newfstat"),
    ("lstat", "newlstat"),
    ("stat", "newstat"),
    ("umount2", "umount"),
];

/// Returns the name of the function that makes `call`. It is given the caller's registers, and nothing else.
pub(crate) fn function_of(call: &str) -> String {
    let renamed = RENAMED.iter().find(|(known, _)| *known == call);
    format!("{PREFIX}{}", renamed.map_or(call, |(_, name)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_called_as_its_call_but_for_a_few() {
        for (call, rest) in [
            ("openat", "_sys_openat"),
            ("newfstatat", "_sys_newfstatat"),
            ("stat", "_sys_newstat"),
            ("umount2", "_sys_umount"),
        ] {
            let function = function_of(call);
            assert!(function.starts_with("__"), "{function}");
            assert!(function.ends_with(rest), "{function}");
        }
    }
}
