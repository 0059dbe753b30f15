//! Tokens for a session of staff.

use egov_auth::{Assurance, CallerKind, DelegatedClaim, RoleClaim};
use egov_database::UnitOfWork;
use egov_fault::Fault;
use egov_proto::egov::identity::v1::TokenPair;
use jiff::Timestamp;
use uuid::Uuid;

use super::recording::{About, record};
use crate::domain::record::RecordKind;
use crate::domain::secret::{self, SecretKind};
use crate::identity::Identity;
use crate::store;
use crate::tokens::TokenFor;

/// A session for which tokens are issued.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_field_names, reason = "the names of the contract")]
pub(crate) struct Session {
    pub(crate) session_id: Uuid,
    pub(crate) account_id: Uuid,
    pub(crate) unit_id: i32,
    pub(crate) expire_time: Timestamp,
}

/// For whom a session is opened.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_field_names, reason = "the names of the contract")]
pub(crate) struct Opened {
    pub(crate) account_id: Uuid,
    pub(crate) unit_id: i32,
    /// The issuer by which the sign-in began; none for a password.
    pub(crate) issuer_id: Option<Uuid>,
}

/// Opens a session after both factors were shown, records the sign-in, and gives the first pair of tokens.
pub(crate) async fn open_session(
    identity: &Identity,
    write: &mut UnitOfWork<'_>,
    who: Opened,
    client_hint: &str,
) -> Result<TokenPair, Fault> {
    let now = write.now();
    let session = Session {
        session_id: write.new_id(),
        account_id: who.account_id,
        unit_id: who.unit_id,
        expire_time: now.checked_add(identity.sessions.longest).unwrap_or(now),
    };
    let (id, until) = (session.session_id, session.expire_time);
    store::sessions::insert(write.conn(), id, who.account_id, now, until, who.issuer_id).await?;
    store::sessions::set_client_hint(write.conn(), id, client_hint).await?;
    let about = About {
        subject: Some(who.account_id),
        unit: Some(who.unit_id),
        actor: None,
    };
    let detail = match who.issuer_id {
        None => format!("session {id}"),
        Some(issuer_id) => format!("session {id}, issuer {issuer_id}"),
    };
    record(write, RecordKind::SignIn, about, detail).await?;
    next_pair(identity, write, session).await
}

/// The next pair of tokens of a session: an access token with the roles that are in force today, and the refresh token that
/// follows it.
pub(crate) async fn next_pair(
    identity: &Identity,
    write: &mut UnitOfWork<'_>,
    session: Session,
) -> Result<TokenPair, Fault> {
    let (now, today) = (write.now(), write.today());
    let mut grants = store::roles::of_accounts(write.conn(), &[session.account_id])
        .await?
        .remove(&session.account_id)
        .unwrap_or_default();
    grants.retain(|grant| grant.in_force(today));
    let ids: Vec<Uuid> = grants.iter().map(|grant| grant.grant_id).collect();
    store::roles::note_in_token(write.conn(), &ids, today).await?;
    let roles = grants
        .into_iter()
        .map(|grant| RoleClaim {
            role: grant.role,
            unit: grant.unit_id,
        })
        .collect();
    let delegated = store::delegations::acted_by(write.conn(), session.account_id, today)
        .await?
        .into_iter()
        .map(|delegation| DelegatedClaim {
            role: delegation.role,
            unit: delegation.unit_id,
            by: delegation.delegator_id,
        })
        .collect();
    let revoked_until =
        store::revocations::latest_of(write.conn(), &[session.account_id], &[CallerKind::Staff]).await?;

    let refresh_token = secret::new_secret(&**identity.database.ids());
    let hash = secret::hash(SecretKind::RefreshToken, &refresh_token);
    let refresh_expiry = identity.sessions.refresh_expiry(now, session.expire_time);
    store::sessions::insert_refresh_token(write.conn(), &hash, session.session_id, now, refresh_expiry).await?;

    let access = identity.tokens.issue(
        TokenFor {
            kind: CallerKind::Staff,
            subject: session.account_id,
            roles,
            delegated,
            unit: Some(session.unit_id),
            assurance: Assurance::None,
            session: Some(session.session_id),
            actor: None,
            client: None,
            revoked_until,
        },
        now,
    )?;
    Ok(TokenPair {
        access_token: access.token,
        expires_in: i32::try_from(access.expires_in).unwrap_or(i32::MAX),
        refresh_token,
    })
}
