//! `Widths`: how many numbers a row takes in each block, piece by piece.

use model::config::experts::ExpertsConfig;
use model::config::{AttentionConfig, Dtype, GroupedAttention, LatentAttention, Mla, ModelConfig};

/// Numbers of one row.
#[derive(Clone, Copy)]
pub(super) struct Widths {
    /// D: the stream.
    pub(super) stream: u64,
    /// V: logits.
    pub(super) vocabulary: u64,
    /// What all blocks keep for their gradients, their inputs aside.
    pub(super) kept_by_all: u64,
    /// What the block that needs most keeps, its input aside.
    pub(super) kept: u64,
    /// What a block holds besides until its output is there.
    pub(super) forward: u64,
    /// What its gradient holds besides, at most.
    pub(super) backward: u64,
    /// What its gradient holds besides while that of attention is computed, the sums aside.
    pub(super) attention: u64,
    /// What of all that was kept is gone by then.
    pub(super) released: u64,
}

/// Numbers of one row in attention or feed-forward.
#[derive(Clone, Copy)]
struct Piece {
    kept: u64,
    /// Until its output is there, and in its gradient, the stream's own rows aside.
    forward: u64,
    backward: u64,
}

/// What products make of their factors: 1 where it is so. In bf16 rounded ones; in FP8 tiles, beside what they are made of.
#[derive(Clone, Copy)]
struct Copies {
    half: u64,
    tiles: u64,
}

impl Widths {
    pub(super) fn of(model: &ModelConfig, dtype: Dtype, mla: Mla) -> Widths {
        let d = wide(model.hidden_dim);
        let copies = Copies { half: u64::from(dtype == Dtype::Bf16), tiles: u64::from(dtype == Dtype::Fp8) };
        let attention = match &model.attention {
            AttentionConfig::Grouped(attention) => grouped(attention, d, copies),
            AttentionConfig::Latent(attention) if mla == Mla::Expanded => expanded(attention, d, copies),
            AttentionConfig::Latent(attention) => absorbed(attention, d, copies),
        };
        // Of each kind of feed-forward, in how many blocks it is.
        let n_sparse = model.blocks[..model.n_layers].iter().filter(|block| block.sparse).count();
        let sparse = model.experts.as_ref().map(|config| (n_sparse, experts(config, d, copies)));
        let kinds = [Some((model.n_layers - n_sparse, dense(model.ffn_dim, d, copies))), sparse];
        let kinds: Vec<(usize, Piece)> = kinds.into_iter().flatten().filter(|(n, _)| *n > 0).collect();
        let most = |number: &dyn Fn(&Piece) -> u64| kinds.iter().map(|(_, piece)| number(piece)).max().unwrap_or(0);

        // Both norms' roots and the middle of the stream; where norms follow, also what went into them.
        let own = d + 2 + attention.kept + if model.norm.after { 2 * d } else { 0 };
        Widths {
            stream: d,
            vocabulary: wide(model.vocab_size),
            kept_by_all: kinds.iter().map(|(n, piece)| wide(*n) * (own + piece.kept)).sum(),
            kept: own + most(&|piece| piece.kept),
            // Attention runs before what the feed-forward keeps is there.
            forward: most(&|piece| (d + piece.forward).max(attention.forward.saturating_sub(piece.kept))),
            backward: most(&|piece| piece.backward),
            // Beside the gradient of the second norm's input.
            attention: d + attention.backward,
            released: most(&|piece| piece.kept) + d,
        }
    }
}

fn wide(n: usize) -> u64 {
    n as u64
}

/// Queries, keys and values, what heads attended to and its log-sums; with norms on heads also what went into them.
fn grouped(a: &GroupedAttention, d: u64, Copies { half, tiles }: Copies) -> Piece {
    let (q, kv) = (wide(a.n_heads * a.head_dim), wide(a.n_kv_heads * a.head_dim));
    let (heads, kv_heads) = (wide(a.n_heads), wide(a.n_kv_heads));
    let normed = if a.head_norms { q + kv + heads + kv_heads } else { 0 };
    // Gradients of attended, of queries, keys and values.
    Piece {
        kept: 2 * q + 2 * kv + heads + normed,
        forward: 0,
        backward: 2 * q + 2 * kv + half * q / 2 + tiles * (q + d),
    }
}

/// Latents of queries and of keys and values before their norms, with their roots.
fn latents(a: &LatentAttention) -> u64 {
    a.query_rank.map_or(0, |rank| wide(rank) + 1) + wide(a.rank) + 1
}

/// Queries before and after they meet the latents' space, latents with rotated keys, what heads gathered with its log-sums,
/// the values of that.
fn absorbed(a: &LatentAttention, d: u64, Copies { half, tiles }: Copies) -> Piece {
    let h = wide(a.n_heads);
    let (rank, rope, value) = (wide(a.rank), wide(a.rope_dim), h * wide(a.value_dim));
    let (q, key, gathered) = (h * (rank + rope), rank + rope, h * rank);
    let kept = latents(a) + h * wide(a.nope_dim) + q + key + gathered + h + value;
    // What heads gathered once more, head by head, in bf16 rounded beside it, and its values. In the gradient: values beside
    // what was gathered, twice; later what was gathered beside queries and keys; then queries twice.
    let backward = (2 * value + gathered).max(value + 2 * gathered).max(gathered + q + key).max(2 * q);
    Piece {
        kept,
        forward: gathered.max(q) + value + half * gathered,
        backward: backward + half * (value + d) / 2 + tiles * (value + d),
    }
}

/// Queries and keys of every head, values twice: what was attended to is as wide.
fn expanded(a: &LatentAttention, d: u64, Copies { half, tiles }: Copies) -> Piece {
    let h = wide(a.n_heads);
    let (q, value) = (h * wide(a.nope_dim + a.rope_dim), h * wide(a.value_dim));
    Piece {
        kept: latents(a) + 2 * q + 2 * value + h,
        forward: 2 * q,
        backward: 2 * q + 2 * value + half * q / 2 + tiles * (q + d),
    }
}

/// Gate and up; gated while the output is computed. In the gradient those of the output and of gated, later of the output,
/// of the second norm's output and input; those of gate and up take their places.
fn dense(f: usize, d: u64, Copies { half, tiles }: Copies) -> Piece {
    let f = wide(f);
    Piece {
        kept: 2 * f,
        forward: f + half * (d / 2 + f) + tiles * f.max(d),
        backward: (d + f).max(3 * d) + half * (2 * f + d) / 2 + tiles * (2 * f + d),
    }
}

/// Scores, choice, weights and places; gate and up of each chosen expert and of the shared ones.
fn experts(config: &ExpertsConfig, d: u64, Copies { half, tiles }: Copies) -> Piece {
    let (e, k) = (wide(config.n_experts), wide(config.n_chosen));
    let (routed, shared) = (k * wide(config.width), config.shared_width.map_or(0, wide));
    let kept = e + 5 * k + 2 * (routed + shared);
    // The normed rows, gated ones, and what each expert gives of a row.
    let forward = k * d + routed + shared + d;
    // The sorted gradient of the output beside gated rows, twice; then beside the gradients of normed rows and logits.
    let backward = d + k * d + (2 * routed).max(2 * d + e + shared);
    // In bf16 rows are rounded as numbers in f32 where experts meet them; their gradients are those of f32.
    let copies = routed.max(k * d);
    Piece {
        kept,
        forward: forward + (half + tiles) * copies,
        backward: backward + half * (shared + d) + tiles * (2 * routed + k * d),
    }
}
