//! The import of linked services: each is looked at against the procedures that are known, and against what is decided about it.

use std::collections::BTreeMap;

use egov_auth::RowScope;
use egov_database::Database;

use super::import::{Line, Outcome, Packs, put};
use crate::domain::linked::{Decisions, LinkedService, lint};
use crate::domain::listing::Versioned;
use crate::domain::pack::Profile;
use crate::error::Error;
use crate::law::{LINKED, LINKED_DECISIONS};
use crate::store::{self, procedures};

/// Imports the linked services and the decisions about them; a file that is wrong is refused and named.
pub(super) async fn linked(database: &Database, packs: &Packs, profile: Profile) -> Result<Vec<Line>, Error> {
    let mut report = Vec::with_capacity(packs.linked.len() + packs.linked_decisions.len());
    let mut decisions = Vec::new();
    let services = known_services(database, packs).await?;
    for (name, text) in &packs.linked_decisions {
        let (outcome, detail) = match Decisions::from_toml(text) {
            Err(error) => (Outcome::Refused, error.to_string()),
            Ok(decided) if decided.demonstration && profile == Profile::Production => (
                Outcome::Refused,
                "made for a demonstration: production takes no part of it".to_owned(),
            ),
            // A decision that fits no pack decides nothing, and whoever made it would believe that it did.
            Ok(decided) => match decided.fit(&services) {
                Err(wrong) => (Outcome::Refused, wrong.to_string()),
                Ok(()) => {
                    decisions.push(decided);
                    (put(database, LINKED_DECISIONS, name, text).await?, String::new())
                }
            },
        };
        report.push(line(name, outcome, detail));
    }
    for (name, text) in &packs.linked {
        let (outcome, detail) = match LinkedService::from_toml(text) {
            Err(error) => (Outcome::Refused, error.to_string()),
            Ok(mut service) => {
                for decided in &decisions {
                    if let Err(error) = decided.apply(&mut service) {
                        return Err(egov_fault::Fault::internal(error).into());
                    }
                }
                let known = known_procedures(database, &service).await?;
                let find = |code: &str| known.get(code).map(|found| &found.procedure);
                let findings = lint(&service, find);
                let errors: Vec<String> = findings
                    .iter()
                    .filter(|finding| finding.is_error())
                    .map(ToString::to_string)
                    .collect();
                if errors.is_empty() {
                    let open = service.fileable(profile).err().unwrap_or_default();
                    let open: Vec<String> = open.iter().map(ToString::to_string).collect();
                    (put(database, LINKED, name, text).await?, open.join("; "))
                } else {
                    (Outcome::Refused, format!("it cannot work: {}", errors.join("; ")))
                }
            }
        };
        report.push(line(name, outcome, detail));
    }
    Ok(report)
}

fn line(name: &str, outcome: Outcome, detail: String) -> Line {
    Line {
        name: format!("linked/{name}"),
        outcome,
        detail,
    }
}

/// The services about which something can be decided: of the packs that come along, and of those that are in force beside them.
async fn known_services(database: &Database, packs: &Packs) -> Result<Vec<LinkedService>, Error> {
    let in_force = database
        .read(&RowScope::none(), async |connection| {
            Ok::<_, Error>(store::packs::in_force(connection, LINKED).await?)
        })
        .await?;
    let mut texts: BTreeMap<String, String> = in_force.into_iter().collect();
    texts.extend(packs.linked.clone());
    let read = texts.values().filter_map(|text| LinkedService::from_toml(text).ok());
    Ok(read.collect())
}

/// The procedures of the members, in the version in force today or the latest.
async fn known_procedures(database: &Database, service: &LinkedService) -> Result<BTreeMap<String, Versioned>, Error> {
    let today = database.clock().today();
    let codes: Vec<String> = service
        .coordinated()
        .filter_map(|member| member.procedure.clone())
        .collect();
    database
        .read(&RowScope::none(), async |connection| {
            let mut known = BTreeMap::new();
            for code in codes {
                let found = match procedures::in_force(&mut *connection, &code, today).await? {
                    Some(found) => Some(found),
                    None => procedures::latest(&mut *connection, &code).await?,
                };
                if let Some(found) = found {
                    known.insert(code, found);
                }
            }
            Ok::<_, Error>(known)
        })
        .await
}
