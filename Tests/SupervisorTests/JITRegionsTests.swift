import Supervisor
import Testing
import Wire

@Suite struct JITRegionsTests {
  private let node: UInt64 = 0x7ffc_1234_5670
  private let address: UInt64 = 0x7f00_0000_0000

  private func call(_ name: String, _ values: UInt64...) -> MemoryCall? {
    var result: [6 of UInt64] = .init(repeating: 0)
    for (index, value) in values.enumerated() { result[index] = value }
    return MemoryCall.Kind(name).flatMap { MemoryCall($0, result) }
  }

  private func mprotect(_ start: UInt64, _ length: UInt64) -> MemoryCall { call("mprotect", start, length, 7)! }

  /// The system call's own file, then those of the return addresses.
  private func finding(_ paths: String..., objection: Reason? = nil) -> Finding {
    var finding = Finding()
    finding.modules = paths.map { Module(path: $0, buildID: "") }
    finding.frames = paths.indices.map { Frame(module: UInt16($0), offset: 16, function: nil, functionOffset: 0, source: .cfi) }
    finding.violations = objection.map { [Violation(check: .call, frame: 0, reason: $0)] } ?? []
    return finding
  }

  private func snapshot(_ startStack: UInt64?, process: UInt32 = 7) -> Snapshot {
    var snapshot = Snapshot()
    snapshot.startStack = startStack
    snapshot.process = process
    return snapshot
  }

  @Test func `what the runtime makes executable is its code, in that address space only`() {
    var regions = JITRegions(declared: [.v8])
    regions.note(mprotect(address, 0x1001), of: snapshot(node), finding("/lib/libc.so.6", "/usr/bin/node"))
    let expected = [JITRange(start: address, end: address + 0x2000, runtime: .v8)]
    #expect(regions.memory(of: snapshot(node)) == JITMemory(declared: [.v8], ranges: expected))
    #expect(regions.memory(of: snapshot(node, process: 8)) == JITMemory(declared: [.v8], ranges: expected, isCopy: true))
    #expect(regions.memory(of: snapshot(node + 16)).ranges.isEmpty)
    #expect(regions.memory(of: snapshot(nil)).ranges.isEmpty)
  }

  @Test func `pieces that meet become one, and another's call takes its piece away`() {
    var regions = JITRegions(declared: [.v8, .hotspot])
    let ours = finding("/lib/libc.so.6", "/usr/lib/libnode.so.108")
    regions.note(mprotect(address + 0x2000, 0x2000), of: snapshot(node), ours)
    regions.note(mprotect(address, 0x2000), of: snapshot(node), ours)
    regions.note(mprotect(address + 0x1000, 0x1000), of: snapshot(node), ours)
    #expect(regions.memory(of: snapshot(node)).ranges == [JITRange(start: address, end: address + 0x4000, runtime: .v8)])
    regions.note(call("mremap", 0x1000, 0x1000, 0x1000, 3, address)!, of: snapshot(node), ours)
    regions.note(mprotect(address + 0x2000, 0x1000), of: snapshot(node), finding("/lib/libc.so.6", "/usr/lib/libffi.so.8"))
    #expect(
      regions.memory(of: snapshot(node)).ranges == [
        JITRange(start: address + 0x1000, end: address + 0x2000, runtime: .v8),
        JITRange(start: address + 0x3000, end: address + 0x4000, runtime: .v8),
      ])
  }

  @Test(arguments: [
    ["/lib/libc.so.6", "/usr/lib/libffi.so.8", "/usr/bin/node"], ["/lib/libc.so.6", "/lib/libc.so.6", "/usr/bin/node"],
    ["/lib/libc.so.6", "/usr/bin/nodes"], ["/lib/libc.so.6", "/usr/lib/jvm/libjvm.so"], ["/tmp/libcrypto.so", "/usr/bin/node"],
    ["/lib/libc.so.6"], [],
  ])
  func `what others make executable is nobody's`(paths: [String]) {
    var finding = Finding()
    finding.modules = paths.map { Module(path: $0, buildID: "") }
    finding.frames = paths.indices.map { Frame(module: UInt16($0), offset: 16, function: nil, functionOffset: 0, source: .cfi) }
    var regions = JITRegions(declared: [.v8])
    regions.note(mprotect(address, 0x1000), of: snapshot(node), finding)
    #expect(regions.memory(of: snapshot(node)).ranges.isEmpty)
  }

  @Test func `a stack that was objected to makes nothing, though it was allowed`() {
    var regions = JITRegions(declared: [.v8])
    regions.note(mprotect(address, 0x1000), of: snapshot(node), finding("/lib/libc.so.6", "/usr/bin/node", objection: .notAfterCall))
    #expect(regions.memory(of: snapshot(node)).ranges.isEmpty)
  }

  @Test func `without a declaration nothing is kept`() {
    var regions = JITRegions(declared: [])
    regions.note(mprotect(address, 0x1000), of: snapshot(node), finding("/lib/libc.so.6", "/usr/bin/node"))
    #expect(regions.memory(of: snapshot(node)) == JITMemory())
  }

  @Test func `too many ranges, and too many processes, are forgotten, never guessed`() {
    var regions = JITRegions(declared: [.hotspot])
    let ours = finding("/lib/libc.so.6", "/usr/lib/jvm/lib/server/libjvm.so")
    for index in 0...UInt64(JITMemory.maxRanges) { regions.note(mprotect(address + index * 0x2000, 0x1000), of: snapshot(node), ours) }
    #expect(regions.memory(of: snapshot(node)).ranges.count == JITMemory.maxRanges)
    #expect(!regions.memory(of: snapshot(node)).ranges.contains { $0.contains(address + UInt64(JITMemory.maxRanges) * 0x2000) })
    for index in 1..<UInt64(JITRegions.maxSpaces) { regions.note(mprotect(address, 0x1000), of: snapshot(node + index * 16), ours) }
    _ = regions.memory(of: snapshot(node))
    regions.note(mprotect(address, 0x1000), of: snapshot(1), ours)
    #expect(!regions.memory(of: snapshot(node)).ranges.isEmpty && regions.memory(of: snapshot(node + 16)).ranges.isEmpty)
  }

  @Test func `calls whose address the kernel chooses, that wrap or are not executable, say nothing`() {
    #expect(call("mmap", address, 0x1000, 7, 0x22) == nil)
    #expect(call("mmap", address, 0x1000, 3, 0x32) == nil)
    #expect(call("mmap", address, 0x1000, 7, 0x32)?.end == address + 0x1000)
    #expect(call("mmap", address, 1, 5, 0x10_0022)?.end == address + 0x1000)
    #expect(call("mprotect", address, 0x1000, 3) == nil)
    #expect(call("mprotect", address + 1, 0x1000, 7) == nil)
    #expect(call("mprotect", address, 0, 7) == nil)
    #expect(call("pkey_mprotect", ~0xfff, 0x1000, 7) == nil)
    #expect(call("pkey_mprotect", address, UInt64.max, 7) == nil)
    #expect(call("mremap", address, 0x1000, 0x1000, 1, 0) == nil)
    #expect(call("execve", address, 0x1000, 7, 0x32) == nil)
  }
}
