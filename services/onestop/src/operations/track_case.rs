//! TrackCase (tra cứu): the public look-up by code and secret.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use egov_auth::RowScope;
use egov_database::UnitOfWork;
use uuid::Uuid;

use super::OneStop;
use crate::domain::case::Case;
use crate::domain::listing::HistoryEntry;
use crate::domain::lookup::Attempts;
use crate::error::Error;
use crate::store::{Visible, cases, history, lookups};

/// What a look-up ended with. A wrong secret must be counted, so it commits like a right one.
enum Outcome {
    Shown(Box<Case>, Vec<HistoryEntry>),
    Wrong,
    Locked(Duration),
}

/// What became of a code and a secret.
pub(crate) enum Guess {
    /// They belong to this case.
    Right(Uuid),
    /// They do not, which was counted.
    Wrong,
    /// Nobody looked at them.
    Locked(Duration),
}

/// More changes of state than a case goes through, however long its history is; the look-up is not paged.
const MOST_CHANGES: i64 = 500;

/// How long a caller waits while another guess at the same code is looked at.
const BUSY: Duration = Duration::from_secs(1);

impl OneStop {
    /// The case and the entries by which it came into its states, if code and secret belong together. An unknown code is
    /// counted and refused exactly like a wrong secret: the answer does not tell which codes exist.
    pub(crate) async fn track_case(&self, case_code: &str, secret: &str) -> Result<(Case, Vec<HistoryEntry>), Error> {
        // The caller has no scope: its secret is the permission, and only this one case is looked at.
        let everything = RowScope {
            all: true,
            ..RowScope::none()
        };
        let outcome = self
            .database
            .write_unkeyed(&everything, async |unit: &mut UnitOfWork<'_>| {
                let case_id = match self.guess(unit, case_code, secret).await? {
                    Guess::Right(case_id) => case_id,
                    Guess::Wrong => return Ok::<_, Error>(Outcome::Wrong),
                    Guess::Locked(wait) => return Ok(Outcome::Locked(wait)),
                };
                let case = cases::get(unit.conn(), case_id, &Visible::from(&everything))
                    .await?
                    .ok_or(Error::CaseNotFound)?;
                let entries = history::list_changes_of_state(unit.conn(), case_id, MOST_CHANGES).await?;
                Ok(Outcome::Shown(Box::new(case), entries))
            })
            .await?;
        match outcome {
            Outcome::Shown(case, entries) => Ok((*case, entries)),
            Outcome::Wrong => Err(Error::LookupRefused),
            Outcome::Locked(wait) => Err(Error::LookupLocked(wait)),
        }
    }

    /// Whether code and secret belong together; counts it if they do not. The transaction must commit either way.
    pub(crate) async fn guess(&self, unit: &mut UnitOfWork<'_>, case_code: &str, secret: &str) -> Result<Guess, Error> {
        let now = unit.now();
        if !lookups::hold(unit.conn(), case_code).await? {
            return Ok(Guess::Locked(BUSY));
        }
        let attempts = lookups::get(unit.conn(), case_code).await?;
        if let Some(wait) = attempts.and_then(|attempts| attempts.locked_for(now)) {
            return Ok(Guess::Locked(wait.unsigned_abs()));
        }
        let found = cases::secret_of(unit.conn(), case_code).await?;
        // An unknown code is compared with a secret that nobody has, so that it takes as long as a wrong one.
        let (sealed, sealed_for) = match &found {
            Some((case_id, sealed)) => (sealed.as_slice(), *case_id),
            None => (self.nobodys_secret.as_slice(), Uuid::nil()),
        };
        let expected = self.open_sealed_secret(sealed, sealed_for)?;
        let right = verify_slices_are_equal(expected.as_bytes(), secret.as_bytes()).is_ok();
        let Some((case_id, _)) = found.filter(|_| right) else {
            lookups::put(unit.conn(), case_code, &Attempts::after_failure(attempts, now)).await?;
            return Ok(Guess::Wrong);
        };
        if attempts.is_some() {
            lookups::clear(unit.conn(), case_code).await?;
        }
        Ok(Guess::Right(case_id))
    }
}
