use super::*;
use std::path::PathBuf;

fn config() -> ModelConfig {
    ModelConfig::from_folder(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../configs/checkpoints/tiny")).unwrap()
}

fn grown(cache: &mut KvCache<'_>, positions: usize) -> Sequence {
    let (mut sequence, mut pages, mut slots) = (Sequence::default(), Vec::new(), Vec::new());
    cache.extend(&mut sequence, positions, &mut pages, &mut slots);
    assert_eq!((pages.len(), slots.len(), sequence.len()), (positions, positions, positions));
    sequence
}

#[test]
fn a_fork_shares_full_pages_and_copies_the_last() {
    let mut arena = KvArena::new(&config(), 10);
    let mut cache = arena.cache();
    let prompt = grown(&mut cache, 2 * TILE + 3);
    assert_eq!(cache.n_free(), 7);
    let fork = cache.fork(&prompt);
    assert_eq!((cache.n_free(), &fork.pages[..2]), (6, &prompt.pages[..2]));
    assert_ne!(fork.pages[2], prompt.pages[2]);
    let full = grown(&mut cache, TILE);
    let same = cache.fork(&full);
    assert_eq!((cache.n_free(), &same), (5, &full));
    for sequence in [prompt, fork, full, same] {
        cache.release(sequence);
    }
    assert_eq!(cache.n_free(), 10);
}

/// What was fed for nothing leaves again: pages that held nothing else are free, those shared with the prompt stay.
#[test]
fn a_truncated_sequence_gives_back_whole_pages() {
    let mut arena = KvArena::new(&config(), 10);
    let mut cache = arena.cache();
    let prompt = grown(&mut cache, TILE + 3);
    let mut fork = cache.fork(&prompt);
    cache.truncate(&mut fork, 0);
    assert_eq!((fork.len(), cache.n_free()), (TILE + 3, 7));
    let (mut pages, mut slots) = (Vec::new(), Vec::new());
    cache.extend(&mut fork, 2 * TILE, &mut pages, &mut slots);
    assert_eq!((fork.len(), cache.n_free()), (3 * TILE + 3, 5));
    cache.truncate(&mut fork, 3);
    assert_eq!((fork.len(), fork.pages.len(), cache.n_free()), (3 * TILE, 3, 6));
    cache.truncate(&mut fork, 2 * TILE - 1);
    assert_eq!((fork.len(), fork.pages.len(), cache.n_free()), (TILE + 1, 2, 7));
    assert_eq!(fork.pages[0], prompt.pages[0], "the prompt's full page is still shared");
    for sequence in [prompt, fork] {
        cache.release(sequence);
    }
    assert_eq!(cache.n_free(), 10);
}

/// However an arena is shared, no two caches have a number in common and none lies outside it.
#[test]
fn caches_of_one_arena_have_their_own_pages() {
    let config = config();
    let mut arena = KvArena::new(&config, 11);
    assert_eq!(arena.cache().n_free(), 11);
    for n in [1, 2, 3, 4, 11, 12] {
        let mut caches = arena.split(n);
        assert!(caches.iter().all(|cache| cache.n_free() == 11 / n));
        for (i, cache) in caches.iter_mut().enumerate() {
            cache.numbers.fill(i as f32);
        }
        for (i, cache) in caches.iter().enumerate() {
            assert_eq!(cache.numbers.len(), 11 / n * KvCache::page_bytes(&config) / 4);
            assert!(cache.numbers.iter().all(|&number| number == i as f32));
        }
    }
}
