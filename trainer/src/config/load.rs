//! From a TOML file and `--set` to a [`RunConfig`], with errors that point at the line at fault.
//!
//! A `--set` is parsed behind the file, at an offset of its own, so the position of an error says whether the file or
//! which `--set` is to blame.

use std::borrow::Cow;
use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::Result;
use rewards::RuleConfig;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IntoDeserializer};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::RunConfig;
use super::places::Places;
use crate::mistake::Mistake;

type Key<'i> = Spanned<Cow<'i, str>>;

impl RunConfig {
    /// Reads a TOML file, applies each `key.path=value` of `sets` in order, and fills in defaults.
    ///
    /// A value is a TOML value, or else a bare word that stands for a string; a number in a path is a place in an
    /// array, counted from 0. `name` becomes the file's stem where it is absent. Paths inside the config are relative
    /// to the current directory, not to the file.
    pub fn load(path: &Path, sets: &[String]) -> Result<RunConfig> {
        let (mut config, places) = read::<RunConfig>(path, sets)?;
        config.places = places;
        if config.name.is_empty() {
            config.name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        }
        Ok(config)
    }
}

/// The rules of a TOML file, its `[[rewards]]`, as a run's config has them, and where they stand. Its other tables are not
/// read.
///
/// # Errors
/// For a file that cannot be read, and for a key or value that no rule has, with its line.
pub fn rewards(path: &Path) -> Result<(Vec<RuleConfig>, Places)> {
    #[derive(Deserialize)]
    struct Rules {
        rewards: Vec<RuleConfig>,
    }
    read(path, &[]).map(|(Rules { rewards }, places)| (rewards, places))
}

fn read<T: DeserializeOwned>(path: &Path, sets: &[String]) -> Result<(T, Places)> {
    let reading = || format!("read config `{}`", path.display());
    let text = fs::read_to_string(path).map_err(|error| {
        let hint = (error.kind() == std::io::ErrorKind::NotFound)
            .then(|| "paths are relative to the current directory".to_owned());
        anyhow::Error::new(Mistake { message: error.to_string(), hint }).context(reading())
    })?;
    let config = parse(&text, sets).map_err(|mistake| anyhow::Error::new(mistake).context(reading()))?;
    Ok((config, places(&path.display().to_string(), &text, sets)))
}

/// What `text` and `sets` describe together.
pub(super) fn parse<T: DeserializeOwned>(text: &str, sets: &[String]) -> Result<T, Mistake> {
    let settings = settings(text.len(), sets)?;
    match merged(text, &settings) {
        Ok(config) => Ok(config),
        Err(error) => Err(mistake::<T>(text, &settings, &error)),
    }
}

/// Where the keys of both stand; of those that make no config nothing is known.
fn places(file: &str, text: &str, sets: &[String]) -> Places {
    let settings = settings(text.len(), sets).unwrap_or_default();
    let place = |offset: usize| match behind(text, &settings, offset) {
        Some(setting) => format!("`--set {}`", setting.written),
        None => format!("{file}, line {}", line(text, offset)),
    };
    together(text, &settings).map(|root| Places::of(file, &root, place)).unwrap_or_default()
}

/// One `--set`, as it was written and as TOML that begins at the offset `start`.
struct Setting<'a> {
    written: &'a str,
    start: usize,
    padded: String,
    depth: usize,
}

/// Why text and settings make no config.
enum Fault {
    Toml(toml::de::Error),
    /// The setting at this index does not fit what the file says.
    Setting(usize, String),
}

fn settings(first: usize, sets: &[String]) -> Result<Vec<Setting<'_>>, Mistake> {
    let mut start = first + 1;
    sets.iter()
        .map(|written| {
            let setting = setting(written, start)?;
            start = setting.padded.len() + 1;
            Ok(setting)
        })
        .collect()
}

fn setting(written: &str, start: usize) -> Result<Setting<'_>, Mistake> {
    let refuse = |message: String| Mistake {
        message: format!("`--set {written}`: {message}"),
        hint: Some("write it as `--set grpo.steps=100`".to_owned()),
    };
    let (key, value) = written.split_once('=').ok_or_else(|| refuse("there is no `=` in it".to_owned()))?;
    let depth = path_length(key).ok_or_else(|| refuse(format!("`{key}` is not a key")))?;
    let value = value.trim();
    let parsed = DeTable::parse(&format!("value = {value}")).map(|table| table.get_ref().len() == 1);
    let value = match parsed {
        Ok(true) => Cow::Borrowed(value),
        // What opens like a TOML string, array or table was meant as one; anything else is a word.
        Err(error) if value.starts_with(['"', '\'', '[', '{']) => return Err(refuse(error.message().to_owned())),
        _ => Cow::Owned(toml::Value::from(value).to_string()),
    };
    Ok(Setting { written, start, padded: format!("{:start$}{key} = {value}", ""), depth })
}

/// How many names a dotted key has, or `None` where it is no key.
fn path_length(key: &str) -> Option<usize> {
    let text = format!("{key} = 0");
    let table = DeTable::parse(&text).ok()?;
    let mut table = table.get_ref();
    let mut length = 0;
    loop {
        let (_, value) = table.iter().next().filter(|_| table.len() == 1)?;
        length += 1;
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => return Some(length),
        }
    }
}

fn merged<T: DeserializeOwned>(text: &str, settings: &[Setting<'_>]) -> Result<T, Fault> {
    T::deserialize(together(text, settings)?.into_deserializer()).map_err(Fault::Toml)
}

/// The file's tables with every setting put in its place.
fn together<'i>(text: &'i str, settings: &'i [Setting<'_>]) -> Result<Spanned<DeValue<'i>>, Fault> {
    let root = DeTable::parse(text).map_err(Fault::Toml)?;
    let mut root = Spanned::new(root.span(), DeValue::Table(root.into_inner()));
    for (index, setting) in settings.iter().enumerate() {
        let table = DeTable::parse(&setting.padded).map_err(Fault::Toml)?.into_inner();
        let (path, value) = unfold(table, setting.depth);
        put(&mut root, "", path.into_iter(), value).map_err(|message| Fault::Setting(index, message))?;
    }
    Ok(root)
}

/// The setting that an offset lies in; `None` for one in the file.
fn behind<'a, 's>(text: &str, settings: &'a [Setting<'s>], offset: usize) -> Option<&'a Setting<'s>> {
    settings.iter().rev().find(|setting| offset > text.len() && setting.start <= offset)
}

/// The names of a table that holds one key of `depth` names, and its value.
fn unfold<'i>(table: DeTable<'i>, depth: usize) -> (Vec<Key<'i>>, Spanned<DeValue<'i>>) {
    let (key, mut value) = table.into_iter().next().expect("a setting is one key");
    let mut path = vec![key];
    while path.len() < depth {
        let DeValue::Table(inner) = value.into_inner() else { unreachable!("a dotted key nests tables") };
        let (key, inner) = inner.into_iter().next().expect("each of them holds one key");
        path.push(key);
        value = inner;
    }
    (path, value)
}

/// Puts `value` where `names` lead from `slot`: through tables, made where they are missing, and arrays, by index.
fn put<'i>(
    slot: &mut Spanned<DeValue<'i>>,
    walked: &str,
    mut names: impl Iterator<Item = Key<'i>>,
    value: Spanned<DeValue<'i>>,
) -> Result<(), String> {
    let Some(name) = names.next() else {
        *slot = value;
        return Ok(());
    };
    let next = if walked.is_empty() { name.get_ref().to_string() } else { format!("{walked}.{}", name.get_ref()) };
    let slot = match slot.get_mut() {
        DeValue::Table(inner) => {
            let span = name.span();
            inner.entry(name).or_insert_with(|| Spanned::new(span, DeValue::Table(DeTable::new())))
        }
        DeValue::Array(items) => {
            let length = items.len();
            let item = name.get_ref().parse::<usize>().ok().and_then(|index| items.get_mut(index));
            item.ok_or_else(|| format!("`{walked}` has {length} entries, from 0 on, and none is `{}`", name.get_ref()))?
        }
        other => return Err(format!("`{walked}` is of type {} and holds no `{}`", other.type_str(), name.get_ref())),
    };
    put(slot, &next, names, value)
}

/// What a person reads of a fault: where it is, which key it is about, what is wrong, what may have been meant.
fn mistake<T: DeserializeOwned>(text: &str, settings: &[Setting<'_>], fault: &Fault) -> Mistake {
    let error = match fault {
        Fault::Setting(index, message) => {
            let written = settings[*index].written;
            return Mistake { message: format!("`--set {written}`: {message}"), hint: None };
        }
        Fault::Toml(error) => error,
    };
    let message = worded(error.message());
    let hint = meant(&message);
    let key = key_of(error).map(|key| format!("`{key}`: ")).unwrap_or_default();
    let place = match error.span() {
        Some(span) if span.start > text.len() => {
            behind(text, settings, span.start).map(|setting| format!("`--set {}`: ", setting.written))
        }
        // The whole document: a key of the root is missing.
        Some(Range { start: 0, end: 0 }) | None => culprit::<T>(text, settings),
        Some(span) => Some(culprit::<T>(text, settings).unwrap_or_else(|| position(text, span.start))),
    };
    Mistake { message: format!("{}{key}{}", place.unwrap_or_default(), message), hint }
}

/// The setting without which the config would be read, where the file is sound without any.
fn culprit<T: DeserializeOwned>(text: &str, settings: &[Setting<'_>]) -> Option<String> {
    let sound: Vec<bool> = (0..=settings.len()).map(|n| merged::<T>(text, &settings[..n]).is_ok()).collect();
    let last = (0..settings.len()).rev().find(|&n| sound[n] && !sound[n + 1])?;
    Some(format!("`--set {}`: ", settings[last].written))
}

/// `line 14, column 1: `, both counted from 1, the column in characters.
fn position(text: &str, offset: usize) -> String {
    let before = &text[..offset.min(text.len())];
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {}, column {column}: ", line(text, offset))
}

/// The line of an offset, counted from 1.
fn line(text: &str, offset: usize) -> usize {
    text[..offset.min(text.len())].matches('\n').count() + 1
}

/// The dotted path that the parser noted, which it prints behind the message.
fn key_of(error: &toml::de::Error) -> Option<String> {
    let mut error = error.clone();
    error.set_input(None);
    let printed = error.to_string();
    let key = printed.trim_end().strip_suffix('`')?.rsplit_once("\nin `")?.1;
    Some(key.to_owned())
}

/// The parser's message on one line; serde's words for what the parser says in its own.
fn worded(message: &str) -> String {
    if message.starts_with("wanted exactly 1 element") {
        return "takes one choice, and the table holds another number of them".to_owned();
    }
    let unexpected =
        message.strip_prefix("unexpected keys in table: ").and_then(|m| m.split_once(", available keys: "));
    if let Some((unknown, known)) = unexpected {
        let quoted = |names: &str| names.split(", ").map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        return format!("unknown field {}, expected one of {}", quoted(unknown), quoted(known));
    }
    match message.split_once("expected struct ") {
        Some((given, _)) => format!("{given}expected a table"),
        None => message.replace('\n', " "),
    }
}

/// Where an unknown key belongs, or which known one it resembles.
fn meant(message: &str) -> Option<String> {
    let unknown = message.strip_prefix("unknown field `")?;
    let (unknown, expected) = unknown.split_once('`')?;
    let known = || expected.split('`').skip(1).step_by(2);
    let near = known().map(|name| (strsim::damerau_levenshtein(name, unknown), name)).min();
    let near = near.filter(|(distance, _)| *distance <= 2.max(unknown.len() / 4).min(unknown.len() / 2));
    let longer = || known().find(|name| name.strip_prefix(unknown).is_some_and(|rest| rest.starts_with('_')));
    if let Some(name) = near.map(|(_, name)| name).or_else(longer) {
        return Some(format!("did you mean `{name}`?"));
    }
    let homes = super::reference::tables_with(unknown);
    (!homes.is_empty()).then(|| format!("`{unknown}` is a key of {}", homes.join(" and ")))
}
