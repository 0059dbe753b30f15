//! What is recorded of an exchange, and how it is written to the database: by whichever journal, and by the sweep.

use std::collections::HashSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use egov_database::{Database, Leaf, PromisedLeaf, UnitOfWork, stored_instant};
use egov_door::{Begun, Ended, Promise, Tally};
use egov_keyring::Keyring;
use egov_transparency::{Log, leaf_hash};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::domain::exchange::{End, Exchange, LEAF_KIND, Outcome, Passed, SEEN, canonical};
use crate::domain::traffic::of_exchanges;
use crate::error::Error;
use crate::sealing::seal;
use crate::store::{exchanges, traffic};

/// The direction of a request, as bodies are stored.
pub(crate) const REQUEST: &str = "request";

/// The direction of an answer, as bodies are stored.
pub(crate) const RESPONSE: &str = "response";

/// What binds a sealed body to its exchange.
pub(crate) fn sealed_for(exchange_id: Uuid, direction: &str) -> Vec<u8> {
    [
        b"egov exchange body ",
        exchange_id.as_bytes().as_slice(),
        direction.as_bytes(),
    ]
    .concat()
}

/// Makes records of what passes through one instance of the door.
pub(crate) struct Recorder {
    pub(crate) database: Database,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) log: Arc<Log>,
    pub(crate) instance_id: Uuid,
}

impl Recorder {
    pub(crate) fn exchange(&self, begun: &Begun) -> Exchange {
        Exchange {
            exchange_id: begun.exchange_id,
            instance_id: self.instance_id,
            consumer_unit_id: begun.consumer_unit_id,
            provider_unit_id: begun.provider_unit_id,
            consumer_organisation_id: begun.consumer_organisation_id,
            provider_organisation_id: begun.provider_organisation_id,
            agreement_id: begun.agreement_id,
            agreement_version: begun.agreement_version,
            delegation_id: begun.delegation_id,
            service_id: begun.service_id,
            client_id: begun.client_id.clone(),
            caller: begun.caller,
            on_behalf_of: begun.on_behalf_of,
            method: begun.method.clone(),
            purpose: begun.purpose.clone(),
            trace: begun.trace.clone(),
            begin_time: stored_instant(begun.at),
        }
    }

    /// A body as it is kept, if there is one.
    pub(crate) fn body(
        &self,
        begun: &Begun,
        direction: &'static str,
        plain: Option<&Bytes>,
        at: Timestamp,
    ) -> Option<exchanges::Body> {
        let kept = SignedDuration::from_hours(24 * i64::from(begun.retention_days));
        plain.map(|plain| exchanges::Body {
            exchange_id: begun.exchange_id,
            direction,
            consumer_unit_id: begun.consumer_unit_id,
            provider_unit_id: begun.provider_unit_id,
            sealed: seal(&self.keyring, plain, &sealed_for(begun.exchange_id, direction)),
            expire_time: stored_instant(at.checked_add(kept).unwrap_or(Timestamp::MAX)),
        })
    }

    /// The promise about a leaf that is durable.
    pub(crate) fn promise(&self, leaf: &Made) -> Option<Promise> {
        let epoch = u32::try_from(leaf.epoch).ok()?;
        let version = u64::try_from(SEEN).ok()?;
        let made = leaf_hash(LEAF_KIND, leaf.exchange_id, version, leaf.commitment, leaf.time, epoch)
            .and_then(|hash| self.log.promise(leaf.epoch, hash, leaf.time))
            .and_then(|promise| promise.to_bytes());
        match made {
            Ok(bytes) => Some(Promise(URL_SAFE_NO_PAD.encode(bytes))),
            Err(error) => {
                tracing::error!(%error, "a promise cannot be made");
                None
            }
        }
    }
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn passed(tally: &Tally) -> Passed {
    Passed {
        hash: tally.hash,
        messages: number(tally.messages),
        bytes: number(tally.bytes),
    }
}

/// How an exchange ended, as it is stored.
pub(crate) fn outcome_of(ended: &Ended) -> Outcome {
    Outcome {
        outcome: ended.outcome.as_str().to_owned(),
        status: ended.status,
        request: passed(&ended.request),
        forwarded_hash: ended.forwarded.map(|tally| tally.hash),
        response: passed(&ended.response),
        received_hash: ended.received.map(|tally| tally.hash),
        elapsed_us: number(ended.elapsed_us),
        provider_us: number(ended.provider_us),
        end_time: stored_instant(ended.at),
    }
}

/// A leaf that is about to be committed.
pub(crate) struct Made {
    pub(crate) exchange_id: Uuid,
    pub(crate) commitment: [u8; 32],
    pub(crate) time: Timestamp,
    pub(crate) epoch: i32,
}

/// What was written.
pub(crate) struct Written {
    /// The epoch of the log; 0 if nothing ended.
    pub(crate) epoch: i32,
    /// For each end the leaf, or none if it has one already or was promised.
    pub(crate) leaves: Vec<Option<Made>>,
}

/// Writes beginnings, ends with their leaves and what they sum up to, and bodies. Harmless to repeat: what is there stays as it is.
pub(crate) async fn write(
    unit: &mut UnitOfWork<'_>,
    begun: &[Exchange],
    ended: &[End],
    bodies: &[exchanges::Body],
) -> Result<Written, Error> {
    let ends: HashSet<Uuid> = ended.iter().map(|end| end.exchange.exchange_id).collect();
    let starts: HashSet<Uuid> = begun.iter().map(|exchange| exchange.exchange_id).collect();
    // What begins and ends here was never open for anybody else.
    let over: Vec<Uuid> = starts.intersection(&ends).copied().collect();
    exchanges::insert(unit.conn(), begun, &over).await?;
    // A promise holds although the database does not know of the beginning, as after a restore to before it.
    let owed: Vec<Exchange> = ended
        .iter()
        .filter(|end| end.promised.is_some() && !starts.contains(&end.exchange.exchange_id))
        .map(|end| end.exchange.clone())
        .collect();
    let theirs: Vec<Uuid> = owed.iter().map(|exchange| exchange.exchange_id).collect();
    exchanges::insert(unit.conn(), &owed, &theirs).await?;
    let (epoch, added) = exchanges::insert_outcomes(unit.conn(), ended).await?;
    let added: HashSet<Uuid> = added.into_iter().collect();
    let counted = ended.iter().filter(|end| added.contains(&end.exchange.exchange_id));
    let sums = of_exchanges(counted.map(|end| (&end.exchange, &end.outcome)));
    traffic::add(unit.conn(), &sums).await?;
    // Swept before: counted as unknown once, and not again.
    let missed = ended.iter().filter(|end| !added.contains(&end.exchange.exchange_id));
    let late = exchanges::insert_late_outcomes(unit.conn(), missed).await?;
    exchanges::insert_bodies(unit.conn(), bodies).await?;
    let new: HashSet<Uuid> = added.into_iter().chain(late).collect();
    let time = unit.now();
    let mut leaves = Vec::with_capacity(ended.len());
    for end in ended {
        let exchange_id = end.exchange.exchange_id;
        let leaf = |canonical| Leaf {
            kind: LEAF_KIND,
            resource: exchange_id,
            version: end.outcome.leaf_version(),
            canonical,
        };
        leaves.push(match &end.promised {
            _ if !new.contains(&exchange_id) => None,
            Some(promised) => {
                unit.promised_leaf(&PromisedLeaf {
                    leaf: leaf(&promised.canonical),
                    id: promised.leaf_id,
                    salt: promised.salt,
                    time: end.outcome.end_time,
                });
                None
            }
            None => Some(Made {
                exchange_id,
                commitment: unit.leaf(leaf(&canonical(&end.exchange, &end.outcome))),
                time,
                epoch,
            }),
        });
    }
    Ok(Written { epoch, leaves })
}
