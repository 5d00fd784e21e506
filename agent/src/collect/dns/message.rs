//! Parses the part of a DNS message that tells what was asked and how it was answered: total over any input. Must not keep
//! anything.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

/// Bytes of the header.
const HEADER: usize = 12;
/// Bit of the flags that makes a message an answer.
const ANSWER: u16 = 0x8000;
/// Bits of the flags that hold the kind of query; 0 is the plain one.
const OPCODE: u16 = 0x7800;
const RCODE: u16 = 0x000f;
/// Longest label, and mark of a pointer to an earlier name in its place.
const MAX_LABEL: u8 = 63;
const POINTER: u8 = 0xc0;
/// Longest name, in text.
const MAX_NAME: usize = 253;
/// Answers looked at.
const MAX_ANSWERS: usize = 16;

/// What a message tells.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Message {
    pub(super) id: u16,
    pub(super) is_answer: bool,
    /// Meaningful in an answer.
    pub(super) rcode: u16,
    /// What was asked; an answer may leave it out.
    pub(super) question: Option<Question>,
    /// An answer's records include one of the type asked for, or it cannot be told.
    pub(super) has_data: bool,
}

/// One question.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Question {
    /// In lower case, without the dot at its end; `.` is the root.
    pub(super) name: String,
    pub(super) kind: u16,
}

/// Parses `bytes`, which may be cut at the end; `None` when they are no plain query or answer.
pub(super) fn parse(bytes: &[u8]) -> Option<Message> {
    let flags = u16_at(bytes, 2)?;
    if flags & OPCODE != 0 {
        return None;
    }
    let questions = u16_at(bytes, 4)?;
    let answers = u16_at(bytes, 6)?;
    let (question, rest) = if questions == 1 {
        let (name, after) = name(bytes, HEADER)?;
        let kind = u16_at(bytes, after)?;
        (Some(Question { name, kind }), after.checked_add(4)?)
    } else {
        (None, HEADER)
    };
    let has_data = question
        .as_ref()
        .is_none_or(|question| has_answer(bytes, rest, answers, question.kind));
    Some(Message {
        id: u16_at(bytes, 0)?,
        is_answer: flags & ANSWER != 0,
        rcode: flags & RCODE,
        question,
        has_data,
    })
}

/// Returns a type's name, its number when it has none here.
pub(super) fn type_name(kind: u16) -> String {
    let name = match kind {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        12 => "PTR",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        33 => "SRV",
        35 => "NAPTR",
        64 => "SVCB",
        65 => "HTTPS",
        255 => "ANY",
        other => return other.to_string(),
    };
    name.to_owned()
}

/// Returns the name of a response code, its number when it has none here.
pub(super) fn rcode_name(rcode: u16) -> String {
    let name = match rcode {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        other => return other.to_string(),
    };
    name.to_owned()
}

/// Reads the name at `at`; returns where it ends, too. Questions hold no pointers.
fn name(bytes: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut name = String::new();
    loop {
        let len = *bytes.get(at)?;
        at = at.checked_add(1)?;
        if len == 0 {
            break;
        }
        let end = at.checked_add(usize::from(len))?;
        let label = bytes.get(at..end)?;
        if len > MAX_LABEL || name.len().checked_add(label.len())? > MAX_NAME {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(label.iter().map(|byte| printable(*byte)));
        at = end;
    }
    if name.is_empty() {
        name.push('.');
    }
    Some((name, at))
}

/// Names are compared without regard to case, and may hold any byte.
fn printable(byte: u8) -> char {
    if byte.is_ascii_graphic() {
        char::from(byte.to_ascii_lowercase())
    } else {
        '?'
    }
}

/// Whether one of the records that begin at `at` is of the type `kind`; also when the message is cut before that is known.
fn has_answer(bytes: &[u8], mut at: usize, answers: u16, kind: u16) -> bool {
    for _ in 0..usize::from(answers).min(MAX_ANSWERS) {
        let Some((found, next)) = record(bytes, at) else {
            return true;
        };
        if found == kind || kind == 255 {
            return true;
        }
        at = next;
    }
    usize::from(answers) > MAX_ANSWERS
}

/// Returns the type of the record at `at`, and where the next begins.
fn record(bytes: &[u8], at: usize) -> Option<(u16, usize)> {
    let after_name = skip_name(bytes, at)?;
    let kind = u16_at(bytes, after_name)?;
    let len = u16_at(bytes, after_name.checked_add(8)?)?;
    let next = after_name.checked_add(10)?.checked_add(usize::from(len))?;
    Some((kind, next))
}

fn skip_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let len = *bytes.get(at)?;
        if len & POINTER == POINTER {
            return at.checked_add(2);
        }
        at = at.checked_add(1)?.checked_add(usize::from(len))?;
        if len == 0 {
            return Some(at);
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A query for `name`, or with `flags` an answer that holds records of the types `answers`.
    pub(crate) fn bytes(id: u16, flags: u16, name: &str, kind: u16, answers: &[u16]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [id, flags, 1, answers.len() as u16, 0, 0] {
            bytes.extend(word.to_be_bytes());
        }
        for label in name.split('.').filter(|label| !label.is_empty()) {
            bytes.push(label.len() as u8);
            bytes.extend(label.as_bytes());
        }
        bytes.push(0);
        bytes.extend(kind.to_be_bytes());
        bytes.extend(1_u16.to_be_bytes());
        for answer in answers {
            // A pointer to the question's name, type, class, lifetime, four bytes of data.
            bytes.extend([0xc0, 12]);
            bytes.extend(answer.to_be_bytes());
            bytes.extend([0, 1, 0, 0, 0, 60, 0, 4, 1, 2, 3, 4]);
        }
        bytes
    }

    #[test]
    fn reads_queries_and_answers() {
        let query = parse(&bytes(7, 0x0100, "Api.Example.com", 28, &[])).unwrap();
        let question = query.question.unwrap();
        assert_eq!((query.id, query.is_answer), (7, false));
        assert_eq!(
            (question.name.as_str(), question.kind),
            ("api.example.com", 28)
        );
        for (flags, answers, rcode, has_data) in [
            (0x8180, &[1_u16][..], 0, true),
            (0x8180, &[5, 1], 0, true),
            (0x8180, &[5], 0, false),
            (0x8180, &[], 0, false),
            (0x8183, &[], 3, false),
        ] {
            let answer = parse(&bytes(7, flags, "a.b", 1, answers)).unwrap();
            assert!(answer.is_answer);
            assert_eq!(
                (answer.rcode, answer.has_data),
                (rcode, has_data),
                "{answers:?}"
            );
        }
    }

    #[test]
    fn takes_a_cut_answer_for_one_with_data() {
        let whole = bytes(7, 0x8180, "a.b", 1, &[5, 1]);
        assert!(parse(&whole[..whole.len() - 10]).unwrap().has_data);
    }

    #[test]
    fn refuses_what_is_no_plain_message() {
        assert_eq!(parse(&bytes(7, 0x2800, "a.b", 6, &[])), None, "an update");
        assert_eq!(parse(&bytes(7, 0x0100, "a.b", 1, &[])[..18]), None);
        assert_eq!(parse(b"short"), None);
        let root = parse(&bytes(7, 0x0100, ".", 2, &[])).unwrap();
        assert_eq!(root.question.unwrap().name, ".");
    }

    #[test]
    fn names_types_and_codes() {
        assert_eq!(
            (type_name(1), type_name(999)),
            ("A".to_owned(), "999".to_owned())
        );
        assert_eq!(
            (rcode_name(2), rcode_name(9)),
            ("SERVFAIL".to_owned(), "9".to_owned())
        );
    }

    proptest! {
        #[test]
        fn never_panics_and_bounds_names(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(question) = parse(&bytes).and_then(|message| message.question) {
                prop_assert!(question.name.len() <= 2 * MAX_NAME);
                prop_assert!(question.name.chars().all(|c| c.is_ascii_graphic()));
            }
        }

        #[test]
        fn reads_back_any_name(labels in proptest::collection::vec("[a-z0-9-]{1,20}", 1..8), kind: u16) {
            let name = labels.join(".");
            let question = parse(&bytes(1, 0x0100, &name, kind, &[])).unwrap().question.unwrap();
            prop_assert_eq!(question, Question { name, kind });
        }
    }
}
