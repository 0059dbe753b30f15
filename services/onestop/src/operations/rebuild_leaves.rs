//! Rebuilds from rows what the ledger's leaves commit to, for the verification.

use egov_auth::RowScope;
use egov_database::Database;
use egov_transparency::Rebuilt;

use crate::error::Error;
use crate::store::{decisions, files};

/// Why a leaf of a case cannot be recomputed.
pub const OLDER_CASES: &str = "older versions of cases are kept as history entries, not as rows: the newest version of each case is \
                               recomputed by `verify` without a subcommand";

/// The files and the decisions about procedures, as their rows stand now.
pub async fn rebuild_leaves(database: &Database) -> Result<Vec<Rebuilt>, Error> {
    let (files, decisions) = database
        .read(&RowScope::everything(), async |connection| {
            Ok::<_, Error>((files::contents(connection).await?, decisions::all(connection).await?))
        })
        .await?;
    let mut rebuilt = Vec::with_capacity(files.len() + decisions.len());
    for (file_id, sha256, size) in files {
        rebuilt.push(Rebuilt {
            kind: "file".to_owned(),
            resource: file_id,
            version: 1,
            canonical: super::files::canonical(file_id, &sha256, size)?,
        });
    }
    for decided in decisions {
        rebuilt.push(Rebuilt {
            kind: super::decide_fact::LEAF_KIND.to_owned(),
            resource: decided.decision_id,
            version: 1,
            canonical: super::decide_fact::canonical(&decided)?,
        });
    }
    Ok(rebuilt)
}
