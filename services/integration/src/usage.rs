//! What the mediation counts: how often which granted field left.

use egov_auth::RowScope;
use egov_database::Database;
use egov_fault::Fault;
use jiff::civil::Date;
use uuid::Uuid;

use crate::error::Error;
use crate::store;

/// How often a field left under an agreement on a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldUse {
    /// The agreement.
    pub agreement_id: Uuid,
    /// The method, as the agreement names it.
    pub method: String,
    /// The path of the field in the response; empty for the call itself.
    pub field: String,
    /// The day in Việt Nam.
    pub day: Date,
    /// How often; what is not more than 0 is left out.
    pub count: i64,
}

/// Adds counts in one statement. Instances gather them for some seconds, since losing a few in a crash only makes a
/// suggestion to narrow an agreement come a little early.
///
/// # Errors
/// The store's; nothing was added then.
pub async fn add_field_use(database: &Database, uses: &[FieldUse]) -> Result<(), Fault> {
    if uses.is_empty() {
        return Ok(());
    }
    let added = database
        .write_unkeyed(&RowScope::everything(), async |unit| {
            store::field_use::add(unit.conn(), uses).await?;
            Ok::<_, Error>(())
        })
        .await;
    added.map_err(Fault::from)
}
