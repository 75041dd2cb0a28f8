//! poll(2), ppoll(2), select(2), pselect6(2).
