//! GetLinkedCase, ListLinkedCases, and what of an application is read by whom.

use egov_auth::{Caller, ReadRecord};
use egov_clock::Clock as _;
use egov_database::Page;
use sqlx::PgConnection;
use uuid::Uuid;

use super::super::OneStop;
use super::super::act::READ;
use crate::domain::linked::{LinkedCase, Member, Owner};
use crate::error::Error;
use crate::linked_error::LinkedRefused;
use crate::store::Visible;
use crate::store::linked::{self, Listed, Place};

/// Of which members of an application more is read than where they stand, by their codes.
#[derive(Debug, Default)]
pub(crate) struct Readable {
    /// Id and code of the case: of members whose case the caller may read. So does the unit that received the application.
    cases: Vec<String>,
    /// Why officers decided about it: of members of the caller's units, and of one's own application.
    reasons: Vec<String>,
}

impl Readable {
    /// All of it: for who filed it, and for the system that says how it stands.
    pub(crate) fn all(application: &LinkedCase) -> Self {
        let codes = || application.members.iter().map(|member| member.code.clone()).collect();
        Self {
            cases: codes(),
            reasons: codes(),
        }
    }

    /// What the caller reads of one.
    pub(super) async fn of(
        connection: &mut PgConnection,
        caller: &Caller,
        application: &LinkedCase,
    ) -> Result<Self, Error> {
        let readable = Self::of_each(connection, caller, std::slice::from_ref(application)).await?;
        Ok(readable.into_iter().next().unwrap_or_default())
    }

    /// What the caller reads of each, in their order.
    async fn of_each(
        connection: &mut PgConnection,
        caller: &Caller,
        applications: &[LinkedCase],
    ) -> Result<Vec<Self>, Error> {
        let scope = caller.scope(READ);
        let ids: Vec<Uuid> = applications
            .iter()
            .map(|application| application.linked_case_id)
            .collect();
        let found = linked::readable_members(connection, &ids, &Visible::from(&scope)).await?;
        let each = applications.iter().map(|application| {
            let own = application.owner_id.is_some() && scope.owner == application.owner_id;
            let of_unit = |member: &Member| scope.all || own || scope.units.contains(&member.unit_id);
            let of_case = |member: &Member| match application.owner {
                Owner::Local => found
                    .iter()
                    .any(|(id, code)| *id == application.linked_case_id && *code == member.code),
                // It has no case here that says who reads it.
                Owner::National => of_unit(member),
            };
            let codes = |reads: &dyn Fn(&Member) -> bool| {
                let members = application.members.iter().filter(|member| reads(member));
                members.map(|member| member.code.clone()).collect()
            };
            Self {
                cases: codes(&of_case),
                reasons: codes(&of_unit),
            }
        });
        Ok(each.collect())
    }

    /// Whether id and code of the member's case are read.
    pub(crate) fn case_of(&self, member: &Member) -> bool {
        self.cases.contains(&member.code)
    }

    /// Whether it is read why officers decided about the member.
    pub(crate) fn reasons_about(&self, member: &Member) -> bool {
        self.reasons.contains(&member.code)
    }
}

impl OneStop {
    /// One application. The read is recorded before it is given away.
    pub(crate) async fn get_linked_case(
        &self,
        caller: &Caller,
        linked_case_id: Uuid,
    ) -> Result<(LinkedCase, Readable), Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let (application, readable) = self
            .database
            .read(&scope, async |connection| {
                let application = linked::get(&mut *connection, linked_case_id, &visible, false)
                    .await?
                    .ok_or(LinkedRefused::NotFound)?;
                let readable = Readable::of(connection, caller, &application).await?;
                Ok::<_, Error>((application, readable))
            })
            .await?;
        self.record_read(
            caller,
            application.owner_id.into_iter().collect(),
            vec![format!("linked_cases/{}", application.code)],
        )
        .await?;
        Ok((application, readable))
    }

    /// One page of the applications that the caller sees, newest first.
    pub(crate) async fn list_linked_cases(
        &self,
        caller: &Caller,
        case_id: Option<Uuid>,
        to_decide: bool,
        page: Page<Place>,
    ) -> Result<(Vec<(LinkedCase, Readable)>, String), Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let (after, limit) = (page.after().copied(), page.fetch());
        let listed = Listed { case_id, to_decide };
        let rows = self
            .database
            .read(&scope, async |connection| {
                let rows = linked::list(&mut *connection, &visible, listed, after, limit).await?;
                let readable = Readable::of_each(connection, caller, &rows).await?;
                Ok::<_, Error>(rows.into_iter().zip(readable).collect::<Vec<_>>())
            })
            .await?;
        let (rows, next) = page.finish(rows, |(row, _)| Place {
            time: row.submit_time,
            id: row.linked_case_id,
        })?;
        let read = rows
            .iter()
            .map(|(row, _)| (row.owner_id, format!("linked_cases/{}", row.code)));
        let record = ReadRecord::of_each(caller, read, self.clock.now());
        self.reads.record(record).await?;
        Ok((rows, next))
    }
}
