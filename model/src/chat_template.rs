//! A checkpoint's chat template, rendered as transformers renders it.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use anyhow::Context;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value};
use serde_json::Map;

#[cfg(test)]
mod tests;

/// The name the template has in its environment, and in error messages.
const NAME: &str = "chat template";

/// A chat template, parsed, with the special tokens it may name.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    special_tokens: Map<String, serde_json::Value>,
}

impl ChatTemplate {
    /// Parses a template. `special_tokens` are the variables every rendering sees: `bos_token`, `eos_token`, …
    ///
    /// # Errors
    /// When the source is no Jinja template; the error says at which line.
    pub fn new(source: &str, special_tokens: Map<String, serde_json::Value>) -> Result<ChatTemplate, anyhow::Error> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.context("minijinja refuses its own syntax")?);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_formatter(|out, _, value| Ok(out.write_str(&python_str(value))?));
        environment.add_filter("tojson", to_json);
        environment.add_filter("string", |value: Value| python_str(&value));
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment
            .add_template_owned(NAME, without_generation_tags(source))
            .context("the chat template cannot be parsed")?;
        Ok(ChatTemplate { environment, special_tokens })
    }

    /// The text of a conversation. `messages` is an array of `{"role": …, "content": …}`; `tools` is an array of
    /// tool descriptions, where the template takes them; `kwargs` are further variables of the template
    /// (`enable_thinking`, …) and go before the special tokens.
    ///
    /// # Errors
    /// When the template raises, or does what Jinja does not allow.
    pub fn render(
        &self,
        messages: &serde_json::Value,
        tools: Option<&serde_json::Value>,
        add_generation_prompt: bool,
        kwargs: &Map<String, serde_json::Value>,
    ) -> Result<String, anyhow::Error> {
        let mut variables: Map<String, serde_json::Value> = self.special_tokens.clone();
        variables.insert("messages".to_owned(), messages.clone());
        variables.insert("tools".to_owned(), tools.cloned().unwrap_or_default());
        variables.insert("documents".to_owned(), serde_json::Value::Null);
        variables.insert("add_generation_prompt".to_owned(), add_generation_prompt.into());
        variables.extend(kwargs.clone());
        let template = self.environment.get_template(NAME).context("the chat template is gone")?;
        template
            .render(from_json(&serde_json::Value::Object(variables)))
            .context("the chat template cannot render the conversation")
    }
}

/// The template with `{% generation %}` and `{% endgeneration %}`, which only mark what the assistant said, turned
/// into a block that does nothing but keep its variables to itself. White-space control stays as it was.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        out.push_str(before);
        let Some(end) = tag.find("%}") else {
            rest = tag;
            break;
        };
        let (inside, after) = tag[2..].split_at(end - 2);
        let word = inside.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim();
        let with = match word {
            "generation" => inside.replace("generation", "with"),
            "endgeneration" => inside.replace("endgeneration", "endwith"),
            // Only the opening is taken: what follows may hold the next tag, as in a comment.
            _ => {
                out.push_str("{%");
                rest = &tag[2..];
                continue;
            }
        };
        out.push_str("{%");
        out.push_str(&with);
        rest = after;
    }
    out.push_str(rest);
    out
}

fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(value) => Value::from(*value),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Value::from(value),
            (None, Some(value)) => Value::from(value),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => Value::from_object(List(items.iter().map(from_json).collect())),
        serde_json::Value::Object(object) => {
            Value::from_object(Dict(object.iter().map(|(key, value)| (key.clone(), from_json(value))).collect()))
        }
    }
}

/// A list that prints as Python's does, also where it is joined to text with `~`.
#[derive(Debug)]
struct List(Vec<Value>);

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.0.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&python_str(&Value::from_dyn_object(Arc::clone(self))))
    }
}

/// A dict that keeps its order, and prints as Python's does.
#[derive(Debug)]
struct Dict(Vec<(String, Value)>);

impl Object for Dict {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.iter().map(|(name, _)| Value::from(name.as_str())).collect())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&python_str(&Value::from_dyn_object(Arc::clone(self))))
    }
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// The local time, in C's (and so Python's) format codes.
fn strftime_now(format: &str) -> Result<String, Error> {
    let failed = || Error::new(ErrorKind::InvalidOperation, "the time cannot be formatted");
    let format = std::ffi::CString::new(format).map_err(|_| failed())?;
    let mut text = vec![0_u8; 64 + 64 * format.as_bytes().len()];
    // SAFETY: a null argument asks only for the return value.
    let now = unsafe { libc::time(std::ptr::null_mut()) };
    // SAFETY: `tm` is plain numbers and a pointer, for which zeros are a value.
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values of the right type.
    if unsafe { libc::localtime_r(&now, &mut parts) }.is_null() {
        return Err(failed());
    }
    // SAFETY: the buffer is as long as said, the format ends in a zero, and `parts` was filled above.
    let length = unsafe { libc::strftime(text.as_mut_ptr().cast(), text.len(), format.as_ptr(), &parts) };
    text.truncate(length);
    String::from_utf8(text).map_err(|_| failed())
}

/// transformers' `tojson`: json.dumps(value, ensure_ascii=False, indent=indent), and no HTML escapes.
fn to_json(value: Value, indent: Option<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let indent = match indent {
        Some(indent) => Some(indent),
        None => kwargs.get::<Option<Value>>("indent")?,
    };
    kwargs.get::<Option<bool>>("ensure_ascii")?;
    let indent = match indent.filter(|indent| !indent.is_none()) {
        Some(indent) => Some(usize::try_from(indent)?),
        None => None,
    };
    kwargs.assert_all_used()?;
    let mut out = String::new();
    write_json(&mut out, &value, indent, 0)?;
    Ok(out)
}

fn write_json(out: &mut String, value: &Value, indent: Option<usize>, depth: usize) -> Result<(), Error> {
    let line = |out: &mut String, depth: usize| {
        if let Some(indent) = indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    };
    let separator = if indent.is_some() { "," } else { ", " };
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => out.push_str(&match python_str(value).as_str() {
            "inf" => "Infinity".to_owned(),
            "-inf" => "-Infinity".to_owned(),
            "nan" => "NaN".to_owned(),
            number => number.to_owned(),
        }),
        ValueKind::String => write_json_string(out, value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            out.push('[');
            let mut empty = true;
            for item in value.try_iter()? {
                if !empty {
                    out.push_str(separator);
                }
                empty = false;
                line(out, depth + 1);
                write_json(out, &item, indent, depth + 1)?;
            }
            if !empty {
                line(out, depth);
            }
            out.push(']');
        }
        ValueKind::Map => {
            out.push('{');
            let mut empty = true;
            for key in value.try_iter()? {
                if !empty {
                    out.push_str(separator);
                }
                empty = false;
                line(out, depth + 1);
                match key.kind() {
                    ValueKind::String => write_json_string(out, key.as_str().unwrap_or_default()),
                    _ => {
                        out.push('"');
                        write_json(out, &key, None, 0)?;
                        out.push('"');
                    }
                }
                out.push_str(": ");
                write_json(out, &value.get_item(&key)?, indent, depth + 1)?;
            }
            if !empty {
                line(out, depth);
            }
            out.push('}');
        }
        kind => {
            let message = format!("an object of type {kind} is not JSON serializable");
            return Err(Error::new(ErrorKind::BadSerialization, message));
        }
    }
    Ok(())
}

fn write_json_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => push_fmt(out, format_args!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn push_fmt(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("a string takes every write");
}

/// What Python's `str` makes of a value.
fn python_str(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => {
            let mut out = String::new();
            write_repr(&mut out, value);
            out
        }
    }
}

/// What Python's `repr` makes of a value.
fn write_repr(out: &mut String, value: &Value) {
    match value.kind() {
        ValueKind::String => write_repr_string(out, value.as_str().unwrap_or_default()),
        ValueKind::Number if !value.is_integer() => {
            out.push_str(&python_float(f64::try_from(value.clone()).unwrap_or(f64::NAN)));
        }
        ValueKind::Seq => {
            let (open, close) = if value.is_tuple() { ('(', ')') } else { ('[', ']') };
            out.push(open);
            let mut count = 0;
            for item in value.try_iter().into_iter().flatten() {
                if count > 0 {
                    out.push_str(", ");
                }
                write_repr(out, &item);
                count += 1;
            }
            if count == 1 && value.is_tuple() {
                out.push(',');
            }
            out.push(close);
        }
        ValueKind::Map => {
            out.push('{');
            for (index, key) in value.try_iter().into_iter().flatten().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_repr(out, &key);
                out.push_str(": ");
                write_repr(out, &value.get_item(&key).unwrap_or_default());
            }
            out.push('}');
        }
        _ => push_fmt(out, format_args!("{value}")),
    }
}

fn write_repr_string(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() => push_fmt(out, format_args!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push(quote);
}

/// Python's shortest text of a float: exponents below -4 and from 16 on.
fn python_float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    format!("{number:?}")
}
