//! Compares output with a file in `tests/golden`; `UPDATE_GOLDEN=1` writes the files anew.

use std::path::Path;

/// Fails unless `text` is what `tests/golden/NAME` holds.
#[track_caller]
pub(crate) fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run with UPDATE_GOLDEN=1", path.display()));
    assert!(
        text == expected,
        "{name} differs; if that is meant, run with UPDATE_GOLDEN=1\n--- expected\n{expected}--- got\n{text}"
    );
}
