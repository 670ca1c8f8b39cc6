use std::panic::catch_unwind;

use tch::{Device, Kind, Tensor};

use super::*;
use crate::complaint;
use crate::config::RunConfig;
use crate::fixture::Folder;
use crate::preflight::Stage;
use crate::preflight::memory::Load;

fn plan() -> Plan {
    let text = "model.checkpoint = 'x'\ndata.source.chain = { n_problems = 9 }\nrollout.max_tokens = 100\n\
                [grpo]\nsteps = 1\nprompts_per_step = 4\ngroup_size = 8\nmicrobatch_tokens = 1024";
    let run: RunConfig = toml::from_str(text).unwrap();
    let model = model::config::ModelConfig::from_folder(Folder::default().write().path()).unwrap();
    let load = Load { cores: 2, program: 50 << 20, longest_prompt: 40, longest_document: 0, n_heldout: 0 };
    Plan::choose(&model, &run, Stage::Grpo, &load, None)
}

/// More than any machine has.
fn too_much() -> Tensor {
    Tensor::zeros([1 << 55], (Kind::Float, Device::Cpu))
}

#[test]
fn an_update_without_memory_names_the_key_to_turn() {
    let error = plan().guard(Phase::Update, too_much).unwrap_err();
    insta::assert_snapshot!(complaint::text(&error, false), @"
    error: find memory for update, planned to take 83 MiB
      caused by: DefaultCPUAllocator: can't allocate memory: you tried to allocate 144115188075855872 bytes. Error code 12 (Cannot allocate memory)
    hint: set `grpo.activation_checkpointing = true`
    ");
    assert_eq!(complaint::exit_code(&error), 2);
    assert_eq!(plan().guard(Phase::Update, || 3).unwrap(), 3);
}

#[test]
fn a_replica_without_memory_names_the_key_to_turn() {
    let message = said(&*catch_unwind(too_much).unwrap_err()).to_owned();
    let error = plan().explain(Phase::Sampling, PoolError::WorkerDied { replica: 1, message });
    insta::assert_snapshot!(complaint::text(&error, false), @"
    error: find memory for sampling, planned to take 83 MiB
      caused by: DefaultCPUAllocator: can't allocate memory: you tried to allocate 144115188075855872 bytes. Error code 12 (Cannot allocate memory)
    hint: lower `rollout.kv_bytes`
    ");
}

#[test]
fn other_ends_stay_what_they_are() {
    let panic = catch_unwind(|| plan().guard(Phase::Update, || panic!("shapes differ"))).unwrap_err();
    assert_eq!(said(&*panic), "shapes differ");
    let died = PoolError::WorkerDied { replica: 1, message: "shapes differ".into() };
    assert_eq!(plan().explain(Phase::Sampling, died).to_string(), "replica 1 died: shapes differ");
    let cancelled = plan().explain(Phase::Sampling, PoolError::Cancelled);
    assert!(matches!(cancelled.downcast_ref(), Some(PoolError::Cancelled)));
}
