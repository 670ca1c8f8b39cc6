mod damage;

use model::config::PolicyConfig;
use tempfile::TempDir;

use super::*;
use crate::complaint;
use crate::manifest::MANIFEST;
use crate::optimizer::{MomentsDtype, OptimizerConfig};
use crate::run_dir::find_resume;

fn tiny() -> Policy {
    let checkpoint = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/qwen3");
    let config = PolicyConfig::new(checkpoint);
    Policy::load(&config.checkpoint, &config, 0).unwrap()
}

fn machine() -> Machine {
    let [program, route, config] = ["0.1.0 (a)", "rows of 8", "c"].map(str::to_owned);
    Machine { program, workers: 4, threads: 1, route, config, inputs: None }
}

/// A run in memory whose numbers are a function of the step.
struct Run {
    policy: Policy,
    optimizer: Optimizer,
    reference: Vec<f32>,
    progress: Progress,
}

impl Run {
    fn new() -> Self {
        Self::keeping(MomentsDtype::F32)
    }

    fn keeping(moments: MomentsDtype) -> Self {
        let policy = tiny();
        let zeros = vec![0.0; policy.layout().len()];
        let progress = Progress::new(7, machine());
        let optimizer = Optimizer::new(policy.layout(), &OptimizerConfig { moments, ..OptimizerConfig::default() });
        Self { policy, optimizer, reference: zeros, progress }
    }

    fn at(step: u64, pass_at_1: Option<f64>) -> Self {
        Self::new().moved_to(step, pass_at_1)
    }

    fn moved_to(self, step: u64, pass_at_1: Option<f64>) -> Self {
        let mut run = self;
        let layout = run.policy.layout().clone();
        let [mut first, mut second] = [vec![0.0; layout.len()], vec![0.0; layout.len()]];
        for parameter in layout.parameters() {
            for i in parameter.range() {
                // Any f32 bits that are a number must come back, tiny and odd ones among them.
                let number =
                    |salt: u64| f32::from_bits((step * 7919 + salt * 104_729 + i as u64 * 31) as u32 % 0x7f00_0000);
                run.policy.parameters_mut()[i] = number(1);
                first[i] = -number(2);
                second[i] = number(3);
                run.reference[i] = number(4);
            }
        }
        run.progress.step = step;
        run.progress.update = 4 * step;
        match run.optimizer.restore(4 * step) {
            Moments::F32(both) => {
                both[0].copy_from_slice(&first);
                both[1].copy_from_slice(&second);
            }
            Moments::Bf16(both) => {
                for (to, from) in both.iter_mut().zip([&first, &second]) {
                    to.iter_mut().zip(from).for_each(|(to, from)| *to = half::bf16::from_f32(*from));
                }
            }
        }
        run.progress.lengths.metrics = 100 * step;
        run.progress.reference_step = Some(0);
        if let Some(pass) = pass_at_1 {
            run.progress.note_evaluation(pass);
        }
        run
    }

    fn state(&self) -> State<'_> {
        State {
            policy: &self.policy,
            optimizer: &self.optimizer,
            reference: Some(&self.reference),
            progress: &self.progress,
        }
    }

    fn state_mut(&mut self) -> StateMut<'_> {
        StateMut { policy: &mut self.policy, optimizer: &mut self.optimizer, reference: Some(&mut self.reference) }
    }

    fn bits(&self) -> Vec<u32> {
        let (moments, moves) = self.optimizer.state();
        assert_eq!(moves, self.progress.update);
        let moments: Vec<u32> = match moments {
            Moments::F32(both) => both.iter().flat_map(|array| array.iter().map(|number| number.to_bits())).collect(),
            Moments::Bf16(both) => both.iter().flatten().map(|number| u32::from(number.to_bits())).collect(),
        };
        let arrays = [self.policy.parameters(), &self.reference];
        arrays.iter().flat_map(|array| array.iter().map(|number| number.to_bits())).chain(moments).collect()
    }
}

fn folder() -> (TempDir, RunDir) {
    let root = tempfile::tempdir().unwrap();
    let run = RunDir::create(root.path(), "tiny").unwrap();
    (root, run)
}

/// Resumes as a new process would and compares every bit with the run as it was at that step.
fn resumes_at(path: &Path, expected: &Run) -> Resumed {
    let run = RunDir::open(path).unwrap();
    let found = find_resume(path).unwrap();
    let mut loaded = Run::new();
    let resumed = resume(&run, &found.checkpoint.unwrap(), &machine(), false, &mut loaded.state_mut()).unwrap();
    assert_eq!(resumed.progress, expected.progress);
    loaded.progress = resumed.progress.clone();
    assert!(loaded.bits() == expected.bits(), "weights or moments differ at step {}", expected.progress.step);
    resumed
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != "lock").collect();
    names.sort();
    names
}

/// In half the bytes of those in f32.
#[test]
fn moments_in_bf16_come_back_bit_for_bit() {
    let (_root, run) = folder();
    let saved = Run::keeping(MomentsDtype::Bf16).moved_to(3, None);
    let path = save(&run, &saved.state(), 2).unwrap();
    let mut loaded = Run::keeping(MomentsDtype::Bf16);
    loaded.progress = load(&path, &mut loaded.state_mut()).unwrap();
    assert!(loaded.bits() == saved.bits());
    for name in [FIRST_MOMENT, SECOND_MOMENT] {
        let bytes = fs::read(path.join(name)).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert!(tensors.iter().all(|(_, tensor)| tensor.dtype() == safetensors::Dtype::BF16));
        let n_bytes: usize = tensors.iter().map(|(_, tensor)| tensor.data().len()).sum();
        assert_eq!(n_bytes, 2 * saved.policy.n_parameters());
    }
}

#[test]
fn loads_what_was_saved_bit_for_bit() {
    let (_root, run) = folder();
    let saved = Run::at(3, Some(0.1 + 0.2));
    let path = save(&run, &saved.state(), 2).unwrap();
    assert_eq!(path, run.step(3));
    for file in ["config.json", "model.safetensors", FIRST_MOMENT, SECOND_MOMENT, REFERENCE, STATE, MANIFEST] {
        assert!(path.join(file).is_file(), "{file}");
    }
    let at = run.path().to_owned();
    drop(run);
    assert_eq!(resumes_at(&at, &saved).warnings, [""; 0]);
    // It is a policy in the Hugging Face layout as it stands.
    let config = PolicyConfig::new(path);
    assert_eq!(Policy::load(&config.checkpoint, &config, 0).unwrap().parameters(), saved.policy.parameters());
}

#[test]
fn a_run_without_a_reference_needs_none() {
    let (_root, run) = folder();
    let mut one = Run::at(1, None);
    save(&run, &State { reference: None, ..one.state() }, 2).unwrap();
    assert!(!run.step(1).join("reference").exists());
    load(&run.step(1), &mut StateMut { reference: None, ..one.state_mut() }).unwrap();
    let error = format!("{:#}", load(&run.step(1), &mut one.state_mut()).unwrap_err());
    assert!(error.contains(REFERENCE), "{error}");
}

#[test]
fn the_last_and_the_best_stay() {
    let (_root, run) = folder();
    for (step, pass) in [(1, None), (2, Some(0.5)), (3, Some(0.75)), (4, Some(0.75)), (5, None), (6, Some(0.7))] {
        save(&run, &Run::at(step, pass).state(), 2).unwrap();
    }
    assert_eq!(names(run.path()), ["step_0003", "step_0005", "step_0006"]);
    assert_eq!(best(run.path()).unwrap(), Some((run.step(3), 0.75)));
    // Nothing counts that is damaged: neither as the best nor as one of the last.
    fs::write(run.step(3).join(STATE), "{}").unwrap();
    fs::remove_file(run.step(6).join(MANIFEST)).unwrap();
    save(&run, &Run::at(7, Some(0.1)).state(), 2).unwrap();
    assert_eq!(names(run.path()), ["step_0005", "step_0006", "step_0007"]);
    save(&run, &Run::at(8, None).state(), 0).unwrap();
    assert_eq!(names(run.path()), ["step_0007", "step_0008"]);
}

#[test]
fn an_older_evaluation_is_not_that_of_these_weights() {
    let mut progress = Progress::new(0, machine());
    progress.step = 4;
    progress.note_evaluation(0.5);
    assert_eq!(progress.pass_at_1(), Some(0.5));
    progress.step = 5;
    assert_eq!(progress.pass_at_1(), None);
    progress.note_evaluation(0.25);
    assert_eq!(progress.best, Some(Evaluated { step: 4, pass_at_1: 0.5 }));
}

#[test]
fn the_configuration_counts_except_for_what_changes_no_number() {
    let text = "model = { checkpoint = 'm' }\n[data.source.chain]\nn_problems = 8\n";
    let config: crate::config::RunConfig = toml::from_str(text).unwrap();
    let with = |change: fn(&mut crate::config::RunConfig)| {
        let mut config = config.clone();
        change(&mut config);
        config_text(&config)
    };
    let known = config_text(&config);
    assert_eq!(with(|config| config.name = "other".into()), known);
    assert_eq!(with(|config| config.run.keep_last = 9), known);
    assert_eq!(with(|config| config.run.workers = Some(3)), known, "compared by itself");
    assert_eq!(with(|config| config.run.parallel_microbatches = Some(1)), known);
    assert_ne!(with(|config| config.seed = 1), known);
    assert_ne!(with(|config| config.optimizer.lr *= 2.0), known);
    assert_ne!(with(|config| config.run.samples_per_step += 1), known);
    let table = "[sft]\nsteps = 1\nbatch_tokens = 8\nmax_tokens = 8\n";
    let [absent, on] = ["", "activation_checkpointing = true"].map(|more| {
        let config = toml::from_str(&format!("{text}{table}{more}")).unwrap();
        config_text(&config)
    });
    assert_eq!(absent, on);
}

#[test]
fn another_machine_is_refused_unless_told_otherwise() {
    let (_root, run) = folder();
    let mut one = Run::at(1, None);
    save(&run, &one.state(), 2).unwrap();
    let found = find_resume(run.path()).unwrap().checkpoint.unwrap();
    let here = Machine { workers: 2, route: "rows of 16".into(), ..machine() };
    let error = resume(&run, &found, &here, false, &mut one.state_mut()).unwrap_err();
    assert_eq!(complaint::exit_code(&error), 2, "whoever resumes may decide otherwise");
    let error = complaint::text(&error, false);
    for named in ["workers: 4 → 2", "kernel route: rows of 8 → rows of 16", "--allow-inexact"] {
        assert!(error.contains(named), "{error}");
    }
    assert!(!error.contains("program:"), "{error}");
    let resumed = resume(&run, &found, &here, true, &mut one.state_mut()).unwrap();
    assert_eq!(resumed.warnings.len(), 1);
    assert!(resumed.warnings[0].contains("workers: 4 → 2"), "{:?}", resumed.warnings);
}

#[test]
fn the_result_is_a_policy_alone_and_can_be_written_again() {
    let (_root, run) = folder();
    for step in [1, 2] {
        let one = Run::at(step, None);
        let folder = save_final(&run, &one.policy, SaveDtype::F32).unwrap();
        manifest::verify(&folder).unwrap();
        let config = PolicyConfig::new(folder);
        assert_eq!(Policy::load(&config.checkpoint, &config, 0).unwrap().parameters(), one.policy.parameters());
        assert_eq!(names(&config.checkpoint), ["config.json", MANIFEST, "model.safetensors"]);
    }
    let half = save_final(&run, &Run::at(1, None).policy, SaveDtype::Bf16).unwrap();
    let full = fs::metadata(run.path().join(FINAL).join("model.safetensors")).unwrap().len();
    assert_eq!(half, run.path().join(FINAL));
    assert!(full < 30_000, "{full}");
    assert_eq!(names(run.path()), [FINAL]);
}

#[test]
fn a_program_knows_itself() {
    let program = program().unwrap();
    assert!(program.starts_with(concat!(env!("CARGO_PKG_VERSION"), " (")), "{program}");
    assert_eq!(program, super::program().unwrap());
}
