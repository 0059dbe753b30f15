//! ListAvoidablePapers (giấy tờ hỏi thừa): the report, from sums that are kept with each act.

use egov_auth::Caller;
use egov_clock::Clock as _;
use egov_database::Page;
use jiff::civil::Date;

use crate::domain::components::rules::Register;
use crate::domain::pack::Fact;
use crate::error::Error;
use crate::operations::OneStop;
use crate::operations::statistics::READ;
use crate::store::avoidable::{self, Count, Key};

/// How often a paper was asked for, and which connection was missing.
pub(crate) struct Avoidable {
    pub(crate) count: Count,
    pub(crate) unit_name: String,
    /// As the pack in force today describes it, if it still knows it.
    pub(crate) register: Option<Register>,
    /// How it is established that it answers.
    pub(crate) fact: Option<Fact>,
}

impl OneStop {
    /// One page of the report over the units that the caller sees.
    pub(crate) async fn list_avoidable_papers(
        &self,
        caller: &Caller,
        unit_id: Option<i32>,
        days: (Option<Date>, Option<Date>),
        page: Page<Key>,
    ) -> Result<(Vec<Avoidable>, String), Error> {
        let units = self.counted_units(caller, READ, unit_id, false)?;
        let (after, limit) = (page.after().cloned(), page.fetch());
        let rows = self
            .database
            .read(&caller.scope(READ), async |connection| {
                Ok::<_, Error>(avoidable::list(connection, &units, days, after.as_ref(), limit).await?)
            })
            .await?;
        let (rows, next) = page.finish(rows, |row| row.of.clone())?;
        let law = self.law.get();
        let rules = law.paper_rules_on(self.clock.today());
        let shown = rows.into_iter().map(|count| {
            let Key {
                procedure_code,
                component_code,
                register_code,
                ..
            } = &count.of;
            let mut register = rules.and_then(|rules| rules.register(register_code)).cloned();
            if let Some(register) = &mut register {
                register.connected = register.is_connected(self.population.is_connected());
            }
            let answering = rules.map(|rules| rules.answering(procedure_code, component_code));
            let mut answering = answering.into_iter().flatten();
            let by_answer = answering.find(|(known, _)| known.code == *register_code);
            let fact = by_answer.map(|(_, fact)| fact.clone());
            Avoidable {
                unit_name: self.unit_name(count.of.unit_id),
                fact: fact.or_else(|| register.as_ref().map(|register| register.fact.clone())),
                register,
                count,
            }
        });
        Ok((shown.collect(), next))
    }
}
