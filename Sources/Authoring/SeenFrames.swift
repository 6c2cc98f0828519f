package import Recording
package import Wire

/// One frame of a stack of which not everything is known, or several.
package enum SeenFrames: Equatable, Sendable {
  case one(PathFrame)
  /// Two of it or more, one after the other.
  case repeated(PathFrame)
  /// However many, none too, each of them one of these.
  case any([PathFrame])
}

extension Paths {
  /// What the chains make of a recorded way: `Paths.judge`, with all that a way leaves open. It is allowed where every stack that it may have been
  /// is, and denied where one is. The frame is a place in the way's steps.
  package func judge(_ path: RecordedPath, of recording: Recording) -> PathJudgement {
    judge(path, functions: frames(of: recording))
  }

  /// The functions of `recording`, by their numbers, as these chains see them.
  package func frames(of recording: Recording) -> [PathFrame] {
    let names = names(of: recording.modules)
    return recording.functions.map { function in
      guard let module = function.module else { return .madeCode }
      return PathFrame(modules: names[module], names: function.names, start: function.start, isStart: function.isStart)
    }
  }

  /// `functions`: as `frames(of:)` answers them.
  package func judge(_ path: RecordedPath, functions: [PathFrame]) -> PathJudgement {
    guard path.gap != nil || path.steps.contains(where: \.repeats) else { return judge(path.steps.map { functions[$0.function] }) }
    var seen: [SeenFrames] = path.steps.map { step in
      step.repeats ? .repeated(functions[step.function]) : .one(functions[step.function])
    }
    if let gap = path.gap {
      // Of the files that the rest of it leads through, as far as anyone can say. The start frames are behind it.
      var files: [PathFrame] = []
      for step in path.steps where !functions[step.function].isStart {
        let file = PathFrame(modules: functions[step.function].modules)
        if !files.contains(file) { files.append(file) }
      }
      seen.insert(.any(files), at: gap)
    }
    switch judge(seen) {
    case .allowed: return .allowed
    case .denied(let place): return .denied(place)
    case .unlisted(let place): return .unlisted(min(path.gap.map { place > $0 ? place - 1 : place } ?? place, path.steps.count - 1))
    }
  }

  package func judge(_ seen: [SeenFrames]) -> PathJudgement {
    for (place, chain) in denied.enumerated() {
      var states: Set = [[PathMatch(chain, isDenied: true)]]
      for frames in seen {
        // What cannot be followed is not called allowed.
        guard let next = after(frames, states) else { return .denied(place) }
        states = next
      }
      if states.contains(where: { $0[0].isComplete }) { return .denied(place) }
    }
    guard !chains.isEmpty else { return .allowed }
    var states: Set = [chains.map { PathMatch($0) }]
    for (place, frames) in seen.enumerated() {
      guard let next = after(frames, states), next.allSatisfy({ $0.contains(where: \.isPossible) }) else { return .unlisted(place) }
      states = next
    }
    return states.allSatisfy { $0.contains(where: \.isComplete) } ? .allowed : .unlisted(max(0, seen.count - 1))
  }
}

/// Where chains can be that are in one of `states` and go on. nil where that are too many to follow.
private func after(_ frames: SeenFrames, _ states: Set<[PathMatch]>) -> Set<[PathMatch]>? {
  func on(_ states: Set<[PathMatch]>, _ frame: PathFrame) -> Set<[PathMatch]> {
    Set(
      states.map { matches in
        var matches = matches
        for index in matches.indices { matches[index].go(on: frame) }
        return matches
      })
  }
  /// All that further frames lead to, with what is there.
  func closure(_ states: Set<[PathMatch]>, _ frames: [PathFrame]) -> Set<[PathMatch]>? {
    var (all, fresh) = (states, states)
    while !fresh.isEmpty {
      fresh = frames.reduce(into: Set()) { $0.formUnion(on(fresh, $1)) }.subtracting(all)
      all.formUnion(fresh)
      guard all.count <= maxStates else { return nil }
    }
    return all
  }
  switch frames {
  case .one(let frame): return on(states, frame)
  case .repeated(let frame): return closure(on(on(states, frame), frame), [frame])
  case .any(let frames): return closure(states, frames)
  }
}

/// Each frame more takes a chain further into itself or leaves it where it is: honest ways have a handful.
private let maxStates = 1024

/// Whatever way `chain` allows, `others` allow it, too. False as well where that cannot be told from their texts.
package func isCovered(_ chain: [PathElement], by others: [[PathElement]]) -> Bool {
  guard !others.isEmpty else { return false }
  let modules = Set(chain.compactMap(\.module)).sorted()
  let seen: [SeenFrames] = chain.map { element in
    switch element {
    case .anyFrames: .any(modules.map { PathFrame(modules: [$0]) })
    case .anyFunction(let module): .one(PathFrame(modules: [module]))
    case .function(let name, let module): .one(PathFrame(modules: [module], names: [name]))
    case .start(let start, let module): .one(PathFrame(modules: [module], start: start))
    }
  }
  return Paths(chains: others).judge(seen) == .allowed
}
