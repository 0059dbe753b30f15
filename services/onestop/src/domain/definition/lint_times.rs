//! The linter's look at times: units, and the steps together against the legal time.
//!
//! Every scenario in which a legal time counts is looked at: a channel, and each special time of it. The longest way through
//! the steps that may be gone in that scenario is compared with it; a way back counts each step once. The return of the
//! result comes after the processing and does not count.
//!
//! Working days and hours are compared by the office hours of a day. Days of the calendar against working days are compared
//! by what is certain: n working days take at least n days, and two more for each full week.

use std::collections::{BTreeMap, BTreeSet};

use super::lint::{Context, FindingKind, Found, step_path};
use crate::domain::pack::{Channel, Procedure, Step, Time, TimeUnit};
use crate::domain::transitions::State;

/// Office minutes, or hours on the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Span {
    Office(u64),
    Clock(u64),
}

fn span(value: Option<u32>, unit: TimeUnit, office_minutes: u32) -> Option<Span> {
    let of = |value: u32, one: u32| u64::from(value) * u64::from(one);
    Some(match (unit, value) {
        (TimeUnit::SameDay, None) => Span::Office(u64::from(office_minutes)),
        (TimeUnit::SameDay, Some(_)) | (_, None) => return None,
        (TimeUnit::WorkingDay, Some(value)) => Span::Office(of(value, office_minutes)),
        (TimeUnit::WorkingHour, Some(value)) => Span::Office(of(value, 60)),
        (TimeUnit::Day, Some(value)) => Span::Clock(of(value, 24)),
        (TimeUnit::Hour, Some(value)) => Span::Clock(u64::from(value)),
    })
}

/// The fewest hours on the wall clock that a span can take.
fn fewest_hours(span: Span, office_minutes: u32) -> u64 {
    match span {
        Span::Clock(hours) => hours,
        Span::Office(minutes) => {
            let days = minutes / u64::from(office_minutes.max(1));
            (days + 2 * (days / 5)) * 24
        }
    }
}

/// Looks at all times.
pub(super) fn times(procedure: &Procedure, context: &Context<'_>, found: &mut Found) {
    units(procedure, context, found);
    let timed = procedure.steps.iter().any(|step| step.time.is_some());
    if !timed {
        return;
    }
    for scenario in scenarios(procedure) {
        let Some(legal) = scenario
            .time
            .unit
            .and_then(|unit| span(scenario.time.value, unit, context.office_minutes))
        else {
            continue;
        };
        compare(procedure, context, &scenario, legal, found);
    }
}

fn units(procedure: &Procedure, context: &Context<'_>, found: &mut Found) {
    for step in &procedure.steps {
        let Some(time) = step.time else { continue };
        let path = format!("{}.time", step_path(&step.code));
        match time.unit {
            None => found.say(
                FindingKind::TimeUnitUnknown,
                path,
                "thời gian của bước không có đơn vị tính",
                "the time of the step has no unit",
            ),
            Some(unit) => {
                let fits = time.value != Some(0) && span(time.value, unit, context.office_minutes).is_some();
                if !fits {
                    found.say(
                        FindingKind::Contradiction,
                        path,
                        "thời gian của bước không hợp lệ",
                        "the time of the step is no time",
                    );
                }
            }
        }
    }
}

/// A case in which a legal time counts.
struct Scenario<'a> {
    path: String,
    channel: Channel,
    time: &'a Time,
    /// The condition that makes the special time count.
    holds: Option<&'a str>,
    /// Conditions of special times that would count before this one.
    cannot: Vec<&'a str>,
}

fn scenarios(procedure: &Procedure) -> Vec<Scenario<'_>> {
    let mut scenarios = Vec::new();
    for offer in &procedure.channels {
        let special: Vec<&str> = offer
            .special_times
            .iter()
            .map(|special| special.when.as_str())
            .collect();
        scenarios.push(Scenario {
            path: format!("channels.{}.time", offer.channel.as_str()),
            channel: offer.channel,
            time: &offer.time,
            holds: None,
            cannot: special.clone(),
        });
        for (index, one) in offer.special_times.iter().enumerate() {
            scenarios.push(Scenario {
                path: format!("channels.{}.time.{}", offer.channel.as_str(), one.when),
                channel: offer.channel,
                time: &one.time,
                holds: Some(&one.when),
                cannot: special.iter().take(index).copied().collect(),
            });
        }
    }
    scenarios
}

impl Scenario<'_> {
    /// Whether a condition may hold of a case in this scenario.
    fn may_hold(&self, procedure: &Procedure, code: &str) -> bool {
        let Some(condition) = procedure.conditions.iter().find(|condition| condition.code == code) else {
            return false;
        };
        if let Some(channel) = condition.channel {
            return channel == self.channel;
        }
        if self.cannot.contains(&code) {
            return false;
        }
        // Of a choice only one holds.
        let choice_of = |code: &str| {
            let found = procedure.conditions.iter().find(|condition| condition.code == code);
            found.and_then(|condition| condition.choice.as_deref())
        };
        self.holds
            .is_none_or(|holds| holds == code || choice_of(holds).is_none() || choice_of(holds) != choice_of(code))
    }
}

fn counts(step: &Step) -> bool {
    step.state != State::Returned
}

/// Ways back: from a step to one that was passed already, as they are met from the beginning on.
fn ways_back(procedure: &Procedure) -> BTreeSet<(usize, usize)> {
    fn look(
        procedure: &Procedure,
        place: usize,
        passing: &mut Vec<usize>,
        done: &mut BTreeSet<usize>,
        back: &mut BTreeSet<(usize, usize)>,
    ) {
        passing.push(place);
        for to in procedure.successors(place) {
            if passing.contains(&to) {
                back.insert((place, to));
            } else if !done.contains(&to) {
                look(procedure, to, passing, done, back);
            }
        }
        passing.pop();
        done.insert(place);
    }
    let (mut done, mut back) = (BTreeSet::new(), BTreeSet::new());
    if !procedure.steps.is_empty() {
        look(procedure, 0, &mut Vec::new(), &mut done, &mut back);
    }
    back
}

/// The search for the longest way by a measure.
struct Longest<'a> {
    procedure: &'a Procedure,
    scenario: &'a Scenario<'a>,
    back: BTreeSet<(usize, usize)>,
    measure: &'a dyn Fn(&Step) -> u64,
    known: BTreeMap<usize, (u64, Vec<usize>)>,
}

impl Longest<'_> {
    /// From a step on: how much, and over which steps.
    fn from(&mut self, place: usize) -> (u64, Vec<usize>) {
        if let Some(found) = self.known.get(&place) {
            return found.clone();
        }
        let procedure = self.procedure;
        let Some(step) = procedure.steps.get(place) else {
            return (0, Vec::new());
        };
        let mut best: (u64, Vec<usize>) = (0, Vec::new());
        for branch in procedure.branches(step) {
            let scenario = self.scenario;
            let open = branch
                .when
                .as_ref()
                .is_none_or(|when| scenario.may_hold(procedure, when));
            let to = procedure.steps.iter().position(|other| other.code == branch.to);
            if let Some(to) = to.filter(|to| open && !self.back.contains(&(place, *to))) {
                let way = self.from(to);
                if way.0 > best.0 || best.1.is_empty() {
                    best = way;
                }
            }
        }
        best.0 += if counts(step) { (self.measure)(step) } else { 0 };
        best.1.insert(0, place);
        self.known.insert(place, best.clone());
        best
    }
}

fn compare(procedure: &Procedure, context: &Context<'_>, scenario: &Scenario<'_>, legal: Span, found: &mut Found) {
    let office = context.office_minutes;
    let of = |step: &Step| {
        let time = step.time?;
        span(time.value, time.unit?, office)
    };
    let alike = procedure
        .steps
        .iter()
        .filter(|step| counts(step))
        .filter_map(of)
        .all(|span| {
            matches!(
                (span, legal),
                (Span::Office(_), Span::Office(_)) | (Span::Clock(_), Span::Clock(_))
            )
        });
    let measure = |step: &Step| match of(step) {
        None => 0,
        Some(Span::Office(amount) | Span::Clock(amount)) if alike => amount,
        Some(span) => fewest_hours(span, office),
    };
    let limit = match legal {
        Span::Office(amount) | Span::Clock(amount) if alike => amount,
        legal => fewest_hours(legal, office),
    };
    let mut longest = Longest {
        procedure,
        scenario,
        back: ways_back(procedure),
        measure: &measure,
        known: BTreeMap::new(),
    };
    let (sum, way) = longest.from(0);
    if sum > limit {
        let names: Vec<&str> = way
            .iter()
            .filter_map(|place| procedure.steps.get(*place))
            .filter(|step| step.time.is_some() && counts(step))
            .map(|step| step.code.as_str())
            .collect();
        let written = |amount: u64| match (alike, legal) {
            (true, Span::Office(_)) => (format!("{amount} phút làm việc"), format!("{amount} office minutes")),
            _ => (format!("{amount} giờ"), format!("{amount} hours")),
        };
        let ((sum_vi, sum_en), (limit_vi, limit_en)) = (written(sum), written(limit));
        let names = names.join(" + ");
        found.say(
            FindingKind::StepsTooLong,
            &scenario.path,
            format!("các bước {names} cần {sum_vi}, quá thời hạn giải quyết {limit_vi}"),
            format!("the steps {names} take {sum_en}, more than the legal {limit_en}"),
        );
    } else if !alike {
        found.say(
            FindingKind::TimesNotComparable,
            &scenario.path,
            "thời gian các bước và thời hạn giải quyết khác loại đơn vị; chỉ so được gần đúng",
            "the times of the steps and the legal time are in different units; they are compared by what is certain only",
        );
    }
}
