//! Finds the incidents that a person means by a word: an id, a pid, a container, a pod, a cgroup. Must
//! not guess: it matches names that an incident carries, nothing else.

use inquest_api::Incident;
use rusqlite::{Connection, params};

use super::read;
use crate::store::ReadError;

/// Fewest characters of a container or incident id that count as naming it, as with `docker` and `git`.
const MIN_PREFIX: usize = 8;
/// Incident ids start so; the prefix itself does not count as naming one.
const INCIDENT_PREFIX: &str = "inc-";

/// Whether a word can name an incident in some way at all.
type Applies = fn(&str) -> bool;

/// How a word can name an incident, the most exact first; the first that finds something answers.
const WAYS: &[(Applies, &str)] = &[
    (any, "SELECT id FROM incident WHERE id = ?1"),
    (
        any,
        "SELECT incident_id FROM incident_alias WHERE alias = ?1",
    ),
    (
        is_id_prefix,
        // '~' sorts after every character of an id.
        "SELECT id FROM incident WHERE id >= ?1 AND id < ?1 || '~'
         UNION SELECT incident_id FROM incident_alias WHERE alias >= ?1 AND alias < ?1 || '~'",
    ),
    (
        is_path_suffix,
        "SELECT incident_id FROM incident_alias
         WHERE substr(alias, -length(trim(?1, '/')) - 1) = '/' || trim(?1, '/')",
    ),
];

/// Incidents that `target` names, best first: the open before the resolved, then the newest.
pub fn search(
    connection: &Connection,
    target: &str,
    limit: u32,
) -> Result<Vec<Incident>, ReadError> {
    for (applies, ids) in WAYS {
        if !applies(target) {
            continue;
        }
        let sql = format!(
            "SELECT incident, analysis FROM incident WHERE id IN ({ids})
             ORDER BY state = 'open' DESC, last_seen_at DESC, id LIMIT ?2"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let found = read(statement.query(params![target, limit])?)?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

fn any(_: &str) -> bool {
    true
}

fn is_id_prefix(target: &str) -> bool {
    let digits = target.strip_prefix(INCIDENT_PREFIX);
    let id = digits.unwrap_or(target);
    let long_enough = digits.is_some_and(|digits| !digits.is_empty()) || id.len() >= MIN_PREFIX;
    // A pod UID has dashes.
    let is_id = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    long_enough && id.bytes().all(is_id)
}

fn is_path_suffix(target: &str) -> bool {
    target.bytes().any(|byte| byte != b'/')
}
