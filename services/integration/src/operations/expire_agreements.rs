//! What ends by its dates is said in the history as well. Nothing waits for this: permits end by themselves.

use egov_database::{Lease, UnitOfWork};

use super::amend_agreement::save;
use super::{AgreementDone, Integration};
use crate::error::Error;
use crate::store;

/// How many a transaction takes at most.
const AT_ONCE: i64 = 200;

impl Integration {
    /// Marks agreements whose last day is over; how many.
    pub(crate) async fn expire_agreements(&self, lease: &Lease) -> Result<usize, Error> {
        self.database
            .work(lease, async |unit: &mut UnitOfWork<'_>| {
                let now = unit.now();
                let ids = store::agreements::maybe_over(unit.conn(), now, AT_ONCE).await?;
                let mut ended = Vec::new();
                for mut one in store::agreements::by_ids(unit.conn(), &ids).await? {
                    if !one.expire(now) {
                        continue;
                    }
                    one.version += 1;
                    one.update_time = now;
                    let done = AgreementDone {
                        event: "agreement_expired",
                        number: one.current(now).map_or(0, |version| version.number),
                        reason: "",
                        actor: "integration",
                    };
                    save(unit, &one, done).await?;
                    ended.push(one.agreement_id);
                }
                store::permits::touch(unit.conn(), &ended).await?;
                Ok(ended.len())
            })
            .await
    }
}
