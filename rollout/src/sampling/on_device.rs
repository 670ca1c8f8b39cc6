//! Draws of many rows whose logits are on a device.

use super::{SamplingConfig, noise, unit};
use model::device::gumbel;
use model::philox::Stream;
use tch::{Device, Kind, Tensor};

/// Tokens of a row that are looked at on the host.
const CANDIDATES: i64 = 16;

impl SamplingConfig {
    /// Draws a token for each row of `logits` `[B, V]`, among the first `vocabulary` ids: the tokens that
    /// [`SamplingConfig::draw`] draws from the same numbers.
    ///
    /// The device finds the few largest of logit / T + noise, the host computes these again and takes the largest: a
    /// device's logarithms may differ in the last place. Where that could matter, and where the config truncates, the
    /// whole row is drawn on the host.
    pub fn draw_rows(&self, logits: &Tensor, vocabulary: usize, draws: &[(Stream, u32)]) -> Vec<u32> {
        let logits = logits.narrow(1, 0, vocabulary as i64);
        let on_host = |row: usize| {
            let (stream, position) = &draws[row];
            self.draw(&numbers(&logits.get(row as i64)), stream, *position)
        };
        if self.top_k > 0 || self.top_p < 1.0 || self.min_p > 0.0 {
            return (0..draws.len()).map(on_host).collect();
        }
        let greedy = self.temperature == 0.0;
        let scale = if greedy { 1.0 } else { 1.0 / self.temperature as f32 };
        let scaled = &logits * f64::from(scale);
        let scores = if greedy { scaled.shallow_clone() } else { &scaled + gumbel(draws, vocabulary, logits.device()) };
        let n = CANDIDATES.min(vocabulary as i64);
        let (top, ids) = scores.topk(n, 1, true, true);
        let candidates = numbers(&scaled.gather(1, &ids, false).view([-1]));
        let ids = Vec::<i64>::try_from(ids.view([-1])).expect("ids are numbers");
        let last = numbers(&top.narrow(1, n - 1, 1).view([-1]));
        let n = n as usize;
        let rows = ids.chunks_exact(n).zip(candidates.chunks_exact(n)).zip(draws);
        rows.enumerate()
            .map(|(row, ((ids, candidates), (stream, position)))| {
                let score = |(&id, &scaled): (&i64, &f32)| {
                    let id = id as usize;
                    (if greedy { scaled } else { scaled + noise(unit(stream, *position, id)) }, id)
                };
                let larger = |a: (f32, usize), b: (f32, usize)| match b.0 > a.0 || (b.0 == a.0 && b.1 < a.1) {
                    true => b,
                    false => a,
                };
                let best = ids.iter().zip(candidates).map(score).reduce(larger).expect("a candidate");
                if n < vocabulary && last[row] >= best.0 - margin(best.0) { on_host(row) } else { best.1 as u32 }
            })
            .collect()
    }
}

/// How far a device's score may be from the host's: a few units in the last place of the noise, which is below 17, and of
/// the sum.
fn margin(score: f32) -> f32 {
    1e-4 + 4.0 * f32::EPSILON * score.abs()
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    let tensor = tensor.to_device(Device::Cpu).to_kind(Kind::Float);
    Vec::try_from(tensor).expect("a row of numbers")
}
