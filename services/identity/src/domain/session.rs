//! Sessions of staff (phiên làm việc) and the refresh tokens that carry them on.
//!
//! A session is the family of its refresh tokens. Each token works once; the next one is handed out with the new access
//! token. A token that comes a second time means that two parties hold it, and nobody can tell which is the thief:
//! the session ends for both. **Two simultaneous refreshes with the same token are the same case**: the first that reaches
//! the session's row wins, the other is a second use and ends the session, the winner's fresh tokens included. A grace
//! period would give a thief exactly that period; a client that refreshes twice at once signs in again.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// How long sessions and their tokens last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionPolicy {
    /// A refresh token unused for this long is void.
    pub idle: SignedDuration,
    /// A session ends after this long, however busy it is.
    pub longest: SignedDuration,
    /// Between the password and the one-time code there is this much time.
    pub challenge: SignedDuration,
}

impl SessionPolicy {
    /// When a refresh token issued now expires: never after its session.
    pub(crate) fn refresh_expiry(&self, now: Timestamp, session_expiry: Timestamp) -> Timestamp {
        now.checked_add(self.idle)
            .map_or(session_expiry, |idle| idle.min(session_expiry))
    }
}

/// A refresh token with its session, read under the lock of the session's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PresentedToken {
    /// The session (the family of tokens).
    pub session_id: Uuid,
    /// Whose session.
    pub account_id: Uuid,
    /// When the session ends at the latest.
    pub session_expire_time: Timestamp,
    /// When it was ended.
    pub session_end_time: Option<Timestamp>,
    /// When this token expires.
    pub expire_time: Timestamp,
    /// When this token was used.
    pub used_time: Option<Timestamp>,
    /// True if the account was closed.
    pub account_disabled: bool,
}

/// What a presented refresh token leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// New tokens.
    Continue,
    /// The token was used before: end the session.
    EndForReuse,
    /// The token is void; nothing more is said.
    Refuse,
}

/// Judges a presented refresh token.
pub(crate) fn judge(token: &PresentedToken, now: Timestamp) -> Refresh {
    if token.session_end_time.is_some() {
        return Refresh::Refuse;
    }
    // Before expiry: an old token that turns up late is the same alarm.
    if token.used_time.is_some() {
        return Refresh::EndForReuse;
    }
    if now >= token.expire_time || now >= token.session_expire_time || token.account_disabled {
        return Refresh::Refuse;
    }
    Refresh::Continue
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionEnd {
    /// The person signed out.
    SignedOut,
    /// A refresh token was used twice.
    Reuse,
    /// The account was closed.
    AccountDisabled,
    /// An administrator revoked everything.
    Revoked,
    /// Ended from another session of the person, or by an administrator.
    Ended,
    /// The issuer by which it began was disabled, or the link to it was taken away.
    IssuerGone,
}

/// A session that can still go on, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenSession {
    /// Its id.
    pub session_id: Uuid,
    /// When the person signed in.
    pub create_time: Timestamp,
    /// When its tokens were renewed last.
    pub last_refresh_time: Timestamp,
    /// When it ends if nothing is done.
    pub expire_time: Timestamp,
    /// With what.
    pub client_hint: String,
}

impl SessionEnd {
    /// The word under which it is stored.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::Reuse => "reuse",
            Self::AccountDisabled => "account_disabled",
            Self::Revoked => "revoked",
            Self::Ended => "ended",
            Self::IssuerGone => "issuer_gone",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-23T01:00:00Z".parse().unwrap()
    }

    fn token() -> PresentedToken {
        PresentedToken {
            session_id: Uuid::nil(),
            account_id: Uuid::nil(),
            session_expire_time: now() + SignedDuration::from_hours(12),
            session_end_time: None,
            expire_time: now() + SignedDuration::from_hours(1),
            used_time: None,
            account_disabled: false,
        }
    }

    #[test]
    fn a_fresh_token_continues_its_session() {
        assert_eq!(judge(&token(), now()), Refresh::Continue);
    }

    #[test]
    fn a_used_token_ends_the_session_even_after_its_own_expiry() {
        let used = PresentedToken {
            used_time: Some(now()),
            ..token()
        };
        assert_eq!(judge(&used, now()), Refresh::EndForReuse);
        assert_eq!(
            judge(&used, now() + SignedDuration::from_hours(2)),
            Refresh::EndForReuse
        );
    }

    #[test]
    fn expired_ended_and_disabled_all_look_the_same() {
        let hour = SignedDuration::from_hours(1);
        assert_eq!(judge(&token(), now() + hour), Refresh::Refuse);
        let ended = PresentedToken {
            session_end_time: Some(now()),
            used_time: Some(now()),
            ..token()
        };
        assert_eq!(judge(&ended, now()), Refresh::Refuse);
        let over = PresentedToken {
            session_expire_time: now(),
            ..token()
        };
        assert_eq!(judge(&over, now()), Refresh::Refuse);
        let disabled = PresentedToken {
            account_disabled: true,
            ..token()
        };
        assert_eq!(judge(&disabled, now()), Refresh::Refuse);
    }

    #[test]
    fn a_refresh_token_never_outlives_its_session() {
        let policy = SessionPolicy {
            idle: SignedDuration::from_hours(1),
            longest: SignedDuration::from_hours(12),
            challenge: SignedDuration::from_mins(5),
        };
        let end = now() + SignedDuration::from_mins(20);
        assert_eq!(policy.refresh_expiry(now(), end), end);
        let far = now() + SignedDuration::from_hours(9);
        assert_eq!(policy.refresh_expiry(now(), far), now() + SignedDuration::from_hours(1));
    }
}
