internal import CLinux

/// A copy of the vDSO that the kernel mapped into this process (vdso(7)); empty where there is none. It is the same in every 64-bit
/// process of the host.
package func ownVDSO() -> [UInt8] {
  let address = UInt(getauxval(UInt(AT_SYSINFO_EHDR)))
  guard address != 0, let base = unsafe UnsafeRawPointer(bitPattern: address) else { return [] }
  // The section headers are its last part (ELF gABI 4, e_shoff, e_shentsize, e_shnum).
  // SAFETY: the kernel mapped a whole ELF image there and never unmaps it; the sum is bounded below.
  let tableStart = unsafe Int(base.load(fromByteOffset: 0x28, as: UInt64.self))
  let entryBytes = unsafe Int(base.load(fromByteOffset: 0x3a, as: UInt16.self))
  let entryCount = unsafe Int(base.load(fromByteOffset: 0x3c, as: UInt16.self))
  let count = min(tableStart + entryBytes * entryCount, 64 << 10)
  return unsafe [UInt8](UnsafeRawBufferPointer(start: base, count: count))
}
