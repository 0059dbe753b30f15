//! Reading what a partner answers where its contract is not confirmed: a field that is missing or null, an empty text for a date, a number
//! for a text are no reason to read nothing of an answer. What has a value of another kind is refused all the same, and nothing is made up.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::wire_time::WireTime;

/// A text; the digits of a number, and empty for null.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(D::Error::custom("not a text")),
    }
}

/// A text; none for null and for an empty one.
pub(crate) fn maybe_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = text(deserializer)?;
    Ok(if text.is_empty() { None } else { Some(text) })
}

/// An instant; none for null and for an empty text.
pub(crate) fn maybe_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<WireTime>, D::Error> {
    maybe_text(deserializer)?
        .map(|text| WireTime::parse(&text).map_err(D::Error::custom))
        .transpose()
}

/// A whole number, also as a text; 0 for null and for an empty text.
pub(crate) fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    maybe_text(deserializer)?.map_or(Ok(0), |text| {
        text.parse::<i64>().map_err(|_| D::Error::custom("not a whole number"))
    })
}

/// The same for a count.
pub(crate) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    i32::try_from(amount(deserializer)?).map_err(|_| D::Error::custom("a count beyond any"))
}

/// A yes or no, also as 1 or 0; no for null.
pub(crate) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(flag),
        Value::Number(number) if number.as_i64() == Some(0) => Ok(false),
        Value::Number(number) if number.as_i64() == Some(1) => Ok(true),
        _ => Err(D::Error::custom("neither yes nor no")),
    }
}

/// A list; empty for null.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}

/// The entries of a list that can be read. For what is looked for among them: an entry that is none of ours need not be readable.
pub(crate) fn readable<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let all: Vec<Value> = list(deserializer)?;
    Ok(all
        .into_iter()
        .filter_map(|entry| serde_json::from_value(entry).ok())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[derive(Debug, Default, PartialEq, Eq, Deserialize)]
    #[serde(default)]
    struct Answer {
        #[serde(deserialize_with = "text")]
        text: String,
        #[serde(deserialize_with = "maybe_time")]
        time: Option<WireTime>,
        #[serde(deserialize_with = "amount")]
        amount: i64,
        #[serde(deserialize_with = "count")]
        count: i32,
        #[serde(deserialize_with = "flag")]
        flag: bool,
        #[serde(deserialize_with = "list")]
        list: Vec<i64>,
        #[serde(deserialize_with = "readable")]
        readable: Vec<i64>,
    }

    fn read(answer: serde_json::Value) -> Result<Answer, serde_json::Error> {
        serde_json::from_value(answer)
    }

    #[test]
    fn what_is_missing_null_or_empty_is_not_there() {
        let names = ["text", "time", "amount", "count", "flag", "list", "readable"];
        let null = names.map(|name| (name.to_owned(), serde_json::Value::Null));
        let null = serde_json::Value::Object(null.into_iter().collect());
        for answer in [json!({}), null, json!({ "time": "", "amount": "", "count": "" })] {
            assert_eq!(read(answer).unwrap(), Answer::default());
        }
    }

    #[test]
    fn what_is_written_otherwise_is_read_as_what_it_is() {
        let read = read(json!({
            "text": 1, "time": 20_261_126_080_000_i64, "amount": "8000", "count": "2", "flag": 1, "list": [1],
            "readable": [1, "x", null, 2],
        }))
        .unwrap();
        assert_eq!(read.text, "1");
        assert_eq!(read.time.map(WireTime::text).as_deref(), Some("20261126080000"));
        assert_eq!((read.amount, read.count, read.flag), (8_000, 2, true));
        assert_eq!((read.list, read.readable), (vec![1], vec![1, 2]));
    }

    #[test]
    fn what_is_of_another_kind_is_refused() {
        for answer in [
            json!({ "text": ["a"] }),
            json!({ "text": true }),
            json!({ "time": "26/11/2026" }),
            json!({ "time": "20260230000000" }),
            json!({ "amount": "8.000" }),
            json!({ "count": 3_000_000_000_i64 }),
            json!({ "flag": "maybe" }),
            json!({ "list": ["a"] }),
            json!({ "readable": 1 }),
        ] {
            assert!(read(answer.clone()).is_err(), "{answer}");
        }
    }

    proptest! {
        #[test]
        fn an_amount_is_read_the_same_as_a_number_and_as_a_text(amount: i64) {
            for written in [json!(amount), json!(amount.to_string())] {
                prop_assert_eq!(read(json!({ "amount": written })).unwrap().amount, amount);
            }
        }
    }
}
