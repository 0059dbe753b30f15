//! Rebuilds from rows what the ledger's leaves commit to, for the verification.

use egov_auth::RowScope;
use egov_database::Database;
use egov_fault::Fault;
use egov_transparency::Rebuilt;
use prost::Message as _;
use uuid::Uuid;

use super::recording::TREE_KIND;
use crate::{store, wire};

/// Why other leaves cannot be recomputed.
pub const REASON: &str =
    "its leaf commits to the message as it was answered, with states that change without a version";

/// The tree of units as its rows stand now; older versions of it are kept as history entries, not as rows.
pub async fn rebuild_leaves(database: &Database) -> Result<Vec<Rebuilt>, Fault> {
    database
        .read(&RowScope::everything(), async |conn| {
            let version = store::units::version(conn).await?;
            if version == 0 {
                // No unit was ever there.
                return Ok(Vec::new());
            }
            let units = store::units::all(conn).await?;
            let closings = store::reorganisations::closings(conn).await?;
            Ok(vec![Rebuilt {
                kind: TREE_KIND.to_owned(),
                resource: Uuid::nil(),
                version,
                canonical: wire::tree(version, &units, &closings).encode_to_vec(),
            }])
        })
        .await
}
