//! Files that stand for events, and waiting for the events of many files.
//!
//! - [`Epoll`]: many files at once, epoll(7)
//! - [`inotify`]: changes of files, inotify(7), which the [`notifier`] tells of
//! - [`directory`]: signals for changes in directories, fcntl(2)
//! - [`SignalFile`]: signals to read, signalfd(2)
//! - [`Counter`]: a number to wait for, eventfd(2)
//! - [`userfault`]: page faults to resolve, userfaultfd(2)
//! - [`TimerFile`]: a timer to wait for, timerfd_create(2)

pub(crate) mod counter;
pub(crate) mod directory;
pub(crate) mod epoll;
pub(crate) mod fanotify;
pub(crate) mod inotify;
pub(crate) mod notifier;
pub(crate) mod signal_file;
mod timer;
pub(crate) mod userfault;

pub(crate) use counter::Counter;
pub(crate) use epoll::Epoll;
pub(crate) use signal_file::SignalFile;
pub(crate) use timer::TimerFile;
