//! `once`: polls everything one time, prints what it means, and says by its exit code whether all is well.

use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::mpsc;

use super::{ConfigSource, EXIT_UNUSABLE, ground, say, say_error, settings, unusable};
use crate::args::Output;
use crate::clock::Clock;
use crate::facts::Facts;
use crate::metrics::Format;
use crate::poll;
use crate::provider::Environment;
use crate::shard::Shard;
use crate::web::Site;

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

    let (reload, _nobody_reloads) = mpsc::channel(1);
    let now = ground.clock.now();
    let settings = settings(&config, &ground);
    // Everything that is printed and judged speaks of the same moment.
    let site = Site::new(
        ground.facts,
        ground.tally,
        Clock::set_by_hand(now),
        settings,
        reload,
    );
    let report = site.report();
    say(match output {
        Output::Table => report.table().into_bytes(),
        Output::Json => report.json()?.into_bytes(),
        Output::Metrics => site.scrape(Format::Text),
    })?;
    let nothing_watched = report.nothing_watched_because();
    for reason in nothing_watched {
        say_error(&format!("nothing is watched: {reason}"));
    }
    if nothing_watched.is_empty() {
        Ok(verdict(&site))
    } else {
        Ok(ExitCode::from(EXIT_UNUSABLE))
    }
}

/// On a terminal only; elsewhere nothing is drawn.
fn progress_bar() -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} listings, {elapsed}")?;
    Ok(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style))
}

fn verdict(site: &Site) -> ExitCode {
    let instances = site.assess();
    let are_found = site.are_instances_found();
    let postures = || instances.iter().map(|instance| &instance.posture);
    let mut listings = postures().flat_map(|posture| &posture.listings);
    let mut verdicts = postures().flat_map(|posture| &posture.verdicts);
    if !are_found || listings.any(|listing| listing.success != Some(true)) {
        ExitCode::from(EXIT_UNUSABLE)
    } else if verdicts.any(|verdict| verdict.met == Some(false)) {
        ExitCode::from(EXIT_BROKEN)
    } else {
        ExitCode::SUCCESS
    }
}
