//! Values of `tracing`'s fields, on their way into a record.

use std::error::Error;
use std::fmt;

use tracing_core::field::{Field, Visit};
use treering::front::Made;

/// As many as `tracing` lets a callsite have.
const FIELDS_MAX: usize = 32;

/// Takes values with their types, and remembers whose they are.
pub(crate) struct Fields<'m, 'b> {
    made: &'m mut Made<'b>,
    /// Where each stands among the fields of its callsite.
    positions: [u8; FIELDS_MAX],
    /// What begins with this says where the record comes from, and is no field.
    hidden: Option<&'static str>,
}

impl<'m, 'b> Fields<'m, 'b> {
    pub(crate) fn new(made: &'m mut Made<'b>, is_of_log: bool) -> Self {
        Fields { made, positions: [0; FIELDS_MAX], hidden: is_of_log.then_some("log.") }
    }

    /// What was taken, and where each stands among the fields of its callsite.
    pub(crate) fn taken(&self) -> (&Made<'b>, &[u8]) {
        (&*self.made, &self.positions[..self.made.len()])
    }

    #[inline]
    fn take(&mut self, field: &Field, add: impl FnOnce(&mut Made<'b>) -> bool) {
        if self.hidden.is_some_and(|prefix| field.name().starts_with(prefix)) {
            return;
        }
        let at = self.made.len();
        if add(self.made) {
            self.positions[at] = field.index() as u8;
        }
    }
}

impl Visit for Fields<'_, '_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, |made| made.text(format_args!("{value:?}")));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.take(field, |made| made.error(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, |made| made.str(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, |made| made.u64(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, |made| made.i64(value));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.take(field, |made| made.u128(value));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.take(field, |made| made.i128(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.take(field, |made| made.f64(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, |made| made.bool(value));
    }
}

/// The message of an event, or its other fields, as text: for records that cannot be kept typed.
pub(crate) struct AsText<'a> {
    pub(crate) event: &'a tracing_core::Event<'a>,
    pub(crate) is_message: bool,
}

impl fmt::Display for AsText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Each<'a, 'b> {
            f: &'a mut fmt::Formatter<'b>,
            is_message: bool,
            before: &'static str,
            result: fmt::Result,
        }

        impl Visit for Each<'_, '_> {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                if (field.name() == "message") != self.is_message || self.result.is_err() {
                    return;
                }
                self.result = if self.is_message {
                    write!(self.f, "{value:?}")
                } else {
                    write!(self.f, "{}{}={value:?}", self.before, field.name())
                };
                self.before = " ";
            }
        }

        let mut each = Each { f, is_message: self.is_message, before: "", result: Ok(()) };
        self.event.record(&mut each);
        each.result
    }
}
