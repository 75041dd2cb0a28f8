//! Typed arguments: from registers to the types of a handler's parameters, and to the text
//! of the tracer.
//!
//! A handler is a plain function `fn(&Context, A, B, …) -> Result<impl Into<Outcome>>` of up
//! to six [`Argument`]s; [`typed`] turns it into a [`Call`] for the table.

use core::fmt::{self, Write};
use core::marker::PhantomData;

use abi::Errno;
use abi::signal::Signal;

use crate::context::Context;
use crate::error::{Because, Outcome, Result};

/// A type that a system call can have as a parameter.
pub trait Argument: Sized {
    /// Takes the argument from its register, whose unused upper bits are ignored as Linux
    /// does.
    ///
    /// # Errors
    /// `EINVAL` where the type has values that are not allowed.
    fn from_register(raw: u64) -> Result<Self>;

    /// Writes the argument as strace(1) shows it.
    ///
    /// # Errors
    /// Those of `out`.
    fn show(raw: u64, cx: &Context<'_>, out: &mut dyn Write) -> fmt::Result;
}

/// A system call of the table.
pub trait Call: Sync {
    /// Calls the handler with the arguments in these registers.
    ///
    /// # Errors
    /// Those of the handler's manual page.
    fn call(&self, cx: &Context<'_>, raw: &[u64; 6]) -> Result<Outcome>;

    /// How many arguments it takes.
    fn count(&self) -> usize;

    /// Writes the arguments, separated by commas, as strace(1) does.
    ///
    /// # Errors
    /// Those of `out`.
    fn show(&self, cx: &Context<'_>, raw: &[u64; 6], out: &mut dyn Write) -> fmt::Result;
}

/// A handler together with the types of its parameters.
pub struct Typed<F, A> {
    handler: F,
    arguments: PhantomData<fn(A)>,
}

/// The [`Call`] that a handler is.
pub const fn typed<F, A>(handler: F) -> Typed<F, A>
where
    Typed<F, A>: Call,
{
    Typed { handler, arguments: PhantomData }
}

// One implementation per number of parameters; a trait cannot be implemented for functions
// of any arity without a macro.
macro_rules! call_with {
    ($($name:ident $at:literal),*) => {
        impl<F, R, $($name,)*> Call for Typed<F, ($($name,)* R,)>
        where
            F: Fn(&Context<'_>, $($name),*) -> Result<R> + Sync,
            R: Into<Outcome>,
            $($name: Argument,)*
        {
            fn call(&self, cx: &Context<'_>, raw: &[u64; 6]) -> Result<Outcome> {
                let _ = raw;
                (self.handler)(cx, $($name::from_register(raw[$at])?),*).map(Into::into)
            }

            fn count(&self) -> usize {
                <[usize]>::len(&[$($at),*])
            }

            #[allow(unused_mut, unused_variables)]
            fn show(&self, cx: &Context<'_>, raw: &[u64; 6], out: &mut dyn Write) -> fmt::Result {
                let mut separator = "";
                $(
                    out.write_str(separator)?;
                    $name::show(raw[$at], cx, out)?;
                    separator = ", ";
                )*
                let _ = separator;
                Ok(())
            }
        }
    };
}

call_with!();
call_with!(A 0);
call_with!(A 0, B 1);
call_with!(A 0, B 1, C 2);
call_with!(A 0, B 1, C 2, D 3);
call_with!(A 0, B 1, C 2, D 3, E 4);
call_with!(A 0, B 1, C 2, D 3, E 4, G 5);

/// Implements [`Argument`] for integers that fill a register's low bits.
macro_rules! integer_arguments {
    ($($type:ty),*) => {$(
        impl Argument for $type {
            fn from_register(raw: u64) -> Result<Self> {
                Ok(raw as Self)
            }

            fn show(raw: u64, _: &Context<'_>, out: &mut dyn Write) -> fmt::Result {
                write!(out, "{}", raw as Self)
            }
        }
    )*};
}

integer_arguments!(i32, u32, i64, u64, usize);

/// The number of a signal, which may be 0 or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalNumber(pub i32);

impl SignalNumber {
    /// The signal.
    ///
    /// # Errors
    /// `EINVAL` when there is none with this number.
    pub fn signal(self) -> Result<Signal> {
        u8::try_from(self.0)
            .ok()
            .and_then(Signal::new)
            .ok_or_else(|| Errno::EINVAL.because("no such signal"))
    }

    /// The signal, or `None` for 0, which only asks whether one could be sent.
    ///
    /// # Errors
    /// As [`SignalNumber::signal`].
    pub fn signal_if_any(self) -> Result<Option<Signal>> {
        if self.0 == 0 { Ok(None) } else { self.signal().map(Some) }
    }
}

impl Argument for SignalNumber {
    fn from_register(raw: u64) -> Result<Self> {
        Ok(Self(raw as i32))
    }

    fn show(raw: u64, _: &Context<'_>, out: &mut dyn Write) -> fmt::Result {
        match Self(raw as i32).signal() {
            Ok(signal) if signal.is_real_time() => {
                write!(out, "SIGRT_{}", signal.number() - abi::signal::SIGRTMIN)
            }
            Ok(signal) => out.write_str(signal.name()),
            Err(_) => write!(out, "{}", raw as i32),
        }
    }
}
