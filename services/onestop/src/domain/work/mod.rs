//! Việc: who is to do which step of a case, and how work passes from hand to hand. Pure, like all of `domain`.
//!
//! * [`task`]: a task and its acts.
//! * [`follow`]: which tasks a case has as it goes on.
//! * [`mark`]: what is wrong with a single field or component.
//! * [`check`]: whether what is stored of tasks fits together.
//! * [`internal`]: the internal steps and the ten national codes.

pub mod check;
pub mod follow;
pub mod internal;
pub mod mark;
pub mod task;
