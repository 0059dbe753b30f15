//! What every end of a delegation has in common: the row, both sides' records, the event, the tokens.

use egov_database::UnitOfWork;
use egov_fault::Fault;
use serde_json::json;
use uuid::Uuid;

use super::recording::{About, DELEGATION_KIND, announce_canonical, canonical_delegation, delegation_version, record};
use crate::domain::delegation::Delegation;
use crate::domain::record::RecordKind;
use crate::identity::Identity;
use crate::store;
use crate::store::revocations::Target;

/// Ends delegations that are open, and writes that about both sides. Call [`revoke`] last of all for those who acted.
pub(crate) async fn end(
    write: &mut UnitOfWork<'_>,
    delegations: Vec<Delegation>,
    by: Option<Uuid>,
    reason: &str,
) -> Result<Vec<Delegation>, Fault> {
    let now = write.now();
    let mut ended = Vec::with_capacity(delegations.len());
    for delegation in delegations {
        if !store::delegations::end(write.conn(), delegation.delegation_id, by, reason, now).await? {
            // Somebody was quicker, and has written it down.
            continue;
        }
        let delegation = Delegation {
            ended_by: by,
            end_time: Some(now),
            end_reason: reason.to_owned(),
            ..delegation
        };
        record_both(write, RecordKind::DelegationEnded, &delegation, by, reason).await?;
        announce_canonical(
            write,
            (
                DELEGATION_KIND,
                delegation.delegation_id,
                delegation_version(&delegation),
            ),
            "delegation_ended",
            json!({ "grant": delegation.grant_id, "role": delegation.role, "unit": delegation.unit_id }),
            &canonical_delegation(&delegation),
        );
        ended.push(delegation);
    }
    Ok(ended)
}

/// Makes void what those who acted hold; their sessions go on and get tokens without the role. From here to the commit every other
/// revocation waits.
pub(crate) async fn revoke(write: &mut UnitOfWork<'_>, ended: &[Delegation]) -> Result<(), Fault> {
    let now = write.now();
    let mut who: Vec<Uuid> = ended.iter().map(|delegation| delegation.delegatee_id).collect();
    who.sort_unstable();
    who.dedup();
    for subject in who {
        let expiry = Identity::revocation_expiry(now);
        store::revocations::append(write.conn(), &Target::Subject(subject), now, expiry).await?;
    }
    Ok(())
}

/// Writes about both sides, one of whom the caller may not be able to see: the record is theirs all the same.
pub(crate) async fn record_both(
    write: &mut UnitOfWork<'_>,
    kind: RecordKind,
    delegation: &Delegation,
    actor: Option<Uuid>,
    reason: &str,
) -> Result<(), Fault> {
    let units = [delegation.delegator_unit_id, delegation.delegatee_unit_id];
    write.hand_over_to(&units).await?;
    let Delegation { role, unit_id, .. } = delegation;
    for (subject, unit, other) in [
        (
            delegation.delegator_id,
            delegation.delegator_unit_id,
            format!("to {}", delegation.delegatee_id),
        ),
        (
            delegation.delegatee_id,
            delegation.delegatee_unit_id,
            format!("by {}", delegation.delegator_id),
        ),
    ] {
        let about = About {
            subject: Some(subject),
            unit: Some(unit),
            actor: actor.filter(|actor| *actor != subject),
        };
        let detail = format!(
            "{role} at unit {unit_id} {other} from {} to {}, {}: {reason}",
            delegation.effective_from, delegation.effective_to, delegation.document_number
        );
        record(write, kind, about, detail).await?;
    }
    Ok(())
}
