//! What a domain says of other processes: landlock(7), "Scope flags" and "Ptrace restrictions".

use abi::Errno;
use abi::landlock::Scope;

use crate::error::{Because, Result};

use super::domain::Domain;

impl Domain {
    /// Fails where `scope` keeps who is in this domain from reaching who is in `other`: a layer
    /// with that scope is left only by who is not below it.
    ///
    /// # Errors
    /// `EPERM`.
    pub(crate) fn check_reach(&self, other: &Self, scope: Scope) -> Result<()> {
        let Some(top) = self.top() else { return Ok(()) };
        match top.all().find(|layer| layer.rules.handled.scope.contains(scope)) {
            Some(layer) if !other.descends_from(layer) => {
                Err(Errno::EPERM.because("it is outside of the caller's domain"))
            }
            _ => Ok(()),
        }
    }

    /// Fails unless who is in this domain may look into who is in `other`: that must be
    /// restricted by all that restricts the one who looks.
    ///
    /// # Errors
    /// `EPERM`.
    pub(crate) fn check_trace(&self, other: &Self) -> Result<()> {
        match self.top() {
            Some(top) if !other.descends_from(top) => {
                Err(Errno::EPERM.because("it is not restricted as the caller is"))
            }
            _ => Ok(()),
        }
    }
}
