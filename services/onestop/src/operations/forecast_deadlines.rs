//! ForecastDeadlines: where cases will be late.

use egov_auth::Caller;
use egov_clock::Clock as _;
use egov_database::Page;
use jiff::Timestamp;

use super::OneStop;
use super::list_cases_at_risk::WATCH;
use crate::domain::listing::{AfterPlace, ForecastGroup};
use crate::error::Error;
use crate::store::{Visible, deadlines};

impl OneStop {
    /// One page of where open cases stand: by unit, procedure and step.
    pub(crate) async fn forecast_deadlines(
        &self,
        caller: &Caller,
        unit_id: Option<i32>,
        as_of: Option<Timestamp>,
        page: Page<AfterPlace>,
    ) -> Result<(Vec<ForecastGroup>, String), Error> {
        let scope = caller.scope(WATCH);
        let visible = Visible::from(&scope);
        let (after, limit) = (page.after().cloned(), page.fetch());
        let now = self.clock.now();
        let times = (as_of.unwrap_or(now), now);
        let rows = self
            .database
            .read(&scope, async |connection| {
                Ok::<_, Error>(deadlines::forecast(connection, &visible, unit_id, times, after.as_ref(), limit).await?)
            })
            .await?;
        Ok(page.finish(rows, |row| AfterPlace {
            responsible_unit_id: row.responsible_unit_id,
            procedure_code: row.procedure_code.clone(),
            step: row.step.clone(),
        })?)
    }
}
