//! Events of a group, and questions to it.

use alloc::sync::Arc;

use abi::fanotify::FanotifyMask;
use spin::Mutex;

use crate::fs::Location;

use super::identity::Identity;

/// What an event is about.
#[derive(Clone)]
pub(super) enum Subject {
    /// That there were too many events.
    Overflow,
    /// A file, which the reader gets a descriptor of.
    File(Location),
    /// A file, which the reader is told handles of.
    Identity(Identity),
}

/// Whether somebody may do what he was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Allowed,
    Denied,
}

/// Something that a group has to decide.
#[derive(Default)]
pub(super) struct Question {
    answer: Mutex<Option<Answer>>,
}

impl Question {
    /// The answer, once there is one.
    pub(super) fn answer(&self) -> Option<Answer> {
        *self.answer.lock()
    }

    /// Answers it. The first answer counts.
    pub(super) fn decide(&self, answer: Answer) {
        self.answer.lock().get_or_insert(answer);
    }
}

/// An event of a group.
#[derive(Clone)]
pub(super) struct Event {
    pub(super) mask: FanotifyMask,
    /// Number of the process or thread, as the group wants it; 0 where it may not know.
    pub(super) actor: u32,
    pub(super) subject: Subject,
    pub(super) question: Option<Arc<Question>>,
}

impl Event {
    /// The event that says that there were too many.
    pub(super) fn overflow() -> Self {
        let (mask, subject) = (FanotifyMask::Q_OVERFLOW, Subject::Overflow);
        Self { mask, actor: 0, subject, question: None }
    }

    /// Whether both can be one event.
    pub(super) fn merges_with(&self, other: &Self) -> bool {
        const APART: FanotifyMask = FanotifyMask::ONDIR.union(FanotifyMask::RENAME);
        if self.question.is_some() || other.question.is_some() || self.actor != other.actor {
            return false;
        }
        match (&self.subject, &other.subject) {
            (Subject::Overflow, Subject::Overflow) => true,
            (Subject::File(one), Subject::File(another)) => one.is(another),
            (Subject::Identity(one), Subject::Identity(another)) => {
                (self.mask & APART) == (other.mask & APART) && one == another
            }
            _ => false,
        }
    }
}
