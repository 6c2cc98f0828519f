/// A language runtime that makes code while it runs, and whose frames callgate can walk.
package enum JITRuntime: UInt8, CaseIterable, Sendable {
  /// V8, the engine of node.
  case v8
  /// HotSpot, the virtual machine of OpenJDK.
  case hotspot

  /// As a profile declares it.
  package var name: String {
    switch self {
    case .v8: "v8"
    case .hotspot: "hotspot"
    }
  }

  package init?(name: String) {
    guard let found = JITRuntime.allCases.first(where: { $0.name == name }) else { return nil }
    self = found
  }

  /// Whether a file of this path is the runtime itself, i.e. the one whose calls make its code's memory. By the last component, byte by
  /// byte; `libnode.so.108` is `libnode.so` of a version.
  package func isModule(_ path: String) -> Bool {
    let file = lastComponent(of: path)
    return modules.contains {
      file.elementsEqual($0.utf8) || ($0.utf8.suffix(3).elementsEqual(".so".utf8) && file.starts(with: "\($0).".utf8))
    }
  }

  private var modules: [String] {
    switch self {
    case .v8: ["node", "nodejs", "libnode.so"]
    case .hotspot: ["libjvm.so"]
    }
  }
}

/// Whether a file of this path is glibc's or musl's C library, by its name.
package func isCLibrary(_ path: String) -> Bool {
  let file = lastComponent(of: path)
  return ["libc.so", "libc-2.", "ld-musl-", "libc.musl-"].contains { file.starts(with: $0.utf8) }
}

/// Whether a file of this path is Ruby, by its name.
package func isRuby(_ path: String) -> Bool {
  let file = lastComponent(of: path)
  return ["libruby", "ruby"].contains { file.starts(with: $0.utf8) }
}

/// What stands behind the last `/`: bytes, as a file's name is its owner's choice.
package func lastComponent(of path: String) -> Substring.UTF8View.SubSequence {
  let bytes = Substring(path).utf8
  guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return bytes[...] }
  return bytes[bytes.index(after: slash)...]
}

/// Memory [start, end) that a runtime made executable by a call that was trapped and found faultless.
package struct JITRange: Equatable, Sendable {
  package var start: UInt64
  package var end: UInt64
  package var runtime: JITRuntime

  package init(start: UInt64, end: UInt64, runtime: JITRuntime) {
    self.start = start
    self.end = end
    self.runtime = runtime
  }

  package func contains(_ address: UInt64) -> Bool { start <= address && address < end }
}

/// What one inspection may take for made code.
package struct JITMemory: Equatable, Sendable {
  /// A request holds no more: what lies beyond is nobody's code.
  package static let maxRanges = 1024

  /// What the profile declares.
  package var declared: Set<JITRuntime>
  /// Of the inspected address space.
  package var ranges: [JITRange]
  /// The process is a copy, made by fork, of the one that made the code. V8 has the kernel leave its code out of such copies
  /// (MADV_DONTFORK): their stacks still hold its frames, until they execute another program.
  package var isCopy: Bool

  package init(declared: Set<JITRuntime> = [], ranges: [JITRange] = [], isCopy: Bool = false) {
    self.declared = declared
    self.ranges = ranges
    self.isCopy = isCopy
  }

  /// The declared runtime whose code may lie at `address`.
  package func runtime(at address: UInt64) -> JITRuntime? {
    ranges.first { $0.contains(address) && declared.contains($0.runtime) }?.runtime
  }
}

extension Writer {
  mutating func put(_ jit: JITMemory) {
    put(jit.declared.reduce(UInt8(0)) { $0 | 1 << $1.rawValue })
    put(UInt8(jit.isCopy ? 1 : 0))
    put(UInt32(min(jit.ranges.count, JITMemory.maxRanges)))
    for range in jit.ranges.prefix(JITMemory.maxRanges) {
      put(range.start)
      put(range.end)
      put(range.runtime.rawValue)
    }
  }
}

extension Reader {
  mutating func takeJIT() throws(WireError) -> JITMemory {
    let place = offset
    let bits = try take(UInt8.self)
    let declared = JITRuntime.allCases.filter { bits & 1 << $0.rawValue != 0 }
    guard bits.nonzeroBitCount == declared.count else { throw .badValue(offset: place) }
    var jit = JITMemory(declared: Set(declared), isCopy: try takeFlag())
    for _ in 0..<(try takeCount(limit: JITMemory.maxRanges)) {
      jit.ranges.append(JITRange(start: try take(), end: try take(), runtime: try takeCase()))
    }
    return jit
  }
}
