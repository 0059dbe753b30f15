//! Versions of procedures that were read before. A version never changes, so that what was read stays true; which version
//! is in force is asked anew every time.

use std::sync::Arc;

use moka::sync::Cache;
use sqlx::PgConnection;

use crate::domain::listing::Versioned;
use crate::error::Error;
use crate::store::procedures;

/// How many are remembered: more than the province has procedures. One takes some kilobytes.
const MOST: u64 = 2_000;

/// Procedures by code and version.
#[derive(Debug, Clone)]
pub(crate) struct KnownProcedures {
    read: Cache<(String, i32), Arc<Versioned>>,
}

impl KnownProcedures {
    /// None is known yet.
    pub(crate) fn new() -> Self {
        Self { read: Cache::new(MOST) }
    }

    /// A version, read if it is not known. `PROCEDURE_NOT_FOUND` if there is none.
    pub(crate) async fn version(
        &self,
        connection: &mut PgConnection,
        procedure_code: &str,
        version: i32,
    ) -> Result<Arc<Versioned>, Error> {
        let key = (procedure_code.to_owned(), version);
        if let Some(known) = self.read.get(&key) {
            return Ok(known);
        }
        let found = procedures::version(connection, procedure_code, version)
            .await?
            .ok_or_else(|| Error::ProcedureNotFound(procedure_code.to_owned()))?;
        let found = Arc::new(found);
        self.read.insert(key, Arc::clone(&found));
        Ok(found)
    }
}
