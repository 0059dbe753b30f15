//! Seals with the key of bodies what versions before sealed with the key of answers, so that it opens for as long as it is kept.

use egov_database::{Database, Lease};
use egov_fault::Fault;
use egov_keyring::{Keyring, Purpose};
use uuid::Uuid;

use crate::error::Error;
use crate::journal;
use crate::operations::{mailboxes, partners};
use crate::sealing::{open, seal};
use crate::store;
use crate::store::resealing::{Kept, Place, Progress};

/// How many rows one transaction looks at: what is sealed may have some mebibytes.
const AT_ONCE: i64 = 50;

/// What a text is bound to, as it was when it was sealed.
fn bound_to(kept: Kept, place: &Place) -> Vec<u8> {
    let id: Uuid = place.id;
    match kept {
        Kept::Bodies => journal::sealed_for(id, &place.part),
        Kept::Mail => mailboxes::sealed_for(id),
        Kept::Messages => partners::sealed_for("message", id),
        Kept::Answers => partners::sealed_for("answer", id),
    }
}

/// One step with a column, in one transaction that the lease bounds: some rows and the note how far it has come. Whoever dies in between
/// leaves nothing half, and the next one goes on where the note stands.
pub(crate) async fn step(database: &Database, keyring: &Keyring, lease: &Lease, kept: Kept) -> Result<Progress, Error> {
    let lives = keyring.lives(Purpose::Bodies).map_err(Fault::internal)?;
    let known: Vec<String> = lives.into_iter().map(|life| life.id).collect();
    database
        .work(lease, async |unit| {
            let now = unit.now();
            let mut progress = store::resealing::progress(unit.conn(), kept).await?;
            if progress.finished {
                return Ok(progress);
            }
            let rows = store::resealing::rows(unit.conn(), kept, &progress.after, &known, AT_ONCE).await?;
            progress.finished = i64::try_from(rows.len()).unwrap_or(i64::MAX) < AT_ONCE;
            for row in rows {
                if let Some(text) = row.text {
                    let bound = bound_to(kept, &row.place);
                    match open(keyring, &text, &bound) {
                        Ok(plain) => {
                            let anew = seal(keyring, &plain, &bound);
                            let texts = (text.as_slice(), anew.as_slice());
                            // Whoever was quicker has confirmed it, or sealed it anew.
                            if store::resealing::replace(unit.conn(), kept, &row.place, texts).await? {
                                progress.sealed += 1;
                            }
                        }
                        // Its key has retired, or it was altered: nothing brings it back, and it keeps no other.
                        Err(_) => progress.lost += 1,
                    }
                }
                progress.after = row.place;
            }
            store::resealing::note(unit.conn(), kept, &progress, now).await?;
            Ok::<_, Error>(progress)
        })
        .await
}
