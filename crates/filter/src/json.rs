//! Masks over JSON, for providers of plain REST.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value};

use crate::Refused;

/// What may leave of a JSON document: paths of names, through objects and each element of arrays; a path that ends at an object or
/// array lets all of it pass. An empty mask lets everything pass.
#[derive(Debug, Default)]
pub struct JsonMask {
    root: Granted,
    paths: Vec<String>,
    uses: Vec<AtomicU64>,
}

#[derive(Debug, Default)]
struct Granted {
    whole: Option<usize>,
    fields: HashMap<String, Granted>,
}

impl JsonMask {
    /// A mask of these paths.
    pub fn new(mask: &[String]) -> Self {
        let mut root = Granted::default();
        for (number, path) in mask.iter().enumerate() {
            let mut at = &mut root;
            for name in path.split('.') {
                at = at.fields.entry(name.to_owned()).or_default();
            }
            at.whole = Some(number);
        }
        Self {
            root,
            paths: mask.to_vec(),
            uses: mask.iter().map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// What may leave of a document, written anew: what stands there twice then stands once.
    pub fn pass(&self, document: &[u8]) -> Result<Vec<u8>, Refused> {
        let value: Value = serde_json::from_slice(document).map_err(|_| Refused::Unreadable)?;
        let passed = if self.paths.is_empty() {
            value
        } else {
            self.part(&self.root, value)
        };
        serde_json::to_vec(&passed).map_err(|_| Refused::Unreadable)
    }

    fn part(&self, granted: &Granted, value: Value) -> Value {
        match value {
            Value::Object(fields) => {
                let mut passed = Map::new();
                for (name, value) in fields {
                    let Some(inner) = granted.fields.get(&name) else {
                        continue;
                    };
                    match inner.whole {
                        Some(path) => {
                            if let Some(uses) = self.uses.get(path) {
                                uses.fetch_add(1, Ordering::Relaxed);
                            }
                            passed.insert(name, value);
                        }
                        None => {
                            passed.insert(name, self.part(inner, value));
                        }
                    }
                }
                Value::Object(passed)
            }
            Value::Array(values) => Value::Array(values.into_iter().map(|value| self.part(granted, value)).collect()),
            // A value where the mask expects names inside: nothing of it was granted.
            _ => Value::Null,
        }
    }

    /// How often each granted path occurred since this was asked last.
    pub fn uses(&self) -> Vec<(String, u64)> {
        self.paths
            .iter()
            .zip(&self.uses)
            .map(|(path, uses)| (path.clone(), uses.swap(0, Ordering::Relaxed)))
            .filter(|(_, uses)| *uses > 0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn pass(mask: &[&str], document: &Value) -> Value {
        let mask: Vec<String> = mask.iter().map(|path| (*path).to_owned()).collect();
        let passed = JsonMask::new(&mask).pass(document.to_string().as_bytes()).unwrap();
        serde_json::from_slice(&passed).unwrap()
    }

    #[test]
    fn only_granted_names_leave_through_objects_and_arrays() {
        let document = json!({
            "name": "A", "secret": 1,
            "list": [{ "a": 1, "b": 2 }, { "b": 3 }, 7],
            "inner": { "all": { "x": [1] }, "none": 2 },
        });
        assert_eq!(
            pass(&["name", "list.a", "inner.all"], &document),
            json!({ "name": "A", "list": [{ "a": 1 }, {}, null], "inner": { "all": { "x": [1] } } })
        );
        assert_eq!(pass(&["nothing"], &json!([1, { "a": 2 }])), json!([null, {}]));
        assert_eq!(pass(&[], &document), document);
        assert!(JsonMask::new(&[]).pass(b"{").is_err());
    }

    #[test]
    fn what_stands_twice_leaves_once() {
        let mask = JsonMask::new(&["a".to_owned()]);
        assert_eq!(mask.pass(br#"{"a":1,"b":2,"a":3}"#).unwrap(), br#"{"a":3}"#);
        assert_eq!(mask.uses(), [("a".to_owned(), 1)]);
        assert!(mask.uses().is_empty());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mask = JsonMask::new(&["a.b".to_owned()]);
            if let Ok(passed) = mask.pass(&bytes) {
                let value: Value = serde_json::from_slice(&passed).unwrap();
                if let Some(object) = value.as_object() {
                    prop_assert!(object.keys().all(|key| key == "a"));
                }
            }
        }
    }
}
