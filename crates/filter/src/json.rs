//! Masks and predicates over JSON, for providers of plain REST.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::json_text::{Scanner, meant};
use crate::wire::DEEPEST;
use crate::{Refused, Rule};

/// What may leave of a JSON document: paths of names, through objects, each element of arrays and each value of maps (whose keys
/// then pass); a path that ends at an object or array lets all of it pass. An empty mask lets everything pass.
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
    /// Of an object that is a map: of each of its values, whatever its name.
    values: Option<Box<Granted>>,
}

impl Granted {
    fn of(&self, name: &str) -> Option<&Self> {
        self.fields.get(name).or(self.values.as_deref())
    }
}

impl JsonMask {
    /// A mask of these paths, none of which goes through a map.
    pub fn new(mask: &[String]) -> Self {
        Self::with_maps(mask, |_| false)
    }

    /// A mask of these paths. `is_map` says by the interface whether what is at a path is a map, the root being at the empty one;
    /// the names that follow in a path are then those of its values.
    pub fn with_maps(mask: &[String], is_map: impl Fn(&str) -> bool) -> Self {
        let mut root = Granted::default();
        for (number, path) in mask.iter().enumerate() {
            let mut at = &mut root;
            let mut read = 0_usize;
            for name in path.split('.') {
                // Before the first name stands the root, and it may be a map as well.
                if path.get(..read.saturating_sub(1)).is_some_and(&is_map) {
                    at = at.values.get_or_insert_default();
                }
                at = at.fields.entry(name.to_owned()).or_default();
                read += name.len() + 1;
            }
            at.whole = Some(number);
        }
        Self {
            root,
            paths: mask.to_vec(),
            uses: mask.iter().map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// What may leave of a document. Its text is copied, so that a number keeps all its digits; a name that stands twice is held
    /// to the mask twice.
    ///
    /// # Errors
    /// [`Refused::Unreadable`] if it is not JSON, or nests deeper than 100.
    pub fn pass(&self, document: &[u8]) -> Result<Vec<u8>, Refused> {
        let mut scanner = Scanner::of(document)?;
        if self.paths.is_empty() {
            return Ok(document.to_vec());
        }
        let mut out = Vec::with_capacity(document.len());
        self.part(&self.root, &mut scanner, &mut out, 0)?;
        Ok(out)
    }

    fn part(
        &self,
        granted: &Granted,
        scanner: &mut Scanner<'_>,
        out: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), Refused> {
        if depth > DEEPEST {
            return Err(Refused::Unreadable);
        }
        let mut first = true;
        if scanner.take(b'{')? {
            out.push(b'{');
            while !scanner.take(b'}')? {
                scanner.take(b',')?;
                let name = scanner.string()?;
                scanner.expect(b':')?;
                let Some(inner) = granted.of(&meant(name)?) else {
                    scanner.value()?;
                    continue;
                };
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                out.extend_from_slice(name);
                out.push(b':');
                match inner.whole {
                    Some(path) => {
                        if let Some(uses) = self.uses.get(path) {
                            uses.fetch_add(1, Ordering::Relaxed);
                        }
                        out.extend_from_slice(scanner.value()?);
                    }
                    None => self.part(inner, scanner, out, depth + 1)?,
                }
            }
            out.push(b'}');
        } else if scanner.take(b'[')? {
            out.push(b'[');
            while !scanner.take(b']')? {
                scanner.take(b',')?;
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                self.part(granted, scanner, out, depth + 1)?;
            }
            out.push(b']');
        } else {
            // A value where the mask expects names inside: nothing of it was granted.
            scanner.value()?;
            out.extend_from_slice(b"null");
        }
        Ok(())
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

/// What must hold of a document that stands for a request. A path goes through objects only: a list or a value on its way is
/// refused, because a reader may find the name in there after all; `null` is not set; a number is compared as it is written, so
/// that `1.0` is not `1`.
#[derive(Clone, Debug, Default)]
pub struct JsonPredicates {
    all: Vec<(Vec<String>, Rule)>,
}

impl JsonPredicates {
    /// These rules.
    pub fn new(rules: &[(String, Rule)]) -> Self {
        let split = |path: &String| path.split('.').map(str::to_owned).collect();
        Self {
            all: rules.iter().map(|(path, rule)| (split(path), rule.clone())).collect(),
        }
    }

    /// Whether all hold of a body, which may be empty.
    ///
    /// # Errors
    /// [`Refused::NotAgreed`]; [`Refused::Unreadable`] if it is not JSON, if anything but an object or null is on the way of a
    /// rule, or if a name on it stands twice: one reader takes the first, another the last. A name that differs in its case only
    /// is the same name for some readers, and so is it here.
    pub fn hold(&self, body: &[u8]) -> Result<(), Refused> {
        let body = if body.is_empty() { b"{}" } else { body };
        Scanner::of(body)?;
        for (path, rule) in &self.all {
            if !holds(rule, find(body, path)?)? {
                return Err(Refused::NotAgreed);
            }
        }
        Ok(())
    }
}

/// The value at a path; none if it is not there, or null is on its way.
fn find<'b>(body: &'b [u8], path: &[String]) -> Result<Option<&'b [u8]>, Refused> {
    let mut at = body;
    for wanted in path {
        let mut scanner = Scanner::within(at);
        if !scanner.take(b'{')? {
            return match scanner.value()? {
                b"null" => Ok(None),
                _ => Err(Refused::Unreadable),
            };
        }
        let mut found = None;
        let blind = folded(wanted);
        while !scanner.take(b'}')? {
            scanner.take(b',')?;
            let name = meant(scanner.string()?)?;
            scanner.expect(b':')?;
            let value = scanner.value()?;
            if name == wanted.as_str() {
                if found.replace(value).is_some() {
                    return Err(Refused::Unreadable);
                }
            } else if folded(&name) == blind {
                return Err(Refused::Unreadable);
            }
        }
        match found {
            Some(value) => at = value,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// A name as readers take it that are blind to case; first up, then down, because some letters have only one of the two ways.
fn folded(name: &str) -> String {
    name.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

fn holds(rule: &Rule, found: Option<&[u8]>) -> Result<bool, Refused> {
    let found = found.filter(|value| *value != b"null");
    let is_text = found.is_some_and(|value| value.first() == Some(&b'"'));
    let text = match found {
        Some(value) if is_text => Some(meant(value)?),
        Some(value) if !matches!(value.first(), Some(b'{' | b'[')) => {
            Some(std::str::from_utf8(value).map_err(|_| Refused::Unreadable)?.into())
        }
        _ => None,
    };
    Ok(match (rule, text) {
        (Rule::Present, _) => found.is_some(),
        (Rule::Absent, _) => found.is_none(),
        (Rule::Equals(wanted), Some(text)) => text == wanted.as_str(),
        (Rule::In(wanted), Some(text)) => wanted.iter().any(|one| text == one.as_str()),
        (Rule::Prefix(wanted), Some(text)) => is_text && text.starts_with(wanted.as_str()),
        (_, None) => false,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

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
    fn a_mask_goes_through_each_value_of_a_map_and_its_keys_pass() {
        let mask = ["places.name", "list.places.inner.name", "whole"].map(str::to_owned);
        let mask = JsonMask::with_maps(&mask, |path| ["places", "list.places", "whole"].contains(&path));
        let document = json!({
            "places": { "nhà": { "name": "A", "secret": 1 }, "name": { "name": "B" }, "odd": 7 },
            "list": [{ "places": { "x": { "inner": { "name": "C", "secret": 2 }, "name": "D" } }, "name": "E" }],
            "whole": { "k": { "all": 1 } },
        });
        let passed = mask.pass(document.to_string().as_bytes()).unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&passed).unwrap(),
            json!({
                "places": { "nhà": { "name": "A" }, "name": { "name": "B" }, "odd": null },
                "list": [{ "places": { "x": { "inner": { "name": "C" } } } }],
                "whole": { "k": { "all": 1 } },
            })
        );
        assert_eq!(mask.uses().len(), 3);
    }

    #[test]
    fn letters_with_one_way_to_another_case_fold_to_the_same() {
        assert_eq!(folded("\u{212a}ey"), folded("key"));
        assert_eq!(folded("u\u{17f}er"), folded("USER"));
        assert_ne!(folded("a"), folded("á"));
    }

    #[test]
    fn what_stands_twice_is_masked_twice() {
        let mask = JsonMask::new(&["a.x".to_owned()]);
        let passed = mask
            .pass(br#"{"a":{"x":1},"b":2, "\u0061" : {"y":"SECRET","x":3}}"#)
            .unwrap();
        assert_eq!(passed, br#"{"a":{"x":1},"\u0061":{"x":3}}"#);
        assert_eq!(mask.uses(), [("a.x".to_owned(), 2)]);
        assert!(mask.uses().is_empty());
    }

    #[test]
    fn a_name_is_compared_as_it_is_meant_and_a_number_keeps_its_digits() {
        let mask = JsonMask::new(&["tên".to_owned(), "sum".to_owned()]);
        let document = br#"{"t\u00ean":"An","sum":100000000000000000000.10,"s\u0075m2":1}"#;
        assert_eq!(
            mask.pass(document).unwrap(),
            br#"{"t\u00ean":"An","sum":100000000000000000000.10}"#
        );
        let deep = [b"[".repeat(200), b"]".repeat(200)].concat();
        assert_eq!(mask.pass(&deep), Err(Refused::Unreadable));
        for wrong in [&b"{\"a\":"[..], b"{} {}", b"\"\xff\"", b"", b"{\"a\" 1}", b"[1,]"] {
            assert_eq!(mask.pass(wrong), Err(Refused::Unreadable), "{wrong:?}");
        }
    }

    #[test]
    fn predicates_over_a_body_hold_or_refuse() {
        let is = |text: &str| Rule::Equals(text.to_owned());
        for (rule, body, wanted) in [
            (is("1"), r#"{"a":{"b":1}}"#, Ok(())),
            (is("1"), r#"{"a":{"b":"1"}}"#, Ok(())),
            (is("1"), r#"{"a":{"b":1.0}}"#, Err(Refused::NotAgreed)),
            (is("true"), r#"{ "a" : { "b" : true } }"#, Ok(())),
            (
                Rule::In(vec!["x".to_owned(), "y".to_owned()]),
                r#"{"\u0061":{"b":"y"}}"#,
                Ok(()),
            ),
            (Rule::Prefix("16".to_owned()), r#"{"a":{"b":"1668"}}"#, Ok(())),
            (
                Rule::Prefix("16".to_owned()),
                r#"{"a":{"b":1668}}"#,
                Err(Refused::NotAgreed),
            ),
            (Rule::Present, r#"{"a":{"b":[]}}"#, Ok(())),
            (Rule::Present, r#"{"a":{"b":null}}"#, Err(Refused::NotAgreed)),
            (Rule::Absent, r#"{"a":{"c":1}}"#, Ok(())),
            (Rule::Absent, r#"{ "a" : null }"#, Ok(())),
            (Rule::Absent, " null ", Ok(())),
            (Rule::Absent, "", Ok(())),
            (is("1"), r#"{"a":null}"#, Err(Refused::NotAgreed)),
            (is(""), r#"{"a":{}}"#, Err(Refused::NotAgreed)),
            // Twice, under two spellings.
            (is("1"), r#"{"a":{"b":1,"\u0062":2}}"#, Err(Refused::Unreadable)),
            (is("1"), r#"{"a":{"b":1}"#, Err(Refused::Unreadable)),
            // The same name for a reader that is blind to case; also by the sign for kelvin and the long s.
            (is("1"), r#"{"a":{"b":1,"B":2}}"#, Err(Refused::Unreadable)),
            (Rule::Absent, r#"{"A":{"b":1}}"#, Err(Refused::Unreadable)),
        ] {
            let judged = JsonPredicates::new(&[("a.b".to_owned(), rule.clone())]).hold(body.as_bytes());
            assert_eq!(judged, wanted, "{rule:?} {body}");
        }
    }

    #[test]
    fn a_rule_is_not_judged_where_its_way_goes_through_anything_but_objects() {
        let rules = [
            Rule::Absent,
            Rule::Present,
            Rule::Equals("true".to_owned()),
            Rule::In(vec!["true".to_owned()]),
            Rule::Prefix("t".to_owned()),
        ];
        for body in [
            r#"{"person":[{"flag":true}]}"#,
            r#"{"person":[]}"#,
            r#"{"person":[[{"flag":true}]]}"#,
            r#"{"person":"{\"flag\":true}"}"#,
            r#"{"person":""}"#,
            r#"{"person":7}"#,
            r#"{"person":false}"#,
            r#"[{"person":{"flag":true}}]"#,
            " [] ",
            r#""person""#,
        ] {
            for rule in &rules {
                let judged = JsonPredicates::new(&[("person.flag".to_owned(), rule.clone())]).hold(body.as_bytes());
                assert_eq!(judged, Err(Refused::Unreadable), "{rule:?} {body}");
            }
        }
    }

    #[test]
    fn a_mask_goes_through_each_value_of_a_root_that_is_a_map() {
        let mask = ["name", "places.name", "all"].map(str::to_owned);
        let mask = JsonMask::with_maps(&mask, |path| ["", "places"].contains(&path));
        let person = |name| json!({ "name": name, "secret": "S", "places": { "nhà": { "name": "P", "secret": "S" } } });
        let document = json!({ "k1": person("A"), "name": person("B"), "all": { "all": [1], "x": 2 }, "odd": "S" });
        let passed = mask.pass(document.to_string().as_bytes()).unwrap();
        let left = |name| json!({ "name": name, "places": { "nhà": { "name": "P" } } });
        assert_eq!(
            serde_json::from_slice::<Value>(&passed).unwrap(),
            json!({ "k1": left("A"), "name": left("B"), "all": { "all": [1] }, "odd": null })
        );
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "[\\PC\"\\\\{}\\[\\],:\n]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 60, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map("[abcd]", inner, 0..4).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    /// The second reading, by values.
    fn plainly(value: &Value, paths: &[Vec<&str>]) -> Value {
        if paths.iter().any(Vec::is_empty) {
            return value.clone();
        }
        match value {
            Value::Object(fields) => fields
                .iter()
                .filter_map(|(name, value)| {
                    let inner = paths.iter().filter(|path| path[0] == name);
                    let inner: Vec<Vec<&str>> = inner.map(|path| path[1..].to_vec()).collect();
                    (!inner.is_empty()).then(|| (name.clone(), plainly(value, &inner)))
                })
                .collect(),
            Value::Array(values) => values.iter().map(|value| plainly(value, paths)).collect(),
            _ => Value::Null,
        }
    }

    proptest! {
        #[test]
        fn no_name_outside_the_mask_ever_leaves_and_every_one_inside_does(
            document in value(),
            mask in prop::sample::subsequence(vec!["a", "b", "a.b", "a.a", "b.c", "a.b.c", "c.c.a"], 1..4),
            pretty in any::<bool>(),
        ) {
            let text = if pretty { serde_json::to_vec_pretty(&document) } else { serde_json::to_vec(&document) };
            let paths: Vec<String> = mask.iter().map(|path| (*path).to_owned()).collect();
            let split: Vec<Vec<&str>> = mask.iter().map(|path| path.split('.').collect()).collect();
            let passed = JsonMask::new(&paths).pass(&text.unwrap()).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Value>(&passed).unwrap(), plainly(&document, &split));
        }

        /// The second reading, by values.
        #[test]
        fn what_must_be_absent_is_nowhere_where_a_reader_could_find_it(document in value()) {
            let judged = JsonPredicates::new(&[("a.b".to_owned(), Rule::Absent)]).hold(document.to_string().as_bytes());
            let wanted = match &document {
                Value::Null => Ok(()),
                Value::Object(fields) => match fields.get("a") {
                    None | Some(Value::Null) => Ok(()),
                    Some(Value::Object(inner)) if inner.get("b").is_none_or(Value::is_null) => Ok(()),
                    Some(Value::Object(_)) => Err(Refused::NotAgreed),
                    Some(_) => Err(Refused::Unreadable),
                },
                _ => Err(Refused::Unreadable),
            };
            prop_assert_eq!(judged, wanted);
        }

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
