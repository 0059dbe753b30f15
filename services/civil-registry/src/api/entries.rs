//! EntryService.

use egov_clock::Clock as _;
use egov_database::page_of;
use egov_proto::egov::civil_registry::v1 as proto;
use egov_proto::egov::civil_registry::v1::entry_service_server::EntryService;
use egov_proto::egov::types::v1::LocalizedText;
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::births::{self, Reading};
use super::disclosure::as_of;
use super::{Api, asked, corrections, deaths, digitisation, families, id, marriages, status};
use crate::domain::annotation::{Annotation, AnnotationKind};
use crate::domain::entry::{Details, Entry, printed_number};
use crate::domain::finding::Decision;
use crate::domain::marriage::MarriageOutcome;
use crate::error::Error;
use crate::operations::{
    ListedEntry, Signing, WantedAdoption, WantedAnnotation, WantedBirth, WantedCorrection, WantedDeath,
    WantedGuardianship, WantedMarriage, WantedRecognition,
};

pub(super) fn encode(entry: &Entry) -> proto::Entry {
    let content = &entry.content;
    let (mut birth, mut death, mut marriage, mut correction) = (None, None, None, None);
    let (mut guardianship, mut recognition, mut adoption) = (None, None, None);
    match &content.details {
        Details::Birth(said) => birth = Some(births::encode(said)),
        Details::Death(said) => death = Some(deaths::encode(said)),
        Details::Correction(said) => correction = Some(corrections::encode(said)),
        Details::Marriage(said) => marriage = Some(marriages::encode(said)),
        Details::Guardianship(said) => guardianship = Some(families::encode_guardianship(said)),
        Details::Recognition(said) => recognition = Some(families::encode_recognition(said)),
        Details::Adoption(said) => adoption = Some(families::encode_adoption(said)),
    }
    proto::Entry {
        entry_id: entry.entry_id.to_string(),
        book_id: entry.book_id.to_string(),
        unit_id: entry.unit_id,
        event: entry.event.code().into(),
        year: entry.year.into(),
        number: entry.number,
        printed_number: printed_number(entry.number, entry.year),
        volume: entry.volume,
        page: entry.page,
        registration_kind: entry.registration_kind.code().into(),
        registration_date: Some(entry.registration_date.into()),
        registration_place: content.registration_place.clone(),
        signer_name: content.signer_name.clone(),
        signer_title: content.signer_title.clone(),
        performer_name: content.performer_name.clone(),
        note: content.note.clone(),
        birth,
        marriage,
        death,
        correction,
        guardianship,
        recognition,
        adoption,
        settled: content
            .settled
            .iter()
            .map(|settled| proto::SettledQuestion {
                code: settled.code.clone(),
                field: settled.field.clone(),
                question: Some(LocalizedText {
                    vi: settled.vi.clone(),
                    en: settled.en.clone(),
                }),
                reason: settled.reason.clone(),
            })
            .collect(),
        record_time: Some(egov_proto::timestamp(entry.record_time)),
        signer_authorisation: content.signer_authorisation.clone(),
        withheld: false,
        digitised: content.digitised.as_deref().map(digitisation::encode_source),
    }
}

/// An entry as it is shown: of a withheld one number, place and day alone.
fn encode_listed(listed: &ListedEntry) -> proto::Entry {
    let entry = &listed.entry;
    if !listed.is_withheld {
        return encode(entry);
    }
    proto::Entry {
        entry_id: entry.entry_id.to_string(),
        book_id: entry.book_id.to_string(),
        unit_id: entry.unit_id,
        event: entry.event.code().into(),
        year: entry.year.into(),
        number: entry.number,
        printed_number: printed_number(entry.number, entry.year),
        volume: entry.volume,
        page: entry.page,
        registration_date: Some(entry.registration_date.into()),
        record_time: Some(egov_proto::timestamp(entry.record_time)),
        withheld: true,
        ..Default::default()
    }
}

fn encode_annotation(annotation: &Annotation) -> proto::Annotation {
    let note = &annotation.note;
    proto::Annotation {
        annotation_id: annotation.annotation_id.to_string(),
        entry_id: annotation.entry_id.to_string(),
        position: annotation.position,
        kind: annotation.kind.code().into(),
        text: note.text.clone(),
        basis: Some(proto::AnnotationBasis {
            number: note.basis_number.clone(),
            date: Some(note.basis_date.into()),
            authority: note.basis_authority.clone(),
        }),
        note_date: Some(annotation.note_date.into()),
        cancels_annotation_id: annotation.cancels.map(|id| id.to_string()).unwrap_or_default(),
        record_time: Some(egov_proto::timestamp(annotation.record_time)),
        marriage_outcome: note
            .marriage_outcome
            .map(MarriageOutcome::code)
            .unwrap_or_default()
            .into(),
        effective_date: note.effective_date.map(Into::into),
    }
}

/// What every registration says beside what it is of: the messages have the same fields.
macro_rules! signing {
    ($reading:ident, $message:ident) => {
        Signing {
            registration_date: $reading.day($message.registration_date, "registration_date"),
            signer_name: $reading.named(&$message.signer_name, "signer_name"),
            signer_title: $reading.named(&$message.signer_title, "signer_title"),
            signer_authorisation: egov_codes::normal_name(&$message.signer_authorisation),
            performer_name: $reading.named(&$message.performer_name, "performer_name"),
            note: $message.note.trim().to_owned(),
            decisions: $message.decisions.iter().map(decision).collect(),
        }
    };
}

pub(super) fn decision(said: &proto::OfficerDecision) -> Decision {
    Decision {
        code: said.code.clone(),
        field: said.field.clone(),
        // Who decides against it does not register.
        proceed: true,
        reason: said.reason.trim().to_owned(),
    }
}

#[tonic::async_trait]
impl EntryService for Api {
    async fn register_birth(
        &self,
        request: Request<proto::RegisterBirthRequest>,
    ) -> Result<Response<proto::RegisterBirthResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let mut reading = Reading::new(&self.registry.law.ethnic_groups, self.registry.clock.today());
        let signing = signing!(reading, message);
        let Some(birth) = reading.birth(message.birth.clone()) else {
            return Err(status(Error::Invalid(reading.wrong)));
        };
        let wanted = WantedBirth {
            unit_id: message.unit_id,
            birth,
            signing,
        };
        let asked = asked(
            &message.request_id,
            message,
            "egov.civil_registry.v1.EntryService/RegisterBirth",
        )?;
        let entered =
            self.registry
                .register_birth(request.caller()?, asked, wanted, |entry| proto::RegisterBirthResponse {
                    entry: Some(encode(entry)),
                });
        let answer = Box::pin(entered).await.map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn register_death(
        &self,
        request: Request<proto::RegisterDeathRequest>,
    ) -> Result<Response<proto::RegisterDeathResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let mut reading = Reading::new(&self.registry.law.ethnic_groups, self.registry.clock.today());
        let signing = signing!(reading, message);
        let Some(death) = reading.death(message.death.clone()) else {
            return Err(status(Error::Invalid(reading.wrong)));
        };
        let wanted = WantedDeath {
            unit_id: message.unit_id,
            death,
            signing,
        };
        let asked = asked(
            &message.request_id,
            message,
            "egov.civil_registry.v1.EntryService/RegisterDeath",
        )?;
        let entered =
            self.registry
                .register_death(request.caller()?, asked, wanted, |entry| proto::RegisterDeathResponse {
                    entry: Some(encode(entry)),
                });
        let answer = Box::pin(entered).await.map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn register_marriage(
        &self,
        request: Request<proto::RegisterMarriageRequest>,
    ) -> Result<Response<proto::RegisterMarriageResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let mut reading = Reading::new(&self.registry.law.ethnic_groups, self.registry.clock.today());
        let signing = signing!(reading, message);
        let Some(marriage) = reading.marriage(message.marriage.as_ref()) else {
            return Err(status(Error::Invalid(reading.wrong)));
        };
        let wanted = WantedMarriage {
            unit_id: message.unit_id,
            marriage,
            signing,
        };
        let asked = asked(
            &message.request_id,
            message,
            "egov.civil_registry.v1.EntryService/RegisterMarriage",
        )?;
        let entered = self
            .registry
            .register_marriage(request.caller()?, asked, wanted, |entry| {
                proto::RegisterMarriageResponse {
                    entry: Some(encode(entry)),
                }
            });
        let answer = Box::pin(entered).await.map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn register_guardianship(
        &self,
        request: Request<proto::RegisterGuardianshipRequest>,
    ) -> Result<Response<proto::RegisterGuardianshipResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let mut reading = Reading::new(&self.registry.law.ethnic_groups, self.registry.clock.today());
        let signing = signing!(reading, message);
        let Some(guardianship) = reading.guardianship(message.guardianship.as_ref()) else {
            return Err(status(Error::Invalid(reading.wrong)));
        };
        let wanted = WantedGuardianship {
            unit_id: message.unit_id,
            guardianship,
            signing,
        };
        let asked = asked(
            &message.request_id,
            message,
            "egov.civil_registry.v1.EntryService/RegisterGuardianship",
        )?;
        let entered = self
            .registry
            .register_guardianship(request.caller()?, asked, wanted, |entry| {
                proto::RegisterGuardianshipResponse {
                    entry: Some(encode(entry)),
                }
            });
        let answer = Box::pin(entered).await.map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn register_recognition(
        &self,
        request: Request<proto::RegisterRecognitionRequest>,
    ) -> Result<Response<proto::RegisterRecognitionResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let mut reading = Reading::new(&self.registry.law.ethnic_groups, self.registry.clock.today());
        let signing = signing!(reading, message);
        let Some(recognition) = reading.recognition(message.recognition.as_ref()) else {
            return Err(status(Error::Invalid(reading.wrong)));
        };
        let wanted = WantedRecognition {
            unit_id: message.unit_id,
            recognition,
            signing,
        };
        let asked = asked(
            &message.request_id,
            message,
            "egov.civil_registry.v1.EntryService/RegisterRecognition",
        )?;
        let entered = self
            .registry
            .register_recognition(request.caller()?, asked, wanted, |entry| {
                proto::RegisterRecognitionResponse {
                    entry: Some(encode(entry)),
                }
            });
        let answer = Box::pin(entered).await.map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn register_adoption(
        &self,
        request: Request<proto::RegisterAdoptionRequest>,
    ) -> Result<Response<proto::RegisterAdoptionResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let mut reading = Reading::new(&self.registry.law.ethnic_groups, self.registry.clock.today());
        let signing = signing!(reading, message);
        let Some(adoption) = reading.adoption(message.adoption.as_ref()) else {
            return Err(status(Error::Invalid(reading.wrong)));
        };
        let wanted = WantedAdoption {
            unit_id: message.unit_id,
            adoption,
            signing,
        };
        let asked = asked(
            &message.request_id,
            message,
            "egov.civil_registry.v1.EntryService/RegisterAdoption",
        )?;
        let entered = self
            .registry
            .register_adoption(request.caller()?, asked, wanted, |entry| {
                proto::RegisterAdoptionResponse {
                    entry: Some(encode(entry)),
                }
            });
        let answer = Box::pin(entered).await.map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn correct_entry(
        &self,
        request: Request<proto::CorrectEntryRequest>,
    ) -> Result<Response<proto::CorrectEntryResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let entry_id = id(&message.entry_id, "entry_id")?;
        let mut reading = Reading::new(&self.registry.law.ethnic_groups, self.registry.clock.today());
        let signing = signing!(reading, message);
        let correction = reading.correction(message.correction.as_ref(), entry_id);
        let (Some(correction), true) = (correction, reading.wrong.is_empty()) else {
            return Err(status(Error::Invalid(reading.wrong)));
        };
        let wanted = WantedCorrection { correction, signing };
        let asked = asked(
            &message.request_id,
            message,
            "egov.civil_registry.v1.EntryService/CorrectEntry",
        )?;
        let entered =
            self.registry
                .correct_entry(request.caller()?, asked, wanted, |entry| proto::CorrectEntryResponse {
                    entry: Some(encode(entry)),
                });
        let answer = Box::pin(entered).await.map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn annotate_entry(
        &self,
        request: Request<proto::AnnotateEntryRequest>,
    ) -> Result<Response<proto::AnnotateEntryResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let entry_id = id(&message.entry_id, "entry_id")?;
        let cancels = match message.cancels_annotation_id.as_str() {
            "" => None,
            text => Some(id(text, "cancels_annotation_id")?),
        };
        let mut reading = Reading::new(&self.registry.law.ethnic_groups, self.registry.clock.today());
        let (note, note_date) = (reading.note(message), reading.day(message.note_date, "note_date"));
        // The contract knows the same kinds.
        let kind = i16::try_from(message.kind).ok().and_then(AnnotationKind::of_code);
        let (Some(note), Some(kind), true) = (note, kind, reading.wrong.is_empty()) else {
            return Err(status(Error::Invalid(reading.wrong)));
        };
        let wanted = WantedAnnotation {
            entry_id,
            kind,
            note,
            note_date,
            cancels,
        };
        let asked = asked(
            &message.request_id,
            message,
            "egov.civil_registry.v1.EntryService/AnnotateEntry",
        )?;
        let answer = self
            .registry
            .annotate_entry(request.caller()?, asked, wanted, |annotation| {
                proto::AnnotateEntryResponse {
                    annotation: Some(encode_annotation(annotation)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn get_entry(
        &self,
        request: Request<proto::GetEntryRequest>,
    ) -> Result<Response<proto::GetEntryResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let entry_id = id(&message.entry_id, "entry_id")?;
        let at = as_of(&self.registry, message.valid_on, message.known_on)?;
        let shown = self
            .registry
            .get_entry(request.caller()?, entry_id, at)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::GetEntryResponse {
            entry: Some(encode_listed(&shown.listed)),
            annotations: shown.annotations.iter().map(encode_annotation).collect(),
            corrections: shown.corrections.iter().map(encode).collect(),
            current: shown.current.as_ref().map(encode),
        }))
    }

    async fn list_entries(
        &self,
        request: Request<proto::ListEntriesRequest>,
    ) -> Result<Response<proto::ListEntriesResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let (caller, message) = (request.caller()?, &request.message);
        let book_id = id(&message.book_id, "book_id")?;
        let page = page_of!(
            self.registry.pages,
            caller,
            "egov.civil_registry.v1.EntryService/ListEntries",
            message
        )?;
        let (entries, next_page_token) = self
            .registry
            .list_entries(caller, book_id, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListEntriesResponse {
            entries: entries.iter().map(encode_listed).collect(),
            next_page_token,
        }))
    }
}
