//! `Columns`: the numbers of `metrics.jsonl` by key, and their thinning for a plot.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::ops::Range;
use std::path::Path;

use serde_json::{Map, Value};

use crate::durable::{At, DiskError};

/// One key's numbers in the order of steps. NaN stands for what was not a number.
pub(super) type Column = Vec<(u64, f64)>;

/// All keys of a run.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) keys: BTreeMap<String, Column>,
    pub(super) last_step: Option<u64>,
}

impl Columns {
    /// Reads the log; no file is an empty one. Lines that are no JSON object, such as the half line of a run that is
    /// being written, are passed over.
    pub(super) fn read(path: &Path) -> Result<Self, DiskError> {
        let mut columns = Self::default();
        for line in lines(path)? {
            let line = line.at("read", path)?;
            let Ok(line) = serde_json::from_slice::<Map<String, Value>>(&line) else { continue };
            let Some(step) = line.get("step").and_then(Value::as_u64) else { continue };
            columns.add(step, line);
        }
        Ok(columns)
    }

    fn add(&mut self, step: u64, line: Map<String, Value>) {
        if self.last_step.is_some_and(|last| step < last) {
            // Taken a second time: what came first no longer counts. A step and its evaluation are two lines.
            self.keys.values_mut().for_each(|column| column.truncate(column.partition_point(|(at, _)| *at < step)));
        }
        self.last_step = Some(step);
        for (key, number) in line {
            let number = match number {
                Value::Number(number) => number.as_f64().unwrap_or(f64::NAN),
                Value::Null => f64::NAN,
                _ => continue,
            };
            if key == "step" {
                continue;
            }
            let column = self.keys.entry(key).or_default();
            column.pop_if(|(last, _)| *last == step);
            column.push((step, number));
        }
    }

    /// A key's numbers; none where the run has no such key.
    pub(super) fn get(&self, key: &str) -> &[(u64, f64)] {
        self.keys.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// The sum of a key's numbers.
    pub(super) fn sum(&self, key: &str) -> f64 {
        self.get(key).iter().map(|(_, number)| number).filter(|number| number.is_finite()).sum()
    }
}

/// The lines of a file as bytes; none where there is no file.
pub(super) fn lines(path: &Path) -> Result<impl Iterator<Item = io::Result<Vec<u8>>>, DiskError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        opened => Some(opened.at("read", path)?),
    };
    Ok(file.into_iter().flat_map(|file| BufReader::new(file).split(b'\n')))
}

/// At most `limit` of the points: in each stretch of them the lowest and the highest, so that no spike is lost, and
/// first and last. A stretch without a number stays as one gap.
pub(super) fn thin(column: &[(u64, f64)], limit: usize) -> Column {
    if column.len() <= limit {
        return column.to_vec();
    }
    let (first, last) = (column[0], column[column.len() - 1]);
    let inner = &column[1..column.len() - 1];
    let mut thinned = vec![first];
    for stretch in stretches(inner.len(), (limit.max(4) - 2) / 2) {
        let stretch = &inner[stretch];
        let numbers = || stretch.iter().filter(|point| point.1.is_finite());
        let lowest = numbers().min_by(|a, b| a.1.total_cmp(&b.1));
        let highest = numbers().max_by(|a, b| a.1.total_cmp(&b.1));
        match (lowest, highest) {
            (Some(a), Some(b)) if a.0 == b.0 => thinned.push(*a),
            (Some(a), Some(b)) if a.0 < b.0 => thinned.extend([*a, *b]),
            (Some(a), Some(b)) => thinned.extend([*b, *a]),
            _ => thinned.push((stretch[0].0, f64::NAN)),
        }
    }
    thinned.push(last);
    thinned
}

/// The trend: at most `limit` points, each the mean over a window of a 25th of the run around it. None for short runs.
pub(super) fn trend(column: &[(u64, f64)], limit: usize) -> Column {
    const SHORTEST: usize = 60;
    if column.len() < SHORTEST {
        return Vec::new();
    }
    let half = column.len() / 50;
    // Sums over every prefix make each window's mean two subtractions.
    let mut sums = vec![(0.0, 0.0)];
    for (_, number) in column {
        let (sum, n) = sums[sums.len() - 1];
        sums.push(if number.is_finite() { (sum + number, n + 1.0) } else { (sum, n) });
    }
    let mean = |at: usize| {
        let (low, high) = (sums[at.saturating_sub(half)], sums[(at + half + 1).min(column.len())]);
        (column[at].0, (high.0 - low.0) / (high.1 - low.1))
    };
    let n = limit.min(column.len());
    (0..n).map(|i| mean(i * (column.len() - 1) / (n - 1))).collect()
}

/// `0..len` cut into at most `n` stretches of nearly the same length.
pub(super) fn stretches(len: usize, n: usize) -> impl Iterator<Item = Range<usize>> {
    let n = n.clamp(1, len.max(1));
    (0..n).map(move |i| i * len / n..(i + 1) * len / n).filter(|stretch| !stretch.is_empty())
}
