//! `Places`: where the keys of a config stand.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::DeValue;

/// Where each key of a config stands, in words: `run.toml, line 14`, or the `--set` that gave it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The file; empty for a config that comes from none.
    file: String,
    /// By the path of a key, as `--set` takes it.
    keys: BTreeMap<String, String>,
}

impl Places {
    /// Those of all keys below `root`, which lies in `file`; `place` words an offset.
    pub(super) fn of(file: &str, root: &Spanned<DeValue<'_>>, place: impl Fn(usize) -> String) -> Places {
        let mut keys = BTreeMap::new();
        walk("", root, &place, &mut keys);
        Places { file: file.to_owned(), keys }
    }

    /// Notes that something else gave `key`.
    pub fn set(&mut self, key: &str, place: &str) {
        self.keys.insert(key.to_owned(), place.to_owned());
    }

    /// Where `key` stands, or else the nearest table around it; the file's name where none of them does, and nothing for a
    /// config that comes from no file.
    pub fn of_key(&self, key: &str) -> Option<&str> {
        let ends = key.rmatch_indices('.').map(|(end, _)| end);
        let around = [key.len()].into_iter().chain(ends).map(|end| &key[..end]);
        let found = around.filter_map(|path| self.keys.get(path)).next();
        found.or_else(|| (!self.file.is_empty()).then_some(&self.file)).map(String::as_str)
    }
}

fn walk(
    path: &str,
    value: &Spanned<DeValue<'_>>,
    place: &impl Fn(usize) -> String,
    keys: &mut BTreeMap<String, String>,
) {
    let mut note = |name: &str, at: usize, value: &Spanned<DeValue<'_>>| {
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        walk(&path, value, place, keys);
        keys.insert(path, place(at));
    };
    match value.get_ref() {
        DeValue::Table(table) => {
            // A key of the file whose value was set otherwise stands where its value does.
            table.iter().for_each(|(name, value)| {
                note(name.get_ref(), name.span().start.max(value.span().start), value);
            });
        }
        DeValue::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| note(&at.to_string(), value.span().start, value));
        }
        _ => {}
    }
}
