//! What follows from where the members stand.
//!
//! The function is pure and total; whoever coordinates asks it again after each action, until nothing follows. Every action changes the
//! application so that the same action does not follow again: this is what makes an interruption harmless.

use super::case::{EffectKind, LinkedCase, LinkedState, MemberState};
use super::pack::{Ended, Then};

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Files the case of a member.
    Start {
        /// The member.
        member: String,
    },
    /// Takes back the case of a member, because another one ended.
    Withdraw {
        /// The member.
        member: String,
        /// The one that ended.
        cause: String,
        /// How.
        ended: Ended,
    },
    /// Does not file a member any more.
    Cancel {
        /// The member.
        member: String,
        /// The one that ended, or itself.
        cause: String,
    },
    /// Records that a member goes its way, that somebody is asked, or that nothing can be undone.
    Record {
        /// The member.
        member: String,
        /// The one that ended.
        cause: String,
        /// What is recorded.
        kind: EffectKind,
    },
    /// Ends the application.
    Finish {
        /// As what.
        state: LinkedState,
    },
}

/// What is to be done now; any of it first, and then asked again, since what is done may take away the reason for the rest. Empty: nothing,
/// until something happens to a member.
pub fn next_actions(linked: &LinkedCase) -> Vec<Action> {
    if linked.state != LinkedState::Running {
        return Vec::new();
    }
    let mut actions = compensations(linked);
    if !actions.is_empty() {
        // What ended has its consequences first: a member that will not be filed must not be started meanwhile.
        return actions;
    }
    actions = starts(linked);
    if actions.is_empty() && is_over(linked) {
        actions.push(Action::Finish {
            state: linked.outcome(),
        });
    }
    actions
}

/// What the definition says of the others when a member ended without a result.
fn compensations(linked: &LinkedCase) -> Vec<Action> {
    let mut actions = Vec::new();
    for ended in &linked.members {
        let Some(how) = ended.state.ended() else { continue };
        for rule in linked.service.coordinated() {
            let Some(then) = rule
                .on_end
                .iter()
                .find(|on_end| on_end.of == ended.code)
                .map(|on_end| on_end.then(how))
            else {
                continue;
            };
            let Some(affected) = linked
                .member(&rule.code)
                .filter(|member| !member.state.is_final() || member.state == MemberState::Returned)
            else {
                continue;
            };
            let known = |effect: &super::case::Effect| effect.cause == ended.code && effect.affected == affected.code;
            if linked.effects.iter().any(known) {
                continue;
            }
            let (member, cause) = (affected.code.clone(), ended.code.clone());
            actions.push(match (then, affected.state) {
                (Then::Continue, _) => Action::Record {
                    member,
                    cause,
                    kind: EffectKind::Continued,
                },
                (_, state) if state.has_result() => Action::Record {
                    member,
                    cause,
                    kind: EffectKind::UndoImpossible,
                },
                (Then::Ask, _) => Action::Record {
                    member,
                    cause,
                    kind: EffectKind::Asked,
                },
                (Then::Withdraw, MemberState::Running) => Action::Withdraw {
                    member,
                    cause,
                    ended: how,
                },
                (Then::Withdraw, _) => Action::Cancel { member, cause },
            });
        }
    }
    actions
}

/// Members whose turn it is.
fn starts(linked: &LinkedCase) -> Vec<Action> {
    let waiting = linked
        .members
        .iter()
        .filter(|member| member.state == MemberState::Waiting);
    let asked = |code: &str| {
        linked
            .effects
            .iter()
            .any(|effect| effect.affected == code && effect.is_open())
    };
    waiting
        .filter(|member| !asked(&member.code))
        .filter(|member| {
            let Some(rule) = linked.service.member(&member.code) else {
                return false;
            };
            rule.after
                .iter()
                .all(|other| goes_without_or_with(linked, &member.code, other))
        })
        .map(|member| Action::Start {
            member: member.code.clone(),
        })
        .collect()
}

/// True if a member need not wait for another one any more: it has its result, or ended and the definition or an officer says that
/// the member goes on all the same.
fn goes_without_or_with(linked: &LinkedCase, member: &str, other: &str) -> bool {
    let Some(state) = linked.member(other).map(|other| other.state) else {
        return false;
    };
    let goes_on = linked.effects.iter().any(|effect| {
        effect.cause == other
            && effect.affected == member
            && (effect.kind == EffectKind::Continued || effect.withdraw == Some(false))
    });
    state.has_result() || (state.ended().is_some() && goes_on)
}

/// True if all members are at their end and nobody is asked anything.
fn is_over(linked: &LinkedCase) -> bool {
    linked.members.iter().all(|member| member.state.is_final())
        && !linked.effects.iter().any(super::case::Effect::is_open)
}
