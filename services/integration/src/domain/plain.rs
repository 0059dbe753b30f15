//! What an agreement lets pass of an operation of plain HTTP: predicates over path, query, headers and body, and the mask of the
//! answer.
//!
//! A predicate names what the interface calls `path.id`, `query.on`, `header.X-Unit`, `body.person.id`. Where any predicate
//! stands, only what the interface knows goes on, of parameters and of the body: another one could mean to the provider what no
//! predicate has seen. Widespread frameworks take a name from the body before they take it from the query or the path.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use egov_filter::{JsonMask, JsonPredicates, Refused, Rule};
use http::{HeaderMap, HeaderName};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use serde_json::Value;

use super::permit::{MethodTerms, PredicateRule};
use super::shape::{Cardinality, MethodShape, Shape, TypeShape};

/// Predicates and mask of one operation.
#[derive(Debug)]
pub(crate) struct PlainTerms {
    predicates: Option<Judgement>,
    mask: Option<JsonMask>,
}

#[derive(Debug)]
struct Judgement {
    predicates: JsonPredicates,
    /// The names of the body that the interface knows, by the path of the object that has them; of one whose names are free, none.
    body: HashMap<String, HashSet<String>>,
    /// The parameters of the query that the interface knows.
    query: HashSet<String>,
    /// The headers that it knows.
    headers: HashSet<HeaderName>,
}

/// A request as it is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged<'a> {
    /// The variables of the path, decoded.
    pub(crate) variables: &'a [(String, String)],
    /// The query, without its question mark.
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
    /// Whether the body says of itself that it is JSON as it stands.
    pub(crate) is_json: bool,
}

/// The rule of a predicate, as filters take it.
pub(crate) fn rule_of(rule: &PredicateRule) -> Rule {
    match rule {
        PredicateRule::Equals(value) => Rule::Equals(value.clone()),
        PredicateRule::In(values) => Rule::In(values.clone()),
        PredicateRule::Prefix(value) => Rule::Prefix(value.clone()),
        PredicateRule::Present => Rule::Present,
        PredicateRule::Absent => Rule::Absent,
    }
}

/// Whether a predicate about this field of a request can be judged as it is meant: a parameter as a whole, whose name has no dot,
/// or a path of the body each step of which the interface knows. Cookies never go on.
pub(crate) fn judgeable(input: &TypeShape, field: &str) -> bool {
    match field.split_once('.') {
        Some(("path" | "query" | "header", name)) => !name.contains('.'),
        Some(("body", _)) | None => field
            .match_indices('.')
            .filter_map(|(at, _)| field.get(..at))
            .chain([field])
            .all(|above| input.fields.contains_key(above)),
        Some(_) => false,
    }
}

impl PlainTerms {
    /// Compiles the terms for an operation; none if its bytes pass as they are.
    ///
    /// # Errors
    /// The predicate that cannot be judged.
    pub(crate) fn compile(shape: &Shape, method: &MethodShape, terms: &MethodTerms) -> Result<Option<Self>, String> {
        if !terms.must_decode() {
            return Ok(None);
        }
        let nothing = TypeShape::default();
        let input = shape.types.get(&method.input).unwrap_or(&nothing);
        let output = shape.types.get(&method.output).unwrap_or(&nothing);
        let mut rules = Vec::new();
        for predicate in &terms.predicates {
            if !judgeable(input, &predicate.field) {
                return Err(format!("{} cannot be judged", predicate.field));
            }
            // The names of headers have no case.
            let field = match predicate.field.strip_prefix("header.") {
                Some(name) => format!("header.{}", name.to_ascii_lowercase()),
                None => predicate.field.clone(),
            };
            rules.push((field, rule_of(&predicate.rule)));
        }
        let predicates = (!rules.is_empty()).then(|| Judgement {
            predicates: JsonPredicates::new(&rules),
            body: names_of_body(input),
            query: names(input, "query.").map(str::to_owned).collect(),
            headers: names(input, "header.").filter_map(|name| name.parse().ok()).collect(),
        });
        let is_map = |path: &str| {
            output
                .fields
                .get(path)
                .is_some_and(|field| field.cardinality == Cardinality::Map)
        };
        let mask = (!terms.mask.is_empty()).then(|| JsonMask::with_maps(&terms.mask, is_map));
        Ok(Some(Self { predicates, mask }))
    }

    /// Whether requests are judged.
    pub(crate) fn judges(&self) -> bool {
        self.predicates.is_some()
    }

    /// Whether the interface declares a header of requests.
    pub(crate) fn declares(&self, header: &HeaderName) -> bool {
        self.predicates
            .as_ref()
            .is_some_and(|judgement| judgement.headers.contains(header))
    }

    /// Whether answers are masked.
    pub(crate) fn masks(&self) -> bool {
        self.mask.is_some()
    }

    /// A request: refused, or the query as it goes on, written anew from what was judged.
    ///
    /// # Errors
    /// [`Refused::NotAgreed`] if a predicate does not hold; [`Refused::Unreadable`] if what a predicate is about stands twice, a
    /// parameter or a name of the body is not one of the interface, or the body is no JSON in UTF-8.
    pub(crate) fn request(&self, request: &Judged<'_>) -> Result<Option<String>, Refused> {
        let Some(judgement) = &self.predicates else {
            return Ok(request.query.map(str::to_owned));
        };
        let query = request.query.map(pairs).transpose()?;
        let known = |(name, _): &(Cow<'_, str>, Cow<'_, str>)| judgement.query.contains(&**name);
        if !query.iter().flatten().all(known) {
            return Err(Refused::Unreadable);
        }
        let document = judgement.document(request, query.as_deref().unwrap_or_default())?;
        judgement.predicates.hold(&document)?;
        Ok(query.map(|pairs| written(&pairs)))
    }

    /// What may leave of an answer.
    ///
    /// # Errors
    /// [`Refused::Unreadable`] if it is no JSON.
    pub(crate) fn response(&self, document: &[u8]) -> Result<Vec<u8>, Refused> {
        match &self.mask {
            Some(mask) => mask.pass(document),
            None => Ok(document.to_vec()),
        }
    }

    /// How often each granted path occurred since this was asked last.
    pub(crate) fn uses(&self) -> Vec<(String, u64)> {
        self.mask.as_ref().map(JsonMask::uses).unwrap_or_default()
    }
}

/// The parameters that the interface knows at a place.
fn names<'s>(input: &'s TypeShape, place: &'static str) -> impl Iterator<Item = &'s str> {
    input.fields.keys().filter_map(move |field| field.strip_prefix(place))
}

impl Judgement {
    /// Whether the interface knows every name in a value of the body, by the path at which it stands.
    fn knows(&self, value: &Value, path: &str) -> bool {
        match value {
            Value::Array(items) => items.iter().all(|item| self.knows(item, path)),
            Value::Object(members) => match self.body.get(path) {
                Some(names) => members
                    .iter()
                    .all(|(name, inner)| names.contains(name) && self.knows(inner, &format!("{path}.{name}"))),
                // Nothing is said of what is in it, or its names are free.
                None => true,
            },
            _ => true,
        }
    }

    /// The request as one document. What stands twice in the request stands twice in it, so that the predicates refuse it.
    fn document(&self, request: &Judged<'_>, query: &[(Cow<'_, str>, Cow<'_, str>)]) -> Result<Vec<u8>, Refused> {
        let mut out = Vec::with_capacity(256 + request.body.len());
        out.extend_from_slice(b"{\"path\":");
        let variables = request.variables.iter();
        object(&mut out, variables.map(|(name, value)| (name.as_str(), value.as_str())))?;
        out.extend_from_slice(b",\"query\":");
        object(&mut out, query.iter().map(|(name, value)| (&**name, &**value)))?;
        out.extend_from_slice(b",\"header\":");
        let mut headers = Vec::new();
        for (name, value) in request.headers {
            if self.headers.contains(name) {
                let value = std::str::from_utf8(value.as_bytes()).map_err(|_| Refused::Unreadable)?;
                headers.push((name.as_str(), value));
            }
        }
        object(&mut out, headers.into_iter())?;
        if !request.body.is_empty() {
            // One value and no more: what follows it would become a part of the document.
            let body = serde_json::from_slice::<Value>(request.body).map_err(|_| Refused::Unreadable)?;
            if !request.is_json || !self.knows(&body, "body") {
                return Err(Refused::Unreadable);
            }
            out.extend_from_slice(b",\"body\":");
            out.extend_from_slice(request.body);
        }
        out.push(b'}');
        Ok(out)
    }
}

/// The names that the interface knows in each object of the body. The body itself always has an entry: without a schema of it
/// nothing may stand there.
fn names_of_body(input: &TypeShape) -> HashMap<String, HashSet<String>> {
    let mut names = HashMap::from([("body".to_owned(), HashSet::new())]);
    for field in input.fields.keys().filter(|field| field.starts_with("body.")) {
        // A name may have a dot: what stands above it is the longest path that is a field itself.
        let above = field
            .match_indices('.')
            .filter_map(|(at, _)| field.get(..at))
            .rfind(|above| *above == "body" || input.fields.contains_key(*above))
            .unwrap_or("body");
        let name = field.get(above.len() + 1..).unwrap_or_default();
        names
            .entry(above.to_owned())
            .or_insert_with(HashSet::new)
            .insert(name.to_owned());
    }
    let is_map = |path: &str| {
        let field = input.fields.get(path);
        field.is_some_and(|field| field.cardinality == Cardinality::Map)
    };
    // What is a map has free names.
    names.retain(|path, _| path == "body" || !is_map(path));
    names
}

fn object<'p>(out: &mut Vec<u8>, pairs: impl Iterator<Item = (&'p str, &'p str)>) -> Result<(), Refused> {
    out.push(b'{');
    for (number, (name, value)) in pairs.enumerate() {
        if number > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, name).map_err(|_| Refused::Unreadable)?;
        out.push(b':');
        serde_json::to_writer(&mut *out, value).map_err(|_| Refused::Unreadable)?;
    }
    out.push(b'}');
    Ok(())
}

type Pair<'q> = (Cow<'q, str>, Cow<'q, str>);

/// The pairs of a query, decoded as forms are: a plus is a space.
fn pairs(query: &str) -> Result<Vec<Pair<'_>>, Refused> {
    let pair = |text| {
        let (name, value) = str::split_once(text, '=').unwrap_or((text, ""));
        Ok((decoded(name)?, decoded(value)?))
    };
    query.split('&').filter(|text| !text.is_empty()).map(pair).collect()
}

fn decoded(text: &str) -> Result<Cow<'_, str>, Refused> {
    let wrong = text.match_indices('%').any(|(at, _)| {
        let digits = text.as_bytes().get(at + 1..at + 3).unwrap_or_default();
        digits.len() < 2 || !digits.iter().all(u8::is_ascii_hexdigit)
    });
    if wrong {
        return Err(Refused::Unreadable);
    }
    let spaced = text.replace('+', " ");
    let meant = percent_decode(spaced.as_bytes())
        .decode_utf8()
        .map_err(|_| Refused::Unreadable)?;
    Ok(Cow::Owned(meant.into_owned()))
}

/// A query of these pairs, in which nothing but the two signs between them means anything.
fn written(pairs: &[Pair<'_>]) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let all: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
        .collect();
    all.join("&")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::domain::openapi;
    use crate::domain::permit::Predicate;

    const METHOD: &str = "POST /units/{unit}/people";

    fn shape() -> Shape {
        let person = json!({ "type": "object", "properties": {
            "name": { "type": "string" },
            "secret": { "type": "string" },
            "places": { "type": "object", "additionalProperties": { "type": "object", "properties": {
                "name": { "type": "string" }, "secret": { "type": "string" } } } },
            "a.b": { "type": "string" },
        } });
        let document = json!({
            "openapi": "3.1.0",
            "info": { "title": "People", "version": "1" },
            "paths": { "/units/{unit}/people": { "post": {
                "parameters": [
                    { "name": "unit", "in": "path", "required": true, "schema": { "type": "string" } },
                    { "name": "on", "in": "query", "schema": { "type": "string" } },
                    { "name": "note", "in": "query", "schema": { "type": "string" } },
                    { "name": "x.y", "in": "query", "schema": { "type": "string" } },
                    { "name": "X-Unit", "in": "header", "schema": { "type": "string" } },
                    { "name": "session", "in": "cookie", "schema": { "type": "string" } },
                ],
                "requestBody": { "content": { "application/json": { "schema": person } } },
                "responses": { "200": { "description": "x", "content": { "application/json": { "schema": person } } } }
            } } },
        });
        openapi::shape(&serde_json::to_vec(&document).unwrap()).unwrap()
    }

    fn terms(predicates: &[(&str, PredicateRule)], mask: &[&str]) -> Result<PlainTerms, String> {
        let shape = shape();
        let terms = MethodTerms {
            predicates: predicates
                .iter()
                .map(|(field, rule)| Predicate {
                    field: (*field).to_owned(),
                    rule: rule.clone(),
                })
                .collect(),
            mask: mask.iter().map(|path| (*path).to_owned()).collect(),
        };
        PlainTerms::compile(&shape, &shape.methods[METHOD], &terms).map(Option::unwrap)
    }

    fn is(text: &str) -> PredicateRule {
        PredicateRule::Equals(text.to_owned())
    }

    struct Sent {
        unit: &'static str,
        query: Option<&'static str>,
        headers: HeaderMap,
        body: &'static str,
        is_json: bool,
    }

    impl Default for Sent {
        fn default() -> Self {
            Self {
                unit: "H41",
                query: None,
                headers: HeaderMap::new(),
                body: "",
                is_json: true,
            }
        }
    }

    fn judge(terms: &PlainTerms, sent: &Sent) -> Result<Option<String>, Refused> {
        terms.request(&Judged {
            variables: &[("unit".to_owned(), sent.unit.to_owned())],
            query: sent.query,
            headers: &sent.headers,
            body: sent.body.as_bytes(),
            is_json: sent.is_json,
        })
    }

    #[test]
    fn a_predicate_is_judged_where_the_parameter_stands() {
        let of_path = terms(&[("path.unit", is("H41"))], &[]).unwrap();
        assert_eq!(judge(&of_path, &Sent::default()), Ok(None));
        let other = Sent {
            unit: "H42",
            ..Sent::default()
        };
        assert_eq!(judge(&of_path, &other), Err(Refused::NotAgreed));

        let of_query = terms(&[("query.on", is("2026 11"))], &[]).unwrap();
        for (query, wanted) in [
            (Some("on=2026+11"), Ok(Some("on=2026%2011".to_owned()))),
            (
                Some("&o%6e=2026%2011&note=a%26b;c"),
                Ok(Some("on=2026%2011&note=a%26b%3Bc".to_owned())),
            ),
            (Some("on=2027"), Err(Refused::NotAgreed)),
            (None, Err(Refused::NotAgreed)),
            (Some("on=2026+11&on=2027"), Err(Refused::Unreadable)),
            (Some("on=2026+11&ON=2027"), Err(Refused::Unreadable)),
            (Some("on=2026+11&unknown=1"), Err(Refused::Unreadable)),
            (Some("on=2026%2"), Err(Refused::Unreadable)),
            (Some("on=%ff"), Err(Refused::Unreadable)),
        ] {
            let sent = Sent {
                query,
                ..Sent::default()
            };
            assert_eq!(judge(&of_query, &sent), wanted, "{query:?}");
        }

        let of_header = terms(&[("header.X-Unit", is("H41"))], &[]).unwrap();
        let mut sent = Sent::default();
        assert_eq!(judge(&of_header, &sent), Err(Refused::NotAgreed));
        sent.headers.append("x-unit", HeaderValue::from_static("H41"));
        assert_eq!(judge(&of_header, &sent), Ok(None));
        sent.headers.append("x-unit", HeaderValue::from_static("H42"));
        assert_eq!(judge(&of_header, &sent), Err(Refused::Unreadable));
        assert!(of_header.declares(&HeaderName::from_static("x-unit")));
        assert!(!of_header.declares(&HeaderName::from_static("x-other")));
    }

    #[test]
    fn a_predicate_over_the_body_reads_json_and_nothing_else() {
        let of_body = terms(&[("body.name", is("A")), ("path.unit", is("H41"))], &[]).unwrap();
        for (body, is_json, wanted) in [
            (r#"{"name":"A"}"#, true, Ok(None)),
            (r#"{"name":"B"}"#, true, Err(Refused::NotAgreed)),
            ("", true, Err(Refused::NotAgreed)),
            (r#"{"name":"A"}"#, false, Err(Refused::Unreadable)),
            (r#"{"name":"A","Name":"B"}"#, true, Err(Refused::Unreadable)),
            // Nothing of a body becomes a part of what is judged beside it.
            (r#"{"name":"A"},"path":{"unit":"H41"}"#, true, Err(Refused::Unreadable)),
            (r#"{"name":"A"}}"#, true, Err(Refused::Unreadable)),
        ] {
            let sent = Sent {
                body,
                is_json,
                ..Sent::default()
            };
            assert_eq!(judge(&of_body, &sent), wanted, "{body}");
        }
        // Also where no predicate is about it: to many a provider a name in the body is that of the query or the path.
        let of_path = terms(&[("path.unit", is("H41"))], &[]).unwrap();
        for (body, is_json, wanted) in [
            (
                r#"{"name":"A","places":{"nhà":{"name":"B"}},"a.b":"C"}"#,
                true,
                Ok(None),
            ),
            ("\u{1}", false, Err(Refused::Unreadable)),
            ("unit=H42", false, Err(Refused::Unreadable)),
            (r#"{"name":"A","unit":"H42"}"#, true, Err(Refused::Unreadable)),
            (r#"[{"unit":"H42"}]"#, true, Err(Refused::Unreadable)),
        ] {
            let sent = Sent {
                body,
                is_json,
                ..Sent::default()
            };
            assert_eq!(judge(&of_path, &sent), wanted, "{body}");
        }
    }

    #[test]
    fn what_cannot_be_judged_as_it_is_meant_is_no_predicate() {
        for field in ["query.x.y", "cookie.session", "body.a.b", "nothing", "body.nothing"] {
            assert!(terms(&[(field, PredicateRule::Absent)], &[]).is_err(), "{field}");
        }
        for field in ["body", "body.name", "body.places", "query.on", "header.X-Unit"] {
            assert!(terms(&[(field, PredicateRule::Absent)], &[]).is_ok(), "{field}");
        }
    }

    #[test]
    fn the_mask_goes_through_the_maps_of_the_interface() {
        let masked = terms(&[], &["name", "places.name"]).unwrap();
        let document = json!({ "name": "A", "secret": "S", "places": { "nhà": { "name": "B", "secret": "S" } } });
        let passed = masked.response(document.to_string().as_bytes()).unwrap();
        let passed: serde_json::Value = serde_json::from_slice(&passed).unwrap();
        assert_eq!(passed, json!({ "name": "A", "places": { "nhà": { "name": "B" } } }));
        assert!(!masked.judges() && masked.masks());
        assert_eq!(
            judge(
                &masked,
                &Sent {
                    query: Some("a=%zz"),
                    ..Sent::default()
                }
            ),
            Ok(Some("a=%zz".to_owned()))
        );
    }

    proptest! {
        /// Whatever query comes: refused, or what goes on is read by everybody as it was judged.
        #[test]
        fn a_query_that_goes_on_reads_as_it_was_judged(query in "(on|note|%6fn|=|&|;|\\+|%26|%3d|%25|%c4%91|1|%){0,12}") {
            let terms = terms(&[("path.unit", is("H41"))], &[]).unwrap();
            let judged = terms.request(&Judged {
                variables: &[("unit".to_owned(), "H41".to_owned())],
                query: Some(&query),
                headers: &HeaderMap::new(),
                body: b"",
                is_json: false,
            });
            if let Ok(Some(written)) = judged {
                prop_assert_eq!(pairs(&written).unwrap(), pairs(&query).unwrap());
                prop_assert!(!written.contains(['+', ';']));
                let whole = format!("/?{written}");
                prop_assert!(whole.parse::<http::uri::PathAndQuery>().is_ok());
            }
        }
    }
}
