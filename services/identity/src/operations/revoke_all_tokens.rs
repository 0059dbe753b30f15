//! RevokeAllTokens: every token of a kind of callers, or of everybody, is void.

use egov_auth::{Caller, Resource};
use egov_clock::Clock as _;
use egov_database::WriteRequest;
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{RevokeAllTokensRequest, RevokeAllTokensResponse};
use egov_proto::timestamp;
use jiff::Timestamp;

use super::permission::MANAGE_KEYS;
use super::recording::{
    About, MASS_REVOCATION_KIND, announce_canonical, canonical_mass_revocation, record, with_reason,
};
use crate::domain::record::RecordKind;
use crate::domain::session::SessionEnd;
use crate::error::IdentityError;
use crate::identity::{Identity, nobody_yet, parse_id};
use crate::store::revocations::MassRevocation;
use crate::{store, wire};

const METHOD: &str = "/egov.identity.v1.KeyService/RevokeAllTokens";

/// Revokes whole kinds (thu hồi hàng loạt). Without ending sessions, whoever has one goes on with a new token; with it officials sign
/// in anew.
pub(crate) async fn revoke_all_tokens(
    identity: &Identity,
    caller: &Caller,
    request: &RevokeAllTokensRequest,
) -> Result<RevokeAllTokensResponse, Fault> {
    caller.require(MANAGE_KEYS, &Resource::default())?;
    let request_id = parse_id(&request.request_id)?;
    let breadth =
        wire::breadth(request.scope()).ok_or_else(|| Fault::internal("the contract let a scope pass that is none"))?;
    if request.end_sessions && !breadth.has_sessions() {
        return Err(IdentityError::NoSessionsToEnd.into());
    }
    // Sessions of everybody: the permission is held over the whole province, or there is no act upon everybody.
    let write = WriteRequest::keyed(caller.key(), nobody_yet(), METHOD, request_id, request);
    let written = identity
        .database
        .write(write, async |write| {
            let now = write.now();
            let sessions_ended = if request.end_sessions {
                store::sessions::end_everybodys(write.conn(), SessionEnd::Revoked, now).await?
            } else {
                0
            };
            let sessions_ended = i64::try_from(sessions_ended).unwrap_or(i64::MAX);
            // Ending the sessions may have waited for others: what was issued meanwhile is void too.
            let not_after = to_the_microsecond(now.max(identity.clock.now()));
            let expiry = Identity::revocation_expiry(not_after);
            for kind in breadth.kinds() {
                store::revocations::revoke_kind(write.conn(), *kind, not_after, expiry).await?;
            }
            let act = MassRevocation {
                act_id: write.new_id(),
                scope: breadth.as_str().to_owned(),
                not_after,
                end_sessions: request.end_sessions,
                sessions_ended,
                reason: request.reason.clone(),
                actor_id: caller.principal.subject,
                record_time: not_after,
            };
            store::revocations::insert_mass(write.conn(), &act).await?;
            let about = About {
                subject: Some(caller.principal.subject),
                unit: caller.principal.unit,
                actor: None,
            };
            let detail = format!("{}, {sessions_ended} sessions", breadth.as_str());
            record(
                write,
                RecordKind::AllTokensRevoked,
                about,
                with_reason(detail, &request.reason),
            )
            .await?;
            let answer = RevokeAllTokensResponse {
                not_after: Some(timestamp(not_after)),
                sessions_ended,
            };
            announce_canonical(
                write,
                (MASS_REVOCATION_KIND, act.act_id, 1),
                "all_tokens_revoked",
                serde_json::json!({
                    "scope": act.scope, "end_sessions": act.end_sessions, "sessions_ended": sessions_ended,
                }),
                &canonical_mass_revocation(&act),
            );
            Ok::<_, Fault>(answer)
        })
        .await?;
    identity.spread().await;
    Ok(written.into_answer())
}

/// As the database keeps an instant.
fn to_the_microsecond(instant: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(instant.as_microsecond()).unwrap_or(instant)
}
