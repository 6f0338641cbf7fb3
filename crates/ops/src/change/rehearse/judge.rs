//! Holding what was seen in the copy against what the plan says.

use super::Row;

/// What is not as the plan says.
pub(super) fn against(rows: &[Row], restored: bool) -> Vec<String> {
    let who = |row: &Row| format!("{} ({} to {})", row.name, row.from, row.to);
    let mut against = Vec::new();
    for row in rows {
        match (row.allowed, row.before, row.on_trial) {
            (false, _, true) => against.push(format!("{} still gets through", who(row))),
            (true, true, false) => against.push(format!("{} is cut off", who(row))),
            (true, false, true) => {
                against.push(format!("{} gets through, which it did not before", who(row)))
            }
            _ => {}
        }
        if row.after != row.before {
            against.push(format!("for {} it is not as before after the rollback", who(row)));
        }
    }
    if !restored {
        against.push("after the rollback the ruleset is another one than before".into());
    }
    // Where nobody ever gets through, silence on trial proves nothing.
    if !rows.iter().any(|row| row.before) {
        against.push("the port answered nobody before the change: nothing can be concluded".into());
    }
    against
}

/// What the plan says and the copy could not show: who is let through and got through neither before nor with the change.
pub(super) fn not_concluded(rows: &[Row]) -> Vec<String> {
    let silent = rows
        .iter()
        .filter(|row| row.allowed && !row.before && !row.on_trial);
    silent
        .map(|row| {
            format!(
                "{} ({} to {}) did not get through before the change either: rules of the host keep it out, or nothing \
                 listens there",
                row.name, row.from, row.to
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(allowed: bool, before: bool, on_trial: bool, after: bool) -> Row {
        Row {
            name: "office".into(),
            from: "10.7.30.1".parse().unwrap(),
            to: "10.7.10.10".parse().unwrap(),
            allowed,
            before,
            on_trial,
            after,
        }
    }

    #[test]
    fn a_plan_is_borne_out_or_not() {
        let open = row(true, true, true, true);
        for (seen, expected) in [
            (row(false, true, false, true), None),
            (row(false, false, false, false), None),
            (row(true, false, false, false), None),
            (row(false, true, true, true), Some("still gets through")),
            (row(true, true, false, true), Some("is cut off")),
            (row(true, false, true, false), Some("did not before")),
            (row(false, true, false, false), Some("not as before")),
        ] {
            let found = against(&[open.clone(), seen.clone()], true);
            assert_eq!(
                found.len(),
                usize::from(expected.is_some()),
                "{seen:?}: {found:?}"
            );
            assert!(
                found
                    .iter()
                    .all(|text| text.contains(expected.unwrap_or_default())),
                "{found:?}"
            );
        }
        let silent = row(true, false, false, false);
        assert_eq!(not_concluded(&[open.clone(), silent]).len(), 1);
        assert!(not_concluded(std::slice::from_ref(&open)).is_empty());
        assert!(against(&[open], false)[0].contains("another one"));
        assert!(against(&[row(false, false, false, false)], true)[0].contains("nothing can be concluded"));
    }
}
