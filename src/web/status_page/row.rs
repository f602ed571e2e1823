//! One instance: who it is, where its backups are, and why anything is red.

use std::fmt::{self, Write as _};

use super::escape::Shown;
use super::lane::lanes;
use super::picture::Scale;
use crate::backup::{BackupType, Scope};
use crate::metrics::Assessed;
use crate::posture::{Posture, State, Verdict};
use crate::report::query::Query;
use crate::report::reasons::reasons;
use crate::report::words::{exactly, since};

/// Writes an instance as an item of a list.
pub(super) fn write(page: &mut String, instance: &Assessed, scale: Scale) -> fmt::Result {
    let Assessed { facts, posture } = instance;
    let key = &facts.target.key;
    let state = posture.state();
    let name = if posture.name.is_empty() {
        &*key.instance_id
    } else {
        &*posture.name
    };
    let detail = Query {
        instance: Some(key.instance_id.to_string()),
        ..Query::default()
    };
    write!(
        page,
        "<li class=\"i s-{state}\"><div class=\"who\"><h3><a href=\"{}\">{}</a></h3> <strong class=\"s\">{}</strong>\
         <p class=\"id\">{}</p><p>{} · {}{}\n{}{}</p></div><div class=\"what\">",
        Shown(detail.link()),
        Shown(name),
        if state == State::Ok {
            "✓ ok"
        } else {
            state.label()
        },
        Shown(&key.instance_id),
        key.provider,
        Shown(&key.account),
        Shown(engine(posture)),
        Shown(&key.source_region),
        Shown(arrow(posture)),
        state = state.label(),
    )?;
    for lane in lanes(instance, scale) {
        lane.write(page, scale)?;
    }
    let mut why = reasons(posture).peekable();
    if why.peek().is_some() {
        page.push_str("<ul class=\"why\">");
        for reason in why {
            write!(page, "<li>{}.", Shown(reason))?;
        }
        page.push_str("</ul>");
    }
    let facts = [promises(posture), policy(posture), windows(posture, scale)];
    let facts: Vec<_> = facts.into_iter().filter(|fact| !fact.is_empty()).collect();
    if !facts.is_empty() {
        write!(page, "<p class=\"f\">{}</p>", Shown(facts.join(" · ")))?;
    }
    page.push_str("</div></li>\n");
    Ok(())
}

fn engine(posture: &Posture) -> String {
    match (posture.engine.as_str(), posture.engine_version.as_str()) {
        ("", _) => String::new(),
        (engine, "") => format!(" · {engine}"),
        (engine, version) => format!(" · {engine} {version}"),
    }
}

fn arrow(posture: &Posture) -> String {
    if posture.expected_regions.is_empty() {
        return String::new();
    }
    format!(" → {}", posture.expected_regions.join(", "))
}

/// The promises that no picture shows.
fn promises(posture: &Posture) -> String {
    let shown =
        |verdict: &&Verdict| matches!(verdict.objective.label(), "copy_delay" | "retention");
    let said = |verdict: &Verdict| {
        let sign = match verdict.met {
            Some(true) => "✓ ",
            Some(false) => "✗ ",
            None => "? ",
        };
        let name = verdict.objective.label().replace('_', " ");
        format!("{sign}{name} {}", exactly(verdict.promise))
    };
    let promises: Vec<_> = posture.verdicts.iter().filter(shown).map(said).collect();
    promises.join(" · ")
}

/// What the provider was told to copy: `copies sets and logs, kept 31 days`.
fn policy(posture: &Posture) -> String {
    let switches = || {
        let switches = posture.switches.iter();
        switches.filter(|((place, _), _)| place.scope == Scope::CrossRegion)
    };
    let is_on = |wanted| {
        switches().any(|((_, backup_type), switch)| *backup_type == wanted && switch.enabled)
    };
    if switches().next().is_none() {
        return String::new();
    }
    let has_logs = switches().any(|((_, backup_type), _)| *backup_type == BackupType::Log);
    let kept = switches()
        .filter(|(_, switch)| switch.enabled)
        .find_map(|(_, switch)| switch.retention);
    let kept = kept.map_or_else(String::new, |kept| format!(", kept {}", exactly(kept)));
    match (is_on(BackupType::Full), is_on(BackupType::Log)) {
        (false, false) => "policy: copying is off".to_owned(),
        (true, true) => format!("policy: sets and logs are copied{kept}"),
        (true, false) if has_logs => format!("policy: sets are copied, logs are not{kept}"),
        (true, false) => format!("policy: sets are copied{kept}"),
        (false, true) => format!("policy: logs are copied, sets are not{kept}"),
    }
}

/// The provider's own word: `restores to 30 days 16 h ago up to 2 min ago`.
fn windows(posture: &Posture, scale: Scale) -> String {
    let windows = posture.restore_windows.iter().map(|(place, window)| {
        let place = match place.scope {
            Scope::Local => "locally",
            Scope::CrossRegion => place.backup_region.as_str(),
        };
        let more = if window.gaps > 0 {
            format!(" (+{} older)", window.gaps)
        } else {
            String::new()
        };
        let (start, end) = (since(window.start, scale.now), since(window.end, scale.now));
        format!("{place} {start} to {end} ago{more}")
    });
    let windows: Vec<_> = windows.collect();
    if windows.is_empty() {
        return String::new();
    }
    format!("restore window {}", windows.join(", "))
}
