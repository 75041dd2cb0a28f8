//! Signals: who sends, blocks, handles and waits for them.
