//! GetExchangeBodies.

use std::sync::Arc;

use egov_auth::{Caller, ReadRecord, ReadRecorder};
use egov_database::Database;
use egov_keyring::Keyring;
use jiff::Timestamp;
use uuid::Uuid;

use super::permission::READ_BODIES;
use crate::error::Error;
use crate::journal::{ExchangeJournal, REQUEST, RESPONSE, caught_up, sealed_for};
use crate::sealing::open;
use crate::store::exchanges::{self, KeptBody};

/// What the reading of bodies works with.
pub(crate) struct Bodies {
    pub(crate) database: Database,
    /// Where this process mediates.
    pub(crate) journal: Option<ExchangeJournal>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) reads: ReadRecorder,
}

/// Which bodies are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) request: bool,
    pub(crate) response: bool,
}

/// A body, or what became of it.
#[derive(Debug)]
pub(crate) enum Body {
    NotAsked,
    NotKept,
    Kept {
        content: Vec<u8>,
        expire_time: Timestamp,
    },
    Deleted {
        expire_time: Timestamp,
        delete_time: Timestamp,
    },
    Unreadable {
        expire_time: Timestamp,
    },
}

impl Bodies {
    /// The bodies of an exchange between two sides of which the caller is one: request and answer. If there is anything to read, the
    /// reading is recorded before it leaves.
    pub(crate) async fn get(&self, caller: &Caller, exchange_id: Uuid, wanted: Wanted) -> Result<(Body, Body), Error> {
        let scope = caller.scope(READ_BODIES);
        caught_up(self.journal.as_ref()).await;
        let (exchange, kept) = self
            .database
            .read(&scope, async |connection| {
                let (exchange, _) = exchanges::get(&mut *connection, exchange_id, &scope)
                    .await?
                    .ok_or(Error::ExchangeNotFound)?;
                let kept = exchanges::bodies(connection, exchange_id).await?;
                Ok::<_, Error>((exchange, kept))
            })
            .await?;
        let now = self.database.clock().now();
        let mut bodies = (Body::NotAsked, Body::NotAsked);
        if wanted.request {
            bodies.0 = self.opened(exchange_id, REQUEST, &kept, now);
        }
        if wanted.response {
            bodies.1 = self.opened(exchange_id, RESPONSE, &kept, now);
        }
        let read = |body: &Body| matches!(body, Body::Kept { .. });
        if read(&bodies.0) || read(&bodies.1) {
            let resources = vec![format!("exchanges/{exchange_id}/bodies")];
            let subjects = exchange.on_behalf_of.into_iter().collect();
            let record = ReadRecord::of(caller, subjects, resources, now);
            self.reads.record(record).await?;
        }
        Ok(bodies)
    }

    fn opened(&self, exchange_id: Uuid, direction: &str, kept: &[KeptBody], now: Timestamp) -> Body {
        let Some(body) = kept.iter().find(|body| body.direction == direction) else {
            return Body::NotKept;
        };
        let expire_time = body.expire_time;
        // What the sweep has not come to yet is gone as well once its time is over.
        let Some(sealed) = body.sealed.as_ref().filter(|_| now < expire_time) else {
            return Body::Deleted {
                expire_time,
                delete_time: body.delete_time.unwrap_or(expire_time),
            };
        };
        match open(&self.keyring, sealed, &sealed_for(exchange_id, direction)) {
            Ok(content) => Body::Kept { content, expire_time },
            Err(error) => {
                tracing::error!(%exchange_id, direction, %error, "a body of an exchange cannot be opened");
                Body::Unreadable { expire_time }
            }
        }
    }
}
