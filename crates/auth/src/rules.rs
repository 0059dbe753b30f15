//! What each method demands of its caller.

use std::collections::HashMap;
use std::sync::Arc;

use http::Method;

/// What one method demands. For gRPC it is read from the options of the contract.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MethodRule {
    /// The method: a gRPC path (`/egov.onestop.v1.CaseService/GetCase`), or for plain HTTP a verb and a path whose
    /// `{segments}` stand for anything (`GET /notices/{id}`).
    pub path: String,
    /// The permission that a role of the caller must have. Without one, any caller with a token is admitted.
    pub permission: Option<String>,
    /// Needs no token. A token that is sent is verified all the same.
    pub public: bool,
    /// Must not run on a stale list of revocations.
    pub sensitive: bool,
    /// The caller must say for what purpose it asks.
    pub purpose_required: bool,
}

impl MethodRule {
    /// A method for which a permission is needed.
    pub fn permitted(path: impl Into<String>, permission: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            permission: Some(permission.into()),
            ..Self::default()
        }
    }

    /// A method that everybody may call, without a token.
    pub fn public(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            public: true,
            ..Self::default()
        }
    }

    /// The same rule for a method that must not run on a stale list of revocations.
    #[must_use]
    pub fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// The same rule for a method that reads personal data: the caller must say for what purpose.
    #[must_use]
    pub fn for_a_purpose(mut self) -> Self {
        self.purpose_required = true;
        self
    }
}

/// A rule, ready to be applied.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) path: Arc<str>,
    pub(crate) permission: Option<Arc<str>>,
    pub(crate) public: bool,
    pub(crate) sensitive: bool,
    pub(crate) purpose_required: bool,
}

/// The rules of a service, and the paths that need none.
#[derive(Debug)]
pub(crate) struct Rules {
    exact: HashMap<Arc<str>, Rule>,
    patterns: Vec<(Pattern, Rule)>,
    exempt: Vec<String>,
}

/// A verb and the segments of a path, where nothing stands for any segment.
#[derive(Debug)]
struct Pattern {
    verb: Option<String>,
    segments: Vec<Option<String>>,
}

impl Pattern {
    /// `None` for a path that is compared as a whole.
    fn parse(path: &str) -> Option<Self> {
        let (verb, path) = match path.split_once(' ') {
            Some((verb, path)) => (Some(verb.to_owned()), path),
            None if path.contains('{') => (None, path),
            None => return None,
        };
        let segments = path
            .split('/')
            .map(|segment| {
                let is_any = segment.starts_with('{') && segment.ends_with('}');
                (!is_any).then(|| segment.to_owned())
            })
            .collect();
        Some(Self { verb, segments })
    }

    fn matches(&self, verb: &Method, path: &str) -> bool {
        let mut segments = path.split('/');
        self.verb.as_deref().is_none_or(|expected| expected == verb.as_str())
            && self.segments.iter().all(|expected| match (expected, segments.next()) {
                (Some(expected), Some(segment)) => expected == segment,
                (None, Some(segment)) => !segment.is_empty(),
                (_, None) => false,
            })
            && segments.next().is_none()
    }
}

impl Rules {
    pub(crate) fn new(rules: Vec<MethodRule>, exempt: Vec<String>) -> Self {
        let mut exact = HashMap::new();
        let mut patterns = Vec::new();
        for rule in rules {
            let path: Arc<str> = Arc::from(rule.path);
            let ready = Rule {
                path: Arc::clone(&path),
                permission: rule.permission.map(Arc::from),
                public: rule.public,
                sensitive: rule.sensitive,
                purpose_required: rule.purpose_required,
            };
            match Pattern::parse(&path) {
                Some(pattern) => patterns.push((pattern, ready)),
                None => {
                    exact.insert(path, ready);
                }
            }
        }
        Self {
            exact,
            patterns,
            exempt,
        }
    }

    pub(crate) fn is_exempt(&self, path: &str) -> bool {
        self.exempt.iter().any(|prefix| path.starts_with(prefix.as_str()))
    }

    /// The rule of a call; of several patterns that match, the first.
    pub(crate) fn of(&self, verb: &Method, path: &str) -> Option<&Rule> {
        self.exact.get(path).or_else(|| {
            self.patterns
                .iter()
                .find(|(pattern, _)| pattern.matches(verb, path))
                .map(|(_, rule)| rule)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules::new(
            vec![
                MethodRule::permitted("/a.v1.S/Get", "a.get"),
                MethodRule::permitted("GET /notices/mine", "n.mine"),
                MethodRule::permitted("GET /notices/{id}", "n.read"),
                MethodRule::permitted("PUT /notices/{id}", "n.write"),
                MethodRule::permitted("/any/{x}/verb", "n.any"),
            ],
            vec!["/grpc.health.v1.Health/".to_owned()],
        )
    }

    fn permission(verb: &Method, path: &str) -> Option<String> {
        rules()
            .of(verb, path)
            .and_then(|rule| rule.permission.as_deref().map(str::to_owned))
    }

    #[test]
    fn grpc_paths_match_as_a_whole_and_http_paths_by_segment() {
        assert_eq!(permission(&Method::POST, "/a.v1.S/Get").as_deref(), Some("a.get"));
        assert_eq!(permission(&Method::GET, "/notices/mine").as_deref(), Some("n.mine"));
        assert_eq!(permission(&Method::GET, "/notices/7").as_deref(), Some("n.read"));
        assert_eq!(permission(&Method::PUT, "/notices/7").as_deref(), Some("n.write"));
        assert_eq!(permission(&Method::DELETE, "/any/1/verb").as_deref(), Some("n.any"));
    }

    #[test]
    fn what_no_rule_names_has_no_rule() {
        for path in [
            "/a.v1.S/Ge",
            "/a.v1.S/Get/",
            "/A.v1.S/Get",
            "/notices",
            "/notices/",
            "/notices/7/x",
            "//notices/7",
            "",
        ] {
            assert_eq!(permission(&Method::GET, path), None, "{path}");
        }
        assert_eq!(permission(&Method::HEAD, "/notices/7"), None);
    }

    #[test]
    fn exempt_paths_are_known_by_their_prefix() {
        assert!(rules().is_exempt("/grpc.health.v1.Health/Check"));
        assert!(!rules().is_exempt("/grpc.health.v1.HealthX/Check"));
    }
}
