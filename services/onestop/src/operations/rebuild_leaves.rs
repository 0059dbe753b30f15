//! Rebuilds from rows what the ledger's leaves commit to, for the verification.

use egov_auth::RowScope;
use egov_database::Database;
use egov_transparency::{Rebuilt, WithoutRow};

use crate::domain::charge;
use crate::domain::reconcile::{self, DIFFERENCE, TREASURY_FILE};
use crate::domain::results::KIND as RESULT_VERSION;
use crate::domain::work::task::KIND as TASK;
use crate::error::Error;
use crate::operations::work::{COMMENT, MARK, canonical_comment, canonical_mark};
use crate::store::{
    case_versions, charges, counters, decisions, drafts, files, linked, marks, reports, results, stored_papers,
};

/// Why a leaf of a case cannot be recomputed.
pub const OLDER_CASES: &str = "older versions of cases are kept as history entries, not as rows: the newest version of each case is \
                               recomputed by `verify` without a subcommand";

/// Why a leaf of a task cannot be recomputed.
pub const TASKS: &str = "tasks go over to another unit with their case, without an act of their own: the newest version of each task is \
                         compared with its leaf by `verify` without a subcommand";

/// The kinds of leaves about fees: charges, files of the treasury, reconciliations of a day and their differences. Each is written with an
/// act that is kept for good and holds, word for word, what the leaf commits to.
const FEES: [&str; 4] = [charge::KIND, TREASURY_FILE, reconcile::KIND, DIFFERENCE];

/// What of a leaf of a kind of this service whose row was not rebuilt.
#[must_use]
pub fn without_row(kind: &str) -> WithoutRow<'static> {
    // Kept for good too, word for word.
    if FEES.contains(&kind) || [RESULT_VERSION, COMMENT, MARK].contains(&kind) {
        WithoutRow::Wrong
    } else if kind == "case" {
        WithoutRow::Expected(OLDER_CASES)
    } else if kind == TASK {
        WithoutRow::Expected(TASKS)
    } else {
        WithoutRow::Expected("there is no row of it any more, and whether there has to be one is not known here")
    }
}

/// The files, the decisions about procedures, the changes of drafts, the migrations of cases, the reports, the tickets, the fees, the
/// stored papers, the versions of results, the linked applications, the comments and the marks, as their rows stand now.
pub async fn rebuild_leaves(database: &Database) -> Result<Vec<Rebuilt>, Error> {
    let (
        files,
        decisions,
        changes,
        migrations,
        reports,
        mut acts,
        fees,
        stored,
        versions,
        applications,
        comments,
        made,
    ) = database
        .read(&RowScope::everything(), async |connection| {
            Ok::<_, Error>((
                files::contents(&mut *connection).await?,
                decisions::all(&mut *connection).await?,
                drafts::all_changes(&mut *connection).await?,
                case_versions::all(&mut *connection).await?,
                reports::all(&mut *connection).await?,
                counters::acts(&mut *connection).await?,
                charges::acts(&mut *connection).await?,
                stored_papers::acts(&mut *connection).await?,
                results::all_versions(&mut *connection).await?,
                linked::all_versions(&mut *connection).await?,
                marks::all_comments(&mut *connection).await?,
                marks::all(connection).await?,
            ))
        })
        .await?;
    acts.extend(fees);
    let mut rebuilt = Vec::with_capacity(files.len() + decisions.len() + reports.len() + acts.len());
    for (report, _) in reports {
        rebuilt.push(Rebuilt {
            kind: super::reports::KIND.to_owned(),
            resource: report.report_id,
            version: 1,
            canonical: super::reports::canonical(&report)?,
        });
    }
    for (resource, version, content) in applications {
        rebuilt.push(Rebuilt {
            kind: super::linked::KIND.to_owned(),
            resource,
            version,
            canonical: content.into_bytes(),
        });
    }
    for comment in comments {
        rebuilt.push(Rebuilt {
            kind: COMMENT.to_owned(),
            resource: comment.comment_id,
            version: 1,
            canonical: canonical_comment(&comment)?,
        });
    }
    for mark in made {
        rebuilt.push(Rebuilt {
            kind: MARK.to_owned(),
            resource: mark.mark_id,
            version: 1,
            canonical: canonical_mark(&mark)?,
        });
    }
    for (kind, resource, version, canonical) in acts {
        rebuilt.push(Rebuilt {
            kind,
            resource,
            version,
            canonical,
        });
    }
    for (paper_id, version, canonical) in stored {
        rebuilt.push(Rebuilt {
            kind: super::components::KIND.to_owned(),
            resource: paper_id,
            version,
            canonical,
        });
    }
    for (result_id, version, canonical) in versions {
        rebuilt.push(Rebuilt {
            kind: RESULT_VERSION.to_owned(),
            resource: result_id,
            version,
            canonical,
        });
    }
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
    for change in changes {
        rebuilt.push(Rebuilt {
            kind: super::drafting::KIND.to_owned(),
            resource: change.draft_id,
            version: change.version,
            canonical: change.canonical().map_err(egov_fault::Fault::internal)?,
        });
    }
    for migration in migrations {
        for finished in [false, true]
            .into_iter()
            .filter(|finished| !finished || migration.finished)
        {
            rebuilt.push(Rebuilt {
                kind: super::start_migration::KIND.to_owned(),
                resource: migration.migration_id,
                version: if finished { 2 } else { 1 },
                canonical: migration.canonical(finished).map_err(egov_fault::Fault::internal)?,
            });
        }
    }
    Ok(rebuilt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_about_fees_or_results_whose_row_is_gone_is_found_wrong_and_one_of_an_older_case_is_expected() {
        let kept = [
            "case_charge",
            "treasury_file",
            "reconciliation",
            "payment_difference",
            "result_version",
            "case_comment",
            "case_mark",
        ];
        for kind in kept {
            assert_eq!(without_row(kind), WithoutRow::Wrong, "{kind}");
        }
        assert_eq!(without_row("case"), WithoutRow::Expected(OLDER_CASES));
        assert_eq!(without_row(TASK), WithoutRow::Expected(TASKS));
        assert!(matches!(without_row("file"), WithoutRow::Expected(_)));
    }
}
