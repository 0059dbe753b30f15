//! Background work: decisions of one-stop are taken into the books; under a lease, so that of many processes one does it.

use std::sync::Arc;
use std::time::Duration;

use egov_database::Lease;
use egov_fault::Fault;
use egov_runtime::server::{Assembly, Job};
use tokio_util::sync::CancellationToken;

use crate::operations::CivilRegistry;

const LEASE: &str = "civil_registry.cases";
const LEASE_TIME: Duration = Duration::from_mins(2);
/// Time between two looks.
const EVERY: Duration = Duration::from_millis(500);
/// How long one-stop is left alone at most while it is away. At first it is asked again soon: in one process with it, it is only not up yet.
const PAUSE: Duration = Duration::from_secs(30);

/// Adds the job, if there is a one-stop.
pub(crate) fn add_cases(assembly: Assembly, registry: Arc<CivilRegistry>) -> Assembly {
    if !registry.cases.is_connected() {
        return assembly;
    }
    assembly.job(Job::new("civil_registry.cases", move |stop| {
        let registry = Arc::clone(&registry);
        async move {
            run(&registry, stop).await;
            Ok(())
        }
    }))
}

/// Works until `stop`. Failures are logged and tried again.
async fn run(registry: &CivilRegistry, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let worked = match registry.database.acquire_lease(LEASE, LEASE_TIME).await {
            Ok(Some(lease)) => Box::pin(while_held(registry, lease, &stop)).await,
            Ok(None) => Ok(()),
            Err(fault) => Err(fault),
        };
        if let Err(fault) = worked {
            tracing::warn!(reason = fault.reason(), error = ?fault, "decisions of one-stop are not taken");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn while_held(registry: &CivilRegistry, mut lease: Lease, stop: &CancellationToken) -> Result<(), Fault> {
    let mut away = EVERY;
    while !stop.is_cancelled() {
        lease.renew().await?;
        let round = tokio::select! {
            // What is given up halfway comes again.
            () = stop.cancelled() => break,
            round = registry.take_decisions() => round.map_err(Fault::from),
        };
        match round {
            Ok(taken) => {
                if taken.entered + taken.refused + taken.answered > 0 {
                    tracing::info!(
                        kept = taken.kept,
                        entered = taken.entered,
                        refused = taken.refused,
                        answered = taken.answered,
                        "decisions of one-stop were taken"
                    );
                }
                // What failed comes again, and is looked at and printed again for it: not twice a second.
                away = if taken.failed > 0 { PAUSE.min(away * 2) } else { EVERY };
            }
            Err(fault) => {
                tracing::warn!(reason = fault.reason(), error = ?fault, "decisions of one-stop are not taken; tried again");
                away = PAUSE.min(away * 2);
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(away) => {}
        }
    }
    lease.release().await
}
