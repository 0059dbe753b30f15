//! Thay đổi, cải chính, bổ sung hộ tịch between contract and domain.

use egov_codes::normal_name;
use egov_proto::egov::civil_registry::v1 as proto;
use uuid::Uuid;

use super::births::Reading;
use crate::domain::correction::{CorrectedField, Correction, CorrectionKind};
use crate::domain::person::name_of;

impl Reading<'_> {
    /// A correction of an entry; none if something of it cannot be read, which is named then.
    pub(super) fn correction(&mut self, said: Option<&proto::Correction>, entry_id: Uuid) -> Option<Correction> {
        let said = said?;
        self.not_said(&said.corrected_entry_id, "correction.corrected_entry_id");
        if said.position != 0 {
            self.refuse(
                "correction.position",
                "do hệ thống xác định, không khai",
                "is worked out and not said",
            );
        }
        let basis = said.basis.as_ref()?;
        let basis_number = self.named(&basis.number, "correction.basis.number");
        let basis_date = self.demanded_day(basis.date, "correction.basis.date");
        let basis_authority = self.named(&basis.authority, "correction.basis.authority");
        let reason = self.named(&said.reason, "correction.reason");
        let requester_name = self.kept(name_of("correction.requester_name", &said.requester_name));
        let fields = said
            .fields
            .iter()
            .map(|one| CorrectedField {
                field: one.field.clone(),
                before: normal_name(&one.before),
                after: normal_name(&one.after),
            })
            .collect();
        Some(Correction {
            // The contract knows the same kinds.
            kind: i16::try_from(said.kind).ok().and_then(CorrectionKind::of_code)?,
            corrected_entry_id: entry_id,
            position: 0,
            fields,
            basis_number,
            basis_date: basis_date?,
            basis_authority,
            reason,
            requester_name: requester_name?,
            person_ids: Vec::new(),
        })
    }
}

/// A correction as the contract shows it.
pub(super) fn encode(correction: &Correction) -> proto::Correction {
    proto::Correction {
        kind: correction.kind.code().into(),
        corrected_entry_id: correction.corrected_entry_id.to_string(),
        position: correction.position,
        fields: correction
            .fields
            .iter()
            .map(|one| proto::CorrectedField {
                field: one.field.clone(),
                before: one.before.clone(),
                after: one.after.clone(),
            })
            .collect(),
        basis: Some(proto::CorrectionBasis {
            number: correction.basis_number.clone(),
            date: Some(correction.basis_date.into()),
            authority: correction.basis_authority.clone(),
        }),
        reason: correction.reason.clone(),
        requester_name: correction.requester_name.as_str().to_owned(),
    }
}
