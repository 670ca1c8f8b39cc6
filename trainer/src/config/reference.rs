//! Every key of a [`RunConfig`], read from its JSON schema: what the reference page and the example file are made of.
//!
//! The doc comments of the configuration structs are the only place where a key is described.

use serde_json::{Map, Value};

use super::RunConfig;

mod example;
mod page;

pub(super) use example::example;
pub(super) use page::page;

/// One table of the file, or one variant of a choice between tables.
pub(super) struct Table {
    /// Dotted path as `--set` takes it, without array indices; empty for the top of the file.
    path: String,
    /// Lines that open it in TOML.
    header: String,
    /// What its struct says about itself.
    doc: String,
    /// How it stands in the file.
    presence: Presence,
    /// Its keys, in the order of the struct, tables of their own left out.
    keys: Vec<Key>,
    /// Where it is one of several tables that have further keys in common: their names, and the table that tells them.
    common: Option<(Vec<String>, String)>,
}

/// How a table stands in a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// It is there in every run, written or by its defaults.
    Always,
    /// It may be left out, and is then absent.
    Optional,
    /// One of several tables, of which one is chosen.
    Choice,
}

/// One key and its value.
struct Key {
    name: String,
    kind: String,
    required: bool,
    /// The value where the key is absent, if that is a value.
    default: Option<Value>,
    doc: String,
    /// Words that the key takes, and what they mean.
    words: Vec<(String, String)>,
    /// The path under which the tables of this type are described already.
    described_at: Option<String>,
}

/// All tables, in the order in which a file is best read.
pub(super) fn tables() -> Vec<Table> {
    let schema = RunConfig::schema();
    let definitions = schema["$defs"].as_object().expect("the schema has definitions");
    let mut walk = Walk { definitions, seen: Vec::new(), tables: Vec::new() };
    walk.table("", String::new(), &schema, Presence::Always);
    walk.tables
}

/// The tables that have a key of this name, as they are written in TOML.
pub(super) fn tables_with(name: &str) -> Vec<String> {
    let tables = tables();
    let named = tables.iter().filter(|table| table.keys.iter().any(|key| key.name == name));
    named
        .map(|table| match table.path.as_str() {
            "" => "the top of the file".to_owned(),
            path => format!("`[{path}]`"),
        })
        .collect()
}

struct Walk<'a> {
    definitions: &'a Map<String, Value>,
    /// Definitions met so far and where they are described.
    seen: Vec<(&'a str, String)>,
    tables: Vec<Table>,
}

impl<'a> Walk<'a> {
    /// Adds the table that `schema` describes, and those inside it behind it.
    fn table(&mut self, path: &str, header: String, schema: &'a Value, presence: Presence) {
        let required = |name: &str| strings(&schema["required"]).any(|required| required == name);
        let properties = schema["properties"].as_object().expect("a table has properties");
        let (mut keys, mut inner) = (Vec::new(), Vec::new());
        for (name, property) in properties {
            let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let shape = self.shape(property);
            let described_at = shape.definition.and_then(|definition| {
                self.seen.iter().find(|(seen, _)| *seen == definition).map(|(_, at)| at.clone())
            });
            if shape.is_table() && described_at.is_none() {
                if let Some(definition) = shape.definition {
                    self.seen.push((definition, below.clone()));
                }
                let presence = if shape.optional && !required(name) { Presence::Optional } else { Presence::Always };
                inner.push((below, shape, presence, doc(property)));
                continue;
            }
            keys.push(Key {
                name: name.clone(),
                kind: shape.kind(),
                required: required(name),
                default: default(property, &shape).filter(|_| !required(name)),
                doc: doc(property),
                words: if shape.is_table() { Vec::new() } else { shape.words() },
                described_at,
            });
        }
        self.tables.push(Table { path: path.to_owned(), header, doc: doc(schema), presence, keys, common: None });
        for (path, shape, presence, about) in inner {
            self.inner(&path, &shape, presence, &about);
        }
    }

    fn inner(&mut self, path: &str, shape: &Shape<'a>, presence: Presence, about: &str) {
        let header = if shape.list { format!("[[{path}]]") } else { format!("[{path}]") };
        if shape.schema.get("properties").is_some() {
            self.table(path, header, shape.schema, presence);
            let table = self.tables.iter_mut().rfind(|table| table.path == path).expect("just added");
            // "The `[run]` table" is for readers of the code.
            let own = if table.doc.starts_with("The `[") { "" } else { &table.doc };
            table.doc = format!("{about} {own}").trim().to_owned();
            return;
        }
        for (name, variant, about) in variants(shape.schema) {
            let below = format!("{path}.{name}");
            let header = if shape.list { format!("{header}\n[{below}]") } else { format!("[{below}]") };
            let schema = self.resolve(variant);
            self.table(&below, header, schema, Presence::Choice);
            let table = self.tables.iter_mut().rfind(|table| table.path == below).expect("just added");
            if table.doc.is_empty() {
                table.doc = about;
            }
        }
        self.tell_once(path);
    }

    /// Leaves the optional keys that all choices for `path` have in common to the first of them.
    fn tell_once(&mut self, path: &str) {
        let choice = |table: &Table| table.presence == Presence::Choice && parent(&table.path) == path;
        let choices: Vec<usize> = (0..self.tables.len()).filter(|&i| choice(&self.tables[i])).collect();
        let [first, others @ ..] = &choices[..] else { return };
        let same = |one: &Key, other: &Key| (&one.name, &one.doc) == (&other.name, &other.doc);
        let everywhere = |key: &&Key| {
            let has = |&i: &usize| self.tables[i].keys.iter().any(|other| same(key, other));
            !key.required && !others.is_empty() && others.iter().all(has)
        };
        let common: Vec<String> =
            self.tables[*first].keys.iter().filter(everywhere).map(|key| key.name.clone()).collect();
        if common.is_empty() {
            return;
        }
        let told = self.tables[*first].path.clone();
        for &i in others {
            self.tables[i].keys.retain(|key| !common.contains(&key.name));
            self.tables[i].common = Some((common.clone(), told.clone()));
        }
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        match definition(schema) {
            Some(name) => &self.definitions[name],
            None => schema,
        }
    }

    /// What a property's value looks like, behind `Option`, `Vec` and references.
    fn shape(&self, property: &'a Value) -> Shape<'a> {
        let (mut schema, mut optional, mut list) = (property, property.get("default").is_none(), false);
        if let Some(options) = property["anyOf"].as_array() {
            schema = options.iter().find(|option| option["type"] != "null").expect("an option of a type");
            optional = true;
        }
        if schema["type"] == "array" {
            (schema, list) = (&schema["items"], true);
        }
        Shape { schema: self.resolve(schema), definition: definition(schema), optional, list }
    }
}

/// The path of the table that holds the one at `path`.
fn parent(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(parent, _)| parent)
}

struct Shape<'a> {
    schema: &'a Value,
    definition: Option<&'a str>,
    /// No default is known: it is absent unless written.
    optional: bool,
    list: bool,
}

impl Shape<'_> {
    fn is_table(&self) -> bool {
        let choice = self.schema["oneOf"].as_array().is_some_and(|all| all.iter().all(|one| one["type"] == "object"));
        self.schema.get("properties").is_some() || choice
    }

    /// The type, in the words of TOML.
    fn kind(&self) -> String {
        let named = match &self.schema["type"] {
            Value::Array(types) => strings_of(types).find(|name| *name != "null"),
            named => named.as_str(),
        };
        let kind = match (named, self.is_table()) {
            (_, true) => "table",
            (None, _) => "word",
            (Some("number"), _) => "float",
            (Some("object"), _) => "table",
            (Some(_), _) if self.schema.get("enum").is_some() => "word",
            (Some(named), _) => named,
        };
        if self.list { format!("array of {kind}s") } else { kind.to_owned() }
    }

    fn words(&self) -> Vec<(String, String)> {
        let plain = strings(&self.schema["enum"]).map(|word| (toml_text(&word.into()), String::new()));
        let documented = self.schema["oneOf"].as_array().into_iter().flatten().map(|one| match one["const"].as_str() {
            Some(word) => (toml_text(&word.into()), doc(one)),
            None => {
                let (name, value) = one["properties"].as_object().and_then(|o| o.iter().next()).expect("a variant");
                let kind = Shape { schema: value, definition: None, optional: false, list: false }.kind();
                (format!("{{ {name} = <{kind}> }}"), doc(one))
            }
        });
        plain.chain(documented).collect()
    }
}

fn variants(schema: &Value) -> Vec<(&String, &Value, String)> {
    let all = schema["oneOf"].as_array().into_iter().flatten();
    all.filter_map(|one| one["properties"].as_object()?.iter().next().map(|(name, inner)| (name, inner, doc(one))))
        .collect()
}

/// The schema's default, or the empty list for a list that may be left out.
fn default(property: &Value, shape: &Shape<'_>) -> Option<Value> {
    let default = property.get("default").filter(|value| !value.is_null()).cloned();
    let empty = property["type"] == "array" && shape.list && shape.optional;
    default.or_else(|| empty.then(|| Value::Array(Vec::new())))
}

fn definition(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix("#/$defs/")
}

fn doc(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().replace('\n', " ")
}

fn strings(list: &Value) -> impl Iterator<Item = &str> {
    strings_of(list.as_array().map(Vec::as_slice).unwrap_or_default())
}

fn strings_of(list: &[Value]) -> impl Iterator<Item = &str> {
    list.iter().filter_map(Value::as_str)
}

/// A value as TOML writes it on one line.
fn toml_text(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let pairs: Vec<String> =
                object.iter().map(|(name, value)| format!("{name} = {}", toml_text(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(toml_text).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Number(number) => match number.as_f64() {
            Some(small) if small != 0.0 && small.abs() < 1e-3 => format!("{small:e}"),
            _ => number.to_string(),
        },
        scalar => toml::Value::try_from(scalar).map(|value| value.to_string()).unwrap_or_default(),
    }
}
