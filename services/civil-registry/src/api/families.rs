//! Giám hộ; nhận cha, mẹ, con; nuôi con nuôi between contract and domain.

use egov_codes::normal_name;
use egov_proto::egov::civil_registry::v1 as proto;
use uuid::Uuid;

use super::births::{Reading, born, country, encode_paper, group, number, numbers};
use crate::domain::adoption::{AdopterRelationship, Adoption};
use crate::domain::birth::Requester;
use crate::domain::guardianship::{Guardianship, GuardianshipAct, GuardianshipEnd, GuardianshipKind, WardGround};
use crate::domain::party::Party;
use crate::domain::person::{Claimed, PersonName, ResidenceKind, name_of};
use crate::domain::recognition::{Recognition, RecognitionKind, RecognitionProof};

/// What a code of the contract names; the domain knows the same codes.
fn of_code<T>(code: i32, read: fn(i16) -> Option<T>) -> Option<T> {
    i16::try_from(code).ok().and_then(read)
}

impl Reading<'_> {
    fn party(&mut self, said: Option<&proto::Party>, field: &str) -> Option<Party> {
        let said = said?;
        self.not_said(&said.person_id, &format!("{field}.person_id"));
        let claimed = Claimed {
            full_name: &said.full_name,
            sex: i16::try_from(said.sex).unwrap_or_default(),
            born: numbers(said.date_of_birth),
            ethnic_group: &said.ethnic_group,
            nationality: &said.nationality,
            other_nationality: &said.other_nationality,
            personal_number: &said.personal_number,
        };
        let person = self.person(field, &claimed);
        let paper = self.paper(said.paper.clone(), &format!("{field}.paper"));
        Some(Party {
            person_id: Uuid::nil(),
            person: person?,
            residence_kind: of_code(said.residence_kind, ResidenceKind::of_code),
            residence: normal_name(&said.residence),
            paper,
        })
    }

    fn requester_of(&mut self, said: Option<&proto::Requester>, field: &str) -> Option<Requester> {
        let said = said?;
        let full_name: Option<PersonName> = self.kept(name_of(&format!("{field}.full_name"), &said.full_name));
        let relationship = self.named(&said.relationship, &format!("{field}.relationship"));
        let paper = self.paper(said.paper.clone(), &format!("{field}.paper"));
        Some(Requester {
            full_name: full_name?,
            relationship,
            paper,
        })
    }

    /// Names of people, each of which says something.
    fn names(&mut self, said: &[String], field: &str) -> Vec<String> {
        said.iter()
            .enumerate()
            .map(|(place, name)| self.named(name, &format!("{field}[{place}]")))
            .collect()
    }

    /// A guardianship; none if something of it cannot be read, which is named then.
    pub(super) fn guardianship(&mut self, said: Option<&proto::Guardianship>) -> Option<Guardianship> {
        let said = said?;
        let ward = self.party(said.ward.as_ref(), "guardianship.ward");
        let guardian = self.party(said.guardian.as_ref(), "guardianship.guardian");
        let supervisor = self.party(said.supervisor.as_ref(), "guardianship.supervisor");
        let basis_date = self.day(said.basis_date, "guardianship.basis_date");
        let end_date = self.day(said.end_date, "guardianship.end_date");
        let requester = self.requester_of(said.requester.as_ref(), "guardianship.requester");
        if !self.wrong.is_empty() {
            return None;
        }
        Some(Guardianship {
            act: of_code(said.act, GuardianshipAct::of_code)?,
            ward: ward?,
            guardian: guardian?,
            supervisor,
            kind: of_code(said.kind, GuardianshipKind::of_code),
            ground: of_code(said.ground, WardGround::of_code),
            basis_number: normal_name(&said.basis_number),
            basis_date,
            basis_authority: normal_name(&said.basis_authority),
            end_reason: of_code(said.end_reason, GuardianshipEnd::of_code),
            end_date,
            requester: requester?,
        })
    }

    /// A recognition; none if something of it cannot be read, which is named then.
    pub(super) fn recognition(&mut self, said: Option<&proto::Recognition>) -> Option<Recognition> {
        let said = said?;
        let parent = self.party(said.parent.as_ref(), "recognition.parent");
        let child = self.party(said.child.as_ref(), "recognition.child");
        let proof_date = self.day(said.proof_date, "recognition.proof_date");
        let witness_names = self.names(&said.witness_names, "recognition.witness_names");
        let requester = self.requester_of(said.requester.as_ref(), "recognition.requester");
        if !self.wrong.is_empty() {
            return None;
        }
        Some(Recognition {
            kind: of_code(said.kind, RecognitionKind::of_code)?,
            parent: parent?,
            child: child?,
            proof: of_code(said.proof, RecognitionProof::of_code),
            proof_number: normal_name(&said.proof_number),
            proof_date,
            proof_authority: normal_name(&said.proof_authority),
            witness_names,
            parent_was_present: said.parent_was_present,
            child_was_present: said.child_was_present,
            child_consented: said.child_consented,
            requester: requester?,
        })
    }

    /// An adoption; none if something of it cannot be read, which is named then.
    pub(super) fn adoption(&mut self, said: Option<&proto::Adoption>) -> Option<Adoption> {
        let said = said?;
        let adopter = self.party(said.adopter.as_ref(), "adoption.adopter");
        let other_adopter = self.party(said.other_adopter.as_ref(), "adoption.other_adopter");
        let child = self.party(said.child.as_ref(), "adoption.child");
        let consenting_names = self.names(&said.consenting_names, "adoption.consenting_names");
        let requester = self.requester_of(said.requester.as_ref(), "adoption.requester");
        if !self.wrong.is_empty() {
            return None;
        }
        Some(Adoption {
            adopter: adopter?,
            other_adopter,
            child: child?,
            relationship: of_code(said.relationship, AdopterRelationship::of_code),
            adopters_were_present: said.adopters_were_present,
            parents_consented: said.parents_consented,
            consenting_names,
            child_consented: said.child_consented,
            requester: requester?,
        })
    }
}

fn encode_party(party: &Party) -> proto::Party {
    let person = &party.person;
    proto::Party {
        person_id: party.person_id.to_string(),
        full_name: person.full_name.as_str().to_owned(),
        personal_number: number(person),
        sex: person.sex.code().into(),
        date_of_birth: born(person),
        ethnic_group: group(person),
        nationality: country(person.nationality),
        other_nationality: country(person.other_nationality),
        residence_kind: party.residence_kind.map(ResidenceKind::code).unwrap_or_default().into(),
        residence: party.residence.clone(),
        paper: party.paper.as_ref().map(encode_paper),
    }
}

fn encode_requester(requester: &Requester) -> proto::Requester {
    proto::Requester {
        full_name: requester.full_name.as_str().to_owned(),
        relationship: requester.relationship.clone(),
        paper: requester.paper.as_ref().map(encode_paper),
    }
}

/// A guardianship as the contract shows it.
pub(super) fn encode_guardianship(said: &Guardianship) -> proto::Guardianship {
    proto::Guardianship {
        act: said.act.code().into(),
        ward: Some(encode_party(&said.ward)),
        guardian: Some(encode_party(&said.guardian)),
        supervisor: said.supervisor.as_ref().map(encode_party),
        kind: said.kind.map(GuardianshipKind::code).unwrap_or_default().into(),
        ground: said.ground.map(WardGround::code).unwrap_or_default().into(),
        basis_number: said.basis_number.clone(),
        basis_date: said.basis_date.map(Into::into),
        basis_authority: said.basis_authority.clone(),
        end_reason: said.end_reason.map(GuardianshipEnd::code).unwrap_or_default().into(),
        end_date: said.end_date.map(Into::into),
        requester: Some(encode_requester(&said.requester)),
    }
}

/// A recognition as the contract shows it.
pub(super) fn encode_recognition(said: &Recognition) -> proto::Recognition {
    proto::Recognition {
        kind: said.kind.code().into(),
        parent: Some(encode_party(&said.parent)),
        child: Some(encode_party(&said.child)),
        proof: said.proof.map(RecognitionProof::code).unwrap_or_default().into(),
        proof_number: said.proof_number.clone(),
        proof_date: said.proof_date.map(Into::into),
        proof_authority: said.proof_authority.clone(),
        witness_names: said.witness_names.clone(),
        parent_was_present: said.parent_was_present,
        child_was_present: said.child_was_present,
        child_consented: said.child_consented,
        requester: Some(encode_requester(&said.requester)),
    }
}

/// An adoption as the contract shows it.
pub(super) fn encode_adoption(said: &Adoption) -> proto::Adoption {
    proto::Adoption {
        adopter: Some(encode_party(&said.adopter)),
        other_adopter: said.other_adopter.as_ref().map(encode_party),
        child: Some(encode_party(&said.child)),
        relationship: said
            .relationship
            .map(AdopterRelationship::code)
            .unwrap_or_default()
            .into(),
        adopters_were_present: said.adopters_were_present,
        parents_consented: said.parents_consented,
        consenting_names: said.consenting_names.clone(),
        child_consented: said.child_consented,
        requester: Some(encode_requester(&said.requester)),
    }
}
