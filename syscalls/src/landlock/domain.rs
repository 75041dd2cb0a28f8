//! Domains: the rulesets that hold for a thread.

use alloc::sync::Arc;
use core::fmt;

use abi::Errno;
use abi::landlock::{AccessFs, MAX_LAYERS};

use crate::error::{Because, Result};

use super::ruleset::{Rules, Ruleset};

/// A ruleset that holds, on top of those that held before.
pub(super) struct Layer {
    pub(super) rules: Arc<Rules>,
    below: Option<Arc<Layer>>,
    /// How many are below.
    level: usize,
}

impl Layer {
    /// It and those below it, the last that was added first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Self> {
        core::iter::successors(Some(self), |layer| layer.below.as_deref())
    }

    /// The rights to files that it or a layer below denies where no rule allows them.
    pub(super) fn denied_fs(&self) -> AccessFs {
        self.all().fold(AccessFs::empty(), |all, layer| all | layer.rules.denied_fs())
    }

    /// Its bit among the layers.
    pub(super) fn bit(&self) -> u16 {
        1 << self.level
    }
}

/// What holds for a thread: nothing, or one ruleset or more. Two are equal when they are the
/// same, not when they say the same.
#[derive(Clone, Default)]
pub struct Domain(Option<Arc<Layer>>);

impl Domain {
    /// Nothing is restricted.
    pub(crate) const NONE: Self = Self(None);

    pub(super) fn top(&self) -> Option<&Layer> {
        self.0.as_deref()
    }

    /// Its layers, where one of them says something of files.
    pub(super) fn of_files(&self) -> Option<&Layer> {
        self.top().filter(|top| top.all().any(|layer| !layer.rules.handled.fs.is_empty()))
    }

    /// This domain with one more layer.
    ///
    /// # Errors
    /// `E2BIG` when there are too many.
    pub(crate) fn restricted_by(&self, ruleset: &Ruleset) -> Result<Self> {
        let level = self.top().map_or(0, |top| top.level + 1);
        if level >= MAX_LAYERS {
            return Err(Errno::E2BIG.because("too many rulesets hold already"));
        }
        let layer = Layer { rules: ruleset.rules(), below: self.0.clone(), level };
        Ok(Self(Some(Arc::new(layer))))
    }

    /// Whether it is `layer`'s domain or was made from that.
    pub(super) fn descends_from(&self, layer: &Layer) -> bool {
        self.top().is_some_and(|top| top.all().any(|one| core::ptr::eq(one, layer)))
    }
}

impl PartialEq for Domain {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for Domain {}

impl fmt::Debug for Domain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers = self.top().map_or(0, |top| top.level + 1);
        formatter.debug_struct("Domain").field("layers", &layers).finish()
    }
}
