//! The token endpoint: which grant it is, and the two that need no exchange.

use egov_auth::{Assurance, CallerKind, RoleClaim};
use egov_database::UnitOfWork;
use egov_fault::{Code, Fault};

use super::recording::{About, record};
use super::{citizens, client_auth, exchange_token};
use crate::domain::assertion::Assertion;
use crate::domain::client::System;
use crate::domain::oauth::{CLIENT_CREDENTIALS, JWT_BEARER, OAuthError, TOKEN_EXCHANGE, TokenRefusal, TokenRequest};
use crate::domain::record::RecordKind;
use crate::identity::{Identity, nobody_yet};
use crate::store;
use crate::tokens::{ClientOf, Issued, TokenFor};

/// What the token endpoint answers.
#[derive(Clone, Debug)]
pub(crate) struct Granted {
    pub(crate) access: Issued,
    /// RFC 8693 names the type of what was issued; the other grants do not.
    pub(crate) exchanged: bool,
}

/// Why it refuses: for the caller's developer, or a failure of ours.
#[derive(Debug)]
pub(crate) enum Refused {
    Told(TokenRefusal),
    Failed(Fault),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

/// A refusal with its sentence.
pub(crate) fn refuse(error: OAuthError, description: impl Into<String>) -> Refused {
    Refused::Told(TokenRefusal::new(error, description))
}

impl Refused {
    /// As it is answered. A failure of ours is logged here and tells nothing.
    pub(crate) fn into_refusal(self) -> TokenRefusal {
        match self {
            Self::Told(refusal) => refusal,
            Self::Failed(fault) => {
                let unavailable = fault.code() == Code::Unavailable;
                // The one place that logs faults.
                drop(tonic::Status::from(fault));
                if unavailable {
                    TokenRefusal::new(OAuthError::TemporarilyUnavailable, "try again")
                } else {
                    TokenRefusal::new(OAuthError::ServerError, "internal error")
                }
            }
        }
    }
}

/// Serves a token request.
pub(crate) async fn grant(identity: &Identity, request: &TokenRequest) -> Result<Granted, Refused> {
    if let Some(audience) = &request.audience
        && *audience != identity.settings.tokens.audience
    {
        return Err(refuse(
            OAuthError::InvalidTarget,
            "tokens for this audience are not issued here",
        ));
    }
    match request.grant_type.as_deref() {
        None => Err(refuse(OAuthError::InvalidRequest, "grant_type is required")),
        Some(CLIENT_CREDENTIALS) => client_credentials(identity, request).await,
        Some(JWT_BEARER) => jwt_bearer(identity, request).await,
        Some(TOKEN_EXCHANGE) => exchange_token::exchange(identity, request).await,
        Some(_) => Err(refuse(OAuthError::UnsupportedGrantType, "grant_type is not supported")),
    }
}

/// The client in its token, which is bound to the certificate under which it was asked for, if there was one.
pub(super) fn client_of(system: &System, request: &TokenRequest) -> ClientOf {
    ClientOf {
        client_id: system.client_id.clone(),
        certificate: request.certificate.clone(),
    }
}

/// A system for itself.
async fn client_credentials(identity: &Identity, request: &TokenRequest) -> Result<Granted, Refused> {
    let client = client_auth::authenticate(identity, request).await?;
    let system = &client.system;
    let access = identity
        .database
        .write_unkeyed(&nobody_yet(), async |write| {
            use_up(
                identity,
                write,
                &system.client_id,
                &client.assertion,
                OAuthError::InvalidClient,
            )
            .await?;
            let about = About {
                subject: Some(system.system_id),
                ..About::default()
            };
            record(write, RecordKind::SystemSignIn, about, "").await?;
            let kinds = [CallerKind::System];
            let revoked_until = store::revocations::latest_of(write.conn(), &[system.system_id], &kinds).await?;
            let token = TokenFor {
                kind: CallerKind::System,
                subject: system.system_id,
                roles: role_claims(system),
                delegated: Vec::new(),
                unit: None,
                assurance: Assurance::None,
                session: None,
                actor: None,
                client: Some(client_of(system, request)),
                revoked_until,
            };
            Ok::<_, Refused>(identity.tokens.issue(token, write.now())?)
        })
        .await?;
    Ok(Granted {
        access,
        exchanged: false,
    })
}

/// A citizen by the assertion of a trusted issuer. No refresh token: the issuer is asked again (RFC 7521, section 4.1).
async fn jwt_bearer(identity: &Identity, request: &TokenRequest) -> Result<Granted, Refused> {
    let assertion = request
        .assertion
        .as_deref()
        .ok_or_else(|| refuse(OAuthError::InvalidRequest, "assertion is required"))?;
    let vouched = citizens::vouched(identity, assertion).await?;
    let access = identity
        .database
        .write_unkeyed(&nobody_yet(), async |write| {
            use_up(
                identity,
                write,
                &vouched.issuer,
                &vouched.assertion,
                OAuthError::InvalidGrant,
            )
            .await?;
            let citizen_id = citizens::find_or_make(identity, write, &vouched)
                .await?
                .map_err(|reason| refuse(OAuthError::InvalidGrant, reason))?;
            let about = About {
                subject: Some(citizen_id),
                ..About::default()
            };
            let detail = format!("by {}", vouched.issuer);
            record(write, RecordKind::CitizenSignIn, about, detail).await?;
            let kinds = [CallerKind::Citizen];
            let revoked_until = store::revocations::latest_of(write.conn(), &[citizen_id], &kinds).await?;
            let token = TokenFor {
                kind: CallerKind::Citizen,
                subject: citizen_id,
                roles: Vec::new(),
                delegated: Vec::new(),
                unit: None,
                assurance: vouched.assurance,
                session: None,
                actor: None,
                client: None,
                revoked_until,
            };
            Ok::<_, Refused>(identity.tokens.issue(token, write.now())?)
        })
        .await?;
    Ok(Granted {
        access,
        exchanged: false,
    })
}

/// Uses an assertion up: it is believed once. If the transaction fails it stays unused.
pub(crate) async fn use_up(
    identity: &Identity,
    write: &mut UnitOfWork<'_>,
    issuer: &str,
    assertion: &Assertion,
    error: OAuthError,
) -> Result<(), Refused> {
    let digest = identity.digests.token_id(issuer, &assertion.token_id);
    let first = store::systems::use_assertion(write.conn(), issuer, &digest, assertion.remember_until).await?;
    if first {
        Ok(())
    } else {
        Err(refuse(error, "the assertion was used before"))
    }
}

pub(crate) fn role_claims(system: &System) -> Vec<RoleClaim> {
    system
        .roles
        .iter()
        .map(|held| RoleClaim {
            role: held.role.clone(),
            unit: held.unit_id,
        })
        .collect()
}
