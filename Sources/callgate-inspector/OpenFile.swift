internal import ELF
internal import Kernel

/// One descriptor, shared by all that read through it.
final class OpenFile {
  let descriptor: OwnedFD

  init(_ descriptor: consuming OwnedFD) { self.descriptor = descriptor }

  func source(of sizeBytes: UInt64) -> Source {
    Source(sizeBytes: sizeBytes) { (offset, count) throws(Source.Unreadable) in
      do throws(SyscallError) { return try Kernel.read(self.descriptor, at: offset, count: count) } catch { throw Source.Unreadable() }
    }
  }

  /// What is no regular file has no bytes.
  func source() -> Source {
    do throws(SyscallError) {
      let status = try identity(of: descriptor)
      return source(of: status.isRegular ? UInt64(exactly: status.size) ?? 0 : 0)
    } catch { return source(of: 0) }
  }
}
