internal import Glibc

/// What stands behind each page of a process, by /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst).
package struct PageMap: ~Copyable {
  /// nil where the kernel was built without it (CONFIG_PROC_PAGE_MONITOR).
  private let descriptor: OwnedFD?

  package static let pageBytes: UInt64 = 4096
  /// Pages that are asked about in one go: 32 KiB of answers.
  package static let maxPages = 4096

  package init(of thread: UInt32) throws(SyscallError) {
    do throws(SyscallError) {
      descriptor = try open("/proc/\(thread)/pagemap", O_RDONLY)
    } catch {
      guard error.errno == ENOENT, exists("/proc/\(thread)/maps") else { throw error }
      descriptor = nil
    }
  }

  package init(_ descriptor: consuming OwnedFD?) { self.descriptor = descriptor }

  package var raw: CInt? {
    switch descriptor {
    case .some(let descriptor): descriptor.raw
    case .none: nil
    }
  }

  /// Those of `count` pages from `address` on, as numbers from 0, that are neither the mapped file's nor shared: a private copy, in memory or
  /// swapped out. nil where the kernel does not tell.
  package borrowing func ownPages(from address: UInt64, count: Int) throws(SyscallError) -> [Int]? {
    switch descriptor {
    case .none: return nil
    case .some(let descriptor):
      let entries = try read(descriptor, at: address / PageMap.pageBytes * 8, count: min(count, PageMap.maxPages) * 8)
      return (0..<entries.count / 8).filter { page in
        // Little-endian words: bit 63 present, 62 swapped, 61 a file's or shared.
        let flags = entries[page * 8 + 7] >> 5
        return flags & 0b100 != 0 && flags & 0b001 == 0 || flags & 0b010 != 0
      }
    }
  }
}
