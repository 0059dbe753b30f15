//! Non-interference (không can thiệp): rows that a caller may not see change none of that caller's answers, whatever is asked.
//!
//! Generated from the descriptors: each read RPC of the service is asked by each caller, with every field that it has; then the neighbour's rows
//! are added, acted upon, changed behind the service's back and deleted, and after each of it all answers must be what they were. A new RPC,
//! or a new field, is covered without a hand, or named by the failure: because nothing is known to fill it with, because nobody is answered
//! anything, or because the neighbour has nothing that it could show. Its rows are made in `rows_of_units`, once for both sides.

use std::collections::BTreeSet;

use futures::{StreamExt as _, stream};
use serde_json::{Map, Value, json};
use tonic::Code;
use uuid::Uuid;

use crate::fees::owing;
use crate::linked::followed;
use crate::readers::{Answer, Asker, Known, Reader, read_rpcs};
use crate::rows_of_units::{NEIGHBOUR, OURS, Side, decide_a_fact};
use crate::support::*;

const PACKAGE: &str = "egov.onestop.v1";

/// RPCs that are asked at once. Questions to one of them follow each other: two look-ups of one case at once would wait for each other.
const AT_ONCE: usize = 6;

/// Who sees everything that there is of some kinds of rows, by the policy.
const CONTROLLER: &str = "procedure_controller";

/// Everybody who sees something at a unit, and nothing at the other.
fn askers(stack: &Stack, side: &Side) -> Vec<Asker> {
    let staff = |name: &'static str, roles: &[(&str, i32)]| Asker {
        name,
        token: Some(stack.tokens.staff(side.official, roles)),
        purpose: Some("case_handling"),
    };
    let of_unit = |role: &'static str| staff(role, &[(role, side.unit_id), ("staff", side.unit_id)]);
    vec![
        of_unit("officer"),
        of_unit("unit_leader"),
        of_unit("fee_accountant"),
        // The same role as the controller's, held at the unit alone.
        staff("controller_of_the_unit", &[(CONTROLLER, side.unit_id)]),
        Asker {
            name: CONTROLLER,
            token: Some(stack.tokens.staff(Uuid::from_u128(0x52), &[(CONTROLLER, PROVINCE)])),
            purpose: Some("case_handling"),
        },
        Asker {
            name: "case_synchroniser",
            token: Some(
                stack
                    .tokens
                    .system(Uuid::from_u128(0x901), &[("case_synchroniser", side.unit_id)]),
            ),
            purpose: Some("portal_synchronisation"),
        },
        Asker {
            name: "civil_decision_taker",
            token: Some(
                stack
                    .tokens
                    .system(Uuid::from_u128(0x902), &[("civil_decision_taker", side.unit_id)]),
            ),
            purpose: Some("civil_status_registration"),
        },
        Asker {
            name: "citizen",
            token: Some(stack.portal_token(side.citizen)),
            purpose: Some("own_case"),
        },
        Asker {
            name: "nobody",
            token: None,
            purpose: None,
        },
    ]
}

/// What the controller of the province sees of every unit: figures, what is worked out of cases without naming anybody, and drafts and
/// migrations, which are the province's.
const OF_ALL_UNITS: [&str; 4] = [
    "ReportService.",
    "DefinitionService.",
    "DeadlineService.PreviewCalendarChange",
    "ComponentService.ListAvoidablePapers",
];

/// Who may see the neighbour's rows, by the policy: everybody the board in its waiting room, and the controller of the province what is of all
/// units. What is of our unit alone is the same for them too.
fn may_see(asker: &str, rpc: &str, request: &Map<String, Value>) -> bool {
    let unit = request
        .get("unit_id")
        .or_else(|| request.get("statistics")?.get("unit_id"));
    let is = |name: &str| rpc.strip_prefix(PACKAGE).is_some_and(|rpc| rpc[1..].starts_with(name));
    if is("CounterService.GetBoard") {
        return unit.is_some_and(|unit| *unit == json!(NEIGHBOUR.unit_id));
    }
    asker == CONTROLLER && OF_ALL_UNITS.into_iter().any(is) && unit.is_none_or(|unit| *unit != json!(OURS.unit_id))
}

/// What one caller asks of one RPC.
#[derive(Clone)]
struct Question {
    /// The place of the RPC.
    reader: usize,
    /// The place of the caller.
    asker: usize,
    request: Map<String, Value>,
}

/// Every question of every caller to every RPC.
struct Questions {
    readers: Vec<Reader>,
    askers: Vec<Asker>,
    asked: Vec<Question>,
}

impl Questions {
    /// All of them, with the answers. Panics with the names of RPCs and fields that cannot be asked, and of RPCs that tell nobody anything.
    async fn gather(stack: &Stack, known: &Known) -> (Self, Vec<Answer>) {
        let readers: Vec<Reader> = read_rpcs(PACKAGE)
            .into_iter()
            .map(|rpc| Reader::new(stack, rpc))
            .collect();
        let mut questions = Self {
            readers,
            askers: askers(stack, &OURS),
            asked: Vec::new(),
        };
        let places = 0..questions.readers.len();
        let gathered: Vec<_> = stream::iter(places)
            .map(|reader| questions.of_reader(reader, known))
            .buffered(AT_ONCE)
            .collect()
            .await;
        let (mut asked, mut answers, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
        for gathered in gathered {
            match gathered {
                Ok(of_reader) => {
                    for (question, answer) in of_reader {
                        asked.push(question);
                        answers.push(answer);
                    }
                }
                Err(unknown) => wrong.push(unknown),
            }
        }
        assert!(
            wrong.is_empty(),
            "these are not really asked; make rows for them, and say what fills their fields, in rows_of_units.rs:\n{}",
            wrong.join("\n")
        );
        questions.asked = asked;
        (questions, answers)
    }

    /// The questions to one RPC with the answers, or why it is not really asked.
    async fn of_reader(&self, place: usize, known: &Known) -> Result<Vec<(Question, Answer)>, String> {
        let reader = &self.readers[place];
        let (mut asked, mut told) = (Vec::new(), false);
        for (who, asker) in self.askers.iter().enumerate() {
            for request in reader.requests(asker, known).await? {
                let answer = reader.ask(asker, &request).await;
                told |= reader.says_something(&answer);
                let question = Question {
                    reader: place,
                    asker: who,
                    request,
                };
                asked.push((question, answer));
            }
        }
        if told {
            Ok(asked)
        } else {
            Err(format!("{}: nobody is told anything", reader.name()))
        }
    }

    /// Asks these, each with its number: several RPCs at once, one RPC one question after the other.
    async fn ask(&self, asked: Vec<(usize, Question)>) -> Vec<(usize, Question, Answer)> {
        let mut by_reader: Vec<Vec<(usize, Question)>> = self.readers.iter().map(|_| Vec::new()).collect();
        for (number, question) in asked {
            by_reader[question.reader].push((number, question));
        }
        // The longest first, so that none is left over at the end.
        by_reader.sort_by_key(|questions| std::cmp::Reverse(questions.len()));
        let answered: Vec<Vec<_>> = stream::iter(by_reader)
            .map(|questions| self.ask_in_turn(questions))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        answered.into_iter().flatten().collect()
    }

    async fn ask_in_turn(&self, questions: Vec<(usize, Question)>) -> Vec<(usize, Question, Answer)> {
        let mut answered = Vec::with_capacity(questions.len());
        for (number, question) in questions {
            let answer = self.readers[question.reader]
                .ask(&self.askers[question.asker], &question.request)
                .await;
            answered.push((number, question, answer));
        }
        answered
    }

    /// Demands that everything is answered as before; and, if rows of others are known, that what was asked about rows that do not exist is
    /// answered about those rows as if they did not either.
    async fn demand_the_same(&self, before: &[Answer], what: &str, others: Option<&Known>) {
        let mut asked = Vec::with_capacity(self.asked.len());
        for (number, question) in self.asked.iter().enumerate() {
            let about = others.map(|others| self.readers[question.reader].about(&question.request, others));
            for request in about.unwrap_or_else(|| vec![question.request.clone()]) {
                let question = Question {
                    request,
                    ..question.clone()
                };
                asked.push((number, question));
            }
        }
        let changed: Vec<String> = self
            .ask(asked)
            .await
            .into_iter()
            .filter(|(number, _, after)| before[*number] != *after)
            .map(|(number, question, after)| {
                let (rpc, asker) = (self.readers[question.reader].name(), self.askers[question.asker].name);
                (rpc, asker, question.request, &before[number], after)
            })
            .filter(|(rpc, asker, request, ..)| !may_see(asker, rpc, request))
            .map(|(rpc, asker, request, before, after)| {
                format!("{rpc} by {asker}, asked {request:?}:\n  before {before:?}\n  after  {after:?}")
            })
            .collect();
        assert!(
            changed.is_empty(),
            "{what} changes {} answers:\n{}",
            changed.len(),
            changed.join("\n")
        );
    }

    /// Demands that there is something in every RPC that its callers could be told: the neighbour's own callers are.
    async fn demand_that_the_neighbour_is_told(&self, stack: &Stack, known: &Known) {
        let askers = askers(stack, &NEIGHBOUR);
        let untold: Vec<Option<String>> = stream::iter(&self.readers)
            .map(|reader| told_nothing(reader, &askers, known))
            .buffered(AT_ONCE)
            .collect()
            .await;
        let untold: Vec<String> = untold.into_iter().flatten().collect();
        assert!(
            untold.is_empty(),
            "the neighbour has nothing that these could show; make rows of both sides in rows_of_units.rs:\n{}",
            untold.join("\n")
        );
    }

    /// The RPCs of which answers are others than before, and are answers.
    async fn changed(&self, before: &[Answer]) -> BTreeSet<&str> {
        let asked = self.asked.iter().cloned().enumerate().collect();
        let answered = self.ask(asked).await;
        let changed = answered
            .into_iter()
            .filter(|(number, _, after)| after.is_ok() && before[*number] != *after);
        changed
            .map(|(_, question, _)| self.readers[question.reader].name())
            .collect()
    }
}

/// The name of an RPC that tells none of these callers anything.
async fn told_nothing(reader: &Reader, askers: &[Asker], known: &Known) -> Option<String> {
    for asker in askers {
        for request in reader.requests(asker, known).await.unwrap_or_default() {
            let answer = reader.ask(asker, &request).await;
            if reader.says_something(&answer) {
                return None;
            }
            if matches!(answer, Err((Code::PermissionDenied | Code::Unauthenticated, _))) {
                break;
            }
        }
    }
    Some(reader.name().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_a_caller_may_not_see_change_none_of_its_answers() {
    let stack = Stack::start().await;
    decide_a_fact(&stack).await;
    let filed = OURS.file(&stack).await;
    let handled = OURS.handle(&stack, &filed).await;
    // From here on nothing of ours changes by itself.
    followed(&stack).await;
    let known = OURS.known(&filed, &handled).with_nobodys();
    let (questions, before) = Questions::gather(&stack, &known).await;
    let answered = before.iter().filter(|answer| answer.is_ok()).count();
    assert!(answered > 100, "{answered} of {} questions were answered", before.len());

    let filed = NEIGHBOUR.file(&stack).await;
    assert_eq!(filed.first_code(), "H41.202-261123-0001");
    NEIGHBOUR.filed_by_the_first_version(&stack).await;
    questions
        .demand_the_same(&before, "adding the neighbour's rows", None)
        .await;

    let handled = NEIGHBOUR.handle(&stack, &filed).await;
    let known = NEIGHBOUR.known(&filed, &handled);
    questions
        .demand_the_same(&before, "acting on the neighbour's rows", Some(&known))
        .await;
    questions.demand_that_the_neighbour_is_told(&stack, &known).await;

    NEIGHBOUR.change_cases(&stack).await;
    NEIGHBOUR.change(&stack).await;
    questions
        .demand_the_same(&before, "changing the neighbour's rows", None)
        .await;

    NEIGHBOUR.delete(&stack).await;
    questions
        .demand_the_same(&before, "deleting the neighbour's rows", None)
        .await;

    // The counter-check: the same at the own unit changes answers, so that equality above says something.
    submit(&stack).await;
    OURS.file_linked(&stack).await;
    let more = owing(&stack).await;
    OURS.money(&stack, &more, ["BL-2", "BL-8"]).await;
    OURS.filed_by_the_first_version(&stack).await;
    OURS.change(&stack).await;
    let changed = questions.changed(&before).await;
    for rpc in [
        "CaseService.ListCases",
        "CaseService.SearchCases",
        "ComponentService.ListAvoidablePapers",
        "ComponentService.ListStoredPapers",
        "CounterService.GetBoard",
        "CounterService.ListCounterGroups",
        "CounterService.ListTickets",
        "DeadlineService.ForecastDeadlines",
        "DeadlineService.ListCasesAtRisk",
        "DeadlineService.ListDeadlineChanges",
        "DeadlineService.PreviewCalendarChange",
        "DefinitionService.GetDraft",
        "DefinitionService.GetMigration",
        "DefinitionService.LintDraft",
        "DefinitionService.ListDraftChanges",
        "DefinitionService.ListDrafts",
        "DefinitionService.ListMigratedCases",
        "DefinitionService.PreviewMigration",
        "DefinitionService.Simulate",
        "FeeService.GetPaymentFigures",
        "FeeService.ListDifferences",
        "FeeService.ListTreasuryFiles",
        "FeeService.ListUnsettledCharges",
        "FileService.GetUpload",
        "LinkedCaseService.ListLinkedCases",
        "PaperService.GetTrackingBook",
        "ReportService.CheckReport",
        "ReportService.ExportReport",
        "ReportService.ExportStatistics",
        "ReportService.GetPunctuality",
        "ReportService.GetReport",
        "ReportService.GetStatistics",
        "ReportService.ListReports",
        "ResultService.ListResults",
        "WorkService.GetTask",
        "WorkService.ListComments",
        "WorkService.ListInbox",
    ] {
        assert!(
            changed.contains(format!("{PACKAGE}.{rpc}").as_str()),
            "{rpc}: {changed:?}"
        );
    }
}
