//! Kind `sequence`: stages do not run backwards. Only the first event of a stage counts.

use crate::document::SequenceVersion;
use crate::lines::Line;
use crate::subject::{Alerts, Report, Subject};

/// Judge one subject; whether it had any case.
pub fn judge(versions: &[SequenceVersion], subject: &Subject, seen: &[usize], alerts: &mut Alerts) -> bool {
    let mut has_case = false;
    for version in versions {
        let firsts: Vec<Option<usize>> = version
            .stages
            .iter()
            .map(|stage| seen.iter().copied().find(|&event| subject.fits(stage, event, None)))
            .collect();
        for (index, first) in firsts.iter().enumerate() {
            let Some(event) = *first else { continue };
            let at = subject.at(event);
            if at > subject.until || at < version.first || version.last.is_some_and(|last| at >= last) {
                continue;
            }
            has_case = true;
            let later = firsts.iter().enumerate().skip(index + 1);
            let overtaken = later.filter_map(|(stage, other)| other.map(|other| (other, stage)));
            // Places are in the order of histories.
            if let Some((other, stage)) = overtaken.filter(|(other, _)| subject.at(*other) < at).min() {
                report(version, index, stage, (event, other), subject, alerts);
            }
        }
    }
    has_case
}

fn report(
    version: &SequenceVersion, index: usize, stage: usize, (event, other): (usize, usize), subject: &Subject,
    alerts: &mut Alerts,
) {
    let at = subject.at(event);
    let fault = &version.faults[index][stage - index - 1];
    let before = subject.days.shown(subject.at(other));
    let fill = |text: &str| Line::parse(text).fill(|_| before.clone());
    if !subject.days.is_settled(subject.at(other)) {
        return subject.hand_back();
    }
    alerts.add(
        subject,
        Report {
            rule: &version.rule,
            kind: "violation",
            cause: format!("{at}: {}", fault.key),
            due: at,
            anchor: event,
            deadline: None,
            stopped_at: None,
            ended_at: at,
            evidence: vec![other, event],
            is_provisional: false,
            arithmetic: format!("{{\"faults\":[{}]}}", fill(&fault.json)),
            faults: Some((fill(&fault.zh), fill(&fault.en))),
            lines: &version.lines[index],
        },
    );
}
