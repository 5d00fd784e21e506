//! Reads a model's answer: the JSON that the prompt asked for, or an error. Must believe none of it.

use serde::Deserialize;

/// Longest answer read, in bytes; eight sentences need a tenth of it. It bounds the sentences too, each of
/// which is kept or counted as dropped.
const MAX_REPLY_BYTES: usize = 64 << 10;

/// One sentence as the model gave it, unchecked.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub(crate) struct Claim {
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) evidence: Vec<String>,
}

/// An answer that is not what was asked for.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum ReplyError {
    #[error("the model answered with nothing")]
    Empty,
    #[error("the model's answer is longer than {MAX_REPLY_BYTES} bytes")]
    TooLong,
    #[error("the model's answer is not the JSON that was asked for")]
    NotTheSchema,
}

#[derive(Deserialize)]
struct Reply {
    sentences: Vec<Claim>,
}

/// Reads an answer, with or without a Markdown fence around it.
pub(crate) fn read(text: &str) -> Result<Vec<Claim>, ReplyError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(ReplyError::Empty);
    }
    if text.len() > MAX_REPLY_BYTES {
        return Err(ReplyError::TooLong);
    }
    let reply: Reply =
        serde_json::from_str(without_fence(text)).map_err(|_error| ReplyError::NotTheSchema)?;
    Ok(reply.sentences)
}

fn without_fence(text: &str) -> &str {
    let Some(inside) = text
        .strip_prefix("```")
        .and_then(|text| text.strip_suffix("```"))
    else {
        return text;
    };
    inside.strip_prefix("json").unwrap_or(inside).trim()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_the_schema_with_and_without_a_fence() {
        let json = r#"{"sentences":[{"text":"It died.","evidence":["e1"]},{"text":"So."}]}"#;
        for text in [
            json.to_owned(),
            format!("```json\n{json}\n```"),
            format!("```\n{json}```"),
        ] {
            let claims = read(&text).unwrap();
            assert_eq!(claims.len(), 2, "{text}");
            assert_eq!(claims[0].evidence, ["e1"]);
            assert!(claims[1].evidence.is_empty());
        }
    }

    #[test]
    fn gives_every_sentence_of_an_answer_that_is_not_too_long() {
        let sentences = vec![r#"{"text":"So."}"#; 4000].join(",");
        let claims = read(&format!(r#"{{"sentences":[{sentences}]}}"#)).unwrap();
        assert_eq!(claims.len(), 4000);
    }

    #[test]
    fn refuses_anything_else() {
        let cases = [
            ("", ReplyError::Empty),
            (" \n", ReplyError::Empty),
            ("I cannot help with that.", ReplyError::NotTheSchema),
            ("[]", ReplyError::NotTheSchema),
            (r#"{"sentences":"no"}"#, ReplyError::NotTheSchema),
            (
                r#"{"sentences":[{"text":7,"evidence":[]}]}"#,
                ReplyError::NotTheSchema,
            ),
            (r#"{"answer":[]}"#, ReplyError::NotTheSchema),
            ("```json\n{", ReplyError::NotTheSchema),
        ];
        for (text, error) in cases {
            assert_eq!(read(text), Err(error), "{text}");
        }
        assert_eq!(
            read(&"x".repeat(MAX_REPLY_BYTES + 1)),
            Err(ReplyError::TooLong)
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,200}") {
            drop(read(&text));
        }
    }
}
