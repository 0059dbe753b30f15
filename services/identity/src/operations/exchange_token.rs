//! Token exchange (RFC 8693): a system acts for a citizen who is vouched for by a trusted issuer.

use egov_auth::CallerKind;

use super::recording::{About, record};
use super::token_grants::{Granted, Refused, client_of, refuse, role_claims, use_up};
use super::{citizens, client_auth};
use crate::domain::oauth::{OAuthError, TOKEN_TYPE_ACCESS, TOKEN_TYPE_JWT, TokenRequest};
use crate::domain::record::RecordKind;
use crate::identity::{Identity, nobody_yet};
use crate::store;
use crate::tokens::TokenFor;

/// Issues a token whose subject is the citizen and whose actor is the authenticated system. Only systems that were registered
/// to act for citizens may ask.
pub(crate) async fn exchange(identity: &Identity, request: &TokenRequest) -> Result<Granted, Refused> {
    let invalid = |description: &str| refuse(OAuthError::InvalidRequest, description);
    let client = client_auth::authenticate(identity, request).await?;
    let system = &client.system;
    if !system.acts_for_citizens {
        return Err(refuse(
            OAuthError::UnauthorizedClient,
            "the client may not act for citizens",
        ));
    }
    let subject_token = request
        .subject_token
        .as_deref()
        .ok_or_else(|| invalid("subject_token is required"))?;
    if request.subject_token_type.as_deref() != Some(TOKEN_TYPE_JWT) {
        return Err(invalid(
            "subject_token_type must be urn:ietf:params:oauth:token-type:jwt",
        ));
    }
    if request
        .requested_token_type
        .as_deref()
        .is_some_and(|wanted| wanted != TOKEN_TYPE_ACCESS)
    {
        return Err(invalid("only access tokens are issued"));
    }
    if request.actor_token.is_some() {
        return Err(invalid("the actor is the authenticated client; send no actor_token"));
    }
    let vouched = citizens::vouched(identity, subject_token).await?;
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
                unit: None,
                actor: Some(system.system_id),
            };
            let detail = format!("client {}", system.client_id);
            record(write, RecordKind::ExchangedForCitizen, about, detail).await?;
            let behind = [system.system_id, citizen_id];
            let kinds = [CallerKind::System, CallerKind::Citizen];
            let revoked_until = store::revocations::latest_of(write.conn(), &behind, &kinds).await?;
            let token = TokenFor {
                kind: CallerKind::System,
                subject: citizen_id,
                roles: role_claims(system),
                delegated: Vec::new(),
                unit: None,
                assurance: vouched.assurance,
                session: None,
                actor: Some(system.system_id),
                client: Some(client_of(system, request)),
                revoked_until,
            };
            Ok::<_, Refused>(identity.tokens.issue(token, write.now())?)
        })
        .await?;
    Ok(Granted {
        access,
        exchanged: true,
    })
}
