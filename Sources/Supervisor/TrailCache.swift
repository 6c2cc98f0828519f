internal import Report
internal import Wire

/// The trails of one container, by what one run of the snapshot shows of a thread at once.
///
/// Bounded by number and by words; of more, the half that was not used for longest is forgotten.
package struct TrailCache {
  package static let maxTrails = 4096
  /// Of twelve bytes each.
  package static let maxWords = 1 << 17
  /// Of one sight: the same call from the same depth, on different ways.
  static let maxAlternatives = 16
  static let maxOutermost = 4096

  private var trails: [Sight: [Trail]] = [:]
  package private(set) var count = 0
  private var words = 0
  private var clock: UInt64 = 0
  private var outermost: [Outermost: Int] = [:]
  private var nextOutermost = 1
  /// What the trails that were forgotten have answered.
  private var tally = Counts()

  package init() {}

  /// Those that were seen at this sight, the one that was used last first.
  package func candidates(at sight: Sight) -> [Trail] { trails[sight] ?? [] }

  package mutating func use(_ trail: Trail) {
    clock &+= 1
    trail.lastUse = clock
  }

  package mutating func insert(_ trail: Trail) {
    if count >= TrailCache.maxTrails || words + trail.words > TrailCache.maxWords { forgetOldest() }
    clock &+= 1
    trail.lastUse = clock
    var here = trails[trail.sight] ?? []
    here.insert(trail, at: 0)
    count += 1
    words += trail.words
    if here.count > TrailCache.maxAlternatives, let oldest = here.indices.min(by: { here[$0].lastUse < here[$1].lastUse }) {
      drop(here.remove(at: oldest))
    }
    trails[trail.sight] = here
  }

  /// Equal ones get equal numbers, as long as they are remembered.
  mutating func number(of found: Outermost?) -> Int {
    guard let found else { return 0 }
    if let known = outermost[found] { return known }
    if outermost.count >= TrailCache.maxOutermost { outermost = [:] }
    nextOutermost += 1
    outermost[found] = nextOutermost
    return nextOutermost
  }

  /// What was answered since this was asked last.
  mutating func takeCounts() -> Counts {
    for trail in trails.values.joined() { tally(trail) }
    defer { tally = Counts() }
    return tally
  }

  private mutating func tally(_ trail: Trail) {
    tally.count(trail.finding, trail.syscall, repeated: trail.repetitions)
    trail.repetitions = 0
  }

  private mutating func forgetOldest() {
    let uses = trails.values.joined().map(\.lastUse).sorted()
    guard let middle = uses.isEmpty ? nil : uses[uses.count / 2] else { return }
    keep { $0.lastUse > middle }
  }

  private mutating func keep(_ isWanted: (Trail) -> Bool) {
    for (sight, here) in trails {
      let kept = here.filter(isWanted)
      guard kept.count < here.count else { continue }
      for trail in here where !isWanted(trail) { drop(trail) }
      trails[sight] = kept.isEmpty ? nil : kept
    }
  }

  private mutating func drop(_ trail: Trail) {
    count -= 1
    words -= trail.words
    tally(trail)
  }
}
