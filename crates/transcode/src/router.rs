//! Finds what serves a path: templates compiled to a tree, walked without allocation but for the places of the segments.
//!
//! At each step a literal goes before `*`, and `*` before `**`. A verb that some template has behind the last colon of a
//! path is read as the verb; any other colon belongs to the segment.

use std::borrow::Cow;

use http::Method;

use crate::template::{Segment, Template};

/// Templates by method, with a value for each.
#[derive(Debug)]
pub struct Router<T> {
    nodes: Vec<Node<T>>,
}

#[derive(Debug)]
struct Node<T> {
    /// By text, sorted.
    literals: Vec<(Box<str>, usize)>,
    one: Option<usize>,
    /// What ends here.
    ends: Vec<End<T>>,
    /// What takes this and all that follows.
    rest: Vec<End<T>>,
}

#[derive(Debug)]
struct End<T> {
    verb: Option<Box<str>>,
    /// `None` serves every method.
    methods: Vec<(Option<Method>, T)>,
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'r, T> {
    /// A value, and where in the path the segments are.
    Value(&'r T, Segments),
    /// Templates that serve other methods.
    OtherMethods(Vec<Method>),
    /// Nothing.
    Nothing,
}

/// The places of the segments of a path, the verb not included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segments(Vec<(u32, u32)>);

impl Segments {
    /// The text of `path` from segment `first` on, over `length` segments; with `to_end`, all that follow.
    pub fn text<'p>(&self, path: &'p str, first: usize, length: usize, to_end: bool) -> &'p str {
        let last = if to_end {
            self.0.last()
        } else {
            self.0.get((first + length).saturating_sub(1))
        };
        match (self.0.get(first), last) {
            (Some((begin, _)), Some((_, end))) => path.get(*begin as usize..*end as usize).unwrap_or_default(),
            _ => "",
        }
    }
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self {
            literals: Vec::new(),
            one: None,
            ends: Vec::new(),
            rest: Vec::new(),
        }
    }
}

impl<T> Router<T> {
    /// Adds a template for a method, `None` meaning every one. If a template of the same shape is there, nothing is added and
    /// its value is given back.
    pub fn add(&mut self, method: Option<Method>, template: &Template, value: T) -> Result<(), &T> {
        let mut at = 0;
        let mut takes_rest = false;
        for segment in template.segments() {
            at = match segment {
                Segment::Literal(text) => self.literal(at, text),
                Segment::One => self.one(at),
                Segment::Rest => {
                    takes_rest = true;
                    break;
                }
            };
        }
        // The index comes from this tree.
        let Some(node) = self.nodes.get_mut(at) else {
            return Ok(());
        };
        let ends = if takes_rest { &mut node.rest } else { &mut node.ends };
        let verb = template.verb();
        let place = match ends.iter().position(|end| end.verb.as_deref() == verb) {
            Some(place) => place,
            None => {
                ends.push(End {
                    verb: verb.map(Box::from),
                    methods: Vec::new(),
                });
                // Templates with a verb first: without one, the colon would be part of the segment.
                ends.sort_by_key(|end| end.verb.is_none());
                ends.iter()
                    .position(|end| end.verb.as_deref() == verb)
                    .unwrap_or_default()
            }
        };
        let Some(end) = ends.get_mut(place) else {
            return Ok(());
        };
        match end.methods.iter().position(|(other, _)| *other == method) {
            Some(taken) => match end.methods.get(taken) {
                Some((_, value)) => Err(value),
                None => Ok(()),
            },
            None => {
                end.methods.push((method, value));
                Ok(())
            }
        }
    }

    fn new_node(&mut self) -> usize {
        self.nodes.push(Node::default());
        self.nodes.len() - 1
    }

    fn literal(&mut self, at: usize, text: &str) -> usize {
        let place = match self.nodes.get(at) {
            Some(node) => node.literals.binary_search_by(|(other, _)| (**other).cmp(text)),
            None => return at,
        };
        match place {
            Ok(index) => self
                .nodes
                .get(at)
                .and_then(|node| node.literals.get(index))
                .map_or(at, |(_, next)| *next),
            Err(index) => {
                let next = self.new_node();
                if let Some(node) = self.nodes.get_mut(at) {
                    node.literals.insert(index, (Box::from(text), next));
                }
                next
            }
        }
    }

    fn one(&mut self, at: usize) -> usize {
        if let Some(next) = self.nodes.get(at).and_then(|node| node.one) {
            return next;
        }
        let next = self.new_node();
        if let Some(node) = self.nodes.get_mut(at) {
            node.one = Some(next);
        }
        next
    }

    /// What serves `method` at `path`, which is the raw path of a request.
    pub fn find(&self, method: &Method, path: &str) -> Found<'_, T> {
        let Some(inside) = path.strip_prefix('/') else {
            return Found::Nothing;
        };
        let mut places = Vec::with_capacity(8);
        let mut begin = 1_u32;
        for segment in inside.split('/') {
            let end = begin + segment.len() as u32;
            places.push((begin, end));
            begin = end + 1;
        }
        let mut search = Search {
            router: self,
            path,
            places,
            method,
            verb: None,
            others: Vec::new(),
        };

        // A colon in the last segment may begin a verb.
        let (last_begin, last_end) = search.places.last().copied().unwrap_or_default();
        let last = path.get(last_begin as usize..last_end as usize).unwrap_or_default();
        if let Some(colon) = last.rfind(':') {
            search.verb = last.get(colon + 1..);
            if let Some(place) = search.places.last_mut() {
                place.1 = last_begin + colon as u32;
            }
            if let Some(value) = search.at(0, 0) {
                return Found::Value(value, Segments(search.places));
            }
            if !search.others.is_empty() {
                return Found::OtherMethods(search.others);
            }
            search.verb = None;
            if let Some(place) = search.places.last_mut() {
                place.1 = last_end;
            }
        }
        match search.at(0, 0) {
            Some(value) => Found::Value(value, Segments(search.places)),
            None if search.others.is_empty() => Found::Nothing,
            None => Found::OtherMethods(search.others),
        }
    }
}

struct Search<'r, 'p, T> {
    router: &'r Router<T>,
    path: &'p str,
    places: Vec<(u32, u32)>,
    method: &'p Method,
    verb: Option<&'p str>,
    /// The methods of templates that fit but for the method.
    others: Vec<Method>,
}

impl<'r, T> Search<'r, '_, T> {
    fn at(&mut self, node: usize, index: usize) -> Option<&'r T> {
        let node = self.router.nodes.get(node)?;
        let Some((begin, end)) = self.places.get(index).copied() else {
            return self.end(&node.ends);
        };
        if begin == end {
            return None;
        }
        let raw = self.path.get(begin as usize..end as usize).unwrap_or_default();
        let text = if raw.contains('%') {
            percent_encoding::percent_decode_str(raw)
                .decode_utf8()
                .unwrap_or(Cow::Borrowed(raw))
        } else {
            Cow::Borrowed(raw)
        };
        if let Ok(place) = node.literals.binary_search_by(|(other, _)| (**other).cmp(&*text))
            && let Some((_, next)) = node.literals.get(place)
            && let Some(value) = self.at(*next, index + 1)
        {
            return Some(value);
        }
        if let Some(next) = node.one
            && let Some(value) = self.at(next, index + 1)
        {
            return Some(value);
        }
        self.end(&node.rest)
    }

    fn end(&mut self, ends: &'r [End<T>]) -> Option<&'r T> {
        let end = ends.iter().find(|end| end.verb.as_deref() == self.verb)?;
        let wanted = |method: &Method| {
            end.methods
                .iter()
                .find(|(served, _)| served.as_ref().is_none_or(|served| served == method))
                .map(|(_, value)| value)
        };
        let value = wanted(self.method).or_else(|| {
            // Whoever may read may ask for the head alone.
            (self.method == Method::HEAD).then(|| wanted(&Method::GET)).flatten()
        });
        if value.is_none() {
            for (method, _) in &end.methods {
                if let Some(method) = method
                    && !self.others.contains(method)
                {
                    self.others.push(method.clone());
                    if *method == Method::GET {
                        self.others.push(Method::HEAD);
                    }
                }
            }
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn router(routes: &[(&str, &'static str)]) -> Router<&'static str> {
        let mut router = Router::default();
        for (method, template) in routes {
            router
                .add(
                    Some(Method::from_bytes(method.as_bytes()).unwrap()),
                    &template.parse().unwrap(),
                    *template,
                )
                .unwrap();
        }
        router
    }

    fn found(router: &Router<&'static str>, method: Method, path: &str) -> String {
        match router.find(&method, path) {
            Found::Value(value, _) => (*value).to_owned(),
            Found::OtherMethods(methods) => format!("{methods:?}"),
            Found::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn literals_go_before_stars_and_verbs_are_told_from_colons() {
        let router = router(&[
            ("GET", "/v1/cases/{case_id}"),
            ("GET", "/v1/cases"),
            ("POST", "/v1/cases"),
            ("POST", "/v1/cases:search"),
            ("POST", "/v1/cases/{case_id}:accept"),
            ("GET", "/v1/cases/{case_id}/history"),
            ("GET", "/v1/cases/mine"),
            ("POST", "/v1/cases/mine/{x}"),
            ("GET", "/v1/files/{path=**}"),
            ("GET", "/v1/files/{path=**}:meta"),
        ]);
        let get = |path: &str| found(&router, Method::GET, path);
        let post = |path: &str| found(&router, Method::POST, path);
        assert_eq!(get("/v1/cases/1"), "/v1/cases/{case_id}");
        assert_eq!(get("/v1/cases/a:b"), "/v1/cases/{case_id}");
        assert_eq!(get("/v1/cases/mine"), "/v1/cases/mine");
        assert_eq!(get("/v1/cases/mine/history"), "/v1/cases/{case_id}/history");
        assert_eq!(get("/v1/cases/m%69ne"), "/v1/cases/mine");
        assert_eq!(post("/v1/cases"), "/v1/cases");
        assert_eq!(post("/v1/cases:search"), "/v1/cases:search");
        assert_eq!(post("/v1/cases/1:accept"), "/v1/cases/{case_id}:accept");
        assert_eq!(post("/v1/cases/1%3Aaccept"), "[GET, HEAD]");
        assert_eq!(get("/v1/cases/1:accept"), "[POST]");
        assert_eq!(found(&router, Method::DELETE, "/v1/cases"), "[GET, HEAD, POST]");
        assert_eq!(found(&router, Method::HEAD, "/v1/cases"), "/v1/cases");
        assert_eq!(get("/v1/files/a/b/c"), "/v1/files/{path=**}");
        assert_eq!(get("/v1/files/a/b:meta"), "/v1/files/{path=**}:meta");
        for nothing in [
            "",
            "/",
            "v1/cases",
            "/v1/cases/",
            "/v1//cases",
            "/v1/files",
            "/v1/cases/1/",
            "/v2/cases",
        ] {
            assert_eq!(get(nothing), "nothing", "{nothing}");
        }
    }

    #[test]
    fn two_templates_of_one_shape_conflict() {
        let mut router = router(&[("GET", "/v1/cases/{case_id}")]);
        let add = |router: &mut Router<&'static str>, method: Method, template: &str| {
            router
                .add(Some(method), &template.parse().unwrap(), "second")
                .map_err(|first| *first)
        };
        assert_eq!(
            add(&mut router, Method::GET, "/v1/cases/{other}"),
            Err("/v1/cases/{case_id}")
        );
        assert_eq!(add(&mut router, Method::PUT, "/v1/cases/{other}"), Ok(()));
        assert_eq!(add(&mut router, Method::GET, "/v1/cases/{other}:verb"), Ok(()));
    }

    #[test]
    fn segments_are_found_again_in_the_path() {
        let router = router(&[
            ("GET", "/v1/{name=shelves/*/books/*}:show"),
            ("GET", "/v1/tree/{path=**}"),
        ]);
        let path = "/v1/shelves/a%2Fb/books/c:show";
        let Found::Value(_, segments) = router.find(&Method::GET, path) else {
            panic!("found");
        };
        assert_eq!(segments.text(path, 1, 4, false), "shelves/a%2Fb/books/c");
        let path = "/v1/tree/x/y/z";
        let Found::Value(_, segments) = router.find(&Method::GET, path) else {
            panic!("found");
        };
        assert_eq!(segments.text(path, 2, 1, true), "x/y/z");
    }

    proptest! {
        #[test]
        fn any_path_is_answered(path in "[/a-c:%*0-9]{0,20}", method in prop_oneof![Just(Method::GET), Just(Method::POST)]) {
            let router = router(&[
                ("GET", "/a/{x}"), ("GET", "/a/b"), ("POST", "/a/{x}:c"), ("GET", "/{x=**}:b"), ("GET", "/a/*/c/**"),
            ]);
            if let Found::Value(_, segments) = router.find(&method, &path) {
                prop_assert!(!segments.text(&path, 0, 1, false).is_empty());
            }
        }
    }
}
