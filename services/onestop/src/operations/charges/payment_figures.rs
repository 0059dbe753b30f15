//! GetPaymentFigures: what was paid in which way.

use egov_auth::Caller;
use egov_fault::{Fault, Violation};
use jiff::civil::Date;

use crate::error::Error;
use crate::operations::OneStop;
use crate::store::charges::{self, Collected};

const FIGURES: &str = "onestop.fees.figures";

/// Days of one question.
const MOST_DAYS: i64 = 366;

impl OneStop {
    /// What was paid to units in a period, by way.
    pub(crate) async fn payment_figures(
        &self,
        caller: &Caller,
        unit_id: Option<i32>,
        (from, to): (Date, Date),
    ) -> Result<Vec<Collected>, Error> {
        let days = i64::from(from.until(to).map_err(Fault::internal)?.get_days());
        if !(0..MOST_DAYS).contains(&days) {
            let wrong = Violation {
                field: "to".to_owned(),
                rule: "value".to_owned(),
                vi: format!("phải từ ngày bắt đầu và không quá {MOST_DAYS} ngày"),
                en: format!("must not be before the first day, nor more than {MOST_DAYS} days"),
            };
            return Err(Fault::invalid(vec![wrong]).into());
        }
        let units = self.counted_units(caller, FIGURES, unit_id, true)?;
        self.database
            .read(&caller.scope(FIGURES), async |connection| {
                Ok::<_, Error>(charges::collected(connection, &units, from, to).await?)
            })
            .await
    }
}
