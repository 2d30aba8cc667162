//! What a record says beside time, level, target, message and fields, where it is asked for: one list, and one set of
//! settings, for all formats with keys.

use crate::record::Record;

/// Which of them are wanted.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Details {
    pub(super) threads: bool,
    pub(super) location: bool,
    pub(super) module: bool,
    pub(super) process_id: bool,
}

/// One of them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Detail<'a> {
    Text(&'a str),
    Number(u32),
}

impl Details {
    /// Whether a key is one of theirs.
    pub(super) fn have(key: &str) -> bool {
        matches!(key, "module" | "file" | "line" | "thread" | "thread_id" | "process_id")
    }

    /// Hands out those of a record that are wanted, with their keys.
    #[inline]
    pub(super) fn each<'a>(self, record: &Record<'a>, mut put: impl FnMut(&'static str, Detail<'a>)) {
        if self.module {
            put("module", Detail::Text(record.module_path()));
        }
        if self.location {
            put("file", Detail::Text(record.file()));
            put("line", Detail::Number(record.line()));
        }
        if self.threads {
            if let Some(name) = record.thread().name() {
                put("thread", Detail::Text(name));
            }
            put("thread_id", Detail::Number(record.thread().id()));
        }
        if self.process_id {
            put("process_id", Detail::Number(record.thread().process_id()));
        }
    }
}

/// The settings of a format with keys, for its `impl`. It has a `clockface` and `details`.
macro_rules! settings {
    ($format:literal) => {
        /// How the time is shown. Default: [`Time::utc`], with nanoseconds.
        ///
        /// ```
        #[doc = concat!(" use treering::format::{", $format, ", Time};")]
        #[doc = concat!(" let format = ", $format, "::new().time(Time::utc().micros());")]
        /// ```
        #[must_use]
        pub fn time(mut self, time: Time) -> Self {
            self.clockface = Clockface::new(&time);
            self
        }

        /// Whether the thread is told: its name, if it has one, as `thread`, and its number as `thread_id`. Default: no.
        ///
        /// ```
        #[doc = concat!(" let format = treering::format::", $format, "::new().threads(true);")]
        /// ```
        #[must_use]
        pub fn threads(mut self, yes: bool) -> Self {
            self.details.threads = yes;
            self
        }

        /// Whether the place of the call in the source is told: `file` and `line`. Default: no.
        ///
        /// ```
        #[doc = concat!(" let format = treering::format::", $format, "::new().location(true);")]
        /// ```
        #[must_use]
        pub fn location(mut self, yes: bool) -> Self {
            self.details.location = yes;
            self
        }

        /// Whether the module of the call is told: `module`. Default: no, as it is the target, unless the call names
        /// another.
        ///
        /// ```
        #[doc = concat!(" let format = treering::format::", $format, "::new().module(true);")]
        /// ```
        #[must_use]
        pub fn module(mut self, yes: bool) -> Self {
            self.details.module = yes;
            self
        }

        /// Whether the process's number is told: `process_id`. Default: no.
        ///
        /// ```
        #[doc = concat!(" let format = treering::format::", $format, "::new().process_id(true);")]
        /// ```
        #[must_use]
        pub fn process_id(mut self, yes: bool) -> Self {
            self.details.process_id = yes;
            self
        }
    };
}
pub(super) use settings;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Level;
    use crate::record::testing::Owned;

    #[test]
    fn all_keys_that_are_handed_out_are_known() {
        let record = Owned::new(Level::Info, "app", &[], &[], ());
        let all = Details { threads: true, location: true, module: true, process_id: true };
        let mut keys = Vec::new();
        all.each(&record.record(), |key, _| keys.push(key));
        assert_eq!(keys, ["module", "file", "line", "thread", "thread_id", "process_id"]);
        assert!(keys.iter().all(|key| Details::have(key)));
        Details::default().each(&record.record(), |key, _| panic!("{key}"));
    }
}
