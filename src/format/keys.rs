//! Which key a field gets where keys must be unlike each other: in JSON and in logfmt.
//!
//! One rule: who comes first keeps the name, and what a format writes itself comes before all fields. Who finds its
//! name taken gets `_2` behind it, or `_3`, and so on, the first that is free. What is taken does not depend on
//! settings: a field's key is the same whether threads are shown or not.
//!
//! Which names collide is decided by the call's source, so nearly always none does, and that is found out without
//! memory. Only records of a call whose names do collide pay for new ones.

use std::collections::HashSet;

use crate::record::Record;

/// What a format asks of keys.
pub(super) struct Rule {
    /// The keys that the format writes itself.
    pub(super) is_ours: fn(&str) -> bool,
    /// Whether a name can be a key as it is, or after escaping.
    pub(super) is_fit: fn(&str) -> bool,
    /// What becomes of a name that cannot.
    pub(super) fitted: fn(&str) -> String,
}

impl Rule {
    /// The keys of a record's fields, in order; `None` if they are the names.
    #[inline]
    pub(super) fn keys_of(&self, record: &Record<'_>) -> Option<Vec<String>> {
        self.keys_if_new(record.entry.metadata.fields.iter().map(|field| field.name))
    }

    /// The keys of fields with these names; `None` if they are the names.
    #[inline]
    pub(super) fn keys_if_new<'a>(
        &self,
        names: impl Iterator<Item = &'a str> + Clone,
    ) -> Option<Vec<String>> {
        let is_kept = names.clone().enumerate().all(|(position, name)| {
            (self.is_fit)(name)
                && !(self.is_ours)(name)
                && names.clone().take(position).all(|earlier| earlier != name)
        });
        if is_kept { None } else { Some(self.keys_for(names)) }
    }

    #[cold]
    fn keys_for<'a>(&self, names: impl Iterator<Item = &'a str>) -> Vec<String> {
        let mut taken = HashSet::new();
        let mut free = |key: &String| !(self.is_ours)(key) && taken.insert(key.clone());
        let key_for = |name| {
            let first = if (self.is_fit)(name) { name.to_owned() } else { (self.fitted)(name) };
            let others = (2_u64..).map(|number| format!("{first}_{number}"));
            std::iter::once(first.clone()).chain(others).find(&mut free).unwrap_or(first)
        };
        names.map(key_for).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULE: Rule = Rule {
        is_ours: |name| matches!(name, "level" | "level_2"),
        is_fit: |name| !name.contains(' '),
        fitted: |name| name.replace(' ', "_"),
    };

    fn keys(names: &[&str]) -> Vec<String> {
        RULE.keys_for(names.iter().copied())
    }

    #[test]
    fn who_comes_first_keeps_the_name() {
        assert_eq!(keys(&["a", "b"]), ["a", "b"]);
        assert_eq!(keys(&["a", "a", "a"]), ["a", "a_2", "a_3"]);
        assert_eq!(keys(&["a", "a", "a_2"]), ["a", "a_2", "a_2_2"]);
        assert_eq!(keys(&["a_2", "a", "a"]), ["a_2", "a", "a_3"]);
    }

    #[test]
    fn what_the_format_writes_itself_comes_before_all_fields() {
        assert_eq!(keys(&["level"]), ["level_3"]);
    }

    #[test]
    fn a_name_that_is_made_fit_gives_way_to_one_that_is() {
        assert_eq!(keys(&["a_b", "a b"]), ["a_b", "a_b_2"]);
    }

    proptest! {
        #[test]
        fn no_two_keys_are_equal_and_none_is_ours(names in proptest::collection::vec("(a|level)(_[2-4])?| ", 0..12)) {
            let keys = keys(&names.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(keys.iter().collect::<HashSet<_>>().len(), names.len());
            prop_assert!(!keys.iter().any(|key| (RULE.is_ours)(key)));
        }
    }
}
