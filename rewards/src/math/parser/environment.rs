//! Matrices, systems of equations and other things between `\begin` and `\end`.

use super::{ParseError, Parsed, Parser, product, sum};
use crate::math::token::TokenKind as T;
use crate::math::tree::Node;

impl Parser<'_> {
    /// What follows `\begin{…}`, up to its `\end{…}`.
    pub(super) fn environment(&mut self, name: &str) -> Parsed {
        let matrix = match name {
            "pmatrix" | "bmatrix" | "Bmatrix" | "matrix" | "smallmatrix" | "array" | "tabular" => true,
            "vmatrix" | "Vmatrix" => true,
            "cases" | "aligned" | "align" | "gathered" | "gather" | "split" | "equation" | "array*" => false,
            _ => return Err(ParseError::Unreadable),
        };
        let bars = std::mem::take(&mut self.bars);
        let rows = if matrix { self.rows() } else { self.lines() };
        self.bars = bars;
        let mut rows = rows?;
        match self.next() {
            Some(T::End(end)) if &**end == name => {}
            _ => return Err(ParseError::Unreadable),
        }
        if !matrix {
            let mut items: Vec<Node> = rows.into_iter().flatten().collect();
            return Ok(if items.len() == 1 { items.remove(0) } else { Node::List(items) });
        }
        let width = rows.first().map_or(0, Vec::len);
        if rows.iter().any(|row| row.len() != width) {
            return Err(ParseError::Unreadable);
        }
        if matches!(name, "vmatrix" | "Vmatrix") {
            return Ok(determinant(std::mem::take(&mut rows)));
        }
        Ok(Node::Matrix(rows))
    }

    fn rows(&mut self) -> Parsed<Vec<Vec<Node>>> {
        let mut rows = vec![Vec::new()];
        loop {
            let cell = self.chain()?;
            if let Some(row) = rows.last_mut() {
                row.push(cell);
            }
            match self.peek() {
                Some(T::Cell) => self.at += 1,
                Some(T::Row) => {
                    while self.eat(&T::Row) {}
                    if matches!(self.peek(), Some(T::End(_))) {
                        return Ok(rows);
                    }
                    rows.push(Vec::new());
                }
                _ => return Ok(rows),
            }
        }
    }

    /// Lines of a system: each an item, whatever `&` aligns them at.
    fn lines(&mut self) -> Parsed<Vec<Vec<Node>>> {
        let mut lines = Vec::new();
        loop {
            while self.eat(&T::Cell) || self.eat(&T::Row) {}
            if matches!(self.peek(), Some(T::End(_)) | None) {
                return Ok(lines);
            }
            lines.push(self.list()?);
            if !matches!(self.peek(), Some(T::Row | T::End(_))) {
                return Err(ParseError::Unreadable);
            }
        }
    }
}

/// A determinant of up to three rows, written out; else something only compared with its like.
pub(super) fn determinant(rows: Vec<Vec<Node>>) -> Node {
    let minor = |a: &Node, b: &Node, c: &Node, d: &Node| {
        sum(product(a.clone(), d.clone()), Node::Negative(Box::new(product(b.clone(), c.clone()))))
    };
    let square = rows.iter().all(|row| row.len() == rows.len());
    let one = match rows.as_slice() {
        [row] if square => Some(row[0].clone()),
        [first, second] if square => Some(minor(&first[0], &first[1], &second[0], &second[1])),
        [a, b, c] if square => {
            let term = |k: usize, l: usize, m: usize| product(a[k].clone(), minor(&b[l], &b[m], &c[l], &c[m]));
            Some(sum(sum(term(0, 1, 2), Node::Negative(Box::new(term(1, 0, 2)))), term(2, 0, 1)))
        }
        _ => None,
    };
    one.unwrap_or_else(|| Node::Opaque("det".into(), rows.into_iter().flatten().collect()))
}
