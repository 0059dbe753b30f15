//! ListTreasuryFiles and ListTreasuryLines (tệp kho bạc): what was imported, and what of it counts.

use egov_auth::Caller;
use egov_database::Page;
use jiff::civil::Date;
use uuid::Uuid;

use crate::domain::treasury::Booked;
use crate::error::Error;
use crate::fee_error::FeeError;
use crate::operations::OneStop;
use crate::store::treasury_files::{self, FileFilter, KnownFile};

impl OneStop {
    /// One page of the files of the units that the caller reconciles. `taken_back`: only those that were, or only those that count.
    pub(crate) async fn list_treasury_files(
        &self,
        caller: &Caller,
        unit_id: Option<i32>,
        (from, to, taken_back): (Option<Date>, Option<Date>, Option<bool>),
        page: Page<(i32, Date, Uuid)>,
    ) -> Result<(Vec<KnownFile>, String), Error> {
        let (scope, units) = self.reconciled_units(caller, unit_id)?;
        let filter = FileFilter {
            units,
            from,
            to,
            taken_back,
        };
        let (after, limit) = (page.after().copied(), page.fetch());
        let rows = self
            .database
            .read(&scope, async |connection| {
                Ok::<_, Error>(treasury_files::list(connection, &filter, after.as_ref(), limit).await?)
            })
            .await?;
        Ok(page.finish(rows, |row| (row.file.unit_id, row.file.day, row.file.file_id))?)
    }

    /// One page of the lines of a file, and whether it was taken back.
    pub(crate) async fn list_treasury_lines(
        &self,
        caller: &Caller,
        file_id: Uuid,
        page: Page<i32>,
    ) -> Result<(bool, Vec<Booked>, String), Error> {
        let (scope, units) = self.reconciled_units(caller, None)?;
        let (after, limit) = (page.after().copied(), page.fetch());
        let (file, rows) = self
            .database
            .read(&scope, async |connection| {
                let file = treasury_files::get(&mut *connection, file_id, &units)
                    .await?
                    .ok_or(FeeError::FileNotFound)?;
                let rows = treasury_files::lines(connection, file_id, after, limit).await?;
                Ok::<_, Error>((file, rows))
            })
            .await?;
        let (rows, next) = page.finish(rows, |row| row.line)?;
        Ok((file.taken_back.is_some(), rows, next))
    }
}
