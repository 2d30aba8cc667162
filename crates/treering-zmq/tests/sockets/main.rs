//! Senders and receivers, with each other and with real Python processes.

mod python;
mod queue;
mod support;
