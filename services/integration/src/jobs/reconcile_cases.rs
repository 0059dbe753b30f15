//! Compares one-stop's cases with the national portal's: what is asked for, and every day what was filed or told in the days before.

use std::time::Duration;

use egov_fault::Fault;
use tokio_util::sync::CancellationToken;

use crate::operations::partners::Shared;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(15);

/// Works until `stop`. Failures are logged and tried again; a run that is broken off begins anew.
pub(crate) async fn run(partners: Shared, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let round = tokio::select! {
            () = stop.cancelled() => return,
            round = partners.reconcile_round() => round,
        };
        match round.map_err(Fault::from) {
            Ok(Some(round)) if round.done > 0 || round.put_off > 0 => {
                tracing::info!(
                    done = round.done,
                    put_off = round.put_off,
                    "cases were compared with the portal's"
                );
            }
            Ok(_) => {}
            Err(fault) => {
                tracing::warn!(reason = fault.reason(), error = ?fault, "cases are not compared with the portal's");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
