//! gRPC handlers of a few lines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use egov_database::{Page, PageBinding, PageTokens, page_of};
use egov_fault::{Fault, Violation};
use egov_ledger::{Hash, TileId};
use egov_proto::egov::ledger::v1 as proto;
use egov_proto::egov::ledger::v1::ledger_service_server::LedgerService;
use egov_proto::egov::ledger::v1::witness_service_server::WitnessService;
use egov_runtime::accept;
use egov_runtime::contract::Contract;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::error::Error;
use crate::log::Log;
use crate::witness::Witness;

/// How long GetReceipt waits.
const PATIENCE: Duration = Duration::from_secs(2);

/// The service of the contract over the logs of this process.
#[derive(Clone)]
pub struct LedgerApi {
    contract: Arc<Contract>,
    logs: Arc<BTreeMap<String, Arc<Log>>>,
    pages: PageTokens,
}

impl LedgerApi {
    /// Serves these logs.
    pub fn new(contract: Arc<Contract>, logs: impl IntoIterator<Item = Arc<Log>>, pages: PageTokens) -> Self {
        let logs = logs.into_iter().map(|log| (log.id().to_owned(), log)).collect();
        Self {
            contract,
            logs: Arc::new(logs),
            pages,
        }
    }

    fn log(&self, id: &str) -> Result<&Log, Error> {
        self.logs.get(id).map(AsRef::as_ref).ok_or(Error::LogNotFound)
    }
}

/// A refusal on its way out: its one translation.
fn status(error: impl Into<Error>) -> Status {
    Fault::from(error.into()).into()
}

fn invalid(field: &str, vi: &str, en: &str) -> Status {
    Fault::invalid(vec![Violation {
        field: field.to_owned(),
        rule: "value".to_owned(),
        vi: vi.to_owned(),
        en: en.to_owned(),
    }])
    .into()
}

fn leaf(text: &str) -> Result<Hash, Status> {
    let mut bytes = [0; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let wrong = || invalid("leaf_hash", "không phải là mã băm", "is not a hash in hexadecimal");
    if !rest.is_empty() || pairs.len() != bytes.len() {
        return Err(wrong());
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let digits = std::str::from_utf8(pair).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
    }
    Ok(Hash(bytes))
}

/// A number that the contract keeps from being negative.
fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn number(natural: u64) -> i64 {
    i64::try_from(natural).unwrap_or(i64::MAX)
}

fn hashes(path: &[Hash]) -> Vec<Vec<u8>> {
    path.iter().map(|hash| hash.0.to_vec()).collect()
}

#[tonic::async_trait]
impl LedgerService for LedgerApi {
    async fn list_logs(
        &self,
        request: Request<proto::ListLogsRequest>,
    ) -> Result<Response<proto::ListLogsResponse>, Status> {
        let message = accept(&self.contract, request)?.message;
        let binding = PageBinding::new(
            "public",
            "/egov.ledger.v1.LedgerService/ListLogs",
            &proto::ListLogsRequest::default(),
        );
        let page = self
            .pages
            .page::<String>(message.page_size, &message.page_token, binding)?;
        let after = page.after().cloned().unwrap_or_default();
        let limit = usize::try_from(page.fetch()).unwrap_or(usize::MAX);
        let mut logs = Vec::new();
        for log in self.logs.values().filter(|log| log.id() > after.as_str()).take(limit) {
            let standing = log.standing().await.map_err(status)?;
            let keys = log.keys(standing.epoch).map_err(status)?;
            logs.push(proto::Log {
                log: log.id().to_owned(),
                epoch: standing.epoch,
                origin: log.origin(standing.epoch),
                tree_size: number(standing.size),
                keys: keys.iter().map(ToString::to_string).collect(),
            });
        }
        let (logs, next_page_token) = page.finish(logs, |log| log.log.clone())?;
        Ok(Response::new(proto::ListLogsResponse { logs, next_page_token }))
    }

    async fn get_checkpoint(
        &self,
        request: Request<proto::GetCheckpointRequest>,
    ) -> Result<Response<proto::GetCheckpointResponse>, Status> {
        let message = accept(&self.contract, request)?.message;
        let log = self.log(&message.log).map_err(status)?;
        let (checkpoint, stamps) = log
            .checkpoint(message.epoch, natural(message.tree_size))
            .await
            .map_err(status)?;
        Ok(Response::new(proto::GetCheckpointResponse {
            checkpoint: checkpoint.to_string(),
            time_stamps: stamps
                .into_iter()
                .map(|stamp| proto::TimeStamp {
                    authority: stamp.authority,
                    token: stamp.token,
                    stamp_time: Some(egov_proto::timestamp(stamp.time)),
                })
                .collect(),
        }))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<proto::GetInclusionProofRequest>,
    ) -> Result<Response<proto::GetInclusionProofResponse>, Status> {
        let message = accept(&self.contract, request)?.message;
        let log = self.log(&message.log).map_err(status)?;
        let proof = log
            .inclusion(&leaf(&message.leaf_hash)?, natural(message.tree_size))
            .await
            .map_err(status)?;
        Ok(Response::new(proto::GetInclusionProofResponse {
            index: number(proof.placed.index),
            tree_size: number(proof.size),
            path: hashes(&proof.path),
            epoch: proof.placed.epoch,
        }))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<proto::GetConsistencyProofRequest>,
    ) -> Result<Response<proto::GetConsistencyProofResponse>, Status> {
        let message = accept(&self.contract, request)?.message;
        let log = self.log(&message.log).map_err(status)?;
        let (second, path) = log
            .consistency(message.epoch, natural(message.first), natural(message.second))
            .await
            .map_err(status)?;
        Ok(Response::new(proto::GetConsistencyProofResponse {
            second: number(second),
            path: hashes(&path),
        }))
    }

    async fn get_receipt(
        &self,
        request: Request<proto::GetReceiptRequest>,
    ) -> Result<Response<proto::GetReceiptResponse>, Status> {
        let message = accept(&self.contract, request)?.message;
        let log = self.log(&message.log).map_err(status)?;
        let receipt = log
            .receipt(&leaf(&message.leaf_hash)?, PATIENCE)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::GetReceiptResponse {
            receipt: receipt.to_bytes().map_err(status)?,
            text: receipt.to_text().map_err(status)?,
            json: receipt.to_json().map_err(status)?,
        }))
    }

    async fn get_tile(
        &self,
        request: Request<proto::GetTileRequest>,
    ) -> Result<Response<proto::GetTileResponse>, Status> {
        let message = accept(&self.contract, request)?.message;
        let log = self.log(&message.log).map_err(status)?;
        let tile = TileId {
            level: u8::try_from(message.level).map_err(|_| status(Error::OutsideTheTree))?,
            index: natural(message.index),
        };
        let tile = log.tile(message.epoch, tile).await.map_err(status)?;
        Ok(Response::new(proto::GetTileResponse {
            hashes: tile.iter().flat_map(|hash| hash.0).collect(),
        }))
    }

    async fn list_entries(
        &self,
        request: Request<proto::ListEntriesRequest>,
    ) -> Result<Response<proto::ListEntriesResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let caller = accepted.caller()?;
        let message = &accepted.message;
        let log = self.log(&message.log).map_err(status)?;
        let of = match (message.kind.as_str(), message.resource_id.as_str()) {
            ("", "") => None,
            (kind, id) if !kind.is_empty() => {
                let id = Uuid::try_parse(id)
                    .map_err(|_| invalid("resource_id", "không phải là mã định danh UUID", "is not a UUID"))?;
                Some((kind, id))
            }
            _ => {
                return Err(invalid(
                    "kind",
                    "phải có cùng resource_id",
                    "is needed beside resource_id",
                ));
            }
        };
        let method = "/egov.ledger.v1.LedgerService/ListEntries";
        let page: Page<u64> = page_of!(self.pages, caller, method, message)?;
        let from = page
            .after()
            .map_or_else(|| natural(message.start), |after| after.saturating_add(1));
        let rows = log
            .entries(message.epoch, from, of, page.fetch())
            .await
            .map_err(status)?;
        let (rows, next_page_token) = page.finish(rows, |row| row.index)?;
        Ok(Response::new(proto::ListEntriesResponse {
            entries: rows
                .into_iter()
                .map(|row| proto::Entry {
                    index: number(row.index),
                    kind: row.entry.kind,
                    resource_id: row.entry.resource.to_string(),
                    version: number(row.entry.version),
                    commitment: row.entry.commitment.to_vec(),
                    create_time: Some(egov_proto::timestamp(row.entry.time)),
                    epoch: i32::try_from(row.entry.epoch).unwrap_or(i32::MAX),
                    leaf_hash: row.hash.to_string(),
                })
                .collect(),
            next_page_token,
        }))
    }
}

/// The service of the contract over a witness; of nobody, it refuses.
#[derive(Clone)]
pub struct WitnessApi {
    contract: Arc<Contract>,
    witness: Option<Arc<Witness>>,
}

impl WitnessApi {
    /// Serves this witness.
    pub fn new(contract: Arc<Contract>, witness: Option<Arc<Witness>>) -> Self {
        Self { contract, witness }
    }
}

#[tonic::async_trait]
impl WitnessService for WitnessApi {
    async fn cosign(&self, request: Request<proto::CosignRequest>) -> Result<Response<proto::CosignResponse>, Status> {
        let message = accept(&self.contract, request)?.message;
        let witness = self.witness.as_ref().ok_or_else(|| status(Error::NotWitnessed))?;
        let proof = message
            .proof
            .iter()
            .map(|hash| Hash::from_slice(hash))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| {
                invalid(
                    "proof",
                    "không phải là mã băm 32 byte",
                    "is not a list of hashes of 32 bytes",
                )
            })?;
        let cosignature = witness
            .cosign(&message.checkpoint, natural(message.old_size), &proof)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::CosignResponse { cosignature }))
    }
}
