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

/// Room for one microbatch's gradient: the embedding, one block, norm and head.
pub struct Share {
    numbers: Buffer,
    /// The blocks in the flat array, those of multi-token prediction among them.
    blocks: Vec<Range<usize>>,
    /// Whose gradient has the block's room.
    turn: usize,
    /// Where norm and head begin, here and in the flat array.
    back: usize,
    back_there: usize,
    /// A gradient on a device, which takes all of it.
    on_device: Option<Tensor>,
}

impl Share {
    /// Room for a gradient of `layout`, all zero.
    pub fn new(layout: &Layout) -> Share {
        let blocks = layout.block_ranges().to_vec();
        let back_there = blocks.last().map_or(0, |block| block.end);
        let numbers = Buffer::zeros(Share::room(layout));
        Share {
            back: numbers.len() - (layout.len() - back_there),
            numbers,
            blocks,
            turn: 0,
            back_there,
            on_device: None,
        }
    }

    /// A share for a policy that computes on a device: its whole gradient is added to `total`, flat, there, and no part is
    /// handed over.
    pub fn of_device(total: Tensor) -> Share {
        Share { numbers: Buffer::zeros(0), blocks: Vec::new(), turn: 0, back: 0, back_there: 0, on_device: Some(total) }
    }

    /// The gradient on a device.
    pub fn on_device(&mut self) -> Option<&mut Tensor> {
        self.on_device.as_mut()
    }

    /// Numbers that a share of `layout` holds.
    pub fn room(layout: &Layout) -> usize {
        let blocks = layout.block_ranges();
        layout.len() - blocks.iter().map(Range::len).sum::<usize>() + blocks.iter().map(Range::len).max().unwrap_or(0)
    }

    /// Parts that a backward pass hands over.
    pub fn n_parts(layout: &Layout) -> usize {
        layout.block_ranges().len() + 2
    }

    /// Where each part lies in the flat array, in the order of their numbers.
    pub(crate) fn ranges(layout: &Layout) -> Vec<Range<usize>> {
        let blocks = layout.block_ranges();
        let front = 0..blocks.first().map_or(0, |block| block.start);
        let back = blocks.last().map_or(0, |block| block.end)..layout.len();
        std::iter::once(front).chain(blocks.iter().cloned()).chain([back]).collect()
    }

    /// Numbers held.
    #[expect(clippy::len_without_is_empty, reason = "no architecture is without parameters")]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// From here on a block's slots are those of block `layer`.
    pub(crate) fn turn_to(&mut self, layer: usize) {
        self.turn = layer;
    }

    pub(crate) fn slot(&mut self, slot: Slot) -> &mut [f32] {
        let range = self.place(slot.range());
        &mut self.numbers[range]
    }

    /// Numbers of one block, or of the ends.
    pub(crate) fn part(&mut self, range: Range<usize>) -> &mut [f32] {
        let range = self.place(range);
        &mut self.numbers[range]
    }

    /// Embedding, norm and head are never moved; of the blocks one is here.
    fn place(&self, range: Range<usize>) -> Range<usize> {
        let (from, to) = match self.blocks.first() {
            Some(_) if range.start >= self.back_there => (self.back_there, self.back),
            Some(first) if range.start >= first.start => {
                let here = &self.blocks[self.turn];
                assert!(here.start <= range.start && range.end <= here.end, "the slot is of block {}", self.turn);
                (here.start, first.start)
            }
            _ => (0, 0),
        };
        range.start - from + to..range.end - from + to
    }

    /// Hands block `layer` over.
    pub(crate) fn hand_block(&mut self, layer: usize, hand: &mut Hand<'_>) {
        let there = self.blocks[layer].clone();
        let start = self.blocks[0].start;
        let here = start..start + there.len();
        hand(1 + layer, there, &self.numbers[here.clone()]);
        clear(&mut self.numbers[here]);
    }

    /// Hands embedding, norm and head over.
    pub(crate) fn hand_ends(&mut self, hand: &mut Hand<'_>) {
        let (front, back) = (0..self.blocks.first().map_or(0, |block| block.start), self.back..self.numbers.len());
        hand(0, front.clone(), &self.numbers[front.clone()]);
        let there = self.back_there..self.back_there + back.len();
        hand(1 + self.blocks.len(), there, &self.numbers[back.clone()]);
        clear(&mut self.numbers[front]);
        clear(&mut self.numbers[back]);
    }
}
