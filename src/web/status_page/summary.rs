//! The top of the page: how many instances are how, the form that filters them, and what the pictures mean.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use super::escape::Shown;
use super::grid;
use crate::backup::Lookback;
use crate::facts::{RegionFacts, RegionKey};
use crate::posture::State;
use crate::report::query::{Query, Sort};
use crate::report::summary::Summary;
use crate::report::words::{count, exactly};

/// The title of the page, so that a tab tells.
pub(super) fn title(summary: &Summary) -> String {
    let mut title = String::new();
    for state in [State::Broken, State::Failing] {
        let number = summary.in_state(state);
        if number > 0 {
            title += &[&number.to_string(), " ", state.label(), ", "].concat();
        }
    }
    title + &count(summary.instances as u64, "instance") + " – cloud-backup-exporter"
}

/// Each number with its words, as a link to the instances that it counts.
pub(super) fn write(
    page: &mut String,
    summary: &Summary,
    regions: &[(RegionKey, Arc<RegionFacts>)],
) -> fmt::Result {
    page.push_str("<section aria-labelledby=\"summary\"><h2 id=\"summary\" class=\"hidden\">Summary</h2><ul class=\"sum\">");
    let (instances, protected) = (summary.instances, summary.protected);
    let plural = if instances == 1 { "" } else { "s" };
    write!(
        page,
        "<li><a href=\"?\"><strong>{instances}</strong> instance{plural}</a></li>"
    )?;
    write!(
        page,
        "<li><span><strong>{protected}</strong> protected</span></li>"
    )?;
    for (state, words, is_bad) in [
        (State::Broken, "objectives broken", true),
        (State::Failing, "listings failing", true),
        (State::Unprotected, "unprotected", false),
        (State::Warning, "warnings", false),
        (State::Gone, "gone", false),
        (State::Waiting, "not polled yet", false),
        (State::Ok, "ok", false),
    ] {
        let number = summary.in_state(state);
        let class = if is_bad && number > 0 {
            " class=\"n\""
        } else {
            ""
        };
        let query = Query {
            state: Some(state),
            ..Query::default()
        };
        write!(
            page,
            "<li><a href=\"{}\"{class}><strong>{number}</strong> {words}</a></li>",
            Shown(query.link())
        )?;
    }
    let is_unlisted = |(_, found): &&(RegionKey, Arc<RegionFacts>)| {
        let attempt = found.last_attempt.as_ref();
        attempt.is_some_and(|attempt| attempt.failure.is_some())
    };
    let unlisted = regions.iter().filter(is_unlisted).count();
    if unlisted > 0 {
        write!(
            page,
            "<li><a href=\"#regions\" class=\"n\"><strong>{unlisted}</strong> regions not searched</a></li>"
        )?;
    }
    page.push_str("</ul></section>\n");
    Ok(())
}

/// The form that filters and orders, which works by loading the page again.
pub(super) fn write_form(page: &mut String, query: &Query) -> fmt::Result {
    write!(
        page,
        "<form method=\"get\" role=\"search\"><label>Filter <input type=\"search\" name=\"q\" value=\"{}\" \
         placeholder=\"id, name, account, region, engine\"></label>\
         <label>State <select name=\"state\"><option value=\"\">any</option>",
        Shown(&query.filter)
    )?;
    for state in State::ALL {
        let is_chosen = query.state == Some(state);
        write_option(page, state.label(), state.label(), is_chosen)?;
    }
    page.push_str("</select></label><label>Order <select name=\"sort\">");
    for sort in Sort::ALL {
        let words = match sort {
            Sort::State => "worst first",
            Sort::Age => "oldest recovery point",
            Sort::Name => "name",
        };
        write_option(page, sort.label(), words, query.sort == Some(sort))?;
    }
    page.push_str("</select></label><button>Apply</button></form>\n");
    Ok(())
}

fn write_option(page: &mut String, value: &str, words: &str, is_chosen: bool) -> fmt::Result {
    let chosen = if is_chosen { " selected" } else { "" };
    write!(page, "<option value=\"{value}\"{chosen}>{words}</option>")
}

/// What the pictures mean.
pub(super) fn write_legend(page: &mut String, lookback: Lookback) -> fmt::Result {
    let sample = |path: &str| {
        format!("<svg class=\"k\" viewBox=\"0 0 20 22\" aria-hidden=\"true\">{path}</svg>")
    };
    write!(
        page,
        "<p class=\"legend\"><span>Last {}, now at the right; faint lines are {}</span> ",
        Shown(exactly(lookback.sets)),
        grid(lookback).0
    )?;
    for (path, words) in [
        ("<path class=\"c\" d=\"M6 9h8\"/>", "usable set"),
        ("<path class=\"x\" d=\"M4 3l12 12m-12 0l12-12\"/>", "failed"),
        ("<path class=\"r\" d=\"M6 4h8v10h-8z\"/>", "running"),
        ("<path class=\"o\" d=\"M5 9h10\"/>", "not usable"),
        ("<path class=\"g\" d=\"M0 20h20\"/>", "carried on by logs"),
        ("<path class=\"h\" d=\"M6 20h8\"/>", "logs missing"),
        (
            "<path class=\"p\" d=\"M10 0v22\"/>",
            "promised: a mark or logs reach past it",
        ),
    ] {
        write!(page, "<span>{}{words}</span> ", sample(path))?;
    }
    page.push_str("</p>\n");
    Ok(())
}
