//! Kết quả giải quyết as documents: described by the decision, corrected, revoked, listed.

pub(crate) mod correct_result;
mod list_results;
pub(crate) mod revoke_result;

use egov_database::{Leaf, UnitOfWork};
use egov_fault::Fault;
use uuid::Uuid;

use super::OneStop;
use super::act::Facts;
use crate::domain::case::Case;
use crate::domain::results::{KIND, Making};
use crate::error::Error;
use crate::store::{files, results};

/// Learns what is known of the files of the versions that an act made. A file that the case could not take is refused.
pub(super) async fn know_files(unit: &mut UnitOfWork<'_>, uploader: Uuid, after: &mut Case) -> Result<(), Error> {
    let wanted: Vec<Uuid> = after
        .versions_made()
        .filter_map(|made| made.wording.file.as_ref())
        .map(|file| file.file_id)
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let known = files::of_results(unit.conn(), after.case_id, uploader, &wanted).await?;
    match after.learn_files(&known) {
        0 => Ok(()),
        unknown => Err(Error::FilesNotUsable(unknown)),
    }
}

/// Stores the versions that an act made, and commits to each in the ledger.
pub(super) async fn keep_versions(unit: &mut UnitOfWork<'_>, after: &Case) -> Result<(), Error> {
    for made in after.versions_made() {
        let content = serde_json::to_string(made).map_err(Fault::internal)?;
        results::insert(unit.conn(), made, &content).await?;
        unit.leaf(Leaf {
            kind: KIND,
            resource: made.result_id,
            version: i64::from(made.version),
            canonical: content.as_bytes(),
        });
    }
    Ok(())
}

impl OneStop {
    /// Makes a version of a result: by the account that acts, under the name that the competent unit bears today.
    pub(super) fn make_version<R>(
        &self,
        unit_id: i32,
        actor_id: Uuid,
        facts: &Facts<'_>,
        make: impl FnOnce(&Making<'_>) -> R,
    ) -> R {
        let unit_name = self.unit_name(unit_id);
        make(&Making {
            procedure: &facts.procedure.procedure,
            unit_name: &unit_name,
            actor_id,
            now: facts.now,
        })
    }
}
