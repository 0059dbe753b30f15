//! RefreshTokens: the next pair of a session, and the alarm when a token comes twice.

use egov_database::UnitOfWork;
use egov_fault::Fault;
use egov_proto::egov::identity::v1::TokenPair;

use super::issuing::{Session, next_pair};
use super::recording::{About, record};
use crate::domain::record::RecordKind;
use crate::domain::secret::{self, SecretHash, SecretKind};
use crate::domain::session::{self, PresentedToken, Refresh, SessionEnd};
use crate::error::IdentityError;
use crate::identity::{Identity, nobody_yet};
use crate::store;
use crate::store::revocations::Target;

/// Exchanges a refresh token for the next pair. See [`crate::domain::session`] for what two uses of one token mean.
pub(crate) async fn refresh_tokens(identity: &Identity, refresh_token: &str) -> Result<TokenPair, Fault> {
    let hash = secret::hash(SecretKind::RefreshToken, refresh_token);
    // The end of a session is committed although the caller is refused: a refusal is a value in here.
    let outcome = identity
        .database
        .write_unkeyed(&nobody_yet(), async |write| exchange(identity, write, &hash).await)
        .await?;
    if matches!(outcome, Err(IdentityError::RefreshTokenReused)) {
        identity.spread().await;
    }
    outcome.map_err(Fault::from)
}

async fn exchange(
    identity: &Identity,
    write: &mut UnitOfWork<'_>,
    hash: &SecretHash,
) -> Result<Result<TokenPair, IdentityError>, Fault> {
    let now = write.now();
    let Some(token) = store::sessions::present(write.conn(), hash).await? else {
        return Ok(Err(IdentityError::RefreshTokenInvalid));
    };
    match session::judge(&token, now) {
        Refresh::Refuse => Ok(Err(IdentityError::RefreshTokenInvalid)),
        Refresh::EndForReuse => {
            end_for_reuse(write, &token).await?;
            Ok(Err(IdentityError::RefreshTokenReused))
        }
        Refresh::Continue => {
            // The lock of the session has decided that already; were it ever lost, no token would work twice all the same.
            if !store::sessions::use_refresh_token(write.conn(), hash, now).await? {
                return Err(Fault::internal(
                    "a refresh token was used in spite of the lock of its session",
                ));
            }
            let unit_id = unit_of(write, &token).await?;
            record(
                write,
                RecordKind::Refresh,
                about(&token, unit_id),
                format!("session {}", token.session_id),
            )
            .await?;
            let session = Session {
                session_id: token.session_id,
                account_id: token.account_id,
                unit_id,
                expire_time: token.session_expire_time,
            };
            next_pair(identity, write, session).await.map(Ok)
        }
    }
}

async fn end_for_reuse(write: &mut UnitOfWork<'_>, token: &PresentedToken) -> Result<(), Fault> {
    let now = write.now();
    store::sessions::end(write.conn(), token.session_id, SessionEnd::Reuse, now).await?;
    let unit_id = unit_of(write, token).await?;
    record(
        write,
        RecordKind::ReuseDetected,
        about(token, unit_id),
        format!("session {} ended", token.session_id),
    )
    .await?;
    let target = Target::Session(token.session_id);
    let expiry = Identity::revocation_expiry(now);
    store::revocations::append(write.conn(), &target, now, expiry)
        .await
        .map(drop)
}

async fn unit_of(write: &mut UnitOfWork<'_>, token: &PresentedToken) -> Result<i32, Fault> {
    // Not by the credentials: who signs in by an issuer may have none.
    store::accounts::unit_of(write.conn(), token.account_id)
        .await?
        .ok_or_else(|| Fault::internal("a session without an account"))
}

fn about(token: &PresentedToken, unit_id: i32) -> About {
    About {
        subject: Some(token.account_id),
        unit: Some(unit_id),
        actor: None,
    }
}
