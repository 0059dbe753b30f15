//! How much of the machine's memory the server keeps pages in.

use std::fs;

/// PostgreSQL's own default, in mebibytes.
const LEAST_MIB: u64 = 128;
/// More is of use to larger machines than those for which this crate finds a server.
const MOST_MIB: u64 = 8 * 1024;

/// `shared_buffers` in mebibytes: a quarter of what the machine, or the container, has, as PostgreSQL's documentation advises for a server with
/// memory of its own. It is taken as it is needed, not at the start.
pub(crate) fn shared_buffers_mib() -> u64 {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let machine = of_machine(&read("/proc/meminfo"));
    let container = of_container(&read("/sys/fs/cgroup/memory.max"));
    quarter([machine, container])
}

/// A quarter of the smaller one, within the bounds; the least if nothing is known.
fn quarter(mib: [Option<u64>; 2]) -> u64 {
    let smaller = mib.into_iter().flatten().min().unwrap_or_default();
    (smaller / 4).clamp(LEAST_MIB, MOST_MIB)
}

/// `MemTotal` in mebibytes.
fn of_machine(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(kib / 1024)
}

/// What the control group allows, in mebibytes; none if it allows everything.
fn of_container(memory_max: &str) -> Option<u64> {
    let bytes: u64 = memory_max.trim().parse().ok()?;
    Some(bytes / (1024 * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_machine_or_of_its_container_is_taken_within_bounds() {
        let machine = of_machine("MemTotal:       24644276 kB\nMemFree:        22049312 kB\n");
        assert_eq!(machine, Some(24_066));
        assert_eq!((of_container("max\n"), of_container("")), (None, None));
        assert_eq!(of_container("2147483648\n"), Some(2_048));
        assert_eq!(quarter([machine, None]), 6_016);
        assert_eq!(quarter([machine, Some(2_048)]), 512);
        assert_eq!(quarter([Some(256), None]), LEAST_MIB);
        assert_eq!(quarter([Some(1_000_000), None]), MOST_MIB);
        assert_eq!(quarter([of_machine("nothing of the kind"), None]), LEAST_MIB);
    }
}
