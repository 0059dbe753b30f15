//! AgreementService.

use egov_proto::egov::integration::v1::agreement_service_server::AgreementService;
use egov_proto::egov::integration::v1::{
    AmendAgreementRequest, AmendAgreementResponse, CreateAgreementRequest, CreateAgreementResponse,
    DelegateAgreementRequest, DelegateAgreementResponse, EndDelegationRequest, EndDelegationResponse,
    GetAgreementRequest, GetAgreementResponse, ListAgreementChangesRequest, ListAgreementChangesResponse,
    ListAgreementsRequest, ListAgreementsResponse, OfferAgreementRequest, OfferAgreementResponse,
    ResumeAgreementRequest, ResumeAgreementResponse, RevokeAgreementRequest, RevokeAgreementResponse,
    SignAgreementRequest, SignAgreementResponse, SuggestNarrowingRequest, SuggestNarrowingResponse,
    SuspendAgreementRequest, SuspendAgreementResponse,
};
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::{Api, status};

#[tonic::async_trait]
impl AgreementService for Api {
    async fn create_agreement(
        &self,
        request: Request<CreateAgreementRequest>,
    ) -> Result<Response<CreateAgreementResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.create_agreement(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn amend_agreement(
        &self,
        request: Request<AmendAgreementRequest>,
    ) -> Result<Response<AmendAgreementResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.amend_agreement(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn offer_agreement(
        &self,
        request: Request<OfferAgreementRequest>,
    ) -> Result<Response<OfferAgreementResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.offer_agreement(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn sign_agreement(
        &self,
        request: Request<SignAgreementRequest>,
    ) -> Result<Response<SignAgreementResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.sign_agreement(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn suspend_agreement(
        &self,
        request: Request<SuspendAgreementRequest>,
    ) -> Result<Response<SuspendAgreementResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self
            .service
            .suspend_agreement(request.caller()?, &request.message)
            .await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn resume_agreement(
        &self,
        request: Request<ResumeAgreementRequest>,
    ) -> Result<Response<ResumeAgreementResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.resume_agreement(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn revoke_agreement(
        &self,
        request: Request<RevokeAgreementRequest>,
    ) -> Result<Response<RevokeAgreementResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.revoke_agreement(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn get_agreement(
        &self,
        request: Request<GetAgreementRequest>,
    ) -> Result<Response<GetAgreementResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.get_agreement(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn list_agreements(
        &self,
        request: Request<ListAgreementsRequest>,
    ) -> Result<Response<ListAgreementsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.list_agreements(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn list_agreement_changes(
        &self,
        request: Request<ListAgreementChangesRequest>,
    ) -> Result<Response<ListAgreementChangesResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self
            .service
            .list_agreement_changes(request.caller()?, &request.message)
            .await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn delegate_agreement(
        &self,
        request: Request<DelegateAgreementRequest>,
    ) -> Result<Response<DelegateAgreementResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self
            .service
            .delegate_agreement(request.caller()?, &request.message)
            .await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn end_delegation(
        &self,
        request: Request<EndDelegationRequest>,
    ) -> Result<Response<EndDelegationResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.end_delegation(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn suggest_narrowing(
        &self,
        request: Request<SuggestNarrowingRequest>,
    ) -> Result<Response<SuggestNarrowingResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self
            .service
            .suggest_narrowing(request.caller()?, &request.message)
            .await;
        Ok(Response::new(answer.map_err(status)?))
    }
}
