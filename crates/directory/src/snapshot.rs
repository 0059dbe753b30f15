//! From identity's answer to units that are believed.

use egov_auth::{UnitTree, UnitTreeError};
use egov_proto::egov::identity::v1 as wire;
use jiff::civil::Date;
use prost::Message as _;

use crate::{AgencyCode, Trust, Unit, Units};

/// Why a tree is not believed.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It is signed with a key that is not trusted.
    #[error("the unit tree is signed with an unknown key")]
    UnknownKey,
    /// The signature is not that of these bytes.
    #[error("the signature of the unit tree does not verify")]
    BadSignature,
    /// The signed bytes are no tree; the text says what is wrong.
    #[error("the unit tree cannot be read: {0}")]
    Unreadable(String),
    /// The units make no tree.
    #[error("the unit tree is no tree: {0}")]
    NotATree(#[from] UnitTreeError),
    /// It is older than the one in use. Either somebody plays an old one back, or identity was restored from a backup;
    /// in that case remove the file of the cache and restart.
    #[error("the unit tree {offered} is older than {known}, which is in use")]
    Older {
        /// The version that came.
        offered: i64,
        /// The version in use.
        known: i64,
    },
}

/// Verifies and reads a signed tree.
pub(crate) fn believe(
    answer: &wire::GetTreeSnapshotResponse,
    trust: &Trust,
) -> Result<(Units, UnitTree), SnapshotError> {
    trust.check(&answer.key_id, &answer.snapshot, &answer.signature, &answer.jwks)?;
    let unreadable = |what: &str| SnapshotError::Unreadable(what.to_owned());
    let snapshot = wire::TreeSnapshot::decode(answer.snapshot.as_slice())
        .map_err(|error| SnapshotError::Unreadable(error.to_string()))?;
    // The version outside of the signature is a hint; the one inside counts.
    if snapshot.version != answer.version {
        return Err(unreadable("its version is not the one announced"));
    }
    let units = snapshot.units.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let (units, tree) = Units::new(snapshot.version, units)?;
    let successors = snapshot
        .successions
        .into_iter()
        .filter(|succession| succession.successor_id != 0)
        .map(|succession| {
            let from = succession.effective_date.and_then(|date| Date::try_from(date).ok());
            from.map(|from| (succession.unit_id, succession.successor_id, from))
                .ok_or_else(|| unreadable("a succession has no day"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let units = units
        .with_successors(successors)
        .map_err(|id| SnapshotError::Unreadable(format!("a succession speaks of unit {id}, which there is not")))?;
    Ok((units, tree))
}

fn read(unit: wire::Unit) -> Result<Unit, SnapshotError> {
    let id = unit.unit_id;
    let wrong = |what: &str| SnapshotError::Unreadable(format!("unit {id}: {what}"));
    let day = |date: egov_proto::google::r#type::Date| Date::try_from(date).ok();
    let effective_from = unit.effective_from.and_then(day).ok_or_else(|| wrong("no first day"))?;
    let effective_to = match unit.effective_to {
        None => None,
        Some(date) => Some(day(date).ok_or_else(|| wrong("its end is no day"))?),
    };
    let kind = unit.kind();
    Ok(Unit {
        id,
        kind,
        code: unit.code,
        name: unit.name,
        parent: (unit.parent_id != 0).then_some(unit.parent_id),
        effective_from,
        effective_to,
        agency_code: (!unit.agency_code.is_empty()).then_some(AgencyCode {
            code: unit.agency_code,
            provisional: unit.agency_code_provisional,
        }),
    })
}
