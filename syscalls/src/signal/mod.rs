//! Signals: dispositions, masks, pending sets, delivery.
