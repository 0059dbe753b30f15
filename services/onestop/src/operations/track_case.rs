//! TrackCase (tra cứu): the public look-up by code and secret.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use egov_auth::RowScope;
use egov_database::UnitOfWork;

use super::OneStop;
use crate::domain::case::Case;
use crate::domain::lookup::Attempts;
use crate::error::Error;
use crate::store::history::Entry;
use crate::store::{cases, history, lookups};

/// What a look-up ended with. A wrong secret must be counted, so it commits like a right one.
enum Outcome {
    Shown(Box<Case>, Vec<Entry>),
    Wrong,
    Locked(Duration),
}

/// More states than a case passes through; the look-up is not paged.
const LONGEST_HISTORY: i64 = 500;

impl OneStop {
    /// The case and its history, if code and secret belong together. An unknown code is counted and refused exactly like
    /// a wrong secret: the answer does not tell which codes exist.
    pub(crate) async fn track_case(&self, case_code: &str, secret: &str) -> Result<(Case, Vec<Entry>), Error> {
        // The caller has no scope: its secret is the permission, and only this one case is looked at.
        let everything = RowScope {
            all: true,
            ..RowScope::none()
        };
        let outcome = self
            .database
            .write_unkeyed(&everything, async |unit: &mut UnitOfWork<'_>| {
                let now = unit.now();
                let attempts = lookups::get_for_update(unit.conn(), case_code).await?;
                if let Some(wait) = attempts.and_then(|attempts| attempts.locked_for(now)) {
                    return Ok::<_, Error>(Outcome::Locked(wait.unsigned_abs()));
                }
                let case = cases::get_by_code(unit.conn(), case_code).await?;
                let right = match &case {
                    Some(case) => {
                        let expected = self.open_lookup_secret(case)?;
                        verify_slices_are_equal(expected.as_bytes(), secret.as_bytes()).is_ok()
                    }
                    None => false,
                };
                match case {
                    Some(case) if right => {
                        if attempts.is_some() {
                            lookups::clear(unit.conn(), case_code).await?;
                        }
                        let entries = history::list(unit.conn(), case.case_id, 0, LONGEST_HISTORY).await?;
                        Ok(Outcome::Shown(Box::new(case), entries))
                    }
                    _ => {
                        lookups::put(unit.conn(), case_code, &Attempts::after_failure(attempts, now)).await?;
                        Ok(Outcome::Wrong)
                    }
                }
            })
            .await?;
        match outcome {
            Outcome::Shown(case, entries) => Ok((*case, entries)),
            Outcome::Wrong => Err(Error::LookupRefused),
            Outcome::Locked(wait) => Err(Error::LookupLocked(wait)),
        }
    }
}
