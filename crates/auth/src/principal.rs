//! Who is calling.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What sort of caller this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallerKind {
    /// An official with an account (cán bộ, công chức, viên chức).
    Staff,
    /// A citizen with an electronic identity (công dân).
    Citizen,
    /// Another system (hệ thống thông tin), for itself or on behalf of a citizen.
    System,
}

impl CallerKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Staff, Self::Citizen, Self::System];

    /// The word used in tokens, records and keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Staff => "staff",
            Self::Citizen => "citizen",
            Self::System => "system",
        }
    }
}

impl fmt::Display for CallerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How surely a person was identified (mức độ bảo đảm định danh), in growing order.
///
/// An electronic identity of level 1 (định danh điện tử mức độ 1) is [`Assurance::Low`], of level 2
/// [`Assurance::Substantial`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assurance {
    /// Not identified.
    #[default]
    None,
    /// Electronic identity of level 1.
    Low,
    /// Electronic identity of level 2.
    Substantial,
    /// Identified in person or by a qualified signature.
    High,
}

impl Assurance {
    /// Every level, in growing order.
    pub const ALL: [Self; 4] = [Self::None, Self::Low, Self::Substantial, Self::High];

    /// The word used in the claim `acr` and in policies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Substantial => "substantial",
            Self::High => "high",
        }
    }

    /// The level that `word` names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == word)
    }
}

impl fmt::Display for Assurance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A role and the unit (đơn vị) where the caller has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoleAt {
    /// Name of the role, as the policies declare it.
    pub role: String,
    /// Internal id of the unit; [`WHOLE_PROVINCE`] is the whole province.
    pub unit: i32,
}

/// A role that somebody else delegated to the caller (uỷ quyền).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DelegatedRole {
    /// The role and the unit where it is held.
    pub held: RoleAt,
    /// The account in whose name the caller acts with it (thừa uỷ quyền).
    pub delegator: Uuid,
}

/// The unit id that stands for the whole province.
pub const WHOLE_PROVINCE: i32 = 0;

/// The citizen for whom a system acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OnBehalf {
    /// The citizen's account.
    pub subject: Uuid,
    /// How surely the citizen was identified.
    pub assurance: Assurance,
}

/// A caller whose token was verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Principal {
    /// The account; for a system its own id, also when it acts for a citizen.
    pub subject: Uuid,
    /// What sort of caller this is.
    pub kind: CallerKind,
    /// Who issued the token.
    pub issuer: String,
    /// A name to greet the person with. It is personal data: never log it, decide nothing on it.
    pub name_hint: Option<String>,
    /// The unit to which the account belongs.
    pub unit: Option<i32>,
    /// The roles in the token. Roles that follow from the kind alone are not listed; see
    /// [`Policies`](crate::Policies).
    pub roles: Vec<RoleAt>,
    /// The roles that others delegated to the caller, each with the one in whose name it is used.
    pub delegated: Vec<DelegatedRole>,
    /// How surely the person was identified: the caller, or the citizen for whom a system acts.
    pub assurance: Assurance,
    /// The client id of a system.
    pub client_id: Option<String>,
    /// The client certificate to which the token is bound: its SHA-256, base64url. None if it is bound to none.
    pub certificate: Option<String>,
    /// The citizen for whom a system acts.
    pub on_behalf_of: Option<OnBehalf>,
    /// The session of which the token is part.
    pub session: Option<Uuid>,
    /// The token's own id (`jti`).
    pub token_id: String,
    /// The key that signed the token (`kid`).
    pub key_id: String,
    /// When the token was issued.
    pub issued_at: Timestamp,
    /// When the token ends: its `exp`, or the longest age that the verifier accepts, whichever comes first.
    pub expires_at: Timestamp,
}

impl Principal {
    /// A stable key of the caller, the same for every token: kind and subject, and the citizen on whose behalf.
    pub fn caller_key(&self) -> String {
        match self.on_behalf_of {
            Some(citizen) => format!("{}:{}/citizen:{}", self.kind, self.subject, citizen.subject),
            None => format!("{}:{}", self.kind, self.subject),
        }
    }

    /// The citizen behind the call: the caller itself, or the one on whose behalf a system acts.
    pub fn citizen(&self) -> Option<(Uuid, Assurance)> {
        match (self.kind, self.on_behalf_of) {
            (CallerKind::Citizen, _) => Some((self.subject, self.assurance)),
            (_, Some(citizen)) => Some((citizen.subject, citizen.assurance)),
            _ => None,
        }
    }

    /// The account whose records are "own records" of this call: the citizen's if a system acts for one, otherwise
    /// the caller's.
    pub fn record_owner(&self) -> Uuid {
        self.on_behalf_of.map_or(self.subject, |citizen| citizen.subject)
    }
}

/// Shows ids only: names and units of a person stay out of logs.
impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("caller", &self.caller_key())
            .field("issuer", &self.issuer)
            .field("assurance", &self.assurance)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal() -> Principal {
        Principal {
            subject: Uuid::from_u128(1),
            kind: CallerKind::System,
            issuer: "https://identity.example".to_owned(),
            name_hint: Some("Nguyễn Văn A".to_owned()),
            unit: None,
            roles: Vec::new(),
            delegated: Vec::new(),
            assurance: Assurance::Substantial,
            client_id: None,
            certificate: None,
            on_behalf_of: None,
            session: None,
            token_id: "t".to_owned(),
            key_id: "k".to_owned(),
            issued_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_system_and_the_same_system_for_a_citizen_have_different_keys() {
        let alone = principal();
        let mut acting = principal();
        acting.on_behalf_of = Some(OnBehalf {
            subject: Uuid::from_u128(2),
            assurance: Assurance::Low,
        });
        assert_eq!(alone.caller_key(), "system:00000000-0000-0000-0000-000000000001");
        assert_eq!(
            acting.caller_key(),
            "system:00000000-0000-0000-0000-000000000001/citizen:00000000-0000-0000-0000-000000000002"
        );
        assert_eq!(alone.citizen(), None);
        assert_eq!(acting.citizen(), Some((Uuid::from_u128(2), Assurance::Low)));
        assert_eq!(acting.record_owner(), Uuid::from_u128(2));
    }

    #[test]
    fn debug_output_holds_no_name() {
        assert!(!format!("{:?}", principal()).contains("Nguyễn"));
    }

    #[test]
    fn assurance_levels_grow() {
        assert!(Assurance::ALL.is_sorted());
        for level in Assurance::ALL {
            assert_eq!(Assurance::from_word(level.as_str()), Some(level));
        }
        assert_eq!(Assurance::from_word("2"), None);
    }
}
