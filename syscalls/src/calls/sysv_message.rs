//! Messages of System V.

use alloc::vec::Vec;

use abi::Errno;
use abi::ipc::message::{self as command, MessageFlags, MessageQueueStatus};
use abi::ipc::{self, GetFlags};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::lock::Patience;
use crate::ipc::{Asked, Message, Reception, Selector};
use crate::named::MessageCommand;
use crate::user::UserPtr;

/// Length of the type in front of the text, in bytes.
const TYPE_LEN: u64 = size_of::<i64>() as u64;

/// msgget(2): finds or makes a queue of messages.
///
/// # Differences from Linux
/// None.
pub(crate) fn msgget(cx: &Context<'_>, key: i32, flags: u32) -> Result<i32> {
    cx.ipc().messages.get(cx, key, GetFlags::from_bits_retain(flags))
}

/// msgsnd(2): sends a message.
///
/// # Differences from Linux
/// None.
pub(crate) fn msgsnd(
    cx: &Context<'_>,
    number: i32,
    from: UserPtr<i64>,
    len: usize,
    flags: u32,
) -> Result<()> {
    let kind = from.read(cx)?;
    if len as u64 > cx.ipc().limits().message_len || number < 0 || kind < 1 {
        return Err(Errno::EINVAL.because("not a possible number, length or type"));
    }
    let text: Vec<u8> = text_of(from).read_array(cx, len)?;
    let message = Message { kind, text };
    cx.ipc().messages.send(cx, number, message, patience(flags))
}

/// msgrcv(2): receives a message; returns its length.
///
/// # Differences from Linux
/// None.
pub(crate) fn msgrcv(
    cx: &Context<'_>,
    number: i32,
    to: UserPtr<i64>,
    len: usize,
    kind: i64,
    flags: u32,
) -> Result<usize> {
    let messages = &cx.ipc().messages;
    let has = |flag| MessageFlags::from_bits_retain(flags).contains(flag);
    if number < 0 || isize::try_from(len).is_err() {
        return Err(Errno::EINVAL.because("a negative number or length"));
    }
    let longest = if has(MessageFlags::NOERROR) { usize::MAX } else { len };
    let message = if has(MessageFlags::COPY) {
        if has(MessageFlags::EXCEPT) || !has(MessageFlags::NOWAIT) {
            return Err(Errno::EINVAL.because("MSG_COPY selects by place and does not wait"));
        }
        let at = usize::try_from(kind).unwrap_or(usize::MAX);
        messages.copy(cx, number, at, longest)?
    } else {
        let selector = match kind {
            0 => Selector::Any,
            1.. if has(MessageFlags::EXCEPT) => Selector::NotKind(kind),
            1.. => Selector::Kind(kind),
            _ => Selector::UpTo(kind.checked_neg().unwrap_or(i64::MAX)),
        };
        messages.receive(cx, number, Reception { selector, longest, patience: patience(flags) })?
    };
    to.write(cx, &message.kind)?;
    let len = message.text.len().min(len);
    cx.memory().write(text_of(to).address(), &message.text[..len])?;
    Ok(len)
}

fn text_of(message: UserPtr<i64>) -> UserPtr<u8> {
    UserPtr::new(message.address().wrapping_add(TYPE_LEN))
}

fn patience(flags: u32) -> Patience {
    let waits = !MessageFlags::from_bits_retain(flags).contains(MessageFlags::NOWAIT);
    if waits { Patience::Wait } else { Patience::None }
}

/// msgctl(2): tells of queues and changes them.
///
/// # Differences from Linux
/// None.
pub(crate) fn msgctl(
    cx: &Context<'_>,
    number: i32,
    command: MessageCommand,
    to: UserPtr<MessageQueueStatus>,
) -> Result<i32> {
    let messages = &cx.ipc().messages;
    if number < 0 || command.0 < 0 {
        return Err(Errno::EINVAL.because("a negative number"));
    }
    match command.0 {
        ipc::IPC_INFO | command::MSG_INFO => {
            let limits = cx.ipc().limits();
            let (info, highest) = match command.0 {
                ipc::IPC_INFO => messages.limits(&limits),
                _ => messages.usage(&limits),
            };
            UserPtr::new(to.address()).write(cx, &info)?;
            Ok(highest)
        }
        ipc::IPC_STAT => {
            to.write(cx, &messages.status(cx, number, Asked::READ)?)?;
            Ok(0)
        }
        command::MSG_STAT | command::MSG_STAT_ANY => {
            let number = messages.at(number)?;
            let is_open = command.0 == command::MSG_STAT_ANY;
            let asked = if is_open { Asked::NOTHING } else { Asked::READ };
            to.write(cx, &messages.status(cx, number, asked)?)?;
            Ok(number)
        }
        ipc::IPC_SET => {
            let new = to.read(cx)?;
            messages.set(cx, number, &new).map(|()| 0)
        }
        ipc::IPC_RMID => messages.remove(cx, number).map(|()| 0),
        _ => Err(Errno::EINVAL.because("an unknown command")),
    }
}
