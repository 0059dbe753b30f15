//! What a call to a partner came to.
//!
//! The line between "was not done" and "is not known" decides what may follow: the first may be repeated, the second must
//! be asked about first. Whatever leaves a doubt counts as not known.
//!
//! What is printed of an error, by `Display` as by `Debug`, are our words and the partner's codes. Its texts and the values of its
//! answers may name a person, and whatever is printed ends in a log.

use std::fmt;

use serde_json::error::Category;

/// Why there is no good answer.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Known: nothing was done, because nothing reached the partner or it took nothing in.
    #[error("not sent: {0}")]
    NotSent(NotSent),
    /// Known: the partner answered that it did not do it. Repeating the same gives the same.
    #[error("refused with code {code}")]
    Refused {
        /// The partner's own code.
        code: String,
        /// Its words, shortened. They are not printed: they may name a person.
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
    /// The partner refused, with this code of its own, what comes before: the sign-in, the question that is asked first, or whoever calls.
    /// That says nothing of what should have been sent.
    #[error("what comes before was refused with code {0}")]
    RefusedBefore(String),
    /// The partner does not know the case that it is about: told after the case it would be taken.
    #[error("the partner does not know the case")]
    CaseUnknown,
    /// What goes with it, the files of a case, could not be read where it is kept.
    #[error("the files that go with it could not be read")]
    FilesAway,
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
            Self::NotSent(NotSent::RefusedBefore(_)) => "refused_before",
            Self::NotSent(NotSent::CaseUnknown) => "case_unknown",
            Self::NotSent(NotSent::FilesAway) => "files_away",
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

    /// Whether the same call may go better in a moment. A refusal and an unsendable message will not; who was not let in is not tried
    /// again at once either: too many wrong sign-ins lock an account.
    pub fn may_pass(&self) -> bool {
        !matches!(
            self,
            Self::Refused { .. }
                | Self::NotSent(
                    NotSent::Unsendable(_) | NotSent::NotInContract | NotSent::RefusedBefore(_) | NotSent::CaseUnknown
                )
        )
    }

    /// Whether the partner is away, or lets nobody in: it was not reached, takes nothing at present, or gave no answer. Whoever answers,
    /// with whatever, is there. Where what goes with it is kept may be away as well: that says nothing of what should have been sent.
    pub fn is_away(&self) -> bool {
        matches!(
            self,
            Self::NotSent(
                NotSent::BreakerOpen
                    | NotSent::NoConnection
                    | NotSent::Throttled
                    | NotSent::NoTime
                    | NotSent::RefusedBefore(_)
                    | NotSent::FilesAway
            ) | Self::Unknown(Doubt::TimedOut | Doubt::CutOff | Doubt::Failed(_))
        )
    }

    /// The same error of what comes before an act, a sign-in or a question: nothing of the act itself was sent, whatever became of that.
    #[must_use]
    pub fn before_sending(self) -> Self {
        match self {
            Self::Unknown(_) => Self::NotSent(NotSent::NoConnection),
            Self::Refused { code, .. } => Self::NotSent(NotSent::RefusedBefore(code)),
            Self::NotSent(_) => self,
        }
    }

    /// The same error of what is about a case, if the partner says "there is no such thing" with this code: it does not know the case.
    #[must_use]
    pub fn about_a_case(self, not_found: &str) -> Self {
        match self {
            Self::Refused { code, .. } if code == not_found => Self::NotSent(NotSent::CaseUnknown),
            other => other,
        }
    }

    /// A refusal in the partner's words, of which only the beginning is kept.
    pub fn refused(code: impl Into<String>, text: &str) -> Self {
        Self::Refused {
            code: shorten(&code.into(), 40),
            text: shorten(text, 200),
        }
    }

    /// An answer that cannot be read, for this reason: our own words, without a value of the answer.
    pub fn unreadable(why: impl fmt::Display) -> Self {
        Self::Unknown(Doubt::Unreadable(shorten(&why.to_string(), 200)))
    }

    /// An answer that is not the JSON that the contract says. What serde says of it quotes values of the answer, so only the kind of fault,
    /// its place, and the name of a field that is missing are kept.
    pub fn unreadable_json(error: serde_json::Error) -> Self {
        let said = error.to_string();
        let kind = match error.classify() {
            // The name of a field of ours.
            Category::Data if said.starts_with("missing field `") => said.as_str(),
            Category::Data => "a value of another type or form",
            Category::Syntax => "no JSON",
            Category::Eof => "the JSON ends too early",
            Category::Io => "the answer could not be read to its end",
        };
        if error.line() > 0 && kind != said {
            Self::unreadable(format_args!(
                "{kind} at line {} column {}",
                error.line(),
                error.column()
            ))
        } else {
            Self::unreadable(kind)
        }
    }
}

impl fmt::Debug for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(why) => f.debug_tuple("NotSent").field(why).finish(),
            Self::Refused { code, .. } => f.debug_struct("Refused").field("code", code).finish_non_exhaustive(),
            Self::Unknown(doubt) => f.debug_tuple("Unknown").field(doubt).finish(),
        }
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
    fn nothing_of_a_partners_words_and_values_is_printed() {
        let refused = CallError::refused("05", "hồ sơ của Nguyễn Văn An đã có");
        let text = serde_json::from_value::<i64>("Nguyễn Văn An".into()).unwrap_err();
        let number = serde_json::from_str::<bool>("40099000001").unwrap_err();
        assert!(
            text.to_string().contains("Nguyễn") && number.to_string().contains("40099000001"),
            "serde quotes what it was given"
        );
        let errors = [
            refused,
            CallError::unreadable_json(text),
            CallError::unreadable_json(number),
        ];
        for error in errors {
            let printed = format!("{error} {error:?}");
            assert!(!printed.contains("Nguyễn") && !printed.contains("400990"), "{printed}");
        }
    }

    #[test]
    fn an_answer_that_is_not_the_contracts_json_says_what_is_wrong_with_it_and_where() {
        #[derive(Debug, serde::Deserialize)]
        struct Said {
            #[serde(rename = "MaHoSo")]
            _code: String,
        }
        for (body, expected) in [
            ("{}", "missing field `MaHoSo`"),
            ("{\"MaHoSo\": 4}", "a value of another type or form at line 1"),
            ("<html>", "no JSON at line 1"),
            ("{\"MaHoSo\": \"H41", "the JSON ends too early at line 1"),
        ] {
            let error = serde_json::from_str::<Said>(body).unwrap_err();
            let said = CallError::unreadable_json(error).to_string();
            assert!(said.contains(expected), "{body}: {said}");
        }
    }

    #[test]
    fn of_what_comes_before_an_act_nothing_of_the_act_was_sent() {
        let barred = CallError::refused("03", "sai mật khẩu").before_sending();
        assert_eq!(barred, CallError::NotSent(NotSent::RefusedBefore("03".to_owned())));
        assert_eq!(barred.word(), "refused_before");
        assert!(!barred.may_pass(), "an account is not tried again and again");
        let silent = CallError::Unknown(Doubt::TimedOut).before_sending();
        assert_eq!(silent, CallError::NotSent(NotSent::NoConnection));
        let resting = CallError::NotSent(NotSent::BreakerOpen);
        assert_eq!(resting.clone().before_sending(), resting);
    }

    #[test]
    fn only_what_may_pass_is_worth_repeating() {
        assert!(CallError::Unknown(Doubt::CutOff).may_pass());
        assert!(CallError::NotSent(NotSent::Throttled).may_pass());
        assert!(!CallError::refused("1", "").may_pass());
        assert!(!CallError::NotSent(NotSent::NotInContract).may_pass());
        assert!(!CallError::NotSent(NotSent::CaseUnknown).may_pass());
    }

    #[test]
    fn who_answers_is_not_away_whatever_the_answer_is() {
        for away in [
            CallError::NotSent(NotSent::BreakerOpen),
            CallError::NotSent(NotSent::NoConnection),
            CallError::NotSent(NotSent::RefusedBefore("http_403".to_owned())),
            CallError::Unknown(Doubt::TimedOut),
            CallError::Unknown(Doubt::CutOff),
            CallError::Unknown(Doubt::Failed(503)),
        ] {
            assert!(away.is_away(), "{away:?}");
        }
        for there in [
            CallError::refused("05", ""),
            CallError::NotSent(NotSent::CaseUnknown),
            CallError::NotSent(NotSent::Unsendable("x")),
            CallError::Unknown(Doubt::BadSignature),
            CallError::unreadable("no JSON"),
        ] {
            assert!(!there.is_away(), "{there:?}");
        }
    }

    #[test]
    fn that_there_is_no_such_thing_says_of_a_step_that_its_case_is_not_known() {
        let unknown = CallError::refused("04", "không có hồ sơ").about_a_case("04");
        assert_eq!((unknown.word(), unknown.may_pass()), ("case_unknown", false));
        let refused = CallError::refused("05", "");
        assert_eq!(refused.clone().about_a_case("04"), refused);
    }
}
