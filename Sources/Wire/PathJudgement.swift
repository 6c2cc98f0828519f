/// What the chains of a profile make of a way to a system call. The inspector says it of a stack, and whoever has a recording says it of that: it
/// is decided here for both.
package enum PathJudgement: Equatable, Sendable {
  /// A chain that is listed is the way, or none is listed and none of those denied is it.
  case allowed
  /// The place of the first frame, innermost first, that no listed chain allows there.
  case unlisted(Int)
  /// The place among `Paths.denied` of the chain that is the way.
  case denied(Int)
}

extension Paths {
  /// What the chains may call each of `files`.
  package func names(of files: [Module]) -> [Set<String>] {
    let named = Set((chains + denied).joined().compactMap(\.module)).subtracting([Paths.madeCode])
    return files.map { file in named.filter { isModule($0, path: file.path, buildID: file.buildID) } }
  }

  /// `frames`: all, innermost first; those of made code that lie next to one another are one.
  package func judge(_ frames: [PathFrame]) -> PathJudgement {
    if let place = firstDenied(of: frames, in: denied) { return .denied(place) }
    guard !chains.isEmpty, let mismatch = firstMismatch(of: frames, in: chains) else { return .allowed }
    return .unlisted(mismatch)
  }
}

extension PathFrame {
  /// Made code, however much of it.
  package static var madeCode: PathFrame { PathFrame(modules: [Paths.madeCode]) }
}
