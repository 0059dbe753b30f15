//! What the leaves of exchanges, agreements, entries of the directory, reconciliations with the portal and their differences, mailboxes,
//! their messages, deliveries, topics, subscriptions, orders of payments and questions to the population database must commit to, from the
//! rows as they stand now: for the verification of the ledger.

use std::collections::{HashMap, HashSet};

use egov_auth::RowScope;
use egov_database::{Database, leaf_commitment};
use egov_fault::Fault;
use egov_transparency::{Rebuilt, WithoutRow};
use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::change_service::{Entry, published};
use super::mailboxes::{MAILBOX, MESSAGE, canonical_mailbox, canonical_message};
use super::partners::{DELIVERY, ORDER, QUESTION, canonical_delivery, canonical_order, canonical_question};
use super::subscriptions::{SUBSCRIPTION, canonical_subscription};
use super::topics::{TOPIC, canonical_topic};
use crate::domain::agreement::{Agreement, Side, Signature};
use crate::domain::canonical::canonical as canonical_text;
use crate::domain::civil_register;
use crate::domain::commitment::{
    AGREEMENT, ChangeMade, ENTRIES, OLDER_AGREEMENT, OLDER_ENTRIES, of_agreement, of_entry, of_entry_kind,
    says_the_same,
};
use crate::domain::endpoint::Endpoint;
use crate::domain::exchange::{LEAF_KIND, canonical};
use crate::domain::mailbox::State;
use crate::domain::reconciliation::{DIFFERENCE, OLDER_RUN, RUN, Reconciliation, of_difference, of_older_run, of_run};
use crate::domain::service::{Interface, Service};
use crate::domain::signature::Jws;
use crate::domain::system::SigningKey;
use crate::domain::terms::document;
use crate::error::Error;
use crate::store;
use crate::store::reconciliations::{self, RecordedRun};
use crate::store::verification::{self, KeyOf, LeafOf, Recorded, RecordedAgreement, RecordedDelivery};
use crate::store::{deliveries, exchanges, mailboxes, partner_records, payments, topics};

/// Rows read at once.
const PAGE: i64 = 2000;

/// Changes read at once: their documents are larger.
const CHANGES: i64 = 200;

/// Of the civil-status register: what was received of it, reconciliations with it and their differences. The document of each version is kept.
const REGISTER: [&str; 3] = [civil_register::CHANGE, civil_register::RUN, civil_register::DIFFERENCE];

/// What of a leaf of a kind of this service whose row was not rebuilt: for the exchanges, the reconciliations with the portal and every
/// change whose document is kept, a row was deleted. Changes of agreements from before have leaves of a kind of their own; which of
/// their rows is gone is found by [`rows_unlike_history`].
#[must_use]
pub fn without_row(kind: &str) -> WithoutRow<'static> {
    let kept = [LEAF_KIND, AGREEMENT, RUN, DIFFERENCE, MAILBOX, SUBSCRIPTION, QUESTION];
    if kept.contains(&kind) || REGISTER.contains(&kind) || ENTRIES.contains(&kind) || OLDER_ENTRIES.contains(&kind) {
        WithoutRow::Wrong
    } else if kind == OLDER_AGREEMENT {
        WithoutRow::Expected("changes of agreements from before their documents were kept")
    } else if kind == OLDER_RUN {
        WithoutRow::Expected("changes of reconciliations with the portal from before each was kept")
    } else if kind == MESSAGE || kind == DELIVERY {
        WithoutRow::Expected("the newest version of each is compared with its row, older ones are not kept as rows")
    } else if kind == TOPIC || kind == ORDER {
        WithoutRow::Replaced("the newest version of each is compared with its row, older ones are not kept as rows")
    } else {
        WithoutRow::Expected("this version of the service writes no leaves of this kind")
    }
}

/// Every exchange that is over, and every recorded change of agreements, entries of the directory, reconciliations with the portal and
/// their differences.
///
/// # Errors
/// The store's.
pub async fn rebuild_leaves(database: &Database) -> Result<Vec<Rebuilt>, Fault> {
    let mut rebuilt = Vec::new();
    of_exchanges(database, &mut rebuilt).await?;
    let mut after = (Uuid::nil(), 0);
    loop {
        let changes = page(database, async |conn| {
            verification::directory_changes(conn, after, CHANGES).await
        })
        .await?;
        let Some(last) = changes.last() else { break };
        after = (last.id, last.version);
        for change in changes {
            let made = ChangeMade {
                change: &change.change,
                reason: &change.reason,
                actor: &change.actor,
                time: change.record_time,
            };
            let (kind, document) = if change.older {
                (change.kind.as_str(), change.document.clone())
            } else {
                // A kind that nobody writes has no leaf, and is found so.
                let kind = of_entry_kind(&change.kind).unwrap_or(change.kind.as_str());
                (kind, of_entry(&change.document, made))
            };
            rebuilt.push(of_change(kind, (change.id, change.version), &document));
        }
    }
    let mut after = (Uuid::nil(), 0);
    loop {
        let changes = page(database, async |conn| {
            verification::agreement_changes(conn, after, CHANGES).await
        })
        .await?;
        let Some(last) = changes.last() else { break };
        after = (last.agreement_id, last.version);
        for change in changes {
            let kind = if change.older { OLDER_AGREEMENT } else { AGREEMENT };
            let document = match &change.document {
                Some(document) => document,
                None if change.older => continue,
                // Whoever takes a document away gives no leaf what it commits to.
                None => &Value::Null,
            };
            rebuilt.push(of_change(kind, (change.agreement_id, change.version), document));
        }
    }
    of_reconciliations(database, &mut rebuilt).await?;
    of_civil_register(database, &mut rebuilt).await?;
    of_mailboxes(database, &mut rebuilt).await?;
    of_events(database, &mut rebuilt).await?;
    of_partners(database, &mut rebuilt).await?;
    Ok(rebuilt)
}

/// Every mailbox: it never changes.
async fn of_mailboxes(database: &Database, rebuilt: &mut Vec<Rebuilt>) -> Result<(), Fault> {
    let everything = RowScope::everything();
    let mut after = None;
    loop {
        let found = page(database, async |conn| {
            mailboxes::list(conn, after, PAGE, &everything).await
        })
        .await?;
        let Some(last) = found.last() else { return Ok(()) };
        after = Some(last.id);
        rebuilt.extend(found.iter().map(|mailbox| Rebuilt {
            kind: MAILBOX.to_owned(),
            resource: mailbox.id,
            version: 1,
            canonical: canonical_mailbox(mailbox).to_string().into_bytes(),
        }));
    }
}

/// Every topic as it stands, and every subscription: as it was made, and with its end.
async fn of_events(database: &Database, rebuilt: &mut Vec<Rebuilt>) -> Result<(), Fault> {
    let found = page(database, async |conn| {
        let mut found = Vec::new();
        for topic in topics::all(&mut *conn).await? {
            found.extend(topics::as_stored(&mut *conn, topic.id).await?);
        }
        Ok(found)
    })
    .await?;
    rebuilt.extend(found.iter().map(|stored| Rebuilt {
        kind: TOPIC.to_owned(),
        resource: stored.topic.id,
        version: stored.topic.version,
        canonical: canonical_topic(stored).to_string().into_bytes(),
    }));
    let mut after = Uuid::nil();
    loop {
        let found = page(database, async |conn| {
            topics::subscriptions_after(conn, after, PAGE).await
        })
        .await?;
        let Some((last, _)) = found.last() else { return Ok(()) };
        after = last.id;
        for (subscription, end) in &found {
            let leaf = |version, end| Rebuilt {
                kind: SUBSCRIPTION.to_owned(),
                resource: subscription.id,
                version,
                canonical: canonical_subscription(subscription, end).to_string().into_bytes(),
            };
            rebuilt.push(leaf(1, None));
            rebuilt.extend(end.map(|end| leaf(2, Some(end))));
        }
    }
}

/// Every order of a payment as it stands, and every question to the population database: it never changes.
async fn of_partners(database: &Database, rebuilt: &mut Vec<Rebuilt>) -> Result<(), Fault> {
    let mut after = Uuid::nil();
    loop {
        let found = page(database, async |conn| payments::all_after(conn, after, PAGE).await).await?;
        let Some(last) = found.last() else { break };
        after = last.id;
        rebuilt.extend(found.iter().map(|order| Rebuilt {
            kind: ORDER.to_owned(),
            resource: order.id,
            version: order.version,
            canonical: canonical_order(order).to_string().into_bytes(),
        }));
    }
    let mut after = Uuid::nil();
    loop {
        let found = page(database, async |conn| {
            partner_records::requests_after(conn, after, PAGE).await
        })
        .await?;
        let Some(last) = found.last() else { return Ok(()) };
        after = last.id;
        rebuilt.extend(found.iter().map(|asked| Rebuilt {
            kind: QUESTION.to_owned(),
            resource: asked.id,
            version: 1,
            canonical: canonical_question(asked).to_string().into_bytes(),
        }));
    }
}

/// What is wrong with the messages in mailboxes as their rows are.
async fn messages_unlike_leaves(database: &Database, wrong: &mut Vec<String>) -> Result<(), Fault> {
    let mut after = Uuid::nil();
    loop {
        let (messages, leaves) = page(database, async |conn| {
            let messages = mailboxes::messages_after(&mut *conn, after, PAGE).await?;
            let of = messages.iter().map(|message| (message.id, message.version));
            let (ids, versions): (Vec<Uuid>, Vec<i64>) = of.unzip();
            let leaves = verification::leaves_of(conn, MESSAGE, (&ids, &versions)).await?;
            Ok((messages, by_id(leaves)))
        })
        .await?;
        let Some(last) = messages.last() else { return Ok(()) };
        after = last.id;
        for message in &messages {
            let mut may_be = vec![canonical_message(message, message.state)];
            if message.state == State::Fetched {
                // One that was refused and could not be opened when it was fetched anew is put back as one that was fetched.
                may_be.push(canonical_message(message, State::Waiting));
            }
            let what = (MESSAGE, message.id, message.version);
            wrong.extend(unlike_leaf(what, &may_be, leaves.get(&message.id)));
        }
    }
}

/// What is wrong with the deliveries as their rows are: by their histories, and by their leaves.
async fn deliveries_unlike_history(database: &Database, wrong: &mut Vec<String>) -> Result<(), Fault> {
    let mut after = Uuid::nil();
    loop {
        let (found, recorded, leaves) = page(database, async |conn| {
            let found = deliveries::all_after(&mut *conn, after, PAGE).await?;
            let of = found.iter().map(|delivery| (delivery.id, delivery.version));
            let (ids, versions): (Vec<Uuid>, Vec<i64>) = of.unzip();
            let recorded = verification::recorded_deliveries(&mut *conn, &ids).await?;
            let leaves = verification::leaves_of(conn, DELIVERY, (&ids, &versions)).await?;
            Ok((found, recorded, by_id(leaves)))
        })
        .await?;
        let Some(last) = found.last() else { return Ok(()) };
        after = last.id;
        let recorded: HashMap<Uuid, RecordedDelivery> = recorded.into_iter().map(|one| (one.id, one)).collect();
        for delivery in &found {
            let Some(entry) = recorded.get(&delivery.id) else {
                wrong.push(format!(
                    "{DELIVERY} {} version {} is not in the history",
                    delivery.id, delivery.version
                ));
                continue;
            };
            let says = (entry.unit_id, entry.state, entry.problem.as_str(), entry.record_time);
            let is = (
                delivery.unit_id,
                delivery.state.number(),
                delivery.problem.as_str(),
                delivery.update_time,
            );
            if says != is {
                wrong.push(format!(
                    "{DELIVERY} {} version {} is not what its last change says",
                    delivery.id, delivery.version
                ));
            }
            // The first leaf commits to the message too, which is sealed.
            if delivery.version > 1 {
                let canonical = canonical_delivery(delivery, &entry.actor, None);
                let what = (DELIVERY, delivery.id, delivery.version);
                wrong.extend(unlike_leaf(what, &[canonical], leaves.get(&delivery.id)));
            }
        }
    }
}

fn by_id(leaves: Vec<LeafOf>) -> HashMap<Uuid, LeafOf> {
    leaves.into_iter().map(|leaf| (leaf.id, leaf)).collect()
}

/// Whether a row is nothing of what its leaf may commit to. A salt that is gone is named where all leaves are looked at.
fn unlike_leaf((kind, id, version): (&str, Uuid, i64), may_be: &[Value], leaf: Option<&LeafOf>) -> Option<String> {
    let Some(leaf) = leaf else {
        return Some(format!("{kind} {id} version {version} has no leaf"));
    };
    let salt = leaf.salt.as_ref()?;
    let is = |canonical: &Value| {
        leaf_commitment(salt, canonical.to_string().as_bytes()).as_slice() == leaf.commitment.as_slice()
    };
    (!may_be.iter().any(is)).then(|| format!("{kind} {id} version {version} is not what its leaf commits to"))
}

/// Every recorded version of the reconciliations with the portal and of their differences. Of a reconciliation that a version of before
/// recorded, there is only the row as it is now.
async fn of_reconciliations(database: &Database, rebuilt: &mut Vec<Rebuilt>) -> Result<(), Fault> {
    let mut after = (Uuid::nil(), 0);
    loop {
        let versions = page(database, async |conn| {
            reconciliations::run_versions(conn, after, CHANGES).await
        })
        .await?;
        let Some(last) = versions.last() else { break };
        after = (last.id, last.version);
        rebuilt.extend(versions.into_iter().map(|version| Rebuilt {
            kind: RUN.to_owned(),
            resource: version.id,
            version: version.version,
            canonical: version.document.into_bytes(),
        }));
    }
    let mut after = (Uuid::nil(), 0);
    loop {
        let versions = page(database, async |conn| {
            reconciliations::difference_versions(conn, after, CHANGES).await
        })
        .await?;
        let Some(last) = versions.last() else { break };
        after = (last.id, last.version);
        rebuilt.extend(versions.into_iter().map(|difference| Rebuilt {
            kind: DIFFERENCE.to_owned(),
            resource: difference.id,
            version: difference.version,
            canonical: of_difference(&difference).to_string().into_bytes(),
        }));
    }
    let mut after = Uuid::nil();
    loop {
        let runs = runs(database, after).await?;
        let Some(last) = runs.last() else { return Ok(()) };
        after = last.row.id;
        rebuilt.extend(runs.iter().filter(|one| one.older).map(|one| Rebuilt {
            kind: OLDER_RUN.to_owned(),
            resource: one.row.id,
            version: one.row.version,
            canonical: of_older_run(&one.row).to_string().into_bytes(),
        }));
    }
}

/// Every recorded version of what was received of the civil-status register, of reconciliations with it and of their differences.
async fn of_civil_register(database: &Database, rebuilt: &mut Vec<Rebuilt>) -> Result<(), Fault> {
    let (mut kind, mut id, mut version) = (String::new(), Uuid::nil(), 0);
    loop {
        let after = (kind.as_str(), id, version);
        let versions = page(database, async |conn| {
            store::civil_register::recorded_after(conn, after, CHANGES).await
        })
        .await?;
        let Some(last) = versions.last() else { return Ok(()) };
        (id, version) = (last.id, last.version);
        kind.clone_from(&last.kind);
        rebuilt.extend(versions.into_iter().map(|recorded| Rebuilt {
            kind: recorded.kind,
            resource: recorded.id,
            version: recorded.version,
            canonical: recorded.document.into_bytes(),
        }));
    }
}

/// The reconciliations with the civil-status register, and their differences, whose row is not what was recorded of its version.
async fn register_unlike_history(database: &Database, wrong: &mut Vec<String>) -> Result<(), Fault> {
    let mut after = Uuid::nil();
    loop {
        let rows = page(database, async |conn| {
            let runs = store::civil_register::runs_after(&mut *conn, after, CHANGES).await?;
            let mut rows = Vec::new();
            for run in runs {
                let of = (civil_register::RUN, run.id, run.version);
                let recorded = store::civil_register::document(&mut *conn, of).await?;
                rows.push((of, recorded, civil_register::of_run(&run).to_string()));
            }
            Ok(rows)
        })
        .await?;
        let Some(((_, last, _), ..)) = rows.last() else { break };
        after = *last;
        wrong.extend(rows.into_iter().filter_map(unlike));
    }
    let mut after = Uuid::nil();
    loop {
        let rows = page(database, async |conn| {
            let differences = store::civil_register::differences_after(&mut *conn, after, CHANGES).await?;
            let mut rows = Vec::new();
            for difference in differences {
                let of = (civil_register::DIFFERENCE, difference.id, difference.version);
                let recorded = store::civil_register::document(&mut *conn, of).await?;
                rows.push((of, recorded, civil_register::of_difference(&difference).to_string()));
            }
            Ok(rows)
        })
        .await?;
        let Some(((_, last, _), ..)) = rows.last() else {
            return Ok(());
        };
        after = *last;
        wrong.extend(rows.into_iter().filter_map(unlike));
    }
}

/// What is wrong with a row of which this was recorded.
fn unlike(
    ((kind, id, version), recorded, document): ((&'static str, Uuid, i64), Option<String>, String),
) -> Option<String> {
    (recorded.as_ref() != Some(&document))
        .then(|| format!("{kind} {id} version {version} is not what its last change says"))
}

/// A reconciliation as its row is, and what was recorded of it last.
struct Run {
    row: Reconciliation,
    recorded: Option<RecordedRun>,
    /// Whether a version of before recorded it as it is.
    older: bool,
}

/// A page of the reconciliations after one.
async fn runs(database: &Database, after: Uuid) -> Result<Vec<Run>, Fault> {
    page(database, async |conn| {
        let runs = reconciliations::all_after(&mut *conn, after, CHANGES).await?;
        let ids: Vec<Uuid> = runs.iter().map(|run| run.id).collect();
        let recorded = reconciliations::last_recorded(&mut *conn, &ids).await?;
        let mut recorded: HashMap<Uuid, RecordedRun> = recorded.into_iter().map(|one| (one.id, one)).collect();
        let older = reconciliations::recorded_before(conn, &ids, OLDER_RUN).await?;
        let older: HashSet<Uuid> = older.into_iter().collect();
        Ok(runs
            .into_iter()
            .map(|run| Run {
                recorded: recorded.remove(&run.id),
                older: older.contains(&run.id),
                row: run,
            })
            .collect())
    })
    .await
}

/// What is wrong with the row of a reconciliation, by its last change. One that a version of before recorded is compared with its leaf.
fn run_unlike_history(one: &Run) -> Option<String> {
    let document = of_run(&one.row).to_string();
    let said = match &one.recorded {
        _ if one.older => return None,
        None => "is not in the history",
        Some(last) if last.version == one.row.version && last.document == document => return None,
        Some(_) => "is not what its last change says",
    };
    Some(format!("{OLDER_RUN} {} version {} {said}", one.row.id, one.row.version))
}

/// A page of what a job reads of everything.
async fn page<T>(
    database: &Database,
    read: impl AsyncFnOnce(&mut PgConnection) -> Result<T, store::StoreError>,
) -> Result<T, Fault> {
    database
        .read(&RowScope::everything(), async |conn| {
            read(conn).await.map_err(Error::from)
        })
        .await
        .map_err(Fault::from)
}

fn of_change(kind: &str, (resource, version): (Uuid, i64), document: &Value) -> Rebuilt {
    // What has no canonical form was never recorded: its text is nothing that a leaf commits to, and so the row is named.
    let text = canonical_text(document).unwrap_or_else(|_| document.to_string());
    Rebuilt {
        kind: kind.to_owned(),
        resource,
        version,
        canonical: text.into_bytes(),
    }
}

async fn of_exchanges(database: &Database, rebuilt: &mut Vec<Rebuilt>) -> Result<(), Fault> {
    let mut after = Uuid::nil();
    loop {
        let (found, outcomes) = page(database, async |connection| {
            let found = exchanges::after(connection, after, PAGE).await?;
            let ids: Vec<Uuid> = found.iter().map(|exchange| exchange.exchange_id).collect();
            let outcomes = exchanges::all_outcomes(connection, &ids).await?;
            Ok((found, outcomes))
        })
        .await?;
        let Some(last) = found.last() else { return Ok(()) };
        after = last.exchange_id;
        let exchanges: HashMap<_, _> = found.iter().map(|exchange| (exchange.exchange_id, exchange)).collect();
        rebuilt.extend(outcomes.iter().filter_map(|recorded| {
            let exchange = exchanges.get(&recorded.exchange_id)?;
            Some(Rebuilt {
                kind: LEAF_KIND.to_owned(),
                resource: recorded.exchange_id,
                version: recorded.leaf_version,
                canonical: canonical(exchange, &recorded.outcome),
            })
        }));
    }
}

/// The agreements, entries of the directory, reconciliations with the portal, differences, deliveries and messages in mailboxes whose
/// rows are not what their last change or its leaf says, are gone, or were never recorded, each in one sentence. The changes themselves
/// are compared with their leaves: see [`rebuild_leaves`].
///
/// # Errors
/// The store's.
pub async fn rows_unlike_history(database: &Database) -> Result<Vec<String>, Fault> {
    let mut wrong = Vec::new();
    let (without, gone, interfaces, erased) = page(database, async |conn| {
        let without = verification::without_history(&mut *conn).await?;
        let gone = verification::leaves_without_row(&mut *conn).await?;
        let interfaces = verification::changed_interfaces(&mut *conn).await?;
        let own = [
            AGREEMENT,
            OLDER_AGREEMENT,
            RUN,
            OLDER_RUN,
            DIFFERENCE,
            MAILBOX,
            MESSAGE,
            DELIVERY,
            TOPIC,
            SUBSCRIPTION,
            ORDER,
        ];
        let kinds = [&ENTRIES[..], &OLDER_ENTRIES, &REGISTER, &own].concat();
        Ok((without, gone, interfaces, verification::erasures(conn, &kinds).await?))
    })
    .await?;
    for (kind, id) in erased {
        // They hold nothing of a person that could be asked to be forgotten; an erasure would hide what was changed.
        wrong.push(format!(
            "{kind} {id}: its leaves were erased, and none of this kind ever is"
        ));
    }
    for (kind, id, version) in gone {
        wrong.push(format!("{kind} {id} version {version}: its row is gone"));
    }
    register_unlike_history(database, &mut wrong).await?;
    messages_unlike_leaves(database, &mut wrong).await?;
    deliveries_unlike_history(database, &mut wrong).await?;
    for (kind, id, version) in without {
        wrong.push(format!("{kind} {id} version {version} is not in the history"));
    }
    for (service_id, version) in interfaces {
        wrong.push(format!(
            "interface {version} of service {service_id} is not the document that was hashed"
        ));
    }
    let mut last: Option<Recorded> = None;
    loop {
        let after = last
            .as_ref()
            .map_or((Uuid::nil(), 0), |change| (change.id, change.version));
        let changes = page(database, async |conn| {
            verification::directory_changes(conn, after, CHANGES).await
        })
        .await?;
        let ended = changes.is_empty();
        for change in changes {
            if let Some(before) = last.replace(change)
                && last.as_ref().is_some_and(|next| next.id != before.id)
            {
                wrong.extend(entry(database, &before).await?);
            }
        }
        if ended {
            break;
        }
    }
    if let Some(before) = last {
        wrong.extend(entry(database, &before).await?);
    }
    let mut last: Option<RecordedAgreement> = None;
    loop {
        let after = last
            .as_ref()
            .map_or((Uuid::nil(), 0), |change| (change.agreement_id, change.version));
        let changes = page(database, async |conn| {
            verification::agreement_changes(conn, after, CHANGES).await
        })
        .await?;
        let ended = changes.is_empty();
        for change in changes {
            wrong.extend(columns(&change));
            if let Some(before) = last.replace(change)
                && last
                    .as_ref()
                    .is_some_and(|next| next.agreement_id != before.agreement_id)
            {
                wrong.extend(agreement(database, &before).await?);
            }
        }
        if ended {
            break;
        }
    }
    if let Some(before) = last {
        wrong.extend(agreement(database, &before).await?);
    }
    let mut after = Uuid::nil();
    loop {
        let runs = runs(database, after).await?;
        let Some(last) = runs.last() else { break };
        after = last.row.id;
        wrong.extend(runs.iter().filter_map(run_unlike_history));
    }
    let differences = page(database, async |conn| {
        reconciliations::differences_unlike_history(conn).await
    })
    .await?;
    wrong.extend(
        differences
            .into_iter()
            .map(|(id, version)| format!("{DIFFERENCE} {id} version {version} is not what its last change says")),
    );
    Ok(wrong)
}

/// A service, its endpoints and the versions of its interface.
type ServiceRows = (Service, Vec<Endpoint>, Vec<Interface>);

/// The rows of an entry.
enum Found {
    Entry(Option<Value>),
    Service(Option<ServiceRows>),
}

async fn service_rows(conn: &mut PgConnection, id: Uuid) -> Result<Option<ServiceRows>, store::StoreError> {
    let Some(one) = store::services::get(&mut *conn, id).await? else {
        return Ok(None);
    };
    let endpoints = store::endpoints::of_services(&mut *conn, Some(&[id])).await?;
    let interfaces = store::services::interfaces(conn, id, None, i64::MAX).await?;
    Ok(Some((one, endpoints, interfaces)))
}

/// The rows of a service in the form of its last change.
fn as_recorded((one, endpoints, interfaces): &ServiceRows, recorded: &Value) -> Result<Value, Fault> {
    let every = (1..=one.interface_version).rev();
    if !interfaces.iter().map(|held| held.interface_version).eq(every) {
        // No change says so.
        return Ok(Value::Null);
    }
    // The first version is the service alone: there is nothing else yet. The changes of before say nothing of interfaces.
    let says = |name| recorded.get(name).is_some();
    if !says("service") && endpoints.is_empty() && interfaces.is_empty() {
        Ok(json!(one))
    } else if says("service") && !says("interfaces") {
        Ok(json!({ "service": one, "endpoints": endpoints }))
    } else {
        let interfaces = published(interfaces).map_err(Fault::internal)?;
        Ok(json!(Entry {
            service: one,
            endpoints,
            interfaces
        }))
    }
}

/// What is wrong with the rows of an entry, by its last change.
async fn entry(database: &Database, change: &Recorded) -> Result<Option<String>, Fault> {
    let (kind, id) = (change.kind.as_str(), change.id);
    let rows = page(database, async |conn| {
        Ok(Found::Entry(match kind {
            "organisation" => store::organisations::get(conn, id).await?.map(|one| json!(one)),
            "system" => store::systems::get(conn, id).await?.map(|one| json!(one)),
            "service" => return Ok(Found::Service(service_rows(conn, id).await?)),
            _ => return Ok(Found::Entry(Some(change.document.clone()))),
        }))
    })
    .await
    .and_then(|found| match found {
        Found::Entry(rows) => Ok(rows),
        Found::Service(rows) => rows.map(|rows| as_recorded(&rows, &change.document)).transpose(),
    });
    let said = match (rows, &change.document) {
        // An edited row may be none that can be read any more.
        (Err(fault), _) if fault.reason() == "INTERNAL" => "its rows cannot be read",
        (Err(fault), _) => return Err(fault),
        (Ok(None), _) => "its row is gone",
        (Ok(Some(rows)), recorded) if !says_the_same(&rows, recorded) => "its rows are not what its last change says",
        _ => return Ok(None),
    };
    Ok(Some(format!("{kind} {id} version {}: {said}", change.version)))
}

/// Whether the columns of a change say what its document says, which its leaf commits to.
fn columns(change: &RecordedAgreement) -> Option<String> {
    let document = change.document.as_ref()?;
    let said = [
        ("change", json!(change.change)),
        ("state", json!(change.state)),
        ("reason", json!(change.reason)),
        ("actor", json!(change.actor)),
        ("time", json!(change.record_time)),
    ];
    let differs = said.iter().any(|(name, column)| document.get(*name) != Some(column));
    differs.then(|| {
        format!(
            "agreement {} version {}: the columns of its change are not what its document says",
            change.agreement_id, change.version
        )
    })
}

/// What is wrong with the rows of an agreement, by its last change.
async fn agreement(database: &Database, change: &RecordedAgreement) -> Result<Option<String>, Fault> {
    let id = change.agreement_id;
    let found = page(database, async |conn| {
        let one = store::agreements::by_ids(&mut *conn, &[id]).await?.pop();
        let mut signed = Vec::new();
        for version in one.iter().flat_map(|one| &one.versions) {
            let service = one.as_ref().map(|one| one.parties.service_id).unwrap_or_default();
            signed.push(store::services::interface(&mut *conn, service, version.terms.interface_version).await?);
        }
        let sides = one.as_ref().map(|one| SIDES.map(|side| one.organisation_of(side)));
        let keys = verification::keys_of(conn, sides.as_ref().map_or(&[], <[Uuid; 2]>::as_slice)).await?;
        Ok(one.map(|one| {
            let hashes: Vec<Option<Vec<u8>>> = signed.into_iter().map(|one| one.map(|(one, _)| one.sha256)).collect();
            (one, hashes, keys)
        }))
    })
    .await;
    let said = match found {
        // An edited row may be none that can be read any more.
        Err(fault) if fault.reason() == "INTERNAL" => "its rows cannot be read",
        Err(fault) => return Err(fault),
        Ok(None) => "its row is gone",
        Ok(Some((one, hashes, keys))) => {
            if one.version != change.version {
                "its row is not at the version of its last change"
            } else if !is_what_was_signed(&one, &hashes) {
                "its terms or parties are not what was signed"
            } else if !is_signed(&one, &keys) {
                "it is in force without the signatures of both sides, or one of them does not verify"
            } else if !change
                .document
                .as_ref()
                .map_or(change.older, |document| is_recorded(&one, change, document))
            {
                "its rows are not what its last change says"
            } else {
                return Ok(None);
            }
        }
    };
    Ok(Some(format!("agreement {id} version {}: {said}", change.version)))
}

/// Whether terms and parties of each version give the text that both sides sign.
fn is_what_was_signed(one: &Agreement, hashes: &[Option<Vec<u8>>]) -> bool {
    one.versions.len() == hashes.len()
        && one.versions.iter().zip(hashes).all(|(version, sha256)| {
            sha256.as_ref().is_some_and(|sha256| {
                document(one.agreement_id, version.number, &one.parties, sha256, &version.terms)
                    .is_ok_and(|text| text == version.canonical)
            })
        })
}

const SIDES: [Side; 2] = [Side::Consumer, Side::Provider];

/// Whether every signature is one of its side over the text of its version, by a key that was valid then; and whether what is in
/// force was signed by both, and is so within its terms. This holds without any history.
fn is_signed(one: &Agreement, keys: &[KeyOf]) -> bool {
    one.versions.iter().all(|version| {
        let verifies = |signature: &Signature| {
            let of_side = one.organisation_of(signature.side);
            let read = Jws::read(&signature.jws, version.canonical.as_bytes());
            read.is_ok_and(|jws| {
                jws.key_id == signature.key_id
                    && keys.iter().any(|held| {
                        held.organisation_id == of_side
                            && held.key.key_id == signature.key_id
                            && was_valid(&held.key, signature.sign_time)
                            && jws.verify(&held.key.public_jwk).is_ok()
                    })
            })
        };
        let signed = |side| version.signatures.iter().any(|signature| signature.side == side);
        let in_force = version.effective.is_none_or(|frame| {
            SIDES.into_iter().all(signed)
                && frame.from >= version.terms.valid_from
                // One that was replaced before it began has an empty frame.
                && frame.to <= version.terms.valid_to.max(frame.from)
        });
        in_force && version.signatures.iter().all(verifies)
    })
}

/// Whether a key might sign then: what was withdrawn since does not undo it.
fn was_valid(key: &SigningKey, then: Timestamp) -> bool {
    key.valid_from <= then && then < key.valid_to && key.withdraw_time.is_none_or(|withdrawn| then <= withdrawn)
}

fn is_recorded(one: &Agreement, change: &RecordedAgreement, recorded: &Value) -> bool {
    let rows = of_agreement(
        one,
        ChangeMade {
            change: &change.change,
            reason: &change.reason,
            actor: &change.actor,
            time: change.record_time,
        },
    );
    says_the_same(&rows, recorded)
}
