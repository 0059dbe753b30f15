//! What the leaves of agreements and of entries of the directory commit to, and what rows must say that go with them.

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::agreement::{Agreement, Status};
use super::canonical::{NotCanonical, canonical};
use super::service::Interface;

/// The kind of the leaves of changes of agreements whose document is kept. A kind of its own, which the log commits to: nobody can
/// pass a change off as one of [`OLDER_AGREEMENT`].
pub(crate) const AGREEMENT: &str = "agreement_change";

/// The kind of the leaves of changes of agreements from before their documents were kept.
pub(crate) const OLDER_AGREEMENT: &str = "agreement";

/// The kinds of the leaves of changes of entries of the directory from before a leaf committed to who changed what and why: their
/// leaves commit to the entry alone.
pub(crate) const OLDER_ENTRIES: [&str; 3] = ["organisation", "system", "service"];

/// The kinds of the leaves of changes of entries of the directory.
pub(crate) const ENTRIES: [&str; 3] = ["organisation_change", "system_change", "service_change"];

/// The kind of the leaf of a change of an entry of a kind.
pub(crate) fn of_entry_kind(kind: &str) -> Option<&'static str> {
    OLDER_ENTRIES
        .into_iter()
        .zip(ENTRIES)
        .find_map(|(older, now)| (older == kind).then_some(now))
}

/// What was done to an agreement or an entry of the directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChangeMade<'a> {
    /// In the past tense, for example `agreement_signed`.
    pub(crate) change: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) actor: &'a str,
    pub(crate) time: Timestamp,
}

/// What the leaf of a change of an agreement commits to: what was signed, by whom, when it is in force, who may call by delegation, and
/// where the agreement stands. In an order that does not hang on the order of rows.
pub(crate) fn of_agreement(one: &Agreement, change: ChangeMade<'_>) -> Value {
    let versions: Vec<Value> = one
        .versions
        .iter()
        .map(|version| {
            let mut signatures: Vec<_> = version.signatures.iter().collect();
            signatures.sort_by_key(|held| held.side.as_str());
            let signatures: Vec<Value> = signatures
                .into_iter()
                .map(|held| {
                    json!({ "side": held.side.as_str(), "key_id": held.key_id, "jws": held.jws, "time": held.sign_time })
                })
                .collect();
            let frame = version.effective.map(|frame| json!({ "from": frame.from, "to": frame.to }));
            json!({
                "number": version.number,
                "canonical": version.canonical,
                "offer": version.offer_time,
                "signatures": signatures,
                "effective": frame,
            })
        })
        .collect();
    let mut delegations: Vec<_> = one.delegations.iter().collect();
    delegations.sort_by_key(|held| held.delegation_id);
    let delegations: Vec<Value> = delegations
        .into_iter()
        .map(|held| {
            json!({
                "id": held.delegation_id,
                "system": held.system_id,
                "unit": held.unit_id,
                "methods": held.methods,
                "from": held.valid_from,
                "to": held.valid_to,
                "end": held.end_time,
            })
        })
        .collect();
    let suspended_by = match one.status {
        Status::Suspended(by) => Some(by.as_str()),
        Status::Open | Status::Revoked | Status::Expired => None,
    };
    json!({
        "agreement_id": one.agreement_id,
        "units": { "consumer": one.consumer_unit_id, "provider": one.provider_unit_id },
        "state": one.state(change.time).as_str(),
        "status": one.status.as_str(),
        "suspended_by": suspended_by,
        "end_reason": one.end_reason,
        "change": change.change,
        "reason": change.reason,
        "actor": change.actor,
        "time": change.time,
        "versions": versions,
        "delegations": delegations,
    })
}

/// What the leaf of a change of an entry of the directory commits to: the entry as it became, what was done, by whom, why and when.
pub(crate) fn of_entry(entry: &Value, change: ChangeMade<'_>) -> Value {
    json!({
        "entry": entry,
        "change": change.change,
        "reason": change.reason,
        "actor": change.actor,
        "time": change.time,
    })
}

/// What the leaf of a change of a service commits to of a version of its interface: its document by the hash, and what else was
/// published with it by a hash over its canonical form.
///
/// # Errors
/// If what it breaks has no canonical form.
pub(crate) fn of_interface(one: &Interface) -> Result<Value, NotCanonical> {
    let beside = json!({
        "kind": one.kind,
        "methods": one.methods,
        "breaking": one.breaking,
        "breaking_reason": one.breaking_reason,
        "time": one.create_time,
    });
    let beside = digest(&SHA256, canonical(&beside)?.as_bytes());
    Ok(json!({
        "version": one.interface_version,
        "sha256": hex::encode(&one.sha256),
        "beside_sha256": hex::encode(beside),
    }))
}

/// The same document with its lists sorted: rows that came in one microsecond have no order.
fn without_order(value: &Value) -> Result<Value, NotCanonical> {
    Ok(match value {
        Value::Array(items) => {
            let mut sorted = Vec::with_capacity(items.len());
            for item in items {
                let item = without_order(item)?;
                sorted.push((canonical(&item)?, item));
            }
            sorted.sort_by(|one, other| one.0.cmp(&other.0));
            sorted.into_iter().map(|(_, item)| item).collect()
        }
        Value::Object(fields) => {
            let mut out = serde_json::Map::new();
            for (name, field) in fields {
                out.insert(name.clone(), without_order(field)?);
            }
            Value::Object(out)
        }
        plain => plain.clone(),
    })
}

/// Whether rows say what their last change says: the same content, in whatever order the lists stand.
pub(crate) fn says_the_same(rows: &Value, recorded: &Value) -> bool {
    match (without_order(rows), without_order(recorded)) {
        (Ok(rows), Ok(recorded)) => rows == recorded,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_a_list_says_nothing_and_everything_else_does() {
        let one = json!({ "codes": [{ "a": 1 }, { "a": 2, "b": [3, 4] }], "name": "x" });
        let other = json!({ "name": "x", "codes": [{ "b": [4, 3], "a": 2 }, { "a": 1 }] });
        assert!(says_the_same(&one, &other));
        for changed in [
            json!({ "codes": [{ "a": 1 }], "name": "x" }),
            json!({ "codes": [{ "a": 1 }, { "a": 2, "b": [3, 5] }], "name": "x" }),
            json!({ "codes": [{ "a": 1 }, { "a": 2, "b": [3, 4] }], "name": "y" }),
        ] {
            assert!(!says_the_same(&changed, &one), "{changed}");
        }
        let fraction = json!([0.5]);
        assert!(
            !says_the_same(&fraction, &fraction),
            "what has no canonical form was never recorded"
        );
    }
}
