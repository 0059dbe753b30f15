//! The path templates of `google.api.http` (AIP-127).
//!
//! ```text
//! Template  = "/" Segments [ ":" LITERAL ] ;
//! Segments  = Segment { "/" Segment } ;
//! Segment   = "*" | "**" | LITERAL | Variable ;
//! Variable  = "{" FieldPath [ "=" Segments ] "}" ;
//! FieldPath = IDENT { "." IDENT } ;
//! ```
//!
//! `**` takes the rest of the path and is therefore the last segment. Variables do not nest.

use std::fmt;
use std::str::FromStr;

/// A path template, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    segments: Vec<Segment>,
    variables: Vec<Variable>,
    verb: Option<String>,
}

/// What one segment of a path must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// This text, percent-decoded.
    Literal(String),
    /// Any one segment that is not empty (`*`).
    One,
    /// All that follows, at least one segment (`**`).
    Rest,
}

/// A part of the path that goes into a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// The field, by its names in the contract: `case_id`, `parent.name`.
    pub field: Vec<String>,
    /// The first of its segments.
    pub first: usize,
    /// How many segments it has; `**` counts as one.
    pub length: usize,
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no path template: at byte {at}, {what}")]
pub struct TemplateError {
    text: String,
    at: usize,
    what: &'static str,
}

impl Template {
    /// What the segments must be.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The parts that go into fields.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// The custom verb behind the last colon.
    pub fn verb(&self) -> Option<&str> {
        self.verb.as_deref()
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let mut parser = Parser {
            text,
            at: 0,
            template: Self {
                segments: Vec::new(),
                variables: Vec::new(),
                verb: None,
            },
        };
        parser.expect('/', "a template begins with a slash")?;
        parser.segments(false)?;
        if parser.take(':') {
            let verb = parser.literal()?;
            parser.template.verb = Some(verb);
        }
        if parser.at < text.len() {
            return Err(parser.error("here the template should end"));
        }
        Ok(parser.template)
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    template: Template,
}

impl Parser<'_> {
    fn error(&self, what: &'static str) -> TemplateError {
        TemplateError {
            text: self.text.to_owned(),
            at: self.at,
            what,
        }
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.rest().starts_with(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn expect(&mut self, wanted: char, otherwise: &'static str) -> Result<(), TemplateError> {
        if self.take(wanted) {
            Ok(())
        } else {
            Err(self.error(otherwise))
        }
    }

    fn segments(&mut self, inside: bool) -> Result<(), TemplateError> {
        loop {
            self.segment(inside)?;
            self.alone(inside)?;
            if !self.take('/') {
                return Ok(());
            }
        }
    }

    fn segment(&mut self, inside: bool) -> Result<(), TemplateError> {
        if self.template.segments.last() == Some(&Segment::Rest) {
            return Err(self.error("** takes the rest of the path, so nothing can follow it"));
        }
        if self.take('{') {
            if inside {
                return Err(self.error("a variable cannot stand in another"));
            }
            return self.variable();
        }
        let segment = if self.take('*') {
            if self.take('*') { Segment::Rest } else { Segment::One }
        } else {
            Segment::Literal(self.literal()?)
        };
        self.template.segments.push(segment);
        Ok(())
    }

    /// A segment is a variable, a wildcard or a literal, and nothing of these together.
    fn alone(&self, inside: bool) -> Result<(), TemplateError> {
        let behind = self.text.get(..self.at).unwrap_or_default();
        let wild = behind.ends_with(['}', '*']);
        match self.rest().chars().next() {
            None | Some('/' | ':') => Ok(()),
            Some('}') if inside => Ok(()),
            Some(next) if wild || matches!(next, '{' | '*') => Err(self.error(
                "in google.api.http a variable is a whole segment, with neither text nor another variable beside it",
            )),
            Some(_) => Ok(()),
        }
    }

    fn variable(&mut self) -> Result<(), TemplateError> {
        let mut field = vec![self.identifier()?];
        while self.take('.') {
            field.push(self.identifier()?);
        }
        if self.template.variables.iter().any(|other| other.field == field) {
            return Err(self.error("the field is bound twice"));
        }
        let first = self.template.segments.len();
        if self.take('=') {
            self.segments(true)?;
        } else {
            self.template.segments.push(Segment::One);
        }
        self.expect('}', "here the variable should end with }")?;
        self.template.variables.push(Variable {
            field,
            first,
            length: self.template.segments.len() - first,
        });
        Ok(())
    }

    fn identifier(&mut self) -> Result<String, TemplateError> {
        let length = self
            .rest()
            .bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
            .count();
        let name = self.rest().get(..length).unwrap_or_default().to_owned();
        if name.is_empty() || name.starts_with(|letter: char| letter.is_ascii_digit()) {
            return Err(self.error("the name of a field is wanted"));
        }
        self.at += length;
        Ok(name)
    }

    /// A literal: what RFC 3986 allows in a segment, without the colon (which begins the verb) and the star.
    fn literal(&mut self) -> Result<String, TemplateError> {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=@%".contains(byte);
        let length = self.rest().bytes().take_while(allowed).count();
        let raw = self.rest().get(..length).unwrap_or_default();
        if raw.is_empty() {
            return Err(self.error("a literal, * or {field} is wanted"));
        }
        let decoded = percent_encoding::percent_decode_str(raw).decode_utf8();
        let Ok(decoded) = decoded else {
            return Err(self.error("the literal is not UTF-8 when decoded"));
        };
        let decoded = decoded.into_owned();
        self.at += length;
        Ok(decoded)
    }
}

/// What is encoded when a literal is printed: everything but the unreserved characters of RFC 3986 and the
/// sub-delimiters that a literal may hold.
const LITERAL: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(text) => write!(f, "{}", percent_encoding::utf8_percent_encode(text, LITERAL)),
            Self::One => f.write_str("*"),
            Self::Rest => f.write_str("**"),
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut index = 0;
        while let Some(segment) = self.segments.get(index) {
            f.write_str("/")?;
            let variable = self.variables.iter().find(|variable| variable.first == index);
            let Some(variable) = variable else {
                write!(f, "{segment}")?;
                index += 1;
                continue;
            };
            let inner: Vec<String> = self
                .segments
                .iter()
                .skip(index)
                .take(variable.length)
                .map(ToString::to_string)
                .collect();
            let inner = inner.join("/");
            let field = variable.field.join(".");
            if inner == "*" {
                write!(f, "{{{field}}}")?;
            } else {
                write!(f, "{{{field}={inner}}}")?;
            }
            index += variable.length;
        }
        match &self.verb {
            Some(verb) => write!(f, ":{}", percent_encoding::utf8_percent_encode(verb, LITERAL)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Template {
        text.parse().unwrap()
    }

    #[test]
    fn every_form_of_the_grammar_is_read() {
        let template = parsed("/v1/{name=shelves/*/books/**}:move");
        assert_eq!(template.segments().len(), 5);
        assert_eq!(template.segments().last(), Some(&Segment::Rest));
        assert_eq!(template.verb(), Some("move"));
        assert_eq!(
            template.variables(),
            [Variable {
                field: vec!["name".to_owned()],
                first: 1,
                length: 4
            }]
        );
        assert_eq!(parsed("/v1/{a.b.c}").variables()[0].field, ["a", "b", "c"]);
        assert_eq!(parsed("/v1/*/x").segments()[1], Segment::One);
        assert_eq!(
            parsed("/v1/h%E1%BB%93-s%C6%A1").segments()[1],
            Segment::Literal("hồ-sơ".to_owned())
        );
    }

    #[test]
    fn what_is_no_template_is_refused_with_its_place() {
        for (text, at) in [
            ("", 0),
            ("v1/cases", 0),
            ("/", 1),
            ("/v1//x", 4),
            ("/v1/", 4),
            ("/v1/**/x", 7),
            ("/v1/{a=**/b}", 10),
            ("/v1/{a={b}}", 8),
            ("/v1/{a", 6),
            ("/v1/{}", 5),
            ("/v1/{1a}", 5),
            ("/v1/{a.}", 7),
            ("/v1/{a}/{a}", 10),
            ("/v1/x:", 6),
            ("/v1/x:y:z", 7),
            ("/v1/x y", 5),
            ("/v1/x?y", 5),
            ("/v1/%FF", 4),
        ] {
            let error = text.parse::<Template>().unwrap_err();
            assert_eq!(error.at, at, "{error}");
        }
    }

    #[test]
    fn a_segment_with_several_variables_or_text_beside_one_is_refused_as_what_the_grammar_does_not_have() {
        for (text, at) in [
            ("/v1/{a}-{b}", 7),
            ("/v1/{a}{b}", 7),
            ("/v1/x{a}", 5),
            ("/v1/{a}.json", 7),
            ("/v1/{a=x*}", 8),
            ("/v1/*x", 5),
        ] {
            let error = text.parse::<Template>().unwrap_err();
            assert_eq!(error.at, at, "{error}");
            assert!(error.to_string().contains("google.api.http"), "{error}");
        }
    }

    fn literal() -> impl Strategy<Value = String> {
        "[a-z0-9._~ạđ%-]{1,6}"
    }

    prop_compose! {
        fn template()(
            segments in prop::collection::vec(prop_oneof![literal().prop_map(Segment::Literal), Just(Segment::One)], 1..6),
            rest in any::<bool>(),
            bind in prop::collection::vec(any::<bool>(), 7),
            verb in prop::option::of(literal()),
        ) -> Template {
            let mut segments = segments;
            if rest {
                segments.push(Segment::Rest);
            }
            let variables = (0..segments.len())
                .filter(|index| bind[*index])
                .map(|index| Variable { field: vec![format!("f{index}"), "x".to_owned()], first: index, length: 1 })
                .collect();
            Template { segments, variables, verb }
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_as_it_was(template in template()) {
            prop_assert_eq!(template.to_string().parse::<Template>(), Ok(template));
        }

        #[test]
        fn any_text_is_read_or_refused_and_nothing_panics(text in "[/*{}=.:a-z%0-9 ạ]{0,30}") {
            if let Ok(template) = text.parse::<Template>() {
                prop_assert_eq!(template.to_string().parse::<Template>(), Ok(template));
            }
        }
    }
}
