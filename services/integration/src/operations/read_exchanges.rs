//! ListExchanges, GetExchange, GetExchangeReceipt.

use std::sync::Arc;
use std::time::Duration;

use egov_auth::Caller;
use egov_database::{Database, Page, page_of};
use egov_ledger::Hash;
use egov_proto::egov::integration::v1::ListExchangesRequest;
use egov_transparency::{Log, leaf_hash};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::exchange::{Exchange, LEAF_KIND, Outcome, canonical};
use crate::error::Error;
use crate::journal::{ExchangeJournal, caught_up};
use crate::store::exchanges::{self, Place};

/// The permission by which a caller sees exchanges.
const READ: &str = "integration.exchanges.read";

/// How long a receipt is waited for.
const RECEIPT_WAIT: Duration = Duration::from_secs(2);

/// What the reading of the record works with.
pub(crate) struct Exchanges {
    pub(crate) database: Database,
    pub(crate) log: Arc<Log>,
    /// Where this process mediates.
    pub(crate) journal: Option<ExchangeJournal>,
}

/// An exchange, with its outcome if it is over.
pub(crate) type Recorded = (Exchange, Option<Outcome>);

/// The proof of an exchange.
#[derive(Debug)]
pub(crate) struct Proof {
    pub(crate) recorded: Recorded,
    pub(crate) canonical: Vec<u8>,
    pub(crate) salt: Vec<u8>,
    pub(crate) receipt: Vec<u8>,
    pub(crate) leaf: Hash,
}

/// The place behind which the next page begins.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Key {
    begin_time: jiff::Timestamp,
    exchange_id: Uuid,
}

impl Exchanges {
    /// A page of the exchanges that the caller sees.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        agreement_id: Option<Uuid>,
        request: &ListExchangesRequest,
    ) -> Result<(Vec<Recorded>, String), Error> {
        let method = "egov.integration.v1.ExchangeService/ListExchanges";
        let page: Page<Key> = page_of!(self.database.page_tokens(), caller, method, request)?;
        let after = page.after().map(|key| Place {
            begin_time: key.begin_time,
            exchange_id: key.exchange_id,
        });
        let scope = caller.scope(READ);
        caught_up(self.journal.as_ref()).await;
        let (found, outcomes) = self
            .database
            .read(&scope, async |connection| {
                let found = exchanges::list(connection, &scope, agreement_id, after, page.fetch()).await?;
                let ids: Vec<Uuid> = found.iter().map(|exchange| exchange.exchange_id).collect();
                let outcomes = exchanges::outcomes(connection, &ids).await?;
                Ok::<_, Error>((found, outcomes))
            })
            .await?;
        let mut outcomes: std::collections::HashMap<Uuid, Outcome> = outcomes.into_iter().collect();
        let (found, next) = page.finish(found, |exchange| Key {
            begin_time: exchange.begin_time,
            exchange_id: exchange.exchange_id,
        })?;
        let recorded = found
            .into_iter()
            .map(|exchange| {
                let outcome = outcomes.remove(&exchange.exchange_id);
                (exchange, outcome)
            })
            .collect();
        Ok((recorded, next))
    }

    /// One exchange.
    pub(crate) async fn get(&self, caller: &Caller, exchange_id: Uuid) -> Result<Recorded, Error> {
        let scope = caller.scope(READ);
        caught_up(self.journal.as_ref()).await;
        self.database
            .read(&scope, async |connection| {
                exchanges::get(connection, exchange_id, &scope)
                    .await?
                    .ok_or(Error::ExchangeNotFound)
            })
            .await
    }

    /// Everything that proves an exchange.
    pub(crate) async fn receipt(&self, caller: &Caller, exchange_id: Uuid) -> Result<Proof, Error> {
        let scope = caller.scope(READ);
        caught_up(self.journal.as_ref()).await;
        let (exchange, outcome, leaf) = self
            .database
            .read(&scope, async |connection| {
                let (exchange, outcome) = exchanges::get(connection, exchange_id, &scope)
                    .await?
                    .ok_or(Error::ExchangeNotFound)?;
                let outcome = outcome.ok_or(Error::ExchangeUnderWay)?;
                let leaf = exchanges::leaf(connection, LEAF_KIND, exchange_id)
                    .await?
                    .ok_or(Error::ExchangeUnderWay)?;
                Ok::<_, Error>((exchange, outcome, leaf))
            })
            .await?;
        let commitment: [u8; 32] = leaf.commitment.as_slice().try_into().unwrap_or([0; 32]);
        let hash = leaf_hash(
            LEAF_KIND,
            exchange_id,
            u64::try_from(leaf.version).unwrap_or_default(),
            commitment,
            leaf.create_time,
            u32::try_from(leaf.epoch).unwrap_or_default(),
        )
        .map_err(egov_fault::Fault::internal)?;
        let receipt = self
            .log
            .receipt(&hash, RECEIPT_WAIT)
            .await
            .map_err(egov_fault::Fault::from)?
            .to_bytes()
            .map_err(egov_fault::Fault::internal)?;
        Ok(Proof {
            canonical: canonical(&exchange, &outcome),
            salt: leaf.salt.unwrap_or_default(),
            receipt,
            leaf: hash,
            recorded: (exchange, Some(outcome)),
        })
    }
}
