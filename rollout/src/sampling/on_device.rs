//! Draws of many rows whose logits are on a device.

use super::SamplingConfig;
use model::device::gumbel;
use model::philox::Stream;
use tch::{Device, Kind, Tensor};

impl SamplingConfig {
    /// Draws a token for each row of `logits` `[B, V]`, among the first `vocabulary` ids: the tokens that
    /// [`SamplingConfig::draw`] draws from the same numbers.
    ///
    /// The device takes the largest of logit / T + noise. Its logarithms may differ from the host's in the last place, so
    /// where the second is close behind the first, and where the config truncates, the row is drawn on the host.
    pub fn draw_rows(&self, logits: &Tensor, vocabulary: usize, draws: &[(Stream, u32)]) -> Vec<u32> {
        let logits = logits.narrow(1, 0, vocabulary as i64);
        let on_host = |row: usize| {
            let (stream, position) = &draws[row];
            self.draw(&numbers(&logits.get(row as i64)), stream, *position)
        };
        if vocabulary == 1 || self.top_k > 0 || self.top_p < 1.0 || self.min_p > 0.0 {
            return (0..draws.len()).map(on_host).collect();
        }
        let scores = match self.temperature {
            0.0 => logits.shallow_clone(),
            t => &logits * f64::from(1.0 / t as f32) + gumbel(draws, vocabulary, logits.device()),
        };
        let (best, ids) = scores.topk(2, 1, true, true);
        let best = numbers(&best.view([-1]));
        let ids = Vec::<i64>::try_from(ids.select(1, 0)).expect("ids are whole numbers");
        let rows = best.chunks_exact(2).zip(ids).enumerate();
        rows.map(|(row, (pair, id))| if pair[0] - pair[1] > margin(pair[0]) { id as u32 } else { on_host(row) })
            .collect()
    }
}

/// How far two scores may both be from the host's: a few units in the last place of the noise, which is below 17, and of
/// the sum.
fn margin(score: f32) -> f32 {
    1e-4 + 4.0 * f32::EPSILON * score.abs()
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    let tensor = tensor.to_device(Device::Cpu).to_kind(Kind::Float);
    Vec::try_from(tensor).expect("a row of numbers")
}
