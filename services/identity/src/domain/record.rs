//! The record of sign-ins and of administration: what is written, never changed.

use jiff::Timestamp;
use uuid::Uuid;

/// What happened. The words are part of the contract (`AccessRecord.kind`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// A member of staff signed in.
    SignIn,
    /// A sign-in was refused.
    SignInRefused,
    /// A refusal locked the name.
    Locked,
    /// The tokens of a session were renewed.
    Refresh,
    /// A refresh token came a second time; the session was ended.
    ReuseDetected,
    /// The person signed out.
    SignOut,
    /// An account was made.
    AccountCreated,
    /// An account was closed.
    AccountDisabled,
    /// A lock was lifted.
    AccountUnlocked,
    /// A role was given.
    RoleGranted,
    /// A role was ended.
    RoleEnded,
    /// Every token and session was revoked.
    TokensRevoked,
    /// A system was registered.
    SystemRegistered,
    /// A system was closed.
    SystemDisabled,
    /// A system got a token for itself.
    SystemSignIn,
    /// A citizen got a token by an issuer's assertion.
    CitizenSignIn,
    /// A system got a token to act for a citizen.
    ExchangedForCitizen,
    /// A new key of the keyring was made.
    SigningKeyRotated,
    /// A compromised key was withdrawn.
    SigningKeyWithdrawn,
    /// Every token of a kind of callers was revoked.
    AllTokensRevoked,
    /// A role got another last day.
    RoleEndChanged,
    /// A role was delegated: written about both sides.
    RoleDelegated,
    /// A delegation was ended before its time: written about both sides.
    DelegationEnded,
    /// A reviewer keeps a role.
    RoleConfirmed,
    /// A session was ended, by its owner in another session or by an administrator.
    SessionEnded,
    /// Every session was ended.
    SessionsEnded,
    /// Another activation code was given.
    ActivationReissued,
    /// The owner took the account into use.
    AccountActivated,
    /// The account is to be closed on a day.
    ClosingScheduled,
    /// Unit or roles followed a reorganisation.
    UnitFollowed,
    /// An issuer was registered.
    IssuerRegistered,
    /// What was said of an issuer changed.
    IssuerChanged,
    /// Nobody signs in by an issuer any more.
    IssuerDisabled,
    /// An account was linked to what an issuer calls somebody.
    IdentityLinked,
    /// A link was taken away.
    IdentityUnlinked,
}

impl RecordKind {
    /// The word under which it is stored and shown.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::SignInRefused => "sign_in_refused",
            Self::Locked => "locked",
            Self::Refresh => "refresh",
            Self::ReuseDetected => "reuse_detected",
            Self::SignOut => "sign_out",
            Self::AccountCreated => "account_created",
            Self::AccountDisabled => "account_disabled",
            Self::AccountUnlocked => "account_unlocked",
            Self::RoleGranted => "role_granted",
            Self::RoleEnded => "role_ended",
            Self::TokensRevoked => "tokens_revoked",
            Self::SystemRegistered => "system_registered",
            Self::SystemDisabled => "system_disabled",
            Self::SystemSignIn => "system_sign_in",
            Self::CitizenSignIn => "citizen_sign_in",
            Self::ExchangedForCitizen => "exchanged_for_citizen",
            Self::SigningKeyRotated => "signing_key_rotated",
            Self::SigningKeyWithdrawn => "signing_key_withdrawn",
            Self::AllTokensRevoked => "all_tokens_revoked",
            Self::RoleEndChanged => "role_end_changed",
            Self::RoleDelegated => "role_delegated",
            Self::DelegationEnded => "delegation_ended",
            Self::RoleConfirmed => "role_confirmed",
            Self::SessionEnded => "session_ended",
            Self::SessionsEnded => "sessions_ended",
            Self::ActivationReissued => "activation_reissued",
            Self::AccountActivated => "account_activated",
            Self::ClosingScheduled => "closing_scheduled",
            Self::UnitFollowed => "unit_followed",
            Self::IssuerRegistered => "issuer_registered",
            Self::IssuerChanged => "issuer_changed",
            Self::IssuerDisabled => "issuer_disabled",
            Self::IdentityLinked => "identity_linked",
            Self::IdentityUnlinked => "identity_unlinked",
        }
    }
}

/// An entry to write.
#[derive(Clone, Debug)]
pub(crate) struct NewRecord {
    /// Its id.
    pub record_id: Uuid,
    /// Whose sign-in, or about whom: account, system or citizen. Absent for a name that no account carries.
    pub subject_id: Option<Uuid>,
    /// The unit of the account; absent for systems and citizens.
    pub unit_id: Option<i32>,
    /// When.
    pub record_time: Timestamp,
    /// What.
    pub kind: RecordKind,
    /// Who acted, if it was another.
    pub actor_id: Option<Uuid>,
    /// More about it: words of ours, ids, codes; never personal data. A reason that a person typed is kept as typed.
    pub detail: String,
}

/// An entry that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessRecord {
    /// Its id; newer ones are greater.
    pub record_id: Uuid,
    /// When.
    pub record_time: Timestamp,
    /// What.
    pub kind: String,
    /// Who acted, if it was another.
    pub actor_id: Option<Uuid>,
    /// More about it.
    pub detail: String,
}
