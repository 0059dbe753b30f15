//! PreviewCalendarChange: what a notice would do to open cases. It changes nothing.

use egov_auth::{Caller, ReadRecord};
use egov_clock::Clock as _;
use egov_database::Page;
use jiff::Timestamp;
use uuid::Uuid;

use super::OneStop;
use super::recalculate_deadlines::{By, recalculated};
use crate::domain::case::Case;
use crate::error::Error;
use crate::law::read_calendar;
use crate::store::{Visible, cases, deadlines};

const PREVIEW: &str = "onestop.calendar.preview";

/// A case that would be due at another time.
pub(crate) struct WouldMove {
    pub(crate) case: Case,
    pub(crate) old: Timestamp,
    /// None if the changed calendar would not cover the days needed.
    pub(crate) new: Option<Timestamp>,
}

/// One page of a preview.
pub(crate) struct Preview {
    pub(crate) changes: Vec<WouldMove>,
    pub(crate) looked_at: usize,
    pub(crate) calendar: String,
    pub(crate) new_calendar: String,
    pub(crate) next_page_token: String,
}

impl OneStop {
    /// Looks at one page of the open cases in scope with the calendar that there would be.
    pub(crate) async fn preview_calendar(
        &self,
        caller: &Caller,
        notices: &[(String, String)],
        page: Page<Uuid>,
    ) -> Result<Preview, Error> {
        let scope = caller.scope(PREVIEW);
        let visible = Visible::from(&scope);
        let law = self.law.get();
        let mut files = law.calendar_files.clone();
        for (name, text) in notices {
            let name = format!("notices/{name}");
            if text.is_empty() {
                files.remove(&name);
            } else {
                files.insert(name, text.clone());
            }
        }
        let calendar = read_calendar(&files).map_err(|error| Error::NoticesRefused(error.to_string()))?;

        let (after, limit) = (page.after().copied(), page.fetch());
        let (ids, next_page_token) = {
            let ids = self
                .database
                .read(&scope, async |connection| {
                    Ok::<_, Error>(deadlines::open_after(connection, &visible, after, limit).await?)
                })
                .await?;
            page.finish(ids, |id| *id)?
        };
        let changes = self
            .database
            .read(&scope, async |connection| {
                let mut changes = Vec::new();
                for case in cases::get_open(&mut *connection, &ids, &visible).await? {
                    let version = self
                        .procedures
                        .version(&mut *connection, &case.procedure_code, case.procedure_version)
                        .await?;
                    let by = By {
                        calendar: &calendar,
                        procedure: &version.procedure,
                        profile: self.profile,
                    };
                    let Some(old) = case.deadline.as_ref().map(|deadline| deadline.due_time) else {
                        continue;
                    };
                    let new = match recalculated(&case, &by) {
                        Ok(deadline) => Some(deadline.due_time),
                        Err(_) => None,
                    };
                    if new != Some(old) {
                        changes.push(WouldMove { case, old, new });
                    }
                }
                Ok::<_, Error>(changes)
            })
            .await?;
        let read = changes
            .iter()
            .map(|change| (change.case.owner_id, format!("cases/{}", change.case.case_code)));
        self.reads
            .record(ReadRecord::of_each(caller, read, self.clock.now()))
            .await?;
        Ok(Preview {
            changes,
            looked_at: ids.len(),
            calendar: law.calendar.version().to_owned(),
            new_calendar: calendar.version().to_owned(),
            next_page_token,
        })
    }
}
