//! What other services follow: the signed tree and the list of revocations.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use egov_auth::RowScope;
use egov_clock::Clock as _;
use egov_database::Database;
use egov_directory::Feed;
use egov_fault::Fault;
use egov_keyring::{Keyring, Purpose};
use egov_proto::egov::identity::v1::{GetTreeSnapshotResponse, ListRevocationsResponse};
use prost::Message as _;

use crate::{store, wire};

/// Entries of one answer.
const BATCH: i64 = 1000;

/// The feed, read from this service's own database: what the RPCs answer, and what the directory of this process follows
/// without a network in between.
#[derive(Clone)]
pub struct LocalFeed {
    database: Database,
    keyring: Arc<Keyring>,
    /// The last signed tree: signing and reading it again for every service that asks would be for nothing.
    signed: Arc<Mutex<Option<GetTreeSnapshotResponse>>>,
}

impl LocalFeed {
    /// The feed of a database. It needs nothing else of the service, so that a directory can be made before it.
    pub fn new(database: Database, keyring: Arc<Keyring>) -> Self {
        Self {
            database,
            keyring,
            signed: Arc::default(),
        }
    }

    fn kept(&self, version: i64, key_id: &str) -> Option<GetTreeSnapshotResponse> {
        self.signed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .filter(|kept| kept.version == version && kept.key_id == key_id)
            .cloned()
    }

    /// The digest of the keys of tokens that are published now.
    fn key_set_digest(&self) -> Result<String, Fault> {
        let keys = serde_json::from_value(self.keyring.jwks(Purpose::TokenSigning)).map_err(Fault::internal)?;
        egov_auth::key_set_digest(&keys).map_err(Fault::internal)
    }

    /// The keys are those of now, also beside a tree that was signed earlier.
    fn with_keys(&self, mut answer: GetTreeSnapshotResponse) -> GetTreeSnapshotResponse {
        answer.jwks = self.keyring.jwks(Purpose::TreeSigning).to_string();
        answer
    }
}

#[async_trait]
impl Feed for LocalFeed {
    async fn tree(&self, known_version: i64) -> Result<GetTreeSnapshotResponse, Fault> {
        let key = self.keyring.signing(Purpose::TreeSigning);
        let everything = RowScope::everything();
        let version = self
            .database
            .read(&everything, async |conn| store::units::version(conn).await)
            .await?;
        if version == known_version {
            return Ok(GetTreeSnapshotResponse {
                version,
                ..GetTreeSnapshotResponse::default()
            });
        }
        if let Some(kept) = self.kept(version, key.id()) {
            return Ok(self.with_keys(kept));
        }
        // Version and units of one snapshot of the database.
        let tree = self
            .database
            .read(&everything, async |conn| {
                let version = store::units::version(conn).await?;
                let units = store::units::all(conn).await?;
                let closings = store::reorganisations::closings(conn).await?;
                Ok::<_, Fault>(wire::tree(version, &units, &closings))
            })
            .await?;
        let version = tree.version;
        let snapshot = tree.encode_to_vec();
        let signature = key.sign(&snapshot).map_err(Fault::internal)?;
        let answer = GetTreeSnapshotResponse {
            snapshot,
            key_id: key.id().to_owned(),
            signature,
            version,
            jwks: String::new(),
        };
        *self.signed.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer.clone());
        Ok(self.with_keys(answer))
    }

    async fn revocations(&self, after: i64) -> Result<ListRevocationsResponse, Fault> {
        let now = self.database.clock().now();
        let (head, mut entries, kinds, withdrawn) = self
            .database
            .read(&RowScope::everything(), async |conn| {
                let head = store::revocations::head(conn).await?;
                let entries = store::revocations::after(conn, after, now, BATCH + 1).await?;
                let kinds = store::revocations::kinds(conn, now).await?;
                let withdrawn = store::keys::withdrawn(conn).await?;
                Ok::<_, Fault>((head, entries, kinds, withdrawn))
            })
            .await?;
        // The keyring is asked too: if the process that withdrew a key was killed before it could record that, the key is
        // refused all the same.
        let withdrawn: BTreeSet<String> = withdrawn
            .into_keys()
            .chain(self.keyring.withdrawn(Purpose::TokenSigning))
            .collect();
        let more = entries.len() > BATCH as usize;
        entries.truncate(BATCH as usize);
        let position = match entries.last() {
            Some(last) if more => last.position,
            // Also when the reader is ahead, which it can only be after a restore: it sees that and begins again.
            _ => head,
        };
        Ok(ListRevocationsResponse {
            revocations: entries.iter().map(wire::revocation).collect(),
            position,
            more,
            kind_revocations: kinds.iter().map(wire::kind_revocation).collect(),
            withdrawn_key_ids: withdrawn.into_iter().collect(),
            key_set_digest: self.key_set_digest()?,
        })
    }
}

impl std::fmt::Debug for LocalFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LocalFeed")
    }
}
