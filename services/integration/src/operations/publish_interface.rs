//! PublishInterface, CompareInterface.

use aws_lc_rs::digest;
use egov_auth::{Caller, RowScope};
use egov_database::WriteRequest;
use egov_proto::egov::integration::v1::{
    CompareInterfaceRequest, CompareInterfaceResponse, PublishInterfaceRequest, PublishInterfaceResponse,
};
use jiff::Timestamp;
use sqlx::PgConnection;

use super::Integration;
use super::change_service::{check, load, save};
use super::permission::{MANAGE_DIRECTORY, READ_AGREEMENTS};
use crate::domain::descriptors::MAX_DOCUMENT_BYTES;
use crate::domain::openapi;
use crate::domain::service::{Hit, Interface, InterfaceKind, Service, ServiceState, hits};
use crate::domain::shape::{Shape, compare};
use crate::error::Error;
use crate::{store, wire};

/// What a document would break of a service's last version, and whom among those in the scope.
async fn judge(
    conn: &mut PgConnection,
    service: &Service,
    document: &[u8],
    (scope, now): (&RowScope, Timestamp),
) -> Result<(Shape, Vec<Hit>), Error> {
    let shape = service.kind.shape(document).map_err(Error::InterfaceRefused)?;
    if service.kind == InterfaceKind::OpenApi {
        let problems = openapi::templates(&shape);
        if !problems.is_empty() {
            return Err(Error::InterfaceRefused(problems));
        }
    }
    let last = store::services::interface(&mut *conn, service.service_id, service.interface_version).await?;
    let Some((_, last)) = last else {
        return Ok((shape, Vec::new()));
    };
    // It was readable when it was published; if a later version of this program thinks otherwise, that is ours to mend.
    let before = service
        .kind
        .shape(&last)
        .map_err(|problems| egov_fault::Fault::internal(problems.join("; ")))?;
    let breaking = compare(&before, &shape);
    let consumers = if breaking.is_empty() {
        Vec::new()
    } else {
        store::agreements::consumers(conn, service.service_id, scope, now).await?
    };
    Ok((shape, hits(breaking, &consumers)))
}

fn check_size(document: &[u8]) -> Result<(), Error> {
    if document.len() <= MAX_DOCUMENT_BYTES {
        return Ok(());
    }
    Err(Error::InterfaceRefused(vec![format!(
        "the document has {} bytes; at most {MAX_DOCUMENT_BYTES} are taken",
        document.len()
    )]))
}

impl Integration {
    /// Makes a document the next version of an interface. What breaks the version before is refused, unless the caller says
    /// that it is meant, and why.
    pub(crate) async fn publish_interface(
        &self,
        caller: &Caller,
        body: &PublishInterfaceRequest,
    ) -> Result<PublishInterfaceResponse, Error> {
        let method = "/egov.integration.v1.InterfaceService/PublishInterface";
        let request_id = wire::id(&body.request_id, "request_id")?;
        let service_id = wire::id(&body.service_id, "service_id")?;
        check_size(&body.document)?;
        if body.accept_breaking && body.breaking_reason.trim().is_empty() {
            return Err(wire::invalid(
                "breaking_reason",
                "phải nêu lý do khi chấp nhận thay đổi phá vỡ",
                "must say why breaking changes are accepted",
            )
            .into());
        }
        let scope = caller.scope(MANAGE_DIRECTORY);
        let request = WriteRequest::by(caller, MANAGE_DIRECTORY, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit| {
                let mut service = load(unit, caller, service_id).await?;
                check(&body.etag, &service)?;
                if service.state == ServiceState::Closed {
                    return Err(Error::StateNotAllowed);
                }
                let sha256 = digest::digest(&digest::SHA256, &body.document).as_ref().to_vec();
                let last = store::services::interface(unit.conn(), service_id, service.interface_version).await?;
                if last.is_some_and(|(last, _)| last.sha256 == sha256) {
                    return Err(Error::InterfaceUnchanged);
                }
                let now = unit.now();
                let (shape, breaking) = judge(unit.conn(), &service, &body.document, (&scope, now)).await?;
                if !breaking.is_empty() && !body.accept_breaking {
                    return Err(Error::InterfaceBreaks(breaking));
                }
                service.interface_version += 1;
                let reason = if breaking.is_empty() {
                    ""
                } else {
                    body.breaking_reason.trim()
                };
                let one = Interface {
                    service_id,
                    interface_version: service.interface_version,
                    kind: service.kind,
                    sha256,
                    methods: shape.methods.into_keys().collect(),
                    breaking,
                    breaking_reason: reason.to_owned(),
                    create_time: now,
                };
                let (keeper, actor) = (service.responsible_unit_id, caller.key());
                store::services::insert_interface(unit.conn(), keeper, &one, &body.document, &actor).await?;
                let endpoints = save(unit, caller, &service, "interface_published", reason).await?;
                Ok::<_, Error>(PublishInterfaceResponse {
                    interface: Some(wire::interface(&one, true)),
                    service: Some(wire::service(&service, &endpoints)),
                })
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Says what a document would break; of those whom it hits, the ones whose agreements the caller may see.
    pub(crate) async fn compare_interface(
        &self,
        caller: &Caller,
        body: &CompareInterfaceRequest,
    ) -> Result<CompareInterfaceResponse, Error> {
        let service_id = wire::id(&body.service_id, "service_id")?;
        check_size(&body.document)?;
        let (scope, now) = (caller.scope(READ_AGREEMENTS), self.database.clock().now());
        let (shape, breaking) = self
            .database
            .read(&scope, async |conn| {
                let service = store::services::get(&mut *conn, service_id)
                    .await?
                    .ok_or(Error::ServiceNotFound)?;
                judge(conn, &service, &body.document, (&scope, now)).await
            })
            .await?;
        Ok(CompareInterfaceResponse {
            breaking: breaking.iter().map(|hit| wire::breaking(hit, true)).collect(),
            methods: shape.methods.into_keys().collect(),
        })
    }
}
