//! What an agent is to be given, as `docs/privileges.md` has it. Must not know better.

/// The guide.
const GUIDE: &str = include_str!("../../../docs/privileges.md");

/// Returns the capabilities that the guide's example adds, in its order, without `CAP_`. Empty when it has no example.
pub fn documented_capabilities() -> Vec<&'static str> {
    let list = GUIDE
        .split_once("add: [")
        .and_then(|(_, rest)| rest.split_once(']'));
    list.map(|(list, _)| list.split(", ").collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_example_of_the_guide() {
        assert!(documented_capabilities().contains(&"BPF"));
    }
}
