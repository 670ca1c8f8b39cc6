//! The `grouper` program: argv → config → stage.

use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Error, Result};
use clap::Parser;
use trainer::cli::{Cli, Command};
use trainer::complaint;
use trainer::config::Ending;
use trainer::interrupt;
use trainer::preflight::memory;

mod command;

/// `EX_TEMPFAIL` of sysexits.h: try again, there is something to go on from.
const STOPPED: u8 = 75;

fn main() -> ExitCode {
    // Workers of our own compute, each with one thread of libtorch; set before any other thread is born.
    tch::set_num_threads(1);
    model::pages::give_back_arrays();
    memory::bound_compiled_products(model::team::cores());
    let cli = Cli::parse();
    // What a panic has to say is on standard error by then.
    let run = || interrupt::outlive_file_limits().and_then(|()| run(&cli));
    let Ok(ended) = std::panic::catch_unwind(run) else { return ExitCode::FAILURE };
    match ended {
        Ok(Ending::Finished) => ExitCode::SUCCESS,
        Ok(Ending::Stopped) => STOPPED.into(),
        // Whoever read our output has seen enough, as `head` does.
        Err(error) if closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let mut stderr = std::io::stderr().lock();
            let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let colour = stderr.is_terminal() && !no_color;
            // There is nowhere left to say that the complaint could not be written.
            let _ = stderr.write_all(complaint::text(&error, colour).as_bytes());
            complaint::exit_code(&error).into()
        }
    }
}

fn run(cli: &Cli) -> Result<Ending> {
    match &cli.command {
        Command::Grpo(arguments) => command::train::run(arguments, cli.verbosity(), trainer::grpo::train),
        Command::Sft(arguments) => command::train::run(arguments, cli.verbosity(), trainer::sft::train),
        Command::Eval(arguments) => command::eval::run(arguments),
        Command::GpuCheck(arguments) => command::gpu_check::run(arguments),
        Command::Check(arguments) => command::check::run(arguments),
        Command::Config(arguments) => command::describe::run(arguments),
        Command::Logprobs(arguments) => command::logprobs::run(arguments),
        Command::Report(arguments) => command::report::run(arguments),
        Command::Score(arguments) => trainer::score::run(arguments, cli.quiet).map(|()| Ending::Finished),
        Command::Sample(arguments) => command::sample::run(arguments),
    }
}

fn closed(error: &Error) -> bool {
    let reasons = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    reasons.into_iter().any(|reason| reason.kind() == ErrorKind::BrokenPipe)
}
