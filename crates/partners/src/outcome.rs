//! What a call to a partner came to.
//!
//! The line between "was not done" and "is not known" decides what may follow: the first may be repeated, the second must
//! be asked about first. Whatever leaves a doubt counts as not known.

/// Why there is no good answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Known: nothing was done, because nothing reached the partner or it took nothing in.
    #[error("not sent: {0}")]
    NotSent(NotSent),
    /// Known: the partner answered that it did not do it. Repeating the same gives the same.
    #[error("refused with code {code}: {text}")]
    Refused {
        /// The partner's own code.
        code: String,
        /// Its words, shortened; for operators, never for callers.
        text: String,
    },
    /// Not known: it may have been done.
    #[error("the outcome is not known: {0}")]
    Unknown(Doubt),
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// The circuit breaker is open: the partner failed too often a moment ago.
    #[error("the partner failed too often; not asked again yet")]
    BreakerOpen,
    /// No connection could be made.
    #[error("no connection")]
    NoConnection,
    /// The partner takes nothing more at present (429).
    #[error("the partner asked for patience")]
    Throttled,
    /// The dead line had passed before anything was sent.
    #[error("no time left")]
    NoTime,
    /// What should have been sent is not sendable.
    #[error("cannot be sent: {0}")]
    Unsendable(&'static str),
    /// The partner's contract, as far as it is known, has no such operation.
    #[error("the partner's contract has no such operation")]
    NotInContract,
}

/// Why it is not known whether something was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The connection ended before or in the middle of the answer.
    #[error("the connection ended before the answer was whole")]
    CutOff,
    /// The partner failed (5xx).
    #[error("the partner failed with status {0}")]
    Failed(u16),
    /// The answer is larger than any answer of this partner.
    #[error("the answer is too large")]
    TooLarge,
    /// The answer is not what the contract says.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
    /// The answer's signature is missing or wrong.
    #[error("the answer's signature is wrong")]
    BadSignature,
    /// The answer is about something else than what was asked.
    #[error("the answer is about another {0}")]
    Other(&'static str),
    /// A code that the contract does not name.
    #[error("unknown answer code {0}")]
    UnknownCode(String),
}

impl CallError {
    /// A stable word for tables and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NotSent(NotSent::BreakerOpen) => "breaker_open",
            Self::NotSent(NotSent::NoConnection) => "no_connection",
            Self::NotSent(NotSent::Throttled) => "throttled",
            Self::NotSent(NotSent::NoTime) => "no_time",
            Self::NotSent(NotSent::Unsendable(_)) => "unsendable",
            Self::NotSent(NotSent::NotInContract) => "not_in_contract",
            Self::Refused { .. } => "refused",
            Self::Unknown(Doubt::TimedOut) => "timed_out",
            Self::Unknown(Doubt::CutOff) => "cut_off",
            Self::Unknown(Doubt::Failed(_)) => "partner_failed",
            Self::Unknown(Doubt::TooLarge) => "too_large",
            Self::Unknown(Doubt::Unreadable(_)) => "unreadable",
            Self::Unknown(Doubt::BadSignature) => "bad_signature",
            Self::Unknown(Doubt::Other(_)) => "other_record",
            Self::Unknown(Doubt::UnknownCode(_)) => "unknown_code",
        }
    }

    /// Whether the same call may go better later. A refusal and an unsendable message will not.
    pub fn may_pass(&self) -> bool {
        !matches!(
            self,
            Self::Refused { .. } | Self::NotSent(NotSent::Unsendable(_) | NotSent::NotInContract)
        )
    }

    /// A refusal in the partner's words, of which only the beginning is kept.
    pub fn refused(code: impl Into<String>, text: &str) -> Self {
        Self::Refused {
            code: shorten(&code.into(), 40),
            text: shorten(text, 200),
        }
    }

    /// An answer that cannot be read, for this reason.
    pub fn unreadable(why: impl std::fmt::Display) -> Self {
        Self::Unknown(Doubt::Unreadable(shorten(&why.to_string(), 200)))
    }
}

fn shorten(text: &str, most: usize) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_the_beginning_of_the_partners_words_and_no_control_characters() {
        let CallError::Refused { code, text } = CallError::refused("7\n7", &"ấ".repeat(500)) else {
            panic!("a refusal");
        };
        assert_eq!((code.as_str(), text.chars().count()), ("77", 200));
    }

    #[test]
    fn only_what_may_pass_is_worth_repeating() {
        assert!(CallError::Unknown(Doubt::CutOff).may_pass());
        assert!(CallError::NotSent(NotSent::Throttled).may_pass());
        assert!(!CallError::refused("1", "").may_pass());
        assert!(!CallError::NotSent(NotSent::NotInContract).may_pass());
    }
}
