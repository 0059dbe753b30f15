//! SignOut: the end of a session at the person's own wish.

use egov_auth::{Caller, CallerKind};
use egov_fault::Fault;

use super::recording::{About, record};
use crate::domain::record::RecordKind;
use crate::domain::session::SessionEnd;
use crate::identity::{Identity, nobody_yet};
use crate::store;
use crate::store::revocations::Target;

/// Ends the session of the caller's token; a token without a session (a citizen's, a system's) is itself revoked.
pub(crate) async fn sign_out(identity: &Identity, caller: &Caller) -> Result<(), Fault> {
    let principal = &caller.principal;
    identity
        .database
        .write_unkeyed(&nobody_yet(), async |write| {
            let now = write.now();
            let (target, detail) = match principal.session {
                Some(session_id) => {
                    store::sessions::end(write.conn(), session_id, SessionEnd::SignedOut, now).await?;
                    (Target::Session(session_id), format!("session {session_id}"))
                }
                None => (Target::Token(principal.token_id.clone()), "token".to_owned()),
            };
            let about = About {
                subject: Some(principal.subject),
                unit: principal.unit.filter(|_| principal.kind == CallerKind::Staff),
                actor: None,
            };
            record(write, RecordKind::SignOut, about, detail).await?;
            let expiry = Identity::revocation_expiry(now);
            store::revocations::append(write.conn(), &target, now, expiry).await
        })
        .await?;
    identity.spread().await;
    Ok(())
}
