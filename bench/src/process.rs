//! What the system says about a process: its CPU time and its memory.

use std::{fs, path::Path, time::Duration};

use anyhow::Context as _;

/// The unit of CPU times in `/proc`: `USER_HZ`, 100 a second on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// CPU time that the process `pid` has used, in user mode and in the kernel, over all its threads.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks = ticks(&stat).with_context(|| format!("/proc/{pid}/stat is not as expected"))?;
    Ok(TICK * ticks)
}

/// Resident memory of the process `pid`, pages of its program included.
pub(crate) fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = field_kib(&status, "VmRSS:").with_context(|| format!("/proc/{pid}/status has no VmRSS"))?;
    Ok(kib * 1024)
}

/// Processes whose environment, or whose arguments, name something below `folder`.
pub(crate) fn below(folder: &Path) -> Vec<u32> {
    let needle = folder.as_os_str().as_encoded_bytes();
    let names_it =
        |file: String| fs::read(file).is_ok_and(|text| text.windows(needle.len()).any(|w| w == needle));
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id())
        .filter(|pid| names_it(format!("/proc/{pid}/environ")) || names_it(format!("/proc/{pid}/cmdline")))
        .collect()
}

/// `utime` and `stime`: the 14th and 15th field. The second one, the name, may have blanks in it.
fn ticks(stat: &str) -> Option<u32> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut times = after_name.split_ascii_whitespace().skip(11).map(str::parse::<u32>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}

fn field_kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_name_with_blanks() {
        let stat = "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 230 41 0 0 20 0";
        assert_eq!(ticks(stat), Some(271));
    }

    #[test]
    fn this_process_has_memory_and_time() {
        assert!(resident_bytes(std::process::id()).unwrap() > 100_000);
        assert!(cpu(std::process::id()).is_ok());
    }

    #[test]
    fn memory_is_read_from_its_line() {
        assert_eq!(field_kib("VmPeak:\t  99 kB\nVmRSS:\t   1234 kB\n", "VmRSS:"), Some(1234));
        assert_eq!(field_kib("VmPeak:\t  99 kB\n", "VmRSS:"), None);
    }
}
