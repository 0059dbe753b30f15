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
    /// Several variables, none of which is empty, with these texts before, between and after them. Where the one ends and the
    /// other begins is the provider's own idea, so that a path that fits names nothing.
    Several(Vec<Text>),
    /// Braces that make no variables, between two texts: what fits is the provider's own idea, and names nothing.
    Broken { before: Text, after: Text },
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
    /// Each with its names of variables; none if what fits names nothing.
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
    /// Of these operations, each once. A path that fits one whose template has two variables in one segment names none: it must
    /// not be taken for that of a template that says less.
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
        let named = patterns
            .iter()
            .all(Pattern::names)
            .then(|| (method.to_owned(), variables));
        match held.iter_mut().find(|route| route.patterns == patterns) {
            Some(route) => {
                let new = named.filter(|named| !route.methods.contains(named));
                route.methods.extend(new);
            }
            None => held.push(Route {
                patterns,
                methods: named.into_iter().collect(),
            }),
        }
    }

    /// The operations that a path of decoded segments names: none, or those of the most literal form that fits. A provider that is
    /// blind to case, or takes off an extension (`search.json`), would take a path for that of another operation than it is
    /// spelled for: such a path names none.
    pub(crate) fn find(&self, verb: &str, segments: &[String]) -> Vec<Named<'_>> {
        let folded: Vec<String> = segments.iter().map(|segment| fold(segment)).collect();
        let routes = self.by_verb.get(verb).map(Vec::as_slice).unwrap_or_default();
        let fitting = |folded: &[String]| routes.iter().position(|route| route.fits_blindly(folded));
        let Some((at, route)) = fitting(&folded).and_then(|at| Some((at, routes.get(at)?))) else {
            return Vec::new();
        };
        if !matches!(route.patterns.last(), Some(Pattern::Literal(_)))
            && without_extension(&folded).any(|shorter| fitting(&shorter).is_some_and(|other| other < at))
        {
            return Vec::new();
        }
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

impl Pattern {
    /// Whether it is plain what its variables are.
    const fn names(&self) -> bool {
        matches!(self, Self::Literal(_) | Self::Variable { .. })
    }

    fn fits_blindly(&self, folded: &str) -> bool {
        match self {
            Self::Literal(text) => text.folded == folded,
            Self::Variable { before, after } => between(folded, &before.folded, &after.folded).is_some(),
            Self::Several(texts) => fits_several(folded, texts),
            Self::Broken { before, after } => folded
                .strip_prefix(before.folded.as_str())
                .is_some_and(|rest| rest.ends_with(&after.folded)),
        }
    }
}

impl Route {
    fn fits_blindly(&self, folded: &[String]) -> bool {
        self.patterns.len() == folded.len()
            && self
                .patterns
                .iter()
                .zip(folded)
                .all(|(pattern, segment)| pattern.fits_blindly(segment))
    }

    /// The values of the variables, if each text is spelled as the template has it, and it names anything at all.
    fn values(&self, segments: &[String]) -> Option<Vec<String>> {
        let mut values = Vec::new();
        for (pattern, segment) in self.patterns.iter().zip(segments) {
            match pattern {
                Pattern::Literal(text) if text.exact == *segment => {}
                Pattern::Literal(_) => return None,
                Pattern::Variable { before, after } => {
                    values.push(between(segment, &before.exact, &after.exact)?.to_owned());
                }
                Pattern::Several(_) | Pattern::Broken { .. } => return None,
            }
        }
        Some(values)
    }
}

fn between<'s>(segment: &'s str, before: &str, after: &str) -> Option<&'s str> {
    let value = segment.strip_prefix(before)?.strip_suffix(after)?;
    (!value.is_empty()).then_some(value)
}

/// Whether a folded segment has these texts with something between each two.
fn fits_several(folded: &str, texts: &[Text]) -> bool {
    let [before, middle @ .., after] = texts else {
        return false;
    };
    let Some(mut rest) = between(folded, &before.folded, &after.folded) else {
        return false;
    };
    for text in middle {
        // The first place where it stands leaves the most to what follows; the variable before it takes one letter at least.
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let Some((_, more)) = rest
            .get(first..)
            .and_then(|variable| variable.split_once(text.folded.as_str()))
        else {
            return false;
        };
        rest = more;
    }
    !rest.is_empty()
}

/// A path as it is if the last segment ends before one of its dots.
fn without_extension(segments: &[String]) -> impl Iterator<Item = Vec<String>> {
    let (last, above) = segments.split_last().unzip();
    let above: &[String] = above.unwrap_or_default();
    let stems = last.into_iter().flat_map(|last: &String| {
        last.match_indices('.')
            .filter_map(|(at, _)| last.get(..at).map(str::to_owned))
    });
    stems.map(|stem| above.iter().cloned().chain([stem]).collect())
}

fn fold(text: &str) -> String {
    text.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

/// How literal a pattern is; the smaller, the more. Of two that are equally literal, one that names nothing comes first.
fn rank(pattern: &Pattern) -> (u8, Reverse<usize>, bool) {
    let (kind, text) = match pattern {
        Pattern::Literal(_) => (0, 0),
        Pattern::Variable { before, after } | Pattern::Broken { before, after } => {
            (1, before.exact.len() + after.exact.len())
        }
        Pattern::Several(texts) => (1, texts.iter().map(|text| text.exact.len()).sum()),
    };
    (kind, Reverse(text), pattern.names())
}

/// A template taken apart, with the names of its variables in order. None if it is no path, or no path can be spelled as it.
fn patterns(template: &str) -> Option<(Vec<Pattern>, Vec<String>)> {
    let mut patterns = Vec::new();
    let mut variables = Vec::new();
    for segment in template.strip_prefix('/')?.split('/') {
        let Some((texts, names)) = parts(segment) else {
            patterns.push(broken(segment)?);
            continue;
        };
        let texts = texts.into_iter().map(literal).collect::<Option<Vec<_>>>()?;
        variables.extend(names.into_iter().map(str::to_owned));
        patterns.push(match <[Text; 1]>::try_from(texts) {
            Ok([text]) => Pattern::Literal(text),
            Err(texts) => match <[Text; 2]>::try_from(texts) {
                Ok([before, after]) => Pattern::Variable { before, after },
                Err(texts) => Pattern::Several(texts),
            },
        });
    }
    Some((patterns, variables))
}

/// The texts of a segment, which stand before, between and after its variables, and the names of these; none if its braces make
/// no variables.
fn parts(segment: &str) -> Option<(Vec<&str>, Vec<&str>)> {
    let mut texts = Vec::new();
    let mut names = Vec::new();
    let mut rest = segment;
    while let Some((text, more)) = rest.split_once('{') {
        let (name, after) = more.split_once('}')?;
        if name.is_empty() || name.contains('{') || text.contains('}') {
            return None;
        }
        texts.push(text);
        names.push(name);
        rest = after;
    }
    texts.push(rest);
    (!rest.contains('}')).then_some((texts, names))
}

/// The variables of a segment of a template; none if its braces make no variables.
pub(crate) fn variables_of(segment: &str) -> Option<Vec<&str>> {
    parts(segment).map(|(_, names)| names)
}

/// What is sure of a segment whose braces make no variables: the text before the first that opens and after the last that closes.
fn broken(segment: &str) -> Option<Pattern> {
    let plain = |text: &&str| !text.contains(['{', '}']);
    let before = segment.split_once('{').map(|(text, _)| text).filter(plain);
    let after = segment.rsplit_once('}').map(|(_, text)| text).filter(plain);
    let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
    Some(Pattern::Broken {
        before: literal(before)?,
        after: literal(after)?,
    })
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
    fn templates_of_one_form_are_named_all_and_one_that_is_ambiguous_in_itself_names_nothing() {
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

    #[test]
    fn a_path_that_fits_two_variables_in_one_segment_is_not_taken_for_a_template_that_says_less() {
        let routes = Routes::new([
            "GET /people/{id}",
            "GET /people/{province}-{number}",
            "GET /people/a-b",
            "GET /people/{province}-{number}/notes",
            "GET /people/{id}/notes",
            "GET /{kind}/{id}/notes",
            "GET /pairs/{a}{b}",
            "GET /pairs/{a}",
            "GET /Nghệ{x}.{y}An",
            "GET /{place}",
            "POST /people/{id}",
        ]);
        for (path, wanted) in [
            ("/people/7", "GET /people/{id} id=7"),
            ("/people/-", "GET /people/{id} id=-"),
            ("/people/-7", "GET /people/{id} id=-7"),
            ("/people/7-", "GET /people/{id} id=7-"),
            ("/people/40-7", "-"),
            ("/people/--7", "-"),
            ("/people/40-7-8", "-"),
            ("/people/a-b", "GET /people/a-b"),
            ("/people/40-7/notes", "-"),
            ("/people/7/notes", "GET /people/{id}/notes id=7"),
            ("/pairs/a", "GET /pairs/{a} a=a"),
            ("/pairs/ạ", "GET /pairs/{a} a=ạ"),
            ("/pairs/ab", "-"),
            ("/Nghệ1.2An", "-"),
            ("/nghệ1.2AN", "-"),
            ("/Nghệ1An", "GET /{place} place=Nghệ1An"),
        ] {
            assert_eq!(only(&routes, path), wanted, "{path}");
        }
        assert_eq!(found(&routes, "POST", "/people/40-7").len(), 1);
    }

    #[test]
    fn a_template_with_broken_braces_keeps_what_may_be_its_paths_from_others() {
        let routes = Routes::new([
            "GET /people/a{id",
            "GET /people/{}b",
            "GET /people/{id}",
            "GET /places/id}c",
            "GET /places/{id}",
        ]);
        for (path, wanted) in [
            ("/people/7", "GET /people/{id} id=7"),
            ("/people/a7", "-"),
            ("/people/7b", "-"),
            ("/people/ab", "-"),
            ("/places/7", "GET /places/{id} id=7"),
            ("/places/7c", "-"),
        ] {
            assert_eq!(only(&routes, path), wanted, "{path}");
        }
    }

    #[test]
    fn a_path_that_only_a_provider_that_takes_off_extensions_takes_for_another_operation_names_none() {
        let routes = Routes::new([
            "GET /people/{id}",
            "GET /people/search",
            "GET /people/{id}:history",
            "GET /people/list",
            "GET /people/list.json",
            "GET /files/{name}.json",
            "GET /files/{name}",
            "GET /files/all",
        ]);
        for (path, wanted) in [
            ("/people/search", "GET /people/search"),
            ("/people/search.json", "-"),
            ("/people/Search.JSON", "-"),
            ("/people/search.tar.gz", "-"),
            ("/people/search.", "-"),
            ("/people/7:history.json", "-"),
            ("/people/searching.json", "GET /people/{id} id=searching.json"),
            ("/people/7.json", "GET /people/{id} id=7.json"),
            ("/people/.json", "GET /people/{id} id=.json"),
            ("/people/list.json", "GET /people/list.json"),
            ("/people/list.xml", "-"),
            ("/files/a.json", "GET /files/{name}.json name=a"),
            ("/files/a.xml", "GET /files/{name} name=a.xml"),
            ("/files/all.json", "-"),
        ] {
            assert_eq!(only(&routes, path), wanted, "{path}");
        }
    }

    proptest! {
        /// Whatever two texts are filled into a segment of two variables, it is not taken for one variable.
        #[test]
        fn what_is_filled_into_two_variables_names_nothing(
            before in "[a-]{0,2}", middle in "[a-]{0,2}", after in "[a-]{0,2}",
            first in "[aA1-]{1,3}", second in "[aA1-]{1,3}",
        ) {
            let ambiguous = format!("GET /{before}{{x}}{middle}{{y}}{after}");
            let routes = Routes::new(["GET /{id}", ambiguous.as_str()]);
            let filled = format!("{before}{first}{middle}{second}{after}");
            prop_assert!(routes.find("GET", &[filled]).is_empty());
        }

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
