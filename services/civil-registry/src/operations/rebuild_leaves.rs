//! Rebuilds from rows what the ledger's leaves commit to, for the verification.

use std::collections::HashMap;

use egov_auth::RowScope;
use egov_database::Database;
use egov_fault::Fault;
use egov_transparency::{Rebuilt, WithoutRow};
use uuid::Uuid;

use super::{
    annotate_entry, books as book_acts, duplicates as pairs, entries as registrations, old_books as old,
    papers as issued, personal_numbers as asked,
};
use crate::domain::correction::CorrectionLink;
use crate::domain::death::KnownDeath;
use crate::domain::entry::{Particulars, Registration, Relation};
use crate::error::Error;
use crate::store::{
    annotations, books, corrections, deaths, duplicates, entries, families, old_books, papers, personal_numbers,
    persons,
};

/// Entries read at once.
const PAGE: i64 = 2000;

/// What of a leaf of a kind of this service whose row was not rebuilt: books, entries, annotations, papers, requests for numbers and decisions on duplicates are kept for
/// good, with every act on them.
#[must_use]
pub fn without_row(kind: &str) -> WithoutRow<'static> {
    match kind {
        book_acts::KIND
        | registrations::KIND
        | annotate_entry::KIND
        | issued::KIND
        | issued::REVOCATION_KIND
        | asked::KIND
        | old::KIND
        | old::PIECE_KIND
        | old::PAGE_KIND
        | pairs::KIND => WithoutRow::Wrong,
        _ => WithoutRow::Expected("the service has no reading of its rows for this yet"),
    }
}

/// Every act on a book, every entry with the persons and relations that it tells of, every annotation, every paper with its revocation, every
/// act on a request for a number and every decision on duplicates, as their rows stand now.
pub async fn rebuild_leaves(database: &Database) -> Result<Vec<Rebuilt>, Fault> {
    let rebuilt = database
        .read(&RowScope::everything(), async |connection| {
            let mut rebuilt = of_books(&mut *connection).await?;
            rebuilt.extend(of_entries(&mut *connection).await?);
            rebuilt.extend(of_annotations(&mut *connection).await?);
            rebuilt.extend(of_old_books(&mut *connection).await?);
            rebuilt.extend(of_papers(&mut *connection).await?);
            rebuilt.extend(of_numbers(&mut *connection).await?);
            rebuilt.extend(of_rulings(connection).await?);
            Ok::<_, Error>(rebuilt)
        })
        .await;
    rebuilt.map_err(Fault::from)
}

/// The newest act on a book has to say what the row says; of an older one the history is all that there is.
async fn of_books(connection: &mut sqlx::PgConnection) -> Result<Vec<Rebuilt>, Error> {
    let mut rows = HashMap::new();
    for book in books::all(&mut *connection).await? {
        rows.insert((book.book_id, book.version), book_acts::canonical(&book)?);
    }
    let mut rebuilt = Vec::new();
    for (book_id, version, content) in books::all_acts(connection).await? {
        // Where the two differ, neither is believed.
        let canonical = match rows.remove(&(book_id, version)) {
            Some(row) if row != content => format!("{row} / {content}"),
            _ => content,
        };
        rebuilt.push(act(book_id, version, canonical));
    }
    // A row without its act.
    rebuilt.extend(
        rows.into_iter()
            .map(|((book_id, version), canonical)| act(book_id, version, canonical)),
    );
    Ok(rebuilt)
}

fn act(book_id: Uuid, version: i64, canonical: String) -> Rebuilt {
    Rebuilt {
        kind: book_acts::KIND.to_owned(),
        resource: book_id,
        version,
        canonical: canonical.into_bytes(),
    }
}

async fn of_entries(connection: &mut sqlx::PgConnection) -> Result<Vec<Rebuilt>, Error> {
    let mut rebuilt = Vec::new();
    let mut after = Uuid::nil();
    loop {
        let page = entries::after(&mut *connection, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.entry_id;
        let ids: Vec<Uuid> = page.iter().map(|entry| entry.entry_id).collect();
        let mut told: HashMap<Uuid, (Vec<Particulars>, Vec<Relation>)> = HashMap::new();
        for (entry_id, said) in persons::particulars_of(&mut *connection, &ids).await? {
            told.entry(entry_id).or_default().0.push(said);
        }
        for (entry_id, relation) in persons::relations_of(&mut *connection, &ids).await? {
            told.entry(entry_id).or_default().1.push(relation);
        }
        let mut linked: HashMap<Uuid, CorrectionLink> = corrections::of_entries(&mut *connection, &ids)
            .await?
            .into_iter()
            .collect();
        let mut died: HashMap<Uuid, KnownDeath> =
            deaths::of_entries(&mut *connection, &ids).await?.into_iter().collect();
        for entry in page {
            let resource = entry.entry_id;
            let (persons, relations) = told.remove(&resource).unwrap_or_default();
            let registration = Registration {
                entry,
                persons,
                relations,
                death: died.remove(&resource),
                corrects: linked.remove(&resource),
            };
            let canonical = registration.ordered().canonical().map_err(Fault::internal)?;
            rebuilt.push(Rebuilt {
                kind: registrations::KIND.to_owned(),
                resource,
                version: 1,
                canonical: canonical.into_bytes(),
            });
        }
    }
    Ok(rebuilt)
}

async fn of_annotations(connection: &mut sqlx::PgConnection) -> Result<Vec<Rebuilt>, Error> {
    let mut rebuilt = Vec::new();
    let mut after = Uuid::nil();
    loop {
        let page = annotations::after(&mut *connection, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.annotation_id;
        let ids: Vec<Uuid> = page.iter().map(|annotation| annotation.annotation_id).collect();
        let mut changed: HashMap<Uuid, Vec<Relation>> = HashMap::new();
        for (annotation_id, relation) in families::changed_by(&mut *connection, &ids).await? {
            changed.entry(annotation_id).or_default().push(relation);
        }
        for annotation in &page {
            let changed = changed.remove(&annotation.annotation_id).unwrap_or_default();
            rebuilt.push(Rebuilt {
                kind: annotate_entry::KIND.to_owned(),
                resource: annotation.annotation_id,
                version: 1,
                canonical: annotation.canonical(&changed).map_err(Fault::internal)?.into_bytes(),
            });
        }
    }
    Ok(rebuilt)
}

/// Old books, what pieces of files brought, and acts on pages.
async fn of_old_books(connection: &mut sqlx::PgConnection) -> Result<Vec<Rebuilt>, Error> {
    let leaf = |kind: &str, resource: Uuid, version: i64, canonical: String| Rebuilt {
        kind: kind.to_owned(),
        resource,
        version,
        canonical: canonical.into_bytes(),
    };
    let mut rebuilt = Vec::new();
    for book in old_books::all(&mut *connection).await? {
        rebuilt.push(leaf(old::KIND, book.book_id, 1, old::canonical(&book)?));
    }
    for (piece_id, content) in old_books::all_pieces(&mut *connection).await? {
        rebuilt.push(leaf(old::PIECE_KIND, piece_id, 1, content));
    }
    for (page_id, version, content) in old_books::all_acts(connection).await? {
        rebuilt.push(leaf(old::PAGE_KIND, page_id, version, content));
    }
    Ok(rebuilt)
}

async fn of_papers(connection: &mut sqlx::PgConnection) -> Result<Vec<Rebuilt>, Error> {
    let mut rebuilt = Vec::new();
    let mut after = Uuid::nil();
    loop {
        let page = papers::after(&mut *connection, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.paper.paper_id;
        for kept in &page {
            let leaf = |kind: &str, canonical: String| Rebuilt {
                kind: kind.to_owned(),
                resource: kept.paper.paper_id,
                version: 1,
                canonical: canonical.into_bytes(),
            };
            let paper = serde_json::to_string(&kept.paper).map_err(Fault::internal)?;
            rebuilt.push(leaf(issued::KIND, paper));
            if let Some(revocation) = &kept.revocation {
                let revocation = serde_json::to_string(revocation).map_err(Fault::internal)?;
                rebuilt.push(leaf(issued::REVOCATION_KIND, revocation));
            }
        }
    }
    Ok(rebuilt)
}

/// The newest act on a request for a number has to say what the row says; of an older one the history is all that there is.
async fn of_numbers(connection: &mut sqlx::PgConnection) -> Result<Vec<Rebuilt>, Error> {
    let mut rebuilt = Vec::new();
    let mut after = Uuid::nil();
    let leaf = |resource: Uuid, version: i64, canonical: String| Rebuilt {
        kind: asked::KIND.to_owned(),
        resource,
        version,
        canonical: canonical.into_bytes(),
    };
    loop {
        let page = personal_numbers::after(&mut *connection, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.entry_id;
        let ids: Vec<Uuid> = page.iter().map(|request| request.entry_id).collect();
        let mut rows = HashMap::new();
        for request in &page {
            let canonical = request.canonical().map_err(Fault::internal)?;
            rows.insert((request.entry_id, request.version), canonical);
        }
        for (entry_id, version, content) in personal_numbers::acts_of(&mut *connection, &ids).await? {
            // Where the two differ, neither is believed.
            let canonical = match rows.remove(&(entry_id, version)) {
                Some(row) if row != content => format!("{row} / {content}"),
                _ => content,
            };
            rebuilt.push(leaf(entry_id, version, canonical));
        }
        // A row without its act.
        rebuilt.extend(
            rows.into_iter()
                .map(|((entry_id, version), canonical)| leaf(entry_id, version, canonical)),
        );
    }
    Ok(rebuilt)
}

async fn of_rulings(connection: &mut sqlx::PgConnection) -> Result<Vec<Rebuilt>, Error> {
    let mut rebuilt = Vec::new();
    let mut after = Uuid::nil();
    loop {
        let page = duplicates::rulings_after(&mut *connection, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.ruling_id;
        for kept in &page {
            rebuilt.push(Rebuilt {
                kind: pairs::KIND.to_owned(),
                resource: kept.ruling_id,
                version: 1,
                canonical: kept.canonical().map_err(Fault::internal)?.into_bytes(),
            });
        }
    }
    Ok(rebuilt)
}
