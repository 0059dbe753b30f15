//! Payments in the figures: how many came in, and how many of them online (thanh toán trực tuyến).

use jiff::civil::Date;
use uuid::Uuid;

use super::{Key, Measure};

/// A payment that came in, as far as it counts. Nothing of it changes afterwards: what is given back was paid all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaidPayment {
    /// The unit whose receipt it is, whichever unit has the case by now.
    pub unit_id: i32,
    /// Mã thủ tục of its case.
    pub procedure_code: String,
    /// Trực tuyến, at the payment platform; otherwise in cash at the counter.
    pub online: bool,
    /// The day on which it was paid.
    pub day: Date,
    /// The day on which it became known here, if that was later.
    pub recorded_late: Option<Date>,
}

impl PaidPayment {
    /// What it changes in the figures. Who handles the case takes no part in how it is paid: it is nobody's figure.
    pub fn changes(&self) -> Vec<(Key, i64)> {
        let key = |measure| Key {
            unit_id: self.unit_id,
            procedure_code: self.procedure_code.clone(),
            officer_id: Uuid::nil(),
            day: self.day,
            recorded_late: self.recorded_late,
            measure,
        };
        let mut changes = vec![(key(Measure::Payments), 1)];
        if self.online {
            changes.push((key(Measure::OnlinePayments), 1));
        }
        changes
    }
}
