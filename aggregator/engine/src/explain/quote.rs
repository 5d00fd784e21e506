//! Names from the kernel made fit for a sentence. Must keep a printable name unchanged.

/// Longest name that a text repeats; a cgroup path of nested containers stays whole.
const MAX_NAME_CHARS: usize = 512;

/// Gives a name without control characters: a process chooses its own name, and a terminal obeys some.
pub(crate) fn clean(name: &str) -> String {
    name.chars()
        .take(MAX_NAME_CHARS)
        .map(|char| if char.is_control() { '?' } else { char })
        .collect()
}

/// Gives a name as one word of a shell command: systemd writes backslashes into unit names, and who
/// names a cgroup must not put a command into what a person may copy.
pub(crate) fn word(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:@+=".contains(c);
    if !name.is_empty() && name.chars().all(is_plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::{clean, word};

    #[test]
    fn a_name_is_one_word_of_a_command() {
        for (name, quoted) in [
            ("app@1.service", "app@1.service"),
            (r"dev-a\x2db.scope", r"'dev-a\x2db.scope'"),
            ("x; reboot .scope", "'x; reboot .scope'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(word(name), quoted);
        }
    }

    #[test]
    fn keeps_printable_names_and_disarms_control_characters() {
        assert_eq!(clean("nginx: worker"), "nginx: worker");
        assert_eq!(clean("a\u{1b}[2Jb\n"), "a?[2Jb?");
        assert_eq!(clean(&"x".repeat(2000)).len(), 512);
    }
}
