//! What the leaves of exchanges, agreements and entries of the directory must commit to, from the rows as they stand now: for the
//! verification of the ledger.

use std::collections::HashMap;

use egov_auth::RowScope;
use egov_database::Database;
use egov_fault::Fault;
use egov_transparency::Rebuilt;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::agreement::Agreement;
use crate::domain::canonical::canonical as canonical_text;
use crate::domain::commitment::{AgreementChange, of_agreement, says_the_same};
use crate::domain::exchange::{LEAF_KIND, LEAF_VERSION, canonical};
use crate::domain::terms::document;
use crate::error::Error;
use crate::store;
use crate::store::exchanges;
use crate::store::verification::{self, Recorded, RecordedAgreement};

/// Rows read at once.
const PAGE: i64 = 2000;

/// Changes read at once: their documents are larger.
const CHANGES: i64 = 200;

/// The kinds of which every leaf has a row that is never changed or removed: a leaf without one is a row that was deleted. Those of
/// agreements from before their documents were kept have none; a change of an agreement that is gone is found by
/// [`rows_unlike_history`].
pub const COMPLETE: &[&str] = &[LEAF_KIND, "organisation", "system", "service"];

/// Every exchange that is over, and every recorded change of agreements and entries of the directory.
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
            add(
                &mut rebuilt,
                &change.kind,
                change.id,
                change.version,
                change.document.as_ref(),
            )?;
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
            add(
                &mut rebuilt,
                "agreement",
                change.agreement_id,
                change.version,
                change.document.as_ref(),
            )?;
        }
    }
    Ok(rebuilt)
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

fn add(
    rebuilt: &mut Vec<Rebuilt>,
    kind: &str,
    resource: Uuid,
    version: i64,
    document: Option<&Value>,
) -> Result<(), Fault> {
    if let Some(document) = document {
        rebuilt.push(Rebuilt {
            kind: kind.to_owned(),
            resource,
            version,
            canonical: canonical_text(document).map_err(Fault::internal)?.into_bytes(),
        });
    }
    Ok(())
}

async fn of_exchanges(database: &Database, rebuilt: &mut Vec<Rebuilt>) -> Result<(), Fault> {
    let mut after = Uuid::nil();
    loop {
        let (found, outcomes) = page(database, async |connection| {
            let found = exchanges::after(connection, after, PAGE).await?;
            let ids: Vec<Uuid> = found.iter().map(|exchange| exchange.exchange_id).collect();
            let outcomes = exchanges::outcomes(connection, &ids).await?;
            Ok((found, outcomes))
        })
        .await?;
        let Some(last) = found.last() else { return Ok(()) };
        after = last.exchange_id;
        let outcomes: HashMap<_, _> = outcomes.into_iter().collect();
        for exchange in &found {
            if let Some(outcome) = outcomes.get(&exchange.exchange_id) {
                rebuilt.push(Rebuilt {
                    kind: LEAF_KIND.to_owned(),
                    resource: exchange.exchange_id,
                    version: LEAF_VERSION,
                    canonical: canonical(exchange, outcome),
                });
            }
        }
    }
}

/// The agreements and entries of the directory whose rows are not what their last change says, are gone, or were never recorded, each
/// in one sentence. The changes themselves are compared with their leaves: see [`rebuild_leaves`].
///
/// # Errors
/// The store's.
pub async fn rows_unlike_history(database: &Database) -> Result<Vec<String>, Fault> {
    let mut wrong = Vec::new();
    let (without, interfaces) = page(database, async |conn| {
        let without = verification::without_history(&mut *conn).await?;
        Ok((without, verification::changed_interfaces(conn).await?))
    })
    .await?;
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
    Ok(wrong)
}

/// What is wrong with the rows of an entry, by its last change.
async fn entry(database: &Database, change: &Recorded) -> Result<Option<String>, Fault> {
    let (kind, id) = (change.kind.as_str(), change.id);
    let rows = page(database, async |conn| {
        Ok(match kind {
            "organisation" => store::organisations::get(conn, id).await?.map(|one| json!(one)),
            "system" => store::systems::get(conn, id).await?.map(|one| json!(one)),
            "service" => match store::services::get(&mut *conn, id).await? {
                None => None,
                Some(one) => {
                    let endpoints = store::endpoints::of_services(conn, Some(&[id])).await?;
                    // The first version is the service alone: there is nothing else yet.
                    let alone = endpoints.is_empty()
                        && change
                            .document
                            .as_ref()
                            .is_some_and(|document| document.get("service").is_none());
                    Some(if alone {
                        json!(one)
                    } else {
                        json!({ "service": one, "endpoints": endpoints })
                    })
                }
            },
            _ => change.document.clone(),
        })
    })
    .await;
    let said = match (rows, &change.document) {
        // An edited row may be none that can be read any more.
        (Err(fault), _) if fault.reason() == "INTERNAL" => "its rows cannot be read",
        (Err(fault), _) => return Err(fault),
        (Ok(None), _) => "its row is gone",
        (Ok(Some(rows)), Some(recorded)) if !says_the_same(&rows, recorded) => {
            "its rows are not what its last change says"
        }
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
        Ok(one.map(|one| {
            let hashes: Vec<Option<Vec<u8>>> = signed.into_iter().map(|one| one.map(|(one, _)| one.sha256)).collect();
            (one, hashes)
        }))
    })
    .await;
    let said = match found {
        // An edited row may be none that can be read any more.
        Err(fault) if fault.reason() == "INTERNAL" => "its rows cannot be read",
        Err(fault) => return Err(fault),
        Ok(None) => "its row is gone",
        Ok(Some((one, hashes))) => {
            if one.version != change.version {
                "its row is not at the version of its last change"
            } else if !is_what_was_signed(&one, &hashes) {
                "its terms or parties are not what was signed"
            } else if !change
                .document
                .as_ref()
                .is_none_or(|document| is_recorded(&one, change, document))
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

fn is_recorded(one: &Agreement, change: &RecordedAgreement, recorded: &Value) -> bool {
    let rows = of_agreement(
        one,
        AgreementChange {
            change: &change.change,
            reason: &change.reason,
            actor: &change.actor,
            time: change.record_time,
        },
    );
    says_the_same(&rows, recorded)
}
