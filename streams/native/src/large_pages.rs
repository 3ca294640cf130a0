//! Memory that grows with the stream, in large pages where the system has them: to be given 4 KB takes longer than to
//! read the lines that go into them.

/// What is shorter is left alone.
const SMALL: usize = 256 << 10;

/// What is not gets so much at least: the part that is not used costs nothing, and it need not be moved soon.
const LEAST: usize = 32 << 20;

/// Make room for so many more.
#[inline]
pub fn make_room<T>(all: &mut Vec<T>, more: usize) {
    if all.capacity() - all.len() < more {
        grow(all, more);
    }
}

#[cold]
fn grow<T>(all: &mut Vec<T>, more: usize) {
    if size_of_val(&**all) < SMALL {
        return all.reserve(more);
    }
    all.reserve(more.max(LEAST / size_of::<T>()));
    advise(all);
}

/// Ask for large pages, also for the rest of its first and last page: a mapping with another one in it cannot be moved
/// when it grows.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn advise<T>(all: &mut Vec<T>) {
    const PAGE: usize = 4096;
    let from = all.as_mut_ptr().cast::<u8>();
    let before = from.addr() % PAGE;
    let length = (before + all.capacity() * size_of::<T>()).next_multiple_of(PAGE);
    // SAFETY: the advice changes nothing of what is in memory, whosever it is; where it is not taken, nothing is lost.
    unsafe {
        libc::madvise(from.wrapping_sub(before).cast(), length, libc::MADV_HUGEPAGE);
    }
}

#[cfg(not(target_os = "linux"))]
fn advise<T>(_all: &mut Vec<T>) {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four times as much as there is room for at first, so that it is moved.
    fn many() -> Vec<u64> {
        let mut all = Vec::new();
        for number in 0..4 * LEAST as u64 / 8 {
            make_room(&mut all, 1);
            all.push(number);
        }
        all
    }

    #[test]
    fn what_was_there_stays() {
        assert!(many().into_iter().eq(0..4 * LEAST as u64 / 8));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn all_of_it_may_have_large_pages() {
        if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage/enabled").exists() {
            return eprintln!("not tested: this kernel has no large pages");
        }
        let all = many();
        let ends = [all.as_ptr().addr(), all.as_ptr_range().end.addr() - 1];
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let (mut within, mut found) = ([false; 2], [false; 2]);
        for line in maps.lines() {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            let range = range.map(|(from, to)| (usize::from_str_radix(from, 16), usize::from_str_radix(to, 16)));
            if let Some((Ok(from), Ok(to))) = range {
                within = ends.map(|end| (from..to).contains(&end));
            } else if line.starts_with("VmFlags:") && line.contains(" hg") {
                found = std::array::from_fn(|end| found[end] || within[end]);
            }
        }
        assert_eq!(found, [true, true]);
    }
}
