internal import CLinux
internal import Glibc

/// Takes what this process has mapped of files' code and constants out of its page tables: what only the start needed stays out, what is used
/// still comes back from the page cache, at a minor fault for each sixteen pages (madvise(2), MADV_DONTNEED).
///
/// Nothing is lost, as none of these pages can have been written to. Any thread may run meanwhile.
package func forgetCode() {
  unsafe dl_iterate_phdr(
    { object, _, _ in
      guard let object = unsafe object?.pointee, let headers = unsafe object.dlpi_phdr else { return 0 }
      // SAFETY: the dynamic linker says how many there are, and keeps them as long as the object is loaded.
      for index in 0..<(unsafe Int(object.dlpi_phnum)) {
        let header = unsafe headers[index]
        guard header.p_type == PT_LOAD, header.p_flags & UInt32(PF_W) == 0 else { continue }
        let start = unsafe (object.dlpi_addr + header.p_vaddr) & ~4095
        let end = unsafe object.dlpi_addr + header.p_vaddr + header.p_memsz
        _ = unsafe madvise(UnsafeMutableRawPointer(bitPattern: UInt(start)), Int(end - start), MADV_DONTNEED)
      }
      return 0
    }, nil)
}
