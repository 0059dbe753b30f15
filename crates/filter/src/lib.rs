#![doc = include_str!("../README.md")]

mod json;
mod json_text;
mod path;
mod predicate;
mod walk;
mod wire;

use std::fmt;

use prost_reflect::MessageDescriptor;

pub use json::{JsonMask, JsonPredicates};
pub use path::{segments, type_in};
pub use predicate::Rule;

use predicate::Predicates;
use walk::Walker;

/// Why a filter cannot be made: every path that does not fit the interface.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the terms do not fit the interface: {}", problems.join("; "))]
pub struct CompileError {
    /// One sentence for each.
    pub problems: Vec<String>,
}

/// Why a message does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no message of its type.
    #[error("the message cannot be parsed")]
    Unreadable,
    /// A predicate does not hold.
    #[error("a predicate does not hold")]
    NotAgreed,
}

/// Predicates and mask for one method, compiled.
pub struct Filter {
    request: Walker,
    predicates: Predicates,
    response: Walker,
}

impl Filter {
    /// Compiles the terms for a method with these messages.
    ///
    /// # Errors
    /// Names every path that is not there, that goes through what has no fields, and every rule that its field cannot have.
    pub fn compile(
        input: &MessageDescriptor,
        output: &MessageDescriptor,
        predicates: &[(String, Rule)],
        mask: &[String],
    ) -> Result<Self, CompileError> {
        let mut problems = Vec::new();
        let predicates = Predicates::compile(input, predicates, &mut problems);
        let response = Walker::compile(output, mask, &mut problems);
        if !problems.is_empty() {
            return Err(CompileError { problems });
        }
        Ok(Self {
            request: Walker::compile(input, &[], &mut problems),
            predicates,
            response,
        })
    }

    /// A request as it may go on: without what the interface does not know.
    pub fn request(&self, message: &[u8]) -> Result<Vec<u8>, Refused> {
        let known = self.request.pass(message)?;
        self.predicates.hold(&known)?;
        Ok(known)
    }

    /// What may leave of an answer.
    pub fn response(&self, message: &[u8]) -> Result<Vec<u8>, Refused> {
        self.response.pass(message)
    }

    /// How often each granted path occurred since this was asked last.
    pub fn uses(&self) -> Vec<(String, u64)> {
        self.response.uses()
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter")
            .field("mask", &self.response.paths())
            .finish_non_exhaustive()
    }
}
