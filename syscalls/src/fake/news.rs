//! A service that passes news of streams and the terminal on, and nothing else.

use std::sync::Arc;

use crate::fs::stream;
use crate::machine::{News, Service};
use crate::system::System;

use super::kit::Kit;

/// A service that passes news of streams and the terminal on.
pub(crate) struct NewsOnly(Arc<System>);

impl NewsOnly {
    /// Makes it the service of the kit's machine, as long as the test keeps it.
    pub(crate) fn on(kit: &Kit) -> Arc<Self> {
        let service = Arc::new(Self(kit.system.clone()));
        kit.machine.set_service(&service);
        service
    }
}

impl Service for NewsOnly {
    fn news(&self, news: News) {
        stream::news(&self.0, news);
    }

    fn deadline(&self) {}
}
