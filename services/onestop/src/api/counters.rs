//! CounterService.

use egov_database::PageBinding;
use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::onestop::v1::counter_service_server::CounterService;
use egov_proto::timestamp;
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::{Api, decode, status};
use crate::domain::counters::{CounterGroup, Ticket, TicketAct, TicketState};
use crate::operations::counters::{Asked, WantedGroup};

const GROUPS: &str = "egov.onestop.v1.CounterService/ListCounterGroups";
const TICKETS: &str = "egov.onestop.v1.CounterService/ListTickets";

/// A request with its id and full gRPC name.
fn asked<'a, M>(request_id: &str, body: &'a M, method: &'static str) -> Result<Asked<'a, M>, Status> {
    Ok(Asked {
        request_id: decode::id(request_id, "request_id")?,
        body,
        method,
    })
}

#[tonic::async_trait]
impl CounterService for Api {
    async fn put_counter_group(
        &self,
        request: Request<proto::PutCounterGroupRequest>,
    ) -> Result<Response<proto::PutCounterGroupResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let named = |text: &str, field: &str| {
            let text = text.trim();
            if text.is_empty() {
                Err(decode::blank(field))
            } else {
                Ok(text.to_owned())
            }
        };
        let existing = if message.group_id.is_empty() {
            None
        } else {
            Some((decode::id(&message.group_id, "group_id")?, message.etag.clone()))
        };
        let wanted = WantedGroup {
            existing,
            unit_id: message.unit_id,
            code: named(&message.code, "code")?,
            name: named(&message.name, "name")?,
            letter: message.letter.clone(),
            counters: message.counters,
            open: message.open,
        };
        let asked = asked(
            &message.request_id,
            message,
            "egov.onestop.v1.CounterService/PutCounterGroup",
        )?;
        let answer = self
            .one_stop
            .put_counter_group(request.caller()?, asked, wanted, |made| {
                proto::PutCounterGroupResponse {
                    group: Some(group(made)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn list_counter_groups(
        &self,
        request: Request<proto::ListCounterGroupsRequest>,
    ) -> Result<Response<proto::ListCounterGroupsResponse>, Status> {
        let mut request = accept(&self.contract, request)?;
        let message = &mut request.message;
        let (size, token) = (message.page_size, std::mem::take(&mut message.page_token));
        message.page_size = 0;
        let unit_id = (message.unit_id != 0).then_some(message.unit_id);
        let caller = request.caller()?;
        let page = self
            .one_stop
            .pages
            .page(size, &token, PageBinding::of(caller, GROUPS, &request.message))?;
        let (groups, next_page_token) = self
            .one_stop
            .list_counter_groups(caller, unit_id, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListCounterGroupsResponse {
            groups: groups.iter().map(group).collect(),
            next_page_token,
        }))
    }

    async fn take_ticket(
        &self,
        request: Request<proto::TakeTicketRequest>,
    ) -> Result<Response<proto::TakeTicketResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let group_id = decode::id(&message.group_id, "group_id")?;
        let asked = asked(
            &message.request_id,
            message,
            "egov.onestop.v1.CounterService/TakeTicket",
        )?;
        let answer = self
            .one_stop
            .take_ticket(request.caller()?, asked, group_id, &message.priority, |taken, ahead| {
                proto::TakeTicketResponse {
                    ticket: Some(ticket(taken)),
                    ahead: count(ahead),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn call_next(
        &self,
        request: Request<proto::CallNextRequest>,
    ) -> Result<Response<proto::CallNextResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let group_id = decode::id(&message.group_id, "group_id")?;
        let asked = asked(&message.request_id, message, "egov.onestop.v1.CounterService/CallNext")?;
        let answer = self
            .one_stop
            .call_next(
                request.caller()?,
                asked,
                group_id,
                message.counter,
                |called, waiting| proto::CallNextResponse {
                    ticket: called.map(ticket),
                    waiting: count(waiting),
                },
            )
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn recall_ticket(
        &self,
        request: Request<proto::RecallTicketRequest>,
    ) -> Result<Response<proto::RecallTicketResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let ticket_id = decode::id(&message.ticket_id, "ticket_id")?;
        let act = TicketAct::Recall {
            counter: message.counter,
        };
        let asked = asked(
            &message.request_id,
            message,
            "egov.onestop.v1.CounterService/RecallTicket",
        )?;
        let answer = self
            .one_stop
            .act_on_ticket(request.caller()?, asked, ticket_id, act, |after| {
                proto::RecallTicketResponse {
                    ticket: Some(ticket(after)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn skip_ticket(
        &self,
        request: Request<proto::SkipTicketRequest>,
    ) -> Result<Response<proto::SkipTicketResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let ticket_id = decode::id(&message.ticket_id, "ticket_id")?;
        let asked = asked(
            &message.request_id,
            message,
            "egov.onestop.v1.CounterService/SkipTicket",
        )?;
        let answer = self
            .one_stop
            .act_on_ticket(request.caller()?, asked, ticket_id, TicketAct::Skip, |after| {
                proto::SkipTicketResponse {
                    ticket: Some(ticket(after)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn finish_ticket(
        &self,
        request: Request<proto::FinishTicketRequest>,
    ) -> Result<Response<proto::FinishTicketResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let ticket_id = decode::id(&message.ticket_id, "ticket_id")?;
        let asked = asked(
            &message.request_id,
            message,
            "egov.onestop.v1.CounterService/FinishTicket",
        )?;
        let answer = self
            .one_stop
            .act_on_ticket(request.caller()?, asked, ticket_id, TicketAct::Finish, |after| {
                proto::FinishTicketResponse {
                    ticket: Some(ticket(after)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn list_tickets(
        &self,
        request: Request<proto::ListTicketsRequest>,
    ) -> Result<Response<proto::ListTicketsResponse>, Status> {
        let mut request = accept(&self.contract, request)?;
        let message = &mut request.message;
        let (size, token) = (message.page_size, std::mem::take(&mut message.page_token));
        message.page_size = 0;
        let group_id = decode::id(&message.group_id, "group_id")?;
        let state = i16::try_from(message.state).ok().and_then(TicketState::of_code);
        let caller = request.caller()?;
        let page = self
            .one_stop
            .pages
            .page(size, &token, PageBinding::of(caller, TICKETS, &request.message))?;
        let (tickets, next_page_token) = self
            .one_stop
            .list_tickets(caller, group_id, state, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListTicketsResponse {
            tickets: tickets.iter().map(ticket).collect(),
            next_page_token,
        }))
    }

    async fn get_board(
        &self,
        request: Request<proto::GetBoardRequest>,
    ) -> Result<Response<proto::GetBoardResponse>, Status> {
        let message = accept(&self.contract, request)?.message;
        let rows = self.one_stop.board(message.unit_id).await.map_err(status)?;
        let call = |(label, counter, calls): (String, i32, i32)| proto::BoardCall { label, counter, calls };
        let groups = rows.into_iter().map(|row| proto::BoardGroup {
            name: row.name,
            calls: row.calls.into_iter().map(call).collect(),
            waiting: count(row.waiting),
        });
        Ok(Response::new(proto::GetBoardResponse {
            groups: groups.collect(),
        }))
    }
}

fn count(of: i64) -> i32 {
    i32::try_from(of).unwrap_or(i32::MAX)
}

fn group(group: &CounterGroup) -> proto::CounterGroup {
    proto::CounterGroup {
        group_id: group.group_id.to_string(),
        unit_id: group.unit_id,
        code: group.code.clone(),
        name: group.name.clone(),
        letter: group.letter.clone(),
        counters: group.counters,
        open: group.open,
        etag: group.etag(),
    }
}

fn ticket(ticket: &Ticket) -> proto::Ticket {
    proto::Ticket {
        ticket_id: ticket.ticket_id.to_string(),
        group_id: ticket.group_id.to_string(),
        day: Some(ticket.day.into()),
        number: ticket.number,
        label: ticket.label.clone(),
        state: i32::from(ticket.state.code()),
        priority: ticket.priority.clone(),
        counter: ticket.counter.unwrap_or(0),
        calls: ticket.calls,
        take_time: Some(timestamp(ticket.take_time)),
        call_time: ticket.call_time.map(timestamp),
        finish_time: ticket.finish_time.map(timestamp),
    }
}
