//! HandOverTasks (bàn giao khi vắng mặt): the open tasks of an absent person in a unit go to somebody else, or back to the unit.
//!
//! A part of them in each call, in one transaction: what was handed over is no longer the absent person's, so that a call after a crash
//! goes on where the last one ended, and a call when nothing is left changes nothing.

use egov_auth::{Caller, Resource};
use egov_database::{UnitOfWork, WriteRequest};
use egov_proto::egov::onestop::v1::{HandOverTasksRequest, HandOverTasksResponse};
use uuid::Uuid;

use super::{ASSIGN, READ, TaskAct, keep};
use crate::domain::work::task::WorkRefused;
use crate::error::Error;
use crate::operations::OneStop;
use crate::store::{Visible, tasks};

const ACT: TaskAct = TaskAct {
    operation: "hand_over",
    event: "task_handed_over",
    permission: ASSIGN,
    method: "egov.onestop.v1.WorkService/HandOverTasks",
    by_role: false,
};

/// So many tasks at once, if the caller does not say.
const BATCH: i64 = 100;

/// From whom to whom.
pub(crate) struct HandOver {
    pub(crate) from: Uuid,
    /// Nobody: back to the unit.
    pub(crate) to: Option<Uuid>,
    pub(crate) unit_id: i32,
    /// At most so many; 0 for the usual number.
    pub(crate) limit: i64,
}

impl OneStop {
    /// Hands over a part; `answer` gets how many went over and whether more are left.
    pub(crate) async fn hand_over_tasks(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &HandOverTasksRequest,
        wanted: HandOver,
        answer: impl FnOnce(i32, bool) -> HandOverTasksResponse + Send,
    ) -> Result<HandOverTasksResponse, Error> {
        caller.require(ASSIGN, &Resource::of_unit(wanted.unit_id))?;
        if wanted.to == Some(wanted.from) {
            return Err(WorkRefused::SamePerson.into());
        }
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let limit = if wanted.limit == 0 { BATCH } else { wanted.limit };
        let request = WriteRequest::keyed(caller.principal.caller_key(), scope, ACT.method, request_id, body);
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let found =
                    tasks::open_of_person(unit.conn(), wanted.from, wanted.unit_id, limit.saturating_add(1)).await?;
                let more = i64::try_from(found.len()).is_ok_and(|count| count > limit);
                let mut moved = 0_i32;
                for task_id in found.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX)) {
                    moved += i32::from(
                        self.hand_over_one(unit, caller, &visible, task_id, &wanted, &body.reason)
                            .await?,
                    );
                }
                Ok::<_, Error>(answer(moved, more))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// One task, unless it ended or went to somebody else in the meantime.
    async fn hand_over_one(
        &self,
        unit: &mut UnitOfWork<'_>,
        caller: &Caller,
        visible: &Visible,
        task_id: Uuid,
        wanted: &HandOver,
        reason: &str,
    ) -> Result<bool, Error> {
        let held = match self.hold(unit, visible, task_id).await {
            Ok(held) => held,
            Err(Error::Work(WorkRefused::TaskNotFound | WorkRefused::Closed)) => return Ok(false),
            Err(error) => return Err(error),
        };
        if !held.task.is_open() || held.task.assignee_id != Some(wanted.from) {
            return Ok(false);
        }
        let mut after = held.task.clone();
        after.hand_over(wanted.to, unit.now())?;
        tasks::save(unit.conn(), &held.task, &after).await?;
        keep(unit, caller, &ACT, &held.case, &after, reason).await?;
        self.give_case(unit, caller, &held, &after).await?;
        Ok(true)
    }
}
