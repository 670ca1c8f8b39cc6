//! `KvCache`: keys and values of the sequences being sampled, in pages.
//!
//! A page holds one key tile (32 absolute positions) of every layer, in the form the attention kernel works on, so
//! decoding neither gathers nor copies. Pages are counted references: completions of one prompt share its full pages
//! and each take a copy of the last, unfinished one. The arena they lie in is reserved once and used again; how many
//! caches share it may change from one use to the next.

use crate::attention::TILE;
use crate::attention::step::{self, Pages};
use crate::buffer::Buffer;
use crate::config::ModelConfig;
use crate::pages;
use tch::{Device, Kind, Tensor};

/// Memory for pages, reserved once.
pub struct KvArena {
    numbers: Buffer,
    stride: usize,
    first_layer: usize,
    n_pages: usize,
}

/// Pages of keys and values, for one replica.
pub struct KvCache<'a> {
    numbers: &'a mut [f32],
    stride: usize,
    first_layer: usize,
    references: Vec<u32>,
    free: Vec<i32>,
}

/// One sequence's pages and how many positions they hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    pages: Vec<i32>,
    length: usize,
}

impl Sequence {
    /// Positions held.
    #[expect(clippy::len_without_is_empty, reason = "a sequence is never asked for before its prompt is in")]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Its pages, in order.
    pub(crate) fn pages(&self) -> &[i32] {
        &self.pages
    }
}

impl KvArena {
    /// Room for `n_pages`. Memory is taken from the system as pages are first written.
    pub fn new(config: &ModelConfig, n_pages: usize) -> KvArena {
        KvArena::of(KvCache::page_bytes(config), 0, n_pages)
    }

    /// Room for `n_pages` of the first module of multi-token prediction.
    pub fn of_mtp(config: &ModelConfig, n_pages: usize) -> KvArena {
        KvArena::of(KvCache::mtp_page_bytes(config), config.n_layers, n_pages)
    }

    fn of(page_bytes: usize, first_layer: usize, n_pages: usize) -> KvArena {
        let stride = page_bytes / 4;
        let mut numbers = Buffer::of(Tensor::empty([(stride * n_pages) as i64], (Kind::Float, Device::Cpu)));
        pages::huge(numbers.as_mut_ptr(), numbers.len());
        KvArena { numbers, stride, first_layer, n_pages }
    }

    /// Pages, however many caches share them.
    pub fn n_pages(&self) -> usize {
        self.n_pages
    }

    /// One cache of all pages.
    pub fn cache(&mut self) -> KvCache<'_> {
        KvCache::on(&mut self.numbers, self.stride, self.first_layer, self.n_pages)
    }

    /// `n` caches that share the pages evenly.
    pub fn split(&mut self, n: usize) -> Vec<KvCache<'_>> {
        let (share, stride, first_layer) = (self.n_pages / n, self.stride, self.first_layer);
        let mut rest = &mut self.numbers[..];
        let mut next = || {
            let (own, others) = std::mem::take(&mut rest).split_at_mut(share * stride);
            rest = others;
            KvCache::on(own, stride, first_layer, share)
        };
        (0..n).map(|_| next()).collect()
    }
}

impl<'a> KvCache<'a> {
    /// Bytes of one page of all layers but those of multi-token prediction.
    pub fn page_bytes(config: &ModelConfig) -> usize {
        config.n_layers * KvCache::mtp_page_bytes(config)
    }

    /// Bytes of one page of a module of multi-token prediction: one layer's share.
    pub fn mtp_page_bytes(config: &ModelConfig) -> usize {
        4 * step::page_floats(config.heads(0))
    }

    /// Pages that hold `positions`.
    pub fn pages_for(positions: usize) -> usize {
        positions.div_ceil(TILE)
    }

    fn on(numbers: &'a mut [f32], stride: usize, first_layer: usize, n_pages: usize) -> KvCache<'a> {
        KvCache {
            numbers,
            stride,
            first_layer,
            references: vec![0; n_pages],
            free: (0..n_pages as i32).rev().collect(),
        }
    }

    /// Pages that nobody holds.
    pub fn n_free(&self) -> usize {
        self.free.len()
    }

    /// A sequence that goes on where `prompt` stands, sharing its full pages. Takes one page where the last is not
    /// full.
    pub fn fork(&mut self, prompt: &Sequence) -> Sequence {
        let full = prompt.length / TILE;
        let mut pages = prompt.pages[..full].to_vec();
        for &page in &pages {
            self.references[page as usize] += 1;
        }
        if let Some(&last) = prompt.pages.get(full) {
            let page = self.take();
            let from = last as usize * self.stride;
            self.numbers.copy_within(from..from + self.stride, page as usize * self.stride);
            pages.push(page);
        }
        Sequence { pages, length: prompt.length }
    }

    /// Gives a sequence's pages back.
    pub fn release(&mut self, sequence: Sequence) {
        for page in sequence.pages {
            let references = &mut self.references[page as usize];
            *references -= 1;
            if *references == 0 {
                self.free.push(page);
            }
        }
    }

    /// Takes the last `n` positions out of `sequence`, and gives back the pages that held no others.
    pub fn truncate(&mut self, sequence: &mut Sequence, n: usize) {
        assert!(n <= sequence.length, "{n} positions of {}", sequence.length);
        sequence.length -= n;
        let pages = sequence.pages.split_off(KvCache::pages_for(sequence.length));
        self.release(Sequence { pages, length: 0 });
    }

    fn take(&mut self) -> i32 {
        let page = self.free.pop().expect("a sequence is admitted only when all its pages are free");
        self.references[page as usize] = 1;
        page
    }

    /// Makes room for `n` more positions of `sequence`, and adds to `pages` and `slots` where each of them goes.
    pub(crate) fn extend(&mut self, sequence: &mut Sequence, n: usize, pages: &mut Vec<i32>, slots: &mut Vec<i32>) {
        let end = sequence.length + n;
        while sequence.pages.len() * TILE < end {
            let page = self.take();
            sequence.pages.push(page);
        }
        pages.extend((sequence.length..end).map(|p| sequence.pages[p / TILE]));
        slots.extend((sequence.length..end).map(|p| (p % TILE) as i32));
        sequence.length = end;
    }

    /// The pages, for kernels that write and read them.
    pub(crate) fn pages(&mut self) -> Pages<'_> {
        Pages::new(self.numbers, self.stride).beginning_at(self.first_layer)
    }
}

#[cfg(test)]
mod tests;
