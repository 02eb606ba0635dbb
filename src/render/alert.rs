//! One alert looked at closely, as text and JSON; the sentences that these and the page share.

pub mod json;
pub mod text;

use std::time::Duration;

use super::units;
use crate::diagnosis::inspection::{Active, Activity, Inspected, Inspection, Part, Reading, Relative};
use crate::model::{Labels, Timestamp};

/// Why the alert is as it is, in one sentence.
pub(crate) fn verdict(inspection: &Inspection) -> String {
    match inspection.activity() {
        Activity::Firing => "It fires.".to_owned(),
        Activity::Pending => "Its condition holds, not yet for long enough to fire.".to_owned(),
        Activity::Silent if inspection.gaps.iter().any(|gap| gap.blind) => {
            "It is silent and cannot see, so that its silence says nothing.".to_owned()
        }
        Activity::Silent => "It does not fire.".to_owned(),
    }
}

/// Why a rule that is not active is not, and by how much; none for one that is.
pub(crate) fn obstacle(rule: &Inspected) -> Option<String> {
    if !rule.active.is_empty() || rule.error.is_some() {
        return None;
    }
    let outer: Vec<(usize, &Part)> = rule
        .parts
        .iter()
        .enumerate()
        .filter(|(_, part)| part.depth == 0)
        .collect();
    if outer.last().and_then(|(_, part)| part.left) != Some(0) {
        return Some("Its condition holds now and did not when its rules were last evaluated.".to_owned());
    }
    // After the last part that left anything nothing is left to the end.
    let last_left = outer
        .iter()
        .rposition(|(_, part)| part.left.is_some_and(|left| left > 0));
    if last_left.is_none() && outer.iter().any(|(_, part)| part.joined_by.starts_with("or")) {
        return Some("None of its alternatives holds.".to_owned());
    }
    let (at, part) = *outer.get(last_left.map_or(0, |before| before + 1))?;
    let number = at + 1;
    Some(match part {
        part if part.is_exception() => format!("Part {number} takes away what the parts before it give."),
        part if part.readings.is_empty() && part.comparison.is_some() => {
            format!("Part {number} has no series to judge by.")
        }
        part if part.passing == 0 => {
            let nearest = part.readings.iter().find_map(Reading::distance);
            let nearest =
                nearest.map(|distance| format!("; the nearest series lacks {}", number_of(distance.abs())));
            format!("Part {number} does not hold{}.", nearest.unwrap_or_default())
        }
        _ => format!("Part {number} holds for no series of the parts before it."),
    })
}

/// When it fires, in words: `fires at once, and on for 15 s after its condition has gone`.
pub(crate) fn timing(rule: &Inspected) -> String {
    let mut text = match rule.hold {
        Duration::ZERO => "fires at once".to_owned(),
        hold => format!("fires after {}", units::age(hold)),
    };
    if !rule.keep_firing.is_zero() {
        text += &format!(
            ", and on for {} when its condition has gone",
            units::age(rule.keep_firing)
        );
    }
    text
}

/// Since when an alert has been active, and when it will fire.
pub(crate) fn state(active: &Active, now: Timestamp) -> String {
    let lasted = units::age(now.since(active.since));
    match active.firing {
        true => format!("firing for {lasted}"),
        false => format!("pending for {lasted}, fires in {}", units::age(active.fires_in)),
    }
}

/// What a part gives, in words.
pub(crate) fn outcome(part: &Part) -> String {
    if let Some(error) = &part.error {
        return format!("could not be evaluated: {error}");
    }
    let passing = match (part.is_exception(), part.comparison.is_some()) {
        (true, _) => format!("takes away {}", part.passing),
        (false, true) => format!("{} of {} hold", part.passing, part.readings.len() + part.left_out),
        (false, false) => format!("{} series", part.passing),
    };
    match part.left {
        Some(left) if !part.joined_by.is_empty() => format!("{passing}, {left} left"),
        _ => passing,
    }
}

/// Whether a series passes, and by how much not.
pub(crate) fn standing(reading: &Reading) -> String {
    match (reading.passes, reading.threshold, reading.distance()) {
        (_, None, _) => String::new(),
        (true, ..) => "holds".to_owned(),
        (false, _, Some(distance)) if distance > 0.0 => format!("{} below", number_of(distance)),
        (false, _, Some(distance)) if distance < 0.0 => format!("{} above", number_of(-distance)),
        (false, ..) => "does not hold".to_owned(),
    }
}

/// A number without a unit.
pub(crate) fn number_of(value: f64) -> String {
    units::quantity(value, "")
}

/// Labels in words, without what is the same everywhere: `member=m1, device=sda`.
pub(crate) fn subject(labels: &Labels, cluster: &str) -> String {
    let told = labels.iter().filter(|(name, value)| {
        !["severity", "category"].contains(name) && (*name, *value) != ("cluster", cluster)
    });
    let told: Vec<String> = told.map(|(name, value)| format!("{name}={value}")).collect();
    match told.is_empty() {
        true => "the cluster".to_owned(),
        false => told.join(", "),
    }
}

/// What is said of a name that no rule has.
pub fn unknown(alert: &str, near: &[String]) -> String {
    match near {
        [] => format!("no alert is named {alert:?}; `etcd-doctor rules list` has their names"),
        near => format!("no alert is named {alert:?}; did you mean {}?", near.join(", ")),
    }
}

/// Another alert, where it counts and how it is.
pub(crate) fn relative(relative: &Relative) -> String {
    let place = if relative.same_member {
        " (on the same member)"
    } else {
        ""
    };
    format!("{}{place}: {}", relative.alert, relative.activity.as_str())
}

#[cfg(test)]
mod tests;
