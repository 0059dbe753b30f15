//! What a caller can act on, and its one translation to gRPC.
//!
//! An operation that cannot do what it was asked fails with a [`Fault`]: a [`Code`] (what kind of failure), a reason
//! (an upper-snake word that the contract documents, on which programs decide), a text in Vietnamese and one in
//! English, and, where they help, the violated fields, the precondition, the time after which to try again. Nothing
//! here belongs to a service; a service keeps its own error enum and turns it into faults in one table.
//!
//! [`tonic::Status`] is made from a fault in exactly one place, `From<Fault>`, with the standard details of
//! `google.rpc`, and rebuilt on the client's side by [`fault_of`].
//!
//! ```
//! use egov_fault::{Code, Fault};
//!
//! let fault = Fault::new(
//!     Code::FailedPrecondition,
//!     "TRANSITION_NOT_ALLOWED",
//!     "hồ sơ ở trạng thái này không thể được duyệt",
//!     "a case in this state cannot be approved",
//! )
//! .with("state", "3")
//! .with("allowed", "2,6");
//!
//! let status = tonic::Status::from(fault);
//! assert_eq!(egov_fault::reason_of(&status).as_deref(), Some("TRANSITION_NOT_ALLOWED"));
//! ```

mod code;
mod status;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::time::Duration;

pub use code::Code;
pub use status::{fault_of, reason_of};

/// The `ErrorInfo.domain` of a fault that names no other.
pub const DOMAIN: &str = "egov";

/// The reason of a request with invalid fields.
pub const INVALID_FIELD: &str = "INVALID_FIELD";

/// The reason of a failure of ours, of which the caller learns nothing.
pub const INTERNAL: &str = "INTERNAL";

/// Any error, as the source of a fault.
pub type Source = Box<dyn Error + Send + Sync>;

/// One field of a request that breaks one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field in the contract, for example `applicant.full_name` or `components[3].code`.
    pub field: String,
    /// The rule, as the contract names it, for example `string.min_len`.
    pub rule: String,
    /// What is wrong, in Vietnamese.
    pub vi: String,
    /// What is wrong, in English.
    pub en: String,
}

/// A condition outside the request that does not hold (`PreconditionFailure`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Precondition {
    /// The kind of condition, for example `STATE`.
    pub kind: String,
    /// What it is about, for example the name of the resource.
    pub subject: String,
    /// How the condition fails and what would make it hold.
    pub description: String,
}

/// A failure that says what the caller can do about it.
///
/// `Display` is the English text; `Debug` and [`Error::source`] show the cause, for logs. Neither the texts nor the
/// metadata may contain secrets or personal data: they leave the process. The same holds for a source's own text as
/// far as possible, because it is logged.
pub struct Fault(Box<Inner>);

struct Inner {
    code: Code,
    reason: Cow<'static, str>,
    domain: Cow<'static, str>,
    vi: String,
    en: String,
    metadata: BTreeMap<String, String>,
    violations: Vec<Violation>,
    preconditions: Vec<Precondition>,
    retry_after: Option<Duration>,
    source: Option<Source>,
}

impl Fault {
    /// A fault with its code, its reason (upper snake: the contract's enum value without its prefix) and the text for
    /// people in both languages, lower case and without a full stop.
    pub fn new(code: Code, reason: &'static str, vi: impl Into<String>, en: impl Into<String>) -> Self {
        Self::build(code, Cow::Borrowed(reason), vi.into(), en.into())
    }

    /// A request whose fields break rules of the contract: all of them, not the first.
    pub fn invalid(violations: Vec<Violation>) -> Self {
        let mut fault = Self::new(
            Code::InvalidArgument,
            INVALID_FIELD,
            "yêu cầu có trường không hợp lệ",
            "the request has invalid fields",
        );
        fault.0.violations = violations;
        fault
    }

    /// A failure of ours. The caller sees that it happened and nothing else; `source` is kept for the log.
    pub fn internal(source: impl Into<Source>) -> Self {
        Self::new(Code::Internal, INTERNAL, "lỗi nội bộ của hệ thống", "internal error").caused_by(source)
    }

    fn build(code: Code, reason: Cow<'static, str>, vi: String, en: String) -> Self {
        Self(Box::new(Inner {
            code,
            reason,
            domain: Cow::Borrowed(DOMAIN),
            vi,
            en,
            metadata: BTreeMap::new(),
            violations: Vec::new(),
            preconditions: Vec::new(),
            retry_after: None,
            source: None,
        }))
    }

    /// Adds an entry to `ErrorInfo.metadata`; a second value under the same key replaces the first.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.metadata.insert(key.to_owned(), value.into());
        self
    }

    /// Names what is wrong with the request (`BadRequest`), for a reason that says more than that fields are invalid.
    #[must_use]
    pub fn violating(mut self, violations: Vec<Violation>) -> Self {
        self.0.violations = violations;
        self
    }

    /// Adds a failed condition (`PreconditionFailure`).
    #[must_use]
    pub fn precondition(mut self, kind: &str, subject: &str, description: &str) -> Self {
        self.0.preconditions.push(Precondition {
            kind: kind.to_owned(),
            subject: subject.to_owned(),
            description: description.to_owned(),
        });
        self
    }

    /// Says after which time it makes sense to try again (`RetryInfo`).
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Keeps the error that led here, for the log; the caller does not see it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Names the area whose reasons these are (`ErrorInfo.domain`), for example `onestop.egov`.
    #[must_use]
    pub fn domain(mut self, domain: &'static str) -> Self {
        self.0.domain = Cow::Borrowed(domain);
        self
    }

    /// The kind of failure.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The reason on which a program decides.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// The area that documents the reason.
    pub fn error_domain(&self) -> &str {
        &self.0.domain
    }

    /// The text in Vietnamese.
    pub fn vi(&self) -> &str {
        &self.0.vi
    }

    /// The text in English.
    pub fn en(&self) -> &str {
        &self.0.en
    }

    /// What a program may need beside the reason.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.0.metadata
    }

    /// The fields that break rules.
    pub fn violations(&self) -> &[Violation] {
        &self.0.violations
    }

    /// The conditions that do not hold.
    pub fn preconditions(&self) -> &[Precondition] {
        &self.0.preconditions
    }

    /// The time after which to try again, if known.
    pub fn retry_delay(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.en)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Fault");
        shown
            .field("code", &self.0.code)
            .field("reason", &self.0.reason)
            .field("en", &self.0.en);
        if !self.0.metadata.is_empty() {
            shown.field("metadata", &self.0.metadata);
        }
        if !self.0.violations.is_empty() {
            shown.field("violations", &self.0.violations);
        }
        if !self.0.preconditions.is_empty() {
            shown.field("preconditions", &self.0.preconditions);
        }
        if let Some(source) = &self.0.source {
            shown.field("source", source);
        }
        shown.finish_non_exhaustive()
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_is_the_english_text_and_debug_shows_the_source() {
        let fault = Fault::internal(std::io::Error::other("disk gone"));
        assert_eq!(fault.to_string(), "internal error");
        assert!(!fault.to_string().contains("disk"));
        assert!(format!("{fault:?}").contains("disk gone"));
        assert_eq!(Error::source(&fault).unwrap().to_string(), "disk gone");
    }

    #[test]
    fn a_result_of_a_fault_stays_small() {
        assert_eq!(size_of::<Fault>(), size_of::<usize>());
    }

    #[test]
    fn a_second_value_under_one_key_replaces_the_first() {
        let fault = Fault::new(Code::Aborted, "STALE_ETAG", "", "")
            .with("etag", "1")
            .with("etag", "2");
        assert_eq!(fault.metadata().get("etag").map(String::as_str), Some("2"));
    }
}
