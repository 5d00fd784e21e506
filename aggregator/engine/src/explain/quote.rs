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

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn keeps_printable_names_and_disarms_control_characters() {
        assert_eq!(clean("nginx: worker"), "nginx: worker");
        assert_eq!(clean("a\u{1b}[2Jb\n"), "a?[2Jb?");
        assert_eq!(clean(&"x".repeat(2000)).len(), 512);
    }
}
