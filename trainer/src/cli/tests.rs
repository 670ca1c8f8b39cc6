use super::*;
use clap::CommandFactory;
use std::path::Path;

#[derive(Debug, Parser)]
struct Run {
    #[command(flatten)]
    run: RunArgs,
}

fn run(arguments: &[&str]) -> Result<RunArgs, clap::Error> {
    Run::try_parse_from([&["run"], arguments].concat()).map(|run| run.run)
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
    Run::command().debug_assert();
}

#[test]
fn a_run_has_defaults() {
    let options = run(&["x.toml"]).unwrap().options(0);
    let root = PathBuf::from("runs");
    let none = RunOptions { root, resume: None, allow_inexact: false, max_hours: None, profile: None, verbosity: 0 };
    assert_eq!(options, none);
}

#[test]
fn resume_takes_a_folder_or_none() {
    let newest = run(&["x.toml", "--resume"]).unwrap();
    assert_eq!(newest.options(0).resume.as_deref(), Some(Path::new("")));
    for one in [run(&["x.toml", "--resume=runs/x/3"]), run(&["--resume", "runs/x/3", "x.toml"])] {
        let one = one.unwrap();
        assert_eq!(one.config.config, Path::new("x.toml"));
        assert_eq!(one.options(0).resume.as_deref(), Some(Path::new("runs/x/3")));
    }
}

#[test]
fn a_profile_is_of_four_steps_or_as_many_as_asked_for() {
    let steps = |arguments: &[&str]| run(arguments).map(|run| run.options(0).profile.map(|steps| steps.get()));
    assert_eq!(steps(&["x.toml"]).unwrap(), None);
    assert_eq!(steps(&["x.toml", "--profile"]).unwrap(), Some(4));
    assert_eq!(steps(&["x.toml", "--profile=9"]).unwrap(), Some(9));
    assert_eq!(steps(&["--profile", "x.toml"]).unwrap(), Some(4), "the config is not taken for a number");
    assert!(steps(&["x.toml", "--profile=0"]).is_err());
}

#[test]
fn hours_are_above_zero() {
    assert_eq!(run(&["x.toml", "--max-hours", "0.5"]).unwrap().max_hours, Some(0.5));
    for hours in ["0", "-1", "nan", "inf", "soon"] {
        assert!(run(&["x.toml", &format!("--max-hours={hours}")]).is_err(), "{hours}");
    }
}

#[test]
fn sets_keep_their_order() {
    let sets = run(&["x.toml", "--set", "a=1", "--set", "a=2"]).unwrap().config.sets;
    assert_eq!(sets, ["a=1", "a=2"]);
}
