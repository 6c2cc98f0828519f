internal import CLinux

/// Opens `path` for reading as it would be found with `root`, a directory, as the root: no symbolic link and no `..` leads out of it (openat2(2),
/// RESOLVE_IN_ROOT).
package func open(_ path: String, in root: borrowing OwnedFD) throws(SyscallError) -> OwnedFD {
  let directory = root.raw
  let result = unsafe path.withCString { unsafe clinux_open_in_root(directory, $0) }
  guard result >= 0 else { throw SyscallError("open", errno: CInt(-result), subject: path) }
  return OwnedFD(owning: CInt(result))
}
