//! What waits, what is offered and what is acknowledged, against what the responses add up to.
