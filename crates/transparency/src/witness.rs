//! Being a witness of others' logs, and asking witnesses for one's own.

use std::sync::Arc;
use std::time::Duration;

use egov_auth::RowScope;
use egov_database::{Database, UnitOfWork};
use egov_fault::{Fault, fault_of};
use egov_keyring::{Keyring, Purpose};
use egov_ledger::{Checkpoint, Consistency, Hash, KeyKind, LedgerError, NoteSignature, SignedCheckpoint, VerifyingKey};
use egov_proto::egov::ledger::v1::CosignRequest;
use egov_proto::egov::ledger::v1::witness_service_client::WitnessServiceClient;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::error::Error;
use crate::log::{KeyringSigner, Log, consistency, cosigned};
use crate::store::{self, StoredCheckpoint};

/// A witness: remembers what logs have shown, and signs what goes on from it.
pub struct Witness {
    database: Database,
    keyring: Arc<Keyring>,
    name: String,
    logs: Vec<VerifyingKey>,
    refused: Counter<u64>,
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Witness")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a checkpoint is to a witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It goes on from what was seen, or is the same.
    GoesOn,
    /// The proof begins at another size than was seen last.
    OtherSize(u64),
    /// It is smaller than what was seen: the log was rolled back, or somebody shows an old checkpoint again.
    RolledBack(u64),
    /// The proof shows nothing: nobody but who sent it is to blame.
    NotShown(u64),
    /// It contradicts what was seen: the log signed two roots of one size, or the proof leads to the root that it signed and to another
    /// root of what was seen.
    Forked(u64),
}

impl Judgement {
    /// The word by which it is counted; none for what is cosigned.
    const fn refused(self) -> Option<&'static str> {
        match self {
            Self::GoesOn => None,
            Self::OtherSize(_) => Some("other_size"),
            Self::RolledBack(_) => Some("rolled_back"),
            Self::NotShown(_) => Some("not_shown"),
            Self::Forked(_) => Some("forked"),
        }
    }
}

/// Judges a checkpoint by the last one that was seen of its log.
pub(crate) fn judge(last: Option<(u64, Hash)>, old_size: u64, shown: &Checkpoint, proof: &[Hash]) -> Judgement {
    let (size, root) = last.unwrap_or((0, Hash::EMPTY));
    if shown.size == size && shown.root != root {
        return Judgement::Forked(size);
    }
    if old_size != size {
        return Judgement::OtherSize(size);
    }
    if shown.size < size {
        return Judgement::RolledBack(size);
    }
    match egov_ledger::consistency(size, &root, shown.size, &shown.root, proof) {
        Ok(Consistency::GoesOn) => Judgement::GoesOn,
        Ok(Consistency::Contradicts { .. }) => Judgement::Forked(size),
        Err(_) => Judgement::NotShown(size),
    }
}

impl Witness {
    /// A witness under this name, of the logs with these keys. A key's name is the log's origin, epoch included: a new epoch is
    /// something that a witness is told by its operator.
    pub fn new(database: Database, keyring: Arc<Keyring>, name: impl Into<String>, logs: Vec<VerifyingKey>) -> Self {
        Self {
            database,
            keyring,
            name: name.into(),
            logs,
            refused: opentelemetry::global::meter("egov")
                .u64_counter("egov.ledger.witness.refused")
                .with_description("checkpoints that a witness did not cosign, by reason")
                .build(),
        }
    }

    /// The key with which it cosigns.
    pub fn key(&self) -> Result<VerifyingKey, LedgerError> {
        let key = self.keyring.note_key(Purpose::Checkpoints);
        VerifyingKey::new(&self.name, KeyKind::Witness, key.public_key())
    }

    /// Cosigns a checkpoint that goes on from the last one seen; answers with the line of signature. Everything else is refused and
    /// counted. Only what proves that the log contradicts itself is kept as evidence: anybody can get a genuine checkpoint, show an
    /// old one again, or send a path that leads nowhere, and must not raise an alarm by it.
    pub async fn cosign(&self, note: &str, old_size: u64, proof: &[Hash]) -> Result<String, Error> {
        let mut signed: SignedCheckpoint = note.parse().map_err(Error::NotSigned)?;
        let shown = signed.checkpoint().clone();
        let keys: Vec<_> = self.logs.iter().filter(|key| key.name() == shown.origin).collect();
        if keys.is_empty() {
            return Err(Error::NotWitnessed);
        }
        signed.verify_any(keys).map_err(Error::NotSigned)?;
        let stored = StoredCheckpoint {
            size: shown.size,
            root: shown.root,
            note: signed.to_string(),
        };
        let judged = self
            .database
            .write_unkeyed(&RowScope::none(), async |unit: &mut UnitOfWork<'_>| {
                let now = unit.now();
                let conn = unit.conn();
                let last = store::witnessed(conn, &shown.origin).await?;
                let seen = store::witnessed_at(conn, &shown.origin, shown.size).await?;
                let judged = match (&last, &seen) {
                    // What was seen at this very size decides, also behind the last one.
                    (Some(last), Some(seen)) if seen.root != shown.root => Judgement::Forked(last.size),
                    (Some(last), Some(_)) if shown.size < last.size => Judgement::OtherSize(last.size),
                    (last, _) => judge(
                        last.as_ref().map(|last| (last.size, last.root)),
                        old_size,
                        &shown,
                        proof,
                    ),
                };
                match (judged, &last) {
                    (Judgement::GoesOn, _) => store::add_witnessed(conn, &shown.origin, &stored, now).await?,
                    (Judgement::Forked(_), Some(last)) => {
                        let kept = seen.as_ref().unwrap_or(last);
                        store::add_conflict(conn, &shown.origin, "forked", &stored, kept, now).await?;
                    }
                    _ => {}
                }
                Ok::<_, Error>(judged)
            })
            .await?;
        if let Some(reason) = judged.refused() {
            self.refused.add(1, &[KeyValue::new("reason", reason)]);
        }
        match judged {
            Judgement::GoesOn => {}
            Judgement::OtherSize(size) => return Err(Error::OtherSize { size }),
            Judgement::RolledBack(size) => {
                tracing::warn!(
                    origin = shown.origin,
                    size,
                    shown = shown.size,
                    "a checkpoint from before: the log was rolled back, or somebody showed an old one again"
                );
                return Err(Error::LogRolledBack { size });
            }
            Judgement::NotShown(size) => {
                tracing::warn!(
                    origin = shown.origin,
                    size,
                    shown = shown.size,
                    "a proof of consistency that shows nothing"
                );
                return Err(Error::ProofFails { size });
            }
            Judgement::Forked(size) => {
                // The path is part of the evidence, and the table keeps only the checkpoints.
                let proof: Vec<String> = proof.iter().map(ToString::to_string).collect();
                tracing::error!(origin = shown.origin, size, shown = shown.size, ?proof, "a log forked");
                return Err(Error::LogForked { size });
            }
        }
        let seconds = u64::try_from(self.database.clock().now().as_second()).unwrap_or(0);
        let signer = KeyringSigner(self.keyring.note_key(Purpose::Checkpoints));
        signed.note_mut().cosign(&self.name, &signer, seconds)?;
        let line = signed.note().signatures.last().map(NoteSignature::to_line);
        line.ok_or_else(|| Fault::internal("a cosignature was lost").into())
    }
}

/// A witness of our logs.
#[derive(Clone, Debug)]
pub struct WitnessPeer {
    /// Its key; the name is the witness's.
    pub key: VerifyingKey,
    /// The way to it.
    pub channel: Channel,
}

impl WitnessPeer {
    /// Shows the newest checkpoint to this witness and stores its cosignature; the size, or none if it has cosigned it already or there
    /// is nothing yet.
    pub async fn show(&self, log: &Log) -> Result<Option<u64>, Error> {
        let (epoch, stored, mut old_size) = log
            .database
            .read(&RowScope::none(), async |conn| {
                let epoch = store::current_epoch(conn).await?;
                let last = store::last_checkpoint(conn, epoch).await?;
                let seen = store::cosigned_size(conn, epoch, self.key.name()).await?;
                Ok::<_, Error>((epoch, last, seen))
            })
            .await?;
        let Some(stored) = stored.filter(|stored| stored.size > old_size) else {
            return Ok(None);
        };
        let mut client = WitnessServiceClient::new(self.channel.clone());
        for attempt in 0..2 {
            let proof = log
                .database
                .read(&RowScope::none(), async |conn| {
                    if old_size > stored.size {
                        // The witness saw more than there is; it decides what that means.
                        return Ok(Vec::new());
                    }
                    consistency(conn, epoch, old_size, stored.size).await
                })
                .await?;
            let request = CosignRequest {
                checkpoint: stored.note.clone(),
                old_size: i64::try_from(old_size).map_err(Fault::internal)?,
                proof: proof.iter().map(|hash| hash.0.to_vec()).collect(),
            };
            let fault = match client.cosign(request).await {
                Ok(answer) => {
                    let line = answer.into_inner().cosignature;
                    self.keep(log, epoch, &stored, &line).await?;
                    return Ok(Some(stored.size));
                }
                Err(status) => fault_of(&status),
            };
            let seen = fault.metadata().get("size").and_then(|size| size.parse().ok());
            match seen {
                Some(size) if attempt == 0 && fault.reason() == "WITNESS_SAW_OTHER_SIZE" => old_size = size,
                _ => return Err(fault.into()),
            }
        }
        Ok(None)
    }

    async fn keep(&self, log: &Log, epoch: i32, stored: &StoredCheckpoint, line: &str) -> Result<(), Error> {
        let mut signed: SignedCheckpoint = stored.note.parse()?;
        signed.note_mut().signatures.push(NoteSignature::from_line(line)?);
        signed.cosigned_by(&self.key)?;
        let signed = log
            .database
            .write_unkeyed(&RowScope::none(), async |unit: &mut UnitOfWork<'_>| {
                let now = unit.now();
                store::add_cosignature(unit.conn(), epoch, stored.size, self.key.name(), line, now).await?;
                cosigned(unit.conn(), epoch, stored).await
            })
            .await?;
        log.remember(epoch, signed.to_string(), true).await?;
        Ok(())
    }

    /// Shows checkpoints every `pause` until `shutdown`.
    pub async fn show_until(self, log: Arc<Log>, pause: Duration, shutdown: CancellationToken) {
        loop {
            match self.show(&log).await {
                Ok(_) => {}
                Err(error) => {
                    let fault = Fault::from(error);
                    let (witness, reason) = (self.key.name(), fault.reason());
                    if matches!(reason, "LOG_ROLLED_BACK" | "LOG_FORKED" | "PROOF_FAILS") {
                        tracing::error!(
                            log = log.id(),
                            witness,
                            reason,
                            "a witness says that this log contradicts itself"
                        );
                    } else {
                        tracing::warn!(log = log.id(), witness, reason, error = ?fault, "a witness did not cosign");
                    }
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use egov_ledger::{Frontier, TileSet, consistency_proof};
    use proptest::prelude::*;

    use super::*;

    fn at(leaves: &[Hash], size: u64) -> Checkpoint {
        let mut tree = Frontier::new();
        leaves
            .iter()
            .take(usize::try_from(size).unwrap())
            .for_each(|leaf| tree.push(*leaf));
        Checkpoint {
            origin: "x".to_owned(),
            size,
            root: tree.root(),
        }
    }

    #[test]
    fn a_witness_accepts_what_goes_on_and_nothing_else() {
        let leaves: Vec<Hash> = (0..20_u8).map(|n| Hash::leaf(&[n])).collect();
        let others: Vec<Hash> = (50..70_u8).map(|n| Hash::leaf(&[n])).collect();
        let proof = |first, second| consistency_proof(&mut TileSet::of_leaves(leaves.clone()), first, second).unwrap();
        let seen = |size| Some((size, at(&leaves, size).root));
        assert_eq!(judge(None, 0, &at(&leaves, 5), &[]), Judgement::GoesOn);
        assert_eq!(judge(None, 3, &at(&leaves, 5), &[]), Judgement::OtherSize(0));
        assert_eq!(judge(seen(5), 5, &at(&leaves, 13), &proof(5, 13)), Judgement::GoesOn);
        assert_eq!(judge(seen(5), 5, &at(&leaves, 5), &[]), Judgement::GoesOn);
        assert_eq!(
            judge(seen(5), 3, &at(&leaves, 13), &proof(3, 13)),
            Judgement::OtherSize(5)
        );
        assert_eq!(judge(seen(13), 13, &at(&leaves, 5), &[]), Judgement::RolledBack(13));
        // Two roots of one size, or the path of another history to the root that was signed.
        assert_eq!(judge(seen(5), 0, &at(&others, 5), &[]), Judgement::Forked(5));
        let forked = consistency_proof(&mut TileSet::of_leaves(others.clone()), 5, 13).unwrap();
        assert_eq!(judge(seen(5), 5, &at(&others, 13), &forked), Judgement::Forked(5));
        // A path that leads nowhere shows nothing, whoever sent it.
        assert_eq!(
            judge(seen(5), 5, &at(&others, 13), &proof(5, 13)),
            Judgement::NotShown(5)
        );
        assert_eq!(judge(seen(5), 5, &at(&leaves, 13), &forked), Judgement::NotShown(5));
        assert_eq!(judge(seen(5), 5, &at(&leaves, 13), &[]), Judgement::NotShown(5));
    }

    proptest! {
        /// Whoever has nothing but genuine checkpoints of a log that does not fork raises no alarm, whatever path they send.
        #[test]
        fn no_path_makes_an_honest_log_look_forked(
            count in 2_u8..60,
            seen in 1_u64..60,
            shown in 1_u64..60,
            old_size in 0_u64..60,
            kept in any::<prop::sample::Index>(),
            changed in prop::option::of((any::<prop::sample::Index>(), any::<[u8; 32]>())),
            random in prop::option::of(prop::collection::vec(any::<[u8; 32]>(), 0..8)),
            at_seen in any::<bool>(),
        ) {
            let leaves: Vec<Hash> = (0..count).map(|n| Hash::leaf(&[n])).collect();
            let (seen, shown) = (seen.min(count.into()), shown.min(count.into()));
            let old_size = if at_seen { seen } else { old_size };
            let mut proof = match random {
                Some(random) => random.into_iter().map(Hash).collect(),
                None => consistency_proof(&mut TileSet::of_leaves(leaves.clone()), seen.min(shown), seen.max(shown)).unwrap(),
            };
            proof.truncate(kept.index(proof.len() + 1));
            if let Some((place, hash)) = changed
                && !proof.is_empty()
            {
                let place = place.index(proof.len());
                proof[place] = Hash(hash);
            }
            let last = Some((seen, at(&leaves, seen).root));
            prop_assert!(!matches!(judge(last, old_size, &at(&leaves, shown), &proof), Judgement::Forked(_)));
        }
    }
}
