//! RegisterSystem: a system with its public key.

use egov_auth::Caller;
use egov_database::WriteRequest;
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{RegisterSystemRequest, RegisterSystemResponse};

use super::granting::{known_role, may_grant};
use super::permission::MANAGE_SYSTEMS;
use super::recording::{About, announce_system, record};
use crate::domain::client::{self, System, SystemRole};
use crate::domain::record::RecordKind;
use crate::error::IdentityError;
use crate::identity::{Identity, parse_id};
use crate::{store, wire};

const METHOD: &str = "/egov.identity.v1.SystemService/RegisterSystem";

/// Registers a system. Its roles follow the rules for roles of people: no administration beyond that of the caller.
pub(crate) async fn register_system(
    identity: &Identity,
    caller: &Caller,
    request: &RegisterSystemRequest,
) -> Result<RegisterSystemResponse, Fault> {
    let request_id = parse_id(&request.request_id)?;
    let key = client::public_key(&request.public_jwk).map_err(IdentityError::KeyRefused)?;
    let write = WriteRequest::by(caller, MANAGE_SYSTEMS, METHOD, request_id, request);
    identity
        .database
        .write(write, async |write| {
            let (now, today) = (write.now(), write.today());
            for held in &request.roles {
                known_role(identity, &held.role)?;
                if held.unit_id != 0 {
                    store::units::by_id(write.conn(), held.unit_id)
                        .await?
                        .filter(|unit| unit.in_force(today))
                        .ok_or(IdentityError::UnitNotFound)?;
                }
                may_grant(identity, caller, MANAGE_SYSTEMS, &held.role, held.unit_id)?;
            }
            let system = System {
                system_id: write.new_id(),
                client_id: request.client_id.clone(),
                name: request.name.trim().to_owned(),
                roles: request
                    .roles
                    .iter()
                    .map(|held| SystemRole {
                        role: held.role.clone(),
                        unit_id: held.unit_id,
                    })
                    .collect(),
                acts_for_citizens: request.acts_for_citizens,
                disabled: false,
            };
            if !store::systems::insert(write.conn(), &system, &key, now).await? {
                return Err(Fault::from(IdentityError::ClientIdTaken));
            }
            let about = About {
                subject: Some(system.system_id),
                unit: None,
                actor: Some(caller.principal.subject),
            };
            let detail = format!("client {}", system.client_id);
            record(write, RecordKind::SystemRegistered, about, detail).await?;
            let answer = wire::system(&system);
            announce_system(write, &system.client_id, 1, "system_registered").await?;
            Ok(RegisterSystemResponse { system: Some(answer) })
        })
        .await
        .map(egov_database::Written::into_answer)
}
