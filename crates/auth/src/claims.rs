//! The claims of an access token (RFC 9068), as identity issues and every service verifies them.

use jiff::Timestamp;
use jsonwebtoken::Header;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::token::{Audience, SignatureAlgorithm, instant};
use crate::{Assurance, CallerKind, DelegatedRole, OnBehalf, Principal, RoleAt, TokenRefusal};

/// The `typ` of an access token.
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// A role in a token: short names, because a token travels with every call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleClaim {
    /// Name of the role.
    #[serde(rename = "r")]
    pub role: String,
    /// Internal id of the unit where it is held; 0 is the whole province.
    #[serde(rename = "u")]
    pub unit: i32,
}

/// A role that somebody else delegated to the subject (uỷ quyền). A claim of its own beside `roles`: a service that does
/// not know it yet leaves it out, and so gives less, never more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DelegatedClaim {
    /// Name of the role.
    #[serde(rename = "r")]
    pub role: String,
    /// Internal id of the unit where it is held.
    #[serde(rename = "u")]
    pub unit: i32,
    /// The account that delegated it: in its name the subject acts (thừa uỷ quyền).
    #[serde(rename = "b")]
    pub by: Uuid,
}

/// The system that acts for the subject (RFC 8693, section 4.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorClaim {
    /// Id of the system.
    pub sub: Uuid,
}

/// The client certificate to which a token is bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmationClaim {
    /// SHA-256 over its DER form, base64url without padding.
    #[serde(rename = "x5t#S256")]
    pub certificate: String,
}

/// The claims of an access token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenClaims {
    /// Who issued it.
    pub iss: String,
    /// The account; if `act` is present, the citizen for whom the system acts.
    pub sub: Uuid,
    /// For whom it was issued.
    pub aud: Audience,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
    /// From when it counts, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// Its own id.
    pub jti: String,
    /// What sort of caller it makes known.
    pub kind: CallerKind,
    /// Roles and the units where they are held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<RoleClaim>,
    /// Roles that others delegated to the account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dlg: Vec<DelegatedClaim>,
    /// The unit to which the account belongs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<i32>,
    /// How surely the subject was identified.
    #[serde(default)]
    pub acr: Assurance,
    /// The session of which it is part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<Uuid>,
    /// The system that acts for the subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<ActorClaim>,
    /// The client id of the system that got it (RFC 9068, section 2.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// What whoever shows the token must prove to hold (RFC 8705, section 3.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<ConfirmationClaim>,
    /// A name to greet the person with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl TokenClaims {
    /// The header under which these claims are signed.
    pub fn header(algorithm: SignatureAlgorithm, key_id: impl Into<String>) -> Header {
        let mut header = Header::new(algorithm.to_jsonwebtoken());
        header.typ = Some(ACCESS_TOKEN_TYPE.to_owned());
        header.kid = Some(key_id.into());
        header
    }

    /// The caller that the claims make known until `expires_at` at the latest. The claims must have been verified, with the
    /// key `key_id`.
    ///
    /// Errors: [`TokenRefusal::Malformed`] for claims that contradict one another.
    pub fn into_principal(self, key_id: &str, expires_at: Timestamp) -> Result<Principal, TokenRefusal> {
        if self.jti.is_empty() {
            return Err(TokenRefusal::Malformed("its jti is empty"));
        }
        let (subject, on_behalf_of) = match (self.kind, self.act) {
            (CallerKind::System, Some(actor)) => (
                actor.sub,
                Some(OnBehalf {
                    subject: self.sub,
                    assurance: self.acr,
                }),
            ),
            (_, Some(_)) => {
                return Err(TokenRefusal::Malformed("only a system acts for somebody else"));
            }
            (_, None) => (self.sub, None),
        };
        if self.kind == CallerKind::Citizen && !self.roles.is_empty() {
            return Err(TokenRefusal::Malformed("a citizen holds no roles at units"));
        }
        if self.kind != CallerKind::Staff && !self.dlg.is_empty() {
            return Err(TokenRefusal::Malformed("only an official acts by delegation"));
        }
        Ok(Principal {
            subject,
            kind: self.kind,
            issuer: self.iss,
            name_hint: self.name,
            unit: self.unit,
            roles: self
                .roles
                .into_iter()
                .map(|claim| RoleAt {
                    role: claim.role,
                    unit: claim.unit,
                })
                .collect(),
            delegated: self
                .dlg
                .into_iter()
                .map(|claim| DelegatedRole {
                    held: RoleAt {
                        role: claim.role,
                        unit: claim.unit,
                    },
                    delegator: claim.by,
                })
                .collect(),
            assurance: self.acr,
            client_id: self.client_id,
            certificate: self.cnf.map(|cnf| cnf.certificate),
            on_behalf_of,
            session: self.sid,
            token_id: self.jti,
            key_id: key_id.to_owned(),
            issued_at: instant(self.iat)?,
            expires_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(kind: CallerKind) -> TokenClaims {
        TokenClaims {
            iss: "https://identity.example".to_owned(),
            sub: Uuid::from_u128(1),
            aud: "egov".into(),
            exp: 2000,
            nbf: Some(1000),
            iat: 1000,
            jti: "t1".to_owned(),
            kind,
            roles: Vec::new(),
            dlg: Vec::new(),
            unit: None,
            acr: Assurance::Substantial,
            sid: None,
            act: None,
            client_id: None,
            cnf: None,
            name: None,
        }
    }

    #[test]
    fn claims_survive_json_and_stay_short() {
        let claims = TokenClaims {
            roles: vec![RoleClaim {
                role: "one_stop_clerk".to_owned(),
                unit: 12,
            }],
            ..claims(CallerKind::Staff)
        };
        let text = serde_json::to_string(&claims).unwrap();
        assert!(text.contains(r#""roles":[{"r":"one_stop_clerk","u":12}]"#), "{text}");
        assert!(
            text.contains(r#""aud":"egov""#) && text.contains(r#""acr":"substantial""#),
            "{text}"
        );
        assert!(!text.contains("null"), "{text}");
        assert_eq!(serde_json::from_str::<TokenClaims>(&text).unwrap(), claims);
    }

    #[test]
    fn a_system_for_a_citizen_is_the_system_with_the_citizen_behind_it() {
        let claims = TokenClaims {
            act: Some(ActorClaim {
                sub: Uuid::from_u128(9),
            }),
            ..claims(CallerKind::System)
        };
        let principal = claims.into_principal("k", Timestamp::MAX).unwrap();
        assert_eq!(principal.subject, Uuid::from_u128(9));
        assert_eq!(principal.citizen(), Some((Uuid::from_u128(1), Assurance::Substantial)));
    }

    #[test]
    fn a_delegated_role_says_for_whom_and_is_not_among_the_own_ones() {
        let claims = TokenClaims {
            dlg: vec![DelegatedClaim {
                role: "unit_leader".to_owned(),
                unit: 12,
                by: Uuid::from_u128(5),
            }],
            ..claims(CallerKind::Staff)
        };
        let text = serde_json::to_string(&claims).unwrap();
        assert!(
            text.contains(r#""dlg":[{"r":"unit_leader","u":12,"b":"00000000-0000-0000-0000-000000000005"}]"#),
            "{text}"
        );
        let principal = claims.into_principal("k", Timestamp::MAX).unwrap();
        assert!(principal.roles.is_empty());
        assert_eq!(principal.delegated[0].delegator, Uuid::from_u128(5));
    }

    #[test]
    fn contradictory_claims_are_refused() {
        let staff = TokenClaims {
            act: Some(ActorClaim {
                sub: Uuid::from_u128(9),
            }),
            ..claims(CallerKind::Staff)
        };
        let citizen = TokenClaims {
            roles: vec![RoleClaim {
                role: "leader".to_owned(),
                unit: 0,
            }],
            ..claims(CallerKind::Citizen)
        };
        let nameless = TokenClaims {
            jti: String::new(),
            ..claims(CallerKind::Staff)
        };
        let delegated = TokenClaims {
            dlg: vec![DelegatedClaim {
                role: "leader".to_owned(),
                unit: 1,
                by: Uuid::from_u128(5),
            }],
            ..claims(CallerKind::System)
        };
        for claims in [staff, citizen, nameless, delegated] {
            assert!(matches!(
                claims.into_principal("k", Timestamp::MAX),
                Err(TokenRefusal::Malformed(_))
            ));
        }
    }
}
