/// How much of a recorded way a chain of a profile says. Each is wider than the one before: it allows all that one does.
package enum Level: Int, CaseIterable, Comparable, Sendable {
  /// Function by function. Only recursion is left open: how deep it is depends on data.
  case exact
  /// What lies between the program's innermost function and its outermost is left open.
  case program
  /// The innermost file's functions, who called them, and the outermost.
  case caller
  /// The innermost function and the outermost.
  case ends

  package static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }

  package var next: Level? { Level(rawValue: rawValue + 1) }

  /// For people, after "level 1: ".
  package var sentence: String {
    switch self {
    case .exact: "exact, but for the depth of recursion"
    case .program: "open between the program's innermost function and its outermost"
    case .caller: "the innermost file's functions, who calls them, and the outermost function"
    case .ends: "the innermost function and the outermost, anything of these files between them"
    }
  }
}
