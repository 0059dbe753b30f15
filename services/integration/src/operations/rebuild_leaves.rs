//! What the leaves of exchanges must commit to, from the rows as they stand now: for the verification of the ledger.

use egov_auth::RowScope;
use egov_database::Database;
use egov_fault::Fault;
use egov_transparency::Rebuilt;
use uuid::Uuid;

use crate::domain::exchange::{LEAF_KIND, LEAF_VERSION, canonical};
use crate::error::Error;
use crate::store::exchanges;

/// Rows read at once.
const PAGE: i64 = 2000;

/// The kinds of which every leaf has a row that is never changed or removed: a leaf without one is a row that was deleted.
pub const COMPLETE: &[&str] = &[LEAF_KIND];

/// Every exchange that is over.
///
/// # Errors
/// The store's.
pub async fn rebuild_leaves(database: &Database) -> Result<Vec<Rebuilt>, Fault> {
    let mut rebuilt = Vec::new();
    let mut after = Uuid::nil();
    loop {
        let page = database
            .read(&RowScope::everything(), async |connection| {
                let found = exchanges::after(connection, after, PAGE).await?;
                let ids: Vec<Uuid> = found.iter().map(|exchange| exchange.exchange_id).collect();
                let outcomes = exchanges::outcomes(connection, &ids).await?;
                Ok::<_, Error>((found, outcomes))
            })
            .await;
        let (found, outcomes) = page.map_err(Fault::from)?;
        let Some(last) = found.last() else { return Ok(rebuilt) };
        after = last.exchange_id;
        let outcomes: std::collections::HashMap<_, _> = outcomes.into_iter().collect();
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
