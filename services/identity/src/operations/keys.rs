//! ListKeys; what rotation and withdrawal share: which key is used, and the history, record, event and leaf of what was done.

use std::collections::BTreeMap;
use std::sync::Arc;

use egov_auth::{Caller, Resource, RowScope};
use egov_clock::{Clock as _, SharedClock};
use egov_database::{Database, UnitOfWork};
use egov_fault::Fault;
use egov_keyring::{KeyLife, Keyring, Purpose};
use egov_proto::egov::identity::v1::KeyringKey;
use jiff::Timestamp;

use super::permission::MANAGE_KEYS;
use super::recording::{About, KEY_KIND, announce_canonical, canonical_key_change, record, with_reason};
use crate::domain::key::{KeyState, states};
use crate::domain::record::RecordKind;
use crate::identity::Identity;
use crate::store::keys::KeyChange;
use crate::{store, wire};

/// Every key of a purpose, or of all.
pub(crate) async fn list_keys(
    identity: &Identity,
    caller: &Caller,
    only: Option<Purpose>,
) -> Result<Vec<KeyringKey>, Fault> {
    caller.require(MANAGE_KEYS, &Resource::default())?;
    let now = identity.clock.now();
    let withdrawn = identity
        .database
        .read(&caller.scope(MANAGE_KEYS), async |conn| {
            store::keys::withdrawn(conn).await
        })
        .await?;
    let mut keys = Vec::new();
    for purpose in Purpose::ALL {
        if only.is_none_or(|only| only == purpose) {
            for (life, state) in judged(identity, purpose, &withdrawn, now).await? {
                keys.push(wire::keyring_key(
                    purpose,
                    &life,
                    state,
                    withdrawn.get(&life.id).copied(),
                ));
            }
        }
    }
    Ok(keys)
}

/// The keys of a purpose as they lie in the keyring, and where each stands.
async fn judged(
    identity: &Identity,
    purpose: Purpose,
    withdrawn: &BTreeMap<String, Timestamp>,
    now: Timestamp,
) -> Result<Vec<(KeyLife, KeyState)>, Fault> {
    let lives = lives(&identity.keyring, purpose).await?;
    let used = used_key(identity, purpose, now);
    let recorded = |id: &str| purpose == Purpose::TokenSigning && withdrawn.contains_key(id);
    let states = states(&lives, &used, recorded, now);
    Ok(lives.into_iter().zip(states).collect())
}

/// The keys of a purpose, read from where they live.
pub(super) async fn lives(keyring: &Arc<Keyring>, purpose: Purpose) -> Result<Vec<KeyLife>, Fault> {
    let keyring = Keyring::clone(keyring);
    tokio::task::spawn_blocking(move || keyring.lives(purpose))
        .await
        .map_err(Fault::internal)?
        .map_err(Fault::internal)
}

/// The key that is used at `now`. A new key of tokens, or of assertions as a client, is published first.
pub(super) fn used_key(identity: &Identity, purpose: Purpose, now: Timestamp) -> String {
    match purpose {
        Purpose::TokenSigning => identity.tokens.signing_key_id(now),
        Purpose::ClientAssertions => identity.client_keys.at(now).id().to_owned(),
        _ => {
            identity.keyring.notice_changes(purpose);
            identity.keyring.signing(purpose).id().to_owned()
        }
    }
}

/// The word in the history of a key that was withdrawn.
pub(super) const WITHDRAWN: &str = "withdrawn";

/// What was done to a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done<'a> {
    /// The word in the history.
    pub(super) act: &'static str,
    /// The word in the record.
    pub(super) kind: RecordKind,
    /// The event.
    pub(super) event: &'static str,
    /// Which keys.
    pub(super) purpose: Purpose,
    /// The new key, or the one that was withdrawn.
    pub(super) key_id: &'a str,
    /// Why, if it had to be said.
    pub(super) reason: &'a str,
}

/// Writes history, record, event and leaf of what was done to a key. Answers with the key that is used from now on.
pub(super) async fn note(
    identity: &Identity,
    caller: &Caller,
    write: &mut UnitOfWork<'_>,
    done: &Done<'_>,
) -> Result<String, Fault> {
    let now = write.now();
    // The issuer notices the change now, not with the first token.
    let used = used_key(identity, done.purpose, now);
    let change_id = write.new_id();
    let actor = caller.principal.subject;
    let change = KeyChange {
        change_id,
        act: done.act.to_owned(),
        purpose: done.purpose.name().to_owned(),
        key_id: done.key_id.to_owned(),
        used_key_id: used.clone(),
        reason: done.reason.to_owned(),
        actor_id: actor,
        record_time: now,
        withdraw_time: (done.act == WITHDRAWN).then_some(now),
    };
    store::keys::insert_change(write.conn(), &change).await?;
    let about = About {
        subject: Some(actor),
        unit: caller.principal.unit,
        actor: None,
    };
    let detail = match done.purpose {
        Purpose::TokenSigning => format!("key {}", done.key_id),
        purpose => format!("key {} of {purpose}", done.key_id),
    };
    record(write, done.kind, about, with_reason(detail, done.reason)).await?;
    announce_canonical(
        write,
        (KEY_KIND, change_id, 1),
        done.event,
        serde_json::json!({ "purpose": done.purpose.name(), "key_id": done.key_id, "used_key_id": used }),
        &canonical_key_change(&change),
    );
    Ok(used)
}

/// Withdraws in the keyring what the database says was withdrawn: a keyring that was restored from its backup must not bring a
/// compromised key back. How many there were.
pub(crate) async fn keep_withdrawn(
    database: &Database,
    keyring: &Arc<Keyring>,
    clock: &SharedClock,
) -> Result<usize, Fault> {
    let withdrawn = database
        .read(&RowScope::everything(), async |conn| store::keys::withdrawn(conn).await)
        .await?;
    let mut brought_back = 0;
    for life in lives(keyring, Purpose::TokenSigning).await? {
        if life.withdrawn || !withdrawn.contains_key(&life.id) {
            continue;
        }
        tracing::warn!(
            key = life.id,
            "a withdrawn key stood in the keyring again; it is taken out"
        );
        let (keyring, clock) = (Keyring::clone(keyring), Arc::clone(clock));
        tokio::task::spawn_blocking(move || keyring.withdraw(Purpose::TokenSigning, &life.id, &clock))
            .await
            .map_err(Fault::internal)?
            .map_err(Fault::internal)?;
        brought_back += 1;
    }
    Ok(brought_back)
}
