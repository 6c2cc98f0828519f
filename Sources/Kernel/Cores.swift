internal import CLinux
internal import Glibc

/// The cores that a thread may run on (sched_setaffinity(2)).
package struct Cores: Sendable {
  private var mask: cpu_set_t

  /// Those of the calling thread; nil where the kernel has more cores than a set holds, or does not say.
  package static func ofThisThread() -> Cores? {
    var cores = Cores(mask: cpu_set_t())
    // SAFETY: the kernel writes at most so many bytes.
    let result = unsafe clinux_affinity(0, &cores.mask, MemoryLayout<cpu_set_t>.size)
    return result < 0 ? nil : cores
  }

  /// Lets a thread run on these only; the calling one is 0. False where it may not.
  package func bind(_ thread: CInt) -> Bool {
    // SAFETY: the kernel reads so many bytes.
    unsafe withUnsafePointer(to: mask) { unsafe clinux_bind(thread, $0, MemoryLayout<cpu_set_t>.size) == 0 }
  }

  /// One of them; nil where it is none.
  package func only(_ core: CInt) -> Cores? {
    var other = Cores(mask: cpu_set_t())
    // SAFETY: the set is a variable of ours.
    return unsafe clinux_take_core(mask, core, &other.mask) == 0 ? nil : other
  }
}

/// The core that this thread runs on just now; negative where nobody says.
package var currentCore: CInt { sched_getcpu() }
