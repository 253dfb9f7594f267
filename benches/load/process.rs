//! What processes cost: the servers' and our own CPU, and the servers' memory.

use std::fs;

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::Outcome;

/// All processes of a server.
#[derive(Debug)]
pub struct Servers(pub Vec<u32>);

/// Resident memory in bytes, of all processes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    pub rss: u64,
    /// Pages that others share count in part.
    pub pss: u64,
}

impl Servers {
    /// Time on a processor so far, of all threads that live.
    pub fn cpu_ns(&self) -> Outcome<u64> {
        let mut sum = 0;
        for pid in &self.0 {
            for task in fs::read_dir(format!("/proc/{pid}/task"))? {
                // A thread may end meanwhile.
                let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
                sum += text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0);
            }
        }
        Ok(sum)
    }

    pub fn memory(&self) -> Outcome<Memory> {
        let mut memory = Memory::default();
        for pid in &self.0 {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            memory.rss += field_bytes(&text, "Rss:")?;
            memory.pss += field_bytes(&text, "Pss:")?;
        }
        Ok(memory)
    }

    /// Lets the peak begin anew.
    pub fn forget_peak(&self) {
        for pid in &self.0 {
            // A kernel without it gives the peak since the process began.
            let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
    }

    /// The most that was resident, each process at its own time.
    pub fn peak(&self) -> Outcome<u64> {
        let status = |pid| fs::read_to_string(format!("/proc/{pid}/status"));
        self.0.iter().map(|pid| field_bytes(&status(pid)?, "VmHWM:")).sum()
    }
}

/// A field in KiB, as bytes.
fn field_bytes(text: &str, name: &str) -> Outcome<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(number.ok_or_else(|| format!("no {name} of a server's"))? * 1024)
}

/// Our own time on a processor.
pub fn own_cpu_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::ProcessCPUTime))
}

/// The clock by which everything here is timed.
pub fn now_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

fn nanoseconds(time: Timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_kib() {
        let text = "00400000-7ffd rollup\nRss:                1832 kB\nPss:                 901 kB\n";
        assert_eq!(field_bytes(text, "Rss:").unwrap(), 1832 * 1024);
        assert_eq!(field_bytes(text, "Pss:").unwrap(), 901 * 1024);
        assert!(field_bytes(text, "Swap:").is_err());
    }

    #[test]
    fn a_process_that_works_costs_and_is_somewhere() {
        let own = Servers(vec![std::process::id()]);
        let (before, own_before) = (own.cpu_ns().unwrap(), own_cpu_ns());
        let end = now_ns() + 30_000_000;
        while now_ns() < end {}
        assert!(own.cpu_ns().unwrap() > before + 10_000_000);
        assert!(own_cpu_ns() > own_before + 10_000_000);
        let memory = own.memory().unwrap();
        assert!(memory.pss > 0 && memory.pss <= memory.rss && memory.rss <= own.peak().unwrap());
    }
}
