//! `--timings=json`: when what happened in a run.

use crate::host::Moments;
use crate::vmm::verdict::{Phases, now_ns};
use serde_json::{Map, Value};
use std::sync::atomic::Ordering;

/// When a run began, and what the engine tells of it.
#[derive(Debug)]
pub(super) struct Timings {
    start: u64,
    /// When the engine's process was there and KVM had been tried, or QEMU was started.
    pub(super) started: u64,
    /// What the engine tells.
    pub(super) phases: Option<Phases>,
}

impl Timings {
    /// A run begins.
    pub(super) fn begin() -> Self {
        Self { start: now_ns(), started: 0, phases: None }
    }

    /// One line of JSON: milliseconds since the start of the process. What did not happen, or
    /// what the engine does not tell, is not there.
    pub(super) fn line(&self, engine: &str, moments: &Moments) -> String {
        let phases = self.phases.unwrap_or_default();
        let moment = |moment: &std::sync::atomic::AtomicU64| moment.load(Ordering::Relaxed);
        let times = [
            ("process_start", self.start),
            ("vm_created", phases.created),
            ("memory", phases.loaded),
            ("kernel_entered", phases.entered),
            ("engine_started", self.started),
            ("kernel_booted", moment(&moments.booted)),
            ("program_entered", moment(&moments.entered)),
            ("first_output", moment(&moments.first_output)),
            ("exit", moment(&moments.exited)),
        ];
        let mut line = Map::new();
        line.insert("engine".to_owned(), engine.into());
        for (name, time) in times.into_iter().filter(|(_, time)| *time != 0) {
            let us = time.saturating_sub(self.start) / 1000;
            line.insert(name.to_owned(), (us as f64 / 1000.0).into());
        }
        Value::Object(line).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_happen_is_not_told() {
        let timings = Timings { start: 5_000_000, started: 7_500_000, phases: None };
        let moments = Moments::default();
        moments.exited.store(9_000_000, Ordering::Relaxed);
        let line: Value = serde_json::from_str(&timings.line("QEMU", &moments)).unwrap();
        let expected = serde_json::json!({
            "engine": "QEMU", "process_start": 0.0, "engine_started": 2.5, "exit": 4.0
        });
        assert_eq!(line, expected);
    }
}
