//! A small GRPO run of the program, for tests that stop it, damage it, and compare what comes out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Sums by a policy of two narrow layers drawn at random: two updates a step, a KL to a reference that is refreshed,
/// evaluation before, amid and after.
const CONFIG: &str = r#"
name = "toy"
seed = 7
data = { source.chain = { n_problems = 40 }, template = "plain" }
rollout = { max_tokens = 16 }
rewards = [
  { soft_overlong = { weight = 1.0, max_tokens = 16, buffer = 12 } },
  { accuracy = { weight = 1.0, kind = "exact", extract = "answer_tag" } },
]
optimizer = { lr = 0.001 }

[grpo]
steps = 6
prompts_per_step = 4
group_size = 4
updates_per_step = 2
microbatch_tokens = 64
reference_every = 2
eval_every = 2
objective = { kl_coef = 0.05 }

[run]
save_every = 1
keep_last = 10
workers = 2

[eval]
samples = 2
sets = [{ name = "chain", data = { source.chain = { n_problems = 8, split = "heldout" }, template = "plain" } }]
"#;

/// The last step of [`CONFIG`].
pub(crate) const STEPS: u64 = 6;

/// A folder with a config, its policy's shape, and `runs/`.
pub(crate) struct Toy {
    folder: TempDir,
    sets: Vec<String>,
}

impl Toy {
    /// The run of [`CONFIG`] with some of its keys set otherwise.
    pub(crate) fn new(sets: &[&str]) -> Toy {
        let folder = tempfile::tempdir().unwrap();
        write_policy(&folder.path().join("policy"), &shape());
        fs::write(folder.path().join("toy.toml"), CONFIG).unwrap();
        let mut all = Toy::policy();
        all.extend(sets.iter().map(|set| (*set).to_owned()));
        Toy { folder, sets: all }
    }

    /// A run of another config, which names its policy itself.
    pub(crate) fn bare(config: &str) -> Toy {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("toy.toml"), config).unwrap();
        Toy { folder, sets: Vec::new() }
    }

    /// The same on `rows.jsonl`, whose lines `row` makes of the numbers from 10 to 19, by the policy of [`shape`].
    pub(crate) fn on_rows(config: &str, row: impl Fn(usize) -> Value) -> Toy {
        let toy = Toy::bare(config);
        write_policy(&toy.path().join("policy"), &shape());
        toy.write_rows("rows.jsonl", (10..20).map(row));
        toy
    }

    /// Writes a file of data, a line a row.
    pub(crate) fn write_rows(&self, file: &str, rows: impl Iterator<Item = Value>) {
        fs::write(self.path().join(file), rows.map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    }

    /// The settings that name the policy, for whoever works in the folder.
    pub(crate) fn policy() -> Vec<String> {
        ["model.checkpoint=policy", "model.random_init=true"].map(str::to_owned).into()
    }

    /// Everything lies in here.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// `runs/toy/<n>`.
    pub(crate) fn run(&self, n: usize) -> PathBuf {
        self.path().join(format!("runs/toy/{n}"))
    }

    /// Makes `to` a copy of `runs/toy/<from>`.
    pub(crate) fn copy(&self, from: usize, to: &Path) {
        let status = Command::new("cp").arg("-r").arg(self.run(from)).arg(to).status().unwrap();
        assert!(status.success());
    }

    /// Makes `runs/toy/<to>` what `runs/toy/<from>` was when it had taken `step` steps, with the later lines of its
    /// logs that a killed run leaves.
    pub(crate) fn copy_until(&self, from: usize, to: usize, step: u64) {
        self.copy(from, &self.run(to));
        fs::remove_dir_all(self.run(to).join("final")).unwrap();
        for later in step + 1..=STEPS {
            fs::remove_dir_all(self.run(to).join(format!("step_{later:04}"))).unwrap();
        }
    }

    /// `grouper grpo toy.toml`, its output kept.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grouper"));
        command.current_dir(self.path()).args(["grpo", "toy.toml"]).args(arguments);
        for set in &self.sets {
            command.args(["--set", set]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A new run, to its end.
    pub(crate) fn train(&self) {
        finished(&self.command(&[]).output().unwrap());
    }

    /// Resumes a run, to its end. What was said on standard error.
    pub(crate) fn resume(&self, n: usize) -> String {
        let output = self.command(&[&resume_flag(n)]).output().unwrap();
        finished(&output);
        text(&output.stderr)
    }

    /// Runs it again as `runs/toy/2`, kills that once its first step is saved, and holds what is resumed to be
    /// `runs/toy/1`, which has taken `steps` steps.
    pub(crate) fn killed_and_resumed(&self, steps: u64) {
        let mut child = self.command(&[]).spawn().unwrap();
        wait_until(&mut child, || self.run(2).join("step_0001").exists());
        child.kill().unwrap();
        wait(child, Duration::from_secs(10));
        assert!(!self.run(2).join("final").exists());
        self.resume(2);
        same_run(&self.run(1), &self.run(2), steps);
    }

    /// Resumes a run that must not go on. What was said, and the exit code.
    pub(crate) fn refuse(&self, n: usize) -> (String, i32) {
        let output = self.command(&[&resume_flag(n)]).output().unwrap();
        (text(&output.stderr), output.status.code().unwrap())
    }
}

/// `--resume=runs/toy/<n>`.
pub(crate) fn resume_flag(n: usize) -> String {
    format!("--resume=runs/toy/{n}")
}

/// config.json of a policy with two layers of 32, for the tiny checkpoint's tokenizer.
pub(crate) fn shape() -> Value {
    json!({
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": 19, "hidden_size": 32,
        "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
        "head_dim": 32, "max_position_embeddings": 256, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
        "tie_word_embeddings": true, "eos_token_id": 18,
    })
}

/// Writes a checkpoint folder without weights: `config` beside the tiny checkpoint's tokenizer.
pub(crate) fn write_policy(folder: &Path, config: &Value) {
    fs::create_dir_all(folder).unwrap();
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/checkpoints/tiny");
    for file in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        fs::copy(tiny.join(file), folder.join(file)).unwrap();
    }
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

/// Output as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Holds a command to exit code 0.
#[track_caller]
pub(crate) fn finished(output: &Output) {
    assert!(output.status.success(), "{}\n{}", output.status, text(&output.stderr));
}

/// Waits for a process until `deadline`; kills it and panics where it takes longer.
#[track_caller]
pub(crate) fn wait(mut child: Child, deadline: Duration) -> Output {
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > deadline {
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            panic!("still there after {deadline:?}: {}", text(&output.stderr));
        }
        thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

/// Waits until `ready` says so, for at most 60 s and as long as the process lives.
#[track_caller]
pub(crate) fn wait_until(child: &mut Child, mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(child.try_wait().unwrap().is_none(), "the program ended too early");
        assert!(start.elapsed() < Duration::from_secs(60), "nothing happened");
        thread::sleep(Duration::from_millis(1));
    }
}

/// `metrics.jsonl` as it is written, without what depends on the machine.
pub(crate) fn metrics(run: &Path) -> Vec<String> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert!(text.ends_with('\n'));
    // Names and numbers only: no comma or brace stands inside a value.
    let bare = |line: &str| {
        let fields = line.trim_matches(['{', '}']).split(',');
        fields.filter(|field| !field.starts_with("\"perf/")).collect::<Vec<_>>().join(",")
    };
    text.lines().map(bare).collect()
}

/// `state.json` of a step's checkpoint, without the lengths of logs, which hold times, and the number of replicas, which
/// one run measures and another is told.
fn state(run: &Path, step: u64) -> Value {
    let text = fs::read(run.join(format!("step_{step:04}/state.json"))).unwrap();
    let mut state: Value = serde_json::from_slice(&text).unwrap();
    let fields = state.as_object_mut().unwrap();
    fields.remove("lengths");
    fields.remove("replicas");
    state
}

/// Holds two runs of `steps` steps to the same bytes: result, weights, optimizer, reference, logs.
#[track_caller]
pub(crate) fn same_run(a: &Path, b: &Path, steps: u64) {
    assert_eq!(metrics(a), metrics(b), "metrics.jsonl of {}", b.display());
    assert_eq!(state(a, steps), state(b, steps), "state.json of {}", b.display());
    let last = |file: &str| format!("step_{steps:04}/{file}");
    for file in [
        "samples.jsonl".to_owned(),
        "baseline.json".to_owned(),
        "config.toml".to_owned(),
        "final/model.safetensors".to_owned(),
        "final/config.json".to_owned(),
        last("model.safetensors"),
        last("optimizer/first_moment.safetensors"),
        last("optimizer/second_moment.safetensors"),
        last("reference/reference.safetensors"),
    ] {
        // A run may have no reference and no evaluation.
        if (file.contains("reference") || file == "baseline.json") && !a.join(&file).exists() && !b.join(&file).exists()
        {
            continue;
        }
        let read =
            |run: &Path| fs::read(run.join(&file)).unwrap_or_else(|e| panic!("{}: {e}", run.join(&file).display()));
        assert!(read(a) == read(b), "{file} of {} differs", b.display());
    }
}

/// A small fixed sequence of numbers (splitmix64), so that a failure repeats.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}
