//! The one translation between a [`Fault`] and [`tonic::Status`], both ways.

use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write as _;

use tonic::Status;
use tonic_types::{
    BadRequest, ErrorDetail, ErrorInfo, FieldViolation, LocalizedMessage, PreconditionFailure, PreconditionViolation,
    RetryInfo, StatusExt as _,
};

use crate::{Code, Fault, Precondition, Violation};

/// How many bytes of violations an answer may carry. Details travel in a trailer, base64 encoded, and common gRPC
/// clients refuse header lists above 16 KiB: past that the caller would see a broken connection instead of a refusal.
const VIOLATION_BYTES: usize = 8 * 1024;

/// The metadata entry that tells how many violations there are in all, present when not all fit into the answer.
const VIOLATIONS_TOTAL: &str = "violations_total";

impl From<Fault> for Status {
    /// Details: `ErrorInfo`, `BadRequest`, `PreconditionFailure`, `RetryInfo` as far as present, then
    /// `LocalizedMessage` in Vietnamese and in English. This is also where the cause of a fault is logged, once.
    fn from(fault: Fault) -> Self {
        log(&fault);
        let inner = *fault.0;

        let mut metadata: HashMap<String, String> = inner.metadata.into_iter().collect();
        let total = inner.violations.len();
        let violations = fitting(inner.violations);
        if violations.len() < total {
            metadata.insert(VIOLATIONS_TOTAL.to_owned(), total.to_string());
        }

        let mut details: Vec<ErrorDetail> = vec![ErrorInfo::new(inner.reason, inner.domain, metadata).into()];
        if !violations.is_empty() {
            details.push(BadRequest::new(violations.into_iter().map(field_violation).collect::<Vec<_>>()).into());
        }
        if !inner.preconditions.is_empty() {
            let violations: Vec<_> = inner
                .preconditions
                .into_iter()
                .map(|one| PreconditionViolation::new(one.kind, one.subject, one.description))
                .collect();
            details.push(PreconditionFailure::new(violations).into());
        }
        if inner.retry_after.is_some() {
            details.push(RetryInfo::new(inner.retry_after).into());
        }
        details.push(LocalizedMessage::new("vi", inner.vi).into());
        details.push(LocalizedMessage::new("en", inner.en.clone()).into());

        Status::with_error_details_vec(inner.code.to_tonic(), inner.en, details)
    }
}

/// The violations from the first on that fit into an answer; at least one.
fn fitting(mut violations: Vec<Violation>) -> Vec<Violation> {
    let mut bytes = 0;
    let fits = violations
        .iter()
        .take_while(|one| {
            // The English text travels twice at most; 32 bytes are the tags and lengths of the message.
            bytes += one.field.len() + one.rule.len() + one.vi.len() + one.en.len() + 32;
            bytes <= VIOLATION_BYTES
        })
        .count();
    violations.truncate(fits.max(1));
    violations
}

fn field_violation(violation: Violation) -> FieldViolation {
    let mut wire = FieldViolation::new(violation.field, violation.en);
    wire.reason = violation.rule;
    wire.localized_message = Some(LocalizedMessage::new("vi", violation.vi));
    wire
}

/// Failures of ours are errors; others with a cause are of interest to those who look closely.
fn log(fault: &Fault) {
    let chain = causes(fault);
    match fault.code() {
        Code::Internal | Code::DataLoss => {
            tracing::error!(
                reason = fault.reason(),
                code = fault.code().name(),
                cause = chain,
                "request failed"
            );
        }
        Code::Unavailable if !chain.is_empty() => {
            tracing::warn!(
                reason = fault.reason(),
                code = fault.code().name(),
                cause = chain,
                "request refused"
            );
        }
        _ if !chain.is_empty() => {
            tracing::debug!(
                reason = fault.reason(),
                code = fault.code().name(),
                cause = chain,
                "request refused"
            );
        }
        _ => {}
    }
}

/// The chain of sources, outermost first, joined by colons.
fn causes(fault: &Fault) -> String {
    let mut chain = String::new();
    let mut source = fault.source();
    while let Some(error) = source {
        let separator = if chain.is_empty() { "" } else { ": " };
        // Writing to a String cannot fail.
        let _ = write!(chain, "{separator}{error}");
        source = error.source();
    }
    chain
}

/// The reason in the `ErrorInfo` of an answer, if it carries one.
pub fn reason_of(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

/// The fault that another service answered with.
///
/// An answer without our details (a proxy's, say) becomes a fault whose reason is the name of its code and whose
/// English text is its message; the Vietnamese text is then the English one.
pub fn fault_of(status: &Status) -> Fault {
    let code = Code::from_tonic(status.code());
    let text = status.message();
    let mut fault = Fault::build(code, Cow::Borrowed(code.name()), text.to_owned(), text.to_owned());
    let inner = &mut *fault.0;
    for detail in status.get_error_details_vec() {
        match detail {
            ErrorDetail::ErrorInfo(info) => {
                inner.reason = Cow::Owned(info.reason);
                inner.domain = Cow::Owned(info.domain);
                inner.metadata = info.metadata.into_iter().collect();
            }
            ErrorDetail::BadRequest(bad) => {
                inner.violations = bad
                    .field_violations
                    .into_iter()
                    .map(|one| Violation {
                        field: one.field,
                        rule: one.reason,
                        vi: one
                            .localized_message
                            .map_or_else(|| one.description.clone(), |vi| vi.message),
                        en: one.description,
                    })
                    .collect();
            }
            ErrorDetail::PreconditionFailure(failure) => {
                inner.preconditions = failure
                    .violations
                    .into_iter()
                    .map(|one| Precondition {
                        kind: one.r#type,
                        subject: one.subject,
                        description: one.description,
                    })
                    .collect();
            }
            ErrorDetail::RetryInfo(retry) => inner.retry_after = retry.retry_delay,
            ErrorDetail::LocalizedMessage(message) if message.locale == "vi" => {
                inner.vi = message.message;
            }
            ErrorDetail::LocalizedMessage(message) if message.locale == "en" => {
                inner.en = message.message;
            }
            _ => {}
        }
    }
    fault
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn violation(n: usize) -> Violation {
        Violation {
            field: format!("components[{n}].code"),
            rule: "string.min_len".to_owned(),
            vi: "mã thành phần không được để trống".to_owned(),
            en: "the code of the component must not be empty".to_owned(),
        }
    }

    #[test]
    fn a_fault_survives_the_way_over_the_wire() {
        let sent = || {
            let mut fault = Fault::invalid(vec![violation(0), violation(1)])
                .with("request", "7")
                .precondition("STATE", "cases/1", "the case must be open")
                .retry_after(Duration::from_secs(3))
                .domain("onestop.egov");
            fault.0.code = Code::ResourceExhausted;
            fault
        };
        let status = Status::from(sent());
        // Over the wire: code, message and the details of the trailer.
        let received = fault_of(&Status::with_details(
            status.code(),
            status.message(),
            status.details().to_vec().into(),
        ));
        let sent = sent();
        assert_eq!(received.code(), Code::ResourceExhausted);
        assert_eq!(received.reason(), "INVALID_FIELD");
        assert_eq!(received.error_domain(), "onestop.egov");
        assert_eq!(received.violations(), sent.violations());
        assert_eq!(received.preconditions(), sent.preconditions());
        assert_eq!(received.metadata(), sent.metadata());
        assert_eq!(received.retry_delay(), Some(Duration::from_secs(3)));
        assert_eq!((received.vi(), received.en()), (sent.vi(), sent.en()));
    }

    #[test]
    fn an_internal_fault_tells_the_caller_nothing_of_its_cause() {
        let status = Status::from(Fault::internal(std::io::Error::other(
            "password of the database is wrong",
        )));
        assert_eq!(status.code(), tonic::Code::Internal);
        assert_eq!(status.message(), "internal error");
        assert!(!String::from_utf8_lossy(status.details()).contains("password"));
        assert_eq!(reason_of(&status).as_deref(), Some("INTERNAL"));
    }

    #[test]
    fn both_languages_are_in_the_details() {
        let status = Status::from(Fault::new(
            Code::NotFound,
            "CASE_NOT_FOUND",
            "không có hồ sơ này",
            "no such case",
        ));
        let messages: Vec<_> = status
            .get_error_details_vec()
            .into_iter()
            .filter_map(|detail| match detail {
                ErrorDetail::LocalizedMessage(message) => Some((message.locale, message.message)),
                _ => None,
            })
            .collect();
        assert_eq!(
            messages,
            [
                ("vi".to_owned(), "không có hồ sơ này".to_owned()),
                ("en".to_owned(), "no such case".to_owned())
            ]
        );
    }

    #[test]
    fn violations_that_would_break_the_header_limit_are_cut_and_counted() {
        let status = Status::from(Fault::invalid((0..2000).map(violation).collect()));
        let base64_length = status.details().len().div_ceil(3) * 4;
        assert!(base64_length < 15 * 1024, "{base64_length}");
        let fault = fault_of(&status);
        assert!(fault.violations().len() > 20);
        assert_eq!(
            fault.metadata().get("violations_total").map(String::as_str),
            Some("2000")
        );
    }

    #[test]
    fn a_status_without_details_becomes_a_fault_with_the_codes_name() {
        let fault = fault_of(&Status::unavailable("connection refused"));
        assert_eq!(fault.code(), Code::Unavailable);
        assert_eq!(fault.reason(), "UNAVAILABLE");
        assert_eq!(fault.en(), "connection refused");
        assert_eq!(reason_of(&Status::unavailable("x")), None);
    }

    #[test]
    fn causes_are_joined_from_the_outside_in() {
        let inner = Fault::internal(std::io::Error::other("broken pipe"));
        let outer = Fault::internal(inner);
        assert_eq!(causes(&outer), "internal error: broken pipe");
    }
}
