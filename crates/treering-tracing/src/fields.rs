//! Values of `tracing`'s fields, on their way into a record.

use std::error::Error;
use std::fmt;

use tracing_core::Event;
use tracing_core::field::{Field, Visit};
use treering::front::{Key, Made, NO_KEY};

/// Takes values with their types, and remembers whose they are. `OF_LOG`: what says where a record of `log` comes from is no
/// field.
pub(crate) struct Fields<'m, const OF_LOG: bool> {
    made: &'m mut Made,
    /// Where each stands among the fields of its callsite.
    positions: Key,
}

impl<'m, const OF_LOG: bool> Fields<'m, OF_LOG> {
    #[inline]
    pub(crate) fn new(made: &'m mut Made) -> Self {
        Fields { made, positions: *NO_KEY }
    }

    /// What was taken, and where each stands among the fields of its callsite.
    #[inline]
    pub(crate) fn taken(&self) -> (&Made, &Key) {
        (&*self.made, &self.positions)
    }

    /// The last thing it does is to add: so, where there is room, no register is saved for what follows.
    #[inline]
    fn take(&mut self, field: &Field, add: impl FnOnce(&mut Made) -> bool) {
        if OF_LOG && field.name().starts_with("log.") {
            return;
        }
        // Without a place there is no room for its value either.
        if let Some(place) = self.positions.get_mut(self.made.len()) {
            *place = field.index() as u8;
            add(self.made);
        }
    }
}

impl<const OF_LOG: bool> Visit for Fields<'_, OF_LOG> {
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

/// Whether there is room for all values of an event with their types. None of them is shown for that.
#[inline]
pub(crate) fn fits(event: &Event<'_>) -> bool {
    event.metadata().fields().len() <= NO_KEY.len() || count(event) <= NO_KEY.len()
}

#[cold]
fn count(event: &Event<'_>) -> usize {
    struct Count(usize);

    impl Visit for Count {
        fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {
            self.0 += 1;
        }
    }

    let mut count = Count(0);
    event.record(&mut count);
    count.0
}

/// The message of an event, or its other fields, as text: for records that cannot be kept typed.
pub(crate) struct AsText<'a> {
    event: &'a Event<'a>,
    is_message: bool,
}

impl<'a> AsText<'a> {
    /// The message, and the other fields.
    pub(crate) fn both(event: &'a Event<'a>) -> [Self; 2] {
        [true, false].map(|is_message| AsText { event, is_message })
    }
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
