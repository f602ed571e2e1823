//! `once`: polls everything one time, prints what it means, and says by its exit code whether all is well.

use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::mpsc;

use super::{ConfigSource, EXIT_UNUSABLE, ground, say, say_error, settings, unusable};
use crate::args::Output;
use crate::clock::Clock;
use crate::config::Config;
use crate::facts::Facts;
use crate::metrics::Format;
use crate::poll::{self, Ground};
use crate::provider::Environment;
use crate::shard::Shard;
use crate::web::Site;

/// Every promise holds.
const EXIT_FINE: u8 = 0;

/// Some promise does not hold.
const EXIT_BROKEN: u8 = 1;

/// Polls and prints.
pub(super) async fn run(
    source: &ConfigSource,
    output: Output,
    environment: Environment,
    shard: Shard,
) -> anyhow::Result<ExitCode> {
    let config = match source.load(&environment) {
        Ok(config) => config,
        Err(problems) => return Ok(unusable(&problems)),
    };
    let ground = ground(Facts::default(), Clock::real(), environment, shard)?;
    let bar = progress_bar()?;
    poll::once(&ground, &config, |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })
    .await;
    bar.finish_and_clear();

    let told = told(ground, &config, output)?;
    say(told.out)?;
    for line in told.errors {
        say_error(&line);
    }
    Ok(ExitCode::from(told.code))
}

/// What is said of a poll, and the exit code.
pub(super) struct Told {
    pub(super) out: Vec<u8>,
    pub(super) errors: Vec<String>,
    pub(super) code: u8,
}

/// Judges what is known now.
pub(super) fn told(ground: Ground, config: &Config, output: Output) -> anyhow::Result<Told> {
    let (reload, _nobody_reloads) = mpsc::channel(1);
    let now = ground.clock.now();
    let settings = settings(config, &ground);
    // Everything that is printed and judged speaks of the same moment.
    let site = Site::new(
        ground.facts,
        ground.tally,
        Clock::set_by_hand(now),
        settings,
        reload,
    );
    let report = site.report();
    let out = match output {
        Output::Table => report.table().into_bytes(),
        Output::Json => report.json()?.into_bytes(),
        Output::Metrics => site.scrape(Format::Text),
    };
    let nothing_watched = report.nothing_watched_because();
    let code = if nothing_watched.is_empty() {
        verdict(&site)
    } else {
        EXIT_UNUSABLE
    };
    let errors = nothing_watched.iter();
    let errors = errors.map(|reason| format!("nothing is watched: {reason}"));
    Ok(Told {
        out,
        errors: errors.collect(),
        code,
    })
}

/// On a terminal only; elsewhere nothing is drawn.
fn progress_bar() -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} listings, {elapsed}")?;
    Ok(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style))
}

fn verdict(site: &Site) -> u8 {
    let instances = site.assess();
    let are_found = site.are_instances_found();
    let postures = || instances.iter().map(|instance| &instance.posture);
    let mut listings = postures().flat_map(|posture| &posture.listings);
    let mut verdicts = postures().flat_map(|posture| &posture.verdicts);
    if !are_found || listings.any(|listing| listing.success != Some(true)) {
        EXIT_UNUSABLE
    } else if verdicts.any(|verdict| verdict.met == Some(false)) {
        EXIT_BROKEN
    } else {
        EXIT_FINE
    }
}
