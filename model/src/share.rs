//! `Share`: one microbatch's gradient while it is computed, a block at a time.
//!
//! A backward pass goes through the blocks one by one, so only one block's gradient need exist beside those of embedding,
//! norm and head. As soon as it is whole it is handed over and its place used for the next block: who computes it holds a
//! small part of what the policy's whole gradient takes.

use std::ops::Range;

use tch::Tensor;

use crate::buffer::{Buffer, clear};
use crate::layout::{Layout, Slot};

/// Takes a part of a gradient: the part's number, where it lies in the flat array, its numbers. Parts are numbered in
/// the order of the layout: embedding 0, then the blocks, then norm and head.
pub type Hand<'a> = dyn FnMut(usize, Range<usize>, &[f32]) + 'a;

/// Room for one microbatch's gradient.
pub struct Share {
    numbers: Buffer,
    /// The blocks in the flat array.
    blocks: Range<usize>,
    n_layers: usize,
    /// Numbers of one block.
    stride: usize,
    /// How far what follows the first block is moved to the front.
    shift: usize,
}

impl Share {
    /// Room for a gradient of `layout`, all zero.
    pub fn new(layout: &Layout) -> Share {
        let (blocks, n_layers) = (layout.block_range(), layout.blocks.len());
        let stride = blocks.len() / n_layers.max(1);
        let numbers = Buffer::zeros(layout.len() - blocks.len() + stride);
        Share { numbers, blocks, n_layers, stride, shift: 0 }
    }

    /// Parts that a backward pass hands over.
    pub fn n_parts(layout: &Layout) -> usize {
        layout.blocks.len() + 2
    }

    /// Where each part lies in the flat array, in the order of their numbers.
    pub(crate) fn ranges(layout: &Layout) -> Vec<Range<usize>> {
        let (blocks, n_layers) = (layout.block_range(), layout.blocks.len());
        let stride = blocks.len() / n_layers.max(1);
        let block = |layer| blocks.start + layer * stride..blocks.start + (layer + 1) * stride;
        let (front, back) = (0..blocks.start, blocks.end..layout.len());
        std::iter::once(front).chain((0..n_layers).map(block)).chain([back]).collect()
    }

    /// Numbers held.
    #[expect(clippy::len_without_is_empty, reason = "no architecture is without parameters")]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// From here on slots are those of block `layer`; of norm and head with the number of layers less one.
    pub(crate) fn turn_to(&mut self, layer: usize) {
        self.shift = layer * self.stride;
    }

    pub(crate) fn slot(&mut self, slot: Slot) -> &mut [f32] {
        let range = self.place(slot.range());
        &mut self.numbers[range]
    }

    pub(crate) fn matrix(&self, slot: Slot) -> Tensor {
        self.numbers.matrix(self.place(slot.range()).start, slot.rows, slot.columns)
    }

    /// The embedding stands before all blocks and is never moved.
    fn place(&self, range: Range<usize>) -> Range<usize> {
        let shift = if range.start < self.blocks.start { 0 } else { self.shift };
        range.start - shift..range.end - shift
    }

    /// Hands block `layer` over.
    pub(crate) fn hand_block(&mut self, layer: usize, hand: &mut Hand<'_>) {
        let here = self.blocks.start..self.blocks.start + self.stride;
        let there = here.start + layer * self.stride..here.end + layer * self.stride;
        hand(1 + layer, there, &self.numbers[here.clone()]);
        clear(&mut self.numbers[here]);
    }

    /// Hands embedding, norm and head over.
    pub(crate) fn hand_ends(&mut self, hand: &mut Hand<'_>) {
        let (front, back) = (0..self.blocks.start, self.blocks.start + self.stride..self.numbers.len());
        hand(0, front.clone(), &self.numbers[front.clone()]);
        let there = self.blocks.end..self.blocks.end + back.len();
        hand(1 + self.n_layers, there, &self.numbers[back.clone()]);
        clear(&mut self.numbers[front]);
        clear(&mut self.numbers[back]);
    }
}
