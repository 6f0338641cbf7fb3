//! ufw: what is loaded stands first in `ufw-before-input`, before ufw lets established connections through; confirmed, it
//! also stands in ufw's own files `before.rules` and `before6.rules`, from which ufw loads it at every start and reload
//! (ufw-framework(8)).
//!
//! ufw's own commands would not do: they write to the disk at once, so that a trial would come back after a restart; the
//! rules they make come after established connections were let through; and their `allow` opens a port to those whom
//! another rule kept out.

use std::time::Duration;

use portcullis_model::BackendName;
use portcullis_sys::Machine;

use crate::{
    FirewallError,
    act::{Act, Acts},
    backend::{Backend, DeadMan, Lasting},
    closing::Closing,
    family::Family,
    iptables::{
        Iptables,
        rules::{self, Mark, Place},
    },
    own::Own,
};

/// ufw.
#[derive(Debug)]
pub struct Ufw;

/// Puts a block, which is read, before the end of the table `filter`, in the place of an older one of the same change.
const PUT: &str = r##"
file=$1 tag=$2 block=$(cat)
export tag block
[ -f "$file" ] && cp -p "$file" "$file.portcullis" && awk '
    $0 == "# BEGIN portcullis " ENVIRON["tag"] { skip = 1 }
    /^\*/ { filter = ($0 == "*filter") }
    filter && !done && /^COMMIT/ { print ENVIRON["block"]; done = 1 }
    !skip { print }
    $0 == "# END portcullis " ENVIRON["tag"] { skip = 0 }
    END { exit !done }
' "$file" >"$file.portcullis" && { sync "$file.portcullis" 2>/dev/null || sync; } && mv -f "$file.portcullis" "$file" && exit 0
rm -f "$file.portcullis"
echo "$file has no table filter to put it into" >&2
exit 1
"##;

/// Takes the block of a change out of both files.
const TAKE: &str = r##"
tag=$1 failed=0; shift
export tag
for file; do
    grep -qx "# BEGIN portcullis $tag" "$file" 2>/dev/null || continue
    cp -p "$file" "$file.portcullis" && awk '
        $0 == "# BEGIN portcullis " ENVIRON["tag"] { skip = 1 }
        !skip { print }
        $0 == "# END portcullis " ENVIRON["tag"] { skip = 0 }
    ' "$file" >"$file.portcullis" && { sync "$file.portcullis" 2>/dev/null || sync; } && mv -f "$file.portcullis" "$file" || failed=1
done
exit $failed
"##;

fn file(family: Family) -> &'static str {
    match family {
        Family::V4 => "/etc/ufw/before.rules",
        Family::V6 => "/etc/ufw/before6.rules",
    }
}

impl Backend for Ufw {
    fn name(&self) -> BackendName {
        BackendName::Ufw
    }

    fn read(&self, machine: &Machine) -> Result<Own, FirewallError> {
        Iptables::OfUfw.read(machine)
    }

    fn load(&self, closing: &Closing, trial: Option<Duration>, beside: &Own) -> Acts {
        Iptables::OfUfw.load(closing, trial, beside)
    }

    fn keep(&self, closing: &Closing) -> Acts {
        Iptables::OfUfw.keep(closing)
    }

    fn inverse(&self, closing: &Closing, beside: &Own) -> Acts {
        Iptables::OfUfw.inverse(closing, beside)
    }

    fn dead_man(&self) -> DeadMan {
        Iptables::OfUfw.dead_man()
    }

    fn lasting(&self, closing: &Closing) -> Lasting {
        let tag = &closing.tag;
        let put = |family: Family| {
            let lines = rules::lines(closing, Place::Ufw, family, Mark::Kept).join("\n");
            let block = format!("# BEGIN portcullis {tag}\n{lines}\n# END portcullis {tag}\n");
            Act {
                shown: Some(format!(
                    "# before COMMIT of *filter in {}:\n{block}",
                    file(family)
                )),
                ..Act::reading("sh", &["-c", PUT, "sh", file(family), tag], block)
            }
        };
        Lasting::OwnPlace {
            place: Family::BOTH.map(file).join(" and "),
            put: Act::together(
                &Acts(Family::BOTH.map(put).into()),
                &self
                    .forget(tag)
                    .into_iter()
                    .map(Acts::from)
                    .next()
                    .unwrap_or_default(),
            )
            .into(),
        }
    }

    fn forget(&self, tag: &str) -> Option<Act> {
        let [v4, v6] = Family::BOTH.map(file);
        Some(Act::new("sh", &["-c", TAKE, "sh", tag, v4, v6]))
    }
}
