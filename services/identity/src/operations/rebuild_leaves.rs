//! Rebuilds from rows what the ledger's leaves commit to, for the verification.

use egov_auth::RowScope;
use egov_database::Database;
use egov_fault::Fault;
use egov_transparency::{Rebuilt, WithoutRow};
use jsonwebtoken::jwk::Jwk;
use prost::Message as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::recording::{
    ACCOUNT_KIND, DELEGATION_KIND, ISSUER_KIND, KEY_KIND, LINK_KIND, MASS_REVOCATION_KIND, REORGANISATION_KIND,
    REVIEW_KIND, SYSTEM_KIND, TREE_KIND, canonical_account, canonical_delegation, canonical_key, canonical_key_change,
    canonical_link, canonical_mass_revocation, canonical_review, canonical_system, delegation_version, link_version,
};
use crate::{store, wire};

/// Accounts, delegations or links, read at once.
const PAGE: i64 = 2000;

/// Why a leaf of a kind that this version does not write cannot be recomputed.
const REASON: &str = "this version of the service writes no leaves of this kind";

/// What of a leaf of a kind of this service whose row was not rebuilt: a verdict on a role, an act on a key and an act upon
/// whole kinds of callers are never changed or removed; of the tree, of an account, a system, a delegation, an issuer, a link and a
/// reorganisation the newest leaf has its row.
#[must_use]
pub fn without_row(kind: &str) -> WithoutRow<'static> {
    match kind {
        TREE_KIND => WithoutRow::Replaced("older versions of the tree are kept as history entries, not as rows"),
        ACCOUNT_KIND | SYSTEM_KIND | DELEGATION_KIND | ISSUER_KIND | LINK_KIND | REORGANISATION_KIND => {
            WithoutRow::Replaced(
                "the newest version of each is compared with its rows, older ones are not kept as rows",
            )
        }
        REVIEW_KIND | KEY_KIND | MASS_REVOCATION_KIND => WithoutRow::Wrong,
        _ => WithoutRow::Expected(REASON),
    }
}

/// The tree of units, every account with its roles, every system with its roles and its key, every delegation, verdict on a role, issuer, link
/// and reorganisation, and what was done to keys and upon whole kinds of callers, as their rows stand now.
pub async fn rebuild_leaves(database: &Database) -> Result<Vec<Rebuilt>, Fault> {
    database
        .read(&RowScope::everything(), async |conn| {
            let mut rebuilt = Vec::new();
            of_tree(&mut *conn, &mut rebuilt).await?;
            of_accounts(&mut *conn, &mut rebuilt).await?;
            of_systems(&mut *conn, &mut rebuilt).await?;
            of_delegations(&mut *conn, &mut rebuilt).await?;
            of_reviews(&mut *conn, &mut rebuilt).await?;
            of_issuers(&mut *conn, &mut rebuilt).await?;
            of_links(&mut *conn, &mut rebuilt).await?;
            of_keys(&mut *conn, &mut rebuilt).await?;
            of_mass_revocations(&mut *conn, &mut rebuilt).await?;
            of_reorganisations(conn, &mut rebuilt).await?;
            Ok(rebuilt)
        })
        .await
}

async fn of_tree(conn: &mut PgConnection, rebuilt: &mut Vec<Rebuilt>) -> Result<(), Fault> {
    let version = store::units::version(&mut *conn).await?;
    if version == 0 {
        // No unit was ever there.
        return Ok(());
    }
    let units = store::units::all(&mut *conn).await?;
    let closings = store::reorganisations::closings(conn).await?;
    rebuilt.push(Rebuilt {
        kind: TREE_KIND.to_owned(),
        resource: Uuid::nil(),
        version,
        canonical: wire::tree(version, &units, &closings).encode_to_vec(),
    });
    Ok(())
}

async fn of_accounts(conn: &mut PgConnection, rebuilt: &mut Vec<Rebuilt>) -> Result<(), Fault> {
    let everything = RowScope::everything();
    let mut after = None;
    loop {
        let accounts = store::accounts::list(&mut *conn, &everything, None, after, PAGE).await?;
        let Some(last) = accounts.last() else { break };
        after = Some(last.account_id);
        rebuilt.extend(accounts.iter().map(|account| Rebuilt {
            kind: ACCOUNT_KIND.to_owned(),
            resource: account.account_id,
            version: account.version,
            canonical: canonical_account(&wire::account(account)),
        }));
    }
    let nobody = store::roles::grants_of_nobody(conn).await?;
    rebuilt.extend(nobody.into_iter().map(|id| without_leaf(ACCOUNT_KIND, id)));
    Ok(())
}

async fn of_systems(conn: &mut PgConnection, rebuilt: &mut Vec<Rebuilt>) -> Result<(), Fault> {
    for stored in store::systems::all(&mut *conn).await? {
        // What cannot be read as a key was never committed to.
        let key = match serde_json::from_value::<Jwk>(stored.key) {
            Ok(key) => canonical_key(&key)?,
            Err(_) => Vec::new(),
        };
        rebuilt.push(Rebuilt {
            kind: SYSTEM_KIND.to_owned(),
            resource: stored.system.system_id,
            version: stored.version,
            canonical: canonical_system(&stored.system, &key),
        });
    }
    let nobody = store::systems::roles_of_nobody(conn).await?;
    rebuilt.extend(nobody.into_iter().map(|id| without_leaf(SYSTEM_KIND, id)));
    Ok(())
}

async fn of_delegations(conn: &mut PgConnection, rebuilt: &mut Vec<Rebuilt>) -> Result<(), Fault> {
    let everything = RowScope::everything();
    let mut after = None;
    loop {
        let delegations = store::delegations::list(&mut *conn, &everything, None, None, after, PAGE).await?;
        let Some(last) = delegations.last() else { return Ok(()) };
        after = Some(last.delegation_id);
        rebuilt.extend(delegations.iter().map(|delegation| Rebuilt {
            kind: DELEGATION_KIND.to_owned(),
            resource: delegation.delegation_id,
            version: delegation_version(delegation),
            canonical: canonical_delegation(delegation),
        }));
    }
}

async fn of_reviews(conn: &mut PgConnection, rebuilt: &mut Vec<Rebuilt>) -> Result<(), Fault> {
    let verdicts = store::reviews::all(conn).await?;
    rebuilt.extend(verdicts.iter().map(|(review_id, grant_id, verdict)| Rebuilt {
        kind: REVIEW_KIND.to_owned(),
        resource: *review_id,
        version: 1,
        canonical: canonical_review(*grant_id, verdict),
    }));
    Ok(())
}

/// Without the secret of a client: it is sealed anew with every other key.
async fn of_issuers(conn: &mut PgConnection, rebuilt: &mut Vec<Rebuilt>) -> Result<(), Fault> {
    let issuers = store::federation::issuers_as_stored(conn).await?;
    rebuilt.extend(issuers.into_iter().map(|(resource, version, issuer)| {
        Rebuilt {
            kind: ISSUER_KIND.to_owned(),
            resource,
            version,
            // What cannot be read was never committed to.
            canonical: issuer
                .map(|issuer| wire::federated_issuer(&issuer).encode_to_vec())
                .unwrap_or_default(),
        }
    }));
    Ok(())
}

async fn of_links(conn: &mut PgConnection, rebuilt: &mut Vec<Rebuilt>) -> Result<(), Fault> {
    let mut after = None;
    loop {
        let links = store::federation::links_as_stored(&mut *conn, after, PAGE).await?;
        let Some(last) = links.last() else { return Ok(()) };
        after = Some(last.identity_id);
        rebuilt.extend(links.iter().map(|link| Rebuilt {
            kind: LINK_KIND.to_owned(),
            resource: link.identity_id,
            version: link_version(link),
            canonical: canonical_link(link),
        }));
    }
}

async fn of_keys(conn: &mut PgConnection, rebuilt: &mut Vec<Rebuilt>) -> Result<(), Fault> {
    let changes = store::keys::changes(conn).await?;
    rebuilt.extend(changes.iter().map(|change| Rebuilt {
        kind: KEY_KIND.to_owned(),
        resource: change.change_id,
        version: 1,
        canonical: canonical_key_change(change),
    }));
    Ok(())
}

async fn of_mass_revocations(conn: &mut PgConnection, rebuilt: &mut Vec<Rebuilt>) -> Result<(), Fault> {
    let acts = store::revocations::all_mass(conn).await?;
    rebuilt.extend(acts.iter().map(|act| Rebuilt {
        kind: MASS_REVOCATION_KIND.to_owned(),
        resource: act.act_id,
        version: 1,
        canonical: canonical_mass_revocation(act),
    }));
    Ok(())
}

async fn of_reorganisations(conn: &mut PgConnection, rebuilt: &mut Vec<Rebuilt>) -> Result<(), Fault> {
    let found = store::reorganisations::as_stored(conn).await?;
    rebuilt.extend(found.into_iter().map(|(resource, version, reorganisation)| {
        Rebuilt {
            kind: REORGANISATION_KIND.to_owned(),
            resource,
            version,
            // What cannot be read was never committed to.
            canonical: reorganisation
                .map(|one| wire::reorganisation(&one).encode_to_vec())
                .unwrap_or_default(),
        }
    }));
    Ok(())
}

/// Roles of nobody: no leaf has the version 0, so that they are found.
fn without_leaf(kind: &str, resource: Uuid) -> Rebuilt {
    Rebuilt {
        kind: kind.to_owned(),
        resource,
        version: 0,
        canonical: Vec::new(),
    }
}
