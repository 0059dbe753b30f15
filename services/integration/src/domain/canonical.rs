//! Canonical JSON (JCS, RFC 8785) of what both sides sign: the same bytes wherever it is written.
//!
//! Our documents hold objects, arrays, texts, booleans, null and whole numbers only; a fraction is not written at all, so that
//! the hard part of the RFC, how doubles are printed, is never needed.

use serde_json::Value;

/// The largest whole number that every reader of JSON keeps (RFC 8785, section 3.2.2.3).
const MAX_SAFE: i64 = 9_007_199_254_740_991;

/// A document holds a number that is not canonical here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a whole number within ±2^53-1")]
pub(crate) struct NotCanonical(String);

/// The canonical text of a document.
pub(crate) fn canonical(value: &Value) -> Result<String, NotCanonical> {
    let mut out = String::new();
    write(value, &mut out)?;
    Ok(out)
}

fn write(value: &Value, out: &mut String) -> Result<(), NotCanonical> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => match number.as_i64() {
            Some(whole) if (-MAX_SAFE..=MAX_SAFE).contains(&whole) => out.push_str(&whole.to_string()),
            _ => return Err(NotCanonical(number.to_string())),
        },
        // serde_json escapes as the RFC demands: the short forms, \u00xx in lower case for the other control characters,
        // and everything else as it is.
        Value::String(text) => out.push_str(&Value::from(text.as_str()).to_string()),
        Value::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write(item, out)?;
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut sorted: Vec<(Vec<u16>, &String, &Value)> = fields
                .iter()
                .map(|(name, value)| (name.encode_utf16().collect(), name, value))
                .collect();
            // By UTF-16 code units, which is not the order of UTF-8 bytes beyond the basic plane.
            sorted.sort_by(|one, other| one.0.cmp(&other.0));
            out.push('{');
            for (place, (_, name, value)) in sorted.into_iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write(value, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_sorted_as_the_rfc_does() {
        // RFC 8785, section 3.2.3, without its numbers.
        let value = json!({
            "\u{20ac}": "Euro Sign",
            "\r": "Carriage Return",
            "\u{fb33}": "Hebrew Letter Dalet With Dagesh",
            "1": "One",
            "\u{1f600}": "Emoji: Grinning Face",
            "\u{80}": "Control",
            "\u{f6}": "Latin Small Letter O With Diaeresis"
        });
        let text = canonical(&value).unwrap();
        let order = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"];
        let places: Vec<usize> = order.iter().map(|word| text.find(word).unwrap()).collect();
        assert!(places.is_sorted(), "{text}");
    }

    #[test]
    fn texts_are_escaped_as_the_rfc_does() {
        // RFC 8785, section 3.2.2.2.
        let value = json!({ "string": "\u{20ac}$\u{000F}\nA'\u{0042}\u{0022}\u{005c}\\\"/" });
        assert_eq!(
            canonical(&value).unwrap(),
            "{\"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"
        );
    }

    #[test]
    fn a_fraction_or_a_number_beyond_what_every_reader_keeps_is_refused() {
        assert!(canonical(&json!(1.5)).is_err());
        assert!(canonical(&json!(9_007_199_254_740_992_i64)).is_err());
        assert_eq!(
            canonical(&json!([-9_007_199_254_740_991_i64, 0])).unwrap(),
            "[-9007199254740991,0]"
        );
    }

    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "\\PC{0,8}|[\\x00-\\x1f]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map("\\PC{0,4}", inner, 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// It is JSON of the same content, and written again it is the same bytes.
        #[test]
        fn canonical_text_is_the_same_document_and_does_not_change(value in document()) {
            let text = canonical(&value).unwrap();
            let read: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&read, &value);
            prop_assert_eq!(canonical(&read).unwrap(), text);
        }
    }
}
