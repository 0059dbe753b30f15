//! SuggestNarrowing.

use egov_auth::Caller;
use egov_proto::egov::integration::v1::{SuggestNarrowingRequest, SuggestNarrowingResponse};

use super::Integration;
use super::permission::READ_AGREEMENTS;
use crate::domain::narrowing::unused;
use crate::error::Error;
use crate::{store, wire};

impl Integration {
    /// What was granted by the version in force and never used.
    pub(crate) async fn suggest_narrowing(
        &self,
        caller: &Caller,
        body: &SuggestNarrowingRequest,
    ) -> Result<SuggestNarrowingResponse, Error> {
        let id = wire::id(&body.agreement_id, "agreement_id")?;
        let since = body.since.map(|day| wire::day(day, "since")).transpose()?;
        let scope = caller.scope(READ_AGREEMENTS);
        let (one, (used, calls_seen)) = self
            .database
            .read(&scope, async |conn| {
                let one = store::agreements::get(&mut *conn, id, &scope)
                    .await?
                    .ok_or(Error::AgreementNotFound)?;
                let used = store::field_use::used(conn, id, since).await?;
                Ok::<_, Error>((one, used))
            })
            .await?;
        let found = one
            .current(self.database.clock().now())
            .map(|version| unused(&version.terms, &used))
            .unwrap_or_default();
        Ok(SuggestNarrowingResponse {
            unused: found.into_iter().map(wire::unused).collect(),
            calls_seen,
        })
    }
}
