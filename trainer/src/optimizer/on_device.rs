//! `DeviceOptimizer`: the same AdamW over flat tensors on a device.

use half::bf16;
use model::buffer::Buffer;
use model::layout::Layout;
use tch::{Kind, Tensor};

use super::{Moments, MomentsDtype, NotFinite, Optimizer, OptimizerConfig, Rule, Span, StepReport};

/// Numbers that are moved by one call of each operation: what is held beside the flat arrays is a few times as much.
const PART: usize = 1 << 24;

/// AdamW with its moments on a device, laid out as the weights are.
#[derive(Debug)]
pub struct DeviceOptimizer {
    config: OptimizerConfig,
    /// The flat array cut where weight decay begins or ends.
    spans: Vec<Span>,
    /// The same, and cut into parts.
    parts: Vec<Span>,
    first: Tensor,
    second: Tensor,
    moves: u64,
}

impl DeviceOptimizer {
    /// Moments of zero for every parameter of `layout`, where `parameters` are.
    pub fn new(layout: &Layout, parameters: &Tensor, config: &OptimizerConfig) -> DeviceOptimizer {
        DeviceOptimizer::of(Optimizer::new(layout, config), parameters)
    }

    /// Takes the place of an optimizer on the host, where `parameters` are.
    pub fn of(host: Optimizer, parameters: &Tensor) -> DeviceOptimizer {
        let Optimizer { config, spans, moments, moves } = host;
        let cut = |span: &Span| {
            let Span { range, decay } = span.clone();
            let end = range.end;
            range.step_by(PART).map(move |start| Span { range: start..end.min(start + PART), decay })
        };
        let parts = spans.iter().flat_map(cut).collect();
        let device = parameters.device();
        let [first, second] = match &moments {
            Moments::F32(both) => both.each_ref().map(|one| Tensor::from_slice(one)),
            Moments::Bf16(both) => both.each_ref().map(|one| from_halves(one)),
        }
        .map(|one| one.to_device(device));
        DeviceOptimizer { config, spans, parts, first, second, moves }
    }

    /// An optimizer on the host that would go on in this one's place, bit for bit.
    pub fn fetch(&self) -> Optimizer {
        let both = [&self.first, &self.second];
        let moments = match self.config.moments {
            MomentsDtype::F32 => Moments::F32(both.map(to_buffer)),
            MomentsDtype::Bf16 => Moments::Bf16(both.map(to_halves)),
        };
        Optimizer { config: self.config.clone(), spans: self.spans.clone(), moments, moves: self.moves }
    }

    /// How many times the weights have moved.
    pub fn moves(&self) -> u64 {
        self.moves
    }

    /// Moves `parameters` against `gradient`, in place; see [`super::Optimizer::step`].
    ///
    /// Each number moves by the operations of the host's optimizer, in their order; the norm is summed in another.
    pub fn step(
        &mut self,
        parameters: &Tensor,
        gradient: &Tensor,
        update: u64,
        updates: u64,
    ) -> Result<StepReport, NotFinite> {
        assert_eq!(parameters.size(), self.first.size(), "weights have the optimizer's layout");
        assert_eq!(gradient.size(), self.first.size(), "the gradient has the optimizer's layout");
        let grad_norm = self.norm(gradient);
        let (rule, report) = Rule::next(&self.config, grad_norm, update, updates, &mut self.moves)?;
        for part in &self.parts {
            let [mut w, g, mut first, mut second] =
                [parameters, gradient, &self.first, &self.second].map(|all| cut(all, part));
            // Themselves where they are f32.
            let [mut m, mut v] = [&first, &second].map(|moment| moment.to_kind(Kind::Float));
            rule.move_part(part.decay, &mut w, &g, &mut m, &mut v);
            if self.config.moments == MomentsDtype::Bf16 {
                first.copy_(&m);
                second.copy_(&v);
            }
        }
        Ok(report)
    }

    /// The L2 norm of a gradient, summed in f64.
    fn norm(&self, gradient: &Tensor) -> f64 {
        let squares = self.parts.iter().map(|part| {
            let part = cut(gradient, part).to_kind(Kind::Double);
            (&part * &part).sum(Kind::Double)
        });
        let squares: Vec<Tensor> = squares.collect();
        Tensor::stack(&squares, 0).sum(Kind::Double).double_value(&[]).sqrt()
    }
}

impl Rule {
    fn move_part(&self, decay: bool, w: &mut Tensor, g: &Tensor, m: &mut Tensor, v: &mut Tensor) {
        let number = f64::from;
        let keep = if decay { self.keep } else { 1.0 };
        let g = g * number(self.clip);
        let _ = m.g_mul_scalar_(number(self.beta1)).g_add_(&(&g * number(self.rest1)));
        let _ = v.g_mul_scalar_(number(self.beta2)).g_add_(&((&g * &g) * number(self.rest2)));
        let root = v.sqrt().g_mul_scalar_(number(self.root)).g_add_scalar_(number(self.epsilon));
        let _ = w.g_mul_scalar_(number(keep)).g_sub_(&((&*m * number(self.rate)) / root));
    }
}

/// A part of a flat tensor, on its memory.
fn cut(flat: &Tensor, part: &Span) -> Tensor {
    flat.narrow(0, part.range.start as i64, part.range.len() as i64)
}

/// Numbers in f32 in main memory.
fn to_buffer(tensor: &Tensor) -> Buffer {
    let mut numbers = Buffer::zeros(tensor.numel());
    tensor.copy_data(&mut numbers, tensor.numel());
    numbers
}

/// Numbers in bf16 as a tensor, by their bits: to tch they would be numbers of another format with 16 bits.
fn from_halves(numbers: &[bf16]) -> Tensor {
    let bits: Vec<i16> = numbers.iter().map(|number| number.to_bits() as i16).collect();
    Tensor::from_slice(&bits).view_dtype(Kind::BFloat16)
}

/// The same, back.
fn to_halves(tensor: &Tensor) -> Vec<bf16> {
    let mut bits = vec![0i16; tensor.numel()];
    tensor.view_dtype(Kind::Int16).copy_data(&mut bits, tensor.numel());
    bits.into_iter().map(|bits| bf16::from_bits(bits as u16)).collect()
}
