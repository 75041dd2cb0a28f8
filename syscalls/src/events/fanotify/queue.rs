//! The events of a group that have not been read, and its questions that have not been
//! answered.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::fanotify::FanotifyMask;

use super::MAX_EVENTS;
use super::event::{Answer, Event, Question};

/// How many of the latest events are looked at for one to merge with.
const MERGE_DEPTH: usize = 128;

/// What a group has for its readers.
#[derive(Default)]
pub(super) struct Queue {
    events: VecDeque<Event>,
    /// Questions that were read, by the descriptor that the reader got.
    asked: Vec<(i32, Arc<Question>)>,
}

impl Queue {
    /// Adds an event, or merges it with one that is there. Where there are too many, one event
    /// says so.
    pub(super) fn push(&mut self, event: Event, is_unlimited: bool) {
        let latest = self.events.iter_mut().rev().take(MERGE_DEPTH);
        for one in latest {
            if one.merges_with(&event) {
                one.mask |= event.mask;
                return;
            }
        }
        let has_room = is_unlimited || self.events.len() < MAX_EVENTS;
        if has_room && self.events.try_reserve(1).is_ok() {
            self.events.push_back(event);
            return;
        }
        // Nobody could answer what nobody can read.
        if let Some(question) = event.question {
            question.decide(Answer::Allowed);
        }
        let is_told = self.events.back().is_some_and(|last| last.mask == FanotifyMask::Q_OVERFLOW);
        if !is_told && self.events.try_reserve(1).is_ok() {
            self.events.push_back(Event::overflow());
        }
    }

    /// The first event.
    pub(super) fn first(&self) -> Option<&Event> {
        self.events.front()
    }

    /// Takes the first event.
    pub(super) fn take(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// A question was read, with this descriptor.
    pub(super) fn was_asked(&mut self, fd: i32, question: Arc<Question>) {
        self.asked.push((fd, question));
    }

    /// The question that was read with this descriptor.
    pub(super) fn take_asked(&mut self, fd: i32) -> Option<Arc<Question>> {
        let at = self.asked.iter().position(|(asked, _)| *asked == fd)?;
        Some(self.asked.swap_remove(at).1)
    }

    /// How many events there are.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// A question is not of interest any more.
    pub(super) fn withdraw(&mut self, question: &Arc<Question>) {
        let is_it = |other: &Arc<Question>| Arc::ptr_eq(other, question);
        self.events.retain(|event| !event.question.as_ref().is_some_and(is_it));
        self.asked.retain(|(_, other)| !is_it(other));
    }

    /// Answers all questions: nobody listens any more.
    pub(super) fn allow_all(&mut self) {
        let waiting = self.events.drain(..).filter_map(|event| event.question);
        for question in waiting.chain(self.asked.drain(..).map(|(_, question)| question)) {
            question.decide(Answer::Allowed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::Subject;
    use super::*;

    fn event(actor: u32, question: Option<Arc<Question>>) -> Event {
        Event { mask: FanotifyMask::OPEN_PERM, actor, subject: Subject::Overflow, question }
    }

    #[test]
    fn a_question_that_finds_no_room_is_answered() {
        let mut queue = Queue::default();
        for actor in 0..MAX_EVENTS as u32 {
            queue.push(event(actor, None), false);
        }
        for len in [MAX_EVENTS + 1, MAX_EVENTS + 1] {
            let question = Arc::<Question>::default();
            queue.push(event(0, Some(question.clone())), false);
            assert_eq!(question.answer(), Some(Answer::Allowed));
            assert_eq!(queue.len(), len);
        }
        let question = Arc::<Question>::default();
        queue.push(event(0, Some(question.clone())), true);
        assert_eq!(question.answer(), None);
    }
}
