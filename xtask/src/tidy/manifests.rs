//! Rules about the manifests of the packages: lints, and what the two pure packages depend on.
//!
//! Reads as much TOML as the manifests here are written in, and no more.

use super::{Problem, RepositoryFile};

/// Generated code keeps to nobody's lints.
const WITHOUT_LINTS: [&str; 1] = ["proto/Cargo.toml"];
/// Crates that would bring a runtime, a network, files, a clock or randomness into the engine.
const IMPURE_CRATES: [&str; 20] = [
    "async-std",
    "axum",
    "aya",
    "chrono",
    "fastrand",
    "getrandom",
    "hyper",
    "inquest-agent",
    "inquest-aggregator",
    "inquest-proto",
    "jiff",
    "kube",
    "libc",
    "procfs",
    "rand",
    "reqwest",
    "rusqlite",
    "rustix",
    "tokio",
    "tonic",
];

/// Applies the rules if the file is the manifest of a package.
pub(super) fn check(file: &RepositoryFile) -> Vec<Problem> {
    if !file.is_manifest() || section(&file.text, "package").is_empty() {
        return Vec::new();
    }
    let mut problems = check_lints(file);
    match file.path.as_str() {
        "aggregator/engine/Cargo.toml" => problems.extend(check_engine(file)),
        "agent-ebpf/abi/Cargo.toml" => problems.extend(check_abi(file)),
        _ => {}
    }
    problems
}

fn check_lints(file: &RepositoryFile) -> Vec<Problem> {
    let inherits = section(&file.text, "lints").contains(&("workspace", "true"));
    if inherits || WITHOUT_LINTS.contains(&file.path.as_str()) {
        return Vec::new();
    }
    vec![file.problem("add `[lints] workspace = true`")]
}

fn check_engine(file: &RepositoryFile) -> Vec<Problem> {
    let impure = |(name, _): &(&str, &str)| IMPURE_CRATES.contains(name);
    let refuse =
        |(name, _)| file.problem(format!("the engine is pure: it cannot depend on {name}"));
    dependencies(&file.text)
        .into_iter()
        .filter(impure)
        .map(refuse)
        .collect()
}

/// The kernel programs and the agent share these types; both sides' needs stay out of them.
fn check_abi(file: &RepositoryFile) -> Vec<Problem> {
    let foreign =
        |(name, value): &(&str, &str)| *name != "aya" || !value.contains("optional = true");
    let refuse = |(name, _)| {
        file.problem(format!(
            "depends on nothing but an optional aya, not on {name}"
        ))
    };
    dependencies(&file.text)
        .into_iter()
        .filter(foreign)
        .map(refuse)
        .collect()
}

/// All run-time and build dependencies: name and value.
fn dependencies(toml: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for header in toml.lines().filter_map(header) {
        let table = header
            .rsplit_once("dependencies.")
            .map(|(_, name)| (name, "a table"));
        match table {
            _ if header.contains("dev-dependencies") => {}
            Some(dependency) => found.push(dependency),
            None if header.ends_with("dependencies") => found.extend(section(toml, header)),
            None => {}
        }
    }
    found
}

/// The keys and values of the section `[name]`. A key like `x.workspace = true` is `x`.
fn section<'a>(toml: &'a str, name: &str) -> Vec<(&'a str, &'a str)> {
    let mut inside = false;
    let mut entries = Vec::new();
    for line in toml.lines() {
        if let Some(header) = header(line) {
            inside = header == name;
        } else if inside && let Some((key, value)) = line.split_once('=') {
            let key = key.split('.').next().unwrap_or_default();
            if !key.trim_start().starts_with('#') {
                entries.push((key.trim().trim_matches('"'), value.trim()));
            }
        }
    }
    entries
}

fn header(line: &str) -> Option<&str> {
    let (header, _) = line.trim().strip_prefix('[')?.split_once(']')?;
    Some(header.trim())
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    const HEAD: &str = "[package]\nname = \"x\"\n\n[lints]\nworkspace = true\n\n";

    fn problems(path: &str, rest: &str) -> Vec<String> {
        let problems = check(&file(path, &format!("{HEAD}{rest}")));
        problems.into_iter().map(|problem| problem.what).collect()
    }

    #[test]
    fn every_package_but_proto_inherits_the_lints() {
        let bare = "[package]\nname = \"x\"\n";
        assert_eq!(check(&file("agent/Cargo.toml", bare)).len(), 1);
        assert_eq!(check(&file("proto/Cargo.toml", bare)), []);
        assert_eq!(check(&file("Cargo.toml", "[workspace]\n")), []);
        assert_eq!(problems("agent/Cargo.toml", ""), [""; 0]);
    }

    #[test]
    fn engine_depends_on_nothing_impure() {
        let path = "aggregator/engine/Cargo.toml";
        let pure = "[dependencies]\nsha2.workspace = true\n[dev-dependencies]\ntokio = \"1\"\n";
        assert_eq!(problems(path, pure), [""; 0]);
        for impure in [
            "[dependencies]\ntokio.workspace = true\n",
            "[dependencies.tokio]\nversion = \"1\"\n",
            "[target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n",
            "[build-dependencies]\n\"rand\" = \"1\"\n",
        ] {
            assert_eq!(problems(path, impure).len(), 1, "{impure}");
            assert_eq!(problems("agent/Cargo.toml", impure), [""; 0], "{impure}");
        }
    }

    #[test]
    fn abi_depends_on_an_optional_aya_alone() {
        let path = "agent-ebpf/abi/Cargo.toml";
        let optional = "[dependencies]\n# why\naya = { workspace = true, optional = true }\n";
        assert_eq!(problems(path, optional), [""; 0]);
        assert_eq!(
            problems(path, "[dependencies]\naya.workspace = true\n").len(),
            1
        );
        assert_eq!(
            problems(path, "[dependencies]\nlibc = { optional = true }\n").len(),
            1
        );
    }
}
