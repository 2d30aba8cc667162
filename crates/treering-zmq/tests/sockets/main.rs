//! Senders and receivers, with each other and with real Python processes.

mod examples;
mod python;
mod queue;
mod support;
