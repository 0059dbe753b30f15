//! Which operation of an OpenAPI interface a path names.
//!
//! Several versions of an interface may be in use by agreements at once; their templates are looked through together, so that a
//! path is never taken for one operation by an older version and for another one by the provider.

use std::cmp::Reverse;
use std::collections::HashMap;

use percent_encoding::percent_decode_str;

/// What a segment of a path must be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    /// This text.
    Literal(Text),
    /// A variable that is not empty, between two texts, mostly empty ones.
    Variable { before: Text, after: Text },
}

/// A text of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Text {
    exact: String,
    /// As whoever is blind to case reads it.
    folded: String,
}

/// Templates of one form: they differ in the names of their variables at most.
#[derive(Clone, Debug)]
struct Route {
    patterns: Vec<Pattern>,
    /// Each with its names of variables.
    methods: Vec<(String, Vec<String>)>,
}

/// The operations of a service, as agreements name them: `GET /people/{id}`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    /// By verb, the most literal first.
    by_verb: HashMap<String, Vec<Route>>,
}

/// An operation that a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named<'r> {
    /// As agreements name it.
    pub(crate) method: &'r str,
    /// The variables with their values.
    pub(crate) variables: Vec<(String, String)>,
}

impl Routes {
    /// Of these operations, each once. One whose template has two variables in one segment has no route: where the one ends and
    /// the other begins is the provider's own idea.
    pub(crate) fn new<'m>(methods: impl IntoIterator<Item = &'m str>) -> Self {
        let mut routes = Self::default();
        for method in methods {
            if let Some((verb, template)) = method.split_once(' ')
                && let Some((patterns, variables)) = patterns(template)
            {
                routes.add(verb, method, patterns, variables);
            }
        }
        for held in routes.by_verb.values_mut() {
            held.sort_by_cached_key(|route| route.patterns.iter().map(rank).collect::<Vec<_>>());
        }
        routes
    }

    fn add(&mut self, verb: &str, method: &str, patterns: Vec<Pattern>, variables: Vec<String>) {
        let held = self.by_verb.entry(verb.to_owned()).or_default();
        let named = (method.to_owned(), variables);
        match held.iter_mut().find(|route| route.patterns == patterns) {
            Some(route) if route.methods.contains(&named) => {}
            Some(route) => route.methods.push(named),
            None => held.push(Route {
                patterns,
                methods: vec![named],
            }),
        }
    }

    /// The operations that a path of decoded segments names: none, or those of the most literal form that fits. A provider that is
    /// blind to case would take a path for that of another operation than it is spelled for: such a path names none.
    pub(crate) fn find(&self, verb: &str, segments: &[String]) -> Vec<Named<'_>> {
        let folded: Vec<String> = segments.iter().map(|segment| fold(segment)).collect();
        let Some(route) = self
            .by_verb
            .get(verb)
            .and_then(|routes| routes.iter().find(|route| route.fits_blindly(&folded)))
        else {
            return Vec::new();
        };
        let Some(values) = route.values(segments) else {
            return Vec::new();
        };
        route
            .methods
            .iter()
            .map(|(method, names)| Named {
                method,
                variables: names.iter().cloned().zip(values.iter().cloned()).collect(),
            })
            .collect()
    }
}

impl Route {
    fn fits_blindly(&self, folded: &[String]) -> bool {
        self.patterns.len() == folded.len()
            && self
                .patterns
                .iter()
                .zip(folded)
                .all(|(pattern, segment)| match pattern {
                    Pattern::Literal(text) => text.folded == *segment,
                    Pattern::Variable { before, after } => between(segment, &before.folded, &after.folded).is_some(),
                })
    }

    /// The values of the variables, if each text is spelled as the template has it.
    fn values(&self, segments: &[String]) -> Option<Vec<String>> {
        let mut values = Vec::new();
        for (pattern, segment) in self.patterns.iter().zip(segments) {
            match pattern {
                Pattern::Literal(text) if text.exact == *segment => {}
                Pattern::Literal(_) => return None,
                Pattern::Variable { before, after } => {
                    values.push(between(segment, &before.exact, &after.exact)?.to_owned());
                }
            }
        }
        Some(values)
    }
}

fn between<'s>(segment: &'s str, before: &str, after: &str) -> Option<&'s str> {
    let value = segment.strip_prefix(before)?.strip_suffix(after)?;
    (!value.is_empty()).then_some(value)
}

fn fold(text: &str) -> String {
    text.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

/// How literal a pattern is; the smaller, the more.
fn rank(pattern: &Pattern) -> (u8, Reverse<usize>) {
    match pattern {
        Pattern::Literal(_) => (0, Reverse(0)),
        Pattern::Variable { before, after } => (1, Reverse(before.exact.len() + after.exact.len())),
    }
}

/// A template taken apart, with the names of its variables in order.
fn patterns(template: &str) -> Option<(Vec<Pattern>, Vec<String>)> {
    let mut patterns = Vec::new();
    let mut variables = Vec::new();
    for segment in template.strip_prefix('/')?.split('/') {
        let Some((before, rest)) = segment.split_once('{') else {
            patterns.push(Pattern::Literal(literal(segment)?));
            continue;
        };
        let (name, after) = rest.split_once('}')?;
        if name.is_empty() || after.contains(['{', '}']) {
            return None;
        }
        variables.push(name.to_owned());
        patterns.push(Pattern::Variable {
            before: literal(before)?,
            after: literal(after)?,
        });
    }
    Some((patterns, variables))
}

/// A text of a template, as it is meant.
fn literal(text: &str) -> Option<Text> {
    let exact = percent_decode_str(text).decode_utf8().ok()?.into_owned();
    let folded = fold(&exact);
    Some(Text { exact, folded })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segments(path: &str) -> Vec<String> {
        path[1..].split('/').map(str::to_owned).collect()
    }

    fn found(routes: &Routes, verb: &str, path: &str) -> Vec<(String, Vec<(String, String)>)> {
        routes
            .find(verb, &segments(path))
            .into_iter()
            .map(|named| (named.method.to_owned(), named.variables))
            .collect()
    }

    fn only(routes: &Routes, path: &str) -> String {
        match found(routes, "GET", path).as_slice() {
            [] => "-".to_owned(),
            [(method, variables)] => {
                let said: Vec<String> = variables
                    .iter()
                    .map(|(name, value)| format!(" {name}={value}"))
                    .collect();
                format!("{method}{}", said.concat())
            }
            several => panic!("{several:?}"),
        }
    }

    #[test]
    fn the_most_literal_template_is_taken() {
        let routes = Routes::new([
            "GET /people/{id}",
            "GET /people/search",
            "GET /people/{id}/notes/{note}",
            "GET /people/{id}:history",
            "GET /{kind}/search",
            "GET /files/{name}.json",
            "GET /people/",
            "GET /h%E1%BB%99",
            "POST /people/{id}",
        ]);
        for (path, wanted) in [
            ("/people/7", "GET /people/{id} id=7"),
            ("/people/search", "GET /people/search"),
            ("/places/search", "GET /{kind}/search kind=places"),
            ("/people/7/notes/8", "GET /people/{id}/notes/{note} id=7 note=8"),
            ("/people/7:history", "GET /people/{id}:history id=7"),
            ("/people/:history", "GET /people/{id} id=:history"),
            ("/files/a.json", "GET /files/{name}.json name=a"),
            ("/files/a.xml", "-"),
            ("/people/", "GET /people/"),
            ("/people", "-"),
            ("/hộ", "GET /h%E1%BB%99"),
            ("/", "-"),
        ] {
            assert_eq!(only(&routes, path), wanted, "{path}");
        }
        assert!(found(&routes, "DELETE", "/people/7").is_empty());
        assert!(found(&routes, "get", "/people/7").is_empty());
    }

    #[test]
    fn a_path_that_only_a_provider_blind_to_case_takes_for_another_operation_names_none() {
        let routes = Routes::new(["GET /people/{id}", "GET /people/search"]);
        assert_eq!(only(&routes, "/people/Search"), "-");
        assert_eq!(only(&routes, "/people/\u{17f}earch"), "-");
        assert_eq!(only(&routes, "/People/7"), "-");
        assert_eq!(only(&routes, "/people/Se"), "GET /people/{id} id=Se");
    }

    #[test]
    fn templates_of_one_form_are_named_all_and_one_that_is_ambiguous_in_itself_has_no_route() {
        let routes = Routes::new([
            "GET /people/{id}",
            "GET /people/{name}",
            "GET /people/{id}",
            "GET /at/{x},{y}",
        ]);
        let names: Vec<String> = found(&routes, "GET", "/people/7")
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["GET /people/{id}", "GET /people/{name}"]);
        assert_eq!(only(&routes, "/at/1,2"), "-");
    }

    proptest! {
        /// What a template says, filled in, names that operation or a more literal one, and with these values.
        #[test]
        fn a_template_that_is_filled_in_is_found(
            templates in prop::collection::vec(prop::collection::vec("(a|b|\\{x\\}|a\\{y\\}|\\{z\\}b)", 1..4), 1..6),
            pick in any::<prop::sample::Index>(),
            value in "[ab1]{1,3}",
        ) {
            let names: Vec<String> = templates.iter().map(|parts| format!("GET /{}", parts.join("/"))).collect();
            let routes = Routes::new(names.iter().map(String::as_str));
            let parts = pick.get(&templates);
            let filled: Vec<String> = parts.iter().map(|part| match part.split_once('{') {
                Some((before, rest)) => format!("{before}{value}{}", rest.split_once('}').unwrap().1),
                None => part.clone(),
            }).collect();
            let found = routes.find("GET", &filled);
            prop_assert!(!found.is_empty());
            for named in found {
                // Whatever was found, written out with its values, is the path.
                let mut written = named.method.strip_prefix("GET /").unwrap().to_owned();
                for (name, value) in &named.variables {
                    written = written.replacen(&format!("{{{name}}}"), value, 1);
                }
                prop_assert_eq!(written, filled.join("/"));
            }
        }

        #[test]
        fn any_template_and_path_are_read_or_left(template in "\\PC{0,30}", path in "/\\PC{0,30}") {
            let method = format!("GET {template}");
            let _ = Routes::new([method.as_str()]).find("GET", &segments(&path));
        }
    }
}
