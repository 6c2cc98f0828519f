internal import Kernel
internal import ProcFS
package import Wire

extension JITMemory {
  /// What runtimes may have made in a process that nobody has watched: all of its executable anonymous memory, if it has a runtime's file
  /// mapped. Good enough to show a stack; a container's supervisor believes only what it saw being made.
  package static func assumed(of process: UInt32) -> JITMemory {
    let lines: [MapsLine]
    do throws(SyscallError) {
      // A line that does not parse is no range of code: less is shown, and nothing more believed.
      lines = try readFile("/proc/\(process)/maps", limit: 16 << 20).split(separator: UInt8(ascii: "\n")).compactMap { try? MapsLine($0) }
    } catch { return JITMemory() }
    guard let runtime = JITRuntime.allCases.first(where: { runtime in lines.contains { $0.inode != 0 && runtime.isModule($0.name) } })
    else {
      return JITMemory()
    }
    let ranges = lines.filter { $0.inode == 0 && $0.isExecutable && !$0.isShared && !$0.name.utf8.starts(with: "[v".utf8) }
    return JITMemory(
      declared: [runtime],
      ranges: ranges.prefix(maxRanges).map { JITRange(start: $0.start, end: $0.end, runtime: runtime) })
  }
}
