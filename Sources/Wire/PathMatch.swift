/// A frame as the chains of a profile speak of it.
package struct PathFrame: Equatable, Sendable {
  /// What the profile may call its file.
  package var modules: Set<String>
  /// Of its function: all of them.
  package var names: [String]
  /// Of its function in the file, where that is known.
  package var start: UInt64?
  /// It is one of those that the C library, or a file's entry, begins a thread or a process with: more than the profile needs to say.
  package var isStart: Bool

  package init(modules: Set<String>, names: [String] = [], start: UInt64? = nil, isStart: Bool = false) {
    self.modules = modules
    self.names = names
    self.start = start
    self.isStart = isStart
  }

  package func fits(_ element: PathElement) -> Bool {
    switch element {
    case .anyFrames: false
    case .anyFunction(let module): modules.contains(module)
    case .function(let name, let module): modules.contains(module) && names.contains(name)
    case .start(let start, let module): modules.contains(module) && self.start == start
    }
  }
}

/// One chain of a profile, and how far the frames that were seen so far lead into it. All ways to read `...` are followed at once, so that no
/// chain of frames costs more than its length times the chain's.
package struct PathMatch: Hashable, Sendable {
  private let chain: [PathElement]
  /// Those that `...` stands for; nil for all.
  private let modules: Set<String>?
  /// Bit n: the frames so far are the first n elements. After the last one only start frames follow.
  private var reached: [Bool]

  /// `isDenied`: `...` is any frames at all, since a frame of another module must not make a way that is denied one that is not.
  package init(_ chain: [PathElement], isDenied: Bool = false) {
    self.chain = chain
    modules = isDenied ? nil : Set(chain.compactMap(\.module))
    reached = [true] + .init(repeating: false, count: chain.count)
    skipEmpty()
  }

  package func hash(into hasher: inout Hasher) { hasher.combine(reached) }

  package var isPossible: Bool { reached.contains(true) }

  package var isComplete: Bool { reached[chain.count] }

  package mutating func go(on frame: PathFrame) {
    var next = [Bool](repeating: false, count: reached.count)
    for place in chain.indices where reached[place] {
      if chain[place] == .anyFrames {
        if modules.map({ !$0.isDisjoint(with: frame.modules) }) ?? true { next[place] = true }
      } else if frame.fits(chain[place]) {
        next[place + 1] = true
      }
    }
    if isComplete, frame.isStart { next[chain.count] = true }
    reached = next
    skipEmpty()
  }

  /// `...` stands for no frame, too.
  private mutating func skipEmpty() {
    for place in chain.indices where reached[place] && chain[place] == .anyFrames { reached[place + 1] = true }
  }
}

/// The place of the first frame, the innermost first, that none of `chains` allows there; the last one where each chain wants more frames. nil
/// where one of them is what `frames` are.
package func firstMismatch(of frames: [PathFrame], in chains: [[PathElement]]) -> Int? {
  var matches = chains.map { PathMatch($0) }
  for (place, frame) in frames.enumerated() {
    for index in matches.indices { matches[index].go(on: frame) }
    matches.removeAll { !$0.isPossible }
    if matches.isEmpty { return place }
  }
  return matches.contains(where: \.isComplete) ? nil : max(0, frames.count - 1)
}

/// The place of the first of `denied` that is what `frames`, the innermost first, are; nil where none is.
package func firstDenied(of frames: [PathFrame], in denied: [[PathElement]]) -> Int? {
  denied.firstIndex { chain in
    var match = PathMatch(chain, isDenied: true)
    for frame in frames where match.isPossible { match.go(on: frame) }
    return match.isComplete
  }
}
