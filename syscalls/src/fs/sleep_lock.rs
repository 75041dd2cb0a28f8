//! A lock whose holder may wait for a device, so that whoever wants it meanwhile sleeps.
//!
//! Unlike [`super::turn::Turn`] it guards data, needs no caller's context and is not given up
//! for a signal: who holds it waits for devices alone, never for the application.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

use spin::{Mutex, MutexGuard};

use crate::machine::{Machine, Thread};

/// Data that one thread at a time uses, for as long as a device takes.
pub(super) struct SleepLock<T> {
    machine: Arc<dyn Machine>,
    data: Mutex<T>,
    waiting: Mutex<Vec<Arc<dyn Thread>>>,
}

/// The data is the holder's.
pub(super) struct Held<'a, T> {
    lock: &'a SleepLock<T>,
    /// `None` only while it is dropped.
    data: Option<MutexGuard<'a, T>>,
}

impl<T> SleepLock<T> {
    /// Nobody uses `data` yet.
    pub(super) fn new(machine: Arc<dyn Machine>, data: T) -> Self {
        Self { machine, data: Mutex::new(data), waiting: Mutex::default() }
    }

    /// Waits until nobody uses the data.
    pub(super) fn lock(&self) -> Held<'_, T> {
        loop {
            if let Some(data) = self.data.try_lock() {
                return Held { lock: self, data: Some(data) };
            }
            let me = self.machine.current_thread();
            self.waiting.lock().push(me.clone());
            // It may have become free before whoever held it could know who waits.
            if let Some(data) = self.data.try_lock() {
                return Held { lock: self, data: Some(data) };
            }
            me.park(None);
        }
    }
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.data.as_ref().expect("held until it is dropped")
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.data.as_mut().expect("held until it is dropped")
    }
}

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        self.data = None;
        let waiting = core::mem::take(&mut *self.lock.waiting.lock());
        waiting.iter().for_each(|thread| thread.unpark());
    }
}
