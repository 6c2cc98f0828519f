package import Recording
package import Wire

/// Makes chains of recorded ways. The same way is the same chain, whatever else was recorded.
package struct Generaliser: Sendable {
  private let recording: Recording
  private let naming: ModuleNaming

  package init(_ recording: Recording, naming: ModuleNaming) {
    self.recording = recording
    self.naming = naming
  }

  /// The chain that allows `path` and says this much of it; nil where it would have more elements than a chain may have.
  ///
  /// All files of the way are named by the chain: what `...` leaves open may only lie in those.
  package func chain(of path: RecordedPath, at level: Level) -> [PathElement]? {
    let steps = Array(path.steps.prefix(end(of: path)))
    guard !steps.isEmpty else { return nil }
    let kept = keptOfRecursion(steps).enumerated().map { $1 && isKept($0, of: steps, at: level) }
    var named = Set(steps.indices.filter { kept[$0] }.map { module(of: steps[$0]) })
    var chain: [PathElement] = []
    func leaveOpen() { if chain.last != .anyFrames { chain.append(.anyFrames) } }
    for (place, step) in steps.enumerated() {
      if place == path.gap { leaveOpen() }
      if kept[place] {
        chain.append(element(of: step))
        // With something open on either side of it, that stands for its other frames, too.
        let isOpenNext = place + 1 == path.gap || place + 1 < steps.count && !kept[place + 1]
        if step.repeats, !isOpenNext, place == 0 || chain[chain.count - 2] != .anyFrames { chain += [.anyFrames, element(of: step)] }
      } else {
        leaveOpen()
        if named.insert(module(of: step)).inserted {
          chain.append(level == .exact ? element(of: step) : .anyFunction(of: module(of: step)))
          chain.append(.anyFrames)
        }
      }
    }
    if path.gap == steps.count { leaveOpen() }
    return chain.count <= Paths.maxElements ? chain : nil
  }

  /// How many steps a chain has to tell of: not the start frames behind the last that is none. A way that has no other keeps them.
  package func end(of path: RecordedPath) -> Int {
    guard let last = path.steps.lastIndex(where: { !recording.functions[$0.function].isStart }) else { return path.steps.count }
    return max(last + 1, path.gap ?? 0)
  }

  private func module(of step: RecordedPath.Step) -> String {
    recording.functions[step.function].module.map { naming.names[$0] } ?? Paths.madeCode
  }

  package func element(of step: RecordedPath.Step) -> PathElement {
    let function = recording.functions[step.function]
    let module = module(of: step)
    guard function.module != nil else { return .anyFunction(of: module) }
    for name in function.names {
      let element = PathElement.function(name, of: module)
      // A file may call its functions what would be read as something else.
      if PathElement(element.description) == element, element.description.utf8.count <= Paths.maxTextBytes { return element }
    }
    return function.start.map { .start($0, of: module) } ?? .anyFunction(of: module)
  }

  /// A function that is on the stack twice has called itself, by whatever way: what lies between the first and the last of its frames is as deep
  /// as the data wants it. Made code is no function, and one that is not known is its own.
  private func keptOfRecursion(_ steps: [RecordedPath.Step]) -> [Bool] {
    var kept = [Bool](repeating: false, count: steps.count)
    var place = 0
    while place < steps.count {
      kept[place] = true
      let function = recording.functions[steps[place].function]
      if function.module != nil, function.start != nil || !function.names.isEmpty,
        let last = steps.lastIndex(where: { $0.function == steps[place].function }), last > place
      {
        kept[last] = true
        place = last
      }
      place += 1
    }
    return kept
  }

  private func isKept(_ place: Int, of steps: [RecordedPath.Step], at level: Level) -> Bool {
    let outermost = steps.count - 1
    guard level != .exact, place != 0, place != outermost else { return true }
    var own = steps.indices.filter { isProgram(steps[$0]) }
    if own.isEmpty { own = steps.indices.filter { module(of: steps[$0]) == module(of: steps[outermost]) } }
    // Where the program makes the call itself, its caller is told as well.
    let innermostOwn = max(own.first ?? 0, min(1, outermost))
    let caller = steps.indices.first { module(of: steps[$0]) != module(of: steps[0]) } ?? 1
    switch level {
    case .exact: return true
    case .program: return place <= innermostOwn || place >= own.last ?? outermost
    case .caller: return place <= min(innermostOwn, caller)
    case .ends: return false
    }
  }

  /// Of the program and not of a library; what its runtime made is the program's, too.
  private func isProgram(_ step: RecordedPath.Step) -> Bool {
    guard let module = recording.functions[step.function].module else { return true }
    let path = recording.modules[module].path
    let file = lastComponent(of: path)
    return file.count == moduleName(path).count && file.first != UInt8(ascii: "[")
  }
}
