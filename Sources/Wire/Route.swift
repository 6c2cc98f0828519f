/// One frame of the way to a system call, as a recording tells it: what a chain of a profile could say of it.
package struct RouteStep: Hashable, Sendable {
  /// Index into the finding's modules; nil for code that a runtime has made, which counts as one frame however many there are.
  package var module: UInt16?
  /// Where the function starts in the file, an ELF virtual address; nil where that is not known.
  package var start: UInt64?
  /// Of the function, the one that people know it by first; empty where the file names none.
  package var names: [String]
  /// What the code of a function without a name looks like: the same in another build of it, most likely.
  package var fingerprint: UInt64?
  /// It is one of those that the C library, or a file's entry, begins a thread or a process with: see `PathFrame.isStart`.
  package var isStart: Bool
  /// More frames of the same function follow it directly: it called itself.
  package var repeats: Bool

  package init(
    module: UInt16?, start: UInt64? = nil, names: [String] = [], fingerprint: UInt64? = nil, isStart: Bool = false, repeats: Bool = false
  ) {
    self.module = module
    self.start = start
    self.names = names
    self.fingerprint = fingerprint
    self.isStart = isStart
    self.repeats = repeats
  }
}

/// The way to a system call, innermost frame first.
package struct Route: Hashable, Sendable {
  /// Of a deeper one as many are told from either end.
  package static let maxSteps = 512
  package static let maxNames = 4
  /// All of its text. What goes beyond is told by the functions' starts alone.
  package static let maxTextBytes = 24576
  /// What it takes of a message at most.
  static let maxBytes = 64 + maxSteps * (3 * 9 + 1 + 4 + maxNames * 4) + maxTextBytes

  package var steps: [RouteStep]
  /// The place in `steps` where others are left out; nil where all are there.
  package var gap: UInt16?

  package init(steps: [RouteStep] = [], gap: UInt16? = nil) {
    self.steps = steps
    self.gap = gap
  }
}

extension Writer {
  mutating func put(_ route: Route) {
    put(route.gap.map(UInt64.init))
    put(UInt32(min(route.steps.count, Route.maxSteps)))
    var room = Route.maxTextBytes
    for step in route.steps.prefix(Route.maxSteps) {
      put(step.module.map(UInt64.init))
      put(step.start)
      put(step.fingerprint)
      put(UInt8((step.isStart ? 1 : 0) | (step.repeats ? 2 : 0)))
      // A name that was cut would be another function's.
      let names = step.names.filter { $0.utf8.count <= Paths.maxTextBytes }.prefix(Route.maxNames)
      let bytes = names.reduce(0) { $0 + $1.utf8.count }
      let told = bytes <= room ? Array(names) : []
      if bytes <= room { room -= bytes }
      put(UInt32(told.count))
      for name in told { put(name, limit: Paths.maxTextBytes) }
    }
  }
}

extension Reader {
  mutating func takeRoute(modules: Int) throws(WireError) -> Route {
    let place = offset
    var route = Route()
    let gap = try takeOptional()
    for _ in 0..<(try takeCount(limit: Route.maxSteps)) {
      let module = try takeOptional()
      if let module, module >= modules { throw .badValue(offset: place) }
      var step = RouteStep(module: module.map { UInt16($0) })
      step.start = try takeOptional()
      step.fingerprint = try takeOptional()
      let flags = try take(UInt8.self)
      guard flags & ~3 == 0 else { throw .badValue(offset: place) }
      (step.isStart, step.repeats) = (flags & 1 != 0, flags & 2 != 0)
      for _ in 0..<(try takeCount(limit: Route.maxNames)) { step.names.append(try takeString(limit: Paths.maxTextBytes)) }
      route.steps.append(step)
    }
    if let gap {
      guard gap <= route.steps.count else { throw .badValue(offset: place) }
      route.gap = UInt16(gap)
    }
    return route
  }
}
