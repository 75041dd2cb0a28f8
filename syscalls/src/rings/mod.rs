//! Requests and results in memory that is shared with the application: io_uring(7).
//!
//! - [`Ring`]: a pair of rings, in its [`memory`]; what is under way, what waits for its turn
//!   ([`order`]), and what is registered
//! - [`Request`]: something that is to be done; [`Operation`] is what
//! - [`RingFile`]: the descriptor
//!
//! A request is done by the thread that submits it, with that thread's credentials, files and
//! memory, by what the system calls do. It does not wait ([`Context::without_waiting`]): where
//! it would have to, it observes its file, and is tried again by the same thread when that has
//! news. The thread does so before it returns to the application, and wherever it waits
//! itself. So there are no threads but the application's, and a request ends with its thread.
//!
//! [`Context::without_waiting`]: crate::context::Context::without_waiting

mod cancel;
mod file;
mod memory;
mod operation;
mod order;
mod own;
mod prepare;
mod registered;
mod request;
mod results;
mod ring;
mod submit;
#[cfg(test)]
mod tests;
mod timeout;
mod transfer;

pub(crate) use file::RingFile;
pub(crate) use operation::is_offered;
pub(crate) use own::OwnRequests;
pub(crate) use registered::Notice;
pub(crate) use ring::Ring;
