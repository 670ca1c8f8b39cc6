//! Plain values as bytes: version 2 of the format of Python's `marshal` module, which every Python writes and reads in
//! C and which knows exactly the built-in types. Code objects, references and whatever else the format can hold are
//! refused, depth is limited, and nothing is allocated that the bytes do not fill.

use dashu::base::Sign;
use dashu::integer::{IBig, UBig};

use super::Plain;

/// Deepest nesting that is read or written.
const MAX_DEPTH: usize = 256;
/// Most values in one, inner ones counted. A value takes a byte to write and 32 to hold: whoever writes must not choose how
/// much memory whoever reads takes.
const MAX_VALUES: usize = 1 << 21;

/// Why bytes are no plain value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MarshalError {
    /// The bytes end within a value.
    #[error("the value is cut off")]
    Cut,
    /// A kind of object that is not plain, by its tag in the format.
    #[error("an object that is not plain data (`{0}`)")]
    NotPlain(char),
    /// Lists within lists beyond the limit.
    #[error("nested more than {MAX_DEPTH} deep")]
    Deep,
    /// More values than the limit.
    #[error("more than {MAX_VALUES} values")]
    Many,
    /// More bytes than the value has.
    #[error("bytes after the value")]
    Trailing,
}

impl Plain {
    /// Reads one value that fills `bytes`.
    ///
    /// # Errors
    /// Where the bytes are not exactly one plain value.
    pub fn from_marshal(bytes: &[u8]) -> Result<Self, MarshalError> {
        let mut reader = Reader { rest: bytes, n_values: 0 };
        let value = reader.value(0)?.ok_or(MarshalError::NotPlain('0'))?;
        if reader.rest.is_empty() { Ok(value) } else { Err(MarshalError::Trailing) }
    }

    /// The value in the form `marshal.loads` reads.
    pub fn to_marshal(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(self, &mut bytes);
        bytes
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    n_values: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], MarshalError> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(MarshalError::Cut)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MarshalError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(MarshalError::Cut)?;
        self.rest = rest;
        Ok(*head)
    }

    fn long(&mut self) -> Result<i32, MarshalError> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    fn float(&mut self) -> Result<f64, MarshalError> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    fn length(&mut self) -> Result<usize, MarshalError> {
        usize::try_from(self.long()?).map_err(|_| MarshalError::Cut)
    }

    fn text(&mut self, n: usize) -> Result<Plain, MarshalError> {
        Ok(Plain::Str(String::from_utf8_lossy(self.take(n)?).into_owned()))
    }

    fn items(&mut self, n: usize, depth: usize) -> Result<Vec<Plain>, MarshalError> {
        // Each item takes a byte at least, so a length beyond the rest of the bytes reserves nothing.
        let mut items = Vec::with_capacity(n.min(self.rest.len()).min(4096));
        for _ in 0..n {
            items.push(self.value(depth + 1)?.ok_or(MarshalError::NotPlain('0'))?);
        }
        Ok(items)
    }

    fn big(&mut self) -> Result<Plain, MarshalError> {
        let n = self.long()?;
        let digits = self.take(usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX).saturating_mul(2))?;
        // Digits of 15 bits, the lowest first.
        let mut bytes = Vec::with_capacity(digits.len());
        let (mut held, mut n_bits) = (0u32, 0);
        for digit in digits.chunks_exact(2) {
            held |= u32::from(u16::from_le_bytes([digit[0], digit[1]]) & 0x7fff) << n_bits;
            n_bits += 15;
            while n_bits >= 8 {
                bytes.push((held & 0xff) as u8);
                held >>= 8;
                n_bits -= 8;
            }
        }
        bytes.push((held & 0xff) as u8);
        let sign = if n < 0 { Sign::Negative } else { Sign::Positive };
        Ok(Plain::Int(IBig::from_parts(sign, UBig::from_le_bytes(&bytes))))
    }

    /// One value, or `None` at the mark that ends a dictionary.
    fn value(&mut self, depth: usize) -> Result<Option<Plain>, MarshalError> {
        if depth > MAX_DEPTH {
            return Err(MarshalError::Deep);
        }
        self.n_values += 1;
        if self.n_values > MAX_VALUES {
            return Err(MarshalError::Many);
        }
        let [tag] = self.array()?;
        Ok(Some(match tag {
            b'0' => return Ok(None),
            b'N' => Plain::None,
            b'T' => Plain::Bool(true),
            b'F' => Plain::Bool(false),
            b'i' => Plain::Int(self.long()?.into()),
            b'l' => self.big()?,
            b'g' => Plain::Float(self.float()?),
            b'y' => Plain::Complex(self.float()?, self.float()?),
            b's' => {
                let n = self.length()?;
                Plain::Bytes(self.take(n)?.to_vec())
            }
            b'u' | b't' | b'a' | b'A' => {
                let n = self.length()?;
                self.text(n)?
            }
            b'z' | b'Z' => {
                let [n] = self.array()?;
                self.text(n.into())?
            }
            b'(' => {
                let n = self.length()?;
                Plain::Tuple(self.items(n, depth)?)
            }
            b')' => {
                let [n] = self.array()?;
                Plain::Tuple(self.items(n.into(), depth)?)
            }
            b'[' => {
                let n = self.length()?;
                Plain::List(self.items(n, depth)?)
            }
            b'<' | b'>' => {
                let n = self.length()?;
                Plain::Set(self.items(n, depth)?)
            }
            b'{' => {
                let mut entries = Vec::new();
                while let Some(key) = self.value(depth + 1)? {
                    entries.push((key, self.value(depth + 1)?.ok_or(MarshalError::NotPlain('0'))?));
                }
                Plain::Dict(entries)
            }
            other => return Err(MarshalError::NotPlain(char::from(other))),
        }))
    }
}

fn write(value: &Plain, out: &mut Vec<u8>) {
    // Lengths are written as 32 bits, as the format has it; a longer value would not fit in a request.
    let length = |tag: u8, n: usize, out: &mut Vec<u8>| {
        out.push(tag);
        out.extend(i32::try_from(n).unwrap_or(i32::MAX).to_le_bytes());
    };
    match value {
        Plain::None => out.push(b'N'),
        Plain::Bool(true) => out.push(b'T'),
        Plain::Bool(false) => out.push(b'F'),
        Plain::Int(value) => match i32::try_from(value) {
            Ok(small) => {
                out.push(b'i');
                out.extend(small.to_le_bytes());
            }
            Err(_) => write_big(value, out),
        },
        Plain::Float(value) => {
            out.push(b'g');
            out.extend(value.to_le_bytes());
        }
        Plain::Complex(real, imaginary) => {
            out.push(b'y');
            out.extend(real.to_le_bytes());
            out.extend(imaginary.to_le_bytes());
        }
        Plain::Str(text) => {
            length(b'u', text.len(), out);
            out.extend(text.as_bytes());
        }
        Plain::Bytes(bytes) => {
            length(b's', bytes.len(), out);
            out.extend(bytes);
        }
        Plain::List(items) | Plain::Tuple(items) | Plain::Set(items) => {
            let tag = match value {
                Plain::List(_) => b'[',
                Plain::Tuple(_) => b'(',
                _ => b'<',
            };
            length(tag, items.len(), out);
            items.iter().for_each(|item| write(item, out));
        }
        Plain::Dict(entries) => {
            out.push(b'{');
            for (key, value) in entries {
                write(key, out);
                write(value, out);
            }
            out.push(b'0');
        }
    }
}

fn write_big(value: &IBig, out: &mut Vec<u8>) {
    let (sign, magnitude) = value.clone().into_parts();
    let mut digits: Vec<u16> = Vec::new();
    let (mut held, mut n_bits) = (0u32, 0);
    for byte in magnitude.to_le_bytes() {
        held |= u32::from(byte) << n_bits;
        n_bits += 8;
        if n_bits >= 15 {
            digits.push((held & 0x7fff) as u16);
            held >>= 15;
            n_bits -= 15;
        }
    }
    digits.push((held & 0x7fff) as u16);
    // The format wants no leading zero digit.
    while digits.last() == Some(&0) {
        digits.pop();
    }
    let n = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    out.push(b'l');
    out.extend(if sign == Sign::Negative { -n } else { n }.to_le_bytes());
    digits.iter().for_each(|digit| out.extend(digit.to_le_bytes()));
}
