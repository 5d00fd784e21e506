//! An incident told in plain words, within one screen: what happened, why, how it came, the
//! evidence, what was ruled out, what could not be seen, what to do. Must not conclude anything.

use inquest_api::Report;
use inquest_api::incident::{ChainLink, Evidence, Hypothesis, Incident, RuledOut};

use self::section::{Item, Section};
use super::color::Style;
use super::{Page, View, text};
use crate::age;

mod analysis;
mod section;

/// Lines that one incident may take without `-o wide`: one screen of a usual terminal.
const SCREEN_LINES: usize = 40;
/// Facts that are told however small the screen.
const MIN_FACTS: usize = 4;
/// Other incidents named below the one that is told.
const MAX_OTHERS: usize = 5;

impl View for Report {
    fn text(&self, page: &Page) -> String {
        let mut parts: Vec<String> = self.incidents.iter().map(|i| tell(i, page)).collect();
        if parts.is_empty() {
            parts.push("No incident: nothing in this case points to a failure.\n".to_owned());
        }
        parts.extend(unread(&self.coverage, page));
        parts.join("\n")
    }

    fn names(&self) -> Vec<String> {
        self.incidents.iter().map(name).collect()
    }
}

/// The answer to `why`: the best match told, the others named.
#[derive(serde::Serialize)]
#[serde(transparent)]
pub(crate) struct Answer(pub Report);

impl View for Answer {
    fn text(&self, page: &Page) -> String {
        let Some((best, others)) = self.0.incidents.split_first() else {
            return self.0.text(page);
        };
        let mut out = tell(best, page);
        if !others.is_empty() {
            out.push_str(&also(others, page));
        }
        out
    }

    fn names(&self) -> Vec<String> {
        self.0.names()
    }
}

impl View for Incident {
    fn text(&self, page: &Page) -> String {
        tell_all(self, page)
    }

    fn names(&self) -> Vec<String> {
        vec![name(self)]
    }
}

/// `incident/ID`, which every command that takes an incident accepts.
pub(crate) fn name(incident: &Incident) -> String {
    format!("incident/{}", incident.id)
}

/// One incident: on one screen, or whole with `-o wide`.
fn tell(incident: &Incident, page: &Page) -> String {
    if page.wide {
        return tell_all(incident, page);
    }
    let mut sections = story(incident);
    let head = head(incident, page);
    let more = format!("`inquest incident show {}`", incident.id);
    section::fit(
        &mut sections,
        SCREEN_LINES.saturating_sub(head.lines().count()),
        page,
    );
    head + &section::render(&sections, Some(&more), page)
}

fn tell_all(incident: &Incident, page: &Page) -> String {
    let mut sections = story(incident);
    sections.extend(details(incident));
    head(incident, page) + &section::render(&sections, None, page)
}

/// Two lines: which incident, its state, since when and where.
fn head(incident: &Incident, page: &Page) -> String {
    let paint = |word: &str| page.paint.apply(Style::of_word(word), &text::clean(word));
    let cause = &incident.root_cause;
    let first = format!(
        "{}  {}  {}  {}  confidence {:.2}",
        page.paint.apply(Style::Strong, &text::clean(&incident.id)),
        paint(&incident.state),
        paint(&incident.severity),
        text::clean(&cause.cause),
        cause.confidence,
    );
    let mut second = vec![format!(
        "opened {} ({} ago)",
        date_time(incident.opened_at.0),
        age::since(incident.opened_at.0, page.now),
    )];
    if incident.occurrences > 1 {
        let last = age::since(incident.last_seen_at.0, page.now);
        second.push(format!(
            "seen {} times, last {last} ago",
            incident.occurrences
        ));
    }
    if !cause.entity.node.is_empty() {
        second.push(format!("node {}", cause.entity.node));
    }
    let second = text::wrap(&second.join(", "), page.width).join("\n");
    format!("{first}\n{second}\n")
}

/// What every reader wants to know, in the order in which they want it.
fn story(incident: &Incident) -> Vec<Section> {
    vec![
        Section::new("What happened", [Item::plain(&incident.headline)]).stays_apart(),
        Section::new("Why", [Item::plain(&incident.explanation)]).joined(),
        Section::new("Chain", chain(&incident.chain)),
        Section::new("Evidence", incident.evidence.iter().map(fact))
            .shrinks_first()
            .keeps(MIN_FACTS),
        Section::new("Ruled out", incident.ruled_out.iter().map(ruled_out)),
        Section::new("Not seen", or_nothing(&incident.coverage)),
        Section::new("What to do", numbered(&incident.remediation)),
        analysis::section(incident.analysis.as_ref()).stays_apart(),
    ]
}

/// What `incident show` adds.
fn details(incident: &Incident) -> Vec<Section> {
    let changes = incident.history.iter().map(|change| {
        let line = format!("{} became {}", change.from, change.to);
        Item::labeled(date_time(change.time.0), &line)
    });
    vec![
        Section::new(
            "Impact",
            incident.impact.iter().map(|line| Item::plain(line)),
        ),
        Section::new("Hypotheses", incident.hypotheses.iter().map(hypothesis)),
        Section::new("Cause history", changes),
        Section::new(
            "Also known as",
            incident.aliases.iter().map(|line| Item::plain(line)),
        ),
    ]
}

/// The first link with its time of day, the others by how long after it.
fn chain(links: &[ChainLink]) -> Vec<Item> {
    let Some(first) = links.first() else {
        return Vec::new();
    };
    let label = |index: usize, link: &ChainLink| {
        if index == 0 {
            time_of_day(link.time.0)
        } else {
            offset(link.time.0, first.time.0)
        }
    };
    let item = |(index, link): (usize, &ChainLink)| {
        Item::labeled(label(index, link), &cited(&link.what, &link.evidence))
    };
    links.iter().enumerate().map(item).collect()
}

fn fact(fact: &Evidence) -> Item {
    let source = if fact.source == "kernel" {
        ""
    } else {
        fact.source.as_str()
    };
    let text = if source.is_empty() {
        fact.text.clone()
    } else {
        format!("{} ({source})", fact.text)
    };
    Item::labeled(fact.id.clone(), &text)
}

fn ruled_out(ruled_out: &RuledOut) -> Item {
    let because = cited(&ruled_out.because, &ruled_out.evidence);
    Item::plain(&format!("{}: {because}", ruled_out.cause))
}

fn hypothesis(hypothesis: &Hypothesis) -> Item {
    let factors: Vec<String> = hypothesis
        .factors
        .iter()
        .map(|factor| format!("{} {:.2}", factor.name, factor.value))
        .collect();
    let mut parts = vec![format!("{} = {}", hypothesis.cause, factors.join(" x "))];
    for (word, ids) in [
        ("for", &hypothesis.supports),
        ("against", &hypothesis.contradicts),
    ] {
        if !ids.is_empty() {
            parts.push(format!("{word} {}", ids.join(", ")));
        }
    }
    Item::labeled(format!("{:.2}", hypothesis.score), &parts.join("; "))
}

fn or_nothing(coverage: &[String]) -> Vec<Item> {
    if coverage.is_empty() {
        return vec![Item::plain("nothing is known to be missing")];
    }
    coverage.iter().map(|line| Item::plain(line)).collect()
}

fn numbered(lines: &[String]) -> impl Iterator<Item = Item> {
    let numbers = 1_usize..;
    numbers
        .zip(lines)
        .map(|(number, line)| Item::labeled(format!("{number}."), line))
}

fn cited(text: &str, evidence: &[String]) -> String {
    if evidence.is_empty() {
        text.to_owned()
    } else {
        format!("{text} [{}]", evidence.join(", "))
    }
}

fn also(others: &[Incident], page: &Page) -> String {
    let mut lines: Vec<Item> = others
        .iter()
        .take(MAX_OTHERS)
        .map(|other| {
            let age = age::since(other.opened_at.0, page.now);
            let line = format!("{} {}, {age} ago", other.state, other.root_cause.cause);
            Item::labeled(other.id.clone(), &line)
        })
        .collect();
    if others.len() > MAX_OTHERS {
        lines.push(Item::plain(&format!(
            "and {} more",
            others.len() - MAX_OTHERS
        )));
    }
    section::render(&[Section::new("Also matching", lines)], None, page)
}

fn unread(coverage: &[String], page: &Page) -> Option<String> {
    if coverage.is_empty() {
        return None;
    }
    let items = coverage.iter().map(|line| Item::plain(line));
    let section = Section::new("Not read", items).joined();
    Some(section::render(&[section], None, page))
}

fn date_time(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn time_of_day(at: jiff::Timestamp) -> String {
    at.strftime("%H:%M:%S%.6f").to_string()
}

/// How long after `first` something was: milliseconds, then seconds, then minutes.
fn offset(at: jiff::Timestamp, first: jiff::Timestamp) -> String {
    const MILLI: i128 = 1_000_000;
    const SECOND: i128 = 1000 * MILLI;
    let nanos = at.as_nanosecond() - first.as_nanosecond();
    let sign = if nanos < 0 { '-' } else { '+' };
    let nanos = nanos.abs();
    if nanos < SECOND {
        format!("{sign}{}.{:03} ms", nanos / MILLI, nanos % MILLI / 1000)
    } else if nanos < 120 * SECOND {
        format!("{sign}{}.{:03} s", nanos / SECOND, nanos % SECOND / MILLI)
    } else {
        let seconds = i64::try_from(nanos / SECOND).unwrap_or(i64::MAX);
        format!("{sign}{}", age::short(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_offsets_at_the_scale_of_the_story() {
        let first = jiff::Timestamp::UNIX_EPOCH;
        for (nanos, text) in [
            (0, "+0.000 ms"),
            (412_345, "+0.412 ms"),
            (-5_000_000, "-5.000 ms"),
            (1_500_000_000, "+1.500 s"),
            (300_000_000_000, "+5m"),
        ] {
            let at = jiff::Timestamp::from_nanosecond(nanos).unwrap();
            assert_eq!(offset(at, first), text);
        }
    }
}
