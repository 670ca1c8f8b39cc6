//! JSON read as Python's `json.loads` reads it: whole numbers of any size, floats to the last bit.

use dashu::integer::IBig;

use crate::sandbox::Plain;

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 200;

/// Reads a JSON text whole.
///
/// # Errors
/// Says at which byte the text is no JSON, and why.
pub(crate) fn read(text: &str) -> Result<Plain, String> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.space();
    if reader.at < text.len() { Err(reader.wrong("text behind the value")) } else { Ok(value) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn wrong(&self, what: &str) -> String {
        format!("{what} at byte {}", self.at + 1)
    }

    fn rest(&self) -> &[u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn space(&mut self) {
        self.at += self.rest().iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
    }

    fn take(&mut self, word: &str) -> bool {
        let there = self.rest().starts_with(word.as_bytes());
        self.at += if there { word.len() } else { 0 };
        there
    }

    fn value(&mut self, depth: usize) -> Result<Plain, String> {
        if depth > MAX_DEPTH {
            return Err(self.wrong("nested too deeply"));
        }
        self.space();
        match self.rest().first() {
            None => Err(self.wrong("a value is missing")),
            Some(b'"') => self.string().map(Plain::Str),
            Some(b'[') => {
                self.at += 1;
                let mut items = Vec::new();
                self.items(b']', |reader| {
                    items.push(reader.value(depth + 1)?);
                    Ok(())
                })?;
                Ok(Plain::List(items))
            }
            Some(b'{') => {
                self.at += 1;
                let mut entries: Vec<(Plain, Plain)> = Vec::new();
                self.items(b'}', |reader| {
                    reader.space();
                    if reader.rest().first() != Some(&b'"') {
                        return Err(reader.wrong("a key in quotes is missing"));
                    }
                    let key = reader.string()?;
                    reader.space();
                    if !reader.take(":") {
                        return Err(reader.wrong("`:` is missing"));
                    }
                    entries.push((Plain::Str(key), reader.value(depth + 1)?));
                    Ok(())
                })?;
                Ok(Plain::Dict(entries))
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => {
                let words = [
                    ("null", Plain::None),
                    ("true", Plain::Bool(true)),
                    ("false", Plain::Bool(false)),
                    ("NaN", Plain::Float(f64::NAN)),
                    ("Infinity", Plain::Float(f64::INFINITY)),
                ];
                let found = words.into_iter().find(|(word, _)| self.take(word));
                found.map(|(_, value)| value).ok_or_else(|| self.wrong("no JSON"))
            }
        }
    }

    fn items(&mut self, close: u8, mut item: impl FnMut(&mut Self) -> Result<(), String>) -> Result<(), String> {
        self.space();
        if self.rest().first() == Some(&close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self)?;
            self.space();
            match self.rest().first() {
                Some(b',') => self.at += 1,
                Some(byte) if *byte == close => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.wrong(&format!("`,` or `{}` is missing", char::from(close)))),
            }
        }
    }

    fn string(&mut self) -> Result<String, String> {
        let mut escaped = false;
        let end = self.rest().iter().skip(1).position(|byte| {
            let closes = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            closes
        });
        let Some(end) = end else { return Err(self.wrong("a string is never closed")) };
        let text = &self.text[self.at..self.at + end + 2];
        let string = serde_json::from_str(text).map_err(|error| self.wrong(&format!("no string ({error})")))?;
        self.at += text.len();
        Ok(string)
    }

    fn number(&mut self) -> Result<Plain, String> {
        if self.take("-Infinity") {
            return Ok(Plain::Float(f64::NEG_INFINITY));
        }
        let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = self.rest().iter().take_while(is_part).count();
        let text = &self.text[self.at..self.at + length];
        let digits = text.strip_prefix('-').unwrap_or(text);
        let whole = digits.bytes().all(|byte| byte.is_ascii_digit());
        let leading_zero = digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit();
        let value = match (leading_zero, whole) {
            (true, _) => None,
            (false, true) => IBig::from_str_radix(text, 10).ok().map(Plain::Int),
            (false, false) if digits.starts_with('.') || digits.ends_with('.') => None,
            (false, false) => text.parse().ok().map(Plain::Float),
        };
        let value = value.ok_or_else(|| self.wrong("no number"))?;
        self.at += length;
        Ok(value)
    }
}

#[cfg(test)]
mod tests;
