//! Which shard this process is: by the flags, or by the name of its pod or host.

use crate::args::ShardArguments;
use crate::config::{Problem, Problems};
use crate::provider::Environment;
use crate::shard::Shard;

/// Where Linux says what the host is called, which in a pod is the pod's name.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// Reads the name only if it is needed. `POD_NAME` comes first: the name of a host is cut off after 63 characters, and is
/// the node's where a pod uses the network of its node.
pub(super) fn of(flags: ShardArguments, environment: &Environment) -> Result<Shard, Problems> {
    let name = || {
        let pod = environment.get("POD_NAME").filter(|name| !name.is_empty());
        let host = || std::fs::read_to_string(HOST_NAME).ok();
        pod.cloned().or_else(host)
    };
    let name = flags.index.is_none().then(name).flatten();
    let name = name.as_deref().map(str::trim_end);
    Shard::of_flags(flags.index, flags.count, name).map_err(|wrong| {
        let problems = wrong.into_iter().map(|wrong| Problem {
            key: wrong.flag.to_owned(),
            what: wrong.what,
        });
        Problems(problems.collect())
    })
}
